"""The evidence: real fires, kitchens and air, with the one default setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.evidence import (
    Nist,
    burning_rooms,
    document,
    en_window,
    environment,
    kitchens,
    nist,
    rooms_in_smoke,
    winters,
)  # fmt: skip
from edge.wire.messages import CLASS_OF


@pytest.fixture(scope="module")
def fires(shared_data: Path) -> Nist:
    return nist(shared_data / "nist-smoke-alarms")


def test_ours_is_raised_in_every_room_in_which_a_real_alarm_sounded(fires: Nist) -> None:
    assert len(fires.pairs) == 25
    assert [pair for pair in fires.pairs if pair.ours_s is None] == []


def test_ours_is_no_later_than_the_real_alarm_and_ten_seconds_in_nine_of_ten_pairs(fires: Nist) -> None:
    assert sum(pair.in_time for pair in fires.pairs) >= 0.9 * len(fires.pairs)


def test_an_hour_of_each_channels_own_noise_raises_nothing(fires: Nist) -> None:
    assert fires.prelude_raises == []


def test_every_room_that_reaches_one_db_per_metre_raises_smoke(fires: Nist) -> None:
    rooms = rooms_in_smoke(fires)
    assert len(rooms) == 23
    assert [room for room, at_s in rooms.items() if at_s is None] == []


def test_the_known_bad_co_channel_is_an_alarm_and_a_suspected_fault(fires: Nist) -> None:
    assert fires.gas["SDC02", "GASF_1"].raised() >= {"co", "fault"}


@pytest.mark.parametrize(
    ("run", "channel"),
    [
        ("SDC07", "GASB_3"), ("SDC10", "GASB_3"), ("SDC07", "GASB_5"), ("SDC07", "GASF_5"),
        ("SDC10", "GASF_5"), ("SDC02", "GASB_3"), ("SDC02", "GASF_5"),
    ],
)  # fmt: skip
def test_known_bad_co2_and_o2_channels_are_faults_and_nothing_else(
    fires: Nist, run: str, channel: str
) -> None:
    assert fires.gas[run, channel].raised() == {"fault"}


def test_kitchen_six_raises_inside_its_window_and_the_other_eight_never(shared_data: Path) -> None:
    found = {one.household: one for one in kitchens(shared_data / "household-stove-co")}
    assert sorted(found) == list(range(5, 14))
    six = found.pop(6)
    assert six.ours_s is not None
    assert six.earliest_s is not None
    assert six.latest_s is not None
    assert six.earliest_s <= six.ours_s <= six.latest_s
    assert [one.household for one in found.values() if one.ours_s is not None] == []


def test_the_window_of_a_recording_follows_the_rows_of_the_standard() -> None:
    steady = [(60.0 * n, {"co_ppm": 100.0}) for n in range(60)]
    assert en_window(steady) == (600.0, 2400.0)
    assert en_window([(60.0 * n, {"co_ppm": 49.0}) for n in range(600)]) == (None, None)


def test_a_day_of_uncalibrated_sensors_raises_nothing(shared_data: Path) -> None:
    devices = environment(shared_data / "iot-env-telemetry")
    assert sum(count for count, _ in devices.values()) == 9995
    assert [heard.raised() for _, heard in devices.values()] == [set(), set(), set()]


def test_a_winter_of_ulaanbaatar_raises_no_alarm(shared_data: Path) -> None:
    found = winters(shared_data / "ulaanbaatar-pm25-hourly")
    assert len(found) == 3
    for winter in found:
        assert winter.hours > 2500
        assert {kind for kind in winter.heard.raised() if CLASS_OF[kind] == "alarm"} == set()  # type: ignore[index]


def test_a_ceiling_at_54_degrees_means_a_heat_alarm_and_a_cool_one_none(shared_data: Path) -> None:
    for room in burning_rooms(shared_data / "fsri-hvac-gasburner"):
        if room.reaches_54_c_s is not None:
            assert room.ours_s is not None
            assert room.ours_s <= room.reaches_54_c_s + 10.0
        if room.hottest_c < 46.0:
            assert room.ours_s is None


def test_the_document_in_the_repository_is_the_one_the_command_makes(shared_data: Path) -> None:
    kept = Path(__file__).resolve().parents[2] / "docs" / "alarm-evidence.md"
    assert kept.read_text(encoding="utf-8") == document(shared_data)
