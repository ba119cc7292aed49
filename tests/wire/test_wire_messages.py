"""Messages: JSON and back, the AsyncAPI document against the code, and bad payloads refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edge.outputs import OutputSettings, Sirens, build_targets
from edge.sources import native
from edge.sources.base import matches
from edge.wire import asyncapi, messages, topics
from edge.wire.errors import REASONS, WireError
from edge.wire.messages import (
    CLASS_OF,
    Ack,
    Alarm,
    AlarmKind,
    Command,
    CommandResult,
    Config,
    DetectorSettings,
    DeviceFact,
    Event,
    Heartbeat,
    Rejected,
    Snapshot,
    Status,
    decode,
    encode,
    ranges,
)

_ALARM = Alarm(
    id="a1", kind="smoke", detector="d1", raised_us=1_800_000_000_000_000, revision=2,
    reason="optical_density_db_m above 0.5 for 10 s", values={"optical_density_db_m": 0.61},
    peak={"optical_density_db_m": 0.7},
)  # fmt: skip

#: Every message once in full; what is encoded from these must fit the document.
EXAMPLES: list[msgspec.Struct] = [
    Event(site="home-1", epoch="e", seq=1, at_us=5, transition="raise", alarm=_ALARM, age_ms=12),
    Event(
        site="home-1", epoch="e", seq=2, at_us=5, transition="update", clock_synced=False,
        device=DeviceFact(detector="d1", source="native", address="kitchen", online=True),
    ),
    Event(
        site="home-1", epoch="e", seq=3, at_us=5, transition="raise", note="spool_reset",
        note_values={"lost": 3},
    ),
    Snapshot(
        site="home-1", epoch="e", nonce="n", at_us=5, last_seq=0, active=[_ALARM], age_ms={"a1": 3}
    ),
    Ack(
        site="home-1", epoch="e", store="s", lane="frames", seqs=[(1, 9), (11, 11)],
        rejected=[Rejected(seq=10, reason="inconsistent")],
    ),
    Ack(site="home-1", epoch="e", store="s", lane="events", snapshot="n"),
    Heartbeat(
        site="home-1", epoch="e", boot="b", at_us=5, uptime_s=1.5, clock_synced=True,
        config_version=0, detectors=2, queued_events=0, queued_readings=0, spool_bytes=4096,
        counters={"refused": {"not_json": 2}}, software="0.1.0", config_error="alarms: no such key",
    ),
    Status(site="home-1", state="online", boot="b"),
    Config(
        site="home-1", version=3, alarms={"smoke_raise_db_m": 0.5},
        detectors=[DetectorSettings(detector="d1", source="native", address="kitchen", deadline_s=90)],
    ),
    Command(
        site="home-1", id="c", issued_us=1, expires_us=60_000_001, action="silence", target="a1"
    ),
    CommandResult(site="home-1", id="c", ok=False, detail="expired"),
]  # fmt: skip
_KINDS = sorted({type(example) for example in EXAMPLES}, key=lambda kind: kind.__name__)


def _names(example: Any) -> str:
    return type(example).__name__


@pytest.mark.parametrize("example", EXAMPLES, ids=_names)
def test_a_message_comes_back_as_it_was(example: Any) -> None:
    assert decode(encode(example), type(example)) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=_names)
def test_an_older_program_reads_a_newer_ones_message(example: Any) -> None:
    newer = {**json.loads(encode(example)), "something_new": [1, 2]}
    assert decode(json.dumps(newer).encode(), type(example)) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=_names)
def test_an_encoded_message_fits_the_document(example: msgspec.Struct) -> None:
    _validator(type(example).__name__).validate(json.loads(encode(example)))


@pytest.mark.parametrize("example", EXAMPLES, ids=_names)
def test_the_document_demands_what_the_code_demands(example: Any) -> None:
    """Leave each field out in turn: code and document must agree whether that is a message."""
    whole = json.loads(encode(example))
    for field in whole:
        part = {key: value for key, value in whole.items() if key != field}
        fits = _validator(type(example).__name__).is_valid(part)
        assert fits == _decodes(json.dumps(part).encode(), type(example)), field


def test_the_document_refuses_what_is_no_message() -> None:
    event = json.loads(encode(EXAMPLES[0]))
    for field, wrong in [("seq", 0), ("site", "Home 1"), ("transition", "melt"), ("at_us", "now")]:
        assert not _validator("Event").is_valid({**event, field: wrong}), field
        with pytest.raises(WireError):
            decode(json.dumps({**event, field: wrong}).encode(), Event)


def test_every_topic_is_a_channel_and_every_channel_a_topic() -> None:
    document = asyncapi.asyncapi()
    assert document["asyncapi"] == "3.0.0"
    addresses = {channel["address"] for channel in document["channels"].values()}
    leaves = {*topics.UPLINK_LEAVES, *topics.DOWNLINK_LEAVES}
    assert leaves == set(topics.SITE_LEAVES) == set(asyncapi.LEAVES)
    assert addresses >= {f"utaa/v1/site/{{site}}/{leaf}" for leaf in leaves}


def test_a_site_sends_the_uplink_and_receives_the_downlink() -> None:
    operations = asyncapi.asyncapi()["operations"].values()
    sent = {o["channel"]["$ref"].split("/")[-1] for o in operations if o["action"] == "send"}
    assert set(topics.UPLINK_LEAVES) <= sent
    assert not set(topics.DOWNLINK_LEAVES) & sent


def test_the_document_names_every_field_that_a_native_detector_may_send() -> None:
    said = asyncapi.device_schemas()["DetectorReading"]["oneOf"][0]["properties"]
    assert set(said) == set(native._Native.__struct_fields__)


def test_the_native_example_fits_the_document() -> None:
    example = json.loads(native.NativeSource.example.payload)
    assert _validator("DetectorReading").is_valid(example)
    assert _validator("DetectorReading").is_valid([example, example])
    assert not _validator("DetectorReading").is_valid({**example, "co_ppm": "much"})
    assert not _validator("DetectorReading").is_valid([{"co_ppm": 1}])


def test_the_topics_of_native_detectors_are_channels() -> None:
    heard = {what.address for what in asyncapi.DEVICE_TOPICS.values() if not what.sent}
    heard.discard("utaa/v1/siren/{address}/state")
    filters = native.NativeSource("home-1").filters()
    assert len(heard) == 3
    for address in heard:
        assert any(matches(pattern, address.replace("{address}", "a")) for pattern in filters)


def test_what_a_siren_is_told_fits_the_document() -> None:
    outputs = build_targets("home-1", OutputSettings(sirens=["hall"]), [], {}, lambda _: None)
    sirens = Sirens(outputs.targets)
    orders = sirens.orders([_ALARM], 1_800_000_000_000_000)
    orders += sirens.orders([], 1_800_000_001_000_000)
    sirens.test(1_800_000_002_000_000)
    orders += sirens.orders([], 1_800_000_002_000_000)
    assert [json.loads(order.payload)["state"] for order in orders] == ["on", "off", "test"]
    assert outputs.state_topics.keys() == {"utaa/v1/siren/hall/state"}
    for order in orders:
        assert order.topic == "utaa/v1/siren/hall/command"
        _validator("SirenCommand").validate(json.loads(order.payload))


def test_what_a_native_detector_is_told_fits_the_document() -> None:
    order = native.NativeSource("home-1").order("kitchen", "self_test", "c1")
    assert order.topic == "utaa/v1/detector/kitchen/command"
    _validator("DetectorCommand").validate(json.loads(order.payload))


def test_every_message_of_the_code_has_an_example_and_a_schema() -> None:
    constraints = {kind.__name__ for kind in messages.Message.__constraints__}
    assert constraints == {kind.__name__ for kind in _KINDS}
    assert constraints <= set(asyncapi.schemas())


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = asyncapi.asyncapi()
    found = list(_references(document))
    assert len(found) > 20
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_schema_is_a_valid_json_schema() -> None:
    for schema in asyncapi.schemas().values():
        Draft202012Validator.check_schema(schema)


@given(st.binary(max_size=200), st.sampled_from(_KINDS))
def test_arbitrary_bytes_raise_nothing_but_the_documented_error(payload: bytes, kind: Any) -> None:
    _decodes(payload, kind)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.data(), st.sampled_from(EXAMPLES))
def test_any_json_in_any_field_raises_nothing_else(data: st.DataObject, example: Any) -> None:
    whole = json.loads(encode(example))
    field = data.draw(st.sampled_from(sorted(whole)))
    _decodes(json.dumps({**whole, field: data.draw(_JSON)}).encode(), type(example))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"site":"home-1"', "truncated"),
        (b"\xff\xfe", "not_json"),
        (b"nonsense", "not_json"),
        (b"[1]", "wrong_type"),
        (b'{"v":2}', "unknown_version"),
        (b'{"site":"home-1","state":"online"}', "missing_field"),
        (b'{"site":"home-1","state":"asleep","boot":"b"}', "wrong_type"),
        (b'{"site":"../etc","state":"online","boot":"b"}', "wrong_type"),
        (b'{"site":"home-1\\n","state":"online","boot":"b"}', "wrong_type"),
        (b" " * (messages.MAX_MESSAGE_BYTES + 1), "too_large"),
        (b'{"later":' + b"[" * 100_000, "not_json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_message_is_refused_with_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(payload, Status)
    assert caught.value.reason == reason


def test_every_alarm_kind_has_a_class() -> None:
    assert set(CLASS_OF) == set(AlarmKind.__args__)  # type: ignore[attr-defined]
    assert _ALARM.alarm_class == "alarm"


@given(st.lists(st.integers(1, 60)))
def test_ranges_hold_exactly_the_numbers_they_were_made_of(seqs: list[int]) -> None:
    made = ranges(seqs)
    assert [n for low, high in made for n in range(low, high + 1)] == sorted(set(seqs))
    assert all(a[1] + 1 < b[0] for a, b in pairwise(made))


def _validator(name: str) -> Draft202012Validator:
    schemas = asyncapi.asyncapi()["components"]["schemas"]
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    )


def _decodes(payload: bytes, kind: Any) -> bool:
    try:
        decode(payload, kind)
    except WireError as error:
        assert error.reason in REASONS
        return False
    return True


def _references(place: Any) -> list[str]:
    if isinstance(place, dict):
        own = [place["$ref"]] if isinstance(place.get("$ref"), str) else []
        return own + [ref for value in place.values() for ref in _references(value)]
    if isinstance(place, list):
        return [ref for value in place for ref in _references(value)]
    return []


def test_the_page_for_people_names_every_leaf_field_and_reason() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "mqtt.md").read_text()
    names = {*topics.SITE_LEAVES, *REASONS, *native._Native.__struct_fields__}
    assert not {name for name in names if f"`{name}`" not in page and f'"{name}"' not in page}
