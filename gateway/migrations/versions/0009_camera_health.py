"""Camera health"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "camera_evidence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=63), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("transition", sa.String(length=10), nullable=False),
        sa.Column("summary", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=True),
        sa.Column("picture", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera_evidence")),
        sa.UniqueConstraint(
            "site_id", "epoch", "seq", name=op.f("uq_camera_evidence_site_id_epoch_seq")
        ),
    )
    with op.batch_alter_table("camera_evidence", schema=None) as batch_op:
        batch_op.create_index(
            "ix_camera_evidence_camera_id_at_us", ["camera_id", "at_us"], unique=False
        )

    op.create_table(
        "camera_health",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=63), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("summary", sa.String(length=20), nullable=False),
        sa.Column("reachable", sa.Boolean(), nullable=True),
        sa.Column("reachable_since_us", sa.BigInteger(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("device", sa.JSON(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_health")),
    )
    with op.batch_alter_table("camera_health", schema=None) as batch_op:
        batch_op.create_index(
            "ix_camera_health_site_id_camera_id", ["site_id", "camera_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_camera_health_summary"), ["summary"], unique=False)


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
