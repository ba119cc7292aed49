"""Words to search by, saved lists, imports and what they did, pairs that are no duplicates"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    by_code_point = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
    op.create_table(
        "search_word",
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("word", by_code_point, nullable=False),
        sa.Column("object_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("kind", "word", "object_id", name=op.f("pk_search_word")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_word_kind_object_id", "search_word", ["kind", "object_id"])
    op.create_table(
        "saved_view",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_saved_view_owner_name")),
    )
    op.create_table(
        "register_import",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("mode", sa.String(10), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("origin", sa.String(100), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("applied_us", sa.BigInteger(), nullable=True),
        sa.Column("undone_us", sa.BigInteger(), nullable=True),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("repairs", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_import")),
    )
    op.create_index("ix_register_import_created_us", "register_import", ["created_us"])
    op.create_table(
        "import_row",
        sa.Column("import_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("object_kind", sa.String(40), nullable=False),
        sa.Column("object_id", sa.String(64), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("audit_id", sa.BigInteger(), nullable=True),
        sa.Column("sealed_before", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["import_id"], ["register_import.id"],
            name=op.f("fk_import_row_import_id_register_import"),
        ),
        sa.PrimaryKeyConstraint("import_id", "position", name=op.f("pk_import_row")),
    )  # fmt: skip
    op.create_index("ix_import_row_object_kind_object_id", "import_row", ["object_kind", "object_id"])
    op.create_table(
        "not_duplicate",
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("first_id", sa.String(64), nullable=False),
        sa.Column("second_id", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("decided_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "first_id", "second_id", name=op.f("pk_not_duplicate")),
    )
