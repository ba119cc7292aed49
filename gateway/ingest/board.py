"""The newest reading of each detector, in memory: what the database is still to be told.

Columns by detector number, so that a frame is taken over by a few operations on arrays and a detector
that reports ten times between two flushes is written once. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import repeat

import numpy as np

from edge.wire.units import QUANTITY_NAMES
from gateway.ingest.latest import LatestRow, newest_rows
from gateway.ingest.tables import PerTable
from gateway.stores.base import F64, I64, FrameColumns

#: Detectors remembered between flushes: about 350 bytes each. Beyond it the board begins anew once
#: everything on it is written.
MAX_DETECTORS = 500_000
_FIRST_SIZE = 1024
_QUANTITIES = range(len(QUANTITY_NAMES))


class LatestBoard:
    """Newest readings, and which of them are not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._names: list[tuple[str, str]] = []
        #: (site, numbers) of a whole table
        self._tables: PerTable[tuple[str, I64]] = PerTable()
        #: quantities that anybody stated: the columns of the others are NaN throughout
        self._stated: set[int] = set()
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
        times = frame.times[rows]
        newer = times >= self._times[who]
        if not np.logical_and.reduce(newer):
            who, rows, times = who[newer], rows[newer], times[newer]
        self._times[who] = times
        self._flags[who] = frame.flags[rows]
        self._stated.update(frame.columns)
        for number in self._stated:
            column = frame.columns.get(number)
            self._values[who, number] = np.nan if column is None else column[rows]
        self._owed[who] = True

    def _numbers_of(self, frame: FrameColumns) -> I64:
        of_table = self._tables.get(frame.detectors)
        if of_table is None or of_table[0] != frame.site:
            of_table = frame.site, self._look_up(frame)
            self._tables.put(frame.detectors, of_table)
        return of_table[1]

    def _look_up(self, frame: FrameColumns) -> I64:
        known = self._numbers.setdefault(frame.site, {})
        try:
            return np.array(list(map(known.__getitem__, frame.detectors)), np.int64)
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
        """Their rows as they are now, in the numbers' order; they count as written until given back.

        Numbers are given frame by frame: neighbours are of one site and lie together in the database.
        """
        with self._lock:
            self._owed[numbers] = False
            names = [self._names[number] for number in numbers.tolist()]
            times, flags = self._times[numbers], self._flags[numbers].astype(np.int64)
            values = {number: self._values[numbers, number] for number in self._stated}
        columns = [_or_none(values[n]) if n in values else repeat(None) for n in _QUANTITIES]
        return [
            (*name, *row)
            for name, row in zip(
                names,
                zip(
                    times.tolist(),
                    (flags & 0xFFFF).tolist(),
                    (flags >> 16).tolist(),
                    *columns,
                    strict=False,  # what nobody stated repeats for ever
                ),
                strict=True,
            )
        ]

    def give_back(self, numbers: I64) -> None:
        """Their writing failed."""
        with self._lock:
            self._owed[numbers] = True

    def tidy(self) -> None:
        """Forget everything if it is too much and all of it is written."""
        with self._lock:
            if len(self._names) > MAX_DETECTORS and not self._owed.any():
                self._begin()


def _or_none(values: F64) -> list[float | None]:
    """NaN ("not stated") becomes None."""
    stated: list[float | None] = values.tolist()
    for row in np.flatnonzero(np.isnan(values)).tolist():
        stated[row] = None
    return stated
