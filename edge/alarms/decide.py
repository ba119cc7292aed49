"""The decision: one event in, a new state and the transitions out. Pure."""

from __future__ import annotations

import copy
from typing import NamedTuple

from edge.alarms.settings import Settings
from edge.alarms.state import Active, State
from edge.alarms.types import Change, Presence, Tick
from edge.wire.messages import AlarmKind
from edge.wire.readings import Flag, Reading

US_PER_S = 1_000_000
Input = Reading | Tick | Settings | Presence

_FLAG_KINDS: tuple[tuple[int, AlarmKind, str], ...] = (
    (int(Flag.SMOKE_ALARM), "smoke", "the detector's own smoke alarm sounds"),
    (int(Flag.CO_ALARM), "co", "the detector's own CO alarm sounds"),
    (int(Flag.HEAT_ALARM), "heat", "the detector's own heat alarm sounds"),
    (int(Flag.TAMPER), "tamper", "the detector was opened or taken down"),
    (int(Flag.BATTERY_LOW), "low_battery", "the detector says that its battery is low"),
    (int(Flag.FAULT), "fault", "the detector reports a fault of its own"),
    (int(Flag.END_OF_LIFE), "end_of_life", "the detector says that its sensor has expired"),
)


class Outcome(NamedTuple):
    """The new state, what changed, and when to call with a ``Tick`` if nothing comes before."""

    state: State
    changes: list[Change]
    wake_us: int | None


def initial(settings: Settings, now_us: int) -> State:
    """A detector of which nothing was heard yet; ``never_seen`` counts from ``now_us``."""
    return State(settings=settings, now_us=now_us, born_us=now_us)


def step(state: State, event: Input, now_us: int) -> Outcome:
    """Decide. ``now_us`` is the alarm timeline; where it goes back, it stands still instead.

    ``state`` is not changed. ``wake_us`` is the earliest moment at which a ``Tick`` could change
    anything; None if nothing is pending.
    """
    new = copy.copy(state)
    new.active = dict(state.active)
    new.now_us = now = max(state.now_us, now_us)
    changes: list[Change] = []
    if isinstance(event, Settings):
        new.settings = event
    elif isinstance(event, Reading):
        new.heard_us = now
        _clear(new, "lost", "the detector is heard again", changes)
        _clear(new, "never_seen", "the detector is heard for the first time", changes)
        new.flags = (state.flags & ~event.flags_known) | (event.flags & event.flags_known)
        for bit, kind, reason in _FLAG_KINDS:
            if new.flags & bit:
                _raise(new, kind, reason, changes, test=bool(new.flags & Flag.TEST))
            else:
                _clear(new, kind, "the detector no longer says so", changes)
    wake_us = _supervise(new, changes)
    return Outcome(new, changes, wake_us)


def _supervise(state: State, changes: list[Change]) -> int | None:
    if state.heard_us is None:
        due = state.born_us + int(state.settings.never_seen_after_s * US_PER_S)
        kind: AlarmKind = "never_seen"
        reason = "nothing was ever heard of this registered detector"
    else:
        due = state.heard_us + int(state.settings.deadline_s * US_PER_S)
        kind, reason = "lost", "nothing was heard within the deadline"
    if state.now_us < due:
        return due
    _raise(state, kind, reason, changes)
    return None


def _raise(
    state: State, kind: AlarmKind, reason: str, changes: list[Change], *, test: bool = False
) -> None:
    if kind not in state.active:
        state.active[kind] = Active(state.now_us, test)
        changes.append(
            Change(kind=kind, transition="raise", at_us=state.now_us, reason=reason, test=test)
        )


def _clear(state: State, kind: AlarmKind, reason: str, changes: list[Change]) -> None:
    active = state.active.pop(kind, None)
    if active is not None:
        changes.append(
            Change(kind=kind, transition="clear", at_us=state.now_us, reason=reason, test=active.test)
        )
