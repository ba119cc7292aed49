"""Zigbee2MQTT: real payloads, and the quirks of its devices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.sources.base import MAX_INVENTORY_BYTES, MAX_PAYLOAD_BYTES, Decoded, RawMessage
from edge.sources.zigbee2mqtt import AQARA_DENSITY_DB_M, Zigbee2MqttSource
from edge.wire.errors import WireError
from edge.wire.identity import detector_id
from edge.wire.readings import Flag, Reading

MakeMessage = Callable[..., RawMessage]


class Bench:
    """A source and a way to hand it payloads."""

    def __init__(self, message: MakeMessage) -> None:
        self.source = Zigbee2MqttSource("demo")
        self._message = message

    def __call__(self, payload: Any, name: str = "kitchen", *, retained: bool = False) -> Decoded:
        raw = payload if isinstance(payload, str | bytes) else msgspec.json.encode(payload)
        return self.source.decode(self._message(f"zigbee2mqtt/{name}", raw, retained=retained))

    def reading(self, payload: Any, name: str = "kitchen") -> Reading:
        decoded = self(payload, name)
        assert len(decoded.readings) == 1
        assert decoded.facts[0].detector == decoded.readings[0].detector
        return decoded.readings[0]

    def refusal(self, payload: Any, name: str = "kitchen") -> str:
        with pytest.raises(WireError) as refusal:
            self(payload, name)
        return refusal.value.reason


@pytest.fixture
def z2m(message: MakeMessage) -> Bench:
    return Bench(message)


INVENTORY = [
    {"friendly_name": "Coordinator", "type": "Coordinator", "definition": None},
    {
        "friendly_name": "kitchen", "type": "EndDevice", "model_id": "lumi.sensor_smoke.acn03",
        "software_build_id": "0.0.0_0019", "manufacturer": "LUMI",
        "definition": {
            "model": "JY-GZ-01AQ", "vendor": "Aqara",
            "exposes": [{"type": "binary", "name": "smoke", "property": "smoke"}],
        },
    },
    {
        "friendly_name": "old", "type": "EndDevice", "manufacturer": "LUMI",
        "definition": {
            "model": "JTYJ-GD-01LM/BW", "vendor": "Xiaomi",
            "exposes": [{"type": "binary", "name": "smoke", "property": "smoke"}],
        },
    },
    {
        "friendly_name": "lamp", "type": "Router",
        "definition": {
            "model": "LED1623G12", "vendor": "IKEA",
            "exposes": [{"type": "light", "features": [{"name": "state", "property": "state"}]}],
        },
    },
    {"friendly_name": "mystery", "type": "EndDevice", "supported": False, "definition": None},
]  # fmt: skip


@pytest.fixture(scope="module")
def literals(shared_data: Path) -> dict[str, dict[str, Any]]:
    listed = json.loads((shared_data / "device-payload-fixtures" / "mqtt_payloads.json").read_text())
    return {literal["id"]: literal for literal in listed if literal["id"].startswith("z2m-")}


@pytest.mark.parametrize(
    ("literal", "smoke", "quantities"),
    [
        ("z2m-jtyj-test", False, {"battery_pct": 100.0, "battery_v": 3.075}),
        (
            "z2m-jtyj-density",
            False,
            {"battery_pct": 100.0, "battery_v": 3.115, "optical_density_db_m": 0.088},
        ),
        ("z2m-jtyj-alarm", True, {"battery_pct": 100.0, "battery_v": 3.195}),
        (
            "z2m-jtyj-selftest-zonestatus2",
            False,
            {"battery_pct": 100.0, "battery_v": 3.055},
        ),
    ],
)
def test_a_real_message_gives_its_values(
    literals: dict[str, dict[str, Any]],
    message: MakeMessage,
    literal: str,
    smoke: bool,
    quantities: dict[str, float],
) -> None:
    sent = literals[literal]
    decoded = Zigbee2MqttSource("demo").decode(message(sent["topic"], sent["payload"]))
    (reading,) = decoded.readings
    assert reading.flag(Flag.SMOKE_ALARM) is smoke
    assert reading.flag(Flag.TEST) is None
    assert reading.quantities() == quantities
    address = sent["topic"].removeprefix("zigbee2mqtt/")
    assert reading.detector == detector_id("demo", "zigbee2mqtt", address)


def test_the_real_message_of_2019_keeps_its_time_of_arrival_and_says_so(
    literals: dict[str, dict[str, Any]], message: MakeMessage, received_us: int
) -> None:
    sent = literals["z2m-jtyj-alarm"]  # last_seen is in November 2019, before this system existed
    decoded = Zigbee2MqttSource("demo").decode(message(sent["topic"], sent["payload"]))
    assert decoded.readings[0].time_us == received_us
    assert decoded.repairs == ["time_too_old"]


def test_the_real_message_with_device_information_names_maker_and_model(
    literals: dict[str, dict[str, Any]], message: MakeMessage
) -> None:
    sent = literals["z2m-jtyj-test"]
    fact = Zigbee2MqttSource("demo").decode(message(sent["topic"], sent["payload"])).facts[0]
    assert (fact.maker, fact.model) == ("LUMI", "lumi.sensor_smoke")


@pytest.mark.parametrize(
    ("literal", "address", "online"),
    [
        ("z2m-availability-online", "bulb_color", True),
        ("z2m-bridge-offline", "bridge", False),
    ],
)
def test_a_real_availability_is_a_fact(
    literals: dict[str, dict[str, Any]],
    message: MakeMessage,
    literal: str,
    address: str,
    online: bool,
) -> None:
    sent = literals[literal]
    decoded = Zigbee2MqttSource("demo").decode(message(sent["topic"], sent["payload"], retained=True))
    assert decoded.readings == []
    assert [(fact.address, fact.online) for fact in decoded.facts] == [(address, online)]


@pytest.mark.parametrize("name", ["kitchen/availability", "bridge/state"])
@pytest.mark.parametrize(
    ("payload", "online"),
    [
        ('{"state":"online"}', True),
        ('{"state":"offline"}', False),
        ("online", True),
        ("offline", False),
    ],
)
def test_availability_is_json_or_a_bare_word(z2m: Bench, name: str, payload: str, online: bool) -> None:
    assert z2m(payload, name, retained=True).facts[0].online is online


@pytest.mark.parametrize("payload", ["maybe", '{"state":"maybe"}', "{}", '{"state":1}'])
def test_an_availability_of_another_word_is_refused(z2m: Bench, payload: str) -> None:
    assert z2m.refusal(payload, "kitchen/availability") == "wrong_type"


def test_smoke_that_never_happened_is_not_known(z2m: Bench) -> None:
    reading = z2m.reading({"battery": 97, "linkquality": 80})
    assert reading.flag(Flag.SMOKE_ALARM) is None
    assert reading.quantities() == {"battery_pct": 97}


@pytest.mark.parametrize("battery", [97, 97.0, "97", "97.00"])
def test_battery_is_a_number_or_a_string(z2m: Bench, battery: Any) -> None:
    assert z2m.reading({"smoke": False, "battery": battery}).battery_pct == 97


def test_a_battery_of_no_number_is_refused_but_not_beside_smoke(z2m: Bench) -> None:
    assert z2m.refusal({"smoke": False, "battery": "good"}) == "wrong_type"
    assert z2m.refusal({"smoke": False, "battery": {"level": 3}}) == "wrong_type"
    for battery in ("good", {"level": 3}, 140):
        decoded = z2m({"smoke": True, "battery": battery})
        assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is True
        assert decoded.repairs == ["part_dropped"]


@pytest.mark.parametrize(
    ("payload", "flag"),
    [
        ({"smoke": True}, Flag.SMOKE_ALARM),
        ({"smoke": "ON"}, Flag.SMOKE_ALARM),
        ({"smoke_state": "alarm"}, Flag.SMOKE_ALARM),
        ({"carbon_monoxide": True}, Flag.CO_ALARM),
        ({"tamper": True}, Flag.TAMPER),
        ({"battery_low": True}, Flag.BATTERY_LOW),
        ({"fault": True}, Flag.FAULT),
        ({"fault_state": "sensor broken"}, Flag.FAULT),
        ({"self_test_result": "check_failure"}, Flag.FAULT),
        ({"test": True}, Flag.TEST),
        ({"self_test_result": "checking"}, Flag.TEST),
        ({"silence": True}, Flag.MUTED),
        ({"mute": True}, Flag.MUTED),
    ],
)
def test_each_spelling_of_a_flag_sets_it(z2m: Bench, payload: Any, flag: Flag) -> None:
    reading = z2m.reading(payload)
    assert reading.flags == flag
    assert reading.flag(flag) is True


def test_a_passed_self_test_is_neither_test_nor_fault(z2m: Bench) -> None:
    reading = z2m.reading({"smoke": False, "self_test_result": "check_success"})
    assert reading.flags == 0
    assert (reading.flag(Flag.TEST), reading.flag(Flag.FAULT)) == (False, False)


@pytest.mark.parametrize("name", ["co", "carbon_monoxide_value"])
def test_co_in_ppm_has_two_names(z2m: Bench, name: str) -> None:
    assert z2m.reading({"carbon_monoxide": False, name: 42}).co_ppm == 42


@pytest.mark.parametrize(("step", "density"), list(enumerate(AQARA_DENSITY_DB_M)))
def test_an_aqara_density_step_becomes_db_per_metre(z2m: Bench, step: int, density: float) -> None:
    z2m(INVENTORY, "bridge/devices", retained=True)
    assert z2m.reading({"smoke_density": step}).optical_density_db_m == density


def test_a_density_already_in_db_per_metre_wins(z2m: Bench) -> None:
    reading = z2m.reading({"smoke_density": 3, "smoke_density_dbm": 0.094})
    assert reading.optical_density_db_m == 0.094


@pytest.mark.parametrize("step", [11, 2.5, -1, 45])
def test_a_density_that_is_no_step_is_left_out(z2m: Bench, step: float) -> None:
    assert z2m.reading({"smoke": False, "smoke_density": step}).optical_density_db_m is None


def test_the_raw_density_of_an_older_xiaomi_is_no_density(z2m: Bench) -> None:
    z2m(INVENTORY, "bridge/devices", retained=True)
    reading = z2m.reading({"smoke": False, "smoke_density": 2}, "old")
    assert reading.optical_density_db_m is None


def test_last_seen_is_milliseconds_or_iso(z2m: Bench, received_us: int) -> None:
    for last_seen in (
        received_us // 1000 - 5000,
        "2026-01-31T11:11:55.000Z",
        "2026-01-31T19:11:55+08:00",
    ):
        assert z2m.reading({"smoke": False, "last_seen": last_seen}).time_us == received_us - 5_000_000
    assert z2m.reading({"smoke": False}).time_us == received_us


def test_a_last_seen_nobody_can_read_refuses_all_but_an_alarm(z2m: Bench, received_us: int) -> None:
    assert z2m.refusal({"smoke": False, "last_seen": "just now"}) == "wrong_type"
    decoded = z2m({"smoke": True, "last_seen": "just now"})
    assert decoded.readings[0].time_us == received_us
    assert decoded.repairs == ["time_unset"]


@pytest.mark.parametrize(("voltage", "battery_v"), [(3055, 3.055), (230, None), (2.9, None)])
def test_only_millivolts_are_a_batterys_voltage(
    z2m: Bench, voltage: float, battery_v: float | None
) -> None:
    assert z2m.reading({"smoke": False, "voltage": voltage}).battery_v == battery_v


def test_the_list_of_devices_gives_maker_and_model_of_detectors_only(z2m: Bench) -> None:
    decoded = z2m(INVENTORY, "bridge/devices", retained=True)
    assert decoded.readings == []
    assert [(fact.address, fact.maker, fact.model) for fact in decoded.facts] == [
        ("kitchen", "Aqara", "JY-GZ-01AQ"),
        ("old", "Xiaomi", "JTYJ-GD-01LM/BW"),
    ]
    assert decoded.facts[0].firmware == "0.0.0_0019"


def test_a_listed_lamp_is_left_alone_and_an_unsupported_device_is_not(z2m: Bench) -> None:
    z2m(INVENTORY, "bridge/devices", retained=True)
    assert z2m({"state": "ON", "temperature": 21}, "lamp") == Decoded()
    assert z2m("online", "lamp/availability") == Decoded()
    assert z2m.reading({"smoke": True}, "mystery").flag(Flag.SMOKE_ALARM) is True


def test_a_listed_detector_that_says_nothing_new_is_still_alive(z2m: Bench) -> None:
    assert z2m({"linkquality": 80}) == Decoded()
    z2m(INVENTORY, "bridge/devices", retained=True)
    reading = z2m.reading({"linkquality": 80})
    assert (reading.quantities(), reading.flags_known) == ({}, 0)


def test_a_listed_device_that_cannot_be_read_costs_only_itself(z2m: Bench) -> None:
    odd = [{"friendly_name": 7}, {"definition": {"exposes": "none"}, "friendly_name": "x"}, 3]
    decoded = z2m([*odd, *INVENTORY], "bridge/devices", retained=True)
    assert [fact.address for fact in decoded.facts] == ["kitchen", "old"]
    assert decoded.repairs == ["part_dropped"] * 3


def test_a_detector_off_the_list_is_forgotten(z2m: Bench) -> None:
    z2m(INVENTORY, "bridge/devices", retained=True)
    z2m([], "bridge/devices", retained=True)
    assert z2m({"linkquality": 80}) == Decoded()
    assert z2m.reading({"temperature": 21}, "lamp").temperature_c == 21


def test_a_detector_is_told_only_what_it_lists_as_settable(z2m: Bench) -> None:
    exposes = [
        {"type": "binary", "name": "smoke", "property": "smoke", "access": 1},
        {"type": "enum", "name": "selftest", "property": "selftest", "access": 2, "values": ["run"]},
        {"type": "binary", "name": "silence", "property": "silence", "access": 1, "value_on": True},
    ]
    listed = [{"friendly_name": "hall", "definition": {"model": "X", "exposes": exposes}}]
    assert z2m.source.order("hall", "self_test", "c1") is None
    z2m(listed, "bridge/devices", retained=True)
    order = z2m.source.order("hall", "self_test", "c1")
    assert order is not None
    assert order[:2] == ("zigbee2mqtt/hall/set", b'{"selftest":"run"}')
    assert z2m.source.order("hall", "silence", "c2") is None  # it can be read and not set
    exposes[2]["access"] = 7
    z2m(listed, "bridge/devices", retained=True)
    silence = z2m.source.order("hall", "silence", "c3")
    assert silence is not None
    assert silence[:2] == ("zigbee2mqtt/hall/set", b'{"silence":true}')


def test_a_device_that_announces_itself_is_online_and_one_that_leaves_is_not(z2m: Bench) -> None:
    for kind, online in (("device_announce", True), ("device_leave", False)):
        decoded = z2m({"type": kind, "data": {"friendly_name": "kitchen"}}, "bridge/event")
        assert [fact.online for fact in decoded.facts] == [online]
    assert z2m({"type": "device_interview", "data": {"friendly_name": 3}}, "bridge/event") == Decoded()


def test_a_friendly_name_may_contain_slashes(z2m: Bench) -> None:
    assert z2m({"smoke": False}, "ground floor/kitchen").facts[0].address == "ground floor/kitchen"
    fact = z2m("online", "ground floor/kitchen/availability").facts[0]
    assert fact.address == "ground floor/kitchen"


@pytest.mark.parametrize("name", ["kitchen/set", "kitchen/get", "kitchen/set/alarm", "bridge/logging"])
def test_orders_and_the_bridges_chatter_say_nothing(z2m: Bench, name: str) -> None:
    assert z2m({"smoke": True}, name) == Decoded()


def test_a_lamp_outside_any_list_says_nothing(z2m: Bench) -> None:
    assert z2m({"state": "ON", "brightness": 254, "linkquality": 80}) == Decoded()


def test_a_cleared_retained_state_says_nothing(z2m: Bench) -> None:
    assert z2m(b"", retained=True) == Decoded()
    assert z2m.refusal(b"") == "empty"


def test_the_list_of_devices_may_be_large_and_a_state_may_not(z2m: Bench) -> None:
    filler = " " * MAX_PAYLOAD_BYTES
    assert z2m("[" + filler + "]", "bridge/devices") == Decoded()
    assert z2m.refusal("{" + filler + "}") == "too_large"
    assert z2m.refusal(" " * (MAX_INVENTORY_BYTES + 1), "bridge/devices") == "too_large"


def test_another_base_topic_is_another_network(message: MakeMessage) -> None:
    source = Zigbee2MqttSource("demo", base="z2m/attic")
    assert source.filters() == ["z2m/attic/#"]
    assert source.decode(message("z2m/attic/hall", '{"smoke":true}')).readings
    with pytest.raises(WireError, match="unknown_topic"):
        source.decode(message("zigbee2mqtt/hall", '{"smoke":true}'))
    with pytest.raises(ValueError, match="base"):
        Zigbee2MqttSource("demo", base="+/z2m")
