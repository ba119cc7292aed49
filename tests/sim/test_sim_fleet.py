"""Fleets, links and sirens against a real Mosquitto."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import aiomqtt
import pytest

from edge.sources.base import RawMessage
from edge.sources.native import NativeSource
from edge.sources.zigbee2mqtt import Zigbee2MqttSource
from edge.wire.clock import ScaledClock, SystemClock
from edge.wire.identity import detector_id
from edge.wire.topics import siren_topic
from firmware_sim.errors import BrokerError, SimulatorError
from firmware_sim.fleet import run_fleet
from firmware_sim.ledger import (
    AsideLine,
    HappeningLine,
    Ledger,
    Outgoing,
    ReadingLine,
    SirenLine,
    StartLine,
    Summary,
    read_ledger,
)
from firmware_sim.link import Broker, Link, broker_from_text, check_reachable
from firmware_sim.scenario import Scenario, parse
from firmware_sim.siren import Sirens, wanted

pytestmark = pytest.mark.servers

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Ear(Protocol):
    heard: list[tuple[str, bytes, bool]]

    def on(self, topic: str) -> list[bytes]: ...

    def below(self, prefix: str) -> list[bytes]: ...


Listening = Callable[..., AbstractAsyncContextManager[Ear]]

HOMES = """
name = "small"
seed = 2
interval_s = 5
[[homes]]
name = "ger-001"
detectors = ["smoke", "co"]
siren = true
[[homes]]
name = "house-002"
kind = "house"
detectors = ["smoke", "co"]
format = "zigbee2mqtt"
"""
FIRE = '[[happenings]]\nat_s = 10\nhome = "ger-001"\nwhat = "flaming_fire"\nfor_s = 60\n'


def fast(factor: float = 40.0) -> ScaledClock:
    return ScaledClock(time.time(), time.time(), factor)


async def play(
    scenario: Scenario, server: Any, path: Path, *, seconds: float = 60.0, factor: float = 40.0
) -> tuple[Summary, list[Any]]:
    with Ledger(path) as ledger:
        summary = await run_fleet(
            scenario,
            site="home",
            broker=server.broker,
            clock=fast(factor),
            ledger=ledger,
            seconds=seconds,
        )
    return summary, list(read_ledger(path))


def readings_of(lines: list[Any]) -> list[ReadingLine]:
    return [line for line in lines if isinstance(line, ReadingLine)]


@pytest.mark.parametrize("connection", ["each", "concentrator"])
async def test_what_the_ledger_says_is_what_the_broker_carried(
    connection: str, mosquitto: Any, listening: Listening, until: Until, tmp_path: Path
) -> None:
    scenario = parse(HOMES.replace("seed", f'connection = "{connection}"\nseed') + FIRE, "small")
    sources = (NativeSource("home"), Zigbee2MqttSource("home"))
    async with listening("utaa/v1/detector/+/reading", "zigbee2mqtt/+") as ear:
        summary, lines = await play(scenario, mosquitto, tmp_path / "l.jsonl")
        readings = readings_of(lines)
        await until(lambda: len(ear.heard) >= len(readings))
    now_us = SystemClock().now_us()
    decoded = []
    for topic, payload, _ in ear.heard:
        message = RawMessage(topic=topic, payload=payload, retained=False, received_us=now_us)
        decoded += sources[topic.startswith("zigbee")].decode(message).readings
    heard = {(r.detector, r.time_us): r.quantities() for r in decoded}
    written = {(r.detector, r.time_us): r.values for r in readings}
    assert heard == written
    assert len(readings) == len(written) == summary.published > 40
    assert (summary.detectors, summary.dropped, summary.unacknowledged) == (4, 0, 0)


async def test_the_ledger_begins_with_the_start_and_ends_with_the_summary(
    mosquitto: Any, tmp_path: Path
) -> None:
    summary, lines = await play(parse(HOMES, "small"), mosquitto, tmp_path / "l.jsonl", seconds=20)
    assert isinstance(lines[0], StartLine)
    assert (lines[0].name, lines[0].site, lines[0].detectors) == ("small", "home", 4)
    assert lines[-1] == summary
    assert all(line.sent_us <= line.acked_us for line in readings_of(lines))


async def test_a_scripted_fire_leaves_its_first_breach_and_a_quiet_evening_none(
    mosquitto: Any, tmp_path: Path
) -> None:
    _, lines = await play(parse(HOMES + FIRE, "small"), mosquitto, tmp_path / "l.jsonl")
    (breach,) = [line for line in lines if isinstance(line, HappeningLine)]
    assert (breach.what, breach.home, breach.address) == ("flaming_fire", "ger-001", "ger-001-smoke")
    assert breach.detector == detector_id("home", "native", "ger-001-smoke")
    assert breach.first_over_us <= breach.first_breach_us
    first = next(r for r in readings_of(lines) if r.flags.get("smoke_alarm"))
    assert first.time_us == breach.reading_us
    quiet, _ = await play(parse(HOMES, "small"), mosquitto, tmp_path / "q.jsonl", seconds=30)
    assert quiet.happenings == 0


async def test_the_same_seed_publishes_the_same_values(mosquitto: Any, tmp_path: Path) -> None:
    scenario = parse(HOMES + FIRE, "small")
    runs = []
    for name in ("a", "b"):
        _, lines = await play(scenario, mosquitto, tmp_path / name, seconds=40)
        start_us = lines[0].at_us
        runs.append(
            sorted((r.address, r.time_us - start_us, str(r.values)) for r in readings_of(lines)
                   if r.source == "native")
        )  # fmt: skip
    assert runs[0] == runs[1]


async def test_duplicates_and_garbage_are_published_and_counted_apart(
    mosquitto: Any, listening: Listening, until: Until, tmp_path: Path
) -> None:
    scenario = parse(
        HOMES
        + '[[happenings]]\nat_s = 0\nhome = "ger-001"\nwhat = "garbage"\n'
        + '[[happenings]]\nat_s = 0\nhome = "ger-001"\nwhat = "duplicates"\n',
        "small",
    )
    async with listening("utaa/v1/detector/+/reading") as ear:
        summary, lines = await play(scenario, mosquitto, tmp_path / "l.jsonl", seconds=40)
        native = [line for line in readings_of(lines) if line.source == "native"]
        await until(lambda: len(ear.heard) == 3 * len(native))
    assert summary.duplicates == summary.garbage == len(native)
    assert sum(isinstance(line, AsideLine) for line in lines) == 2 * len(native)


async def test_a_detector_is_online_while_it_runs_and_says_goodbye(
    mosquitto: Any, listening: Listening, until: Until, tmp_path: Path
) -> None:
    status = "utaa/v1/detector/ger-001-smoke/status"
    async with listening(status, "zigbee2mqtt/#") as ear:
        await play(parse(HOMES, "small"), mosquitto, tmp_path / "l.jsonl", seconds=20)
        await until(lambda: b"offline" in ear.on(status))
        availability = "zigbee2mqtt/house-002-co/availability"
        await until(lambda: len(ear.on(availability)) == 2)
    assert ear.on(status) == [b"online", b"offline"]
    assert ear.on(availability) == [b'{"state":"online"}', b'{"state":"offline"}']
    assert ear.on("zigbee2mqtt/bridge/state")[0] == b'{"state":"online"}'
    listed = json.loads(ear.on("zigbee2mqtt/bridge/devices")[0])
    assert [each["friendly_name"] for each in listed] == ["house-002-smoke", "house-002-co"]


async def test_the_bridges_inventory_makes_its_detectors_known_to_the_edge(
    mosquitto: Any, listening: Listening, until: Until, tmp_path: Path
) -> None:
    async with listening("zigbee2mqtt/bridge/devices") as ear:
        await play(parse(HOMES, "small"), mosquitto, tmp_path / "l.jsonl", seconds=5)
        await until(lambda: ear.heard)
    topic, payload, _ = ear.heard[0]
    facts = Zigbee2MqttSource("home").decode(
        RawMessage(topic=topic, payload=payload, retained=True, received_us=SystemClock().now_us())
    )
    assert [(fact.address, fact.model) for fact in facts.facts] == [
        ("house-002-smoke", "sim-smoke"),
        ("house-002-co", "sim-co"),
    ]


async def test_dropping_off_brings_out_the_last_will_and_kept_readings_come_later(
    mosquitto: Any, listening: Listening, until: Until, tmp_path: Path
) -> None:
    scenario = parse(
        HOMES + '[[happenings]]\nat_s = 10\nhome = "ger-001"\nwhat = "drop_off"\nfor_s = 30\n'
        "keeps = true\n",
        "small",
    )
    status = "utaa/v1/detector/ger-001-co/status"
    async with listening(status) as ear:
        summary, lines = await play(scenario, mosquitto, tmp_path / "l.jsonl", seconds=70, factor=20)
        await until(lambda: len(ear.heard) == 4)
    assert ear.on(status) == [b"online", b"offline", b"online", b"offline"]
    times = [line.time_us for line in readings_of(lines) if line.address == "ger-001-co"]
    assert times == sorted(times)
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {5_000_000}
    assert summary.unacknowledged == 0


async def test_a_broker_that_dies_and_returns_loses_no_reading(
    mosquitto: Any, until: Until, tmp_path: Path
) -> None:
    path = tmp_path / "l.jsonl"
    stop = asyncio.Event()
    with Ledger(path) as ledger:
        run = asyncio.create_task(
            run_fleet(
                parse(HOMES, "small"),
                site="home",
                broker=mosquitto.broker,
                clock=fast(),
                ledger=ledger,
                stop=stop,
            )
        )
        await until(lambda: ledger.counts["published"] >= 12)
        mosquitto.kill()
        stopped_at = ledger.counts["published"]
        await asyncio.sleep(0)
        mosquitto.start()
        await until(lambda: ledger.counts["published"] >= stopped_at + 40)
        stop.set()
        summary = await run
    assert (summary.dropped, summary.unacknowledged) == (0, 0)
    for address in ("ger-001-smoke", "ger-001-co", "house-002-smoke", "house-002-co"):
        times = [r.time_us for r in readings_of(list(read_ledger(path))) if r.address == address]
        assert times == sorted(set(times))
        gaps = {later - earlier for earlier, later in itertools.pairwise(times)}
        assert max(gaps) < 5_100_000


async def test_a_full_queue_gives_up_its_oldest_and_counts_it() -> None:
    ledger = Ledger(None)
    link = Link(Broker("127.0.0.1", 1), "x", SystemClock(), ledger, capacity=3)
    for number in range(5):
        line = ReadingLine(
            detector="d", source="native", address="a", time_us=number, values={}, flags={}
        )
        link.send(Outgoing("t", b"", reading=line))
    assert ledger.summary().dropped == 2
    assert link.unacknowledged == 3
    assert not await link.drained(0.01)


async def test_a_siren_notes_its_commands_and_states_what_it_does(
    mosquitto: Any, listening: Listening, until: Until, tmp_path: Path
) -> None:
    path = tmp_path / "l.jsonl"
    stop = asyncio.Event()
    state, command = siren_topic("ger-001-siren", "state"), siren_topic("ger-001-siren", "command")
    with Ledger(path) as ledger:
        run = asyncio.create_task(
            run_fleet(
                parse(HOMES, "small"),
                site="home",
                broker=mosquitto.broker,
                clock=SystemClock(),
                ledger=ledger,
                stop=stop,
            )
        )
        async with (
            listening(state) as ear,
            aiomqtt.Client("127.0.0.1", mosquitto.port) as client,
        ):
            await until(lambda: ledger.counts["published"])
            await client.publish(command, b'{"on":true}', qos=1, retain=True)
            await until(lambda: ear.on(state))
            await client.publish(command, b"off", qos=1)
            await until(lambda: len(ear.on(state)) == 2)
        stop.set()
        await run
    told = [line for line in read_ledger(path) if isinstance(line, SirenLine)]
    assert [line.on for line in told] == [True, False]
    assert ear.on(state) == [b'{"on":true}', b'{"on":false}']


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"on", True),
        (b"OFF", False),
        (b'{"on":true}', True),
        (b'{"state":"off"}', False),
        (b'{"action":"sound","for_s":60}', True),
        (b"true", True),
        (b"{}", None),
        (b"\xff", None),
        (b"[1]", None),
    ],
)
def test_a_siren_reads_words_and_objects(payload: bytes, expected: bool | None) -> None:
    assert wanted(payload)[0] is expected


async def test_a_siren_falls_silent_when_its_order_runs_out(until: Until) -> None:
    sirens = Sirens(["s"], fast(1000.0), Ledger(None))
    await sirens.obey(siren_topic("s", "command"), b'{"v":1,"state":"on","hold_s":60}')
    await sirens.obey(siren_topic("s", "command"), b'{"v":1,"state":"on","hold_s":60}')
    await until(lambda: len(sirens.heard) == 3)
    assert [(line.on, bool(line.command)) for line in sirens.heard] == [
        (True, True),
        (True, True),
        (False, False),
    ]
    await sirens.obey(siren_topic("s", "command"), b'{"state":"on","hold_s":60000}')
    sirens.leave()


async def test_a_wrong_site_and_an_absent_broker_are_named(mosquitto: Any) -> None:
    with pytest.raises(SimulatorError, match="no site name"):
        await run_fleet(
            parse(HOMES, "small"),
            site="Not A Site",
            broker=mosquitto.broker,
            clock=SystemClock(),
            ledger=Ledger(None),
            seconds=1,
        )
    mosquitto.kill()
    with pytest.raises(BrokerError, match="no broker answers"):
        await check_reachable(mosquitto.broker)


@pytest.mark.parametrize("text", ["", "host:", "host:x", ":1883", "host:70000"])
def test_a_wrong_broker_is_named(text: str) -> None:
    with pytest.raises(BrokerError, match="expected HOST:PORT"):
        broker_from_text(text)


def test_a_broker_without_a_port_has_the_usual_one() -> None:
    assert broker_from_text("broker.home") == Broker("broker.home", 1883)
