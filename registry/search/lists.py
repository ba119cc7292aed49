"""The filters of lists, by name: the same for a page of the API, an export and the console.

``FILTERS`` says which list takes which. A filter is text as it comes from a query or a command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.cameras.life import CameraState
from registry.cameras.models import Camera, CameraModel
from registry.detector_life import DetectorStatus
from registry.models import Detector, Household, Organisation, Site
from registry.organisations import OrganisationKind
from registry.search.find import box_of, in_box, in_polygon, matching, polygon_of

Conditions = list[ColumnElement[bool]]
#: A filter's text is no longer than a polygon's.
MAX_FILTER: Final = 20_000
#: Unit codes are digits: what begins with this one is at most this.
_LAST_OF_UNIT: Final = "99999999"


def in_unit(column: Any, unit: str) -> ColumnElement[bool]:
    """A code that begins with this one. Between two codes: LIKE would use no index."""
    if not (unit.isascii() and unit.isdigit() and 2 <= len(unit) <= 8):
        raise ValueError(f"{unit[:20]!r} is no unit; expected the 2 to 8 digits of its code")
    inside: ColumnElement[bool] = column.between(unit, f"{unit}{_LAST_OF_UNIT}")
    return inside


def _unit_of(table: Any) -> Callable[[str], ColumnElement[bool]]:
    return lambda unit: in_unit(table.unit_code, unit)


def _home_in_unit(unit: str) -> ColumnElement[bool]:
    """A home lies where it says; one that does not say, where its site lies."""
    sites = select(Site.id).where(in_unit(Site.unit_code, unit))
    own = in_unit(Household.unit_code, unit)
    return or_(own, and_(Household.unit_code.is_(None), Household.site_id.in_(sites)))


def _is(column: Any) -> Callable[[str], ColumnElement[bool]]:
    return lambda value: column == value


def _one_of(column: Any, words: tuple[str, ...]) -> Callable[[str], ColumnElement[bool]]:
    def condition(value: str) -> ColumnElement[bool]:
        if value not in words:
            raise ValueError(f"{value[:40]!r}; expected one of {', '.join(words)}")
        found: ColumnElement[bool] = column == value
        return found

    return condition


def begins(column: Any) -> Callable[[str], ColumnElement[bool]]:
    """A text that begins so; the first condition is for the index."""

    def condition(value: str) -> ColumnElement[bool]:
        found: ColumnElement[bool] = and_(column >= value, column.startswith(value, autoescape=True))
        return found

    return condition


#: Filters that ask one column, by list.
_COLUMNS: Final[dict[str, dict[str, Callable[[str], ColumnElement[bool]]]]] = {
    "cameras": {
        "unit": _unit_of(Camera), "organisation": _is(Camera.organisation_id),
        "state": _one_of(Camera.state, get_args(CameraState)), "model": _is(Camera.model_id),
        "number": begins(Camera.number),
    },
    "camera-models": {"maker": _is(CameraModel.maker)},
    "organisations": {
        "unit": _unit_of(Organisation),
        "kind": _one_of(Organisation.kind, get_args(OrganisationKind)),
        "parent": _is(Organisation.parent_id),
    },
    "households": {
        "site": _is(Household.site_id), "unit": _home_in_unit, "label": begins(Household.label),
    },
    "detectors": {
        "status": _one_of(Detector.status, get_args(DetectorStatus)), "site": _is(Detector.site_id),
        "source": _is(Detector.source), "address": _is(Detector.address),
        "household": _is(Detector.household_id),
    },
}  # fmt: skip
_TABLES: Final[dict[str, Any]] = {
    "cameras": Camera, "camera-models": CameraModel, "organisations": Organisation,
    "households": Household, "detectors": Detector,
}  # fmt: skip
#: Filters that ask the words or the place of a record.
_PLACED: Final = ("bbox", "polygon")
FILTERS: Final[dict[str, tuple[str, ...]]] = {
    name: (*own, "q", *(_PLACED if hasattr(_TABLES[name], "lat") else ()))
    for name, own in _COLUMNS.items()
}


class BadFilter(ValueError):
    """A filter that the list has not, or a value that it cannot be; ``name`` says which."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"filter {name}: {detail}")
        self.name, self.detail = name, detail


async def filtered(session: AsyncSession, listed: str, given: Mapping[str, str]) -> Conditions:
    """The conditions of these filters, to be met all at once. Raises ``BadFilter``."""
    known = FILTERS.get(listed, ())
    conditions: Conditions = []
    for name, value in given.items():
        if name not in known:
            wanted = f"expected one of {', '.join(known)}" if known else "it takes none"
            raise BadFilter(name, f"{listed} has no such filter; {wanted}")
        if "\x00" in value or len(value) > MAX_FILTER:
            raise BadFilter(name, f"expected a text of at most {MAX_FILTER} characters")
        try:
            conditions += await _condition(session, listed, name, value)
        except ValueError as error:
            raise BadFilter(name, str(error)) from None
    return conditions


async def _condition(session: AsyncSession, listed: str, name: str, value: str) -> Conditions:
    table = _TABLES[listed]
    if name == "q":
        return await matching(session, table, value) if value.strip() else []
    if name == "bbox":
        return in_box(table, box_of(value))
    if name == "polygon":
        return await in_polygon(session, table, polygon_of(value))
    return [_COLUMNS[listed][name](value)]
