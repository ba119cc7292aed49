"""Carbon monoxide: a dose that satisfies every window of a standard, COHb, and the WHO means.

**Dose.** One integer per detector. It grows or shrinks at a rate that depends on the held value only
and never falls with it (``limits.CoProfile``); it stays between 0 and ``FULL``. For a constant value
it is full inside that row's window; for any exposure that stays at or above a row's ppm for the row's
longest time it is full by then, and for one that never exceeded a row's ppm it is not full before the
row's shortest time. It is kept as segments and whole numbers, so neither the number of samples nor a
restart changes when it fills; the moment of filling is computed, not found by looking.

The last value is held for ``co_hold_s``; after that the dose stands still until the next value.

**COHb** by the linear Coburn–Forster–Kane equation [S equation; M constants]:
%COHb = C0·e^(−t/(2398·B)) + 218·(1 − e^(−t/(2398·B)))·(0.007·B + ppm/1316), t in minutes. It is an
estimate for triage, never a diagnosis, and decides nothing.

**WHO** indoor means [M]: 100 mg/m³ 15 min, 35 1 h, 10 8 h, 7 24 h = 85.9 / 30.1 / 8.59 / 6.01 ppm at
20 °C [D], from quarters of an hour of the alarm timeline; a mean counts from 75 % coverage on [D].
"""

from __future__ import annotations

from math import exp

from edge.alarms import causes
from edge.alarms.limits import FULL, NEVER, US_PER_MIN
from edge.alarms.state import State

#: Quarter, window in quarters, limit in ppm.
WHO_MEANS: tuple[tuple[str, int, float], ...] = (
    ("15 min", 1, 85.9), ("1 h", 4, 30.1), ("8 h", 32, 8.59), ("24 h", 96, 6.01),
)  # fmt: skip
QUARTER_US = 15 * US_PER_MIN
_QUARTERS = 96
#: A mean needs this share of its window measured [D].
_COVERAGE = 0.75
#: The notice ends when every mean is below this share of its limit [D].
_EXPOSURE_CLEAR = 0.8
#: Quarters are stored as tenths of ppm in 16 bits; this one means "not measured".
_UNKNOWN = 0xFFFF
_HIGHEST_MEAN_PPM = 6500.0
#: Below this held value no mean can newly pass its limit, so nobody needs to be woken for it.
_WAKE_PPM = 4.0

#: What an electrochemical cell for homes cannot honestly say [D].
_LOWEST_PPM, _HIGHEST_PPM = -20.0, 20_000.0
#: A jump up and down by this much, this often in a row, is noise [D].
_NOISE_PPM, _NOISE_FLIPS = 60.0, 20
#: One repeated value is only unlikely from here on: many sensors say 0 or 1 for days [D].
_STUCK_PPM = 10.0
#: A channel that started high is believed again below this [D].
_BELIEVED_PPM = 30.0
#: "CO rises too": this much, and this much above its own slow mean of 15 min; a stove being lit gives
#: less, most evenings [D].
_SUPPORT_PPM, _SUPPORT_RISE_PPM, _SLOW_US = 30.0, 20.0, 15 * US_PER_MIN

_WATCHED = causes.CO_DOSE | causes.CO_EXPOSURE


def cohb_after(start_pct: float, ppm: float, minutes: float, b: float) -> float:
    """%COHb after ``minutes`` at a constant ``ppm`` (Coburn–Forster–Kane, see the module)."""
    left = exp(-minutes / (2398.0 * b))
    return start_pct * left + 218.0 * (1.0 - left) * (0.007 * b + ppm / 1316.0)


def rate_of(state: State, ppm: float) -> int:
    """Dose per µs at ``ppm``."""
    limits = state.limits
    points, rates = limits.co_ppm, limits.co_rates
    if ppm <= points[0]:
        return rates[0]
    for n in range(1, len(points)):
        if ppm < points[n]:
            low, rate = points[n - 1], rates[n - 1]
            slope = (rates[n] - rate) / (points[n] - low)
            return min(int(rate + (ppm - low) * slope // 1), rates[n])
    return rates[-1]


def hear(state: State, ppm: float, now: int) -> None:
    """A new value; time has already been advanced to ``now``."""
    held = state.co_ppm
    if ppm == held and now <= state.co_until_us:
        state.co_until_us = now + state.limits.co_hold_us
        if now - state.co_seg_us > state.limits.stuck_us and ppm >= _STUCK_PPM:
            state.faults |= causes.CO_STUCK
        if state.co_rate > 0 or state.causes & _WATCHED or ppm > _WAKE_PPM:
            plan(state)
        return
    if held is None:
        _first(state, ppm, now)
        known_until = now
    else:
        known_until = min(now, state.co_until_us)
        _close_segment(state, known_until)
        _notice_support(state, held, ppm, now)
    state.co_ppm = ppm
    if state.co_dose or ppm > state.limits.co_neutral_ppm:
        state.co_rate = rate_of(state, ppm)
    else:
        state.co_rate = -1  # an empty dose stays empty, however fast
    if ppm >= state.limits.co_clear_ppm:
        state.co_low_us = NEVER
    elif state.co_low_us == NEVER or known_until < now:
        state.co_low_us = now
    state.co_seg_us = state.co_counted_us = now
    state.co_until_us = now + state.limits.co_hold_us
    _judge_channel(state, ppm, held)
    if state.co_rate > 0 or ppm > _WAKE_PPM or state.causes & _WATCHED:
        plan(state)
    else:
        state.co_due_us = NEVER


def resettle(state: State, now: int, old_hold_us: int) -> None:
    """New settings in mid-exposure: what was breathed stays, from now on the new rates count."""
    if state.co_ppm is None:
        return
    until = min(now, state.co_until_us)
    if until > state.co_seg_us:
        _close_segment(state, until)
        state.co_seg_us = until
    held_us = state.co_until_us - old_hold_us + state.limits.co_hold_us
    state.co_until_us = max(held_us, state.co_seg_us)
    state.co_rate = rate_of(state, state.co_ppm)
    plan(state)


def _first(state: State, ppm: float, now: int) -> None:
    state.co_slow_ppm = ppm
    state.co_quarter_us = now // QUARTER_US * QUARTER_US
    if ppm >= state.settings.co_doubt_ppm:
        state.faults |= causes.CO_STARTS_HIGH


def _close_segment(state: State, until: int) -> None:
    """Carry dose, COHb and the running quarter to ``until``, at most the end of the hold."""
    if until <= state.co_seg_us:
        return
    if state.co_dose or state.co_rate > 0:
        state.co_dose = dose_at(state, until)
    state.cohb_pct = cohb_at(state, until)
    _count(state, until)


def dose_at(state: State, at: int) -> int:
    """The dose at a moment of the running segment."""
    elapsed = min(at, state.co_until_us) - state.co_seg_us
    return max(0, min(FULL, state.co_dose + state.co_rate * elapsed))


def cohb_at(state: State, at: int) -> float:
    """The estimated %COHb at a moment of the running segment."""
    elapsed = min(at, state.co_until_us) - state.co_seg_us
    ppm = state.co_ppm
    if ppm is None or elapsed <= 0:
        return state.cohb_pct
    left = exp(-elapsed * state.limits.cohb_rate_per_us)
    level = 218.0 * (0.007 * state.settings.cohb_b + (ppm if ppm > 0.0 else 0.0) / 1316.0)
    return level + (state.cohb_pct - level) * left


def _notice_support(state: State, held: float, ppm: float, now: int) -> None:
    elapsed = now - state.co_seg_us
    slow = state.co_slow_ppm
    slow += (held - slow) * (elapsed / (_SLOW_US + elapsed))
    state.co_slow_ppm = slow
    if ppm >= _SUPPORT_PPM and ppm - slow >= _SUPPORT_RISE_PPM:
        state.support_us = now


def _judge_channel(state: State, ppm: float, held: float | None) -> None:
    faults = state.faults
    if faults & causes.CO_FAULTS:
        faults &= ~(causes.CO_STUCK | causes.CO_OUT_OF_RANGE)
        if ppm < _BELIEVED_PPM:
            faults &= ~causes.CO_STARTS_HIGH
    if not _LOWEST_PPM <= ppm <= _HIGHEST_PPM:
        faults |= causes.CO_OUT_OF_RANGE
    if held is not None:
        move = ppm - held
        if state.co_flips or not -_NOISE_PPM < move < _NOISE_PPM:
            faults = _judge_noise(state, move, faults)
    state.faults = faults


def _judge_noise(state: State, move: float, faults: int) -> int:
    flips = state.co_flips
    if (move >= _NOISE_PPM and flips <= 0) or (move <= -_NOISE_PPM and flips >= 0):
        # the sign of the count remembers the direction of the last jump
        count = min(abs(flips) + 1, _NOISE_FLIPS)
        state.co_flips = count if move > 0 else -count
        if count == _NOISE_FLIPS:
            faults |= causes.CO_NOISY
    elif flips:
        state.co_flips = flips - 1 if flips > 0 else flips + 1
        if not state.co_flips:
            faults &= ~causes.CO_NOISY
    return faults


def _fills_at(state: State) -> int:
    if state.co_rate <= 0 or state.causes & causes.CO_DOSE:
        return NEVER
    missing = FULL - state.co_dose
    at = state.co_seg_us + max(0, -(-missing // state.co_rate))
    return at if at <= state.co_until_us else NEVER


def _clears_at(state: State) -> int:
    if not state.causes & causes.CO_DOSE or state.co_low_us == NEVER:
        return NEVER
    at = state.co_low_us + state.limits.co_clear_us
    return at if at <= state.co_until_us else NEVER


def plan(state: State) -> None:
    """Set when time alone will next change anything about CO."""
    due = min(_fills_at(state), _clears_at(state))
    if state.settings.co_exposure:
        held = state.co_ppm
        if (held is not None and held > _WAKE_PPM) or state.causes & causes.CO_EXPOSURE:
            due = min(due, state.co_quarter_us + QUARTER_US)
    state.co_due_us = due


def advance(state: State, now: int) -> list[tuple[int, int, int]]:
    """Let time pass to ``now``: ``(at_us, bits of causes set, bits cleared)`` in order of time."""
    turns: list[tuple[int, int, int]] = []
    if (at := _fills_at(state)) <= now:
        state.causes |= causes.CO_DOSE
        turns.append((at, causes.CO_DOSE, 0))
    if (at := _clears_at(state)) <= now:
        state.causes &= ~causes.CO_DOSE
        turns.append((at, 0, causes.CO_DOSE))
    if state.settings.co_exposure and state.co_ppm is not None:
        turns.extend(_finish_quarters(state, now))
        turns.sort()
    plan(state)
    return turns


def _count(state: State, until: int) -> None:
    """Add the held value up to ``until`` to the running quarter."""
    until = min(until, state.co_until_us)
    elapsed = until - state.co_counted_us
    ppm = state.co_ppm
    if elapsed > 0 and ppm is not None:
        if ppm > 0.0:
            state.co_sum += int(min(ppm, _HIGHEST_MEAN_PPM) * 1000.0) * elapsed
        state.co_cover_us += elapsed
        state.co_counted_us = until


def _finish_quarters(state: State, now: int) -> list[tuple[int, int, int]]:
    turns: list[tuple[int, int, int]] = []
    end = state.co_quarter_us + QUARTER_US
    if now - end > _QUARTERS * QUARTER_US:
        # nothing older than a day is remembered
        _count(state, end)
        state.co_quarters, state.co_sum, state.co_cover_us = b"", 0, 0
        end = state.co_quarter_us = (now // QUARTER_US - _QUARTERS) * QUARTER_US
        end += QUARTER_US
    while end <= now:
        _count(state, end)
        mean = _UNKNOWN
        if state.co_cover_us >= _COVERAGE * QUARTER_US:
            mean = min(state.co_sum // (state.co_cover_us * 100), _UNKNOWN - 1)
        state.co_quarters = (state.co_quarters + mean.to_bytes(2, "big"))[-2 * _QUARTERS :]
        state.co_sum = state.co_cover_us = 0
        state.co_quarter_us = end
        turn = _judge_exposure(state)
        if turn:
            turns.append((end, *turn))
        end += QUARTER_US
    return turns


def who_means(quarters: bytes) -> dict[str, float]:
    """The WHO means in ppm that have enough coverage, by their window's name."""
    tenths = [
        int.from_bytes(quarters[n : n + 2], "big") for n in range(len(quarters) - 2, -1, -2)
    ]  # newest first
    means: dict[str, float] = {}
    for name, window, _ in WHO_MEANS:
        known = [value for value in tenths[:window] if value != _UNKNOWN]
        if len(known) >= _COVERAGE * window:
            means[name] = sum(known) / len(known) / 10.0
    return means


def exceeded(means: dict[str, float], share: float = 1.0) -> list[str]:
    """The windows whose mean is above that share of its limit."""
    return [name for name, _, limit in WHO_MEANS if means.get(name, 0.0) > share * limit]


def _judge_exposure(state: State) -> tuple[int, int] | None:
    means = who_means(state.co_quarters)
    if not state.causes & causes.CO_EXPOSURE:
        if exceeded(means):
            state.causes |= causes.CO_EXPOSURE
            return causes.CO_EXPOSURE, 0
    elif means and not exceeded(means, _EXPOSURE_CLEAR):
        state.causes &= ~causes.CO_EXPOSURE
        return 0, causes.CO_EXPOSURE
    return None
