"""Whatever arrives, a source decodes it or raises ``WireError``; nothing else comes out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources import SOURCES, Router, Source, build_example
from edge.sources.base import Decoded, RawMessage
from edge.wire.errors import REASONS, REPAIRS, WireError
from edge.wire.readings import Flag
from edge.wire.units import BY_NAME

RECEIVED_US = 1_769_857_920_000_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5)
    ),
    max_leaves=12,
)


def topics_of(name: str) -> st.SearchStrategy[str]:
    """Topics that its filters take, and its example's."""
    source = build_example(name)
    word = st.text(
        st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), min_size=1, max_size=12
    )

    def fill(parts: tuple[str, list[str]]) -> str:
        topic_filter, words = parts
        supply = iter(words)
        levels = [next(supply) if level in "+#" else level for level in topic_filter.split("/")]
        return "/".join(levels)

    drawn = st.tuples(st.sampled_from(source.filters()), st.lists(word, min_size=8, max_size=8))
    return drawn.map(fill) | st.just(source.example.topic)


def keys_of(payload: str) -> list[str]:
    """Every key in the source's example, to aim at."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.update(value)
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    try:
        walk(json.loads(payload))
    except ValueError:
        return ["state"]
    return sorted(found) or ["state"]


def check(source: Source, message: RawMessage) -> None:
    try:
        decoded = source.decode(message)
    except WireError as refusal:
        assert refusal.reason in REASONS
        return
    assert set(decoded.repairs) <= set(REPAIRS)
    known = {fact.detector for fact in decoded.facts}
    for reading in decoded.readings:
        assert reading.detector in known
        assert reading.flags & ~reading.flags_known == 0
        assert reading.flags_known < 1 << len(Flag)
        for quantity, value in reading.quantities().items():
            assert BY_NAME[quantity].low <= value <= BY_NAME[quantity].high
    msgspec.json.encode(decoded)  # it can go on a wire


every_source = pytest.mark.parametrize("name", list(SOURCES))


@every_source
@given(data=st.data())
def test_arbitrary_bytes_on_a_topic_of_the_source(name: str, data: st.DataObject) -> None:
    message = RawMessage(
        data.draw(topics_of(name)),
        data.draw(st.binary(max_size=200)),
        data.draw(st.booleans()),
        RECEIVED_US,
    )
    check(build_example(name), message)


@every_source
@given(data=st.data())
def test_arbitrary_json_on_a_topic_of_the_source(name: str, data: st.DataObject) -> None:
    source = build_example(name)
    keys = st.sampled_from(keys_of(source.example.payload))
    value = data.draw(json_values | st.dictionaries(keys, json_values, max_size=8))
    message = RawMessage(data.draw(topics_of(name)), json.dumps(value).encode(), False, RECEIVED_US)
    check(source, message)


@every_source
@given(data=st.data())
def test_an_example_with_one_value_replaced(name: str, data: st.DataObject) -> None:
    source = build_example(name)
    try:
        example = json.loads(source.example.payload)
    except ValueError:
        example = {"state": source.example.payload}
    if not isinstance(example, dict):
        example = {"state": example}
    spoilt = dict(example)
    spoilt[data.draw(st.sampled_from(sorted(example)))] = data.draw(json_values)
    check(source, RawMessage(source.example.topic, json.dumps(spoilt).encode(), False, RECEIVED_US))


@every_source
@given(data=st.data())
def test_an_example_with_bytes_cut_or_changed(name: str, data: st.DataObject) -> None:
    source = build_example(name)
    raw = bytearray(source.example.payload.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    check(source, RawMessage(source.example.topic, bytes(raw[:cut]), False, RECEIVED_US))


@every_source
@given(topic=st.text(max_size=60), payload=st.binary(max_size=60))
def test_a_topic_of_nobody(name: str, topic: str, payload: bytes) -> None:
    check(build_example(name), RawMessage(topic, payload, False, RECEIVED_US))


@every_source
@given(data=st.data())
def test_a_source_that_remembers_survives_any_sequence_of_messages(
    name: str, data: st.DataObject
) -> None:
    source = build_example(name)
    topics = data.draw(st.lists(topics_of(name), min_size=1, max_size=3))
    keys = st.sampled_from(keys_of(source.example.payload))
    payloads = st.one_of(
        st.just(source.example.payload.encode()),
        st.binary(max_size=40),
        st.dictionaries(keys, json_values, max_size=6).map(lambda v: json.dumps(v).encode()),
        st.sampled_from([b"", b"online", b"offline", b"true", b"ON", b"[]", b"{}"]),
    )
    for _ in range(data.draw(st.integers(2, 8))):
        topic = data.draw(st.sampled_from(topics))
        check(source, RawMessage(topic, data.draw(payloads), data.draw(st.booleans()), RECEIVED_US))


discovery = st.fixed_dictionaries(
    {},
    optional={
        "device_class": st.sampled_from(["smoke", "carbon_monoxide", "temperature", "lock"]),
        "state_topic": st.sampled_from(["a/b", "kitchen/sensor/t/state", "~/x"]),
        "value_template": st.sampled_from(["{{ value_json.a }}", "{{ value }}", "{{ x }}"]),
        "device": json_values,
        "availability": json_values,
        "origin": json_values,
        "~": json_values,
        "payload_on": json_values,
        "unit_of_measurement": json_values,
    },
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["binary_sensor", "sensor", "light"]), discovery, json_values),
        max_size=4,
    )
)
def test_discovery_of_any_kind_does_no_harm(
    said: list[tuple[str, dict[str, Any], Any]],
) -> None:
    source = build_example("homeassistant")
    for component, config, state in said:
        for topic in (f"homeassistant/{component}/n/o/config", f"homeassistant/{component}/config"):
            check(source, RawMessage(topic, json.dumps(config).encode(), True, RECEIVED_US))
        for topic in ("a/b", "kitchen/sensor/t/state", "kitchen/status"):
            check(source, RawMessage(topic, json.dumps(state).encode(), False, RECEIVED_US))


inventory = st.lists(
    st.fixed_dictionaries(
        {"friendly_name": st.sampled_from(["kitchen", "lamp", "", "a/b"]) | json_values},
        optional={
            "type": json_values,
            "definition": st.fixed_dictionaries(
                {}, optional={"model": json_values, "exposes": json_values}
            )
            | json_values,
        },
    ),
    max_size=4,
)


@given(inventory | json_values, json_values)
def test_an_inventory_of_any_kind_does_no_harm(listed: Any, state: Any) -> None:
    source = build_example("zigbee2mqtt")
    check(
        source, RawMessage("zigbee2mqtt/bridge/devices", json.dumps(listed).encode(), True, RECEIVED_US)
    )
    check(source, RawMessage("zigbee2mqtt/kitchen", json.dumps(state).encode(), False, RECEIVED_US))


@given(topic=st.text(max_size=60))
def test_any_topic_is_routed_or_not(topic: str) -> None:
    router = Router([build_example(name) for name in SOURCES])
    found = router.route(topic)
    assert found is None or found in router.sources


@every_source
def test_the_example_itself_decodes_to_something(name: str) -> None:
    source = build_example(name)
    message = RawMessage(source.example.topic, source.example.payload.encode(), False, RECEIVED_US)
    decoded: Decoded = source.decode(message)
    assert decoded.readings
    assert decoded.repairs == []
