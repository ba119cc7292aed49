"""Cameras, organisations, units, lives and versions of records"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "administrative_unit",
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("parent_code", sa.String(length=20), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name_mn", sa.String(length=100), nullable=False),
        sa.Column("name_en", sa.String(length=100), nullable=False),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("khoroo_count", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("code", "valid_from", name=op.f("pk_administrative_unit")),
    )
    with op.batch_alter_table("administrative_unit", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_administrative_unit_parent_code"), ["parent_code"], unique=False
        )

    op.create_table(
        "camera_model",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("maker", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("form", sa.String(length=20), nullable=False),
        sa.Column("analogue", sa.Boolean(), nullable=False),
        sa.Column("sensor_width_px", sa.Integer(), nullable=True),
        sa.Column("sensor_height_px", sa.Integer(), nullable=True),
        sa.Column("focal_min_mm", sa.Float(), nullable=True),
        sa.Column("focal_max_mm", sa.Float(), nullable=True),
        sa.Column("hfov_min_deg", sa.Float(), nullable=True),
        sa.Column("hfov_max_deg", sa.Float(), nullable=True),
        sa.Column("ir_range_m", sa.Float(), nullable=True),
        sa.Column("onvif_profiles", sa.JSON(), nullable=False),
        sa.Column("source_note", sa.String(length=300), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("sort_key", sa.String(length=500), server_default="", nullable=False),
        sa.Column("gone_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera_model")),
        sa.UniqueConstraint("maker", "name", name=op.f("uq_camera_model_maker_name")),
    )
    with op.batch_alter_table("camera_model", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_camera_model_sort_key"), ["sort_key"], unique=False)

    op.create_table(
        "life_step",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("object_kind", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("from_state", sa.String(length=20), nullable=True),
        sa.Column("to_state", sa.String(length=20), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_life_step")),
    )
    with op.batch_alter_table("life_step", schema=None) as batch_op:
        batch_op.create_index(
            "ix_life_step_object", ["object_kind", "object_id", "at_us"], unique=False
        )

    op.create_table(
        "unit_boundary",
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("geometry", sa.JSON(), nullable=False),
        sa.Column("min_lat", sa.Float(), nullable=False),
        sa.Column("min_lon", sa.Float(), nullable=False),
        sa.Column("max_lat", sa.Float(), nullable=False),
        sa.Column("max_lon", sa.Float(), nullable=False),
        sa.Column("attribution", sa.String(length=500), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("imported_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_unit_boundary")),
    )
    op.create_table(
        "camera",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=True),
        sa.Column("maker", sa.String(length=100), nullable=False),
        sa.Column("serial", sa.String(length=100), nullable=True),
        sa.Column("mac", sa.String(length=17), nullable=True),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("unit_code", sa.String(length=20), nullable=True),
        sa.Column("organisation_id", sa.String(length=64), nullable=True),
        sa.Column("indoor", sa.Boolean(), nullable=False),
        sa.Column("zone", sa.String(length=30), nullable=True),
        sa.Column("mount", sa.String(length=30), nullable=True),
        sa.Column("height_m", sa.Float(), nullable=True),
        sa.Column("azimuth_deg", sa.Float(), nullable=True),
        sa.Column("tilt_deg", sa.Float(), nullable=True),
        sa.Column("hfov_deg", sa.Float(), nullable=True),
        sa.Column("purpose", sa.String(length=300), nullable=False),
        sa.Column("legal_basis", sa.String(length=300), nullable=False),
        sa.Column("notice_sign", sa.Boolean(), nullable=True),
        sa.Column("privacy_masks", sa.JSON(), nullable=False),
        sa.Column("retention_h", sa.Integer(), nullable=True),
        sa.Column("retention_waiver", sa.String(length=500), nullable=True),
        sa.Column("recorder", sa.String(length=100), nullable=False),
        sa.Column("switch_port", sa.String(length=100), nullable=False),
        sa.Column("specification_id", sa.String(length=64), nullable=True),
        sa.Column("funding_source", sa.String(length=20), nullable=True),
        sa.Column("stream_address", sa.String(length=500), nullable=True),
        sa.Column("stream_secret", sa.LargeBinary(), nullable=True),
        sa.Column("note", sa.String(length=1000), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("retired_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("sort_key", sa.String(length=500), server_default="", nullable=False),
        sa.Column("gone_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["camera_model.id"], name=op.f("fk_camera_model_id_camera_model")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name=op.f("fk_camera_organisation_id_organisation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera")),
        sa.UniqueConstraint("number", name=op.f("uq_camera_number")),
    )
    with op.batch_alter_table("camera", schema=None) as batch_op:
        batch_op.create_index("ix_camera_lat_lon", ["lat", "lon"], unique=False)
        batch_op.create_index(batch_op.f("ix_camera_model_id"), ["model_id"], unique=False)
        batch_op.create_index(
            "ix_camera_organisation_id_number", ["organisation_id", "number"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_camera_sort_key"), ["sort_key"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_camera_specification_id"), ["specification_id"], unique=False
        )
        batch_op.create_index("ix_camera_state_number", ["state", "number"], unique=False)
        batch_op.create_index("ix_camera_unit_code_number", ["unit_code", "number"], unique=False)
        batch_op.create_index(
            "uq_camera_mac",
            ["mac"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )
        batch_op.create_index(
            "uq_camera_maker_serial",
            ["maker", "serial"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )
        batch_op.create_index(
            "uq_camera_network_ip",
            ["network", "ip"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL AND retired_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL AND retired_us IS NULL"),
        )

    op.create_table(
        "detector_stay",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("detector_id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=63), nullable=False),
        sa.Column("household_id", sa.String(length=64), nullable=True),
        sa.Column("place", sa.String(length=100), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("replaces_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["detector_id"], ["detector.id"], name=op.f("fk_detector_stay_detector_id_detector")
        ),
        sa.ForeignKeyConstraint(
            ["household_id"], ["household.id"], name=op.f("fk_detector_stay_household_id_household")
        ),
        sa.ForeignKeyConstraint(
            ["replaces_id"], ["detector.id"], name=op.f("fk_detector_stay_replaces_id_detector")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_detector_stay_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_detector_stay")),
    )
    with op.batch_alter_table("detector_stay", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_detector_stay_detector_id"), ["detector_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_detector_stay_household_id"), ["household_id"], unique=False
        )

    # what hangs already has hung there since it was registered, as far as anybody knows
    op.execute(
        "INSERT INTO detector_stay (id, detector_id, site_id, household_id, place, from_us)"
        " SELECT id, id, site_id, household_id, place, COALESCE(registered_us, first_seen_us, 0)"
        " FROM detector WHERE status = 'in_service'"
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reason", sa.String(length=500), nullable=True))
        batch_op.add_column(sa.Column("batch_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_audit_entry_batch_id"), ["batch_id"], unique=False)

    with op.batch_alter_table("detector", schema=None) as batch_op:
        batch_op.add_column(sa.Column("serial", sa.String(length=100), nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("updated_us", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("detector_model", schema=None) as batch_op:
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("updated_us", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("household", schema=None) as batch_op:
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("updated_us", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("search_text", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("sort_key", sa.String(length=500), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("gone_us", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("merged_into_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_household_sort_key"), ["sort_key"], unique=False)

    with op.batch_alter_table("organisation", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("short_name", sa.String(length=50), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("kind", sa.String(length=30), server_default="other", nullable=False)
        )
        batch_op.add_column(sa.Column("register_number", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("parent_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("unit_code", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("lat", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("lon", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("contact", sa.LargeBinary(), nullable=True))
        batch_op.add_column(
            sa.Column("note", sa.String(length=1000), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("created_us", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("updated_us", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("search_text", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("sort_key", sa.String(length=500), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("gone_us", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("merged_into_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_organisation_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_organisation_sort_key"), ["sort_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_organisation_unit_code"), ["unit_code"], unique=False)
        batch_op.create_index(
            "uq_organisation_register_number",
            ["register_number"],
            unique=True,
            sqlite_where=sa.text("gone_us IS NULL"),
            postgresql_where=sa.text("gone_us IS NULL"),
        )

    with op.batch_alter_table("site", schema=None) as batch_op:
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("updated_us", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("search_text", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("sort_key", sa.String(length=500), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("gone_us", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("merged_into_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_site_sort_key"), ["sort_key"], unique=False)


def downgrade() -> None:
    raise RuntimeError("going back is refused: restore the backup made before the upgrade")
