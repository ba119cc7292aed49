"""Administrative units as the database knows them: facts with days of validity, and their outlines.

What ships (``registry/data/units.toml``) is entered when a database is prepared. Outlines come from an
official GeoJSON file by ``utaa registry boundaries import``; they carry the file's attribution, are for
orientation and never for legal use.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import shapely
from shapely.geometry import Point, shape
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import acts
from registry.acts import Act
from registry.models import AdministrativeUnit, UnitBoundary
from registry.units import units

KINDS: Final = ("capital", "aimag", "district", "soum", "khoroo", "bagh")
#: A country's khoroos in fine lines; a larger file is some other thing.
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_FEATURES: Final = 5000
_MAX_CODE: Final = 8
#: Properties that official files call a unit's code by, the statistics office's own first.
_CODES: Final = ("nso_code", "code", "pcode")
_FOLDER_CODE: Final = "MN"


class BoundariesRefused(ValueError):
    """The file cannot be taken; one line: what, where, what was expected."""


@dataclass(frozen=True)
class Outline:
    """A unit in the file."""

    code: str
    parent: str | None
    kind: str
    name_mn: str
    name_en: str
    khoroo_count: int | None
    geometry: Any


@dataclass(frozen=True)
class Boundaries:
    """A whole file, checked."""

    file_name: str
    sha256: str
    attribution: str
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class Taken:
    """What an import did."""

    boundaries: int
    units_new: int
    units_changed: int


def shipped_units() -> list[AdministrativeUnit]:
    """The units that ship, as rows."""
    facts = tomllib.loads(files("registry").joinpath("data/units.toml").read_text(encoding="utf-8"))
    counts = {district["code"]: district["khoroos"] for district in facts["district"]}
    return [
        AdministrativeUnit(
            code=unit.code, valid_from=facts["valid_on"], parent_code=unit.parent, kind=unit.kind,
            name_mn=unit.name_mn, name_en=unit.name_en, lat=unit.lat, lon=unit.lon,
            khoroo_count=counts.get(unit.code), position=position, source=facts["attribution"],
        )
        for position, unit in enumerate(units())
    ]  # fmt: skip


async def enter_shipped_units(session: AsyncSession) -> int:
    """Enter those whose code the database has not; what somebody imported stays. Returns how many."""
    known = set(await session.scalars(select(AdministrativeUnit.code)))
    missing = [unit for unit in shipped_units() if unit.code not in known]
    session.add_all(missing)
    await session.flush()
    return len(missing)


async def units_on(
    session: AsyncSession, day: date, parent: str | None = None
) -> Sequence[AdministrativeUnit]:
    """The units that held on a day, in their order; with ``parent`` those directly below it."""
    query = select(AdministrativeUnit).where(
        AdministrativeUnit.valid_from <= day,
        or_(AdministrativeUnit.valid_until.is_(None), AdministrativeUnit.valid_until > day),
    )
    if parent is not None:
        query = query.where(AdministrativeUnit.parent_code == parent)
    order = (AdministrativeUnit.position, AdministrativeUnit.code)
    return (await session.scalars(query.order_by(*order))).all()


def read_boundaries(path: Path) -> Boundaries:
    """The file, checked whole. Raises ``BoundariesRefused``, ``OSError``."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BoundariesRefused(f"{path.name}: expected at most {MAX_FILE_BYTES >> 20} MiB")
    content = path.read_bytes()
    try:
        found = json.loads(content)
        features = found["features"]
        collection = found["type"] == "FeatureCollection" and isinstance(features, list)
    except (ValueError, KeyError, TypeError, RecursionError):
        collection = False
    if not collection:
        raise BoundariesRefused(f"{path.name}: expected a GeoJSON FeatureCollection")
    attribution = found.get("attribution")
    if not isinstance(attribution, str) or not attribution.strip():
        raise BoundariesRefused(
            f"{path.name}, attribution: expected who made it and under which licence"
        )
    if not 0 < len(features) <= MAX_FEATURES:
        raise BoundariesRefused(f"{path.name}: expected 1 to {MAX_FEATURES} features")
    outlines = tuple(
        _outline(feature, f"{path.name}, feature {number}")
        for number, feature in enumerate(features, 1)
    )
    codes = [outline.code for outline in outlines]
    if twice := next((code for code in codes if codes.count(code) > 1), None):
        raise BoundariesRefused(f"{path.name}: unit {twice} is in it twice")
    digest = hashlib.sha256(content).hexdigest()
    return Boundaries(path.name, digest, attribution.strip()[:500], outlines)


def _outline(feature: Any, where: str) -> Outline:
    try:
        properties = dict(feature["properties"])
        geometry = shape(feature["geometry"])
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError):
        raise BoundariesRefused(f"{where}: expected properties and a geometry") from None
    code = next((str(properties[name]) for name in _CODES if properties.get(name)), "")
    code = code.removeprefix(_FOLDER_CODE)
    if not (code.isascii() and code.isdigit() and 2 <= len(code) <= _MAX_CODE):
        raise BoundariesRefused(f"{where}, nso_code: expected 2 to {_MAX_CODE} digits")
    if geometry.geom_type not in ("Polygon", "MultiPolygon") or not geometry.is_valid:
        raise BoundariesRefused(f"{where}, geometry: expected a valid Polygon or MultiPolygon")
    west, south, east, north = geometry.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise BoundariesRefused(f"{where}, geometry: expected degrees of longitude and latitude")
    kind = properties.get("type", properties.get("kind"))
    if kind not in KINDS:
        raise BoundariesRefused(f"{where}, type: expected one of {', '.join(KINDS)}")
    names = [properties.get(name) for name in ("name_mn", "name_en")]
    if not all(isinstance(name, str) and 0 < len(name) <= 100 for name in names):
        raise BoundariesRefused(f"{where}, name_mn and name_en: expected at most 100 characters")
    parent = properties.get("parent")
    count = properties.get("khoroo_count")
    return Outline(
        code, str(parent).removeprefix(_FOLDER_CODE) if parent else None, kind,
        str(names[0]), str(names[1]), count if isinstance(count, int) else None, geometry,
    )  # fmt: skip


async def import_boundaries(
    session: AsyncSession, act: Act, boundaries: Boundaries, *, valid_from: date
) -> Taken:
    """Take the file: outlines replace older ones; a unit with another name or parent begins anew.

    All inside the caller's transaction, with one entry of the audit.
    """
    known = {row.code: row for row in await units_on(session, date.max)}
    new = changed = 0
    for position, outline in enumerate(boundaries.outlines):
        row = known.get(outline.code)
        if row is None:
            session.add(_unit(outline, boundaries, valid_from, position))
            new += 1
        elif (row.name_mn, row.name_en, row.parent_code or outline.parent) != (
            outline.name_mn, outline.name_en, outline.parent or row.parent_code,
        ):  # fmt: skip
            changed += 1
            await _succeed(session, row, _unit(outline, boundaries, valid_from, row.position))
        await session.merge(_boundary(outline, boundaries, act.now_us))
    await session.flush()
    taken = Taken(len(boundaries.outlines), new, changed)
    facts = {"sha256": boundaries.sha256, "attribution": boundaries.attribution, **vars(taken)}
    await acts.record(session, act, "unit.import", "file", boundaries.file_name, after=facts)
    return taken


async def _succeed(
    session: AsyncSession, row: AdministrativeUnit, successor: AdministrativeUnit
) -> None:
    """The older row ends where the newer begins; one of the same day is corrected instead."""
    if row.valid_from >= successor.valid_from:
        row.name_mn, row.name_en = successor.name_mn, successor.name_en
        row.parent_code, row.source = successor.parent_code, successor.source
        return
    row.valid_until = successor.valid_from
    successor.khoroo_count = successor.khoroo_count or row.khoroo_count
    session.add(successor)


def _unit(
    outline: Outline, boundaries: Boundaries, valid_from: date, position: int
) -> AdministrativeUnit:
    middle = outline.geometry.representative_point()
    return AdministrativeUnit(
        code=outline.code, valid_from=valid_from, parent_code=outline.parent, kind=outline.kind,
        name_mn=outline.name_mn, name_en=outline.name_en, lat=round(middle.y, 4),
        lon=round(middle.x, 4), khoroo_count=outline.khoroo_count, position=position,
        source=boundaries.attribution[:300],
    )  # fmt: skip


def _boundary(outline: Outline, boundaries: Boundaries, now_us: int) -> UnitBoundary:
    west, south, east, north = outline.geometry.bounds
    return UnitBoundary(
        code=outline.code, geometry=json.loads(shapely.to_geojson(outline.geometry)), min_lat=south,
        min_lon=west, max_lat=north, max_lon=east, attribution=boundaries.attribution,
        file_name=boundaries.file_name[:200], file_sha256=boundaries.sha256, imported_us=now_us,
    )  # fmt: skip


async def suggest_units(session: AsyncSession, lat: float, lon: float) -> list[UnitBoundary]:
    """The units whose outline holds the point, the smallest (longest code) first."""
    around = await session.scalars(
        select(UnitBoundary).where(
            UnitBoundary.min_lat <= lat, UnitBoundary.max_lat >= lat,
            UnitBoundary.min_lon <= lon, UnitBoundary.max_lon >= lon,
        )
    )  # fmt: skip
    point = Point(lon, lat)
    holding = [row for row in around if shape(row.geometry).covers(point)]
    return sorted(holding, key=lambda row: (-len(row.code), row.code))
