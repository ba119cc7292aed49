"""A recording through the alarms, offline: readings in order, with ticks wherever one was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.alarms.decide import step
from edge.alarms.settings import Settings
from edge.alarms.state import State, initial
from edge.alarms.types import Change, Tick
from edge.wire.readings import Reading

_TICK = Tick()


class Replay:
    """One detector's recording as it is decided. Feed it readings; ``wake`` lets time pass."""

    def __init__(self, settings: Settings, start_us: int) -> None:
        self.state: State = initial(settings, start_us)
        self._wake_us: int | None = None

    def wake(self, until_us: int) -> Iterator[Change]:
        """Every tick that is due up to ``until_us``."""
        while self._wake_us is not None and self._wake_us <= until_us:
            self.state, changes, self._wake_us = step(self.state, _TICK, self._wake_us)
            yield from changes

    def hear(self, reading: Reading) -> Iterator[Change]:
        """The reading at its own time, and the ticks before it."""
        yield from self.wake(reading.time_us - 1)
        self.state, changes, self._wake_us = step(self.state, reading, reading.time_us)
        yield from changes


def replay(settings: Settings, readings: Iterable[Reading], *, tail_us: int = 0) -> Iterator[Change]:
    """All changes of one detector's readings, in order; time goes on for ``tail_us`` after the last."""
    run: Replay | None = None
    last_us = 0
    for reading in readings:
        if run is None:
            run = Replay(settings, reading.time_us)
        yield from run.hear(reading)
        last_us = reading.time_us
    if run is not None and tail_us:
        yield from run.wake(last_us + tail_us)
