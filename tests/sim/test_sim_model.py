"""The physical model by tables."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.model.activities import (
    AIRING_S,
    Activity,
    ActivityKind,
    Emission,
    emission,
    fire_power_kw,
    smouldering_g_s,
    total,
)
from firmware_sim.model.air import HomeState, quiet_home, step
from firmware_sim.model.dwelling import DWELLINGS, GER, HOUSE, Dwelling, Outdoors
from firmware_sim.model.sensor import (
    BATTERY_LIFE_S,
    Sensed,
    SensorState,
    battery_pct,
    battery_v,
    sense,
    specimen,
)

YEAR_S = 365.25 * 24 * 3600.0


def live(
    kind: ActivityKind,
    lasts_s: float,
    *,
    home: Dwelling = GER,
    intensity: float = 1.0,
    until_s: float | None = None,
) -> list[tuple[float, HomeState, Sensed]]:
    """Second by second: (time, air, sample)."""
    air = quiet_home(home, (Activity(kind, 0.0, lasts_s, intensity),))
    sensor = specimen(1)
    lived = []
    while air.at_s < (until_s or lasts_s):
        air = step(air, 1.0)
        sensor, sensed = sense(sensor, air, 1.0)
        lived.append((air.at_s, air, sensed))
    return lived


def first(lived: list[tuple[float, HomeState, Sensed]], flag: str) -> float | None:
    return next((at_s for at_s, _, sensed in lived if getattr(sensed, flag)), None)


@pytest.mark.parametrize(("home", "within_s"), [(GER, 40.0), (HOUSE, 50.0)])
def test_a_flaming_fire_passes_one_db_per_metre_within_a_minute(
    home: Dwelling, within_s: float
) -> None:
    lived = live("flaming_fire", 90.0, home=home)
    reached = next(at_s for at_s, _, sensed in lived if sensed.optical_density_db_m >= 1.0)
    assert 15.0 < reached < within_s


def test_a_flaming_fire_heats_the_roof_and_sounds_smoke_before_heat() -> None:
    lived = live("flaming_fire", 90.0)
    smoke_s, heat_s = first(lived, "smoke_alarm"), first(lived, "heat_alarm")
    assert smoke_s is not None
    assert heat_s is not None
    assert smoke_s < heat_s < 60.0
    assert lived[-1][1].temperature_c > 200.0


def test_a_smouldering_fire_smokes_for_minutes_before_it_warms() -> None:
    lived = live("smouldering_fire", 1500.0)
    smoke_s = first(lived, "smoke_alarm")
    assert smoke_s is not None
    assert 180.0 < smoke_s < 900.0
    assert first(lived, "heat_alarm") is None
    assert max(sensed.co_ppm for _, _, sensed in lived) > 100.0


@pytest.mark.parametrize("home", DWELLINGS.values(), ids=DWELLINGS)
@pytest.mark.parametrize("kind", ["cooking", "stove"])
def test_daily_life_stays_below_every_alarm(kind: ActivityKind, home: Dwelling) -> None:
    lived = live(kind, 3 * 3600.0, home=home)
    assert max(sensed.optical_density_db_m for _, _, sensed in lived) < 0.12
    assert max(sensed.co_ppm for _, _, sensed in lived) < 25.0
    assert all(first(lived, flag) is None for flag in ("smoke_alarm", "co_alarm", "heat_alarm"))


def test_a_stove_leaves_about_the_co_that_was_measured_in_gers() -> None:
    lived = live("stove", 3 * 3600.0)
    mean_ppm = sum(sensed.co_ppm for _, _, sensed in lived) / len(lived)
    assert 1.5 < mean_ppm < 10.0


def test_a_blocked_chimney_poisons_without_smoke_and_sounds_in_time() -> None:
    lived = live("blocked_chimney", 1800.0)
    over_300_s = next(at_s for at_s, _, sensed in lived if sensed.co_ppm >= 300.0)
    co_s = first(lived, "co_alarm")
    assert co_s is not None
    assert over_300_s < co_s <= over_300_s + 180.0
    assert first(lived, "smoke_alarm") is None


def test_after_a_danger_people_air_and_the_alarms_end() -> None:
    lived = live("flaming_fire", 60.0, until_s=60.0 + AIRING_S)
    assert any(sensed.smoke_alarm for _, _, sensed in lived)
    assert not lived[-1][2].smoke_alarm
    assert lived[-1][1].optical_density_db_m < 0.1


@pytest.mark.parametrize(
    ("age_s", "power_kw"), [(0.0, 0.0), (75.0, 263.8), (150.0, 1055.0), (1000.0, 1500.0)]
)
def test_a_fire_grows_by_the_square_of_time_up_to_its_air(age_s: float, power_kw: float) -> None:
    assert fire_power_kw(age_s) == pytest.approx(power_kw, rel=1e-3)


@pytest.mark.parametrize(
    ("minutes", "g_min"), [(0.0, 0.0), (10.0, 2.85), (30.0, 19.65), (60.0, 72.6), (90.0, 72.6)]
)
def test_smouldering_follows_its_published_curve(minutes: float, g_min: float) -> None:
    assert smouldering_g_s(minutes * 60.0) * 60.0 == pytest.approx(g_min)


def test_intensity_scales_what_is_emitted_and_nothing_is_emitted_outside_its_time() -> None:
    weak, strong = Activity("stove", 10.0, 60.0), Activity("stove", 10.0, 60.0, 3.0)
    assert emission(strong, 20.0).co_mg_s == pytest.approx(3.0 * emission(weak, 20.0).co_mg_s)
    assert emission(weak, 9.0) == emission(weak, 70.0) == Emission()
    assert total([]) == Emission()


def test_air_without_a_source_decays_by_its_air_changes() -> None:
    lived = live("blocked_chimney", 600.0)
    air = lived[-1][1]
    calm = quiet_home(GER)
    left = HomeState(home=GER, co_mg_m3=air.co_mg_m3, air_c=calm.air_c, contents_c=calm.contents_c)
    after = step(left, 3600.0)
    assert after.co_mg_m3.mean == pytest.approx(
        left.co_mg_m3.mean * math.exp(-GER.air_changes_per_h), rel=1e-6
    )
    assert after.air_c == pytest.approx(GER.usual_c, abs=0.1)


@given(
    st.lists(st.floats(0.1, 400.0), min_size=1, max_size=20),
    st.sampled_from(["cooking", "stove", "blocked_chimney", "flaming_fire", "smouldering_fire"]),
)
def test_steps_of_any_length_keep_the_air_physical(steps: list[float], kind: ActivityKind) -> None:
    air = quiet_home(GER, (Activity(kind, 30.0, 300.0),))
    for dt_s in steps:
        air = step(air, dt_s)
        assert air.optical_density_db_m >= 0.0
        assert air.co_ppm >= air.outdoors.co_ppm - 1e-9
        assert -40.0 < air.temperature_c <= 900.0
    assert air.at_s == pytest.approx(sum(steps))


def test_the_length_of_a_step_hardly_matters() -> None:
    activities = (Activity("flaming_fire", 7.5, 60.0),)
    fine, coarse = quiet_home(GER, activities), quiet_home(GER, activities)
    for _ in range(100):
        fine = step(fine, 0.5)
    coarse = step(coarse, 50.0)
    assert coarse.optical_density_db_m == pytest.approx(fine.optical_density_db_m, rel=0.02)


def test_a_step_back_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        step(quiet_home(GER), -1.0)


def samples(seed: int, count: int) -> list[Sensed]:
    air, sensor = quiet_home(GER), specimen(seed)
    sensed = []
    for _ in range(count):
        air = step(air, 10.0)
        sensor, sample = sense(sensor, air, 10.0)
        sensed.append(sample)
    return sensed


def test_the_same_seed_gives_the_same_samples_and_another_does_not() -> None:
    assert samples(5, 50) == samples(5, 50)
    assert samples(5, 50) != samples(6, 50)


@pytest.mark.parametrize("seed", range(40))
def test_ten_quiet_years_of_drift_reach_no_alarm(seed: int) -> None:
    air, sensor = quiet_home(GER), specimen(seed)
    for _ in range(120):
        sensor, sensed = sense(sensor, air, YEAR_S / 12)
        assert not (sensed.smoke_alarm or sensed.co_alarm or sensed.heat_alarm)
    assert sensed.optical_density_db_m < 0.15
    assert sensed.co_ppm < 40.0


def test_a_battery_lasts_about_ten_years_and_its_voltage_falls_late() -> None:
    young = specimen(3)
    assert 90.0 <= battery_pct(young) <= 100.0
    old = specimen(3, age_years=BATTERY_LIFE_S / YEAR_S)
    assert battery_pct(old) == 0.0
    volts = [battery_v(charge) for charge in range(101)]
    assert volts == sorted(volts)
    assert volts[20] - volts[0] > volts[100] - volts[20]


def test_co_windows_are_kept_at_constant_concentrations() -> None:
    # (ppm, sounds between these minutes) of EN 50291
    for ppm, earliest, latest in ((50.0, 60.0, 90.0), (100.0, 10.0, 40.0), (300.0, 0.0, 3.0)):
        state: SensorState = specimen(1)
        air = HomeState(home=GER, outdoors=Outdoors(co_ppm=ppm * 1.1))
        minutes = 0.0
        while not state.co_alarm:
            state, _ = sense(state, air, 10.0)
            minutes += 1 / 6
            assert minutes <= latest, ppm
        assert minutes >= earliest, ppm
