"""When two records look like one: near (3 m and 15°) and alike (names); pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from rapidfuzz import fuzz

from registry.search.text import folded

#: Two cameras closer than this that look the same way are perhaps one.
NEAR_M: Final = 3.0
NEAR_DEG: Final = 15.0
#: How alike two names must be, of 100.
NAME_ALIKE: Final = 92
_M_PER_DEGREE: Final = 111_320.0
#: A degree of longitude is at least this part of one of latitude, up to 84° north or south.
_NARROWEST: Final = 0.1

Pose = tuple[str, float, float, float | None]


def near_pairs(poses: Iterable[Pose]) -> Iterator[tuple[str, str]]:
    """Pairs of (id, lat, lon, azimuth) within 3 m and 15°; an unknown azimuth agrees with any."""
    cells: dict[tuple[int, int], list[Pose]] = {}
    step = NEAR_M / _M_PER_DEGREE
    # one width for all: were it each place's own, columns would drift apart from row to row
    wide = step / _NARROWEST
    for pose in poses:
        _, lat, lon, _ = pose
        row, column = math.floor(lat / step), math.floor(lon / wide)
        for other_row in (row - 1, row, row + 1):
            for other_column in (column - 1, column, column + 1):
                for other in cells.get((other_row, other_column), ()):
                    if is_near(pose, other):
                        yield other[0], pose[0]
        cells.setdefault((row, column), []).append(pose)


def is_near(first: Pose, second: Pose) -> bool:
    """Whether both stand within 3 m and look the same way within 15°."""
    north_m = (first[1] - second[1]) * _M_PER_DEGREE
    east_m = (first[2] - second[2]) * _M_PER_DEGREE * math.cos(math.radians(first[1]))
    if math.hypot(north_m, east_m) > NEAR_M:
        return False
    if first[3] is None or second[3] is None:
        return True
    apart = abs(first[3] - second[3]) % 360
    return min(apart, 360 - apart) <= NEAR_DEG


def ratio(first: str, second: str) -> float:
    """How alike two names are, of 100; names that differ in a number are two."""
    one, two = folded(first), folded(second)
    if _digits(one) != _digits(two):
        return 0.0
    return max(fuzz.ratio(one, two), fuzz.token_sort_ratio(one, two))


def blocks_of(name: str) -> set[str]:
    """Names that share no block are never compared: the beginnings of their words, and their digits."""
    flat = folded(name)
    digits = _digits(flat)
    return {f"{word[:3]} {digits}" for word in flat.split() if len(word) >= 3 and not word.isdigit()}


def _digits(text: str) -> str:
    return " ".join("".join(c if c.isdigit() else " " for c in text).split())
