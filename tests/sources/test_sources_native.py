"""Native JSON: what our own devices say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edge.sources.base import MAX_PAYLOAD_BYTES, Decoded, RawMessage
from edge.sources.native import MAX_BATCH, NativeSource
from edge.wire.errors import WireError
from edge.wire.readings import Flag, Reading
from edge.wire.units import QUANTITIES

TOPIC = "utaa/v1/detector/kitchen-1/reading"
STATUS = "utaa/v1/detector/kitchen-1/status"


@pytest.fixture
def decode(message: Callable[..., RawMessage]) -> Callable[..., Decoded]:
    source = NativeSource("demo")

    def run(payload: Any, topic: str = TOPIC) -> Decoded:
        raw = payload if isinstance(payload, str | bytes) else msgspec.json.encode(payload)
        return source.decode(message(topic, raw))

    return run


def only(decoded: Decoded) -> Reading:
    assert len(decoded.readings) == 1
    assert [fact.detector for fact in decoded.facts] == [decoded.readings[0].detector]
    return decoded.readings[0]


def refused(decode: Callable[..., Decoded], payload: Any, topic: str = TOPIC) -> str:
    with pytest.raises(WireError) as refusal:
        decode(payload, topic)
    return refusal.value.reason


def test_every_quantity_goes_through_by_its_name(decode: Callable[..., Decoded]) -> None:
    said = {quantity.name: 1.0 + n for n, quantity in enumerate(QUANTITIES)}
    assert only(decode(said)).quantities() == said


def test_every_flag_goes_through_by_its_name(decode: Callable[..., Decoded]) -> None:
    for flag in Flag:
        assert flag.name
        on, off = decode({flag.name.lower(): True}), decode({flag.name.lower(): False})
        assert (only(on).flags, only(on).flags_known) == (flag, flag)
        assert (only(off).flags, only(off).flags_known) == (0, flag)


def test_a_flag_that_is_not_stated_is_not_known(decode: Callable[..., Decoded]) -> None:
    assert only(decode({"co_ppm": 3})).flag(Flag.SMOKE_ALARM) is None


def test_time_is_rfc3339_or_epoch_seconds_or_arrival(
    decode: Callable[..., Decoded], received_us: int
) -> None:
    assert only(decode({"co_ppm": 3})).time_us == received_us
    for time in ("2026-01-31T19:11:00+08:00", "2026-01-31T11:11:00Z", received_us / 1e6 - 60):
        decoded = decode({"co_ppm": 3, "time": time})
        assert only(decoded).time_us == received_us - 60_000_000
        assert decoded.repairs == []


@pytest.mark.parametrize(
    ("time", "repair"),
    [
        ("1970-01-01T00:00:12Z", "time_too_old"),
        (12, "time_too_old"),
        ("2100-01-01T00:00:00Z", "time_in_future"),
    ],
)
def test_an_absurd_time_becomes_the_time_of_arrival(
    decode: Callable[..., Decoded], received_us: int, time: str | int, repair: str
) -> None:
    decoded = decode({"co_ppm": 3, "time": time})
    assert only(decoded).time_us == received_us
    assert decoded.repairs == [repair]


def test_a_batch_gives_a_reading_for_each_row(decode: Callable[..., Decoded], received_us: int) -> None:
    now_s = received_us // 1_000_000
    decoded = decode([{"time": now_s - n, "co_ppm": n} for n in range(3)])
    assert [reading.co_ppm for reading in decoded.readings] == [0, 1, 2]
    assert [reading.time_us for reading in decoded.readings] == [
        (now_s - n) * 1_000_000 for n in range(3)
    ]
    assert len(decoded.facts) == 1


def test_a_bad_row_costs_only_itself(decode: Callable[..., Decoded], received_us: int) -> None:
    now_s = received_us // 1_000_000
    decoded = decode([{"time": now_s, "co_ppm": 1}, {"co_ppm": 2}, {"time": now_s, "co_ppm": "x"}])
    assert [reading.co_ppm for reading in decoded.readings] == [1]
    assert decoded.repairs == ["part_dropped", "part_dropped"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"[]", "empty"),
        (b"{}", "empty"),
        (b'{"unheard_of": 1}', "empty"),
        (b'[{"co_ppm": 1}]', "missing_field"),
        (b'{"co_ppm": 1', "truncated"),
        (b"co=1", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"co_ppm": "1"}', "wrong_type"),
        (b'{"co_ppm": true}', "wrong_type"),
        (b'{"tamper": 1}', "wrong_type"),
        (b"17", "wrong_type"),
        (b'{"co_ppm": NaN}', "not_finite"),
        (b'{"co_ppm": -Infinity}', "not_finite"),
        (b'{"co_ppm": 1e999}', "not_finite"),
        (b'{"temperature_c": -274}', "out_of_range"),
        (b'{"co_ppm": 1, "time": "2026-01-31T19:12:00"}', "wrong_type"),
        (b'{"co_ppm": 1, "time": 1769857920000}', "out_of_range"),
        (b'{"co_ppm": 1, "report_interval_s": 0}', "out_of_range"),
        (b'{"maker": "' + b"x" * MAX_PAYLOAD_BYTES + b'"}', "too_large"),
        (b"[" + b"{}," * MAX_BATCH + b"{}]", "too_large"),
        (b"[" * 100_000, "not_json"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_what_is_wrong_is_refused_with_its_reason(
    decode: Callable[..., Decoded], payload: bytes, reason: str
) -> None:
    assert refused(decode, payload) == reason


@pytest.mark.parametrize(
    "payload",
    [
        '{"smoke_alarm": true, "temperature_c": NaN}',
        '{"smoke_alarm": true, "temperature_c": 1e999}',
        '{"smoke_alarm": true, "temperature_c": 99999}',
        '{"smoke_alarm": true, "temperature_c": "hot"}',
        '{"smoke_alarm": true, "report_interval_s": -1}',
        '{"smoke_alarm": true, "tamper": "yes"}',
    ],
)
def test_a_broken_thermometer_does_not_silence_a_smoke_alarm(
    decode: Callable[..., Decoded], payload: str
) -> None:
    decoded = decode(payload)
    reading = only(decoded)
    assert reading.flag(Flag.SMOKE_ALARM) is True
    assert reading.temperature_c is None
    assert decoded.repairs == ["part_dropped"]


def test_an_alarm_without_a_readable_time_has_just_happened(
    decode: Callable[..., Decoded], received_us: int
) -> None:
    decoded = decode({"co_alarm": True, "time": "noon"})
    assert only(decoded).time_us == received_us
    assert decoded.repairs == ["time_unset"]


def test_an_alarm_in_a_broken_row_of_a_batch_still_counts(decode: Callable[..., Decoded]) -> None:
    decoded = decode('[{"smoke_alarm": true, "co_ppm": "x"}]')
    assert only(decoded).flag(Flag.SMOKE_ALARM) is True


def test_a_device_that_only_introduces_itself_gives_a_fact(decode: Callable[..., Decoded]) -> None:
    decoded = decode({"maker": "Utaa", "model": "S1", "firmware": "1.2", "report_interval_s": 900})
    assert decoded.readings == []
    fact = decoded.facts[0]
    assert (fact.maker, fact.model, fact.firmware) == ("Utaa", "S1", "1.2")
    assert fact.report_interval_s == 900


@pytest.mark.parametrize(("word", "online"), [("online", True), ("offline", False)])
def test_status_says_whether_it_is_online(
    decode: Callable[..., Decoded], word: str, online: bool
) -> None:
    decoded = decode(word, STATUS)
    assert decoded.readings == []
    assert decoded.facts[0].online is online


def test_a_cleared_status_says_nothing_and_another_word_is_refused(
    decode: Callable[..., Decoded],
) -> None:
    assert decode(b"", STATUS) == Decoded()
    assert refused(decode, b"maybe", STATUS) == "wrong_type"


def test_our_own_order_to_a_detector_is_no_payload_of_it(decode: Callable[..., Decoded]) -> None:
    assert decode({"v": 1, "action": "silence"}, "utaa/v1/detector/k/command") == Decoded()


@pytest.mark.parametrize("topic", ["utaa/v1/detector/k/raeding", "utaa/v1/detector/reading", "x", ""])
def test_another_topic_is_refused(decode: Callable[..., Decoded], topic: str) -> None:
    assert refused(decode, {"co_ppm": 1}, topic) == "unknown_topic"


def test_a_native_detector_is_told_on_its_command_topic() -> None:
    order = NativeSource("demo").order("kitchen-1", "self_test", "c1")
    assert order.topic == "utaa/v1/detector/kitchen-1/command"
    assert msgspec.json.decode(order.payload) == {"v": 1, "action": "self_test", "id": "c1"}
