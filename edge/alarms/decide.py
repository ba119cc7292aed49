"""The decision: one event in, a new state, the transitions and a wake-up out. Pure.

Time first: what the held values reach by ``now`` happens before the event is looked at, at its own
computed moment. Then the event. Then flags, causes and faults are settled into alarms.

A reading whose own time is older than the last one's is late: it may raise, but not clear.
"""

from __future__ import annotations

from typing import NamedTuple

from edge.alarms import causes, co, heat, smoke, trouble
from edge.alarms.limits import NEVER, US_PER_MIN, limits_of
from edge.alarms.settings import Settings
from edge.alarms.settle import settle
from edge.alarms.state import State
from edge.alarms.types import Change, Presence, Tick
from edge.wire.readings import Reading

Input = Reading | Tick | Settings | Presence

#: Humidity this far above its own mean of 30 min, or above the last value, is steam or fog [D].
_STEAM_PCT, _STEAM_JUMP_PCT, _HUMIDITY_SLOW_US = 6.0, 5.0, 30 * US_PER_MIN
_FIRE_KINDS = frozenset({"smoke", "co", "heat"})
_GONE = causes.SILENT | causes.NETWORK_SAYS_GONE


class Outcome(NamedTuple):
    """The new state, what changed in order of time, and when to call with a ``Tick`` if nothing
    comes before."""

    state: State
    changes: list[Change]
    wake_us: int | None


#: A named tuple's own constructor costs as much as half a decision.
_outcome = tuple.__new__


def step(state: State, event: Input, now_us: int) -> Outcome:
    """Decide. ``now_us`` is the alarm timeline; where it goes back, it stands still instead.

    ``state`` is not changed. ``wake_us`` is the earliest moment at which a ``Tick`` could change
    anything; None if nothing is pending. A ``Tick`` at any other moment changes nothing.
    """
    new: State = state.__copy__()
    now = state.now_us
    if now_us > now:
        new.now_us = now = now_us
    changes: list[Change] = []
    heard = isinstance(event, Reading)
    if now >= new.due_us:
        _elapse(new, now, changes, heard=heard)
    if heard:
        _hear(new, event, now)  # type: ignore[arg-type]  # it is a Reading
    elif isinstance(event, Settings):
        _take_settings(new, event, now)
    elif isinstance(event, Presence):
        _take_presence(new, event, now)
    due = _due(new)
    if due <= now:
        due = _elapse(new, now, changes, heard=heard)
    new.due_us = due
    if (
        (new.active and not _FIRE_KINDS.isdisjoint(new.active))
        or new.causes != state.causes
        or new.faults != state.faults
        or new.flags != state.flags
    ):
        settle(new, now, changes)
        if new.sound_us != state.sound_us:
            trouble.plan_watch(new)
            new.due_us = due = _due(new)
    if len(changes) > 1:
        changes.sort(key=_moment)
    return _outcome(Outcome, (new, changes, due if due < NEVER else None))


def resumed(state: State, deaf_since_us: int, now_us: int) -> State:
    """The state after a time in which nobody could be heard: that time counts against no device.

    The silence that was listened to before goes on counting, so that a box that is off every night
    still finds out who is lost. But a report may have fallen into the deaf time: if less than a usual
    interval is left of the deadline, that much is given; in all, since the device was last heard, no
    more than one deadline.
    """
    new: State = state.__copy__()
    new.now_us = now = max(state.now_us, now_us)
    if new.heard_us >= 0:
        new.heard_us = _kept_silence(new, min(deaf_since_us, now), now)
    if new.offline_us != NEVER:
        new.offline_us = now - max(0, min(deaf_since_us, now) - new.offline_us)
    for name in ("od_us", "temperature_us"):
        setattr(new, name, max(getattr(new, name), now - new.limits.silent_us // 2))
    trouble.plan_watch(new)
    new.due_us = _due(new)
    return new


def _kept_silence(state: State, deaf_since: int, now: int) -> int:
    """When the device would have been heard last, had there been no deafness; notes what was given."""
    deadline = state.limits.deadline_us
    listened = max(0, deaf_since - state.heard_us)
    wanted = min(state.interval_us or deadline, deadline)
    given = min(max(0, listened + wanted - deadline), deadline - state.excused_us, listened)
    state.excused_us += given
    return now - (listened - given)


def _moment(change: Change) -> int:
    return change.at_us


def _due(state: State) -> int:
    due = state.co_due_us
    if state.od_due_us < due:
        due = state.od_due_us
    if state.heat_due_us < due:
        due = state.heat_due_us
    if state.watch_due_us < due:
        due = state.watch_due_us
    return due


def _elapse(state: State, now: int, changes: list[Change], *, heard: bool) -> int:
    """Let time pass to ``now``, each turn at its own moment. Returns the next moment."""
    before = state.causes
    turns: list[tuple[int, int, int]] = []
    if now >= state.co_due_us:
        turns += co.advance(state, now)
    if now >= state.od_due_us:
        turns += smoke.advance(state, now)
    if now >= state.heat_due_us:
        turns += heat.advance(state)
    turns.sort()
    after, state.causes = state.causes, before
    for at, on, off in turns:
        state.causes = (state.causes | on) & ~off
        settle(state, at, changes)
    state.causes = after
    if now >= state.watch_due_us:
        at = state.watch_due_us
        if heard:
            state.heard_us = at = now
        trouble.watch(state, at, heard=heard)
        settle(state, at, changes)
        trouble.plan_watch(state)
    return _due(state)


def _hear(state: State, reading: Reading, now: int) -> None:
    if reading.time_us < state.reading_us:
        reading = _only_worse(state, reading)
    state.reading_us = reading.time_us
    elapsed = now - state.heard_us
    if state.heard_us < 0:
        state.heard_us = now
        trouble.plan_watch(state)
    else:
        if elapsed > 0:
            usual = state.interval_us
            state.interval_us = usual + ((elapsed - usual) >> 3) if usual else elapsed
        state.heard_us = now
    if state.excused_us:
        state.excused_us = 0
    if state.causes & _GONE or state.offline_us != NEVER:
        trouble.watch(state, now, heard=True)
        trouble.plan_watch(state)
    known = reading.flags_known
    if known and (state.flags ^ reading.flags) & known:
        trouble.hear_flags(state, reading, now)
        trouble.plan_watch(state)
    celsius = reading.temperature_c
    if celsius is not None:
        heat.hear(state, celsius, now)
    ppm = reading.co_ppm
    if ppm is not None:
        co.hear(state, ppm, now)
    humidity = reading.humidity_pct
    if humidity is not None:
        _hear_humidity(state, humidity, now)
    od = reading.optical_density_db_m
    if od is not None:
        smoke.hear(state, od, now)
    if reading.battery_pct is not None or reading.battery_v is not None:
        trouble.hear_battery(state, reading, now)
    if reading.co2_ppm is not None or reading.o2_pct is not None:
        trouble.hear_air(state, reading)
    if now >= state.silence_us or state.faults & causes.CHANNEL_SILENT:
        trouble.judge_silence(state, now)


def _hear_humidity(state: State, humidity: float, now: int) -> None:
    slow = state.humidity_slow_pct
    if slow is None:
        slow = state.humidity_pct = humidity
    else:
        elapsed = now - state.humidity_us
        slow += (humidity - slow) * (elapsed / (_HUMIDITY_SLOW_US + elapsed))
    state.humidity_slow_pct = slow
    state.humidity_us = now
    if humidity - slow >= _STEAM_PCT or humidity - state.humidity_pct >= _STEAM_JUMP_PCT:
        state.steam_us = now
    state.humidity_pct = humidity


def _only_worse(state: State, reading: Reading) -> Reading:
    """What a late reading may still say: that things are worse than we knew."""

    def worse(value: float | None, held: float | None) -> float | None:
        return value if value is not None and (held is None or value > held) else None

    return Reading(
        detector=reading.detector,
        time_us=reading.time_us,
        flags=reading.flags & reading.flags_known,
        flags_known=reading.flags & reading.flags_known,
        co_ppm=worse(reading.co_ppm, state.co_ppm),
        optical_density_db_m=worse(reading.optical_density_db_m, state.od_db_m),
        temperature_c=worse(reading.temperature_c, state.temperature_c),
    )


def _take_settings(state: State, settings: Settings, now: int) -> None:
    if settings == state.settings:
        return
    old_hold_us = state.limits.co_hold_us
    state.settings, state.limits = settings, limits_of(settings)
    if settings.expires_us is None or settings.expires_us > now:
        state.causes &= ~causes.EXPIRED
    if not settings.co_exposure:
        state.causes &= ~causes.CO_EXPOSURE
    state.causes &= ~causes.SILENT  # judged anew by the new deadline
    co.resettle(state, now, old_hold_us)
    smoke.plan(state)
    heat.plan(state)
    trouble.plan_watch(state)


def _take_presence(state: State, presence: Presence, now: int) -> None:
    if presence.online:
        state.offline_us = NEVER
        state.causes &= ~causes.NETWORK_SAYS_GONE
    elif state.offline_us == NEVER:
        state.offline_us = now
    trouble.plan_watch(state)
