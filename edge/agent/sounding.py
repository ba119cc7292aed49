"""The site's outputs as the core drives them: what tells them, mutes them, tests them.

The decisions are those of ``edge.outputs``; here they meet the site's settings, devices and clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge.outputs import (
    OUTPUTS_TARGET,
    Outputs,
    OutputSettings,
    Sirens,
    Verdict,
    build_targets,
    decode_state,
    next_weekly_us,
)
from edge.sources import RawMessage, Source
from edge.sources.base import Order
from edge.wire.messages import Alarm, DetectorSettings, DeviceFact

#: While a detector is made to sound for a test, what it raises is a test (seconds).
TEST_MODE_S = 60
#: A weekly test that is so late is left to the next week: nobody expects it any more.
_LATE_US = 3600 * 1_000_000


class Sounding:
    """Holds the sirens and everything that is kept for them beside the alarms."""

    def __init__(self, site: str, sources: Iterable[Source]) -> None:
        self._site = site
        self._sources = list(sources)
        self._settings = OutputSettings()
        self._topics: dict[str, str] = {}
        self._muted: set[str] = set()
        self._weekly_us: int | None = None
        #: the broker is there, so that what is told arrives
        self._connected = True
        #: something happened that the sirens may have to be told of
        self.stirred = True
        self.sirens = Sirens()

    def configure(
        self,
        settings: OutputSettings,
        detectors: Mapping[str, DetectorSettings],
        fact_of: Callable[[str], DeviceFact | None],
    ) -> None:
        """Other outputs from now on."""
        outputs: Outputs = build_targets(self._site, settings, self._sources, detectors, fact_of)
        self._settings = settings
        self._topics = outputs.state_topics
        self._weekly_us = None
        self.sirens.configure(outputs.targets)
        self.stirred = True

    def filters(self) -> list[str]:
        """Where sirens and relays say what they do."""
        return list(self._topics)

    def connected(self, there: bool) -> None:
        """The broker came or went: after it came nobody knows what the sirens were told."""
        self._connected = there
        if there:
            self.sirens.unsure()
            self.stirred = True

    # -- what is heard ------------------------------------------------------------------------

    def takes(self, topic: str) -> bool:
        """Whether a siren's or relay's word comes there."""
        return topic in self._topics

    def hear(self, message: RawMessage, now_us: int) -> None:
        """A siren's or relay's own word. Raises ``WireError`` if a native siren says nonsense."""
        detector = self._topics[message.topic]
        if not message.topic.startswith("utaa/"):
            if not message.retained:
                self._answered(detector)
            return
        if not message.payload:
            return  # a retained state was cleared
        said = decode_state(message.payload)
        self.stirred = True
        if said.state == "offline":
            self.sirens.failed(detector, "it is gone, its broker says")
        elif message.retained:
            return  # its last known state
        elif said.fault:
            self.sirens.failed(detector, "it says that it does not work")
        else:
            self.sirens.answered(detector)
            if said.button:
                self.sirens.silence_all(now_us)

    def answers(self, detectors: Iterable[str]) -> None:
        """Devices that showed that they obeyed."""
        for detector in detectors:
            self._answered(detector)

    def _answered(self, detector: str) -> None:
        if detector in self.sirens:
            self.sirens.answered(detector)
            self.stirred = True

    def muted(self, detector: str, is_muted: bool, active: Iterable[Alarm], now_us: int) -> None:
        """A detector says whether somebody muted it. To mute silences its alarms of this moment."""
        if not is_muted:
            self._muted.discard(detector)
        elif detector not in self._muted:
            self._muted.add(detector)
            self.silence([alarm.id for alarm in active if alarm.detector == detector], now_us)

    def silence(self, alarms: Iterable[str], now_us: int, **options: Any) -> None:
        """See ``Sirens.silence``."""
        self.sirens.silence(alarms, now_us, **options)
        self.stirred = True

    def silenced(self, now_us: int) -> dict[str, int]:
        """Alarms that are silenced and until when: what a restart must know."""
        return {
            alarm: until_us for alarm, until_us in self.sirens.silenced.items() if until_us > now_us
        }

    def resume(self, silenced: Mapping[str, int], now_us: int) -> None:
        """What was silenced before a restart stays so, no longer than it would have at most."""
        for alarm, until_us in silenced.items():
            if until_us > now_us:
                self.sirens.silence([alarm], now_us, (until_us - now_us) / 1_000_000)

    # -- tests --------------------------------------------------------------------------------

    def weekly_due(self, wall_us: int) -> bool:
        """Whether the weekly test is due now; asked with a clock that can be believed."""
        due_us = self._weekly_us
        if due_us is None or abs(due_us - wall_us) > 8 * 86_400 * 1_000_000:
            self._weekly_us = next_weekly_us(self._settings.weekly_test, wall_us)
            return False
        if wall_us < due_us:
            return False
        self._weekly_us = next_weekly_us(self._settings.weekly_test, wall_us)
        return bool(len(self.sirens)) and wall_us - due_us < _LATE_US

    def weekly_wake_us(self, wall_us: int) -> int | None:
        """The next weekly test by the wall clock, if there is anything to test."""
        if not len(self.sirens):
            return None
        if self._weekly_us is None:
            self._weekly_us = next_weekly_us(self._settings.weekly_test, wall_us)
        return self._weekly_us

    def test(self, now_us: int, target: str = OUTPUTS_TARGET) -> list[str]:
        """Try all outputs or one; ids of those that are tried."""
        self.stirred = True
        return self.sirens.test(now_us, None if target == OUTPUTS_TARGET else target)

    # -- what is told -------------------------------------------------------------------------

    @property
    def wake_us(self) -> int | None:
        """When ``orders`` is to be asked although nothing happened (alarm time)."""
        return self.sirens.wake_us if self._connected else None

    def is_due(self, now_us: int) -> bool:
        """Whether ``orders`` may have anything to say."""
        if not self._connected or self.sirens.idle:
            return False
        wake_us = None if self.stirred else self.wake_us
        return self.stirred or (wake_us is not None and wake_us <= now_us)

    def orders(self, active: Iterable[Alarm], now_us: int) -> tuple[list[Order], list[Verdict]]:
        """What is to be told, and which outputs were found to work or not."""
        if not self.is_due(now_us):
            return [], []
        self.stirred = False
        return self.sirens.orders(active, now_us), self.sirens.verdicts()
