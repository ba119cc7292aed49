"""The seam between the city and its reading store.

A store takes frames as columns and answers two questions about one detector: its rows in a span of
time, and the minimum, mean, maximum and count of one quantity by steps of time. Latest values are not
its work (they live in the database, ``gateway.ingest.latest``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge.wire.frames import Frame
from edge.wire.units import QUANTITY_NAMES

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]
F64 = npt.NDArray[np.float64]

#: The columns of a result: every quantity of the wire.
FIELDS: tuple[str, ...] = QUANTITY_NAMES
#: One question answers with at most this many rows or steps; the rest is asked for by its cursor.
MAX_ROWS = 10_000


#: How far a store was written, by its parts. Only the store that gave one can read it; it is JSON.
Position = dict[str, int]


class StoreUnavailable(Exception):
    """The store does not take writes or questions now; waiting may help. The text names it."""


class StoreMisconfigured(Exception):
    """The store refuses us for a reason waiting does not mend: rights, a missing database."""


@dataclass(frozen=True, slots=True)
class FrameColumns:
    """A frame whose columns numpy can read; all have the same length, NaN means "not stated"."""

    site: str
    epoch: str
    seq: int
    detectors: Sequence[str]
    index: U16
    times: I64
    flags: U32
    #: by the quantity's place in ``units.QUANTITIES``
    columns: dict[int, F64] = field(default_factory=dict)
    time_error_us: int = 0

    @classmethod
    def of(cls, frame: Frame) -> FrameColumns:
        """The frame's own bytes, seen as columns (no copy)."""
        return cls(
            site=frame.site,
            epoch=frame.epoch,
            seq=frame.seq,
            detectors=frame.detectors,
            index=np.frombuffer(frame.index, "<u2"),
            times=np.frombuffer(frame.times, "<i8"),
            flags=np.frombuffer(frame.flags, "<u4"),
            columns={n: np.frombuffer(raw, "<f8") for n, raw in frame.columns.items()},
            time_error_us=frame.time_error_us,
        )

    @property
    def count(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row the store would never take: set aside by the caller, not retried."""

    site: str
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings of one detector, oldest first. ``next_from_us`` asks for what follows, if any does."""

    times_us: I64
    #: low half set, high half known, as on the wire
    flags: U32
    columns: dict[str, F64]
    next_from_us: int | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """One quantity by steps of time; steps without a value are left out.

    A step begins at a multiple of its length since 1970, so the first may begin before ``from_us``.
    """

    starts_us: I64
    minimum: F64
    mean: F64
    maximum: F64
    count: I64
    next_from_us: int | None = None


class ReadingStore(Protocol):
    """Keeps readings. Spans of time include ``from_us`` and exclude ``to_us``."""

    #: how it is called in messages: ``sqlite …`` or ``influxdb …``, without secrets
    title: str

    async def write(self, frames: Sequence[FrameColumns]) -> list[RefusedRow]:
        """Durable when it returns. Raises ``StoreUnavailable``: nothing of it may be acknowledged."""
        ...

    def position(self) -> Position:
        """How far this process has written; what it writes from now on is newer."""
        ...

    async def end(self) -> Position:
        """How far anybody has written."""
        ...

    def newer_than(self, position: Position) -> AsyncIterator[list[FrameColumns]]:
        """What was written after this position, a part at a time; rows may come that were not.

        Every detector's newest reading of what was written is among it. ``site`` is empty where the
        store does not know it.
        """
        ...

    async def rows(self, detector: str, *, from_us: int, to_us: int, limit: int) -> Rows:
        """At most ``limit`` (and ``MAX_ROWS``) readings."""
        ...

    async def steps(
        self, detector: str, quantity: str, *, from_us: int, to_us: int, step_us: int, limit: int
    ) -> Steps:
        """At most ``limit`` (and ``MAX_ROWS``) steps of ``step_us``."""
        ...

    async def count(self, detector: str | None, *, from_us: int, to_us: int) -> int:
        """How many different (detector, time) it holds; of all detectors for None."""
        ...

    async def drop_before(self, time_us: int) -> int:
        """Retention: drop whole partitions older than this; how many went."""
        ...

    async def check(self) -> None:
        """Raises ``StoreUnavailable`` or ``StoreMisconfigured`` if it cannot take a write now."""
        ...

    async def report(self) -> dict[str, Any]:
        """What ``utaa doctor`` shows of it."""
        ...

    async def close(self) -> None: ...


def empty_rows() -> Rows:
    """No readings."""
    return Rows(np.empty(0, np.int64), np.empty(0, np.uint32), {name: np.empty(0) for name in FIELDS})


def fold_steps(times_us: I64, values: F64, step_us: int, limit: int) -> Steps:
    """Steps from rows in order of time; NaN values are left out. Pure."""
    stated = ~np.isnan(values)
    times_us, values = times_us[stated], values[stated]
    starts, first, counts = np.unique(times_us // step_us, return_index=True, return_counts=True)
    next_from_us = int(starts[limit] * step_us) if len(starts) > limit else None
    if not len(starts):
        nothing = np.empty(0)
        return Steps(starts * step_us, nothing, nothing, nothing, counts)
    sums = np.add.reduceat(values, first)
    return Steps(
        starts_us=(starts * step_us)[:limit],
        minimum=np.minimum.reduceat(values, first)[:limit],
        mean=(sums / counts)[:limit],
        maximum=np.maximum.reduceat(values, first)[:limit],
        count=counts[:limit],
        next_from_us=next_from_us,
    )
