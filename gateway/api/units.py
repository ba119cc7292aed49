"""Administrative units: open facts, valid from day to day, and their outlines."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import msgspec
from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from gateway.api.common import Latitude, Longitude, UnitCode
from gateway.api.router import api_router
from gateway.door import need, rooms
from gateway.problems import documented
from registry.acts import day_of
from registry.boundaries import shipped_units, suggest_units, units_on
from registry.models import AdministrativeUnit, UnitBoundary
from registry.sites import NoSuch

router = api_router("/units", tags=["units"])
_GEOJSON: Final = "application/geo+json"
_OUTLINE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "a GeoJSON Feature with its `attribution`", "content": {_GEOJSON: {}}}
}


class UnitOut(BaseModel):
    """The capital, an aimag, a district, a soum or a khoroo."""

    code: str
    parent: str | None
    kind: str
    name_mn: str
    name_en: str
    lat: float | None
    lon: float | None
    khoroo_count: int | None = None
    valid_from: date
    valid_until: date | None = Field(description="the first day it no longer holds")
    source: str = Field(description="who says so; shown wherever it is")


class UnitsOut(BaseModel):
    """Units in the order of the statistics office."""

    items: list[UnitOut]


class SuggestedOut(BaseModel):
    """A unit whose outline holds the point."""

    code: str
    attribution: str


class SuggestionsOut(BaseModel):
    """The smallest first; empty where no outline was imported that holds the point."""

    items: list[SuggestedOut]


def _out(unit: AdministrativeUnit) -> UnitOut:
    names = [name for name in UnitOut.model_fields if name != "parent"]
    return UnitOut(parent=unit.parent_code, **{name: getattr(unit, name) for name in names})


@router.get(
    "", response_model=UnitsOut, summary="List administrative units", responses=documented(422),
    dependencies=[Depends(need("unit.read"))],
)  # fmt: skip
async def list_units(
    request: Request, parent: UnitCode | None = None, on: date | None = None
) -> UnitsOut:
    """All of them, or those directly below `parent`, as they were `on` a day (unset: today)."""
    city = rooms(request)
    day = on or day_of(city.clock.now_us())
    async with city.database.read() as session:
        found = list(await units_on(session, day, parent))
        known = bool(found) or bool(await units_on(session, date.max))
    if not known:  # a database that was not prepared yet
        found = [unit for unit in shipped_units() if parent in (None, unit.parent_code)]
    return UnitsOut(items=[_out(unit) for unit in found])


@router.get(
    "/suggest", response_model=SuggestionsOut, summary="Units that hold a point",
    responses=documented(422), dependencies=[Depends(need("unit.read"))],
)  # fmt: skip
async def suggest(request: Request, lat: Latitude, lon: Longitude) -> SuggestionsOut:
    """By the imported outlines: for a form to propose, for a person to confirm."""
    async with rooms(request).database.read() as session:
        found = await suggest_units(session, lat, lon)
    return SuggestionsOut(
        items=[SuggestedOut(code=row.code, attribution=row.attribution) for row in found]
    )


@router.get(
    "/{code}/boundary", summary="A unit's outline", response_class=Response,
    responses={**_OUTLINE, **documented(404, 422)}, dependencies=[Depends(need("unit.read"))],
)  # fmt: skip
async def get_boundary(code: UnitCode, request: Request) -> Response:
    """For orientation, never for legal use; its attribution must be shown with it."""
    async with rooms(request).database.read() as session:
        found = await session.get(UnitBoundary, code)
    if found is None:
        raise NoSuch("boundary", code)
    feature = {
        "type": "Feature",
        "id": code,
        "attribution": found.attribution,
        "properties": {"code": code, "attribution": found.attribution},
        "geometry": found.geometry,
    }
    return Response(msgspec.json.encode(feature), media_type=_GEOJSON)
