"""Residents' links and browsers; whom the desk gave an incident to"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "home_request",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["household_id"],
            ["household.id"],
            name=op.f("fk_home_request_household_id_household"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["city_request.id"],
            name=op.f("fk_home_request_request_id_city_request"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_home_request")),
    )
    with op.batch_alter_table("home_request", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_home_request_household_id"), ["household_id"], unique=False
        )

    op.create_table(
        "home_link",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.String(length=64), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contact.id"],
            name=op.f("fk_home_link_contact_id_contact"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["household_id"],
            ["household.id"],
            name=op.f("fk_home_link_household_id_household"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_home_link")),
    )
    with op.batch_alter_table("home_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_home_link_expires_us"), ["expires_us"], unique=False)
        batch_op.create_index(batch_op.f("ix_home_link_household_id"), ["household_id"], unique=False)

    op.create_table(
        "home_session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("household_id", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.String(length=64), nullable=True),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contact.id"],
            name=op.f("fk_home_session_contact_id_contact"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["household_id"],
            ["household.id"],
            name=op.f("fk_home_session_household_id_household"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_home_session")),
    )
    with op.batch_alter_table("home_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_home_session_expires_us"), ["expires_us"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_home_session_household_id"), ["household_id"], unique=False
        )

    with op.batch_alter_table("incident", schema=None) as batch_op:
        batch_op.add_column(sa.Column("assigned_to", sa.String(length=64), nullable=True))


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
