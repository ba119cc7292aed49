"""Households with their people, and detectors, as a clerk's table has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import detector_id
from registry.households import ADDRESS, ChannelEntry, ContactEntry, merge_contacts
from registry.importing.cells import choice, code, email, latitude, longitude, phone, serial, text
from registry.importing.fields import Field
from registry.importing.kinds.base import Kind, Known, Reference
from registry.importing.parse import Parsed, Row
from registry.models import Detector, Household
from registry.sites import touch_site

_LANGUAGE: Final = choice({"mn": ("монгол", "mongolian"), "en": ("англи", "english")})
_PERSON: Final = ("contact", "email", "phone", "contact_language")


def _check_home(parsed: Parsed, row: Row, known: Known) -> None:
    if not row.values.get("contact") and any(row.values.get(name) for name in _PERSON[1:]):
        parsed.problem(row, "contact", "contact_without_name")


def _home_columns(values: dict[str, Any], _known: Known) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in (*_PERSON, "people")}


async def _people(
    session: AsyncSession, known: Known, pairs: Sequence[tuple[Any, dict[str, Any]]]
) -> None:
    """The contacts that the rows name; nobody is removed."""
    for home, values in pairs:
        entries = [
            ContactEntry(
                person["contact"], person.get("contact_language", "mn"),
                tuple(ChannelEntry(channel, person[name]) for name, channel in
                      (("email", "email"), ("phone", "sms")) if person.get(name)),
            )
            for person in values.get("people", [])
        ]  # fmt: skip
        if entries:
            await merge_contacts(session, known.keyring, home.id, entries)
    await touch_site(session, *{home.site_id for home, _ in pairs})


HOUSEHOLDS: Final = Kind(
    name="households",
    table=Household,
    action="household.write",
    key=("label",),
    key_field="label",
    label="label",
    references=(
        Reference("site_id", "site_id", "site", "site_unknown"),
        Reference("unit_code", "unit_code", "unit", "unit_unknown"),
    ),
    check=_check_home,
    sealed={"address": ADDRESS},
    columns=_home_columns,
    after=_people,
    folds=True,
    defaults=lambda values, known: {"created_us": known.now_us, "language": "mn"},
    fields=(
        Field("label", ("Өрх", "Household", "Айл", "Өрхийн дугаар", "Label"), text(100), required=True),
        Field("site_id", ("Цэг", "Site", "Хэсэг"), text(200), required=True),
        Field("unit_code", ("Дүүрэг, хороо", "Unit", "Хороо", "Khoroo", "Unit code"), text(100)),
        Field("address", ("Хаяг", "Address", "Гэрийн хаяг"), text(500), personal=True),
        Field("lat", ("Өргөрөг", "Latitude", "lat"), latitude),
        Field("lon", ("Уртраг", "Longitude", "lon"), longitude),
        Field("language", ("Хэл", "Language"), _LANGUAGE),
        Field("contact", ("Холбоо барих хүн", "Contact", "Хүний нэр", "Contact name"), text(200),
              personal=True),
        Field("contact_language", ("Хүний хэл", "Contact language"), _LANGUAGE),
        Field("email", ("И-мэйл", "E-mail", "Email", "Цахим шуудан"), email, personal=True),
        Field("phone", ("Утас", "Phone", "Утасны дугаар", "Telephone"), phone, personal=True),
    ),
)  # fmt: skip


def _check_detector(parsed: Parsed, row: Row, known: Known) -> None:
    home, site = row.values.get("household_id"), row.values.get("site_id")
    own = known.facts.get("home_site", {}).get(home)
    if home is not None and site is not None and own not in (None, site):
        parsed.problem(row, "household", "other_site", site=own)


async def _tell_sites(
    session: AsyncSession, _known: Known, pairs: Sequence[tuple[Any, dict[str, Any]]]
) -> None:
    await touch_site(session, *{detector.site_id for detector, _ in pairs})


DETECTORS: Final = Kind(
    name="detectors",
    table=Detector,
    action="detector.write",
    key=("site_id", "source", "address"),
    key_field="address",
    label="address",
    references=(
        Reference("site_id", "site_id", "site", "site_unknown"),
        Reference("household", "household_id", "household", "household_unknown"),
        Reference("model", "model_id", "detector_model", "model_unknown"),
    ),
    check=_check_detector,
    after=_tell_sites,
    own_id=lambda values: detector_id(values["site_id"], values["source"], values["address"]),
    defaults=lambda values, known: {
        "status": "in_service", "registered_us": known.now_us, "alarm_settings": {},
    },
    fields=(
        Field("site_id", ("Цэг", "Site", "Хэсэг"), text(200), required=True),
        Field("source", ("Протокол", "Source", "Protocol"), code(r"[a-z0-9_-]{1,40}", "native"),
              required=True),
        Field("address", ("Мэдрэгч", "Detector", "Хаяг", "Address", "Төхөөрөмжийн хаяг"), text(200),
              required=True),
        Field("household", ("Өрх", "Household", "Айл"), text(100)),
        Field("model", ("Загвар", "Model"), text(100)),
        Field("place", ("Байрлал", "Place", "Өрөө", "Room"), text(100)),
        Field("serial", ("Сериал дугаар", "Serial number", "Serial"), serial),
    ),
)  # fmt: skip
