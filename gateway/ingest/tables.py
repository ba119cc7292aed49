"""What is known about a whole table of detectors, so that no frame is looked at detector by detector.

Frames with the same table share one list (``edge.wire.frames``): the list itself is the key here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

#: Detectors in remembered tables: twice the capital's. Beyond it all is forgotten and found anew.
_MAX_DETECTORS = 500_000

_T = TypeVar("_T")


class PerTable(Generic[_T]):
    """One thing about each table, by the table's identity; the tables are kept for that."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Sequence[str], _T]] = {}
        self._detectors = 0

    def get(self, table: Sequence[str]) -> _T | None:
        """What was put; None if nothing was or it is forgotten."""
        known = self._known.get(id(table))
        return None if known is None else known[1]

    def put(self, table: Sequence[str], about: _T) -> None:
        if self._detectors > _MAX_DETECTORS:
            self.clear()
        if id(table) not in self._known:
            self._detectors += len(table)
        self._known[id(table)] = (table, about)

    def clear(self) -> None:
        self._known, self._detectors = {}, 0
