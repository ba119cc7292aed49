"""What a camera sees: distances by pixel density (DORI) and the ground it covers; pure.

Densities: EN 62676-4's levels in pixels per metre. Angles in degrees, lengths in metres, places in
WGS 84. The ground is flat and nothing stands in the way: a plan, not a promise. Everything is laid out
around the camera itself (distance and direction along the ellipsoid), because a fixed zone of a map
projection ends within the city.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import shapely
from pyproj import Geod, Transformer
from shapely import MultiPolygon, Polygon
from shapely.geometry import mapping

#: Pixels per metre at which one can do what the level says.
LEVELS: Final = {
    "monitor": 12.5,
    "detect": 25.0,
    "observe": 62.5,
    "recognise": 125.0,
    "identify": 250.0,
}
_GEOD: Final = Geod(ellps="WGS84")
#: From here on a lens no longer draws straight lines: pixels are shared out by angle.
_FISHEYE_DEG: Final = 180.0
#: Corners along the near and the far edge of a footprint.
_STEPS: Final = 24
#: A footprint reaches no further: air, lights and buildings end it before.
MAX_RANGE_M: Final = 500.0
_DEFAULT_ASPECT: Final = 9 / 16


@dataclass(frozen=True)
class View:
    """Where a camera hangs and looks. ``tilt_deg`` down from the horizon; None: not known, looks level.

    ``width_px`` and ``height_px`` are the sensor's.
    """

    lat: float
    lon: float
    azimuth_deg: float
    hfov_deg: float
    width_px: int
    height_px: int | None = None
    height_m: float | None = None
    tilt_deg: float | None = None


def distances(width_px: int, hfov_deg: float) -> dict[str, float]:
    """How far each level reaches, in metres from the lens."""
    if hfov_deg >= _FISHEYE_DEG:
        across = math.radians(min(hfov_deg, 360.0))
    else:
        across = 2 * math.tan(math.radians(hfov_deg) / 2)
    return {level: width_px / (density * across) for level, density in LEVELS.items()}


def footprint(view: View, level: str = "detect") -> Polygon | None:
    """The ground the camera covers at a level, as a polygon of lon, lat; None where it reaches none.

    It begins where the lower edge of the picture meets the ground and ends where the level does, or
    where the upper edge meets the ground.
    """
    reach = min(distances(view.width_px, view.hfov_deg)[level], MAX_RANGE_M)
    height = view.height_m or 0.0
    if height >= reach:
        return None
    ground_m = math.sqrt(reach**2 - height**2)
    if view.hfov_deg >= _FISHEYE_DEG or view.tilt_deg is None or height <= 0:
        corners = _sector(view.hfov_deg, ground_m)
    else:
        corners = _trapezoid(view, height, ground_m)
    if len(corners) < 3:
        return None
    placed = _placed(view, corners)
    return None if placed.is_empty else placed


def _sector(hfov_deg: float, range_m: float) -> list[tuple[float, float]]:
    """Corners (right, ahead) in metres of a slice of a disc, or of the whole one."""
    half = math.radians(min(hfov_deg, 360.0) / 2)
    turns = [-half + 2 * half * step / (2 * _STEPS) for step in range(2 * _STEPS + 1)]
    rim = [(range_m * math.sin(turn), range_m * math.cos(turn)) for turn in turns]
    return rim[:-1] if hfov_deg >= 360.0 else [(0.0, 0.0), *rim]


def _trapezoid(view: View, height_m: float, ground_m: float) -> list[tuple[float, float]]:
    """Where the picture's lower and upper edge meet the ground, cut off at ``ground_m``."""
    wide = math.tan(math.radians(view.hfov_deg) / 2)
    aspect = view.height_px / view.width_px if view.height_px else _DEFAULT_ASPECT
    tilt = math.radians(view.tilt_deg or 0.0)
    columns = [wide * (2 * step / _STEPS - 1) for step in range(_STEPS + 1)]
    near = [_meets(across, -wide * aspect, tilt, height_m, ground_m) for across in columns]
    far = [_meets(across, wide * aspect, tilt, height_m, ground_m) for across in columns]
    if all(math.dist(low, high) < 0.01 for low, high in zip(near, far, strict=True)):
        return []  # even the lower edge meets the ground beyond the level's reach
    return [*near, *reversed(far)]


def _meets(
    across: float, up: float, tilt: float, height_m: float, ground_m: float
) -> tuple[float, float]:
    """Where a ray through the picture (``across``, ``up``, 1) meets the ground, at most so far."""
    ahead = math.cos(tilt) + up * math.sin(tilt)
    down = math.sin(tilt) - up * math.cos(tilt)
    flat = math.hypot(across, ahead)
    if down <= 0 or flat * height_m / down > ground_m:
        return across / flat * ground_m, ahead / flat * ground_m
    return across * height_m / down, ahead * height_m / down


def _placed(view: View, corners: Sequence[tuple[float, float]]) -> Polygon:
    lengths = [math.hypot(*corner) for corner in corners]
    turns = [view.azimuth_deg + math.degrees(math.atan2(right, ahead)) for right, ahead in corners]
    count = len(corners)
    lon, lat, _ = _GEOD.fwd([view.lon] * count, [view.lat] * count, turns, lengths)
    polygon = shapely.make_valid(Polygon(zip(lon, lat, strict=True)))
    if isinstance(polygon, Polygon):
        return polygon
    parts = [part for part in shapely.get_parts(polygon) if isinstance(part, Polygon)]
    return max(parts, key=lambda part: part.area, default=Polygon())


@dataclass(frozen=True)
class Coverage:
    """An area: what is seen, what by two or more, what by none; areas in m²."""

    seen: Any
    overlap: Any
    blind: Any
    area_m2: float
    seen_m2: float
    overlap_m2: float
    blind_m2: float


def coverage(area: Polygon | MultiPolygon, footprints: Sequence[Polygon]) -> Coverage:
    """Who sees what of an area, in a projection around its middle."""
    middle = area.centroid
    plane = f"+proj=laea +lat_0={middle.y} +lon_0={middle.x} +ellps=WGS84 +units=m"
    there: Any = Transformer.from_crs("EPSG:4326", plane, always_xy=True).transform
    back: Any = Transformer.from_crs(plane, "EPSG:4326", always_xy=True).transform

    def flat(shape: Any) -> Any:
        return shapely.transform(shape, there, interleaved=False)

    whole = flat(area)
    parts = [shapely.intersection(flat(shape), whole) for shape in footprints]
    parts = [part for part in parts if not part.is_empty]
    seen = shapely.union_all(parts) if parts else Polygon()
    overlap = _overlap(parts)
    blind = whole.difference(seen)

    def geographic(shape: Any) -> Any:
        return mapping(shapely.transform(shape, back, interleaved=False))

    return Coverage(
        geographic(seen), geographic(overlap), geographic(blind),
        whole.area, seen.area, overlap.area, blind.area,
    )  # fmt: skip


def _overlap(parts: Sequence[Any]) -> Any:
    tree = shapely.STRtree(parts)
    left, right = tree.query(parts, predicate="intersects") if parts else ((), ())
    shared = [
        shapely.intersection(parts[one], parts[other])
        for one, other in zip(left, right, strict=True)
        if one < other
    ]
    return shapely.union_all(shared) if shared else Polygon()
