"""Homes that burn together, people who want less, tests and health of channels"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channel_health",
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("failing", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("last_good_us", sa.BigInteger(), nullable=True),
        sa.Column("checked_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_channel_health")),
    )
    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.add_column(sa.Column("drilled_us", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("contact_channel", schema=None) as batch_op:
        batch_op.add_column(sa.Column("muted_us", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("incident", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lat", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("lon", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("homes", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("together_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_incident_lat"), ["lat"], unique=False)
        batch_op.create_index(batch_op.f("ix_incident_together_id"), ["together_id"], unique=False)

    with op.batch_alter_table("site_state", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mains", sa.Boolean(), nullable=True))


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
