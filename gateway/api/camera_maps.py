"""Cameras on a map: those in a rectangle, what one sees, and what an area lacks. GeoJSON, WGS 84."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any, Final, Literal

import msgspec
import shapely
from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field
from shapely.geometry import mapping, shape

from gateway.api.cameras import chosen
from gateway.api.common import ObjectId, UnitCode, Wanted
from gateway.api.records import one
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented, wrong_field
from registry.cameras.life import CameraState
from registry.cameras.models import Camera, CameraModel
from registry.cameras.service import place_of, view_of
from registry.cameras.sight import MAX_RANGE_M, coverage, distances, footprint

router = api_router("/cameras", tags=["cameras"])
_Reader = Annotated[Asker, Depends(need("camera.read", by_object=True))]
GEOJSON: Final = "application/geo+json"
#: Points of one answer: more than a screen can show.
MAX_FEATURES: Final = 5000
#: An area to look into: what one person plans at a time, and what one answer may cost.
MAX_AREA_KM2: Final = 25.0
MAX_AREA_CAMERAS: Final = 1000
_KM_PER_DEG: Final = 111.0
#: Cameras that are there, or will be.
_STANDING: Final[tuple[CameraState, ...]] = ("installed", "inspected", "registered", "active")
_PROPERTIES: Final = ("id", "number", "name", "state", "azimuth_deg", "unit_code", "organisation_id")
Level = Literal["monitor", "detect", "observe", "recognise", "identify"]
Box = Annotated[
    str,
    Query(
        max_length=120,
        pattern=r"^-?[0-9.]+(,-?[0-9.]+){3}$",
        description="west,south,east,north in degrees",
        examples=["106.8,47.85,107.0,47.95"],
    ),
]
_POINTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "a GeoJSON FeatureCollection", "content": {GEOJSON: {}}}
}


class SightOut(BaseModel):
    """What a camera sees, where its place, lens and sensor are known."""

    distances_m: dict[str, float] | None = Field(
        description="how far each level reaches from the lens", examples=[{"detect": 38.4}]
    )
    level: Level
    footprint: dict[str, Any] | None = Field(
        description="the ground it covers at that level, a GeoJSON Polygon; nothing stands in the way"
    )


class AreaIn(Wanted):
    """An area, and which cameras count."""

    area: dict[str, Any] = Field(
        description="a GeoJSON Polygon or MultiPolygon",
        examples=[
            {"type": "Polygon", "coordinates": [[[106.9, 47.9], [106.91, 47.9], [106.91, 47.91]]]}
        ],
    )
    level: Level = "detect"
    states: Annotated[list[CameraState], Field(min_length=1, max_length=7)] = Field(
        default_factory=lambda: list(_STANDING)
    )


class AreaOut(BaseModel):
    """Geometries are GeoJSON; a camera without place, lens or sensor is counted as unknown."""

    cameras: int
    unknown: int
    area_m2: float
    seen_m2: float
    overlap_m2: float
    blind_m2: float
    seen: dict[str, Any]
    overlap: dict[str, Any] = Field(description="seen by two or more")
    blind: dict[str, Any] = Field(description="seen by none")


@router.get(
    "/map", summary="Cameras in a rectangle", response_class=Response,
    responses={**_POINTS, **documented(401, 403, 422)},
)  # fmt: skip
async def map_cameras(
    request: Request,
    asker: _Reader,
    bbox: Box,
    state: CameraState | None = None,
    unit: UnitCode | None = None,
    organisation: ObjectId | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_FEATURES)] = MAX_FEATURES,
) -> Response:
    """As a GeoJSON FeatureCollection; `truncated` says that there are more: look closer."""
    west, south, east, north = box_of(bbox)
    query = chosen(asker, unit=unit, organisation=organisation, state=state).where(
        Camera.lat.between(south, north), Camera.lon.between(west, east)
    )
    columns = [getattr(Camera, name) for name in _PROPERTIES]
    points = query.with_only_columns(Camera.lon, Camera.lat, *columns).limit(limit + 1)
    async with rooms(request).database.read() as session:
        rows = (await session.execute(points)).all()
    features = [
        {
            "type": "Feature",
            "id": row[2],
            "geometry": {"type": "Point", "coordinates": row[:2]},
            "properties": dict(zip(_PROPERTIES, row[2:], strict=True)),
        }
        for row in rows[:limit]
    ]
    found = {
        "type": "FeatureCollection", "truncated": len(rows) > limit, "features": features,
    }  # fmt: skip
    return Response(msgspec.json.encode(found), media_type=GEOJSON)


def box_of(text: str) -> tuple[float, float, float, float]:
    """west, south, east, north. Raises ``ProblemError``."""
    try:
        west, south, east, north = map(float, text.split(","))
        if west <= east and south <= north and abs(south) <= 90 >= abs(north):
            return west, south, east, north
    except ValueError:
        pass
    raise wrong_field("query.bbox", "expected west,south,east,north in degrees")


@router.get(
    "/{camera_id}/sight", response_model=SightOut, summary="What a camera sees",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_sight(
    camera_id: ObjectId, request: Request, asker: _Reader, level: Level = "detect"
) -> SightOut:
    """Distances of EN 62676-4's levels and the ground it covers; null where something is not known."""
    async with rooms(request).database.read() as session:
        camera = await one(session, Camera, camera_id)
        allow(asker, "camera.read", place_of(camera))
        model = await session.get(CameraModel, camera.model_id) if camera.model_id else None
    hfov = camera.hfov_deg or (model.hfov_max_deg if model else None)
    reach = None
    if model is not None and model.sensor_width_px is not None and hfov is not None:
        reach = {
            name: round(metres, 2) for name, metres in distances(model.sensor_width_px, hfov).items()
        }
    view = view_of(camera, model)
    ground = footprint(view, level) if view is not None else None
    return SightOut(
        distances_m=reach, level=level, footprint=None if ground is None else dict(mapping(ground))
    )


@router.post(
    "/coverage", response_model=AreaOut, summary="Overlap and blind spots of an area",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def post_coverage(body: AreaIn, request: Request, asker: _Reader) -> AreaOut:
    """What the cameras see of it at a level; walls and hills are not known here."""
    area = area_of(body.area)
    west, south, east, north = area.bounds
    high = MAX_RANGE_M / 1000 / _KM_PER_DEG
    wide = high / max(math.cos(math.radians(south)), 0.01)
    query = (
        chosen(asker)
        .outerjoin(CameraModel, Camera.model_id == CameraModel.id)
        .add_columns(CameraModel)
        .where(
            Camera.state.in_(body.states),
            Camera.lat.between(south - high, north + high),
            Camera.lon.between(west - wide, east + wide),
        )
        .limit(MAX_AREA_CAMERAS + 1)
    )
    async with rooms(request).database.read() as session:
        rows = (await session.execute(query)).all()
    if len(rows) > MAX_AREA_CAMERAS:
        raise wrong_field("body.area", f"expected an area with at most {MAX_AREA_CAMERAS} cameras")
    views = [view_of(camera, model) for camera, model in rows]
    known = [view for view in views if view is not None]

    def look() -> Any:
        grounds = [footprint(view, body.level) for view in known]
        return coverage(area, [ground for ground in grounds if ground is not None])

    found = await asyncio.to_thread(look)
    return AreaOut(cameras=len(rows), unknown=len(rows) - len(known), **vars(found))


def area_of(geometry: dict[str, Any]) -> Any:
    """The area to look into. Raises ``ProblemError``."""
    expected = f"expected a GeoJSON Polygon or MultiPolygon of at most {MAX_AREA_KM2:g} km²"
    try:
        area = shape(geometry)
        fits = area.geom_type in ("Polygon", "MultiPolygon") and area.is_valid and not area.is_empty
        west, south, east, north = area.bounds
        inside = fits and -180 <= west <= east <= 180 and -85 <= south <= north <= 85
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, shapely.errors.ShapelyError):
        raise wrong_field("body.area", expected) from None
    squeeze = math.cos(math.radians(south)) if inside else 0.0
    if not inside or area.area * _KM_PER_DEG**2 * squeeze > MAX_AREA_KM2:
        raise wrong_field("body.area", expected)
    return area
