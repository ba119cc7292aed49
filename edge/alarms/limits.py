"""Settings turned into the integers the fast path uses."""

from __future__ import annotations

import msgspec

from edge.alarms.settings import Settings

US_PER_S = 1_000_000
US_PER_MIN = 60 * US_PER_S
US_PER_HOUR = 3600 * US_PER_S
US_PER_DAY = 24 * US_PER_HOUR

#: "Not at any time": later than every real time, and it fits 63 bits.
NEVER = 1 << 62
#: A device is sound again when nothing was wrong for this long [D].
FAULT_CLEAR_US = 10 * US_PER_MIN
#: A dose that raises. Large, so that a rate per µs is a whole number with six digits.
FULL = 10**15


class CoProfile(msgspec.Struct, frozen=True):
    """A standard's windows as a dose: ppm → time to a full dose (min), negative: time to empty.

    Between the points the rate per minute is linear in ppm; below the first and above the last it is
    constant. It never falls with ppm, so more CO never alarms later.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    #: the dose neither grows nor shrinks
    neutral_ppm: float
    #: an alarm may clear below this
    clear_ppm: float


#: Windows [S] (DOMAIN 2): 30 ppm not before 120 min; 50: 60–90 min; 100: 10–40 min; 300: by 3 min.
#: The points sit inside with room for ±30 % of noise; recovery and the ends are ours [D].
EN50291 = CoProfile(
    "EN 50291-1",
    (
        (0.0, -60.0), (30.0, -600.0), (40.0, 0.0), (50.0, 70.0), (100.0, 20.0), (200.0, 8.0),
        (300.0, 1.8), (600.0, 0.5), (2000.0, 0.1),
    ),
    40.0,
    30.0,
)  # fmt: skip
#: Windows [S]: 30 ppm not in 30 days; 70: 60–240 min; 150: 10–50 min; 400: 4–15 min.
UL2034 = CoProfile(
    "UL 2034",
    (
        (0.0, -60.0), (30.0, -600.0), (45.0, 0.0), (70.0, 120.0), (150.0, 22.0), (400.0, 8.0),
        (1000.0, 2.0), (4000.0, 0.2),
    ),
    45.0,
    35.0,
)  # fmt: skip
CO_PROFILES = {"en50291": EN50291, "ul2034": UL2034}

#: Static and rising temperature of a class, °C. A1: a real detector [S]. A2 and B: the middle of the
#: standard's band 54–70 and 69–85 [S], the rising one ten below, as with A1 [M].
HEAT_CLASSES = {"A1": (56.0, 46.0), "A2": (62.0, 52.0), "B": (77.0, 67.0)}


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What ``Settings`` mean in µs, doses per µs and °C."""

    co_name: str
    co_ppm: tuple[float, ...]
    co_rates: tuple[int, ...]
    co_neutral_ppm: float
    co_clear_ppm: float
    co_hold_us: int
    co_clear_us: int
    cohb_rate_per_us: float
    smoke_confirm_min_us: int
    smoke_confirm_max_us: int
    smoke_sure_us: int
    smoke_clear_us: int
    smoke_drift_per_us: float
    cooking_wait_us: int
    heat_static_c: float
    heat_rising_c: float
    heat_rise_c_per_us: float
    deadline_us: int
    never_seen_us: int
    offline_us: int
    silent_us: int
    stuck_us: int
    test_max_us: int
    test_grace_us: int
    mute_max_us: int


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings mean."""
    profile = CO_PROFILES[settings.co_profile]
    static_c, rising_c = HEAT_CLASSES[settings.heat_class]
    return Limits(
        co_name=profile.name,
        co_ppm=tuple(ppm for ppm, _ in profile.points),
        co_rates=tuple(_rate_per_us(minutes) for _, minutes in profile.points),
        co_neutral_ppm=profile.neutral_ppm,
        co_clear_ppm=profile.clear_ppm,
        co_hold_us=_us(settings.co_hold_s),
        co_clear_us=_us(settings.co_clear_s),
        cohb_rate_per_us=1.0 / (2398.0 * settings.cohb_b * US_PER_MIN),
        smoke_confirm_min_us=_us(settings.smoke_confirm_min_s),
        smoke_confirm_max_us=_us(settings.smoke_confirm_max_s),
        smoke_sure_us=_us(settings.smoke_sure_confirm_s),
        smoke_clear_us=_us(settings.smoke_clear_s),
        smoke_drift_per_us=settings.smoke_drift_db_m_per_day / US_PER_DAY,
        cooking_wait_us=_us(settings.cooking_wait_s),
        heat_static_c=static_c if settings.heat_static_c is None else settings.heat_static_c,
        heat_rising_c=rising_c if settings.heat_rising_c is None else settings.heat_rising_c,
        heat_rise_c_per_us=settings.heat_rise_c_per_min / US_PER_MIN,
        deadline_us=_us(settings.deadline_s),
        never_seen_us=_us(settings.never_seen_after_s),
        offline_us=_us(settings.offline_grace_s),
        silent_us=_us(settings.channel_silent_s),
        stuck_us=_us(settings.stuck_s),
        test_max_us=_us(settings.test_max_s),
        test_grace_us=_us(settings.test_grace_s),
        mute_max_us=_us(settings.mute_max_s),
    )


def _us(seconds: float) -> int:
    return int(seconds * US_PER_S)


def _rate_per_us(minutes: float) -> int:
    return round(FULL / (minutes * US_PER_MIN)) if minutes else 0
