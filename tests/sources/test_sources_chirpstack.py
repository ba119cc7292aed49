"""ChirpStack v4: events of a real server's shape, and a month of one real CO detector."""

from __future__ import annotations

import base64
import csv
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.sources.base import Decoded, RawMessage
from edge.sources.chirpstack import ChirpStackSource
from edge.wire.clock import us_from_datetime
from edge.wire.errors import WireError
from edge.wire.readings import Flag, Reading

MakeMessage = Callable[..., RawMessage]

EUI = "00137a1000012345"
ALARM = "0111011f010000dc000000"
INFO = {
    "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242", "tenantName": "City",
    "applicationId": "ca739e26-7b67-4f14-b69e-d568c22a5a75", "applicationName": "CO",
    "deviceProfileId": "605d08d4-65f5-4d2c-8a5a-3d2457662f79",
    "deviceProfileName": "Netvox RA02C", "deviceName": "RA02C-1", "devEui": EUI, "tags": {},
}  # fmt: skip


def topic(event: str, eui: str = EUI) -> str:
    return f"application/ca739e26/device/{eui}/event/{event}"


def up_event(
    *, data: bytes = b"", port: int = 0, time: str = "2026-01-31T11:11:00.123456789+00:00", **more: Any
) -> dict[str, Any]:
    """An up event as the server writes it: what is zero or empty is left out."""
    event: dict[str, Any] = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": time,
        "deviceInfo": INFO, "devAddr": "00189440",
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "uplinkId": 4217106255, "snr": 10.5}],
    }  # fmt: skip
    if port:
        event["fPort"] = port
    if data:
        event["data"] = base64.b64encode(data).decode()
    return event | more


class Bench:
    """A source and a way to hand it events."""

    def __init__(self, message: MakeMessage, **options: Any) -> None:
        self.source = ChirpStackSource("demo", **options)
        self._message = message

    def __call__(self, event: Any, name: str = "up") -> Decoded:
        raw = event if isinstance(event, str | bytes) else json.dumps(event)
        return self.source.decode(self._message(topic(name), raw))

    def reading(self, event: Any, name: str = "up") -> Reading:
        (reading,) = self(event, name).readings
        return reading

    def refusal(self, event: Any, name: str = "up") -> str:
        with pytest.raises(WireError) as refusal:
            self(event, name)
        return refusal.value.reason


@pytest.fixture
def chirpstack(message: MakeMessage) -> Bench:
    return Bench(message)


def test_an_uplink_gives_a_reading_with_the_servers_time(chirpstack: Bench, received_us: int) -> None:
    decoded = chirpstack(up_event(data=bytes.fromhex(ALARM), port=6))
    (reading,) = decoded.readings
    assert reading.time_us == received_us - 60_000_000 + 123_456
    assert reading.flag(Flag.CO_ALARM) is True
    assert reading.quantities() == {"temperature_c": 22.0, "battery_v": 3.1}
    fact = decoded.facts[0]
    assert (fact.address, fact.maker, fact.model, fact.name) == (EUI, "Netvox", "RA02C", "RA02C-1")


def test_an_eui_in_capitals_is_the_same_detector(chirpstack: Bench, message: MakeMessage) -> None:
    event = json.dumps(up_event(data=bytes.fromhex(ALARM), port=6))
    shouted = chirpstack.source.decode(message(topic("up", EUI.upper()), event))
    assert shouted.readings[0].detector == chirpstack.reading(event).detector


def test_the_strongest_gateway_gives_the_signal(chirpstack: Bench) -> None:
    heard = [{"rssi": -110}, {"snr": 3.5}, {"rssi": -53}]
    event = up_event(data=bytes.fromhex(ALARM), port=6, rxInfo=heard)
    assert chirpstack.reading(event).signal_dbm == -53


def test_a_frame_of_network_commands_only_is_counted_as_empty(chirpstack: Bench) -> None:
    assert chirpstack.refusal(up_event()) == "empty"
    assert chirpstack.refusal(up_event(port=6)) == "empty"


def test_an_absent_port_is_port_zero(chirpstack: Bench) -> None:
    assert chirpstack.refusal(up_event(data=b"\x02")) == "wrong_port"


@pytest.mark.parametrize("hex_bytes", ["8111000000000000000000", "8411640000000000000000"])
def test_the_answer_to_a_command_is_no_reading_and_no_error(chirpstack: Bench, hex_bytes: str) -> None:
    decoded = chirpstack(up_event(data=bytes.fromhex(hex_bytes), port=7))
    assert decoded.readings == []
    assert decoded.facts[0].model == "RA02C"


def test_a_device_without_a_telling_name_is_known_by_its_bytes(chirpstack: Bench) -> None:
    unnamed = INFO | {"deviceProfileName": "OTAA", "deviceName": "sensor 7"}
    event = up_event(data=bytes.fromhex(ALARM), port=6, deviceInfo=unnamed)
    assert chirpstack.reading(event).flag(Flag.CO_ALARM) is True
    assert chirpstack(up_event(data=bytes.fromhex(ALARM), port=6, deviceInfo={})).readings


def test_bytes_of_nobody_we_know_are_refused(chirpstack: Bench) -> None:
    unnamed = INFO | {"deviceProfileName": "OTAA", "deviceName": "sensor 7"}
    event = up_event(data=b"\xaa\xbb\xcc", port=6, deviceInfo=unnamed)
    assert chirpstack.refusal(event) == "unknown_device"
    other_port = up_event(data=b"\xaa\xbb\xcc", port=77, deviceInfo=unnamed)
    assert chirpstack.refusal(other_port) == "wrong_port"


def test_the_codec_of_a_device_or_profile_can_be_told(message: MakeMessage) -> None:
    unnamed = INFO | {"deviceProfileName": "OTAA", "deviceName": "sensor 7"}
    event = up_event(data=b"\x01\x32\x01\x1f\x00\x00\x00\x00", port=6, deviceInfo=unnamed)
    for key in (EUI.upper(), "otaa"):
        told = Bench(message, codecs={key: "netvox_ra02"})
        assert told.refusal(event) == "unknown_device"
    with pytest.raises(ValueError, match="no codec 'netvox'"):
        ChirpStackSource("demo", codecs={EUI: "netvox"})


@pytest.mark.parametrize(
    ("status", "battery_pct"),
    [
        ({"margin": 17, "batteryLevel": 90.35}, 90.35),
        ({"margin": 17}, 0.0),  # zero is left out by the server
        ({"margin": 17, "externalPowerSource": True}, None),
        ({"margin": 17, "batteryLevelUnavailable": True}, None),
    ],
)
def test_a_status_event_gives_the_battery(
    chirpstack: Bench, status: dict[str, Any], battery_pct: float | None
) -> None:
    decoded = chirpstack({"deviceInfo": INFO, "time": "2026-01-31T11:11:00Z"} | status, "status")
    assert [reading.battery_pct for reading in decoded.readings] == (
        [] if battery_pct is None else [battery_pct]
    )
    assert decoded.facts[0].address == EUI


def test_a_join_says_that_the_device_is_there(chirpstack: Bench) -> None:
    decoded = chirpstack({"deviceInfo": INFO, "devAddr": "00189440"}, "join")
    assert decoded.readings == []
    assert [(fact.online, fact.name) for fact in decoded.facts] == [(True, "RA02C-1")]


@pytest.mark.parametrize("event", ["ack", "txack", "log", "location", "integration"])
def test_events_of_the_network_say_nothing(chirpstack: Bench, event: str) -> None:
    assert chirpstack({"level": "ERROR", "code": "UPLINK_CODEC"}, event) == Decoded()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"", "empty"),
        (b"{", "truncated"),
        (b"\x0a\x24", "not_json"),  # the server's protobuf marshaler
        (b"[]", "wrong_type"),
        ({"fPort": "6"}, "wrong_type"),
        ({"fPort": 6, "data": "AREB*"}, "wrong_type"),
        (up_event(data=bytes.fromhex(ALARM), port=6, deviceInfo={"devEui": "f" * 16}), "inconsistent"),
        (up_event(data=bytes.fromhex("0111011f000000c8"), port=6, time="noon"), "wrong_type"),
        (up_event(data=b"\x01\x11", port=6), "truncated"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_reason(chirpstack: Bench, event: Any, reason: str) -> None:
    assert chirpstack.refusal(event) == reason


def test_an_alarm_without_a_readable_time_has_just_happened(
    chirpstack: Bench, received_us: int
) -> None:
    decoded = chirpstack(up_event(data=bytes.fromhex(ALARM), port=6, time="noon"))
    assert decoded.readings[0].time_us == received_us
    assert decoded.repairs == ["time_unset"]


@pytest.mark.parametrize(
    "wrong",
    ["application/1/device/xyz/event/up", "application/1/device/00137a1000012345/event/dance",
     "application/1/device/00137a1000012345/command/down", "eu868/gateway/1/event/up", ""],
)  # fmt: skip
def test_another_topic_is_refused(chirpstack: Bench, message: MakeMessage, wrong: str) -> None:
    with pytest.raises(WireError, match="unknown_topic"):
        chirpstack.source.decode(message(wrong, "{}"))


# A month of one real RA02C: lost frames, empty payloads, wrong ports, seven alarms.


@pytest.fixture(scope="module")
def log(shared_data: Path) -> list[dict[str, str]]:
    path = shared_data / "lorawan-co-detector-ra02c" / "ra02c_uplink_log.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def serial_day(text: str) -> datetime:
    return datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=float(text))


def as_server_event(row: dict[str, str]) -> dict[str, Any]:
    """The row as the up event that its frame would have been.

    The log did not keep the bytes of the 20 frames on port 0 that its decoder refused for their port
    (so they had bytes): one byte stands for them.
    """
    port = int(row["Device Port"] or 0)
    data = base64.b64decode(row["DECODER_INPUT_BYTES_B64"])
    if not data and "fport" in row["Decoder Errors"]:
        data = b"\x02"
    rx_info = [{"gatewayId": row["Gateway"], "rssi": int(row["RSSI"]), "snr": float(row["SNR"])}]
    time = serial_day(row["UTC TIME"]).strftime("%Y-%m-%dT%H:%M:%S.%f000+00:00")
    return up_event(data=data, port=port, time=time, rxInfo=rx_info, fCnt=int(row["Frame Count"]))


def outcomes(
    log: list[dict[str, str]],
) -> list[tuple[dict[str, str], Decoded | WireError]]:
    source = ChirpStackSource("demo")
    result: list[tuple[dict[str, str], Decoded | WireError]] = []
    for row in log:
        arrived_us = us_from_datetime(serial_day(row["UTC TIME"])) + 200_000
        payload = json.dumps(as_server_event(row)).encode()
        try:
            result.append((row, source.decode(RawMessage(topic("up"), payload, False, arrived_us))))
        except WireError as refusal:
            result.append((row, refusal))
    return result


def test_each_row_of_a_real_log_decodes_or_is_counted_with_a_reason(
    log: list[dict[str, str]],
) -> None:
    counted = Counter(
        (row["Decoder Errors"].split(" ", 1)[0],
         result.reason if isinstance(result, WireError) else len(result.readings))
        for row, result in outcomes(log)
    )  # fmt: skip
    assert counted == {
        ("No", 1): 662,  # "No Errors"
        ("", 0): 2,  # start-up reports
        ("Input", "empty"): 59,
        ("Input", "wrong_port"): 20,
        ("", "empty"): 14,  # the log's first hours, before its owner had a decoder
    }
    assert sum(counted.values()) == 757


def test_the_values_of_a_real_log_are_those_its_owner_saw(log: list[dict[str, str]]) -> None:
    compared = 0
    for row, result in outcomes(log):
        if isinstance(result, WireError) or not result.readings:
            continue
        (reading,) = result.readings
        assert result.repairs == []
        assert reading.temperature_c == pytest.approx((float(row["Temp (°F)"]) - 32) / 1.8)
        assert reading.temperature_c == float(row["BYTES_6_7"]) / 10
        assert reading.battery_v == float(row["Battery Voltage (V)"])
        assert reading.signal_dbm == float(row["RSSI"])
        assert reading.flag(Flag.BATTERY_LOW) is (row["Battery Status (Normal/Low)"] == "Low")
        assert reading.flag(Flag.CO_ALARM) is (row["CO Alarm Status"] == "Alarm")
        assert reading.flag(Flag.HEAT_ALARM) is (row["Fire Alarm Status"] == "Alarm")
        assert reading.time_us == us_from_datetime(serial_day(row["UTC TIME"]))
        compared += 1
    assert compared == 662


def test_a_real_log_holds_its_seven_alarms(log: list[dict[str, str]]) -> None:
    alarms = [
        row["UTC TIME"]
        for row, result in outcomes(log)
        if isinstance(result, Decoded) and any(r.flag(Flag.CO_ALARM) for r in result.readings)
    ]
    assert len(alarms) == 7
    assert alarms == [row["UTC TIME"] for row in log if row["CO Alarm Status"] == "Alarm"]
