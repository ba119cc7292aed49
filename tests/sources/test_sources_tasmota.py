"""Tasmota: plain sensors, inputs, and Zigbee detectors behind a bridge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.sources.base import Decoded, RawMessage
from edge.sources.tasmota import TasmotaSource
from edge.wire.errors import WireError
from edge.wire.readings import Flag

MakeMessage = Callable[..., RawMessage]
Decode = Callable[..., Decoded]


@pytest.fixture
def decode(message: MakeMessage) -> Decode:
    def run(topic: str, payload: Any, **options: Any) -> Decoded:
        raw = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        return TasmotaSource("demo", **options).decode(message(topic, raw))

    return run


@pytest.fixture(scope="module")
def literals(shared_data: Path) -> dict[str, dict[str, Any]]:
    listed = json.loads((shared_data / "device-payload-fixtures" / "mqtt_payloads.json").read_text())
    return {literal["id"]: literal for literal in listed}


def test_real_telemetry_gives_its_temperature_at_the_time_of_arrival(
    decode: Decode, literals: dict[str, dict[str, Any]], received_us: int
) -> None:
    sent = literals["tasmota-telemetry"]
    decoded = decode(sent["topic"], sent["payload"])
    (reading,) = decoded.readings
    assert reading.quantities() == {"temperature_c": 20.6}
    assert (reading.time_us, decoded.repairs) == (received_us, [])  # its time has no offset


def test_a_real_door_contact_is_no_detector(
    decode: Decode, literals: dict[str, dict[str, Any]]
) -> None:
    sent = literals["tasmota-ias-contact"]
    assert decode(sent["topic"], sent["payload"]) == Decoded()


def test_a_real_last_will_is_a_fact(decode: Decode, literals: dict[str, dict[str, Any]]) -> None:
    sent = literals["tasmota-lwt"]
    assert decode(sent["topic"], sent["payload"]).facts[0].online is True
    assert decode(sent["topic"], "Offline").facts[0].online is False


def zigbee(**said: Any) -> dict[str, Any]:
    return {"ZbReceived": {"0x1F3A": {"Device": "0x1F3A", "Endpoint": 1} | said}}


@pytest.mark.parametrize(
    ("said", "flags", "known"),
    [
        ({"Fire": 1}, Flag.SMOKE_ALARM, Flag.SMOKE_ALARM),
        ({"CO": 1}, Flag.CO_ALARM, Flag.CO_ALARM),
        ({"Fire": 0}, 0, Flag.SMOKE_ALARM),
        (
            {"Fire": 1, "ZoneStatusChange": 0b1_0000_1101},
            Flag.SMOKE_ALARM | Flag.TAMPER | Flag.BATTERY_LOW | Flag.TEST,
            Flag.SMOKE_ALARM | Flag.TAMPER | Flag.BATTERY_LOW | Flag.TEST | Flag.FAULT,
        ),
        ({"Fire": 0, "ZoneStatus": 1 << 6}, Flag.FAULT,
         Flag.SMOKE_ALARM | Flag.TAMPER | Flag.BATTERY_LOW | Flag.TEST | Flag.FAULT),
    ],
)  # fmt: skip
def test_an_ias_zone_of_a_detector_gives_its_flags(
    decode: Decode, said: dict[str, Any], flags: int, known: int
) -> None:
    (reading,) = decode("tele/bridge/SENSOR", zigbee(**said)).readings
    assert (reading.flags, reading.flags_known) == (flags, known)


def test_a_zigbee_devices_address_is_its_name_or_short_address(decode: Decode) -> None:
    assert decode("tele/bridge/SENSOR", zigbee(Fire=0)).facts[0].address == "bridge/0x1F3A"
    named = decode("tele/bridge/SENSOR", zigbee(Fire=0, Name="Kitchen", ModelId="SD-1"))
    assert (named.facts[0].address, named.facts[0].model) == ("bridge/Kitchen", "SD-1")
    own_topic = decode("tele/bridge/1F3A/SENSOR", zigbee(Fire=0, Name="Kitchen"))
    assert own_topic.facts[0].address == "bridge/Kitchen"


def test_several_zigbee_devices_in_one_message_are_several_readings(decode: Decode) -> None:
    both = {"ZbReceived": {"a": {"Fire": 0}, "b": {"BatteryPercentage": 80}, "c": {"Contact": 1}}}
    decoded = decode("tele/bridge/SENSOR", both)
    assert [fact.address for fact in decoded.facts] == ["bridge/a", "bridge/b"]
    assert [reading.battery_pct for reading in decoded.readings] == [None, 80]


def test_fahrenheit_is_turned_into_celsius(decode: Decode) -> None:
    said = {"Time": "2026-01-31T19:12:00", "AM2301": {"Temperature": 68.0}, "TempUnit": "F"}
    assert decode("tele/t/SENSOR", said).readings[0].temperature_c == pytest.approx(20.0)


def test_a_time_with_an_offset_is_used(decode: Decode, received_us: int) -> None:
    said = {"Time": "2026-01-31T19:11:00+08:00", "SCD30": {"CarbonDioxide": 800}}
    assert decode("tele/t/SENSOR", said).readings[0].time_us == received_us - 60_000_000


def test_the_first_sensor_that_states_a_quantity_counts(decode: Decode) -> None:
    said = {"BME280": {"Temperature": 20, "Humidity": 40}, "DS18B20": {"Temperature": 90}}
    assert decode("tele/t/SENSOR", said).readings[0].quantities() == {
        "temperature_c": 20, "humidity_pct": 40
    }  # fmt: skip


def test_an_input_can_be_told_to_mean_smoke(decode: Decode) -> None:
    options = {"inputs": {"Switch1": "smoke_alarm"}}
    (reading,) = decode("tele/t/SENSOR", {"Switch1": "ON"}, **options).readings
    assert reading.flag(Flag.SMOKE_ALARM) is True
    (reading,) = decode("tele/t/SENSOR", {"Switch1": "OFF"}, **options).readings
    assert reading.flag(Flag.SMOKE_ALARM) is False
    assert decode("tele/t/SENSOR", {"Switch1": "ON"}) == Decoded()
    with pytest.raises(ValueError, match="no flag 'smoek'"):
        TasmotaSource("demo", inputs={"Switch1": "smoek"})


def test_a_failed_sensor_says_null_and_an_energy_meter_nothing(decode: Decode) -> None:
    assert decode("tele/t/SENSOR", {"DS18B20": {"Temperature": None}}) == Decoded()
    assert decode("tele/t/SENSOR", {"ENERGY": {"Power": 12}}) == Decoded()


def test_a_broken_number_beside_fire_is_left_out(decode: Decode) -> None:
    decoded = decode("tele/bridge/SENSOR", zigbee(Fire=1, Temperature="hot"))
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
    assert decoded.repairs == ["part_dropped"]


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("tele/t/SENSOR", "", "empty"),
        ("tele/t/SENSOR", "{", "truncated"),
        ("tele/t/SENSOR", '{"ZbReceived":1}', "wrong_type"),
        ("tele/t/SENSOR", '{"ZbReceived":{"a":1}}', "wrong_type"),
        ("tele/t/SENSOR", '{"ZbReceived":{"a":{"Fire":2}}}', "wrong_type"),
        ("tele/t/SENSOR", '{"X":{"Temperature":true}}', "wrong_type"),
        ("tele/t/LWT", "Gone", "wrong_type"),
        ("stat/t/SENSOR", "{}", "unknown_topic"),
        ("tele/t/STATE", "{}", "unknown_topic"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    decode: Decode, topic: str, payload: str, reason: str
) -> None:
    with pytest.raises(WireError) as refusal:
        decode(topic, payload)
    assert refusal.value.reason == reason
