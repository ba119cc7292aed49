"""What the maps of the pages are drawn from: the ground (boundaries or centre points) and clusters.

``/map/base`` is the ground: imported boundaries, thinned for a screen, or the shipped centre points
where there are none. ``/map/cameras`` answers for the rectangle on the screen: cameras one by one where
they are few, else clusters on a grid of the zoom, counted by the database: 70,000 cost as much as 70.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import shapely
from fastapi import APIRouter, Depends, Query, Request, Response
from shapely.geometry import mapping, shape
from sqlalchemy import Integer, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.camera_maps import GEOJSON, box_of
from gateway.api.cameras import chosen
from gateway.door import Asker, need, rooms
from gateway.web.kept import kept
from gateway.web.words import ZONE
from registry.boundaries import units_on
from registry.cameras.models import Camera
from registry.models import UnitBoundary

router = APIRouter(prefix="/map", tags=["pages"], include_in_schema=False)
#: Outlines are thinned to this (about 30 m): a phone draws 204 khoroos from some 200 kB.
_THIN_DEG: Final = 0.0003
#: So many cameras are shown one by one; more are shown as clusters.
SINGLES: Final = 300
#: Clusters across the screen; the grid is the same for everybody at a zoom, so it does not jump.
_CELLS_ACROSS: Final = 16
_MAX_ZOOM: Final = 20
#: At this zoom cameras stand apart on any screen.
_SINGLE_ZOOM: Final = 17
#: Up to this zoom clusters are reckoned for the whole city at once and kept so long; closer in, the
#: screen holds few cameras.
_WHOLE_ZOOM: Final = 13
_CLUSTERS_S: Final = 15.0
_FAULTY: Final = ("faulty",)
Box = Annotated[str, Query(max_length=120, pattern=r"^-?[0-9.]+(,-?[0-9.]+){3}$")]


@router.get("/base", response_class=Response)
async def base(request: Request, _asker: Annotated[Asker, Depends(need("unit.read"))]) -> Response:
    """The ground as GeoJSON with its ``attribution``; kept by the browser for an hour."""
    async with rooms(request).database.read() as session:
        drawn = await _boundaries(session) or await _centres(session)
    answer = Response(msgspec.json.encode(drawn), media_type=GEOJSON)
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


@router.get("/cameras", response_class=Response)
async def cameras(
    request: Request,
    asker: Annotated[Asker, Depends(need("camera.read", by_object=True))],
    bbox: Box,
    zoom: Annotated[int, Query(ge=0, le=_MAX_ZOOM)] = 12,
    state: Annotated[str | None, Query(max_length=20)] = None,
    unit: Annotated[str | None, Query(max_length=20)] = None,
    organisation: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Points or clusters in the rectangle. A cluster has ``count`` and ``faulty``."""
    west, south, east, north = box_of(bbox)
    inside = chosen(asker, unit=unit, organisation=organisation, state=state).where(
        Camera.lat.between(south, north), Camera.lon.between(west, east)
    )
    async with rooms(request).database.read() as session:
        few = zoom >= _SINGLE_ZOOM or await _at_most(session, inside, SINGLES)
        limit = SINGLES if few and zoom < _SINGLE_ZOOM else 5000
        if few:
            features = await _singles(session, inside, limit)
        elif zoom <= _WHOLE_ZOOM:
            filters = (unit, organisation, state)
            features = _on_screen(
                await _of_city(request, session, asker, filters, cell_deg(zoom)), box_of(bbox)
            )
        else:
            features = await _clusters(session, inside, cell_deg(zoom))
    found = {"type": "FeatureCollection", "clustered": not few, "features": features}
    return Response(msgspec.json.encode(found), media_type=GEOJSON)


def cell_deg(zoom: int) -> float:
    """The side of a cluster's cell, in degrees of longitude: a screen shows about 360/2^(zoom-2)."""
    across: float = 360.0 / 2 ** max(zoom - 2, 0)
    return across / _CELLS_ACROSS


async def _at_most(session: AsyncSession, inside: Any, count: int) -> bool:
    some = inside.with_only_columns(Camera.id).limit(count + 1).subquery()
    return (await session.scalar(select(func.count()).select_from(some)) or 0) <= count


async def _of_city(
    request: Request, session: AsyncSession, asker: Asker, filters: tuple[str | None, ...], cell: float
) -> list[dict[str, Any]]:
    """The clusters of all that somebody may see, reckoned once for everybody who sees as much."""
    unit, organisation, state = filters
    seen = chosen(asker, unit=unit, organisation=organisation, state=state)
    placed = seen.where(Camera.lat.is_not(None), Camera.lon.is_not(None))
    return await kept(request).get(
        ("clusters", asker.reach, filters, cell), _CLUSTERS_S, lambda: _clusters(session, placed, cell)
    )


def _on_screen(
    features: list[dict[str, Any]], box: tuple[float, float, float, float]
) -> list[dict[str, Any]]:
    west, south, east, north = box
    places = ((one, one["geometry"]["coordinates"]) for one in features)
    return [one for one, (lon, lat) in places if west <= lon <= east and south <= lat <= north]


async def _singles(session: AsyncSession, inside: Any, limit: int) -> list[dict[str, Any]]:
    columns = (Camera.id, Camera.lon, Camera.lat, Camera.number, Camera.name, Camera.state)
    rows = await session.execute(inside.with_only_columns(*columns, Camera.azimuth_deg).limit(limit))
    return [
        _point(
            row.lon, row.lat, id=row.id, title=row.number, text=row.name, state=row.state,
            azimuth_deg=row.azimuth_deg, address=f"/cameras/{row.id}",
        )
        for row in rows
    ]  # fmt: skip


async def _clusters(session: AsyncSession, inside: Any, cell: float) -> list[dict[str, Any]]:
    # places are positive here (north, east); elsewhere the two cells at zero are one, which is no harm
    x, y = cast(Camera.lon / cell, Integer), cast(Camera.lat / cell, Integer)
    faulty = func.sum(case((Camera.state.in_(_FAULTY), 1), else_=0))
    columns = (func.avg(Camera.lon), func.avg(Camera.lat), func.count(), faulty)
    rows = await session.execute(inside.with_only_columns(*columns).group_by(x, y))
    return [_point(lon, lat, count=count, faulty=int(bad)) for lon, lat, count, bad in rows]


def _point(lon: float, lat: float, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [round(lon, 6), round(lat, 6)]},
        "properties": properties,
    }


async def _boundaries(session: AsyncSession) -> dict[str, Any] | None:
    rows = (await session.scalars(select(UnitBoundary).order_by(UnitBoundary.code))).all()
    if not rows:
        return None
    names = {unit.code: unit for unit in await units_on(session, datetime.now(ZONE).date())}
    thin = await asyncio.to_thread(_thinned, [row.geometry for row in rows])
    features = [
        {
            "type": "Feature",
            "geometry": geometry,
            "properties": _named(names.get(row.code), row.code),
        }
        for row, geometry in zip(rows, thin, strict=True)
    ]
    said = sorted({row.attribution for row in rows})
    return {"type": "FeatureCollection", "attribution": "; ".join(said), "features": features}


def _thinned(geometries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    shapes = shapely.simplify([shape(one) for one in geometries], _THIN_DEG)
    rounded = shapely.set_precision(shapes, 0.00001)
    return [mapping(one) for one in rounded]


async def _centres(session: AsyncSession) -> dict[str, Any]:
    units = await units_on(session, datetime.now(ZONE).date())
    features = [
        _point(unit.lon, unit.lat, **_named(unit, unit.code))
        for unit in units
        if unit.kind == "district" and unit.lat is not None and unit.lon is not None
    ]
    return {"type": "FeatureCollection", "attribution": "", "features": features}


def _named(unit: Any, code: str) -> dict[str, Any]:
    if unit is None:
        return {"code": code, "mn": code, "en": code, "kind": ""}
    return {"code": code, "mn": unit.name_mn, "en": unit.name_en, "kind": unit.kind}
