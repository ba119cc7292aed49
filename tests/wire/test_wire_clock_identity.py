"""Clock, ids, topics and flags: the small things that edge and city must agree on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from edge.wire.clock import (
    EARLIEST_US,
    ManualClock,
    ScaledClock,
    SystemClock,
    clock_from_text,
    datetime_from_us,
    rfc3339,
    us_from_datetime,
)
from edge.wire.identity import check_site, detector_id, new_id
from edge.wire.readings import Flag, Reading, flag_names
from edge.wire.topics import (
    SITE_LEAVES,
    SiteLeaf,
    detector_topic,
    ingest_filter,
    parse_site_topic,
    site_topic,
)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_from_microseconds(moment: datetime) -> None:
    assert datetime_from_us(us_from_datetime(moment)) == moment


def test_a_time_of_ulaanbaatar_is_eight_hours_earlier_in_utc() -> None:
    midnight = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8)))
    assert rfc3339(us_from_datetime(midnight)) == "2025-12-31T16:00:00.000000Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        us_from_datetime(datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_earliest_believable_time_is_2020() -> None:
    assert rfc3339(EARLIEST_US) == "2020-01-01T00:00:00.000000Z"


def test_without_a_setting_the_clock_is_the_machines() -> None:
    assert isinstance(clock_from_text(None), SystemClock)
    assert isinstance(clock_from_text(""), SystemClock)


def test_a_scaled_clock_runs_from_its_anchor_as_fast_as_told() -> None:
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False) as machine:
        real_s = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
        clock = ScaledClock(real_s, 1_000_000.0, 60.0)
        assert clock.now_us() == 1_000_000_000_000
        machine.shift(10)
        assert clock.now_us() == 1_000_600_000_000


@given(st.floats(0, 2e9), st.floats(0, 2e9), st.floats(0.001, 10_000))
def test_a_scaled_clock_is_handed_to_another_process_as_text(
    real_s: float, simulated_s: float, factor: float
) -> None:
    clock = ScaledClock(real_s, simulated_s, factor)
    assert clock_from_text(clock.as_text()) == clock


@pytest.mark.parametrize("text", ["fast", "1,2", "1,2,3,4", "1,2,x", "1,2,0", "1,2,-5", "1,2,nan"])
def test_a_clock_that_cannot_be_is_refused_and_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        clock_from_text(text)


def test_a_stepped_wall_clock_leaves_the_monotonic_one_alone() -> None:
    clock = ManualClock()
    clock.advance(timedelta(seconds=5))
    clock.set_wall(0)
    assert (clock.now_us(), clock.monotonic_us()) == (0, 5_000_000)


def test_a_detectors_id_is_the_same_on_every_machine() -> None:
    """Ids are stored as keys: the figure is fixed for good."""
    assert detector_id("home-1", "native", "kitchen") == "dcpxcqls3p6ounz7dbwra"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_site_can_name_another_sites_detector(a: str, b: str, source: str, address: str) -> None:
    if a != b:
        assert detector_id(a, source, address) != detector_id(b, source, address)


def test_a_detectors_id_gives_its_address_away_to_nobody() -> None:
    assert "kitchen" not in detector_id("home-1", "native", "kitchen")


def test_new_ids_differ() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("site", ["home-1", "a", "0", "x" * 63])
def test_a_site_name_is_taken(site: str) -> None:
    assert check_site(site) == site


@pytest.mark.parametrize(
    "site", ["", "Home", "a/b", "+", "#", "-a", "x" * 64, "гэр", "a b", "home-1\n", "../etc", "$SYS"]
)
def test_what_could_be_a_path_or_a_wildcard_is_no_site_name(site: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_site(site)


@pytest.mark.parametrize("leaf", SITE_LEAVES)
def test_a_topic_comes_apart_into_what_it_was_made_of(leaf: SiteLeaf) -> None:
    assert parse_site_topic(site_topic("home-1", leaf)) == ("home-1", leaf)


@pytest.mark.parametrize(
    "topic",
    ["", "utaa/v1/site/home-1", "utaa/v2/site/home-1/event", "utaa/v1/site/home-1/event/x",
     "utaa/v1/site/home-1/evil", detector_topic("kitchen", "reading")],
)  # fmt: skip
def test_a_topic_that_is_none_of_the_sites_is_none(topic: str) -> None:
    assert parse_site_topic(topic) is None


def test_workers_share_their_reading_unless_the_broker_cannot() -> None:
    assert ingest_filter("event") == "$share/utaa-ingest/utaa/v1/site/+/event"
    assert ingest_filter("event", shared=False) == "utaa/v1/site/+/event"


def test_a_flag_nobody_stated_says_nothing() -> None:
    reading = Reading(detector="d", time_us=1, flags=Flag.TEST, flags_known=Flag.TEST | Flag.FAULT)
    assert reading.flag(Flag.TEST) is True
    assert reading.flag(Flag.FAULT) is False
    assert reading.flag(Flag.SMOKE_ALARM) is None


def test_the_bits_of_flags_are_part_of_the_wire() -> None:
    """Append to this list; never change what is here."""
    assert flag_names(0b111111111) == [
        "smoke_alarm", "co_alarm", "heat_alarm", "tamper", "battery_low", "fault", "test", "muted",
        "end_of_life",
    ]  # fmt: skip


def test_readings_that_differ_in_time_only_have_the_same_content() -> None:
    one = Reading(detector="d", time_us=1, co_ppm=3.0)
    assert one.same_content(Reading(detector="d", time_us=2, co_ppm=3.0))
    assert not one.same_content(Reading(detector="d", time_us=1, co_ppm=4.0))
