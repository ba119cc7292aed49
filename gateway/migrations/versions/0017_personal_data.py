"""Personal data: what was taken out, when, and what went after its time"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_tally",
        sa.Column("rule", sa.String(length=60), nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_retention_tally")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.add_column(sa.Column("salt", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("redacted_us", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("city_request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("erased_us", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.add_column(sa.Column("erased_us", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("household", schema=None) as batch_op:
        batch_op.add_column(sa.Column("erased_us", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
