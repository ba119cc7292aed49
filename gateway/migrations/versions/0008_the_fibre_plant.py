"""The fibre plant"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fibre_anomaly",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("at", sa.String(length=140), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("found_us", sa.BigInteger(), nullable=False),
        sa.Column("cleared_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_anomaly")),
        sa.UniqueConstraint("kind", "at", name=op.f("uq_fibre_anomaly_kind_at")),
    )
    op.create_table(
        "fibre_cable_type",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("maker", sa.String(length=100), nullable=False),
        sa.Column("tubes", sa.Integer(), nullable=False),
        sa.Column("strands_per_tube", sa.Integer(), nullable=False),
        sa.Column("scheme", sa.String(length=40), nullable=False),
        sa.Column("helix", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_cable_type")),
    )
    op.create_table(
        "fibre_loss_default",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fibre_loss_default")),
    )
    op.create_table(
        "fibre_node",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("lat", sa.Float(), nullable=False),
        sa.Column("lon", sa.Float(), nullable=False),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_node")),
    )
    with op.batch_alter_table("fibre_node", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_node_unit_code"), ["unit_code"], unique=False)

    op.create_table(
        "fibre_service",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("a_end", sa.String(length=140), nullable=False),
        sa.Column("z_end", sa.String(length=140), nullable=False),
        sa.Column("wavelength_nm", sa.Integer(), nullable=False),
        sa.Column("target_loss_db", sa.Float(), nullable=False),
        sa.Column("calculated_loss_db", sa.Float(), nullable=True),
        sa.Column("measured_loss_db", sa.Float(), nullable=True),
        sa.Column("monthly_cost_mnt", sa.BigInteger(), nullable=True),
        sa.Column("provider_id", sa.String(length=64), nullable=True),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("plant_version", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_service")),
    )
    with op.batch_alter_table("fibre_service", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_fibre_service_organisation_id"), ["organisation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_fibre_service_provider_id"), ["provider_id"], unique=False)

    op.create_table(
        "fibre_work",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("elements", sa.JSON(), nullable=False),
        sa.Column("starts_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("announced_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_work")),
    )
    with op.batch_alter_table("fibre_work", schema=None) as batch_op:
        batch_op.create_index("ix_fibre_work_time", ["status", "starts_us", "ends_us"], unique=False)

    op.create_table(
        "fibre_cable",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("type_id", sa.String(length=64), nullable=False),
        sa.Column("a_node_id", sa.String(length=64), nullable=False),
        sa.Column("b_node_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("provider_id", sa.String(length=64), nullable=True),
        sa.Column("sheath_length_m", sa.Float(), nullable=False),
        sa.Column("optical_length_m", sa.Float(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["a_node_id"], ["fibre_node.id"], name=op.f("fk_fibre_cable_a_node_id_fibre_node")
        ),
        sa.ForeignKeyConstraint(
            ["b_node_id"], ["fibre_node.id"], name=op.f("fk_fibre_cable_b_node_id_fibre_node")
        ),
        sa.ForeignKeyConstraint(
            ["type_id"], ["fibre_cable_type.id"], name=op.f("fk_fibre_cable_type_id_fibre_cable_type")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_cable")),
    )
    with op.batch_alter_table("fibre_cable", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_cable_a_node_id"), ["a_node_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fibre_cable_b_node_id"), ["b_node_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fibre_cable_provider_id"), ["provider_id"], unique=False)

    op.create_table(
        "fibre_equipment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ports", sa.Integer(), nullable=False),
        sa.Column("provider_id", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["node_id"], ["fibre_node.id"], name=op.f("fk_fibre_equipment_node_id_fibre_node")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_equipment")),
    )
    with op.batch_alter_table("fibre_equipment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_equipment_node_id"), ["node_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_fibre_equipment_provider_id"), ["provider_id"], unique=False
        )

    op.create_table(
        "fibre_outage",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("incident_id", sa.String(length=64), nullable=True),
        sa.Column("work_id", sa.String(length=64), nullable=True),
        sa.Column("cause", sa.String(length=140), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["work_id"], ["fibre_work.id"], name=op.f("fk_fibre_outage_work_id_fibre_work")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_outage")),
    )
    with op.batch_alter_table("fibre_outage", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_outage_incident_id"), ["incident_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fibre_outage_opened_us"), ["opened_us"], unique=False)

    op.create_table(
        "fibre_route",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("a_node_id", sa.String(length=64), nullable=False),
        sa.Column("b_node_id", sa.String(length=64), nullable=False),
        sa.Column("trench", sa.String(length=100), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["a_node_id"], ["fibre_node.id"], name=op.f("fk_fibre_route_a_node_id_fibre_node")
        ),
        sa.ForeignKeyConstraint(
            ["b_node_id"], ["fibre_node.id"], name=op.f("fk_fibre_route_b_node_id_fibre_node")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_route")),
    )
    with op.batch_alter_table("fibre_route", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_route_a_node_id"), ["a_node_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fibre_route_b_node_id"), ["b_node_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fibre_route_trench"), ["trench"], unique=False)

    op.create_table(
        "fibre_service_hop",
        sa.Column("service_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=140), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_id"],
            ["fibre_service.id"],
            name=op.f("fk_fibre_service_hop_service_id_fibre_service"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("service_id", "position", name=op.f("pk_fibre_service_hop")),
    )
    with op.batch_alter_table("fibre_service_hop", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_service_hop_ref"), ["ref"], unique=False)

    op.create_table(
        "fibre_tray",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["fibre_node.id"], name=op.f("fk_fibre_tray_node_id_fibre_node")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_tray")),
    )
    with op.batch_alter_table("fibre_tray", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_tray_node_id"), ["node_id"], unique=False)

    op.create_table(
        "fibre_cable_route",
        sa.Column("cable_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("route_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["cable_id"],
            ["fibre_cable.id"],
            name=op.f("fk_fibre_cable_route_cable_id_fibre_cable"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["route_id"], ["fibre_route.id"], name=op.f("fk_fibre_cable_route_route_id_fibre_route")
        ),
        sa.PrimaryKeyConstraint("cable_id", "position", name=op.f("pk_fibre_cable_route")),
    )
    with op.batch_alter_table("fibre_cable_route", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_cable_route_route_id"), ["route_id"], unique=False)

    op.create_table(
        "fibre_endpoint",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.Column("equipment_id", sa.String(length=64), nullable=False),
        sa.Column("criticality", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["equipment_id"],
            ["fibre_equipment.id"],
            name=op.f("fk_fibre_endpoint_equipment_id_fibre_equipment"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_endpoint")),
        sa.UniqueConstraint(
            "kind", "ref", "equipment_id", name=op.f("uq_fibre_endpoint_kind_ref_equipment_id")
        ),
    )
    with op.batch_alter_table("fibre_endpoint", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_fibre_endpoint_equipment_id"), ["equipment_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_fibre_endpoint_ref"), ["ref"], unique=False)

    op.create_table(
        "fibre_joint",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("tray_id", sa.String(length=64), nullable=True),
        sa.Column("loss_db", sa.Float(), nullable=True),
        sa.Column("length_m", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["fibre_node.id"], name=op.f("fk_fibre_joint_node_id_fibre_node")
        ),
        sa.ForeignKeyConstraint(
            ["tray_id"], ["fibre_tray.id"], name=op.f("fk_fibre_joint_tray_id_fibre_tray")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_joint")),
    )
    with op.batch_alter_table("fibre_joint", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_joint_node_id"), ["node_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fibre_joint_tray_id"), ["tray_id"], unique=False)

    op.create_table(
        "fibre_route_revision",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("route_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("line", sa.JSON(), nullable=False),
        sa.Column("install", sa.String(length=20), nullable=False),
        sa.Column("trench", sa.String(length=100), nullable=True),
        sa.Column("duct", sa.String(length=100), nullable=True),
        sa.Column("length_m", sa.Float(), nullable=False),
        sa.Column("contractor", sa.String(length=200), nullable=False),
        sa.Column("accepted_us", sa.BigInteger(), nullable=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(
            ["route_id"], ["fibre_route.id"], name=op.f("fk_fibre_route_revision_route_id_fibre_route")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_route_revision")),
        sa.UniqueConstraint("route_id", "number", name=op.f("uq_fibre_route_revision_route_id_number")),
    )
    with op.batch_alter_table("fibre_route_revision", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_fibre_route_revision_route_id"), ["route_id"], unique=False
        )

    op.create_table(
        "fibre_slack",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("cable_id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("length_m", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cable_id"],
            ["fibre_cable.id"],
            name=op.f("fk_fibre_slack_cable_id_fibre_cable"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["node_id"], ["fibre_node.id"], name=op.f("fk_fibre_slack_node_id_fibre_node")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fibre_slack")),
    )
    with op.batch_alter_table("fibre_slack", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_slack_cable_id"), ["cable_id"], unique=False)

    op.create_table(
        "fibre_strand",
        sa.Column("cable_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["cable_id"],
            ["fibre_cable.id"],
            name=op.f("fk_fibre_strand_cable_id_fibre_cable"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("cable_id", "number", name=op.f("pk_fibre_strand")),
    )
    op.create_table(
        "fibre_joint_end",
        sa.Column("end_key", sa.String(length=140), nullable=False),
        sa.Column("joint_id", sa.String(length=64), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["joint_id"],
            ["fibre_joint.id"],
            name=op.f("fk_fibre_joint_end_joint_id_fibre_joint"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("end_key", name=op.f("pk_fibre_joint_end")),
    )
    with op.batch_alter_table("fibre_joint_end", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fibre_joint_end_joint_id"), ["joint_id"], unique=False)
