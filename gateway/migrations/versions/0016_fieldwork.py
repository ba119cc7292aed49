"""Technicians: test alarms, commissionings, pictures, acts done once, local pages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "field_act",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("detector_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("carried_out_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_field_act")),
    )
    with op.batch_alter_table("field_act", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_field_act_detector_id"), ["detector_id"], unique=False)

    op.create_table(
        "field_picture",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("detector_id", sa.String(length=64), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_field_picture")),
    )
    with op.batch_alter_table("field_picture", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_field_picture_detector_id"), ["detector_id"], unique=False)

    op.create_table(
        "local_page",
        sa.Column("site_id", sa.String(length=63), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["site.id"], name=op.f("fk_local_page_site_id_site"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_local_page")),
    )
    op.create_table(
        "trial",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("detector_id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=63), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("command_id", sa.String(length=64), nullable=False),
        sa.Column("confirmed_us", sa.BigInteger(), nullable=True),
        sa.Column("refused", sa.String(length=200), nullable=True),
        sa.Column("heard_us", sa.BigInteger(), nullable=True),
        sa.Column("alarm_id", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=30), nullable=True),
        sa.ForeignKeyConstraint(
            ["detector_id"],
            ["detector.id"],
            name=op.f("fk_trial_detector_id_detector"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial")),
        sa.UniqueConstraint("command_id", name=op.f("uq_trial_command_id")),
    )
    with op.batch_alter_table("trial", schema=None) as batch_op:
        batch_op.create_index("ix_trial_detector", ["detector_id", "until_us"], unique=False)

    op.create_table(
        "commissioning",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("detector_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("done_us", sa.BigInteger(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("picture_id", sa.String(length=64), nullable=True),
        sa.Column("trial_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["detector_id"],
            ["detector.id"],
            name=op.f("fk_commissioning_detector_id_detector"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["picture_id"], ["field_picture.id"], name=op.f("fk_commissioning_picture_id_field_picture")
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trial.id"], name=op.f("fk_commissioning_trial_id_trial")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commissioning")),
    )
    with op.batch_alter_table("commissioning", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_commissioning_detector_id"), ["detector_id"], unique=False)


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
