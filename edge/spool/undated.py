"""Readings from before the clock was set: kept by the monotonic clock, dated once, boot by boot.

A boot whose clock was set in the end gives its readings their exact time. A boot that never was has
bounds only: it began after the last moment that was certain and ended before the next one. Its
readings keep their distances, are put in the middle, and their frames say how wrong that may be.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from edge.wire.readings import Reading

#: Readings kept undated at most; above it the oldest go and are counted. At 250/s this is a quarter of
#: an hour, at a home's pace years.
MAX_UNDATED = 200_000


class Offset(NamedTuple):
    """What to add to a monotonic time, and how wrong the sum may be."""

    add_us: int
    error_us: int


def exact(wall_us: int, mono_us: int) -> Offset:
    """For the running boot, now that its clock is set."""
    return Offset(wall_us - mono_us, 0)


def bounded(after_us: int, before_us: int, first_us: int, last_us: int) -> Offset:
    """For a boot that is over: its readings lie, ``last_us - first_us`` long, between two moments."""
    slack_us = max(0, (before_us - after_us) - (last_us - first_us))
    return Offset(after_us + slack_us // 2 - first_us, (slack_us + 1) // 2)


def dated(readings: list[Reading], offset: Offset) -> list[Reading]:
    """The readings at their wall time."""
    return [replace(reading, time_us=max(0, reading.time_us + offset.add_us)) for reading in readings]
