"""Rooms that die are started again; one that dies at once again and again is given up.

``Tries`` decides, ``Keeper`` does: brokers, reading store and the other rooms go on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from utaa.onebox import OneBox
from utaa.ports import ServerError

#: A room that lived shorter than this died of its start: the same will happen again.
QUICK_S = 20.0
#: So many quick deaths in a row are no accident.
MAX_QUICK_DEATHS = 5
#: The pause before the first start anew; it doubles with every quick death, to at most the last.
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 30.0


@dataclass
class Tries:
    """One room's luck."""

    started_s: float
    quick_deaths: int = 0
    again_s: float | None = None

    def died(self, now_s: float) -> float | None:
        """The pause before it is started again; None: it is given up."""
        quick = now_s - self.started_s < QUICK_S
        self.quick_deaths = self.quick_deaths + 1 if quick else 0
        if self.quick_deaths >= MAX_QUICK_DEATHS:
            return None
        pause_s: float = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** max(0, self.quick_deaths - 1))
        self.again_s = now_s + pause_s
        return pause_s

    def is_due(self, now_s: float) -> bool:
        """Whether the pause is over."""
        return self.again_s is not None and now_s >= self.again_s

    def started(self, now_s: float) -> None:
        """It runs again."""
        self.started_s, self.again_s = now_s, None


class Keeper:
    """Call ``look`` now and then."""

    def __init__(
        self, box: OneBox, say: Callable[[str], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._box = box
        self._say = say
        self._now_s = now_s
        self._tries = {name: Tries(now_s()) for name in box.rooms}

    def look(self) -> None:
        """Start again what died and has waited. Raises ``ServerError`` for a room given up."""
        now_s = self._now_s()
        for name, tries in self._tries.items():
            child = self._box.rooms[name]
            if child.alive:
                continue
            if tries.again_s is None:
                self._mourn(name, tries, now_s)
            elif tries.is_due(now_s):
                self._box.restart_room(name)
                tries.started(now_s)

    def _mourn(self, name: str, tries: Tries, now_s: float) -> None:
        child = self._box.rooms[name]
        pause_s = tries.died(now_s)
        if pause_s is None:
            raise ServerError(
                f"{name} ended {tries.quick_deaths} times at once:"
                f" {child.last_word()} (see {child.log})"
            )
        self._say(
            f"{name} ended with code {child.returncode} ({child.last_word()}); again in {pause_s:g} s"
        )
