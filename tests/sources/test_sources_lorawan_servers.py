"""The Things Stack, and what both network servers do with devices that no codec knows."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.sources.base import Decoded, RawMessage
from edge.sources.chirpstack import ChirpStackSource
from edge.sources.lorawan import best_signal, said_by_object
from edge.sources.thethingsstack import TheThingsStackSource
from edge.wire.errors import WireError
from edge.wire.readings import Flag

MakeMessage = Callable[..., RawMessage]
EUI = "00137A1000012345"
CO_ALARM = bytes.fromhex("0111011f010000dc000000")
SMOKE_ALARM = bytes.fromhex("2211641e2229")


def up(data: bytes = CO_ALARM, port: int = 6, **more: Any) -> dict[str, Any]:
    """An uplink as the server writes it: empty fields are left out."""
    message: dict[str, Any] = {
        "rx_metadata": [{"rssi": -80}, {"rssi": -53}],
        "received_at": "2026-01-31T11:11:00.123456789Z",
    }
    if port:
        message["f_port"] = port
    if data:
        message["frm_payload"] = base64.b64encode(data).decode()
    ids = {"device_id": "kitchen", "dev_eui": EUI}
    return {"end_device_ids": ids, "uplink_message": message | more}


@pytest.fixture
def tts(message: MakeMessage) -> Callable[..., Decoded]:
    source = TheThingsStackSource("demo")

    def run(event: Any, leaf: str = "up", device: str = "kitchen") -> Decoded:
        raw = event if isinstance(event, bytes) else json.dumps(event)
        return source.decode(message(f"v3/homes@ttn/devices/{device}/{leaf}", raw))

    return run


def refused(tts: Callable[..., Decoded], event: Any, **where: str) -> str:
    with pytest.raises(WireError) as refusal:
        tts(event, **where)
    return refusal.value.reason


def test_an_uplink_gives_a_reading(tts: Callable[..., Decoded], received_us: int) -> None:
    decoded = tts(up())
    (reading,) = decoded.readings
    assert reading.flag(Flag.CO_ALARM) is True
    assert reading.quantities() == {"temperature_c": 22.0, "battery_v": 3.1, "signal_dbm": -53}
    assert reading.time_us == received_us - 60_000_000 + 123_456
    fact = decoded.facts[0]
    assert (fact.address, fact.name, fact.model) == (EUI.lower(), "kitchen", "RA02C")


def test_a_gs524n_is_known_by_its_checksum(tts: Callable[..., Decoded]) -> None:
    assert tts(up(SMOKE_ALARM, 85)).readings[0].flag(Flag.SMOKE_ALARM) is True
    assert refused(tts, up(SMOKE_ALARM[:-1] + b"\x00", 85)) == "wrong_port"


def test_a_named_device_is_held_to_its_codec(tts: Callable[..., Decoded]) -> None:
    named = {"version_ids": {"brand_id": "milesight-iot", "model_id": "gs524n"}}
    assert refused(tts, up(SMOKE_ALARM[:-1] + b"\x00", 85, **named)) == "bad_checksum"
    named = {"version_ids": {"brand_id": "hager", "model_id": "tg563a"}}
    assert refused(tts, up(b"\x00\x78\x1a\x03", 1, **named)) == "truncated"
    assert tts(up(b"\x00\x78\x1a\x03\x01", 1, **named)).readings[0].flag(Flag.SMOKE_ALARM)


def test_five_bytes_on_port_1_are_no_smoke_detector_by_themselves(
    tts: Callable[..., Decoded],
) -> None:
    assert refused(tts, up(b"\x00\x78\x1a\x03\x01", 1)) == "unknown_device"


def test_an_absent_port_is_zero_and_absent_bytes_are_none(tts: Callable[..., Decoded]) -> None:
    assert refused(tts, up(b"\x02", 0)) == "wrong_port"
    assert refused(tts, up(b"", 0)) == "empty"


def test_a_simulated_uplink_is_a_test(tts: Callable[..., Decoded]) -> None:
    reading = tts(up() | {"simulated": True}).readings[0]
    assert (reading.flag(Flag.TEST), reading.flag(Flag.CO_ALARM)) == (True, True)
    assert tts(up()).readings[0].flag(Flag.TEST) is None


def test_a_join_says_that_the_device_is_there(tts: Callable[..., Decoded]) -> None:
    ids = {"device_id": "kitchen", "dev_eui": EUI}
    decoded = tts({"end_device_ids": ids, "join_accept": {}}, leaf="join")
    assert [(fact.address, fact.online) for fact in decoded.facts] == [(EUI.lower(), True)]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"", "empty"),
        (b"{", "truncated"),
        ({"end_device_ids": {}}, "missing_field"),
        ({"end_device_ids": {"device_id": "attic"}, "uplink_message": {}}, "inconsistent"),
        ({"uplink_message": {"f_port": "6"}}, "wrong_type"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    tts: Callable[..., Decoded], event: Any, reason: str
) -> None:
    assert refused(tts, event) == reason


def test_the_published_example_gives_what_its_server_decoded(
    shared_data: Path, message: MakeMessage
) -> None:
    folder = shared_data / "device-payload-fixtures"
    event = json.loads((folder / "tts_v3_uplink_example.json").read_text())
    decoded = TheThingsStackSource("demo").decode(
        message("v3/app1@tenant1/devices/dev1/up", json.dumps(event))
    )
    (reading,) = decoded.readings
    assert reading.temperature_c == event["uplink_message"]["decoded_payload"]["temperature"] == 1.0
    assert reading.signal_dbm == -35
    assert decoded.facts[0].address == "0004a30b001c0530"


def test_the_object_of_a_servers_codec_stands_in_where_we_have_none(message: MakeMessage) -> None:
    event = {"fPort": 9, "data": "AQI=", "object": {"smokeAlarm": True, "Battery Voltage": 3.0}}
    decoded = ChirpStackSource("demo").decode(
        message("application/1/device/00137a1000012345/event/up", json.dumps(event))
    )
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
    assert decoded.readings[0].battery_v == 3.0


def test_our_codec_goes_before_the_servers_object(tts: Callable[..., Decoded]) -> None:
    reading = tts(up(decoded_payload={"COAlarm": "No Alarm", "temperature": 99})).readings[0]
    assert (reading.flag(Flag.CO_ALARM), reading.temperature_c) == (True, 22.0)


@pytest.mark.parametrize(
    ("said", "flag", "expected"),
    [
        ({"COAlarm": "Alarm"}, Flag.CO_ALARM, True),
        ({"COAlarm": "No Alarm"}, Flag.CO_ALARM, False),
        ({"FireAlarm": "Alarm"}, Flag.SMOKE_ALARM, True),
        ({"low_battery": False}, Flag.BATTERY_LOW, False),
    ],
)
def test_a_servers_object_may_say_it_in_words(said: dict[str, Any], flag: Flag, expected: bool) -> None:
    found = said_by_object(said)
    assert found is not None
    assert found.flags_known == flag
    assert bool(found.flags & flag) is expected


def test_an_object_that_tells_nothing_is_nothing() -> None:
    assert said_by_object({"luminosity": 0.64, "temperature": "warm", "smoke": None}) is None


def test_a_signal_nobody_can_have_heard_is_left_out() -> None:
    assert best_signal([-300, 80]) is None
    assert best_signal([-300, -90, -80]) == -80
