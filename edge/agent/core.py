"""What one message or one moment changes. No I/O: everything ends up in a batch for the spool.

One thread owns the core. The batch stays until ``committed`` says that it is on the disk; if the disk
is full it grows only by what time itself brings.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from edge.agent.alarmbook import AlarmBook
from edge.agent.configuration import SiteConfig
from edge.agent.devices import Devices
from edge.agent.recent import Recent
from edge.agent.timeline import AlarmTime
from edge.alarms import (
    Change,
    Input,
    Presence,
    State,
    Tick,
    decode_state,
    encode_state,
    initial,
    step,
)
from edge.outputs import SirenOrder, Sirens
from edge.sources import RawMessage, Router
from edge.spool import BadSample, Batch, Draft, Spool
from edge.wire.clock import Clock
from edge.wire.errors import WireError
from edge.wire.messages import CLASS_OF, DeviceFact
from edge.wire.readings import Reading

log = structlog.get_logger()

#: Of a refused payload this much is kept for the doctor, and this many of one batch.
SAMPLE_BYTES = 200
SAMPLE_TOPIC_CHARS = 200
MAX_SAMPLES = 20
#: Counters are written for a look from outside at most this often (µs of alarm time).
COUNTERS_EVERY_US = 30_000_000
#: With so many places in the heap for each detector it is built anew without those that are over.
STALE_FACTOR = 3
_TICK = Tick()


class Core:
    """The site's judgement and memory (see the module)."""

    def __init__(
        self,
        *,
        spool: Spool,
        router: Router,
        clock: Clock,
        time: AlarmTime,
        config: SiteConfig,
        synced: Callable[[], bool],
    ) -> None:
        self._router = router
        self._clock = clock
        self._synced = synced
        self.time = time
        self.config = config
        self.counters: dict[str, Counter[str]] = {
            name: Counter() for name in ("refused", "repaired", "readings", "messages", "city", "spool")
        }
        self.batch = Batch()
        #: something in the batch cannot wait
        self.urgent = False
        self.states: dict[str, State] = {}
        self._changed: set[str] = set()
        self._wakes: list[tuple[int, str]] = []
        self._wake_of: dict[str, int] = {}
        self._placed: dict[str, int] = {}
        self._counters_due_us = 0
        self._alarm_us = time.now_us()
        self.recent = Recent()
        self.book = AlarmBook(spool.active(), boot=spool.boot, synced=synced, moment=time.moment)
        self.devices = Devices(spool.devices(), config.detectors)
        self.tests = spool.tests()
        self.used_commands = spool.commands()
        self.sirens = Sirens(config.outputs)
        self._wake_up(spool)

    def _wake_up(self, spool: Spool) -> None:
        """Take up where the last run stood."""
        for reading in spool.recent_readings():
            self.recent.admit(reading)
        for detector, body in spool.states().items():
            try:
                self.states[detector] = decode_state(body)
            except ValueError as error:
                log.error("state.unreadable", detector=detector, error=str(error))
                self.counters["spool"]["unreadable_states"] += 1
        if spool.reset is not None:
            self.note("spool_reset", dict(spool.reset))
        self.configure(self.config)

    # -- what comes in ------------------------------------------------------------------------

    def take(self, message: RawMessage) -> None:
        """A message of the site's broker. Never raises for what is in it."""
        self.counters["messages"]["taken"] += 1
        source = self._router.route(message.topic)
        try:
            if source is None:
                raise WireError("unknown_topic", "no source takes this topic")
            decoded = source.decode(message)
        except WireError as error:
            self._refuse(message, error.reason, error.detail)
            return
        except Exception as error:  # a decoder's bug must not silence the other detectors
            log.exception("source.failed", source=source.name if source else None)
            self._refuse(message, "decoder_failed", repr(error)[:SAMPLE_BYTES])
            return
        for repair in decoded.repairs:
            self.counters["repaired"][repair] += 1
        now_us = self.now_us()
        for fact in decoded.facts:
            self._learn(fact, now_us, retained=message.retained)
        if message.retained:
            self.counters["readings"]["retained_dropped"] += len(decoded.readings)
            return
        if not self._synced():
            self._take_undated(decoded.readings, now_us)
            return
        for reading in decoded.readings:
            kept = self.recent.admit(reading)
            if kept is None:
                self.counters["repaired"]["duplicate"] += 1
                continue
            self.batch.readings.append(kept)
            self._decide(kept.detector, kept, now_us)

    def _take_undated(self, readings: list[Reading], now_us: int) -> None:
        """The clock is not set: readings are kept by the monotonic one; alarms do not wait."""
        mono_us = self._clock.monotonic_us()
        for number, reading in enumerate(readings):
            self.batch.undated.append(replace(reading, time_us=mono_us + number))
            self._decide(reading.detector, reading, now_us)

    def synced(self) -> bool:
        """Whether the wall clock can be believed."""
        return self._synced()

    def filters(self) -> list[str]:
        """What to subscribe to on the site's broker."""
        return self._router.filters()

    def now_us(self) -> int:
        """Alarm time, never going back."""
        self._alarm_us = max(self._alarm_us, self.time.now_us())
        return self._alarm_us

    def next_wake_us(self) -> int | None:
        """When ``tick`` is to be called (alarm time)."""
        wakes = [self._wakes[0][0]] if self._wakes else []
        wakes += [wake for wake in (self.sirens.wake_us, self._next_test_end_us()) if wake is not None]
        return min(wakes, default=None)

    def tick(self) -> None:
        """Let due deadlines happen."""
        now_us = self.now_us()
        while self._wakes and self._wakes[0][0] <= now_us:
            place_us, detector = heapq.heappop(self._wakes)
            if self._placed.get(detector) != place_us:
                continue
            del self._placed[detector]
            wake_us = self._wake_of.get(detector)
            if wake_us is not None and wake_us <= now_us:
                self._decide(detector, _TICK, now_us)
            else:
                self._place(detector, wake_us)
        self._end_tests(now_us)

    def configure(self, config: SiteConfig) -> None:
        """New settings: every detector is judged by its own from now on."""
        now_us = self.now_us()
        self.config = config
        self.sirens.configure(config.outputs)
        for detector in [*self.states, *(key for key in config.detectors if key not in self.states)]:
            if detector not in config.detectors and not self.devices.seen(detector):
                self._forget(detector, now_us)
                continue
            settings = config.settings_of(detector)
            if detector not in self.states:
                self.states[detector] = initial(settings, now_us)
                self._decide(detector, _TICK, now_us)
            else:
                self._decide(detector, settings, now_us)
        for fact in self.devices.unlisted(config.detectors):
            self._announce(fact)
        self.devices.announced.difference_update(config.detectors)

    def note(self, name: str, values: dict[str, object]) -> None:
        """An event about the site itself."""
        at_us, mono_us = self._clock.now_us(), self._clock.monotonic_us()
        self.batch.drafts.append(
            Draft(
                transition="raise", at_us=at_us, mono_us=mono_us, synced=self._synced(),
                note=name, note_values=dict(values),
            )
        )  # fmt: skip

    # -- deciding -----------------------------------------------------------------------------

    def _decide(self, detector: str, event: Input, now_us: int) -> None:
        state = self.states.get(detector)
        if state is None:
            state = initial(self.config.settings_of(detector), now_us)
        try:
            outcome = step(state, event, now_us)
        except Exception:  # one detector's bug must not silence the others
            log.exception("alarms.failed", detector=detector)
            self.counters["spool"]["failed_decisions"] += 1
            self.states[detector] = state
            return
        self.states[detector] = outcome.state
        self._changed.add(detector)
        self._place(detector, outcome.wake_us)
        for change in outcome.changes:
            self.enter(detector, change)

    def _place(self, detector: str, wake_us: int | None) -> None:
        """Remember when to wake. A later wake than the one in the heap waits for that one to come up,
        so that every reading's new deadline does not leave an old one behind.
        """
        if wake_us is None:
            self._wake_of.pop(detector, None)
            return
        self._wake_of[detector] = wake_us
        placed_us = self._placed.get(detector)
        if placed_us is None or wake_us < placed_us:
            self._placed[detector] = wake_us
            heapq.heappush(self._wakes, (wake_us, detector))
            if len(self._wakes) > STALE_FACTOR * len(self._wake_of) + STALE_FACTOR:
                self._placed = dict(self._wake_of)
                self._wakes = [(wake, one) for one, wake in self._wake_of.items()]
                heapq.heapify(self._wakes)

    def enter(self, detector: str, change: Change) -> None:
        """A change into the book and, as an event, into the batch."""
        draft = self.book.enter(detector, change, test=detector in self.tests)
        if draft is None or draft.alarm is None:
            return
        self.batch.drafts.append(draft)
        key = (detector, change.kind)
        self.batch.active[key] = self.book.active.get(key)
        if CLASS_OF[change.kind] == "alarm" or change.transition == "raise":
            self.urgent = True
        log.info(
            f"alarm.{draft.transition}",
            detector=detector, kind=change.kind, alarm=draft.alarm.id, reason=change.reason,
            test=draft.alarm.test,
        )  # fmt: skip

    def _forget(self, detector: str, now_us: int) -> None:
        """A detector that was configured, never heard, and is configured no more."""
        for found, kind in [key for key in self.book.active if key[0] == detector]:
            alarm = self.book.active[(found, kind)].alarm
            self.enter(
                detector,
                Change(
                    kind=alarm.kind, transition="clear", at_us=now_us,
                    reason="the detector was taken off the site's list",
                ),
            )  # fmt: skip
        self.states.pop(detector, None)
        self._wake_of.pop(detector, None)
        self._changed.discard(detector)
        self.batch.states[detector] = None

    # -- devices, tests, refusals -------------------------------------------------------------

    def _learn(self, fact: DeviceFact, now_us: int, *, retained: bool) -> None:
        news = self.devices.learn(fact)
        if news.changed is not None:
            self.batch.devices[fact.detector] = news.changed
            if fact.detector not in self.config.detectors and news.telling:
                self._announce(news.changed, first=news.first)
        if fact.online is not None and not retained and fact.detector in self.states:
            self._decide(fact.detector, Presence(fact.online), now_us)

    def _announce(self, fact: DeviceFact, *, first: bool = True) -> None:
        """Tell the city of a detector that is on no list."""
        self.devices.announced.add(fact.detector)
        self.batch.drafts.append(
            Draft(
                transition="raise" if first else "update", at_us=self._clock.now_us(),
                mono_us=self._clock.monotonic_us(), synced=self._synced(), device=fact,
            )
        )  # fmt: skip

    def _next_test_end_us(self) -> int | None:
        if not self.tests:
            return None
        left_us = min(self.tests.values()) - self._clock.now_us()
        return self.now_us() + max(0, left_us)

    def _end_tests(self, now_us: int) -> None:
        wall_us = self._clock.now_us()
        for target in [target for target, until_us in self.tests.items() if until_us <= wall_us]:
            self.end_test(target, now_us)

    def end_test(self, target: str, now_us: int) -> None:
        """Test mode is over; what the test kept as a test and still lasts is raised anew, for real."""
        if self.tests.pop(target, None) is None:
            return
        self.batch.tests[target] = None
        state = self.states.get(target)
        for key in [key for key in self.book.active if key[0] == target]:
            alarm = self.book.active[key].alarm
            own = state.active.get(alarm.kind) if state is not None else None
            if not alarm.test or own is None or own.test:
                continue
            change = Change(
                kind=alarm.kind, transition="clear", at_us=now_us, reason="the test mode is over",
                values=alarm.values, peak=alarm.peak,
            )  # fmt: skip
            self.enter(target, change)
            self.enter(
                target,
                Change(
                    kind=alarm.kind, transition="raise", at_us=now_us, values=alarm.values,
                    peak=alarm.peak, reason=f"still so after the test mode: {alarm.reason}",
                ),
            )  # fmt: skip

    def start_test(self, target: str, until_us: int) -> None:
        """What this detector raises until then is a test."""
        self.tests[target] = until_us
        self.batch.tests[target] = until_us

    def _refuse(self, message: RawMessage, reason: str, detail: str) -> None:
        self.counters["refused"][reason] += 1
        self.batch.samples.append(
            BadSample(
                at_us=message.received_us, topic=message.topic[:SAMPLE_TOPIC_CHARS], reason=reason,
                detail=detail[:SAMPLE_BYTES], head=message.payload[:SAMPLE_BYTES],
            )
        )  # fmt: skip
        del self.batch.samples[:-MAX_SAMPLES]

    # -- what goes out ------------------------------------------------------------------------

    def sealed_batch(self) -> Batch:
        """The batch with everything that belongs into its transaction."""
        now_us = self.now_us()
        for detector in self._changed:
            self.batch.states[detector] = encode_state(self.states[detector])
        self._changed.clear()
        self.batch.wall_us = self._clock.now_us() if self._synced() else 0
        self.batch.alarm_now_us, self.batch.mono_us = now_us, self._clock.monotonic_us()
        if now_us >= self._counters_due_us:
            self._counters_due_us = now_us + COUNTERS_EVERY_US
            self.batch.counters = self.counter_table()
        return self.batch

    def committed(self) -> None:
        """The batch is on the disk."""
        self.counters["readings"]["kept"] += len(self.batch.readings) + len(self.batch.undated)
        self.batch = Batch()
        self.urgent = False

    def siren_orders(self) -> list[SirenOrder]:
        """What the site's sirens are to be told now."""
        return self.sirens.orders((entry.alarm for entry in self.book.active.values()), self.now_us())

    def counter_table(self) -> dict[str, dict[str, int]]:
        """A copy of the counters for others."""
        return {name: dict(counter) for name, counter in self.counters.items() if counter}
