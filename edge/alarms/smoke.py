"""Smoke: optical density above clean air, confirmed over a time that fits the sampling.

**Clean air** (``od_base``) is what the channel reads when nothing burns. It starts as the mean of the
first values and then follows slowly: down within hours, up by at most ``smoke_drift_db_m_per_day``
and never beyond ``smoke_drift_max_db_m``. So compensation can hide no more than that bound, and when it
gets there the detector needs cleaning.

**Confirmation** is a dose like CO's: smoke at the threshold fills it in 1.25 sampling intervals
(between two stated bounds), twice as dense smoke in half of it, but never in less than one interval.
One high value alone fills it only if no other follows for 2.5 intervals or the longest bound times
two; the next value then either bears it out, and the time since the first counts in full, or it does
not. Between half the threshold and the threshold the dose empties slowly, below it quickly. The last
value is held a few intervals. Dense smoke (``smoke_sure_db_m``) with rising heat needs no second value.

**Together with others** (CO or temperature rising in the last five minutes) the threshold is lower and
the time half. Smoke with steam and without heat or much CO looks like cooking and waits for
``cooking_wait_s``. While somebody has muted the detector, fresh smoke needs 4 %/ft.

Optical density in dB/m is 10 × base-10 density per metre; from obscuration o in %/ft it is
−10·log10(1 − o/100)/0.3048 [D]. EN 54-7 / EN 14604 begin at 0.05 dB/m [S], UL 217 takes 0.5–4.0 %/ft
= 0.07–0.58 dB/m [M].
"""

from __future__ import annotations

from edge.alarms import causes
from edge.alarms.limits import FULL, NEVER, US_PER_HOUR, US_PER_MIN, US_PER_S
from edge.alarms.state import State
from edge.wire.readings import Flag

#: Values that make the first estimate of clean air.
_FIRST_VALUES = 10
#: In the first hour clean air is still being learnt, and followed this fast [D].
_LEARN_US = US_PER_HOUR
_LEARN_PER_US = 0.1 / US_PER_HOUR
#: Downwards it is safe to follow faster: it only makes the detector keener [D].
_DOWN_PER_US = 0.02 / US_PER_HOUR
#: No clean air reads less than this; below it the channel is out of range [D].
_BASE_MIN, _LOWEST = -0.2, -0.3
#: Until two values are known, sampling is taken to be this far apart.
_INTERVAL_GUESS_US = 10 * US_PER_S
#: A value is held for this many intervals, within bounds [D].
_HOLD_INTERVALS, _HOLD_MIN_US, _HOLD_MAX_US = 3, 15 * US_PER_S, 15 * US_PER_MIN
#: Confirmation in intervals at the threshold, and at least, however dense the smoke.
_CONFIRM_INTERVALS, _SHORTEST_INTERVALS = 1.25, 1.05
#: A value that no other followed counts after this many intervals, at most twice the longest bound.
_ALONE_INTERVALS = 2.5
#: Evidence from another sense counts this long; steam this long.
SUPPORT_US = 5 * US_PER_MIN
STEAM_US = 10 * US_PER_MIN
#: CO that cooking on a sound stove does not make [D].
_BEYOND_COOKING_PPM = 60.0
#: Roughness is half the mean change of the change (about the noise's sigma; a ramp has none), over 16
#: values, each counted up to the last of these. From the first on single values are not believed, from
#: the second on the channel is at fault, below the third no longer [D].
_ROUGH, _NOISY, _SMOOTH_AGAIN, _ROUGHEST = 0.05, 0.08, 0.04, 0.2
_ROUGH_VALUES = 16
#: Changes below this are not worth an addition.
_TRACE = 0.01
#: Then a mean of about five values has to pass the threshold and this many times the roughness.
_ROUGH_SHARE, _ROUGH_MARGIN = 0.2, 1.5
#: One repeated value is only unlikely from here on: many sensors say 0 for months [D].
_STUCK_DB_M = 0.05
#: Standing at the end of the scale this long is a fault besides the alarm [D].
_SATURATED_US = US_PER_HOUR
#: Cleaning is no longer needed when clean air reads below this share of the bound.
_CLEANED = 0.8
_SMOKE_FAULTS = (
    causes.SMOKE_OFFSET | causes.SMOKE_SATURATED | causes.SMOKE_OUT_OF_RANGE | causes.SMOKE_STUCK
)


def hear(state: State, od: float, now: int) -> None:
    """A new value; time has already been advanced to ``now``."""
    saturated = state.settings.smoke_saturated_db_m
    if state.od_seen == 0 or (state.od_base >= saturated > od):
        _first(state, od, now)
        return
    elapsed = now - state.od_us
    interval = state.od_interval_us
    if elapsed <= 0:
        pass  # a batch that arrived at once says nothing of the sampling
    elif elapsed < interval:
        state.od_interval_us = (interval + elapsed) >> 1
    elif elapsed > interval:
        # one long gap (a radio that lost a frame) must not slow the confirmation down
        state.od_interval_us = interval + ((min(elapsed, 4 * interval) - interval) >> 3)
    move = od - state.od_db_m  # type: ignore[operator]  # known since the first value
    if move:
        state.od_same_us = now
    above = od - state.od_base
    turn = move - state.od_move
    state.od_move = move
    if state.od_rough > _TRACE or turn > _TRACE or turn < -_TRACE:
        above = _judge_noise(state, od, turn) - state.od_base
    quiet = state.settings.smoke_db_m * state.settings.smoke_clear_ratio
    state.od_db_m = od
    if state.od_dose or state.od_rate > 0 or above >= quiet or state.causes & causes.SMOKE_LEVEL:
        _judge_level(state, above, now)
    else:
        state.od_until_us = now + _HOLD_MIN_US
    state.od_us = now
    if above < quiet:
        _follow_clean_air(state, above, elapsed, now)
    if state.faults & _SMOKE_FAULTS or od <= _LOWEST or now - state.od_same_us > _SATURATED_US:
        _judge_channel(state, od, now)


def _first(state: State, od: float, now: int) -> None:
    settings = state.settings
    base = od
    if od >= settings.smoke_saturated_db_m:
        state.faults |= causes.SMOKE_SATURATED
    elif od >= settings.smoke_drift_max_db_m + settings.smoke_db_m:
        # Dense from the first value on: more likely a bad channel than a fire. It is a fault, and
        # any rise from here is still smoke.
        state.faults |= causes.SMOKE_OFFSET
    else:
        base = max(_BASE_MIN, min(od, settings.smoke_drift_max_db_m))
    state.od_db_m, state.od_base, state.od_seen = od, base, 1
    state.od_smooth, state.od_move = od, 0.0
    state.faults &= ~causes.SMOKE_SATURATED if od < settings.smoke_saturated_db_m else -1
    state.od_us = state.od_same_us = state.od_born_us = state.od_seg_us = now
    state.od_interval_us = state.interval_us or _INTERVAL_GUESS_US
    state.od_until_us = now + _HOLD_MIN_US
    state.od_rate = 0
    if od <= _LOWEST:
        state.faults |= causes.SMOKE_OUT_OF_RANGE
    _note_cleaning(state)


def _judge_level(state: State, above: float, now: int) -> None:
    """Close the running segment of the dose and start one at the new level."""
    quiet = state.settings.smoke_db_m * state.settings.smoke_clear_ratio
    if state.od_alone_rate:
        if above >= quiet:
            state.od_rate = state.od_alone_rate
        state.od_alone_rate = 0
    state.od_dose = dose_at(state, now)
    state.od_seg_us = now
    unknown = state.od_until_us < now
    interval = state.od_interval_us
    state.od_until_us = now + max(_HOLD_MIN_US, min(_HOLD_INTERVALS * interval, _HOLD_MAX_US))
    rate = _rate_of(state, above, now)
    if rate > 0 and not state.od_dose:
        rate = _alone(state, rate, above, now)
    state.od_rate = rate
    if above >= quiet:
        state.od_low_us = NEVER
    else:
        if state.od_low_us == NEVER or unknown:
            state.od_low_us = now
        # a device that reports on change says "clean" once and then nothing
        state.od_until_us = max(state.od_until_us, now + state.limits.smoke_clear_us)
    plan(state)


def _alone(state: State, rate: int, above: float, now: int) -> int:
    """The slower rate of a first high value, until the next one bears it out."""
    if above >= state.settings.smoke_sure_db_m and now - state.heat_support_us <= SUPPORT_US:
        return rate
    wait_us = min(int(_ALONE_INTERVALS * state.od_interval_us), 2 * state.limits.smoke_confirm_max_us)
    state.od_alone_rate = rate
    return min(rate, FULL // max(wait_us, 1))


def _rate_of(state: State, above: float, now: int) -> int:
    settings, limits = state.settings, state.limits
    interval = state.od_interval_us
    longest = max(
        limits.smoke_confirm_min_us,
        min(int(_CONFIRM_INTERVALS * interval), limits.smoke_confirm_max_us),
        1,
    )
    supported = _supported(state, now)
    threshold = settings.smoke_supported_db_m if supported else settings.smoke_db_m
    if state.flags & Flag.MUTED and now - state.mute_us < limits.mute_max_us:
        threshold = max(threshold, settings.smoke_muted_db_m)
    if above < threshold:
        return -FULL // (longest if above < 0.5 * threshold else 4 * longest)
    shortest = min(int(_SHORTEST_INTERVALS * interval), longest)
    if above >= settings.smoke_sure_db_m and now - state.heat_support_us <= SUPPORT_US:
        shortest = min(shortest, limits.smoke_sure_us)
    time_us = max(int(longest * threshold / above), shortest)
    if supported:
        time_us >>= 1
    elif _looks_like_cooking(state, above, now):
        time_us = max(time_us, limits.cooking_wait_us)
    return FULL // max(time_us, 1)


def _supported(state: State, now: int) -> bool:
    """Whether another sense rises too. With steam, CO of a stove being lit is part of cooking."""
    if now - state.heat_support_us <= SUPPORT_US:
        return True
    if now - state.support_us > SUPPORT_US:
        return False
    return now - state.steam_us > STEAM_US or (state.co_ppm or 0.0) >= _BEYOND_COOKING_PPM


def _looks_like_cooking(state: State, above: float, now: int) -> bool:
    """Steam in the last minutes and no dense smoke; asked only where no other sense supports it."""
    return now - state.steam_us <= STEAM_US and above < state.settings.cooking_max_db_m


def _follow_clean_air(state: State, above: float, elapsed: int, now: int) -> None:
    settings = state.settings
    if state.od_seen < _FIRST_VALUES:
        state.od_seen += 1
        base = state.od_base + above / state.od_seen
    elif above < 0.0:
        # far below what we took for clean air: the old estimate was wrong, and only cost keenness
        down = _LEARN_PER_US if now - state.od_born_us < _LEARN_US else _DOWN_PER_US
        base = state.od_base - min(-above, down * elapsed)
        if state.faults & causes.SMOKE_OFFSET:
            base = state.od_base + 0.5 * above
    else:
        up = state.limits.smoke_drift_per_us
        if now - state.od_born_us < _LEARN_US:
            up = _LEARN_PER_US
        base = state.od_base + min(above, up * elapsed)
    high = settings.smoke_drift_max_db_m
    if base >= high or base <= _BASE_MIN or state.causes & causes.NEEDS_CLEANING:
        if not state.faults & (causes.SMOKE_OFFSET | causes.SMOKE_SATURATED):
            base = max(_BASE_MIN, min(base, high))
        state.od_base = base
        _note_cleaning(state)
    else:
        state.od_base = base


def _note_cleaning(state: State) -> None:
    high = state.settings.smoke_drift_max_db_m
    if state.od_base >= high:
        state.causes |= causes.NEEDS_CLEANING
    elif state.od_base < _CLEANED * high:
        state.causes &= ~causes.NEEDS_CLEANING


def _judge_noise(state: State, od: float, turn: float) -> float:
    """Follow the roughness; the level to believe: the value itself, or less if the channel jumps."""
    rough = state.od_rough
    if not state.causes & causes.SMOKE_LEVEL:
        # smoke itself is turbulent; it must not talk us out of the alarm it raised
        rough += (min(abs(turn) * 0.5, _ROUGHEST) - rough) / _ROUGH_VALUES
        state.od_rough = rough
        if rough >= _NOISY:
            state.faults |= causes.SMOKE_NOISY
        elif rough < _SMOOTH_AGAIN:
            state.faults &= ~causes.SMOKE_NOISY
    if rough < _ROUGH:
        state.od_smooth = od
        return od
    state.od_smooth += _ROUGH_SHARE * (od - state.od_smooth)
    return min(od, state.od_smooth - _ROUGH_MARGIN * rough)


def _judge_channel(state: State, od: float, now: int) -> None:
    settings = state.settings
    faults = state.faults & ~(causes.SMOKE_OUT_OF_RANGE | causes.SMOKE_STUCK)
    if od <= _LOWEST:
        faults |= causes.SMOKE_OUT_OF_RANGE
    same_us = now - state.od_same_us
    if od >= settings.smoke_saturated_db_m:
        if same_us > _SATURATED_US:
            faults |= causes.SMOKE_SATURATED
    else:
        faults &= ~causes.SMOKE_SATURATED
        if same_us > state.limits.stuck_us and abs(od) >= _STUCK_DB_M:
            faults |= causes.SMOKE_STUCK
    if faults & causes.SMOKE_OFFSET and od < settings.smoke_drift_max_db_m:
        faults &= ~causes.SMOKE_OFFSET
    state.faults = faults


def dose_at(state: State, at: int) -> int:
    """The confirmation at a moment of the running segment."""
    elapsed = max(0, min(at, state.od_until_us) - state.od_seg_us)
    return max(0, min(FULL, state.od_dose + state.od_rate * elapsed))


def _fills_at(state: State) -> int:
    if state.od_rate <= 0 or state.causes & causes.SMOKE_LEVEL:
        return NEVER
    at = state.od_seg_us - (-(FULL - state.od_dose) // state.od_rate)
    return at if at <= state.od_until_us else NEVER


def _clears_at(state: State) -> int:
    if not state.causes & causes.SMOKE_LEVEL or state.od_low_us == NEVER:
        return NEVER
    at = state.od_low_us + state.limits.smoke_clear_us
    return at if at <= state.od_until_us else NEVER


def plan(state: State) -> None:
    """Set when time alone will next change anything about smoke."""
    state.od_due_us = min(_fills_at(state), _clears_at(state))


def advance(state: State, now: int) -> list[tuple[int, int, int]]:
    """Let time pass to ``now``: ``(at_us, bits of causes set, bits cleared)`` in order of time."""
    turns: list[tuple[int, int, int]] = []
    if (at := _fills_at(state)) <= now:
        state.causes |= causes.SMOKE_LEVEL
        turns.append((at, causes.SMOKE_LEVEL, 0))
    if (at := _clears_at(state)) <= now:
        state.causes &= ~causes.SMOKE_LEVEL
        state.od_dose, state.od_rate, state.od_seg_us = 0, 0, at
        turns.append((at, 0, causes.SMOKE_LEVEL))
    plan(state)
    return turns
