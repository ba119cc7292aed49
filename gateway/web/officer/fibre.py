"""``/fibre``: the plant on the map; a trace, who hangs on something, where a cut is, by a click."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import select

from gateway.api.camera_maps import GEOJSON, box_of
from gateway.api.fibre import compiled
from gateway.api.search import Box
from gateway.door import Asker, need, rooms
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import tiles, view_on
from gateway.web.page import page_of
from registry.fibre import answers
from registry.fibre.models import FibreAnomaly, FibreOutage
from registry.fibre.services import Compiled
from registry.fibre.values import PlantError

router = APIRouter(prefix="/fibre", tags=["pages"], include_in_schema=False, route_class=PageRoute)
_Reader = Annotated[Asker, Depends(need("fibre.read"))]
_Text = Annotated[str | None, Query(max_length=2_000, pattern=r"^[^\x00]+$")]
#: Things on the map at once; closer there are fewer. Lines of a list of trouble.
_DRAWN: Final = 3_000
_LISTED: Final = 100
_WAVELENGTH_NM: Final = 1310


@router.get("")
async def plant_page(
    request: Request, asker: _Reader, end: _Text = None, element: _Text = None, lost: _Text = None
) -> Response:
    """The map; ``end``: a trace from there, ``element``: who hangs on it, ``lost``: the cut."""
    asked: dict[str, Any] = {"trace": None, "impact": None, "causes": None, "problem": ""}
    async with rooms(request).database.read() as session:
        kept = await compiled(request, session)
        wrong = select(FibreAnomaly).where(FibreAnomaly.cleared_us.is_(None)).order_by(FibreAnomaly.at)
        anomalies = list(await session.scalars(wrong.limit(_LISTED)))
        cut = select(FibreOutage).where(FibreOutage.closed_us.is_(None))
        outages = list(await session.scalars(cut.order_by(FibreOutage.opened_us.desc()).limit(_LISTED)))
    try:
        if end:
            asked["trace"] = answers.trace(kept, end.strip(), None, _WAVELENGTH_NM, None)
        if element:
            asked["impact"] = answers.impact(kept, element.split())
        if lost:
            found = await asyncio.to_thread(answers.locate, kept, lost.split())
            asked["causes"] = found["causes"]
    except PlantError as error:
        asked["problem"] = error.reason
    return page_of(
        "officer/fibre.html", request, asker, summary=answers.summary(kept), anomalies=anomalies,
        outages=outages, end=end or "", element=element or "", lost=lost or "", view=_view(kept),
        now_us=rooms(request).clock.now_us(), **asked, **tiles(request),
    )  # fmt: skip


def _view(kept: Compiled) -> str:
    points = [node.point for node in kept.plant.nodes.values()]
    if not points:
        return ""
    lons, lats = [point[0] for point in points], [point[1] for point in points]
    return view_on(min(lons), min(lats), max(lons), max(lats))


@router.get("/map")
async def plant_map(request: Request, _asker: _Reader, bbox: Box) -> Response:
    """Cables and nodes in the rectangle; each leads to who hangs on it."""
    west, south, east, north = box_of(bbox)
    async with rooms(request).database.read() as session:
        kept = await compiled(request, session)
    features: list[dict[str, Any]] = []
    plant = kept.plant
    for cable in plant.cables.values():
        line = [list(point) for point in plant.line_of(cable)]
        if any(west <= lon <= east and south <= lat <= north for lon, lat in line):
            features.append(_feature("LineString", line, f"cable:{cable.id}", cable.id))
    for node in plant.nodes.values():
        lon, lat = node.point
        if west <= lon <= east and south <= lat <= north:
            features.append(_feature("Point", [lon, lat], f"node:{node.id}", node.id))
    found = {
        "type": "FeatureCollection", "truncated": len(features) > _DRAWN,
        "features": features[:_DRAWN],
    }  # fmt: skip
    return Response(msgspec.json.encode(found), media_type=GEOJSON)


def _feature(kind: str, coordinates: list[Any], key: str, title: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"title": title, "address": f"/fibre?element={key}"},
    }
