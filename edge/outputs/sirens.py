"""Who is to be told what, who did not answer. Pure: active alarms and time in, orders out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from edge.sources.base import Action, Order
from edge.wire.messages import Alarm

#: Only these wake people by themselves.
SOUNDING_KINDS = frozenset({"smoke", "co", "heat"})
#: Sounding sirens are told again this often.
REPEAT_S = 60.0
#: One that could not be told (its protocol does not know it yet) is tried again after this.
RETRY_S = 2.0
#: A siren answers an order within this; Zigbee over two hops takes one or two seconds.
ANSWER_S = 10.0
#: A siren without a self-test of its own is sounded this long for a test.
TEST_SOUND_S = 2.0
#: A silenced alarm sounds again after this at the latest; detectors' own hush ends by 15 min [M].
MAX_SILENCE_S = 600.0
_US_PER_S = 1_000_000


class Target(NamedTuple):
    """Something that sounds. ``order`` says how it is told; None: it cannot be, or not yet."""

    #: its opaque id; its faults are told of it
    detector: str
    order: Callable[[Action, Sequence[Alarm]], Order | None]
    #: silence after an order is a fault
    answers: bool = True
    tested: bool = True


class Verdict(NamedTuple):
    """Whether a target works: ``reason`` says why it does not."""

    detector: str
    reason: str | None


class _Told(msgspec.Struct):
    """What a target was told last, and what is awaited of it."""

    action: Action | None = None
    repeat_us: int | None = None
    answer_by_us: int | None = None
    #: a test's sound ends then
    hush_us: int | None = None

    def wakes(self) -> list[int]:
        return [at for at in (self.repeat_us, self.answer_by_us, self.hush_us) if at is not None]


class Sirens:
    """Remembers what each target was told last."""

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self._targets = {target.detector: target for target in targets}
        # after a start nobody knows what they were told before: action None
        self._told = {detector: _Told() for detector in self._targets}
        self._gone: list[Target] = []
        self._silenced: dict[str, int] = {}
        self._sounding_for: frozenset[str] = frozenset()
        self._verdicts: list[Verdict] = []
        self._queue: list[Order] = []
        self._testing: set[str] = set()
        self._tested: dict[str, bool] = {}

    def __contains__(self, detector: str) -> bool:
        return detector in self._targets

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def wanting(self) -> bool:
        """Some target could not be told: a fact about it may change that."""
        return any(told.action is None for told in self._told.values())

    @property
    def awaiting(self) -> bool:
        """Some target is to answer."""
        return any(told.answer_by_us is not None for told in self._told.values())

    @property
    def idle(self) -> bool:
        """There is nothing that could be told, silenced or judged: this site has no outputs."""
        return not (
            self._targets or self._gone or self._queue or self._silenced or self._verdicts
            or self._tested
        )  # fmt: skip

    @property
    def wake_us(self) -> int | None:
        """When ``orders`` is to be asked again although nothing happened."""
        if not self._told and not self._silenced:
            return None
        wakes = [at for told in self._told.values() for at in told.wakes()]
        return min([*wakes, *self._silenced.values()], default=None)

    def configure(self, targets: Iterable[Target]) -> None:
        """Other targets from now on; those that were sounding and are gone are told to stop."""
        wanted = {target.detector: target for target in targets}
        for detector, target in self._targets.items():
            if detector not in wanted:
                if self._told[detector].action not in (None, "hush"):
                    self._gone.append(target)
                self._testing.discard(detector)
                self._verdicts.append(Verdict(detector, None))
        self._told = {detector: self._told.get(detector, _Told()) for detector in wanted}
        self._targets = wanted

    def unsure(self) -> None:
        """Nobody knows what they were told: tell them again."""
        for told in self._told.values():
            told.action = None
            told.repeat_us = None

    def silence(self, alarms: Iterable[str], now_us: int, for_s: float = MAX_SILENCE_S) -> None:
        """These alarms make no noise for so long, ``MAX_SILENCE_S`` at most; new ones do."""
        until_us = now_us + int(min(for_s, MAX_SILENCE_S) * _US_PER_S)
        self._silenced.update(dict.fromkeys(alarms, until_us))

    @property
    def silenced(self) -> Mapping[str, int]:
        """Alarms that make no noise, and until when."""
        return self._silenced

    def silence_all(self, now_us: int) -> int:
        """Somebody pressed a siren's button: what sounds now is silenced. How many alarms."""
        self.silence(self._sounding_for, now_us)
        return len(self._sounding_for)

    def answered(self, detector: str) -> None:
        """The target said something after an order: it works."""
        told = self._told.get(detector)
        if told is None or told.answer_by_us is None:
            return
        told.answer_by_us = None
        self._settle(detector, None)

    def failed(self, detector: str, reason: str) -> None:
        """The target says that it does not work."""
        if detector in self._told:
            self._told[detector].answer_by_us = None
            self._settle(detector, reason)

    def _settle(self, detector: str, reason: str | None) -> None:
        self._verdicts.append(Verdict(detector, reason))
        if detector in self._testing:
            self._testing.discard(detector)
            self._tested[detector] = reason is None

    def verdicts(self) -> list[Verdict]:
        """Which targets were found to work or not since the last call."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def test_report(self) -> dict[str, bool] | None:
        """When a test has ended: each tested target, and whether it answered. Once."""
        if self._testing or not self._tested:
            return None
        report, self._tested = self._tested, {}
        return report

    def test(self, now_us: int, only: str | None = None) -> list[str]:
        """Try every target that may be and is quiet, or ``only`` one; who is tried."""
        tried = []
        for detector, target in self._targets.items():
            told = self._told[detector]
            if not target.tested or self._sounding_for or only not in (None, detector):
                continue
            order = target.order("self_test", ())
            if order is None:
                order = target.order("sound_t3", ())
                told.hush_us = now_us + int(TEST_SOUND_S * _US_PER_S) if order else None
            if order is None:
                self._settle(detector, "it cannot be told to sound")
                continue
            self._queue.append(order)
            if target.answers:
                told.answer_by_us = now_us + int(ANSWER_S * _US_PER_S)
                self._testing.add(detector)
            tried.append(detector)
        return tried

    def orders(self, active: Iterable[Alarm], now_us: int) -> list[Order]:
        """What is to be told now."""
        loud = {alarm.id: alarm for alarm in active if alarm.kind in SOUNDING_KINDS and not alarm.test}
        self._silenced = {
            alarm: until_us
            for alarm, until_us in self._silenced.items()
            if alarm in loud and until_us > now_us
        }
        sounding = frozenset(loud.keys() - self._silenced.keys())
        has_new = bool(sounding - self._sounding_for)
        self._sounding_for = sounding
        heard = [loud[alarm] for alarm in sorted(sounding)]
        action = _action(loud, sounding)
        orders, self._queue = self._queue, []
        for target in self._gone:
            orders += filter(None, [target.order("hush", ())])
        self._gone.clear()
        for detector, target in self._targets.items():
            told = self._told[detector]
            if self._is_due(told, action, now_us, has_new=has_new):
                orders += self._tell(target, told, action, heard, now_us)
            if told.answer_by_us is not None and told.answer_by_us <= now_us:
                told.answer_by_us = None
                self._settle(detector, f"no answer within {ANSWER_S:g} s")
        return orders

    @staticmethod
    def _is_due(told: _Told, action: Action, now_us: int, *, has_new: bool) -> bool:
        if told.action != action:
            return told.repeat_us is None or told.action is not None or now_us >= told.repeat_us
        if action == "hush":
            return told.hush_us is not None and now_us >= told.hush_us
        return has_new or (told.repeat_us is not None and now_us >= told.repeat_us)

    @staticmethod
    def _tell(
        target: Target, told: _Told, action: Action, heard: Sequence[Alarm], now_us: int
    ) -> list[Order]:
        order = target.order(action, heard)
        sounds = action != "hush"
        told.hush_us = None
        if order is None:
            told.action = None
            told.repeat_us = now_us + int(RETRY_S * _US_PER_S) if sounds else None
            return []
        told.action = action
        told.repeat_us = now_us + int(REPEAT_S * _US_PER_S) if sounds else None
        if sounds and target.answers:
            told.answer_by_us = now_us + int(ANSWER_S * _US_PER_S)
        return [order]


def _action(loud: Mapping[str, Alarm], sounding: Iterable[str]) -> Action:
    """Fire has the word over CO: its rhythm says leave the house."""
    kinds = {loud[alarm].kind for alarm in sounding}
    if not kinds:
        return "hush"
    return "sound_t4" if kinds == {"co"} else "sound_t3"
