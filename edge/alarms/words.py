"""Reasons a person can read, and the numbers behind them."""

from __future__ import annotations

from edge.alarms import causes, co, heat, trouble
from edge.alarms.limits import US_PER_HOUR, US_PER_MIN
from edge.alarms.state import Active, State
from edge.wire.messages import AlarmKind, Numbers
from edge.wire.readings import Flag

_OWN_WORD: dict[AlarmKind, str] = {
    "smoke": "the detector's own smoke alarm sounds",
    "co": "the detector's own CO alarm sounds",
    "heat": "the detector's own heat alarm sounds",
}
CALM: dict[AlarmKind, str] = {
    "smoke": "the smoke is gone",
    "co": "the CO is gone",
    "heat": "the heat is gone",
    "co_exposure": "the CO means are below their limits again",
    "test": "the test is over",
    "low_battery": "the battery is charged or changed",
    "tamper": "the detector is closed and in its place",
    "fault": "the device works again",
    "end_of_life": "the sensor's life is no longer over",
    "needs_cleaning": "clean air reads clean again",
    "lost": "the device is heard again",
    "never_seen": "the device is heard for the first time",
}


def rising(state: State, kind: AlarmKind, at: int, *, level: bool, own: bool) -> str:
    """Why a fire or CO alarm is raised."""
    text = _level(state, kind, at) if level else _OWN_WORD[kind]
    if level and own:
        text += f", and {_OWN_WORD[kind]}"
    if kind == "smoke" and state.flags & Flag.MUTED:
        text += "; somebody has muted it"
    if kind == "co" and level and state.faults & causes.CO_FAULTS:
        text += "; the channel is doubtful, treat it as real"
    return text


def _level(state: State, kind: AlarmKind, at: int) -> str:
    if kind == "smoke":
        above = (state.od_db_m or 0.0) - state.od_base
        text = f"smoke of {above:.2f} dB/m above clean air, confirmed"
        if at - state.support_us <= 5 * US_PER_MIN:
            text += " together with rising CO or temperature"
        return text
    if kind == "co":
        return (
            f"CO of {state.co_ppm or 0.0:.0f} ppm: the dose of {state.limits.co_name} is reached "
            f"(about {co.cohb_at(state, at):.0f} % COHb at heavy work)"
        )
    rise = heat.rise_c_per_us(state) * US_PER_MIN
    return f"{state.temperature_c or 0.0:.0f} °C, rising {rise:.0f} °C per minute"


def trouble_reason(state: State, kind: AlarmKind, at: int) -> str:
    """Why any other alarm is raised."""
    if kind == "low_battery":
        return _battery(state)
    if kind == "fault":
        return causes.fault_reason(state.faults, bool(state.flags & Flag.FAULT))
    if kind == "lost":
        if state.causes & causes.NETWORK_SAYS_GONE:
            return "its network says that the device is gone"
        hours = (at - state.heard_us) / US_PER_HOUR
        return f"nothing was heard for {hours:.1f} h, longer than its deadline"
    if kind == "never_seen":
        hours = (at - state.born_us) / US_PER_HOUR
        return f"nothing was ever heard of this registered device in {hours:.1f} h"
    if kind == "co_exposure":
        means = co.who_means(state.co_quarters)
        over = [f"{means[name]:.1f} ppm over {name}" for name in co.exceeded(means)]
        return f"CO means above the WHO's: {', '.join(over)}; a stove or chimney leaks"
    return _PLAIN[kind]


_PLAIN: dict[AlarmKind, str] = {
    "tamper": "the detector was opened or taken down",
    "end_of_life": "the sensor's life is over: replace the detector",
    "needs_cleaning": "clean air reads like smoke: the smoke chamber is dirty",
    "test": "the detector is being tested",
}


def _battery(state: State) -> str:
    if state.flags & Flag.BATTERY_LOW:
        text = "the detector says that its battery is low"
    else:
        text = "the battery is low"
    if state.battery_pct is not None:
        text += f": {state.battery_pct:.0f} %"
    left = trouble.days_left(state)
    if left is not None:
        text += f", about {left:.0f} days left"
    return text


def numbers(state: State, kind: AlarmKind, at: int, active: Active | None) -> Numbers:
    """The numbers behind a transition."""
    values: Numbers = {}
    if kind in ("smoke", "co", "heat"):
        if state.co_ppm is not None:
            values["co_ppm"] = state.co_ppm
        if kind == "co" and state.co_ppm is not None:
            values["cohb_pct"] = round(co.cohb_at(state, at), 1)
        if state.od_db_m is not None:
            values["optical_density_db_m"] = state.od_db_m
            values["clean_air_db_m"] = round(state.od_base, 4)
        if state.temperature_c is not None:
            values["temperature_c"] = state.temperature_c
            values["rise_c_per_min"] = round(heat.rise_c_per_us(state) * US_PER_MIN, 2)
        if active is not None:
            values["confidence"] = active.confidence
        if state.faults:
            values["faults"] = float(state.faults)
    elif kind == "low_battery":
        if state.battery_pct is not None:
            values["battery_pct"] = state.battery_pct
        left = trouble.days_left(state)
        if left is not None:
            values["days_left"] = round(left, 1)
    elif kind == "co_exposure":
        for name, mean in co.who_means(state.co_quarters).items():
            values[f"co_mean_{name.replace(' ', '_')}_ppm"] = round(mean, 1)
    elif kind == "needs_cleaning":
        values["clean_air_db_m"] = round(state.od_base, 4)
    elif kind == "lost":
        values["silent_s"] = round((at - state.heard_us) / 1e6, 1)
    elif kind == "fault":
        values = _channels(state)
    return values


def _channels(state: State) -> Numbers:
    values: Numbers = {}
    if state.co_ppm is not None:
        values["co_ppm"] = state.co_ppm
    if state.od_db_m is not None:
        values["optical_density_db_m"] = state.od_db_m
    if state.temperature_c is not None:
        values["temperature_c"] = state.temperature_c
    return values


def peak(active: Active) -> Numbers:
    """The extremes since the raise."""
    extremes = {
        "co_ppm": active.peak_co_ppm,
        "optical_density_db_m": active.peak_optical_density_db_m,
        "temperature_c": active.peak_temperature_c,
    }
    return {name: value for name, value in extremes.items() if value is not None}
