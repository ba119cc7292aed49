"""One device that floods: it is counted, its readings are thinned, and it alone.

A device that says more than ``MOST`` things within ``WINDOW_US`` floods. From then on one reading of it
in ``SLOT_US`` is judged and kept, the others are counted and dropped, with two exceptions that
keep it safe:

- a word of fire, CO or heat that the detector was not in is always heard;
- while the detector is in alarm, a word that is calm waits until the flood is over. So a device that
  says "fire", "calm" a thousand times is one alarm and not a thousand.

A raised alarm counts as many words, so that a device which alternates slowly is found too. The flood is
over after a window with few words; then the last word that was dropped is judged.

What a broker delivers again is nobody's flood. Time is alarm time. A word of a device that does not
flood costs one look into a dictionary.

Cast: ``Floods`` (who floods; pure), ``FloodGate`` (what the core lets through, and the one trouble).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import Final, NamedTuple

from edge.alarms import Change, State
from edge.sources.base import ALARM_FLAGS
from edge.wire.messages import CLASS_OF, AlarmKind
from edge.wire.readings import Flag, Reading

#: The span over which words are counted (µs).
WINDOW_US: Final = 10_000_000
#: Words of one device within it; more is a flood. The busiest honest device (a smoke alarm in test that
#: reports each second on ten topics) says a tenth of it.
MOST: Final = 1000
#: A window with fewer ends a flood: half, so that it does not begin anew at once.
CALM: Final = MOST // 2
#: A raised alarm counts as so many words: a tenth of the bound is ten alarms in ten seconds.
RAISE_WORDS: Final = 100
#: While it floods one reading in this time is judged and kept (µs).
SLOT_US: Final = 100_000


class Ended(NamedTuple):
    """A flood that is over. ``last``: what it said last and was not judged."""

    detector: str
    last: Reading | None


class _Flood:
    __slots__ = ("began_us", "dropped", "last", "passed_us")

    def __init__(self, now_us: int) -> None:
        self.began_us = now_us
        self.passed_us = now_us
        self.dropped = 0
        self.last: Reading | None = None


class Floods:
    """Who floods now (see the module)."""

    def __init__(self) -> None:
        self._words: dict[str, int] = {}
        self._flooding: dict[str, _Flood] = {}
        self._until_us = 0
        #: floods that began and were not fetched yet
        self.begun: list[str] = []

    def __contains__(self, detector: str) -> bool:
        return detector in self._flooding

    def __len__(self) -> int:
        return len(self._flooding)

    @property
    def wake_us(self) -> int | None:
        """When ``ended`` is to be asked; None while nobody floods."""
        return self._until_us if self._flooding else None

    def says(self, detector: str, now_us: int, words: int = 1) -> bool:
        """Count a word; whether the detector floods."""
        if now_us >= self._until_us and not self._flooding:
            self._words.clear()
            self._until_us = now_us + WINDOW_US
        count = self._words.get(detector, 0) + words
        self._words[detector] = count
        if count <= MOST:
            return detector in self._flooding
        if detector not in self._flooding:
            self._flooding[detector] = _Flood(now_us)
            self.begun.append(detector)
        return True

    def passes(self, reading: Reading, now_us: int, *, alarming: bool, news: bool) -> bool:
        """Whether a reading of a flooding detector is judged and kept.

        ``alarming``: the detector is in alarm. ``news``: the reading says an alarm that it is not in.
        """
        flood = self._flooding[reading.detector]
        calms = alarming and not news
        if news or (not calms and now_us - flood.passed_us >= SLOT_US):
            flood.passed_us = now_us
            flood.last = None
            return True
        flood.dropped += 1
        flood.last = reading
        return False

    def ended(self, now_us: int) -> list[Ended]:
        """Floods that are over; asked at ``wake_us``."""
        if now_us < self._until_us:
            return []
        over = [one for one in self._flooding if self._words.get(one, 0) < CALM]
        self._words.clear()
        self._until_us = now_us + WINDOW_US
        return [Ended(one, self._flooding.pop(one).last) for one in over]


_KIND_OF: Final[dict[Flag, AlarmKind]] = {
    Flag.SMOKE_ALARM: "smoke", Flag.CO_ALARM: "co", Flag.HEAT_ALARM: "heat",
}  # fmt: skip
_TROUBLE: Final = "fault"


class FloodGate:
    """What of a message's readings is heard; a flood is one trouble of its detector."""

    def __init__(
        self,
        states: Mapping[str, State],
        active: Container[tuple[str, str]],
        enter: Callable[[str, Change], None],
        counted: Counter[str],
    ) -> None:
        self.floods = Floods()
        self._states, self._active = states, active
        self._enter, self._counted = enter, counted

    def heard(self, readings: list[Reading], now_us: int) -> list[Reading]:
        """The readings; without some of those of a detector that floods."""
        says = self.floods.says
        if len(readings) == 1:
            if not says(readings[0].detector, now_us):
                return readings
        elif not sum(says(one, now_us) for one in {reading.detector for reading in readings}):
            return readings
        heard = [
            one for one in readings if one.detector not in self.floods or self._passes(one, now_us)
        ]
        self._counted["flood_dropped"] += len(readings) - len(heard)
        self._tell(now_us)
        return heard

    def raised(self, detector: str, now_us: int) -> None:
        """An alarm was raised: it counts as many words."""
        self.floods.says(detector, now_us, RAISE_WORDS)

    def _passes(self, reading: Reading, now_us: int) -> bool:
        state = self._states.get(reading.detector)
        active = () if state is None else state.active
        said = reading.flags & ALARM_FLAGS
        return self.floods.passes(
            reading, now_us, alarming=any(CLASS_OF[kind] == "alarm" for kind in active),
            news=any(said & flag and kind not in active for flag, kind in _KIND_OF.items()),
        )  # fmt: skip

    def _tell(self, now_us: int) -> None:
        for detector in self.floods.begun:
            self._counted["floods"] += 1
            if (detector, _TROUBLE) not in self._active:
                reason = "it says far more than a detector has to say: it is heard ten times a second"
                change = Change(kind=_TROUBLE, transition="raise", at_us=now_us, reason=reason)
                self._enter(detector, change)
        self.floods.begun.clear()

    def end(self, now_us: int) -> list[Reading]:
        """Floods that are over by now: their trouble is, and what they said last is to be judged."""
        ended = self.floods.ended(now_us)
        for detector, _ in ended:
            self.clear(detector, now_us, "it says no more than others again")
        return [last for _, last in ended if last is not None]

    def clear(self, detector: str, now_us: int, reason: str) -> None:
        """The trouble is over; one that the device itself has stays."""
        state = self._states.get(detector)
        if state is None or _TROUBLE not in state.active:
            change = Change(kind=_TROUBLE, transition="clear", at_us=now_us, reason=reason)
            self._enter(detector, change)
