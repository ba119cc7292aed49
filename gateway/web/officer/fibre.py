"""``/fibre``: the plant on the map; a trace, who hangs on something, where a cut is, by a click."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import or_, select

from gateway.api.camera_maps import GEOJSON, box_of
from gateway.api.fibre import compiled
from gateway.api.search import Box
from gateway.door import Asker, need, rooms
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import address, tiles, view_on
from gateway.web.page import page_of
from registry.cameras.models import Camera
from registry.fibre import answers
from registry.fibre.models import FibreAnomaly, FibreOutage
from registry.fibre.services import Compiled
from registry.fibre.values import PlantError
from registry.models import Site

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
    asked: dict[str, Any] = {"trace": None, "impact": None, "causes": None, "problem": "", "named": {}}
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
            asked["named"] = await _named(request, asked["impact"]["subjects"][:_LISTED])
        if lost:
            found = await asyncio.to_thread(answers.locate, kept, lost.split())
            asked["causes"] = found["causes"]
    except PlantError as error:
        asked["problem"] = error.reason
    return page_of(
        "officer/fibre.html", request, asker, summary=answers.summary(kept), anomalies=anomalies,
        outages=outages, end=end or "", element=element or "", lost=lost or "", view=_view(kept),
        lines=address("/fibre/map", {"end": end, "element": element}),
        now_us=rooms(request).clock.now_us(), **asked, **tiles(request),
    )  # fmt: skip


async def _named(request: Request, subjects: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """What people call cameras and sites that hang on something: key → (name, address of its page)."""
    keys = [one["subject"] for one in subjects]
    ids = {kind: [key.partition(":")[2] for key in keys if key.startswith(f"{kind}:")]
           for kind in ("camera", "site")}  # fmt: skip
    async with rooms(request).database.read() as session:
        cameras = await session.execute(
            select(Camera.id, Camera.number, Camera.name).where(
                or_(Camera.id.in_(ids["camera"]), Camera.number.in_(ids["camera"]))
            )
        )
        sites = await session.execute(select(Site.id, Site.title).where(Site.id.in_(ids["site"])))
    found = {f"site:{row.id}": (row.title or row.id, "") for row in sites}
    for row in cameras:
        called = (f"{row.number} · {row.name}" if row.name else row.number, f"/cameras/{row.id}")
        found |= {f"camera:{row.id}": called, f"camera:{row.number}": called}
    return found


def _view(kept: Compiled) -> str:
    points = [node.point for node in kept.plant.nodes.values()]
    if not points:
        return ""
    lons, lats = [point[0] for point in points], [point[1] for point in points]
    return view_on(min(lons), min(lats), max(lons), max(lats))


@router.get("/map")
async def plant_map(
    request: Request, _asker: _Reader, bbox: Box, end: _Text = None, element: _Text = None
) -> Response:
    """Cables and nodes in the rectangle, what is asked about lit up, and where the ground is cut."""
    west, south, east, north = box_of(bbox)
    async with rooms(request).database.read() as session:
        kept = await compiled(request, session)
        cut = list(
            await session.scalars(select(FibreOutage.cause).where(FibreOutage.closed_us.is_(None)))
        )
    plant, lit = kept.plant, _lit(kept, end, element)
    features: list[dict[str, Any]] = []
    for cable in plant.cables.values():
        line = [list(point) for point in plant.line_of(cable)]
        if any(west <= lon <= east and south <= lat <= north for lon, lat in line):
            key = f"cable:{cable.id}"
            features.append(_feature("LineString", line, key, cable.id, lit=key in lit))
    for node in plant.nodes.values():
        lon, lat = node.point
        if west <= lon <= east and south <= lat <= north:
            key = f"node:{node.id}"
            features.append(_feature("Point", [lon, lat], key, node.id, lit=key in lit))
    found = {
        "type": "FeatureCollection", "truncated": len(features) > _DRAWN,
        "features": [*features[:_DRAWN], *_cuts(kept, cut)],
    }  # fmt: skip
    return Response(msgspec.json.encode(found), media_type=GEOJSON)


def _lit(kept: Compiled, end: str | None, element: str | None) -> set[str]:
    """What a trace passes and what was asked about, as keys of cables and nodes."""
    found = set((element or "").split())
    dug = {key.partition(":")[2] for key in found if key.startswith("trench:")}
    routes = {key for key, route in kept.plant.routes.items() if route.now.trench in dug}
    found |= {f"cable:{each.id}" for each in kept.plant.cables.values() if routes & set(each.routes)}
    try:
        hops = answers.trace(kept, end.strip(), None, _WAVELENGTH_NM, None)["hops"] if end else []
    except PlantError:
        hops = []
    for hop in hops:
        found |= {f"node:{node}" for node in hop["nodes"]}
        if hop["kind"] == "strand":
            found.add(f"cable:{hop['ref'].rpartition('/')[0]}")
    return found


def _cuts(kept: Compiled, causes: list[str]) -> list[dict[str, Any]]:
    """The ground that open cuts name, route by route."""
    named = {key for cause in causes for key in cause.split()}
    return [
        _feature("LineString", [list(point) for point in route.now.line], f"trench:{route.now.trench}",
                 route.now.trench or route.id, cut=True)
        for route in kept.plant.routes.values()
        if {f"trench:{route.now.trench}", f"route:{route.id}"} & named
    ]  # fmt: skip


def _feature(
    kind: str, coordinates: list[Any], key: str, title: str, *, lit: bool = False, cut: bool = False
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"title": title, "address": f"/fibre?element={key}", "lit": lit, "cut": cut},
    }
