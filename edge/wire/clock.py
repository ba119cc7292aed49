"""Time: aware UTC, one injectable clock, wall and monotonic.

Every process reads its time from a ``Clock``. ``SystemClock`` is the machine's. ``ScaledClock`` runs
faster from an anchor, so that a recording of hours is replayed in seconds by several processes that
agree on the time; network deadlines stay real because asyncio keeps its own.

``UTAA_CLOCK="REAL,SIMULATED,FACTOR"`` (two Unix times in seconds and a factor) gives a process a
scaled clock; unset gives the machine's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

US_PER_S = 1_000_000

#: Before this nobody ran this software: a device that says so has no clock. 2020-01-01T00:00:00Z.
EARLIEST_US = 1_577_836_800 * US_PER_S
#: A device may run ahead of us by this much before we stop believing it.
FUTURE_SLACK_US = 24 * 3600 * US_PER_S


class Clock(Protocol):
    """Wall time and monotonic time. Both advance together."""

    @property
    def factor(self) -> float:
        """Simulated seconds per real second; 1 for a clock that is not scaled."""
        ...

    def now_us(self) -> int:
        """Wall time, µs since 1970-01-01T00:00:00Z."""
        ...

    def monotonic_us(self) -> int:
        """µs since an arbitrary moment of this boot; never goes back."""
        ...


class SystemClock:
    """The machine's own clock."""

    factor = 1.0

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000


@dataclass(frozen=True)
class ScaledClock:
    """Simulated time: ``simulated_s`` at real time ``real_s``, then ``factor`` times as fast."""

    real_s: float
    simulated_s: float
    factor: float

    def now_us(self) -> int:
        elapsed_ns = time.time_ns() - int(self.real_s * 1e9)
        return int(self.simulated_s * US_PER_S) + int(elapsed_ns * self.factor) // 1000

    def monotonic_us(self) -> int:
        return int(time.monotonic_ns() * self.factor) // 1000

    def as_text(self) -> str:
        """The value of ``UTAA_CLOCK`` that gives another process this same clock."""
        return f"{self.real_s!r},{self.simulated_s!r},{self.factor!r}"


class ManualClock:
    """A clock that moves when told to; for pure decisions and tests."""

    factor = 1.0

    def __init__(self, now_us: int = EARLIEST_US) -> None:
        self._now_us = now_us
        self._monotonic_us = 0

    def now_us(self) -> int:
        return self._now_us

    def monotonic_us(self) -> int:
        return self._monotonic_us

    def advance(self, delta: timedelta) -> None:
        """Let wall and monotonic time pass together."""
        step = delta // timedelta(microseconds=1)
        self._now_us += step
        self._monotonic_us += step

    def set_wall(self, now_us: int) -> None:
        """Step the wall clock alone, as a time server does."""
        self._now_us = now_us


def clock_from_text(text: str | None) -> Clock:
    """The clock that ``UTAA_CLOCK`` describes. Raises ``ValueError`` that says what was expected."""
    if not text:
        return SystemClock()
    parts = text.split(",")
    try:
        real_s, simulated_s, factor = (float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"UTAA_CLOCK is {text!r}; expected three numbers REAL,SIMULATED,FACTOR"
        ) from None
    if not factor > 0:
        raise ValueError(f"UTAA_CLOCK has the factor {factor}; expected a number above 0")
    return ScaledClock(real_s, simulated_s, factor)


def us_from_datetime(moment: datetime) -> int:
    """µs since 1970 UTC. A naive datetime is refused with ``ValueError``."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment!r}; expected an aware datetime")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def datetime_from_us(time_us: int) -> datetime:
    """The aware UTC datetime of µs since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def rfc3339(time_us: int) -> str:
    """``2026-01-31T19:12:00.000000Z``: what people and JSON see."""
    return datetime_from_us(time_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
