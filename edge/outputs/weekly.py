"""When the weekly test of the outputs is due. Pure.

It follows the wall clock and no memory, so that people know the hour and a restart changes nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WHEN = re.compile(r"(mon|tue|wed|thu|fri|sat|sun) (\d\d):(\d\d)([+-])(\d\d):(\d\d)")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_US_PER_MIN = 60_000_000
_MIN_PER_DAY = 24 * 60
_MIN_PER_WEEK = 7 * _MIN_PER_DAY
#: 1970 began on a Thursday: Monday is this many days into the week that the epoch began.
_EPOCH_DAY = 3
_MAX_OFFSET_MIN = 14 * 60


class Weekly(NamedTuple):
    """A minute of the week, in UTC from Monday 00:00; may be negative."""

    minute: int


def parse_weekly(text: str) -> Weekly | None:
    """``wed 12:00+08:00``; None for the empty text: never. Raises ``ValueError``."""
    if not text:
        return None
    match = _WHEN.fullmatch(text)
    if match is None:
        raise ValueError(f"weekly_test is {text!r}; expected such as 'wed 12:00+08:00', or ''")
    day, hour, minute, sign, offset_h, offset_min = match.groups()
    offset = int(offset_h) * 60 + int(offset_min)
    if int(hour) > 23 or int(minute) > 59 or int(offset_min) > 59 or offset > _MAX_OFFSET_MIN:
        raise ValueError(f"weekly_test is {text!r}; there is no such time")
    local = _DAYS.index(day) * _MIN_PER_DAY + int(hour) * 60 + int(minute)
    return Weekly(local - (offset if sign == "+" else -offset))


def next_weekly_us(text: str, after_us: int) -> int | None:
    """The first test later than ``after_us`` (µs UTC); None: never."""
    weekly = parse_weekly(text)
    if weekly is None:
        return None
    now_min = after_us // _US_PER_MIN + _EPOCH_DAY * _MIN_PER_DAY
    ahead = (weekly.minute - now_min) % _MIN_PER_WEEK or _MIN_PER_WEEK
    return (now_min + ahead - _EPOCH_DAY * _MIN_PER_DAY) * _US_PER_MIN
