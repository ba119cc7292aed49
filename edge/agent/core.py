"""What one message or one moment changes. No I/O: everything ends up in a batch for the spool.

One thread owns the core. The batch stays until ``committed`` says that it is on the disk; if the disk
is full it grows only by what time itself brings.
"""

from __future__ import annotations

import heapq
import traceback
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec.structs import replace

from edge.agent import testmode
from edge.agent.alarmbook import AlarmBook
from edge.agent.configuration import SiteConfig
from edge.agent.devices import Devices
from edge.agent.floods import FloodGate
from edge.agent.recent import MAX_MOVES, Recent
from edge.agent.sounding import TEST_MODE_S, Sounding
from edge.agent.timeline import AlarmTime
from edge.alarms import (
    Change,
    Input,
    Presence,
    Settings,
    State,
    Tick,
    deadline_from_interval_s,
    decode_state,
    encode_state,
    initial,
    resumed,
    step,
)
from edge.outputs import OUTPUTS_TARGET, HomeHub, Verdict
from edge.sources import Decoded, RawMessage, Router
from edge.sources.base import ALARM_FLAGS, Action, Order
from edge.spool import BadSample, Batch, Draft, Spool
from edge.wire.clock import US_PER_S, Clock
from edge.wire.errors import WireError
from edge.wire.messages import CLASS_OF, Alarm, CameraFact, DeviceFact, Transition
from edge.wire.readings import Flag, Reading

log = structlog.get_logger()

#: Of a refused payload this much is kept for the doctor, and this many of one batch.
SAMPLE_BYTES = 200
SAMPLE_TOPIC_CHARS = 200
MAX_SAMPLES = 20
#: Counters are written for a look from outside at most this often (µs of alarm time).
COUNTERS_EVERY_US = 30_000_000
#: With so many places in the heap for each detector it is built anew without those that are over.
STALE_FACTOR = 3
#: With nothing else to write the time is written this often, so that a restart knows how long the
#: agent had been listening (µs of alarm time).
STAMP_EVERY_US = 600_000_000
#: Orders that wait for the broker; the oldest go first when there are more.
MAX_WAITING_ORDERS = 200
#: A pause in hearing the site's broker shorter than this moves no deadline: a connection that breaks
#: again and again must not keep a lost detector from being told.
DEAF_US = 60_000_000
#: Detectors on no list that a site keeps; a home has ten, and addresses can be invented without end.
#: One more is turned away and counted; if it says fire or CO it takes the place of a quiet one.
MAX_UNLISTED = 5_000
_TICK = Tick()
_MUTED = int(Flag.MUTED)


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
        hub: HomeHub | None = None,
    ) -> None:
        self.hub = hub
        self._hub_due = True
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
        self._deaf_since_us: int | None = None
        #: detectors that were granted a part of the present deafness, and up to when
        self._granted: dict[str, int] = {}
        self._stamp_due_us = 0
        self._silenced: dict[str, int] = {}
        self.recent = Recent()
        self.book = AlarmBook(spool.active(), boot=spool.boot, synced=synced, moment=time.moment)
        self.devices = Devices(spool.devices(), config.detectors, spool.states())
        self.tests = spool.tests()
        self.used_commands = spool.commands()
        self._sources = {source.name: source for source in router.sources}
        self._deadlines = {source.name: source.deadline_s for source in router.sources}
        self.sounding = Sounding(spool.site, router.sources)
        #: detectors whose senses are known, or were looked at in this run
        self._sensed: set[str] = set()
        #: what sources answer by themselves, and what devices are told
        self.outbox: deque[Order] = deque(maxlen=MAX_WAITING_ORDERS)
        self.gate = FloodGate(self.states, self.book.active, self.enter, self.counters["readings"])
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
        self._excuse(spool.last_alarm_us)
        self._silenced = spool.silenced()
        self.sounding.resume(self._silenced, self.now_us())
        if spool.reset is not None:
            self.note("spool_reset", dict(spool.reset))
        self.configure(self.config)
        for detector in [one for one, kind in self.book.active if kind == "fault"]:
            self.gate.clear(detector, self.now_us(), "the agent began anew")  # a flood of the last run

    # -- whether we can hear ------------------------------------------------------------------

    def hears(self, connected: bool) -> None:
        """Whether the site's broker reaches us. While it does not, nobody is silent: we are deaf."""
        if not connected:
            if self._deaf_since_us is None:
                self._deaf_since_us = self.now_us()
        elif self._deaf_since_us is not None:
            since_us, self._deaf_since_us = self._deaf_since_us, None
            self._excuse(since_us)

    def _excuse(self, deaf_since_us: int) -> None:
        """A while in which we could not hear counts against no detector."""
        now_us = self.now_us()
        granted, self._granted = self._granted, {}
        if not 0 < deaf_since_us <= now_us - DEAF_US:
            return
        for detector, state in self.states.items():
            since_us = granted.get(detector, deaf_since_us)
            self.states[detector] = resumed(state, since_us, now_us)
            self._changed.add(detector)

    # -- what comes in ------------------------------------------------------------------------

    def take(self, message: RawMessage, *, redelivered: bool = False) -> None:
        """A message of the site's broker. Never raises for what is in it.

        ``redelivered``: the broker gave it to us before and cannot know that we took it.
        """
        self.counters["messages"]["taken"] += 1
        source = self._router.route(message.topic)
        try:
            if self.sounding.takes(message.topic):
                self.sounding.hear(message, self.now_us())
                if source is None:
                    return
            if source is None:
                raise WireError("unknown_topic", "no source takes this topic")
            decoded = source.decode(message)
        except WireError as error:
            self._refuse(message, error.reason, error.detail)
            return
        except Exception as error:  # a decoder's bug must not silence the other detectors
            # its text may hold a device's own name: the sample keeps it, the log does not
            log.error("source.failed", source=source and source.name, where=_where(error))
            self._refuse(message, "decoder_failed", repr(error)[:SAMPLE_BYTES])
            return
        for repair in decoded.repairs:
            self.counters["repaired"][repair] += 1
        if len(self.devices) >= MAX_UNLISTED:
            self._turn_away(decoded, retained=message.retained)
        now_us = self.now_us()
        if decoded.orders and not message.retained:
            self.outbox.extend(decoded.orders)
        if decoded.answers:
            self.sounding.answers(decoded.answers)
        for fact in self._with_senses(decoded):
            self._learn(fact, now_us, retained=message.retained, speaks=bool(decoded.readings))
        if message.retained:
            self.counters["readings"]["retained_dropped"] += len(decoded.readings)
            return
        readings = decoded.readings
        if readings and not redelivered:
            readings = self.gate.heard(readings, now_us)
        self._hear(readings, now_us, redelivered=redelivered)

    def _hear(self, readings: list[Reading], now_us: int, *, redelivered: bool) -> None:
        """Keep and judge what was measured."""
        if not self._synced():
            self._take_undated(readings, now_us)
            return
        for reading in readings:
            kept = self.recent.admit(reading)
            if kept is None:
                self.counters["repaired"]["duplicate"] += 1
                if not redelivered:
                    self._repeated(reading, now_us)
                continue
            self.batch.readings.append(kept)
            if kept.flags_known & _MUTED:
                self._mute(kept, now_us)
            self._decide(kept.detector, kept, now_us)

    def _turn_away(self, decoded: Decoded, *, retained: bool) -> None:
        """Leave out what was said by strangers for whom there is no room."""
        strangers = dict.fromkeys(
            fact.detector
            for fact in decoded.facts
            if fact.detector not in self.config.detectors and not self.devices.seen(fact.detector)
        )
        if not strangers:
            return
        alarming = {reading.detector for reading in decoded.readings if reading.flags & ALARM_FLAGS}
        room = MAX_UNLISTED - self.devices.strangers(self.config.detectors)
        away = set()
        for detector in strangers:
            if room > 0:
                room -= 1
            elif retained or detector not in alarming or not self._displace_a_quiet_one():
                away.add(detector)
        if away:
            self.counters["readings"]["unlisted_turned_away"] += len(away)
            decoded.facts = [fact for fact in decoded.facts if fact.detector not in away]
            decoded.readings = [one for one in decoded.readings if one.detector not in away]

    def _displace_a_quiet_one(self) -> bool:
        """Forget a detector that is on no list and in no alarm; False: there is none."""
        in_alarm = {alarm.detector for alarm in self.alarms() if alarm.alarm_class == "alarm"}
        quiet = (one for one in self.devices.unlisted_ids(self.config.detectors) if one not in in_alarm)
        detector = next(quiet, None)
        if detector is None:
            return False
        self._forget(detector, self.now_us(), "a detector in alarm took its place among the unlisted")
        self.devices.forget(detector)
        self._sensed.discard(detector)
        self.batch.devices[detector] = None
        return True

    def _repeated(self, reading: Reading, now_us: int) -> None:
        """Said again with the same time: the device's clock stands still, and what it says holds now.

        Unless newer words of it are known: then it is an old message that was sent twice.
        """
        state = self.states.get(reading.detector)
        newest_us = reading.time_us if state is None else max(reading.time_us, state.reading_us)
        if newest_us - reading.time_us > MAX_MOVES:
            return
        reading = replace(reading, time_us=newest_us)
        if reading.flags_known & _MUTED:
            self._mute(reading, now_us)
        self._decide(reading.detector, reading, now_us)

    def _take_undated(self, readings: list[Reading], now_us: int) -> None:
        """The clock is not set: readings are kept by the monotonic one; alarms do not wait."""
        mono_us = self._clock.monotonic_us()
        for number, reading in enumerate(readings):
            self.batch.undated.append(replace(reading, time_us=mono_us + number))
            if reading.flags_known & _MUTED:
                self._mute(reading, now_us)
            self._decide(reading.detector, reading, now_us)

    def _mute(self, reading: Reading, now_us: int) -> None:
        """Before the reading is judged: what it raises now was not there to be muted."""
        self.sounding.muted(reading.detector, bool(reading.flags & _MUTED), self.alarms(), now_us)

    def alarms(self) -> list[Alarm]:
        """What is active at the site."""
        return [entry.alarm for entry in self.book.active.values()]

    def synced(self) -> bool:
        """Whether the wall clock can be believed."""
        return self._synced()

    def filters(self) -> list[str]:
        """What to subscribe to on the site's broker."""
        return list(dict.fromkeys([*self._router.filters(), *self.sounding.filters()]))

    def now_us(self) -> int:
        """Alarm time, never going back."""
        self._alarm_us = max(self._alarm_us, self.time.now_us())
        return self._alarm_us

    def next_wake_us(self) -> int | None:
        """When ``tick`` is to be called (alarm time)."""
        wakes = [self._wakes[0][0]] if self._wakes else []
        others = (
            self.sounding.wake_us, self._next_test_end_us(), self._next_weekly_us(), self._stamp_due_us,
            self.gate.floods.wake_us,
        )  # fmt: skip
        wakes += [wake for wake in others if wake is not None]
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
        self._hear(self.gate.end(now_us), now_us, redelivered=False)
        if now_us >= self._stamp_due_us and self.batch.is_empty():
            self._stamp_due_us = now_us + STAMP_EVERY_US
            self.batch.counters = self.counter_table()  # something to write: the time goes with it
        if self._synced() and self.sounding.weekly_due(self._clock.now_us()):
            self.test_outputs()

    def configure(self, config: SiteConfig) -> None:
        """New settings: every detector is judged by its own from now on."""
        now_us = self.now_us()
        self.config = config
        self._configure_outputs()
        for detector in [*self.states, *(key for key in config.detectors if key not in self.states)]:
            if detector not in config.detectors and not self.devices.seen(detector):
                self._forget(detector, now_us, "the detector was taken off the site's list")
                continue
            settings = self._settings_of(detector)
            if detector not in self.states:
                self.states[detector] = initial(settings, now_us)
                self._decide(detector, _TICK, now_us)
            else:
                self._decide(detector, settings, now_us)
        for fact in self.devices.unlisted(config.detectors):
            self._announce(fact)
        self.devices.announced.difference_update(config.detectors)

    def _configure_outputs(self) -> None:
        config = self.config
        self.sounding.configure(config.outputs, config.detectors, self.devices.fact)
        self._configure_hub()

    def _configure_hub(self) -> None:
        if self.hub is not None:
            self.hub.configure(self.config.detectors, self.devices.fact)
            self._hub_due = True

    def connected(self, there: bool) -> None:
        """The site's broker came or went."""
        self.sounding.connected(there)
        if there and self.hub is not None:
            self.hub.unsure()
            self._hub_due = True

    def _settings_of(self, detector: str) -> Settings:
        """How it is judged; lost after what the city says, else the device itself, else its source."""
        settings = self.config.settings_of(detector)
        if self.config.states_deadline(detector):
            return settings
        fact, entry = self.devices.fact(detector), self.config.detectors.get(detector)
        source = entry.source if entry else fact.source if fact else ""
        deadline_s = self._deadlines.get(source, settings.deadline_s)
        if fact is not None and fact.proposed_deadline_s:
            deadline_s = fact.proposed_deadline_s
        if fact is not None and fact.report_interval_s:
            deadline_s = max(deadline_s, deadline_from_interval_s(fact.report_interval_s))
        return replace(settings, deadline_s=deadline_s)

    def note(self, name: str, values: dict[str, object]) -> None:
        """An event about the site itself."""
        at_us, mono_us = self._clock.now_us(), self._clock.monotonic_us()
        self.batch.drafts.append(
            Draft(
                transition="raise", at_us=at_us, mono_us=mono_us, synced=self._synced(),
                note=name, note_values=dict(values),
            )
        )  # fmt: skip

    def tell_of_camera(self, fact: CameraFact, transition: Transition) -> None:
        """An event about a camera: what is known of it now."""
        at_us, mono_us = self._clock.now_us(), self._clock.monotonic_us()
        self.batch.drafts.append(
            Draft(
                transition=transition, at_us=at_us, mono_us=mono_us, synced=self._synced(),
                camera=fact,
            )
        )  # fmt: skip

    # -- deciding -----------------------------------------------------------------------------

    def _decide(self, detector: str, event: Input, now_us: int) -> None:
        state = self.states.get(detector)
        if state is None:
            state = initial(self._settings_of(detector), now_us)
        elif event is _TICK and self._deaf_since_us is not None:
            since_us = self._granted.get(detector, self._deaf_since_us)
            self._granted[detector] = now_us
            state = resumed(state, since_us, now_us)
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
        if testmode.own_word(detector) in self.tests:
            self._let_real_through(detector)

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
        test = testmode.covers(self.tests, detector, change.kind, self.states.get(detector))
        draft = self.book.enter(detector, change, test=test)
        if draft is None or draft.alarm is None:
            return
        self.batch.drafts.append(draft)
        self.sounding.stirred = True
        self._hub_due = True
        key = (detector, change.kind)
        self.batch.active[key] = self.book.active.get(key)
        if CLASS_OF[change.kind] == "alarm" and draft.transition != "update":
            self.urgent = True  # an update wakes nobody: it may share a commit
            if draft.transition == "raise":
                self.gate.raised(detector, self.now_us())
        log.info(
            f"alarm.{draft.transition}",
            detector=detector, kind=change.kind, alarm=draft.alarm.id, reason=change.reason,
            test=draft.alarm.test,
        )  # fmt: skip

    def _forget(self, detector: str, now_us: int, reason: str) -> None:
        """A detector that is looked after no more."""
        for found, kind in [key for key in self.book.active if key[0] == detector]:
            alarm = self.book.active[(found, kind)].alarm
            self.enter(
                detector,
                Change(
                    kind=alarm.kind, transition="clear", at_us=now_us,
                    reason=reason,
                ),
            )  # fmt: skip
        self.states.pop(detector, None)
        self._wake_of.pop(detector, None)
        self._changed.discard(detector)
        self.batch.states[detector] = None

    # -- devices, tests, refusals -------------------------------------------------------------

    def _with_senses(self, decoded: Decoded) -> list[DeviceFact]:
        """The facts; a detector that speaks for the first time in this run shows what it senses."""
        if all(reading.detector in self._sensed for reading in decoded.readings):
            return decoded.facts
        senses = {reading.detector: _senses(reading) for reading in decoded.readings}
        self._sensed.update(senses)
        return [
            replace(fact, senses=senses[fact.detector])
            if fact.senses is None and senses.get(fact.detector) and not self._is_profiled(fact)
            else fact
            for fact in decoded.facts
        ]

    def _is_profiled(self, fact: DeviceFact) -> bool:
        known = self.devices.fact(fact.detector)
        return known is not None and known.senses is not None

    def _learn(self, fact: DeviceFact, now_us: int, *, retained: bool, speaks: bool) -> None:
        before = self.devices.fact(fact.detector)
        news = self.devices.learn(fact, speaks=speaks)
        if fact.sounder and (news.changed is not None or self.sounding.sirens.wanting):
            self._configure_outputs()
        if news.changed is not None:
            self.batch.devices[fact.detector] = news.changed
            if news.telling and fact.detector in self.config.detectors:
                self._configure_hub()
            if fact.detector in self.states and _rhythm(before) != _rhythm(news.changed):
                self._decide(fact.detector, self._settings_of(fact.detector), now_us)
            if fact.detector not in self.config.detectors and news.telling:
                self._announce(news.changed, first=news.first)
        if fact.online is not None and not retained and fact.detector in self.states:
            self._decide(fact.detector, Presence(fact.online), now_us)

    def _announce(self, fact: DeviceFact, *, first: bool = True) -> None:
        """Tell the city of a detector that is on no list."""
        self.devices.announced.add(fact.detector)
        if fact.role == "detector":
            fact = replace(fact, proposed_deadline_s=self._settings_of(fact.detector).deadline_s)
        self.batch.drafts.append(
            Draft(
                transition="raise" if first else "update", at_us=self._clock.now_us(),
                mono_us=self._clock.monotonic_us(), synced=self._synced(), device=fact,
            )
        )  # fmt: skip

    def _next_weekly_us(self) -> int | None:
        if not self._synced():
            return None
        wall_us = self._clock.now_us()
        due_us = self.sounding.weekly_wake_us(wall_us)
        return None if due_us is None else self.now_us() + max(0, due_us - wall_us)

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
        detector = testmode.detector_of(target)
        for key in [key for key in self.book.active if key[0] == detector]:
            if self._is_kept_as_test(*key):
                self._make_real(*key, "the test mode is over", "still so after the test mode: ")

    def _let_real_through(self, detector: str) -> None:
        """What began as the detector's own word in a test and is measured by now is real."""
        state = self.states[detector]
        for key in [key for key in self.book.active if key[0] == detector]:
            kind = self.book.active[key].alarm.kind
            if self._is_kept_as_test(*key) and not testmode.covers(self.tests, detector, kind, state):
                self._make_real(*key, "measured during the test", "measured during a test: ")

    def _is_kept_as_test(self, detector: str, kind: str) -> bool:
        """Whether an active alarm is a test by a commanded mode alone, not by the device's word."""
        alarm, state = self.book.active[(detector, kind)].alarm, self.states.get(detector)
        own = state.active.get(alarm.kind) if state is not None else None
        return alarm.test and own is not None and not own.test

    def _make_real(self, detector: str, kind: str, over: str, goes_on: str) -> None:
        """An alarm that was kept as a test is cleared and raised anew, for real."""
        alarm, now_us = self.book.active[(detector, kind)].alarm, self.now_us()
        for transition, reason in (("clear", over), ("raise", goes_on + alarm.reason)):
            self.enter(
                detector,
                Change(
                    kind=alarm.kind, transition=transition, at_us=now_us,  # type: ignore[arg-type]
                    values=alarm.values, peak=alarm.peak, reason=reason,
                ),
            )  # fmt: skip

    def start_test(self, target: str, until_us: int) -> None:
        """What this detector raises until then is a test."""
        self.tests[target] = until_us
        self.batch.tests[target] = until_us

    def test_outputs(self, target: str = OUTPUTS_TARGET) -> int:
        """Try all outputs or one. What detectors raise while they are made to sound is a test."""
        tried = self.sounding.test(self.now_us(), target)
        until_us = self._clock.now_us() + TEST_MODE_S * US_PER_S
        for detector in tried:
            if detector in self.config.detectors:
                self.start_test(detector, max(until_us, self.tests.get(detector, 0)))
        return len(tried)

    def _judge_output(self, detector: str, reason: str | None) -> None:
        """An output works, or it does not and somebody has to look after it."""
        standing = (detector, "siren_fault") in self.book.active
        if (reason is None) != standing:
            return
        self.enter(
            detector,
            Change(
                kind="siren_fault", transition="clear" if reason is None else "raise",
                at_us=self.now_us(), reason=reason or "it answers",
            ),
        )  # fmt: skip

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
        self._stamp_due_us = now_us + STAMP_EVERY_US
        silenced = self.sounding.silenced(now_us)
        if silenced != self._silenced:
            self._silenced = self.batch.silenced = silenced
        if now_us >= self._counters_due_us:
            self._counters_due_us = now_us + COUNTERS_EVERY_US
            self.batch.counters = self.counter_table()
        return self.batch

    def committed(self) -> None:
        """The batch is on the disk."""
        self.counters["readings"]["kept"] += len(self.batch.readings) + len(self.batch.undated)
        self.batch = Batch()
        self.urgent = False

    def siren_orders(self) -> list[Order]:
        """What the site's sirens and devices are to be told now."""
        orders: list[Order] = []
        verdicts: list[Verdict] = []
        now_us = self.now_us()
        if self.sounding.is_due(now_us):  # asked at every turn, and a burning quarter has many alarms
            orders, verdicts = self.sounding.orders(self.alarms(), now_us)
        for verdict in verdicts:
            self._judge_output(verdict.detector, verdict.reason)
        report = self.sounding.sirens.test_report() if verdicts else None
        if report is not None:
            failed = sorted(detector for detector, works in report.items() if not works)
            self.note("outputs_tested", {"tested": len(report), "failed": failed})
        if self.hub is not None and self._hub_due:
            self._hub_due = False
            orders = [*orders, *self.hub.orders(self.alarms())]
        if self.outbox:
            orders = [*orders, *self.outbox]
            self.outbox.clear()
        return orders

    def order_of(self, detector: str, action: Action, command_id: str) -> Order | None:
        """How a detector is told, by the protocol it speaks; None if it cannot be."""
        known = self.devices.fact(detector) or self.config.detectors.get(detector)
        source = self._sources.get(known.source) if known is not None else None
        if known is None or source is None:
            return None
        return source.order(known.address, action, command_id)

    def counter_table(self) -> dict[str, dict[str, int]]:
        """A copy of the counters for others."""
        return {name: dict(counter) for name, counter in self.counters.items() if counter}


def _senses(reading: Reading) -> tuple[str, ...]:
    """The flags and quantities that it states."""
    known = reading.flags_known
    flags = [flag.name.lower() for flag in Flag if flag.name and known & flag.value]
    return (*flags, *reading.quantities())


def _where(error: Exception) -> str:
    """What was raised, and in which line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno} of {Path(place.filename).name}"


def _rhythm(fact: DeviceFact | None) -> tuple[float | None, float | None]:
    """What a device's deadline hangs on."""
    return (None, None) if fact is None else (fact.report_interval_s, fact.proposed_deadline_s)
