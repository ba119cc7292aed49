"""From flags, causes and faults to alarms: what is raised, updated and cleared."""

from __future__ import annotations

from edge.alarms import causes, words
from edge.alarms.limits import FAULT_CLEAR_US, NEVER
from edge.alarms.smoke import SUPPORT_US
from edge.alarms.state import Active, State
from edge.alarms.types import Change
from edge.wire.messages import AlarmKind, Transition
from edge.wire.readings import Flag

#: kind, the detector's own flag, our own cause
_FIRE: tuple[tuple[AlarmKind, int, int], ...] = (
    ("smoke", int(Flag.SMOKE_ALARM), causes.SMOKE_LEVEL),
    ("co", int(Flag.CO_ALARM), causes.CO_DOSE),
    ("heat", int(Flag.HEAT_ALARM), causes.HEAT_LEVEL),
)
_PLAIN: tuple[tuple[AlarmKind, int, int], ...] = (
    ("co_exposure", 0, causes.CO_EXPOSURE),
    ("low_battery", int(Flag.BATTERY_LOW), causes.BATTERY_LEVEL),
    ("tamper", int(Flag.TAMPER), 0),
    ("end_of_life", int(Flag.END_OF_LIFE), causes.EXPIRED),
    ("needs_cleaning", 0, causes.NEEDS_CLEANING),
)
#: How sure we are, for triage [D]: own word, own measurement, both, a second sense, a doubtful one.
_SURE, _MEASURED, _OWN_WORD, _SUPPORTED, _DOUBTFUL = 1.0, 0.7, 0.9, 0.9, 0.4
#: An update is sent when the value doubled, or rose by this many °C, since the last one.
_DOUBLED, _HOTTER_C = 2.0, 20.0


def settle(state: State, at: int, changes: list[Change]) -> None:
    """Bring ``state.active`` in line with what is known at ``at``."""
    for kind, flag, cause in _FIRE:
        level, own = bool(state.causes & cause), bool(state.flags & flag)
        active = state.active.get(kind)
        if level or own:
            _fire(state, kind, active, at, changes, level=level, own=own)
        elif active is not None:
            _clear(state, kind, active, at, changes)
    for kind, flag, cause in _PLAIN:
        _plain(state, kind, bool(state.flags & flag or state.causes & cause), at, changes)
    testing = in_test(state)
    _plain(state, "test", testing, at, changes, test=True)
    _fault(state, at, changes)
    silent = bool(state.causes & (causes.SILENT | causes.NETWORK_SAYS_GONE))
    _plain(state, "lost", silent and state.heard_us >= 0, at, changes)
    _plain(state, "never_seen", silent and state.heard_us < 0, at, changes)


def in_test(state: State) -> bool:
    """Whether the device says it is being tested, and a test may last this long."""
    return state.test_us != NEVER and not state.faults & causes.TEST_STUCK


def _fire(
    state: State, kind: AlarmKind, active: Active | None, at: int, changes: list[Change],
    *, level: bool, own: bool,
) -> None:  # fmt: skip
    test = not level and in_test(state)
    if active is not None and active.test and not test:
        if not level and state.test_end_us != NEVER:
            test = True  # the grace after a test
        else:
            _clear(state, kind, active, at, changes, "the test ended and the alarm goes on")
            active = None
    confidence = _confidence(state, kind, at, level=level, own=own)
    if active is None:
        active = _with_peak(state, Active(at, test, confidence, _main_value(state, kind)))
        state.active = {**state.active, kind: active}
        reason = words.rising(state, kind, at, level=level, own=own)
        _emit(state, kind, "raise", at, reason, active, changes)
        return
    after = _with_peak(state, active)
    value = _main_value(state, kind)
    grown = value >= active.told + _HOTTER_C if kind == "heat" else value >= _DOUBLED * active.told
    told = after.confidence < confidence or (grown and level)
    if told:
        after = Active(
            active.since_us, active.test, max(confidence, active.confidence), max(value, active.told),
            after.peak_co_ppm, after.peak_optical_density_db_m, after.peak_temperature_c,
        )  # fmt: skip
    if after is not active:
        state.active = {**state.active, kind: after}
    if told:
        reason = words.rising(state, kind, at, level=level, own=own)
        _emit(state, kind, "update", at, reason, after, changes)


def _confidence(state: State, kind: AlarmKind, at: int, *, level: bool, own: bool) -> float:
    if kind == "co" and level and state.faults & causes.CO_FAULTS:
        return _OWN_WORD if own else _DOUBTFUL
    if level and own:
        return _SURE
    if own:
        return _OWN_WORD
    others = (causes.SMOKE_LEVEL | causes.CO_DOSE | causes.HEAT_LEVEL) & state.causes
    if kind == "smoke" and (at - state.support_us <= SUPPORT_US or others != causes.SMOKE_LEVEL):
        return _SUPPORTED
    return _MEASURED


def _main_value(state: State, kind: AlarmKind) -> float:
    if kind == "smoke":
        return max(state.od_db_m or 0.0, state.settings.smoke_db_m)
    if kind == "co":
        return max(state.co_ppm or 0.0, state.limits.co_neutral_ppm)
    return state.temperature_c or 0.0


def _with_peak(state: State, active: Active) -> Active:
    ppm, od, celsius = state.co_ppm, state.od_db_m, state.temperature_c
    peak_ppm, peak_od = active.peak_co_ppm, active.peak_optical_density_db_m
    peak_celsius = active.peak_temperature_c
    grown = False
    if ppm is not None and (peak_ppm is None or ppm > peak_ppm):
        peak_ppm, grown = ppm, True
    if od is not None and (peak_od is None or od > peak_od):
        peak_od, grown = od, True
    if celsius is not None and (peak_celsius is None or celsius > peak_celsius):
        peak_celsius, grown = celsius, True
    if not grown:
        return active
    return Active(
        active.since_us, active.test, active.confidence, active.told, peak_ppm, peak_od, peak_celsius
    )


def _plain(
    state: State, kind: AlarmKind, on: bool, at: int, changes: list[Change], *, test: bool = False
) -> None:
    active = state.active.get(kind)
    if on and active is None:
        active = Active(at, test)
        state.active = {**state.active, kind: active}
        reason = words.trouble_reason(state, kind, at)
        _emit(state, kind, "raise", at, reason, active, changes)
    elif not on and active is not None:
        _clear(state, kind, active, at, changes)


def _fault(state: State, at: int, changes: list[Change]) -> None:
    """One alarm for everything that is wrong. It outlives the last trouble a while, so that a channel
    on the edge does not raise and clear with every value; the detector's own word counts at once."""
    faults = state.faults | (causes.OWN_FAULT if state.flags & Flag.FAULT else 0)
    active = state.active.get("fault")
    told = int(active.told) if active is not None else 0
    if faults:
        state.sound_us = NEVER
    elif active is not None and state.sound_us == NEVER:
        state.sound_us = at
    if active is not None and not faults:
        if told == causes.OWN_FAULT or at >= state.sound_us + FAULT_CLEAR_US:
            state.sound_us = NEVER
            _clear(state, "fault", active, at, changes)
        return
    if not faults & ~told:
        return
    transition: Transition = "raise" if active is None else "update"
    active = Active(at if active is None else active.since_us, told=float(told | faults))
    state.active = {**state.active, "fault": active}
    reason = words.trouble_reason(state, "fault", at)
    _emit(state, "fault", transition, at, reason, active, changes)


def _clear(
    state: State, kind: AlarmKind, active: Active, at: int, changes: list[Change],
    reason: str | None = None,
) -> None:  # fmt: skip
    state.active = {name: other for name, other in state.active.items() if name != kind}
    _emit(state, kind, "clear", at, reason or words.CALM[kind], active, changes)


def _emit(
    state: State, kind: AlarmKind, transition: Transition, at: int, reason: str, active: Active,
    changes: list[Change],
) -> None:  # fmt: skip
    changes.append(
        Change(
            kind=kind,
            transition=transition,
            at_us=at,
            reason=reason,
            values=words.numbers(state, kind, at, active),
            peak=words.peak(active),
            test=active.test,
        )
    )
