"""cameras by state and organisation in the order of the list"""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("camera", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_camera_organisation_id_number"))
        batch_op.drop_index(batch_op.f("ix_camera_state_number"))
        batch_op.create_index(
            "ix_camera_organisation_id_sort_key", ["organisation_id", "sort_key", "id"], unique=False
        )
        batch_op.create_index("ix_camera_state_sort_key", ["state", "sort_key", "id"], unique=False)


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
