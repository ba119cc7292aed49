"""What real devices say, through a real broker and the agent to the city; and garbage beside it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from edge.sources import SOURCES
from edge.wire.identity import detector_id
from edge.wire.readings import Flag, Reading
from tests.edge.conftest import AgentProcess, City
from tests.edge.test_edge_agent import started
from tests.servers import until

pytestmark = pytest.mark.servers

#: Every source; each device of the generic one would have to be described.
ALL = json.dumps([{"name": name} for name in SOURCES if name != "generic"])
#: Values that an address must have said, and flags; None: nothing of it may be a reading.
Stated = tuple[dict[str, float], dict[Flag, bool]] | None

_QUIET = {Flag.SMOKE_ALARM: False}
#: What each literal states, by its id: source, address, values, flags.
LITERALS: dict[str, tuple[str, str, Stated]] = {
    "z2m-jtyj-test": ("zigbee2mqtt", "Smoke", ({"battery_pct": 100, "battery_v": 3.075}, _QUIET)),
    "z2m-jtyj-density": ("zigbee2mqtt", "FRIENDLY_NAME", (
        {"battery_pct": 100, "battery_v": 3.115, "optical_density_db_m": 0.088}, _QUIET)),
    "z2m-jtyj-alarm": ("zigbee2mqtt", "sens_smoke1", (
        {"battery_pct": 100, "battery_v": 3.195}, {Flag.SMOKE_ALARM: True})),
    "z2m-jtyj-selftest-zonestatus2": ("zigbee2mqtt", "livingroomsmokedetector", (
        {"battery_pct": 100, "battery_v": 3.055}, _QUIET)),
    "z2m-availability-online": ("zigbee2mqtt", "bulb_color", None),
    "z2m-bridge-offline": ("zigbee2mqtt", "bridge", None),
    "shelly-plus-smoke-full": ("shelly", "shellyplussmoke-1", (
        {"battery_pct": 85, "battery_v": 2.94, "signal_dbm": -79},
        _QUIET | {Flag.MUTED: False})),
    "shelly1-smoke-http-status": ("shelly", "shellysmoke-5B8998", (
        {"temperature_c": 25.0625, "battery_pct": 71, "battery_v": 2.74, "signal_dbm": -70}, _QUIET)),
    "tasmota-ias-contact": ("tasmota", "E30B", None),
    "tasmota-lwt": ("tasmota", "tasmota_XXXXXX", None),
    "tasmota-telemetry": ("tasmota", "tasmota", ({"temperature_c": 20.6}, {})),
}  # fmt: skip
#: Of Xiaomi's gateway on its own network protocol: there is no topic to publish them on.
NOT_MQTT = {"xiaomi-gw-report-den", "xiaomi-gw-heartbeat-vol", "xiaomi-gw-report-ala"}


def read(shared_data: Path, name: str) -> Any:
    return json.loads((shared_data / "device-payload-fixtures" / name).read_text())


def uplink(number: int, profile: str, port: int, payload: bytes) -> tuple[str, str, str]:
    """Address, topic and event of LoRaWAN bytes as ChirpStack publishes them."""
    eui = f"{number:016x}"
    event = {
        "deviceInfo": {"deviceProfileName": profile, "devEui": eui},
        "fPort": port, "data": base64.b64encode(payload).decode(),
    }  # fmt: skip
    return eui, f"application/1/device/{eui}/event/up", json.dumps(event)


def netvox(expect: dict[str, Any]) -> Stated:
    if "Volt" not in expect:
        return None
    celsius = expect.get("Temp", expect.get("TempC"))
    names = {"FireAlarm": Flag.SMOKE_ALARM, "COAlarm": Flag.CO_ALARM, "HighTempAlarm": Flag.HEAT_ALARM}
    flags = {flag: expect[name] == "Alarm" for name, flag in names.items() if name in expect}
    values = {"battery_v": expect["Volt"]}
    return (values if celsius is None else values | {"temperature_c": celsius}), flags


def tg563a(output: dict[str, Any]) -> Stated:
    if "errors" in output:
        return None
    data = output["data"]
    values = {"temperature_c": data["temperature"]}
    if "batteryLevel" in data:
        values["battery_v"] = data["batteryLevel"]
    status = data["status"]
    return values, {
        Flag.SMOKE_ALARM: bool(status["smokeAlarm"]), Flag.BATTERY_LOW: bool(status["batteryLow"]),
        Flag.TAMPER: not status["mounted"],
    }  # fmt: skip


def lorawan(shared_data: Path) -> list[tuple[str, str, str, Stated]]:
    """Address, topic, event and what it states, of every vector of bytes."""
    rows: list[tuple[str, str, str, Stated]] = []
    for number, vector in enumerate(read(shared_data, "lorawan_codec_vectors.json")):
        expect = vector["expect"]
        stated = netvox(expect)
        if "GS524N" in vector["device"]:
            values = {"battery_pct": expect["battery"], "temperature_c": expect["temperature"]}
            stated = values, {Flag.TEST: True}
        port = vector["fPort"] or 85
        rows.append((*uplink(number, vector["device"], port, bytes.fromhex(vector["hex"])), stated))
    cases = [case for case in read(shared_data, "tg563a_examples.json") if case["type"] == "uplink"]
    for number, case in enumerate(cases, 1000):
        payload, port = bytes(case["input"]["bytes"]), case["input"]["fPort"]
        rows.append((*uplink(number, "TG563A", port, payload), tg563a(case["output"])))
    return rows


def heard(city: City, source: str, address: str) -> list[Reading]:
    ident = detector_id(city.site, source, address)
    return [reading for reading in city.readings() if reading.detector == ident]


async def test_every_literal_and_vector_reaches_the_city_with_its_stated_values(
    agent: AgentProcess, city: City, shared_data: Path
) -> None:
    literals = {one["id"]: one for one in read(shared_data, "mqtt_payloads.json")}
    assert literals.keys() == LITERALS.keys() | NOT_MQTT  # none is left out unnoticed
    await started(agent, city, UTAA_EDGE_SOURCES=ALL)
    wanted: list[tuple[str, str, Stated]] = []
    for name, (source, address, stated) in LITERALS.items():
        topic = literals[name]["topic"] or f"shellies/{address}/info"
        await city.publish(
            topic.replace("<shelly-id>", address), literals[name]["payload"],
            retain=bool(literals[name]["retain"]),
        )  # fmt: skip
        wanted.append((source, address, stated))
    for address, topic, event, stated in lorawan(shared_data):
        await city.publish(topic, event)
        wanted.append(("chirpstack", address, stated))
    assert city.client is not None
    await city.client.publish(  # The Things Stack publishes with QoS 0
        "v3/app1@tenant1/devices/dev1/up", json.dumps(read(shared_data, "tts_v3_uplink_example.json")),
        qos=0,
    )  # fmt: skip
    wanted.append(
        ("thethingsstack", "0004a30b001c0530", ({"temperature_c": 1.0, "signal_dbm": -35}, {}))
    )
    readings = sum(stated is not None for _, _, stated in wanted)
    await until(lambda: len(city.readings()) >= readings, f"{readings} readings")
    for source, address, stated in wanted:
        found = heard(city, source, address)
        if stated is None:
            assert found == [], address
            continue
        values, flags = stated
        [reading] = found
        said = reading.quantities()
        if source == "chirpstack":  # a vector states what its author looked at
            said = {name: value for name, value in said.items() if name in values}
        assert said == pytest.approx(values), address
        assert {flag: reading.flag(flag) for flag in flags} == flags, address
    assert len(city.readings()) == readings
    told = {event.device["address"] if isinstance(event.device, dict) else event.device.address
            for event in city.events.values() if event.device}  # fmt: skip
    assert "bulb_color" not in told  # it only shows that it is there
    assert {"Smoke", "shellyplussmoke-1"} <= told
    await until(lambda: city.alarms("raise", "smoke"), "the literal alarm is one")


def garbage(chance: random.Random) -> tuple[str, bytes]:
    """A topic nobody had before, below what the agent listens to, with bytes of no sense."""
    word = f"{chance.getrandbits(64):x}"
    topic = chance.choice(
        (
            f"zigbee2mqtt/{word}", f"zigbee2mqtt/{word}/{word}", f"utaa/v1/detector/{word}/reading",
            f"utaa/v1/detector/{word}/{word}", f"tele/{word}/SENSOR", f"{word}/events/rpc",
            f"application/1/device/{word}/event/up", f"v3/{word}/devices/{word}/up",
            f"spBv1.0/{word}/NDATA/{word}", f"homeassistant/sensor/{word}/config",
        )
    )  # fmt: skip
    return topic, chance.choice((chance.randbytes(40), b"{", b'{"smoke":{}}', b"[]", b"null"))


async def test_a_hundred_garbage_topics_a_second_cost_nobody_else_anything(
    agent: AgentProcess, city: City
) -> None:
    await started(agent, city, UTAA_EDGE_SOURCES=ALL)
    await city.configure(2, ["kitchen"], outputs={"sirens": ["hall"]})
    await until(lambda: city.sirens, "the siren hears from the agent")
    chance, took, good = random.Random(6), [], 0
    sirens = city.sirens
    for _ in range(5):
        fire_at = chance.randrange(20, 80)
        began_s = 0.0
        sirens.clear()
        second_ends_s = time.monotonic() + 1
        for number in range(100):
            topic, payload = garbage(chance)
            await city.publish(topic, payload)
            if number % 10 == 0:
                good += 1
                await city.say("attic", time=1_790_000_000 + good, co_ppm=1.0)
            if number == fire_at:
                began_s = time.monotonic()
                await city.say("kitchen", smoke_alarm=True)
                await until(lambda: any(said["state"] == "on" for _, said in sirens), "it sounds")
                took.append(time.monotonic() - began_s)
        await asyncio.sleep(max(0.0, second_ends_s - time.monotonic()))
        await city.say("kitchen", smoke_alarm=False)
        await until(lambda: sirens[-1][1]["state"] == "off", "it is over")
    assert max(took) < 1.0
    attic = city.detector("attic")
    await until(lambda: sum(r.detector == attic for r in city.readings()) == good, "every good reading")
    refused = await until(
        lambda: city.heartbeats[-1].counters.get("refused") if city.heartbeats else None,
        "it is counted",
    )
    assert sum(refused.values()) > 100
    assert "decoder_failed" not in refused
    assert agent.terminate() == 0
