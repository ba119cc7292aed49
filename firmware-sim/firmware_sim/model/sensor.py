"""What a cheap detector makes of the air: lag, drift, noise, its own alarm, its battery.

Deterministic: noise is a function of the seed and the number of the sample.

Limits of the detector's own alarm, all [M] but for the windows: smoke from 0.15 dB/m held 3 s, off
below 0.10; CO by the windows of EN 50291 (50 ppm 60 to 90 min, 100 ppm 10 to 40 min, 300 ppm within
3 min), each sounded inside its window; heat at 57 °C, off below 50 °C (EN 54-5 class A1: 54 to 65 °C).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from firmware_sim.model.air import HomeState

#: Smoke has to find its way into the chamber. [M]
SMOKE_LAG_S = 5.0
#: An electrochemical cell answers to 90 % in about a minute and a half. [M]
CO_LAG_S = 35.0
HEAT_LAG_S = 15.0
#: What the cheap parts can say at most: 50 dB/m is 5 per metre, where laboratory beams end too.
HIGHEST_DENSITY_DB_M = 50.0
HIGHEST_CO_PPM = 5_000.0
#: Above this the thermistor says no more. [M]
HIGHEST_TEMPERATURE_C = 125.0

SMOKE_ON_DB_M, SMOKE_OFF_DB_M, SMOKE_HELD_S = 0.15, 0.10, 3.0
HEAT_ON_C, HEAT_OFF_C = 57.0, 50.0
#: (ppm, minutes it must last): inside the windows of EN 50291.
CO_WINDOWS: tuple[tuple[float, float], ...] = ((50.0, 75.0), (100.0, 25.0), (300.0, 1.0))
CO_OFF_PPM = 40.0

#: A sealed ten-year battery; the voltage of lithium falls late. [M]
BATTERY_LIFE_S = 10 * 365.25 * 24 * 3600.0
BATTERY_LOW_PCT = 10.0
_S_PER_YEAR = 365.25 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Traits:
    """How one specimen differs from the next: drawn once from its seed."""

    seed: int
    density_zero_db_m: float
    density_drift_db_m_per_year: float
    co_zero_ppm: float
    co_drift_ppm_per_year: float
    co_gain: float
    temperature_offset_c: float
    battery_pct: float
    #: noise, one standard deviation
    density_noise_db_m: float = 0.003
    co_noise_ppm: float = 0.4
    temperature_noise_c: float = 0.05


@dataclass(frozen=True, slots=True)
class SensorState:
    """A sensor at a moment. ``over_s`` counts, per CO window, how long its ppm has been exceeded."""

    traits: Traits
    age_s: float = 0.0
    samples: int = 0
    density_db_m: float = 0.0
    co_ppm: float = 1.0
    temperature_c: float = 18.0
    smoke_over_s: float = 0.0
    over_s: tuple[float, ...] = (0.0,) * len(CO_WINDOWS)
    smoke_alarm: bool = False
    co_alarm: bool = False
    heat_alarm: bool = False


@dataclass(frozen=True, slots=True)
class Sensed:
    """One sample, in the units of the wire, with the detector's own alarms."""

    optical_density_db_m: float
    co_ppm: float
    temperature_c: float
    battery_pct: float
    battery_v: float
    smoke_alarm: bool
    co_alarm: bool
    heat_alarm: bool


def specimen(seed: int, *, age_years: float = 0.0) -> SensorState:
    """A sensor as it came off the line, ``age_years`` ago. The same seed gives the same one."""
    draw = random.Random(seed)
    traits = Traits(
        seed=seed,
        density_zero_db_m=draw.gauss(0.004, 0.002),
        density_drift_db_m_per_year=abs(draw.gauss(0.004, 0.002)),
        co_zero_ppm=draw.gauss(0.0, 0.5),
        co_drift_ppm_per_year=draw.gauss(0.0, 0.8),
        co_gain=draw.gauss(1.0, 0.03),
        temperature_offset_c=draw.gauss(0.0, 0.4),
        battery_pct=draw.uniform(90.0, 100.0),
    )
    return SensorState(traits=traits, age_s=age_years * _S_PER_YEAR)


def battery_pct(state: SensorState) -> float:
    """Charge left after the sensor's age, in per cent."""
    return max(0.0, state.traits.battery_pct - 100.0 * state.age_s / BATTERY_LIFE_S)


def battery_v(charge_pct: float) -> float:
    """Voltage of a lithium cell: nearly flat, then falling in the last fifth. [M]"""
    if charge_pct >= 20.0:
        return 2.85 + 0.15 * (charge_pct - 20.0) / 80.0
    return 2.30 + 0.55 * charge_pct / 20.0


def sense(state: SensorState, air: HomeState, dt_s: float) -> tuple[SensorState, Sensed]:
    """The sensor ``dt_s`` seconds later in that air, and its sample."""
    traits = state.traits
    followed = replace(
        state,
        age_s=state.age_s + dt_s,
        samples=state.samples + 1,
        density_db_m=_lagged(state.density_db_m, air.optical_density_db_m, SMOKE_LAG_S, dt_s),
        co_ppm=_lagged(state.co_ppm, air.co_ppm, CO_LAG_S, dt_s),
        temperature_c=_lagged(state.temperature_c, air.temperature_c, HEAT_LAG_S, dt_s),
    )
    noise = random.Random((traits.seed << 40) ^ followed.samples)
    years = followed.age_s / _S_PER_YEAR
    density = (
        followed.density_db_m
        + traits.density_zero_db_m
        + traits.density_drift_db_m_per_year * years
        + noise.gauss(0.0, traits.density_noise_db_m)
    )
    co = (
        followed.co_ppm * traits.co_gain
        + traits.co_zero_ppm
        + traits.co_drift_ppm_per_year * years
        + noise.gauss(0.0, traits.co_noise_ppm)
    )
    temperature = (
        followed.temperature_c
        + traits.temperature_offset_c
        + noise.gauss(0.0, traits.temperature_noise_c)
    )
    judged = _judge(followed, density, co, temperature, dt_s)
    charge = battery_pct(judged)
    return judged, Sensed(
        optical_density_db_m=min(HIGHEST_DENSITY_DB_M, max(0.0, density)),
        co_ppm=min(HIGHEST_CO_PPM, max(0.0, co)),
        temperature_c=min(HIGHEST_TEMPERATURE_C, temperature),
        battery_pct=charge,
        battery_v=battery_v(charge),
        smoke_alarm=judged.smoke_alarm,
        co_alarm=judged.co_alarm,
        heat_alarm=judged.heat_alarm,
    )


def _lagged(value: float, target: float, lag_s: float, dt_s: float) -> float:
    return target + (value - target) * math.exp(-dt_s / lag_s)


def _judge(
    state: SensorState, density_db_m: float, co_ppm: float, temperature_c: float, dt_s: float
) -> SensorState:
    """The detector's own alarms, as its firmware decides them."""
    smoke_over_s = state.smoke_over_s + dt_s if density_db_m >= SMOKE_ON_DB_M else 0.0
    over_s = tuple(
        before + dt_s if co_ppm >= limit else 0.0
        for before, (limit, _) in zip(state.over_s, CO_WINDOWS, strict=True)
    )
    co_due = any(
        lasted >= minutes * 60.0 for lasted, (_, minutes) in zip(over_s, CO_WINDOWS, strict=True)
    )
    return replace(
        state,
        smoke_over_s=smoke_over_s,
        over_s=over_s,
        smoke_alarm=smoke_over_s >= SMOKE_HELD_S
        or (state.smoke_alarm and density_db_m >= SMOKE_OFF_DB_M),
        co_alarm=co_due or (state.co_alarm and co_ppm >= CO_OFF_PPM),
        heat_alarm=temperature_c >= HEAT_ON_C or (state.heat_alarm and temperature_c >= HEAT_OFF_C),
    )
