"""The newest event of an epoch that the city has met: a spool that has fewer is an older copy"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("site_epoch", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("newest_event", sa.BigInteger(), server_default="0", nullable=False)
        )


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
