"""The newest reading of each detector, in memory: what the database is still to be told.

Columns by detector number, so that a frame is taken over by a few operations on arrays and a detector
that reports ten times between two flushes is written once. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from edge.wire.units import QUANTITY_NAMES
from gateway.ingest.latest import LatestRow, newest_rows
from gateway.stores.base import I64, FrameColumns

#: Detectors remembered between flushes: about 350 bytes each. Beyond it the board begins anew once
#: everything on it is written.
MAX_DETECTORS = 500_000
_FIRST_SIZE = 1024


class LatestBoard:
    """Newest readings, and which of them are not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._names: list[tuple[str, str]] = []
        self._times: I64 = np.zeros(_FIRST_SIZE, np.int64)
        self._flags = np.zeros(_FIRST_SIZE, np.uint32)
        self._values = np.full((_FIRST_SIZE, len(QUANTITY_NAMES)), np.nan)
        self._owed = np.zeros(_FIRST_SIZE, np.bool_)

    @property
    def owed(self) -> int:
        """How many detectors' newest readings are not written."""
        return int(np.count_nonzero(self._owed))

    def add(self, frames: Sequence[FrameColumns]) -> None:
        """Take over what is newer than what is known."""
        with self._lock:
            for frame in frames:
                self._add(frame)

    def _add(self, frame: FrameColumns) -> None:
        rows = newest_rows(frame)
        who = self._numbers_of(frame)[frame.index[rows]]
        newer = frame.times[rows] >= self._times[who]
        who, rows = who[newer], rows[newer]
        self._times[who] = frame.times[rows]
        self._flags[who] = frame.flags[rows]
        for number in range(len(QUANTITY_NAMES)):
            column = frame.columns.get(number)
            self._values[who, number] = np.nan if column is None else column[rows]
        self._owed[who] = True

    def _numbers_of(self, frame: FrameColumns) -> I64:
        known = self._numbers.setdefault(frame.site, {})
        try:
            return np.array([known[name] for name in frame.detectors], np.int64)
        except KeyError:
            for name in frame.detectors:
                if name not in known:
                    known[name] = len(self._names)
                    self._names.append((name, frame.site))
            self._grow(len(self._names))
            return np.array([known[name] for name in frame.detectors], np.int64)

    def _grow(self, wanted: int) -> None:
        size = len(self._times)
        if wanted <= size:
            return
        more = max(size, wanted - size)
        self._times = np.concatenate([self._times, np.zeros(more, np.int64)])
        self._flags = np.concatenate([self._flags, np.zeros(more, np.uint32)])
        self._values = np.concatenate([self._values, np.full((more, len(QUANTITY_NAMES)), np.nan)])
        self._owed = np.concatenate([self._owed, np.zeros(more, np.bool_)])

    def due(self) -> I64:
        """The numbers of what is not written."""
        with self._lock:
            return np.flatnonzero(self._owed)

    def take(self, numbers: I64) -> list[LatestRow]:
        """Their rows as they are now, in order of id; they count as written until given back."""
        with self._lock:
            self._owed[numbers] = False
            flags = self._flags[numbers].astype(np.int64)
            values = self._values[numbers]
            rows = [
                (*self._names[number], time_us, low, high, *stated)
                for number, time_us, low, high, stated in zip(
                    numbers.tolist(),
                    self._times[numbers].tolist(),
                    (flags & 0xFFFF).tolist(),
                    (flags >> 16).tolist(),
                    np.where(np.isnan(values), None, values).tolist(),  # type: ignore[call-overload]
                    strict=True,
                )
            ]
        return sorted(rows)

    def give_back(self, numbers: I64) -> None:
        """Their writing failed."""
        with self._lock:
            self._owed[numbers] = True

    def tidy(self) -> None:
        """Forget everything if it is too much and all of it is written."""
        with self._lock:
            if len(self._names) > MAX_DETECTORS and not self._owed.any():
                self._begin()
