"""Heat: fixed temperature, rate of rise, and what a ger does every day without burning."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from edge.alarms import Change, Settings
from edge.alarms.replay import replay
from edge.wire.readings import Reading

START_US = 1_700_000_000_000_000


def decide(samples: Iterable[tuple[float, float]], **settings: object) -> list[Change]:
    readings = (
        Reading(detector="d", time_us=START_US + round(at_s * 1e6), temperature_c=celsius)
        for at_s, celsius in samples
    )
    changes = replay(Settings.from_mapping(settings), readings, tail_us=100_000_000)
    return [change for change in changes if change.transition != "update"]


def first_c(changes: list[Change]) -> float | None:
    return next((c.values["temperature_c"] for c in changes if c.kind == "heat"), None)


def ramp(
    c_per_min: float, every_s: float, start_c: float = 20.0, end_c: float = 110.0
) -> list[tuple[float, float]]:
    count = int((end_c - start_c) / c_per_min * 60.0 / every_s)
    return [(n * every_s, start_c + c_per_min * n * every_s / 60.0) for n in range(count)]


@pytest.mark.parametrize("every_s", [2.0, 10.0, 60.0])
@pytest.mark.parametrize(
    ("heat_class", "c_per_min", "alarm_c"),
    [
        ("A1", 1.0, 56.0), ("A1", 3.0, 56.0), ("A1", 5.0, 46.0), ("A1", 10.0, 46.0),
        ("A2", 1.0, 62.0), ("A2", 10.0, 52.0), ("B", 1.0, 77.0), ("B", 10.0, 67.0),
    ],
)  # fmt: skip
def test_a_ramp_alarms_at_the_class_temperature_of_its_rise(
    heat_class: str, c_per_min: float, alarm_c: float, every_s: float
) -> None:
    got_c = first_c(decide(ramp(c_per_min, every_s), heat_class=heat_class))
    assert got_c is not None
    # confirmed by the next value: no more than two samples of the ramp above the limit
    assert alarm_c <= got_c <= alarm_c + 2.2 * c_per_min * every_s / 60.0 + 0.2


def test_a1_stays_inside_the_band_of_its_class_at_slow_rise() -> None:
    got_c = first_c(decide(ramp(1.0, 10.0)))
    assert got_c is not None
    assert 54.0 <= got_c <= 65.0


def test_one_hot_value_between_cool_ones_raises_nothing() -> None:
    samples = [(n * 10.0, 21.0) for n in range(30)] + [(300.0, 85.0)]
    samples += [(310.0 + n * 10.0, 21.0) for n in range(30)]
    assert not decide(samples)


def test_very_hot_air_is_confirmed_within_fifteen_seconds_however_slow_the_sampling() -> None:
    changes = decide([(0.0, 20.0), (60.0, 20.0), (120.0, 90.0)])
    assert changes[0].kind == "heat"
    assert (changes[0].at_us - START_US) / 1e6 <= 135.0


def lighting_the_stove(at_s: float) -> float:
    """From −5 °C to 38 °C near the roof within fifteen minutes."""
    return -5.0 + 43.0 * min(1.0, max(0.0, at_s - 600.0) / 900.0)


def cold_through_the_door(at_s: float) -> float:
    """35 °C, the door opens at −40 °C outside, and the warmth comes back in three minutes."""
    since_s = at_s - 600.0
    if since_s < 0:
        return 35.0
    if since_s < 60.0:
        return 35.0 - 55.0 * since_s / 60.0
    return min(35.0, -20.0 + 55.0 * (since_s - 60.0) / 180.0)


@pytest.mark.parametrize("every_s", [2.0, 10.0, 60.0])
@pytest.mark.parametrize("day", [lighting_the_stove, cold_through_the_door])
def test_what_a_ger_does_every_day_is_no_heat_alarm(
    day: Callable[[float], float], every_s: float
) -> None:
    assert not decide([(n * every_s, day(n * every_s)) for n in range(int(2400 / every_s))])


def test_a_fire_while_cold_comes_through_the_door_still_alarms() -> None:
    samples = [(n * 2.0, cold_through_the_door(n * 2.0)) for n in range(400)]
    samples += [(800.0 + n * 2.0, 35.0 + n * 1.0) for n in range(60)]
    changes = decide(samples)
    assert changes
    assert (changes[0].at_us - START_US) / 1e6 <= 830.0


def test_heat_clears_when_the_room_has_cooled_and_raises_again() -> None:
    samples = [(n * 10.0, 60.0 if 30 <= n < 60 or n >= 100 else 20.0) for n in range(130)]
    assert [c.transition for c in decide(samples)] == ["raise", "clear", "raise"]


@pytest.mark.parametrize("bad_c", [-90.0, 1800.0])
def test_a_temperature_no_room_can_be_is_a_fault_and_no_heat(bad_c: float) -> None:
    changes = decide([(0.0, 20.0), (10.0, bad_c), (20.0, bad_c), (30.0, 20.0)])
    assert {c.kind for c in changes} == {"fault"}


@pytest.mark.parametrize(
    ("experiment", "column", "reaches_54_c_s"),
    [
        (1, "Bedroom 1 Temperature 2.41 m Above Floor", 157.0),
        (1, "Living Room Temperature 2.41 m Above Floor", 205.0),
    ],
)
def test_a_burning_room_alarms_by_the_time_its_ceiling_reaches_54_c(
    shared_data: Path, experiment: int, column: str, reaches_54_c_s: float
) -> None:
    path = shared_data / "fsri-hvac-gasburner" / f"Gas_Burner_Experiment_{experiment}.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert column in rows[0], [name for name in rows[0] if "Temperature" in name][:40]
    changes = decide((float(row["Time"]), float(row[column])) for row in rows if row[column])
    assert changes[0].kind == "heat"
    assert (changes[0].at_us - START_US) / 1e6 <= reaches_54_c_s + 2.0


def test_a_basement_fire_is_no_heat_alarm_on_the_floor_above(shared_data: Path) -> None:
    path = shared_data / "fsri-hvac-gasburner" / "Gas_Burner_Experiment_22.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    column = "Bedroom 1 Temperature 2.41 m Above Floor"
    assert not decide((float(row["Time"]), float(row[column])) for row in rows if row[column])
