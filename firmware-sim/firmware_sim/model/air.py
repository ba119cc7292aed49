"""The air of a home: smoke, carbon monoxide and heat, stepped through time.

Two layers share what enters: it rises under the roof and mixes downwards. Written as the mean m of the
whole volume V and the difference d between upper and lower layer, both are linear,

    m' = S/V − n·m            d' = S/(φV) − (n + 1/τ)·d        upper = m + (1 − φ)·d

with S the source, n the air changes per second, φ the upper layer's share, τ the mixing time. Over a
step with constant S they are solved exactly, so a step of any length is stable.

Heat: the air gains from the sources and loses to outside and to the contents; at a flaming fire the
plume's jet under the ceiling comes on top: ΔT = 16.9·Q^(2/3)/H^(5/3) K, Q in kW, H in m (Alpert 1972,
near the axis). [M]
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from firmware_sim.model.activities import Activity, Emission, emission, total
from firmware_sim.model.dwelling import GER, Dwelling, Outdoors

#: 1 mg/m³ of CO in ppm at 20 °C: molar volume 24.06 l over 28.01 g.
PPM_PER_MG_M3 = 24.06 / 28.01
#: Smoke settles and clumps beside being aired out, per hour. [M]
SMOKE_SETTLING_PER_H = 0.5
#: With a source in the air no step is longer than this, so that growing fires grow smoothly.
LIVELY_STEP_S = 1.0
#: Without one, the exact solution needs no more than this for the slow exchange with the contents.
QUIET_STEP_S = 60.0
#: Hotter gas than flames under a ceiling is a mistake of this model, not of the fire.
HOTTEST_C = 900.0
#: A fire burns on the floor or a bed, not at height 0. [M]
_FIRE_BASE_M = 0.4


@dataclass(frozen=True, slots=True)
class Layered:
    """A concentration in two layers: the mean of the volume and upper minus lower."""

    mean: float = 0.0
    difference: float = 0.0

    def upper(self, home: Dwelling) -> float:
        """Under the roof, where detectors hang."""
        return self.mean + (1.0 - home.upper_share) * self.difference


@dataclass(frozen=True, slots=True)
class HomeState:
    """A home at a moment: what goes on in it and what its air holds.

    ``smoke_per_m`` is the extinction coefficient k in 1/m (natural logarithm), ``co_mg_m3`` is CO above
    what comes in from outside, ``air_c`` and ``contents_c`` are temperatures.
    """

    at_s: float = 0.0
    home: Dwelling = GER
    outdoors: Outdoors = field(default_factory=Outdoors)
    activities: tuple[Activity, ...] = ()
    smoke_per_m: Layered = Layered()
    co_mg_m3: Layered = Layered()
    air_c: float = GER.usual_c
    contents_c: float = GER.usual_c
    fire_kw: float = 0.0

    @property
    def optical_density_db_m(self) -> float:
        """Optical density of the smoke under the roof, dB/m."""
        return 10.0 / math.log(10.0) * self.smoke_per_m.upper(self.home)

    @property
    def co_ppm(self) -> float:
        """CO under the roof, ppm by volume."""
        return self.outdoors.co_ppm + PPM_PER_MG_M3 * self.co_mg_m3.upper(self.home)

    @property
    def temperature_c(self) -> float:
        """What a thermometer under the roof sees: the air, and the fire's jet if one burns."""
        height_m = self.home.ceiling_m - _FIRE_BASE_M
        jet_k: float = 16.9 * self.fire_kw ** (2.0 / 3.0) / height_m ** (5.0 / 3.0)
        return min(HOTTEST_C, self.air_c + jet_k)

    @property
    def lively(self) -> bool:
        """Whether anything still enters or leaves the air faster than by leaking."""
        return any(each.started_s <= self.at_s < each.over_s() for each in self.activities)


def quiet_home(home: Dwelling, activities: tuple[Activity, ...] = ()) -> HomeState:
    """A home in its usual winter evening, nothing in the air yet."""
    return HomeState(home=home, activities=activities, air_c=home.usual_c, contents_c=home.usual_c)


def step(state: HomeState, dt_s: float) -> HomeState:
    """The home ``dt_s`` seconds later. Raises ``ValueError`` for a step back."""
    if dt_s < 0:
        raise ValueError(f"a step of {dt_s} s; expected 0 or more")
    end_s = state.at_s + dt_s
    while state.at_s < end_s:
        longest = LIVELY_STEP_S if state.lively else QUIET_STEP_S
        state = _substep(state, _up_to_the_next_start(state, min(longest, end_s - state.at_s)), end_s)
    return state


def _up_to_the_next_start(state: HomeState, dt_s: float) -> float:
    """A step that does not jump over the beginning of an activity."""
    starts = (each.started_s - state.at_s for each in state.activities)
    return min((start for start in starts if 0 < start < dt_s), default=dt_s)


def _substep(state: HomeState, dt_s: float, end_s: float) -> HomeState:
    middle_s = state.at_s + dt_s / 2.0
    source = total(emission(each, middle_s) for each in state.activities)
    home = state.home
    leaving_per_s = (home.air_changes_per_h + source.extra_air_changes_per_h) / 3600.0
    settling_per_s = leaving_per_s + SMOKE_SETTLING_PER_H / 3600.0
    air_c, contents_c = _heat(state, source, dt_s)
    at_s = state.at_s + dt_s
    return replace(
        state,
        at_s=end_s if math.isclose(at_s, end_s, abs_tol=1e-9) else at_s,
        smoke_per_m=_mix(state.smoke_per_m, home, source.smoke_area_m2_s, settling_per_s, dt_s),
        co_mg_m3=_mix(state.co_mg_m3, home, source.co_mg_s, leaving_per_s, dt_s),
        air_c=air_c,
        contents_c=contents_c,
        fire_kw=source.fire_kw,
    )


def _mix(before: Layered, home: Dwelling, per_s: float, leaving_per_s: float, dt_s: float) -> Layered:
    mixing_per_s = leaving_per_s + 1.0 / home.mixing_s
    return Layered(
        mean=_towards(before.mean, per_s / home.volume_m3, leaving_per_s, dt_s),
        difference=_towards(
            before.difference, per_s / (home.volume_m3 * home.upper_share), mixing_per_s, dt_s
        ),
    )


def _towards(value: float, gain_per_s: float, loss_per_s: float, dt_s: float) -> float:
    """The solution of x' = gain − loss·x after ``dt_s``."""
    settled = gain_per_s / loss_per_s
    return settled + (value - settled) * math.exp(-loss_per_s * dt_s)


def _heat(state: HomeState, source: Emission, dt_s: float) -> tuple[float, float]:
    home, outside_c = state.home, state.outdoors.temperature_c
    keeping_kw = home.heat_loss_kw_k * (home.usual_c - outside_c)
    loss_kw_k = home.heat_loss_kw_k * (1.0 + source.extra_air_changes_per_h / 10.0)
    gain_k_s = (
        keeping_kw + source.heat_kw + loss_kw_k * outside_c + home.exchange_kw_k * state.contents_c
    ) / home.air_kj_k
    loss_per_s = (loss_kw_k + home.exchange_kw_k) / home.air_kj_k
    air_c = min(HOTTEST_C, _towards(state.air_c, gain_k_s, loss_per_s, dt_s))
    average_c = (state.air_c + air_c) / 2.0
    contents_c = _towards(
        state.contents_c,
        home.exchange_kw_k * average_c / home.contents_kj_k,
        home.exchange_kw_k / home.contents_kj_k,
        dt_s,
    )
    return air_c, contents_c
