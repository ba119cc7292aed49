"""The snapshot of active alarms in parts: cutting it, and what of it is to be sent next. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from edge.link.window import Window
from edge.spool.rows import RANK_OF_CLASS
from edge.wire.identity import new_id
from edge.wire.messages import SNAPSHOT_PART_ALARMS, Alarm, Snapshot

#: Parts under way at once, at most: what an alarm may find before it in the city's transaction.
PARTS_WINDOW = 4


def in_parts(snapshot: Snapshot, size: int = SNAPSHOT_PART_ALARMS) -> list[Snapshot]:
    """The snapshot as messages of at most so many alarms: highest class first, then newest raise."""
    active = sorted(snapshot.active, key=_urgency)
    cuts = [active[at : at + size] for at in range(0, len(active), size)] or [[]]
    return [
        replace(
            snapshot,
            nonce=new_id(),
            active=alarms,
            age_ms={one.id: snapshot.age_ms[one.id] for one in alarms if one.id in snapshot.age_ms},
            part=number,
            parts=len(cuts),
        )
        for number, alarms in enumerate(cuts, 1)
    ]


def _urgency(alarm: Alarm) -> tuple[int, int, str]:
    return RANK_OF_CLASS[alarm.alarm_class], -alarm.raised_us, alarm.id


class Listing:
    """One snapshot on its way: the last part goes when all the others are answered."""

    def __init__(self, snapshot: Snapshot, window: Window) -> None:
        self._parts = {part.part: part for part in in_parts(snapshot)}
        self._number_of = {part.nonce: part.part for part in self._parts.values()}
        self._window = window
        self._window.clear()
        self._answered: set[int] = set()
        self._moved = False
        self.last_seq = snapshot.last_seq

    @property
    def is_begun(self) -> bool:
        """The city has the first part, which holds the worst."""
        return 1 in self._answered

    @property
    def is_done(self) -> bool:
        return len(self._answered) == len(self._parts)

    def next_due_s(self) -> float | None:
        """When something has waited too long for its answer."""
        return self._window.next_due_s()

    def is_stuck(self, now_s: float) -> bool:
        """Whether a part expired and no other was answered since the last time: better take a new
        snapshot than repeat an old one."""
        late = self._window.expire(now_s)
        moved, self._moved = self._moved, self._moved and not late
        return bool(late) and not moved

    def due(self, store: str | None) -> Snapshot | None:
        """The next part to be sent, if one may go now. ``store``: whose word the answers were."""
        if not self._window.free():
            return None
        waiting = [
            number
            for number in self._parts
            if number not in self._answered and number not in self._window.under_way
        ]
        last = len(self._parts)
        if not waiting or (waiting[0] == last and len(self._answered) < last - 1):
            return None
        part = self._parts[waiting[0]]
        return replace(part, after_store=store) if 1 < last == part.part else part

    def sent(self, part: Snapshot, now_s: float) -> None:
        """It was handed to the connection."""
        self._window.sent(part.part, now_s)

    def answered(self, nonces: Iterable[str], now_s: float) -> None:
        """The city has these parts."""
        for nonce in nonces:
            number = self._number_of.get(nonce)
            if number is not None:
                self._window.settle([(number, number)], now_s)
                self._answered.add(number)
                self._moved = True
