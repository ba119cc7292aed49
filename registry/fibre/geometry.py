"""Lengths and points of lines of ``(lon, lat)`` on WGS 84."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from pyproj import Geod

Point = tuple[float, float]
Line = Sequence[Point]


@lru_cache
def _earth() -> Geod:
    return Geod(ellps="WGS84")


def line_length_m(line: Line) -> float:
    """Along the line, on the ellipsoid."""
    lons, lats = zip(*line, strict=True)
    return float(_earth().line_length(lons, lats))


def between_m(a: Point, b: Point) -> float:
    """The shortest way between two points, on the ellipsoid."""
    return float(_earth().inv(a[0], a[1], b[0], b[1])[2])


def point_along(line: Line, distance_m: float) -> Point:
    """The point so far along the line; its ends beyond them."""
    left = max(distance_m, 0.0)
    for a, b in pairwise(line):
        piece = between_m(a, b)
        if left <= piece and piece > 0:
            part = left / piece
            return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part)
        left -= piece
    return line[-1]


def check_point(lon: float, lat: float) -> Point:
    """The point. Raises ``ValueError`` for what lies on no map."""
    if not (math.isfinite(lon) and math.isfinite(lat) and -180 <= lon <= 180 and -90 <= lat <= 90):
        raise ValueError(f"({lon}, {lat}): expected a longitude and a latitude in degrees")
    return (lon, lat)
