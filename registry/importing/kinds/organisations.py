"""Organisations as a clerk's table has them."""

from __future__ import annotations

from typing import Final

from registry.importing.cells import choice, code, latitude, longitude, text
from registry.importing.fields import Field
from registry.importing.kinds.base import Kind, Known, Reference, Unique
from registry.importing.parse import Parsed, Row
from registry.models import Organisation
from registry.organisations import CONTACT

KIND_WORDS: Final = {
    "city": ("нийслэл", "city"), "district": ("дүүрэг", "district"), "khoroo": ("хороо", "khoroo"),
    "aimag": ("аймаг", "aimag"), "soum": ("сум", "soum"),
    "school": ("сургууль", "school"), "kindergarten": ("цэцэрлэг", "kindergarten"),
    "hospital": ("эмнэлэг", "hospital"), "police": ("цагдаа", "police"),
    "emergency": ("онцгой байдал", "emergency"),
    "utility": ("нийтийн үйлчилгээ", "utility"),
    "contractor": ("гүйцэтгэгч", "contractor"), "company": ("компани", "company"),
    "other": ("бусад", "other"),
}  # fmt: skip


def _check(parsed: Parsed, row: Row, known: Known) -> None:
    parent = row.values.get("parent_id")
    if parent is not None and parent == known.find("organisation", row.values.get("name", "")):
        parsed.problem(row, "parent", "parent_itself")


ORGANISATIONS: Final = Kind(
    name="organisations",
    table=Organisation,
    action="organisation.write",
    key=("name",),
    key_field="name",
    label="name",
    alike=True,
    references=(
        Reference("parent", "parent_id", "organisation", "parent_unknown"),
        Reference("unit_code", "unit_code", "unit", "unit_unknown"),
    ),
    uniques=(Unique("register_number", ("register_number",)),),
    check=_check,
    sealed={"contact": CONTACT},
    defaults=lambda values, known: {"created_us": known.now_us},
    fields=(
        Field("name", ("Нэр", "Name", "Байгууллага", "Байгууллагын нэр", "Organisation"), text(300),
              required=True),
        Field("short_name", ("Товч нэр", "Short name", "Товчлол"), text(50)),
        Field("kind", ("Төрөл", "Kind", "Type"), choice(KIND_WORDS)),
        Field("register_number", ("Регистр", "Register number", "Регистрийн дугаар", "РД"),
              code(r"\d{7}", "2075377", 20)),
        Field("parent", ("Харьяалал", "Parent", "Дээд байгууллага"), text(300)),
        Field("unit_code", ("Дүүрэг, хороо", "Unit", "Хороо", "Дүүрэг", "Unit code"), text(100)),
        Field("lat", ("Өргөрөг", "Latitude", "lat"), latitude),
        Field("lon", ("Уртраг", "Longitude", "lon"), longitude),
        Field("contact", ("Холбоо барих", "Contact", "Утас"), text(500), personal=True),
        Field("note", ("Тэмдэглэл", "Note", "Тайлбар"), text(1000)),
    ),
)  # fmt: skip
