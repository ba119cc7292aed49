"""Every column of the city has a class, every personal one an end or a reason to stay."""

from __future__ import annotations

import alerts.models  # noqa: F401  # its tables belong to the metadata
import gateway.models
import gateway.schema  # noqa: F401
from gateway.personal.rules import RULES
from registry.db import Base
from registry.exporting.opendata import OpenCamera
from registry.exporting.service import columns_of
from registry.importing.kinds import KINDS
from registry.personal.classes import class_of, classes, holding, may_leave, veiled
from registry.personal.rules import STAYS
from registry.sealed import SealedText

#: Open data's own names for columns of cameras.
_OF_CAMERA = {"surveillance_zone": "zone", "camera_mount": "mount", "camera_direction": "azimuth_deg",
              "height": "height_m"}  # fmt: skip


def test_every_column_has_one_class_and_nothing_else_is_listed() -> None:
    tables = {
        table.name: {column.name for column in table.columns} for table in Base.metadata.sorted_tables
    }
    listed = {table: set(columns) for table, columns in classes().items()}
    differing = {name: tables[name] ^ listed.get(name, set()) for name in tables}
    differing = {name: columns for name, columns in differing.items() if columns}
    assert differing == {}, "say in registry/data/classes.toml what it is"
    assert set(listed) == set(tables)


def test_what_is_sealed_is_personal_or_secret() -> None:
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, SealedText):
                assert class_of(table.name, column.name) in ("personal", "secret"), (table.name, column)


def test_everything_personal_goes_after_a_time_or_says_why_it_stays() -> None:
    ruled = {table for rule in RULES for table in rule.tables}
    assert holding("personal") - ruled - set(STAYS) == set()
    assert set(STAYS) <= holding("personal")


def test_no_export_has_a_personal_or_secret_column() -> None:
    for kind in KINDS.values():
        table = kind.table.__tablename__
        column_of = {reference.field: reference.column for reference in kind.references}
        for name in columns_of(kind):
            assert may_leave(table, column_of.get(name, name)), (table, name)
    homes = columns_of(KINDS["households"])
    assert not {"address", "lat", "lon", "contact", "phone", "email"} & set(homes)


def test_open_data_has_open_columns_alone() -> None:
    for name in OpenCamera.__dataclass_fields__:
        if name == "camera_type":
            assert class_of("camera_model", "form") == "open"
        else:
            assert class_of("camera", _OF_CAMERA.get(name, name)) == "open"


def test_a_copy_of_the_audit_masks_what_is_personal() -> None:
    values = {"label": "h-12", "lat": 47.9, "address": None, "version": 2}
    assert veiled("household", values) == {
        "label": "h-12", "lat": "(sealed)", "address": None, "version": 2,
    }  # fmt: skip
