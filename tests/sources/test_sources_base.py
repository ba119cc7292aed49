"""Routing, naming, settling of times: what every source is built from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources import SOURCES, Router, Source, build, build_example
from edge.sources.base import (
    MAX_ADDRESS_CHARS,
    MAX_KNOWN,
    Builder,
    RawMessage,
    clean_text,
    matches,
    settled_time,
    time_from_epoch,
    time_from_text,
)
from edge.wire.clock import EARLIEST_US, FUTURE_SLACK_US
from edge.wire.errors import REPAIRS, WireError
from edge.wire.identity import detector_id


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "ab", False),
        ("+/b", "a/b", True),
        ("+/b", "$SYS/b", False),
        ("#", "$SYS/b", False),
        ("$SYS/#", "$SYS/b", True),
        ("a//+", "a//b", True),
    ],
)
def test_filters_match_topics_as_mqtt_says(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


def test_each_source_is_routed_its_own_example() -> None:
    sources = [build_example(name) for name in SOURCES]
    router = Router(sources)
    for source in sources:
        assert router.route(source.example.topic) is source
        assert router.route(source.example.topic) is source  # from the cache as well


def test_a_topic_of_nobody_goes_nowhere() -> None:
    router = Router([build_example(name) for name in SOURCES])
    assert router.route("garbage/1") is None
    assert router.route("utaa/v1/site/demo/frame") is None
    assert router.route("$SYS/broker/uptime") is None


def test_the_more_specific_filter_wins_whatever_the_order() -> None:
    wide, narrow = build("zigbee2mqtt", "demo", {"base": "utaa"}), build("native", "demo")
    for order in ([wide, narrow], [narrow, wide]):
        router = Router(order)
        assert router.route("utaa/v1/detector/k/reading") is narrow
        assert router.route("utaa/elsewhere") is wide


def test_garbage_topics_do_not_grow_the_router_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "MAX_CACHED", 10)
    router = Router([build("native", "demo")])
    for number in range(95):
        router.route(f"garbage/{number}")
    assert len(router._cache) <= 10


def test_every_source_names_its_filters_once() -> None:
    router = Router([build_example(name) for name in SOURCES])
    filters = router.filters()
    assert len(filters) == len(set(filters))
    assert set(filters) == {f for s in router.sources for f in s.filters()}


def test_an_unknown_source_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="no source 'zigbee'; known are native"):
        build("zigbee", "demo")


def test_an_unknown_option_of_a_source_is_named() -> None:
    with pytest.raises(ValueError, match="bse"):
        build("zigbee2mqtt", "demo", {"bse": "z2m"})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("chirpstack", {"codecs": "netvox_ra02"}),
        ("chirpstack", {"codecs": {"profile": 7}}),
        ("zigbee2mqtt", {"base": 7}),
        ("generic", {"devices": 7}),
        ("generic", {"devices": [7]}),
        ("tasmota", {"inputs": ["Switch1"]}),
        ("sparkplug", {"metrics": {"Gas": 7}}),
        ("homeassistant", {"entities": {"a/b": 7}}),
        ("homeassistant", {"topics": 7}),
        ("homeassistant", {"topics": "garage/+"}),
    ],
)
def test_an_option_of_the_wrong_type_is_a_value_error(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        build(name, "demo", options)


def test_a_detector_that_says_the_same_of_itself_gives_the_same_fact_object(
    message: Callable[..., RawMessage],
) -> None:
    for name in SOURCES:
        source = build_example(name)
        sent = message(source.example.topic, source.example.payload)
        first, second = source.decode(sent).facts[0], source.decode(sent).facts[0]
        assert first == second
        if name != "sparkplug":  # a birth is said once
            assert first is second, name


def test_a_detector_has_the_id_that_the_registry_computes() -> None:
    fact = Builder("demo", "native").fact("kitchen-1")
    assert fact.detector == detector_id("demo", "native", "kitchen-1")
    assert (fact.source, fact.address) == ("native", "kitchen-1")


def test_an_address_gives_the_same_fact_object_each_time() -> None:
    builder = Builder("demo", "native")
    assert builder.fact("a") is builder.fact("a")


@pytest.mark.parametrize(
    ("address", "reason"),
    [("", "missing_field"), ("x" * (MAX_ADDRESS_CHARS + 1), "too_large"), ("\ud800", "wrong_type")],
)
def test_an_address_that_is_none_is_refused(address: str, reason: str) -> None:
    with pytest.raises(WireError) as refusal:
        Builder("demo", "native").fact(address)
    assert refusal.value.reason == reason


def test_the_memory_of_addresses_is_bounded() -> None:
    builder = Builder("demo", "native")
    for number in range(MAX_KNOWN + 5):
        builder.fact(str(number))
    assert len(builder._known) <= MAX_KNOWN


@pytest.mark.parametrize(
    ("time_us", "repair"),
    [
        (None, None),
        (0, "time_too_old"),
        (EARLIEST_US - 1, "time_too_old"),
        (EARLIEST_US, None),
        (-(10**30), "time_too_old"),
        (10**30, "time_in_future"),
    ],
)
def test_a_time_is_believed_or_replaced_and_noted(
    time_us: int | None, repair: str | None, received_us: int
) -> None:
    notes: list[str] = []
    settled = settled_time(time_us, received_us, notes)
    assert notes == ([repair] if repair else [])
    assert settled == (received_us if repair or time_us is None else time_us)
    assert set(notes) <= set(REPAIRS)


def test_a_device_may_run_a_day_ahead_and_not_more(received_us: int) -> None:
    notes: list[str] = []
    ahead = received_us + FUTURE_SLACK_US
    assert settled_time(ahead, received_us, notes) == ahead
    assert settled_time(ahead + 1, received_us, notes) == received_us
    assert notes == ["time_in_future"]


def test_nanoseconds_and_offsets_are_read() -> None:
    utc = time_from_text("2022-07-18T09:34:15.775023242+00:00")
    assert utc == time_from_text("2022-07-18T09:34:15.775023Z")
    assert utc == time_from_text("2022-07-18T17:34:15.775023+08:00")


@pytest.mark.parametrize("text", ["", "yesterday", "2022-07-18T09:34:15", "2022-13-01T00:00:00Z", "٣"])
def test_a_time_without_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(WireError) as refusal:
        time_from_text(text)
    assert refusal.value.reason == "wrong_type"


@given(st.text())
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        assert isinstance(time_from_text(text), int)
    except WireError as refusal:
        assert refusal.reason == "wrong_type"


@given(st.floats() | st.integers())
def test_any_number_is_a_time_or_refused(seconds: float) -> None:
    try:
        assert isinstance(time_from_epoch(seconds), int)
    except WireError as refusal:
        assert refusal.reason == ("out_of_range" if math.isfinite(seconds) else "not_finite")


def test_a_devices_text_is_cut_and_fit_for_utf8() -> None:
    assert clean_text("a" * 500) == "a" * 100
    assert clean_text("x\ud800") == "x?"


def test_every_source_states_what_a_listing_needs() -> None:
    for name in SOURCES:
        source: Source = build_example(name)
        assert source.name == name
        assert source.summary
        assert source.deadline_s > 0
