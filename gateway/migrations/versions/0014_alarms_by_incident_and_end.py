"""Alarms by incident and end: whether one lasts is found without reading all of them"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.drop_index("ix_alarm_incident_id")
        batch_op.create_index("ix_alarm_incident", ["incident_id", "cleared_us"], unique=False)


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
