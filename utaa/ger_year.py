"""A year in a ger as its detector sees it, minute by minute, and fires that start in it.

Every figure is an assumption of the acceptance run and named here; [M] from memory, [D] ours. The
detector is a multi-sensor at the roof ring: optical density, CO, temperature, humidity, battery.

* Stove: lit three times a day from September to May, once in summer; refuelled twice per lighting. Each
  time smoke comes back into the room: PM2.5 with a median peak of 0.4 mg/m³ (GSD 1.8), falling with a
  time constant of 10 min, times the home's own factor (GSD 1.3) [D]. As density by 4.4 m²/g, the
  specific extinction of smoke from pyrolysis [M: Mulholland and Croarkin]: 1 mg/m³ is 0.019 dB/m.
* CO: the home's mean is log-normal around 6.1 ppm (a 2022 study of Ulaanbaatar gers: mean 6.1, range
  1.5–35.8 over 48 h), cut at 10 ppm: above it, evenings of 50 ppm and more make an alarm right, not
  false. Each lighting and refuelling gives a puff that falls with a time constant of 90 min [D].
* Cooking: twice a day with steam (10–30 % humidity more), and frying three times a week: median peak
  0.04 dB/m (GSD 1.7), 5 min [D]; one in five hundred pans burns: 0.15–0.5 dB/m for 3–8 min [D].
* Cold: outdoors a year between −35 and +30 °C; the door opens 15 times a day. In deep cold one opening
  in forty makes fog at the detector: 0.1–0.4 dB/m for one or two minutes, humidity with it [D].
* Dust, insects: 24 single high values a year, 0.1–1.5 dB/m [D]. Radio: 1 % of readings are lost.
* Ageing: clean air rises by 0.01–0.08 dB/m in the year; noise 0.003 dB/m, 1 ppm, 0.1 °C; CO in
  whole ppm. Under the roof it gets no hotter than 42 °C: people open the flap.

Fires grow as t²: slow, medium, fast reach 1,055 kW in 600, 300, 150 s [M: the classes of NFPA 72];
wood gives 13 MJ/kg, 0.015 g soot and 0.005 g CO per g while flaming, 0.1 g smoke and 0.15 g CO per
g while smouldering at 0.05–0.3 g/s [M: SFPE handbook]; flaming smoke 8.7 m²/g [M]. A ger holds 60
m³ [D]. Half of what burns reaches the detector's layer mixed with the whole room [D].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MINUTES = 1440
_DB_PER_NEPER = 4.343
_STOVE_M2_G, _FLAMING_M2_G = 4.4, 8.7
#: dB/m of 1 mg/m³ of smoke from the stove.
STOVE_DB_M_PER_MG_M3 = _DB_PER_NEPER * _STOVE_M2_G / 1000.0
_GER_M3, _MIXED = 60.0, 0.5
_WOOD_KJ_PER_G = 13.0
_SOOT, _CO_FLAMING, _SMOKE_SMOULDERING, _CO_SMOULDERING = 0.015, 0.005, 0.1, 0.15
#: ppm of 1 g/m³ CO at 20 °C.
_PPM_PER_G_M3 = 859.0
_HIGHEST_MEAN_PPM = 10.0
GROWTH_S = {"slow": 600.0, "medium": 300.0, "fast": 150.0}


@dataclass(frozen=True)
class Home:
    """What is particular about one ger and its detector."""

    stove_factor: float
    co_mean_ppm: float
    ageing_db_m: float
    clean_db_m: float
    battery_pct: float
    battery_pct_per_day: float


@dataclass
class Day:
    """One day, a value per minute; ``heard`` is False where the radio lost the reading."""

    optical_density_db_m: Floats
    co_ppm: Floats
    temperature_c: Floats
    humidity_pct: Floats
    battery_pct: float
    heard: npt.NDArray[np.bool_]
    #: minutes from and to which a pan really burns
    burnt_pan: tuple[int, int] | None = None


def home(rng: np.random.Generator) -> Home:
    """A ger at random."""
    mean_ppm = 100.0
    while mean_ppm > _HIGHEST_MEAN_PPM:
        mean_ppm = max(1.5, float(rng.lognormal(np.log(5.0), 0.6)))
    return Home(
        stove_factor=float(rng.lognormal(0.0, np.log(1.3))),
        co_mean_ppm=mean_ppm,
        ageing_db_m=float(rng.uniform(0.01, 0.08)),
        clean_db_m=float(rng.uniform(0.0, 0.04)),
        battery_pct=float(rng.uniform(60.0, 100.0)),
        battery_pct_per_day=float(rng.uniform(0.03, 0.12)),
    )


def year(one: Home, rng: np.random.Generator, days: int) -> Iterator[Day]:
    """Day after day from the first of September."""
    for number in range(days):
        yield _day(one, rng, number)


def _day(one: Home, rng: np.random.Generator, number: int) -> Day:
    winter = 0.5 + 0.5 * np.cos(2 * np.pi * (number - 137) / 365.0)  # 1 in mid January
    outdoors_c = -2.5 - 32.5 * (2 * winter - 1) * 0.9 + rng.normal(0, 5)
    minute = np.arange(MINUTES)
    smoke, co, warmth = np.zeros(MINUTES), np.zeros(MINUTES), np.zeros(MINUTES)
    humidity = np.full(MINUTES, 30.0 + rng.normal(0, 5))
    fires = [390, 750, 1110] if number < 273 else [1110]
    for hour in fires:
        lit = int(hour + rng.normal(0, 25)) % MINUTES
        _stove(one, rng, lit, minute, smoke, co, warmth)
    burnt_pan = _cook(rng, minute, smoke, humidity)
    _door(rng, winter, minute, smoke, warmth, humidity)
    inside_c = outdoors_c + (18.0 - outdoors_c) * 0.6 + warmth
    # whoever sits inside opens the roof flap before it gets hotter than this under it
    inside_c = np.where(inside_c > 28.0, 28.0 + 14.0 * np.tanh((inside_c - 28.0) / 14.0), inside_c)
    smoke += one.clean_db_m + one.ageing_db_m * number / 365.0 + rng.normal(0, 0.003, MINUTES)
    for _ in range(rng.poisson(24 / 365)):
        smoke[rng.integers(MINUTES)] += rng.uniform(0.1, 1.5)
    co *= one.co_mean_ppm / max(float(co.mean()), 0.05) * (1.0 if number < 273 else 0.4)
    cold = -5.0 if outdoors_c < -20 else 0.0
    return Day(
        np.round(np.maximum(smoke, 0.0), 4),
        np.maximum(0.0, np.round(co + rng.normal(0, 1.0, MINUTES))),
        np.round(inside_c + rng.normal(0, 0.1, MINUTES), 1),
        np.round(np.clip(humidity, 5, 99), 1),
        max(0.0, round(one.battery_pct - one.battery_pct_per_day * number + cold, 1)),
        rng.random(MINUTES) > 0.01,
        burnt_pan,
    )


def _stove(
    one: Home, rng: np.random.Generator, lit: int, minute: npt.NDArray[np.int64],
    smoke: Floats, co: Floats, warmth: Floats,
) -> None:  # fmt: skip
    since = minute - lit
    burning = (since >= 0) & (since < 300)
    rise_c = rng.uniform(15, 30)
    warmth += np.where(burning, rise_c * (1 - np.exp(-since / 15.0)), 0.0)
    warmth += np.where(since >= 300, rise_c * np.exp(-(since - 300) / 90.0), 0.0)
    for start in (lit, lit + int(rng.uniform(50, 100)), lit + int(rng.uniform(120, 220))):
        mg_m3 = one.stove_factor * rng.lognormal(np.log(0.4), np.log(1.8))
        _puff(smoke, minute - start, mg_m3 * STOVE_DB_M_PER_MG_M3, 10.0)
        _puff(co, minute - start, rng.lognormal(0.0, 0.4), 90.0)


def _puff(values: Floats, since: npt.NDArray[np.int64], peak: float, tau_min: float) -> None:
    began = since >= 0
    values[began] += peak * np.exp(-since[began] / tau_min)


def _cook(
    rng: np.random.Generator, minute: npt.NDArray[np.int64], smoke: Floats, humidity: Floats
) -> tuple[int, int] | None:
    burnt: tuple[int, int] | None = None
    for hour in (420, 1140):
        start = int(hour + rng.normal(0, 30))
        _puff(humidity, minute - start, rng.uniform(10, 30), 25.0)
        if rng.random() < 3 / 14:
            _puff(smoke, minute - start - 5, rng.lognormal(np.log(0.04), np.log(1.7)), 5.0)
            if rng.random() < 1 / 500:
                burnt = (max(0, start), max(0, start) + int(rng.uniform(3, 8)))
                smoke[burnt[0] : burnt[1]] += rng.uniform(0.15, 0.5)
    return burnt


def _door(
    rng: np.random.Generator, winter: float, minute: npt.NDArray[np.int64],
    smoke: Floats, warmth: Floats, humidity: Floats,
) -> None:  # fmt: skip
    for start in rng.integers(360, MINUTES - 5, size=15):
        _puff(warmth, minute - int(start), -rng.uniform(2, 12) * winter, 3.0)
        if winter > 0.7 and rng.random() < 1 / 40:
            length = int(rng.integers(1, 3))
            smoke[start : start + length] += rng.uniform(0.1, 0.4)
            humidity[start : start + length + 5] += rng.uniform(8, 25)


@dataclass(frozen=True)
class Fire:
    """What a fire adds at a moment: functions of seconds since it began."""

    kind: str
    burning_g_s: float = 0.0

    def adds(self, since_s: float) -> tuple[float, float, float]:
        """Optical density in dB/m, CO in ppm and warmth in °C, ``since_s`` after it began."""
        if self.kind == "smouldering":
            burnt_g = self.burning_g_s * since_s
            smoke_g, co_g, warmth = burnt_g * _SMOKE_SMOULDERING, burnt_g * _CO_SMOULDERING, 0.0
            extinction = _STOVE_M2_G
        else:
            grown_s = GROWTH_S[self.kind]
            burnt_g = 1055.0 / grown_s**2 * since_s**3 / 3.0 / _WOOD_KJ_PER_G
            smoke_g, co_g = burnt_g * _SOOT, burnt_g * _CO_FLAMING
            # a third of the heat stays in 60 m³ of air (1.2 kg/m³, 1 kJ/kg·K), up to 400 °C
            warmth = min(400.0, burnt_g * _WOOD_KJ_PER_G / 3.0 / (_GER_M3 * 1.2))
            extinction = _FLAMING_M2_G
        share = _MIXED / _GER_M3
        return (
            _DB_PER_NEPER * extinction * smoke_g * share,
            co_g * share * _PPM_PER_G_M3,
            warmth,
        )


def fire(rng: np.random.Generator) -> Fire:
    """A fire at random: half smouldering, half flaming in the three classes."""
    kind = str(rng.choice(["smouldering", "smouldering", "smouldering", "slow", "medium", "fast"]))
    return Fire(kind, float(rng.uniform(0.05, 0.3)))
