"""the site that watches a camera"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("camera", schema=None) as batch_op:
        batch_op.add_column(sa.Column("site_id", sa.String(length=63), nullable=True))
        batch_op.add_column(sa.Column("stream_codec", sa.String(length=10), nullable=True))
        batch_op.add_column(sa.Column("stream_width", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("stream_height", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("stream_rate_fps", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("probe_interval_s", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_camera_site_id"), ["site_id"], unique=False)
        batch_op.create_foreign_key(batch_op.f("fk_camera_site_id_site"), "site", ["site_id"], ["id"])


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
