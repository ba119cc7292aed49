"""Deliveries by channel and priority: the next ones to send are found without sorting the queue"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index("ix_delivery_due")
        batch_op.create_index(
            "ix_delivery_due", ["state", "channel", "priority", "due_us"], unique=False
        )


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
