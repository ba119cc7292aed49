"""ESPHome and Home Assistant discovery: who is a detector, and where its states are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.sources.base import Decoded, RawMessage
from edge.sources.homeassistant import HomeAssistantSource
from edge.wire.errors import WireError
from edge.wire.readings import Flag

MakeMessage = Callable[..., RawMessage]
SMOKE_CONFIG = "homeassistant/binary_sensor/kitchen/smoke/config"


class Bench:
    """A source and a way to hand it messages."""

    def __init__(self, message: MakeMessage, **options: Any) -> None:
        self.source = HomeAssistantSource("demo", **options)
        self._message = message

    def __call__(self, topic: str, payload: Any, *, retained: bool = False) -> Decoded:
        raw = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        return self.source.decode(self._message(topic, raw, retained=retained))

    def announce(self, component: str, name: str, **config: Any) -> Decoded:
        topic = f"homeassistant/{component}/kitchen/{name}/config"
        return self(topic, config, retained=True)


@pytest.fixture
def ha(message: MakeMessage) -> Bench:
    return Bench(message)


DEVICE = {
    "identifiers": ["a0b1c2"], "name": "Kitchen", "manufacturer": "Espressif", "model": "esp32dev",
    "sw_version": "2026.1.0",
}  # fmt: skip


@pytest.mark.parametrize(("word", "smoke"), [("ON", True), ("OFF", False)])
def test_an_esphome_smoke_state_needs_no_discovery(ha: Bench, word: str, smoke: bool) -> None:
    decoded = ha("kitchen/binary_sensor/smoke/state", word)
    assert decoded.readings[0].flag(Flag.SMOKE_ALARM) is smoke
    assert decoded.facts[0].address == "kitchen"


def test_discovery_gives_an_odd_name_its_meaning(ha: Bench) -> None:
    topic = "kitchen/binary_sensor/mq2_d0/state"
    assert ha(topic, "ON") == Decoded()
    facts = ha.announce(
        "binary_sensor", "mq2", device_class="smoke", state_topic=topic, device=DEVICE
    ).facts
    assert [(f.address, f.maker, f.model, f.firmware, f.name) for f in facts] == [
        ("kitchen", "Espressif", "esp32dev", "2026.1.0", "Kitchen")
    ]
    assert ha(topic, "ON").readings[0].flag(Flag.SMOKE_ALARM) is True


def test_abbreviations_and_the_base_topic_are_written_out(ha: Bench) -> None:
    ha.announce(
        "binary_sensor", "co",
        **{"~": "home/7", "dev_cla": "carbon_monoxide", "stat_t": "~/co", "pl_on": "1", "pl_off": "0",
           "dev": {"ids": "xyz", "mf": "Acme", "mdl": "C1"}, "avty_t": "~/there",
           "pl_avail": "yes", "pl_not_avail": "no"},
    )  # fmt: skip
    decoded = ha("home/7/co", "1")
    assert decoded.readings[0].flag(Flag.CO_ALARM) is True
    assert (decoded.facts[0].address, decoded.facts[0].maker) == ("xyz", "Acme")
    assert ha("home/7/there", "no").facts[0].online is False
    assert ha("home/7/there", "yes").facts[0].online is True


def test_several_entities_on_one_json_topic_are_one_reading(ha: Bench) -> None:
    common = {"state_topic": "x/state", "device": {"identifiers": ["d1"]}}
    ha.announce("binary_sensor", "s", device_class="smoke",
                value_template="{{ value_json.alarm.state }}", **common)  # fmt: skip
    ha.announce("sensor", "t", device_class="temperature", unit_of_measurement="°F",
                value_template="{{ value_json['temp'] | float }}", **common)  # fmt: skip
    ha.announce("sensor", "b", device_class="battery", value_template="{{ value_json.bat }}", **common)
    (reading,) = ha("x/state", {"alarm": {"state": "OFF"}, "temp": 68, "bat": "90"}).readings
    assert reading.flag(Flag.SMOKE_ALARM) is False
    assert reading.quantities() == {"temperature_c": pytest.approx(20), "battery_pct": 90}
    (reading,) = ha("x/state", {"alarm": {"state": "ON"}}).readings
    assert (reading.flags, reading.quantities()) == (Flag.SMOKE_ALARM, {})


def test_a_thermometer_alone_is_no_detector(ha: Bench) -> None:
    assert ha.announce("sensor", "t", device_class="temperature", state_topic="attic/sensor/t/state",
                       device=DEVICE) == Decoded()  # fmt: skip
    assert ha("attic/sensor/t/state", "21") == Decoded()
    assert ha("attic/sensor/temperature/state", "21") == Decoded()


def test_the_thermometer_of_a_detector_belongs_to_it(ha: Bench) -> None:
    ha("kitchen/binary_sensor/smoke/state", "OFF")
    (reading,) = ha("kitchen/sensor/temperature/state", "21.5").readings
    assert reading.temperature_c == 21.5
    assert ha("kitchen/sensor/uptime/state", "21.5") == Decoded()


def test_status_says_whether_a_known_detector_is_there(ha: Bench) -> None:
    assert ha("kitchen/status", "online", retained=True) == Decoded()
    ha("kitchen/binary_sensor/smoke/state", "OFF")
    assert ha("kitchen/status", "offline", retained=True).facts[0].online is False
    with pytest.raises(WireError, match="wrong_type"):
        ha("kitchen/status", "dozing")


def test_an_availability_list_is_understood(ha: Bench) -> None:
    ha.announce("binary_sensor", "s", device_class="smoke", state_topic="x/s",
                availability=[{"topic": "x/a"}, {"topic": "x/b"}])  # fmt: skip
    assert ha("x/b", "offline").facts[0].online is False


@pytest.mark.parametrize("announcer", ["Zigbee2MQTT", "utaa"])
def test_what_others_decode_or_we_announce_is_left_alone(ha: Bench, announcer: str) -> None:
    config = {"device_class": "smoke", "state_topic": "x/s", "origin": {"name": announcer}}
    assert ha.announce("binary_sensor", "s", **config) == Decoded()
    assert ha("x/s", "ON") == Decoded()


def test_a_removed_entity_is_forgotten(ha: Bench) -> None:
    ha(SMOKE_CONFIG, {"device_class": "smoke", "state_topic": "x/s"})
    assert ha("x/s", "ON").readings
    ha(SMOKE_CONFIG, b"")
    assert ha("x/s", "ON") == Decoded()


def test_an_entity_announced_again_is_kept_once(ha: Bench) -> None:
    for _ in range(3):
        ha(SMOKE_CONFIG, {"device_class": "smoke", "state_topic": "x/s"})
    assert len(ha("x/s", "ON").readings) == 1


def test_entities_can_be_told_by_hand(message: MakeMessage) -> None:
    ha = Bench(
        message, topics=["garage/+"], entities={"garage/fumes": "co_ppm", "garage/hot": "heat_alarm"}
    )
    assert "garage/+" in ha.source.filters()
    assert ha("garage/fumes", "42").readings[0].co_ppm == 42
    assert ha("garage/hot", "ON").readings[0].flag(Flag.HEAT_ALARM) is True
    with pytest.raises(ValueError, match="no flag 'fumes'"):
        HomeAssistantSource("demo", entities={"garage/fumes": "fumes"})


@pytest.mark.parametrize("word", ["unavailable", "unknown", "None", ""])
def test_no_state_says_nothing(ha: Bench, word: str) -> None:
    assert ha("kitchen/binary_sensor/smoke/state", word).readings == []


def test_a_template_beyond_us_is_refused_for_smoke_and_skipped_for_the_rest(ha: Bench) -> None:
    template = "{{ 'ON' if value_json.s > 3 else 'OFF' }}"
    with pytest.raises(WireError, match="generic"):
        ha.announce(
            "binary_sensor", "s", device_class="smoke", state_topic="x", value_template=template
        )
    assert ha.announce("binary_sensor", "p", device_class="problem", state_topic="x",
                       value_template=template) == Decoded()  # fmt: skip


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (SMOKE_CONFIG, "{", "truncated"),
        (SMOKE_CONFIG, "[]", "wrong_type"),
        ("kitchen/binary_sensor/smoke/state", "maybe", "wrong_type"),
        ("kitchen/binary_sensor/smoke/state", b"\xff", "wrong_type"),
        ("kitchen/sensor/co/state", "a lot", "wrong_type"),
        ("kitchen/sensor/co/state", "nan", "not_finite"),
        ("kitchen/sensor/co/state", "1e9", "out_of_range"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    ha: Bench, topic: str, payload: Any, reason: str
) -> None:
    with pytest.raises(WireError) as refusal:
        ha(topic, payload)
    assert refusal.value.reason == reason


def test_a_configuration_of_absurd_depth_does_no_harm(ha: Bench) -> None:
    deep = '{"device_class":"smoke","state_topic":"x/s","device":' + '{"a":' * 400 + "1" + "}" * 401
    assert ha(SMOKE_CONFIG, deep).facts[0].address == "kitchen"
