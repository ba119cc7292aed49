"""Specifications, servers, inspections, requests, costs, labels"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "khur_answer",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("valid_until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_khur_answer")),
    )
    with op.batch_alter_table("khur_answer", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_khur_answer_valid_until_us"), ["valid_until_us"], unique=False
        )

    op.create_table(
        "label",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("object_kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("void_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
    )
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.create_index("ix_label_object", ["object_kind", "object_id"], unique=False)

    op.create_table(
        "maintenance",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("object_kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("work", sa.String(length=20), nullable=False),
        sa.Column("done", sa.Text(), nullable=False),
        sa.Column("done_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("corrects_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["corrects_id"], ["maintenance.id"], name=op.f("fk_maintenance_corrects_id_maintenance")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance")),
    )
    with op.batch_alter_table("maintenance", schema=None) as batch_op:
        batch_op.create_index(
            "ix_maintenance_object", ["object_kind", "object_id", "done_us"], unique=False
        )

    op.create_table(
        "number_series",
        sa.Column("series", sa.String(length=10), nullable=False),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series", "year", name=op.f("pk_number_series")),
    )
    op.create_table(
        "open_door_count",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("window_us", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_open_door_count")),
    )
    with op.batch_alter_table("open_door_count", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_open_door_count_window_us"), ["window_us"], unique=False)

    op.create_table(
        "city_request",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=30), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=20), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("contact", sa.LargeBinary(), nullable=True),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("handed_us", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("answered_us", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.String(length=100), nullable=True),
        sa.Column("satisfaction", sa.Integer(), nullable=True),
        sa.Column("rated_us", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_city_request_organisation_id_organisation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_city_request")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_city_request_code_hash")),
        sa.UniqueConstraint("number", name=op.f("uq_city_request_number")),
    )
    with op.batch_alter_table("city_request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_city_request_kind"), ["kind"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_city_request_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_city_request_received_us"), ["received_us"], unique=False)
        batch_op.create_index("ix_city_request_state_due", ["state", "due_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_city_request_unit_code"), ["unit_code"], unique=False)

    op.create_table(
        "inspection",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=30), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("inspector_id", sa.String(length=100), nullable=False),
        sa.Column("conclusion", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_inspection_organisation_id_organisation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inspection")),
        sa.UniqueConstraint("number", name=op.f("uq_inspection_number")),
    )
    with op.batch_alter_table("inspection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inspection_held_on"), ["held_on"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_inspection_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_inspection_unit_code"), ["unit_code"], unique=False)

    op.create_table(
        "link_cost",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("link", sa.String(length=100), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=200), nullable=False),
        sa.Column("contract", sa.String(length=100), nullable=False),
        sa.Column("monthly_mnt", sa.BigInteger(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("gone_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_link_cost_organisation_id_organisation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_cost")),
    )
    with op.batch_alter_table("link_cost", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_link_cost_link"), ["link"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_link_cost_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index("ix_link_cost_period", ["from_on", "until_on"], unique=False)

    op.create_table(
        "specification",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=30), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("requirements", sa.JSON(), nullable=False),
        sa.Column("budget_mnt", sa.BigInteger(), nullable=True),
        sa.Column("funding_source", sa.String(length=30), nullable=True),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("deliver_by", sa.Date(), nullable=True),
        sa.Column("decide_by", sa.Date(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("author_id", sa.String(length=100), nullable=False),
        sa.Column("author_ids", sa.JSON(), nullable=False),
        sa.Column("reviewer_id", sa.String(length=100), nullable=True),
        sa.Column("submitted_us", sa.BigInteger(), nullable=True),
        sa.Column("decided_us", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=100), nullable=True),
        sa.Column("content_sha256", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=20), nullable=True),
        sa.Column("supersedes_id", sa.String(length=64), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_specification_organisation_id_organisation"),
        ),
        sa.ForeignKeyConstraint(
            ["supersedes_id"],
            ["specification.id"],
            name=op.f("fk_specification_supersedes_id_specification"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_specification")),
        sa.UniqueConstraint("code", name=op.f("uq_specification_code")),
        sa.UniqueConstraint("number", name=op.f("uq_specification_number")),
    )
    with op.batch_alter_table("specification", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_specification_author_id"), ["author_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_specification_kind"), ["kind"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_specification_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_specification_reviewer_id"), ["reviewer_id"], unique=False)
        batch_op.create_index("ix_specification_state_due", ["state", "decide_by"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_specification_supersedes_id"), ["supersedes_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_specification_unit_code"), ["unit_code"], unique=False)

    op.create_table(
        "finding",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("inspection_id", sa.String(length=64), nullable=True),
        sa.Column("object_kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=True),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("found_by", sa.String(length=100), nullable=False),
        sa.Column("fix", sa.Text(), nullable=True),
        sa.Column("fixed_by", sa.String(length=100), nullable=True),
        sa.Column("fixed_us", sa.BigInteger(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("verified_by", sa.String(length=100), nullable=True),
        sa.Column("verified_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["inspection_id"], ["inspection.id"], name=op.f("fk_finding_inspection_id_inspection")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_finding_organisation_id_organisation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    with op.batch_alter_table("finding", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_finding_inspection_id"), ["inspection_id"], unique=False)
        batch_op.create_index("ix_finding_object", ["object_kind", "object_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_finding_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index("ix_finding_state_due", ["state", "due_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_finding_unit_code"), ["unit_code"], unique=False)

    op.create_table(
        "licence",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("vendor", sa.String(length=200), nullable=False),
        sa.Column("contract", sa.String(length=100), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("amount_mnt", sa.BigInteger(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("person_id", sa.String(length=64), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("gone_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_licence_organisation_id_organisation"),
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_licence_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_licence")),
    )
    with op.batch_alter_table("licence", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_licence_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index("ix_licence_until", ["valid_until"], unique=False)
        batch_op.create_index(
            "uq_licence_name",
            ["name"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )

    op.create_table(
        "rack",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("room", sa.String(length=200), nullable=False),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("person_id", sa.String(length=64), nullable=True),
        sa.Column("height_u", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("gone_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_rack_organisation_id_organisation")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_rack_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rack")),
    )
    with op.batch_alter_table("rack", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rack_organisation_id"), ["organisation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_rack_unit_code"), ["unit_code"], unique=False)
        batch_op.create_index(
            "uq_rack_name",
            ["name"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )

    op.create_table(
        "specification_attachment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("specification_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("added_by", sa.String(length=100), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["specification_id"],
            ["specification.id"],
            name=op.f("fk_specification_attachment_specification_id_specification"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_specification_attachment")),
        sa.UniqueConstraint(
            "specification_id",
            "sha256",
            name=op.f("uq_specification_attachment_specification_id_sha256"),
        ),
    )
    with op.batch_alter_table("specification_attachment", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_specification_attachment_sha256"), ["sha256"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_specification_attachment_specification_id"),
            ["specification_id"],
            unique=False,
        )

    op.create_table(
        "specification_comment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("specification_id", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["specification_id"],
            ["specification.id"],
            name=op.f("fk_specification_comment_specification_id_specification"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_specification_comment")),
    )
    with op.batch_alter_table("specification_comment", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_specification_comment_specification_id"), ["specification_id"], unique=False
        )

    op.create_table(
        "server",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("rack_id", sa.String(length=64), nullable=True),
        sa.Column("position_u", sa.Integer(), nullable=True),
        sa.Column("height_u", sa.Integer(), nullable=False),
        sa.Column("maker", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("serial", sa.String(length=100), nullable=True),
        sa.Column("purpose", sa.String(length=300), nullable=False),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("person_id", sa.String(length=64), nullable=True),
        sa.Column("specification_id", sa.String(length=64), nullable=True),
        sa.Column("bought_on", sa.Date(), nullable=True),
        sa.Column("support_until", sa.Date(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("gone_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_server_organisation_id_organisation"),
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_server_person_id_person")),
        sa.ForeignKeyConstraint(["rack_id"], ["rack.id"], name=op.f("fk_server_rack_id_rack")),
        sa.ForeignKeyConstraint(
            ["specification_id"],
            ["specification.id"],
            name=op.f("fk_server_specification_id_specification"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server")),
    )
    with op.batch_alter_table("server", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_server_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_server_rack_id"), ["rack_id"], unique=False)
        batch_op.create_index("ix_server_support", ["support_until"], unique=False)
        batch_op.create_index(batch_op.f("ix_server_unit_code"), ["unit_code"], unique=False)
        batch_op.create_index(
            "uq_server_maker_serial",
            ["maker", "serial"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )
        batch_op.create_index(
            "uq_server_name",
            ["name"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )

    op.create_table(
        "software",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("maker", sa.String(length=100), nullable=False),
        sa.Column("release", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("licence_id", sa.String(length=64), nullable=True),
        sa.Column("purpose", sa.String(length=300), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("person_id", sa.String(length=64), nullable=True),
        sa.Column("support_until", sa.Date(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("gone_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["licence_id"], ["licence.id"], name=op.f("fk_software_licence_id_licence")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_software_organisation_id_organisation"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_software_person_id_person")
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["server.id"], name=op.f("fk_software_server_id_server")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_software")),
    )
    with op.batch_alter_table("software", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_software_licence_id"), ["licence_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_software_name"), ["name"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_software_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_software_server_id"), ["server_id"], unique=False)
        batch_op.create_index("ix_software_support", ["support_until"], unique=False)
        batch_op.create_index(
            "uq_software_server_name",
            ["server_id", "name"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
