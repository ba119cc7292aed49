"""Heat: a fixed temperature, and a lower one while it rises fast.

EN 54-5 classes [S]: A1 answers at 54–65 °C, A2 54–70, B 69–85. A real A1 detector alarms at 56 °C when
the rise is below 4 °C/min and at 46 °C from 4 °C/min on [S]. A rise alone never alarms: a stove being
lit, or a warm room coming back after −40 °C came in through the door, rises fast but stays below 46 °C.

The rise is the distance to a mean that lags by one minute (τ = 60 s): in a steady ramp it is exactly
the ramp, at any sampling. It is confirmed by a second value or 1.05 sampling intervals, whichever comes
first; ten degrees above the fixed temperature by at most 15 s.
"""

from __future__ import annotations

from edge.alarms import causes
from edge.alarms.limits import NEVER, US_PER_MIN, US_PER_S
from edge.alarms.state import State

#: Time constant of the lagging mean [D].
TAU_US = 60 * US_PER_S
#: Confirmation in sampling intervals and its bounds [D].
_CONFIRM_INTERVALS = 1.05
_CONFIRM_MIN_US, _CONFIRM_MAX_US, _CONFIRM_SURE_US = 2 * US_PER_S, 75 * US_PER_S, 15 * US_PER_S
_SURE_C = 10.0
_INTERVAL_GUESS_US = 10 * US_PER_S
#: Below this no condition can hold, whatever the class.
_NEVER_HOT_C = 35.0
#: It clears this far below the lower of the two temperatures [D].
_CLEAR_C = 6.0
#: What no room with a detector in it can honestly be; a first value above the third is a bad channel.
_COLDEST_C, _HOTTEST_C, _FIRST_HOTTEST_C = -60.0, 600.0, 150.0
#: "Temperature rises too", as support for smoke [D]: this fast, and this much above its own mean of
#: half an hour, so that warmth coming back after the door was open is none.
_SUPPORT_C_PER_US, _SUPPORT_C, _USUAL_US = 3.0 / US_PER_MIN, 4.0, 30 * US_PER_MIN


def hear(state: State, celsius: float, now: int) -> None:
    """A new value; time has already been advanced to ``now``."""
    held = state.temperature_c
    if not _COLDEST_C <= celsius <= _HOTTEST_C or (held is None and celsius > _FIRST_HOTTEST_C):
        state.faults |= causes.TEMPERATURE_OUT_OF_RANGE
        state.temperature_us = now
        return
    if held is None:
        state.temperature_slow_c = state.temperature_usual_c = celsius
        state.temperature_interval_us = state.interval_us or _INTERVAL_GUESS_US
    else:
        elapsed = now - state.temperature_us
        interval = state.temperature_interval_us
        if elapsed <= 0:
            pass  # a batch that arrived at once says nothing of the sampling
        elif elapsed < interval:
            state.temperature_interval_us = (interval + elapsed) >> 1
        elif elapsed > interval:
            state.temperature_interval_us = interval + ((min(elapsed, 4 * interval) - interval) >> 3)
        slow = state.temperature_slow_c
        state.temperature_slow_c = slow + (celsius - slow) * (elapsed / (TAU_US + elapsed))
        usual = state.temperature_usual_c
        state.temperature_usual_c = usual + (celsius - usual) * (elapsed / (_USUAL_US + elapsed))
    state.temperature_c = celsius
    state.temperature_us = now
    state.faults &= ~causes.TEMPERATURE_OUT_OF_RANGE
    rise = rise_c_per_us(state)
    if rise >= _SUPPORT_C_PER_US and celsius - state.temperature_usual_c >= _SUPPORT_C:
        state.support_us = state.heat_support_us = now
    if celsius >= _NEVER_HOT_C or state.hot_us != NEVER or state.causes & causes.HEAT_LEVEL:
        _judge(state, celsius, rise, now)


def rise_c_per_us(state: State) -> float:
    """How fast the temperature rises, °C per µs."""
    if state.temperature_c is None:
        return 0.0
    return (state.temperature_c - state.temperature_slow_c) / TAU_US


def _judge(state: State, celsius: float, rise: float, now: int) -> None:
    limits = state.limits
    hot = celsius >= limits.heat_static_c or (
        celsius >= limits.heat_rising_c and rise >= limits.heat_rise_c_per_us
    )
    if state.causes & causes.HEAT_LEVEL:
        if celsius < limits.heat_rising_c - _CLEAR_C:
            state.causes &= ~causes.HEAT_LEVEL
            state.hot_us = NEVER
    elif not hot:
        state.hot_us = NEVER
    elif state.hot_us == NEVER:
        state.hot_us = now
    elif now > state.hot_us:
        state.causes |= causes.HEAT_LEVEL
    plan(state)


def plan(state: State) -> None:
    """Set when time alone will next change anything about heat."""
    if state.hot_us == NEVER or state.causes & causes.HEAT_LEVEL:
        state.heat_due_us = NEVER
        return
    wait = max(
        _CONFIRM_MIN_US,
        min(int(_CONFIRM_INTERVALS * state.temperature_interval_us), _CONFIRM_MAX_US),
    )
    if state.temperature_c is not None and state.temperature_c >= state.limits.heat_static_c + _SURE_C:
        wait = min(wait, _CONFIRM_SURE_US)
    state.heat_due_us = state.hot_us + wait


def advance(state: State) -> list[tuple[int, int, int]]:
    """What the passing of time to ``heat_due_us`` confirms."""
    at = state.heat_due_us
    state.causes |= causes.HEAT_LEVEL
    plan(state)
    return [(at, causes.HEAT_LEVEL, 0)]
