"""What burns, cooks or leaks in a home: sources of smoke, carbon monoxide and heat over time.

Smoke is carried as extinction area: grams of smoke times its specific extinction area (m²/g). Spread in
a volume it is the extinction coefficient k (1/m), and optical density is 10·k/ln 10 dB/m.

Sources of the figures:

* t² fires: Q = α·t², "fast" α = 0.0469 kW/s², which reaches 1055 kW in 150 s (NFPA 72/92 classes). [M]
* Flaming smoke 8.7 m² per gram of smoke (Mulholland and Croarkin 2000); smoke yield 0.03 g/g, CO yield
  0.02 g/g with air enough and 0.2 g/g without; 17 kJ per gram of wood, felt and bedding. [M]
* Smouldering: 0.10·t + 0.0185·t² g/min, t in minutes, 73 g/min from the first hour on (Quintiere and
  others 1982, upholstery); 0.11 g/g CO; smoke 4.4 m²/g at 0.1 g/g. [M]
* Stove and cooking: set so that a home in winter lives near the 6 ppm CO that a 2022 study of
  Ulaanbaatar gers found as a mean, and that cooking stays under 0.15 dB/m. [M]
* Blocked chimney: 2 kg/h of coal that gives 0.07 g/g of its CO to the room. [M]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

ActivityKind = Literal["flaming_fire", "smouldering_fire", "cooking", "stove", "blocked_chimney"]
ACTIVITY_KINDS: tuple[str, ...] = get_args(ActivityKind)
#: After these people open the door and the crown, once it is over.
DANGERS: frozenset[str] = frozenset({"flaming_fire", "smouldering_fire", "blocked_chimney"})

FAST_GROWTH_KW_S2 = 0.0469
#: A ger with its door shut cannot feed a larger fire. [M]
LARGEST_FIRE_KW = 1500.0
#: Beyond this share of the largest fire air runs short and CO rises. [M]
_AIR_SHORT_FROM_KW = 400.0
_HEAT_OF_COMBUSTION_KJ_G = 17.0
_FLAMING_AREA_M2_PER_G_FUEL = 8.7 * 0.03
_SMOULDERING_AREA_M2_PER_G_FUEL = 4.4 * 0.1
_SMOULDERING_CO_MG_PER_G = 110.0
_BLOCKED_CHIMNEY_CO_MG_S = 2_000.0 / 3600.0 * 0.07 * 1000.0
_BLOCKED_CHIMNEY_RISE_S = 120.0

#: People air the home for this long, this hard, when a danger is over.
AIRING_S = 1200.0
AIRING_AIR_CHANGES_PER_H = 20.0


@dataclass(frozen=True, slots=True)
class Emission:
    """What enters the air per second. ``fire_kw`` is the part of the heat that rises as a plume."""

    smoke_area_m2_s: float = 0.0
    co_mg_s: float = 0.0
    heat_kw: float = 0.0
    fire_kw: float = 0.0
    extra_air_changes_per_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Activity:
    """Something going on from ``started_s`` for ``lasts_s``; ``intensity`` scales what it emits."""

    kind: ActivityKind
    started_s: float
    lasts_s: float
    intensity: float = 1.0

    def burns_at(self, at_s: float) -> bool:
        """Whether it is going on (its airing afterwards does not count)."""
        return self.started_s <= at_s < self.started_s + self.lasts_s

    def over_s(self) -> float:
        """When nothing of it enters the air any more, airing included."""
        return self.started_s + self.lasts_s + (AIRING_S if self.kind in DANGERS else 0.0)


def fire_power_kw(age_s: float, growth_kw_s2: float = FAST_GROWTH_KW_S2) -> float:
    """Heat release of a growing fire, α·t², up to what the air in a ger can feed."""
    return min(LARGEST_FIRE_KW, growth_kw_s2 * age_s * age_s)


def smouldering_g_s(age_s: float) -> float:
    """Fuel lost per second by smouldering upholstery (see the module's sources)."""
    minutes = min(age_s / 60.0, 60.0)
    return (0.10 * minutes + 0.0185 * minutes * minutes) / 60.0


def _flaming(age_s: float) -> Emission:
    power_kw = fire_power_kw(age_s)
    fuel_g_s = power_kw / _HEAT_OF_COMBUSTION_KJ_G
    starved = min(1.0, max(0.0, (power_kw - _AIR_SHORT_FROM_KW) / _AIR_SHORT_FROM_KW))
    return Emission(
        smoke_area_m2_s=fuel_g_s * _FLAMING_AREA_M2_PER_G_FUEL,
        co_mg_s=fuel_g_s * (20.0 + 180.0 * starved),
        heat_kw=0.65 * power_kw,
        fire_kw=power_kw,
    )


def _smouldering(age_s: float) -> Emission:
    fuel_g_s = smouldering_g_s(age_s)
    return Emission(
        smoke_area_m2_s=fuel_g_s * _SMOULDERING_AREA_M2_PER_G_FUEL,
        co_mg_s=fuel_g_s * _SMOULDERING_CO_MG_PER_G,
        heat_kw=fuel_g_s * 5.0,
    )


def _cooking(age_s: float) -> Emission:
    frying = min(1.0, age_s / 120.0)
    return Emission(smoke_area_m2_s=0.00045 * frying, co_mg_s=0.12 * frying, heat_kw=1.5 * frying)


def _stove(age_s: float) -> Emission:
    lighting = math.exp(-age_s / 300.0)
    drawing = 1.0 - lighting
    return Emission(
        smoke_area_m2_s=0.0008 * lighting,
        co_mg_s=1.2 * lighting + 0.08 * drawing,
        heat_kw=3.0 * drawing,
    )


def _blocked_chimney(age_s: float) -> Emission:
    share = min(1.0, age_s / _BLOCKED_CHIMNEY_RISE_S)
    return Emission(
        smoke_area_m2_s=0.0001 * share, co_mg_s=_BLOCKED_CHIMNEY_CO_MG_S * share, heat_kw=2.0
    )


_CURVES: dict[ActivityKind, Callable[[float], Emission]] = {
    "flaming_fire": _flaming,
    "smouldering_fire": _smouldering,
    "cooking": _cooking,
    "stove": _stove,
    "blocked_chimney": _blocked_chimney,
}


def emission(activity: Activity, at_s: float) -> Emission:
    """What the activity puts into the air at ``at_s`` (seconds of the scenario)."""
    if activity.burns_at(at_s):
        raw = _CURVES[activity.kind](at_s - activity.started_s)
        factor = activity.intensity
        return Emission(
            smoke_area_m2_s=raw.smoke_area_m2_s * factor,
            co_mg_s=raw.co_mg_s * factor,
            heat_kw=raw.heat_kw * factor,
            fire_kw=raw.fire_kw * factor,
        )
    if activity.started_s < at_s < activity.over_s():
        return Emission(extra_air_changes_per_h=AIRING_AIR_CHANGES_PER_H)
    return Emission()


def total(emissions: Iterable[Emission]) -> Emission:
    """Several emissions as one: they add up, but a door opens only once."""
    listed = list(emissions)
    return Emission(
        smoke_area_m2_s=sum(each.smoke_area_m2_s for each in listed),
        co_mg_s=sum(each.co_mg_s for each in listed),
        heat_kw=sum(each.heat_kw for each in listed),
        fire_kw=sum(each.fire_kw for each in listed),
        extra_air_changes_per_h=max((each.extra_air_changes_per_h for each in listed), default=0.0),
    )
