"""One detector through its troubles, without a broker."""

from __future__ import annotations

import itertools
import json

from edge.wire.clock import US_PER_S
from firmware_sim.device import ALARM_INTERVAL_S, Device
from firmware_sim.formats import Native
from firmware_sim.ledger import Outgoing
from firmware_sim.model.activities import Activity
from firmware_sim.model.air import quiet_home, step
from firmware_sim.model.dwelling import GER
from firmware_sim.scenario import DetectorSpec, Happening

START_US = 1_790_000_000 * US_PER_S


def device(*troubles: Happening, kind: str = "smoke", seed: int = 3) -> Device:
    spec = DetectorSpec(
        address=f"ger-001-{kind}", home="ger-001", kind=kind, format="native", khoroo=""
    )  # type: ignore[arg-type]
    return Device.create(
        spec, Native(), site="home", seed=seed, interval_s=10.0, age_years=0.5, troubles=troubles
    )


def trouble(what: str, at_s: float = 0.0, **more: object) -> Happening:
    return Happening(at_s=at_s, home="ger-001", what=what, **more)  # type: ignore[arg-type]


def heard(one: Device, seconds: int, *activities: Activity) -> list[Outgoing]:
    """All it publishes, looked at every second."""
    air = quiet_home(GER, activities)
    messages: list[Outgoing] = []
    for _ in range(seconds):
        air = step(air, 1.0)
        one.feel(air, 1.0)
        messages += one.speak(air, START_US)
    return messages


def bodies(messages: list[Outgoing]) -> list[dict[str, object]]:
    return [json.loads(each.payload) for each in messages]


def test_a_quiet_detector_speaks_at_its_interval_and_never_twice_at_once() -> None:
    messages = heard(device(), 100)
    times = [each.reading.time_us for each in messages if each.reading]
    assert len(times) == len(set(times)) == 10
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {10 * US_PER_S}


def test_detectors_do_not_all_speak_at_the_same_moment() -> None:
    firsts = {heard(device(seed=seed), 12)[0].reading.time_us for seed in range(20)}  # type: ignore[union-attr]
    assert len(firsts) > 5


def test_a_detector_in_alarm_speaks_at_once_and_more_often() -> None:
    fire = Activity("flaming_fire", 0.0, 60.0)
    messages = heard(device(), 60, fire)
    alarming = [each.reading for each in messages if each.reading and each.reading.flags["smoke_alarm"]]
    first_s = (alarming[0].time_us - START_US) / US_PER_S
    assert first_s < 30
    gaps = [
        (later.time_us - earlier.time_us) / US_PER_S for earlier, later in itertools.pairwise(alarming)
    ]
    assert max(gaps) <= ALARM_INTERVAL_S


def test_only_readings_of_a_danger_are_its_signs_and_the_own_alarm_is_the_breach() -> None:
    assert all(each.danger is None for each in heard(device(), 60))
    signs = [each.danger for each in heard(device(), 60, Activity("flaming_fire", 0.0, 60.0))]
    shown = [each for each in signs if each is not None]
    assert shown
    assert {(each.what, each.home) for each in shown} == {("flaming_fire", "ger-001")}
    assert shown[-1].breach


def test_a_dropped_off_detector_is_silent_and_then_speaks_again() -> None:
    one = device(trouble("drop_off", 20.0, for_s=40.0))
    times = [(each.reading.time_us - START_US) / US_PER_S for each in heard(one, 120) if each.reading]
    assert not [at_s for at_s in times if 20 <= at_s < 60]
    assert [at_s for at_s in times if at_s >= 60]


def test_one_that_keeps_measuring_is_not_silent() -> None:
    one = device(trouble("drop_off", 20.0, for_s=40.0, keeps=True))
    assert len(heard(one, 120)) == 12


def test_a_clock_that_was_never_set_counts_from_1970_and_is_marked_redated() -> None:
    messages = heard(device(trouble("wrong_clock", for_s=50.0)), 100)
    wrong = [each for each in messages if each.reading and each.reading.redated]
    assert len(wrong) == 5
    assert all(str(body["time"]).startswith("1970-01-01T00:0") for body in bodies(wrong))


def test_a_clock_that_is_merely_slow_is_believed() -> None:
    messages = heard(device(trouble("wrong_clock", offset_s=-5400.0)), 30)
    assert [each.reading.redated for each in messages if each.reading] == [False] * 3
    assert messages[0].reading is not None
    assert messages[0].reading.time_us < START_US - 5300 * US_PER_S


def test_duplicates_and_garbage_count_apart() -> None:
    messages = heard(device(trouble("duplicates"), trouble("garbage", for_s=200.0)), 100)
    kinds = [each.aside for each in messages]
    assert (kinds.count(None), kinds.count("duplicate"), kinds.count("garbage")) == (10, 10, 10)
    assert messages[1].payload == messages[0].payload


def test_a_self_test_says_so_and_sounds_and_is_no_sign_of_danger() -> None:
    fire = Activity("flaming_fire", 0.0, 90.0)
    messages = heard(device(trouble("self_test", 60.0, for_s=20.0)), 85, fire)
    testing = [each for each in messages if each.reading and each.reading.flags["test"]]
    assert testing
    assert all(each.danger is None for each in testing)
    assert all(body["smoke_alarm"] for body in bodies(testing))


def test_a_dying_battery_and_an_open_case_are_flags() -> None:
    messages = heard(device(trouble("low_battery"), trouble("tamper", 50.0, for_s=10.0)), 100)
    readings = [each.reading for each in messages if each.reading]
    assert all(reading.flags["battery_low"] for reading in readings)
    assert {reading.values["battery_pct"] for reading in readings} == {6.0}
    opened = [(r.time_us - START_US) // US_PER_S for r in readings if r.flags["tamper"]]
    assert opened[0] == 50


def test_the_same_seed_gives_the_same_messages() -> None:
    assert heard(device(), 50) == heard(device(), 50)
    assert heard(device(), 50) != heard(device(seed=4), 50)


def test_each_kind_of_detector_states_what_it_can_measure() -> None:
    stated = {
        kind: set(bodies(heard(device(kind=kind), 10))[0])
        for kind in ("smoke", "co", "heat", "combined")
    }
    assert {"optical_density_db_m", "smoke_alarm"} <= stated["smoke"]
    assert {"co_ppm", "co_alarm"} <= stated["co"]
    assert "co_ppm" not in stated["smoke"] | stated["heat"]
    assert {"temperature_c", "heat_alarm"} <= stated["heat"]
    assert stated["smoke"] | stated["co"] | stated["heat"] == stated["combined"]
