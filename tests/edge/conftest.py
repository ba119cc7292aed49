"""A site under test: a real broker, the agent as a process of its own, and a city that answers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from edge.wire import topics
from edge.wire.frames import decode_frame
from edge.wire.identity import detector_id
from edge.wire.messages import Ack, Config, DetectorSettings, Event, Heartbeat, Snapshot, decode, encode
from edge.wire.readings import Reading
from tests.servers import until

_RUN = "import typer; from edge.agent.command import run; typer.run(run)"


@dataclass
class City:
    """What a gateway does with a site's messages, kept in memory. ``answers`` may be turned off."""

    site: str
    port: int
    store: str = "store-1"
    answers: bool = True
    #: its snapshots get an answer
    answers_snapshots: bool = True
    #: lose this many acknowledgements first
    lose: int = 0
    events: dict[tuple[str, int], Event] = field(default_factory=dict)
    frames: dict[tuple[str, int], list[Reading]] = field(default_factory=dict)
    arrivals: list[tuple[str, str, int]] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    sirens: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    told: list[tuple[str, bytes]] = field(default_factory=list)
    client: aiomqtt.Client | None = None

    async def serve(self) -> None:
        """Listen and answer until cancelled; connects again when the broker was away."""
        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", self.port) as client:
                    for leaf in topics.UPLINK_LEAVES:
                        await client.subscribe(topics.site_topic(self.site, leaf), qos=1)
                    await client.subscribe("utaa/v1/siren/+/command", qos=1)
                    await client.subscribe("utaa/v1/detector/+/command", qos=1)
                    self.client = client
                    async for message in client.messages:
                        await self._hear(client, message.topic.value, bytes(message.payload))
            except aiomqtt.MqttError:
                self.client = None
                await asyncio.sleep(0.05)

    async def _hear(self, client: aiomqtt.Client, topic: str, payload: bytes) -> None:
        parsed = topics.parse_site_topic(topic)
        if parsed is None:
            if "/siren/" in topic:
                self.sirens.append((topic.split("/")[-2], json.loads(payload)))
            else:
                self.told.append((topic, payload))
            return
        match parsed.leaf:
            case "event":
                event = decode(payload, Event)
                self.events[(event.epoch, event.seq)] = event
                await self._answer(client, "events", event.epoch, event.seq)
            case "frame":
                frame = decode_frame(payload)
                self.frames[(frame.epoch, frame.seq)] = list(frame.readings())
                await self._answer(client, "frames", frame.epoch, frame.seq)
            case "snapshot":
                snapshot = decode(payload, Snapshot)
                self.snapshots.append(snapshot)
                self.arrivals.append(("snapshot", snapshot.epoch, snapshot.last_seq))
                if self.answers_snapshots:
                    await self._ack(client, self._answer_to(snapshot))
            case "heartbeat":
                self.heartbeats.append(decode(payload, Heartbeat))
            case "status":
                self.statuses.append(json.loads(payload))
            case "result":
                self.results.append(json.loads(payload))

    def _answer_to(self, snapshot: Snapshot) -> Ack:
        newest = max((seq for epoch, seq in self.events if epoch == snapshot.epoch), default=0)
        return Ack(
            site=self.site, epoch=snapshot.epoch, store=self.store, lane="events",
            snapshot=snapshot.nonce, newest_event=newest,
        )  # fmt: skip

    async def answer_snapshots(self) -> None:
        """Answer the newest snapshot, and those to come."""
        assert self.client is not None
        self.answers = self.answers_snapshots = True
        await self._ack(self.client, self._answer_to(self.snapshots[-1]))

    async def _answer(self, client: aiomqtt.Client, lane: Any, epoch: str, seq: int) -> None:
        self.arrivals.append((lane, epoch, seq))
        await self._ack(
            client,
            Ack(site=self.site, epoch=epoch, store=self.store, lane=lane, seqs=[(seq, seq)]),
        )

    async def _ack(self, client: aiomqtt.Client, ack: Ack) -> None:
        if not self.answers:
            return
        if self.lose > 0 and ack.snapshot is None:
            self.lose -= 1
            return
        await client.publish(topics.site_topic(self.site, "ack"), encode(ack), qos=1)

    async def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Say something on the broker."""
        assert self.client is not None
        await self.client.publish(topic, payload, qos=1, retain=retain)

    async def say(self, address: str, *, retain: bool = False, **values: Any) -> None:
        """A native detector says something."""
        await self.publish(topics.detector_topic(address, "reading"), json.dumps(values), retain=retain)

    async def configure(self, version: int, addresses: list[str], **rest: Any) -> None:
        """Send settings, retained."""
        detectors = [
            DetectorSettings(detector=self.detector(one), source="native", address=one)
            for one in addresses
        ]
        config = Config(site=self.site, version=version, detectors=detectors, **rest)
        await self.publish(topics.site_topic(self.site, "config"), encode(config), retain=True)

    def detector(self, address: str) -> str:
        return detector_id(self.site, "native", address)

    def readings(self) -> list[Reading]:
        return [reading for frame in self.frames.values() for reading in frame]

    def alarms(self, transition: str, kind: str) -> list[Event]:
        return [
            event
            for event in self.events.values()
            if event.alarm and event.alarm.kind == kind and event.transition == transition
        ]

    def notes(self) -> list[str]:
        return [event.note for event in self.events.values() if event.note]


@dataclass
class AgentProcess:
    """``utaa edge run`` as a process."""

    site: str
    port: int
    data: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        log = (self.data.parent / f"{self.data.name}.log").open("ab")
        self.process = subprocess.Popen(
            [
                sys.executable, "-c", _RUN, "--site", self.site, "--data", str(self.data),
                "--site-broker", f"127.0.0.1:{self.port}", "--city-broker", f"127.0.0.1:{self.port}",
                *arguments,
            ],
            stderr=log,
            env=os.environ | {"UTAA_EDGE_HEARTBEAT_S": "1"} | environment,
        )  # fmt: skip
        log.close()
        return self.process

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def log(self) -> str:
        return (self.data.parent / f"{self.data.name}.log").read_text()


@pytest.fixture
async def broker(own_mosquitto: Callable[..., Any]) -> Any:
    """A broker that keeps the agent's session over its absence."""
    return await own_mosquitto()


@pytest.fixture
async def city(broker: Any, unique: str) -> AsyncIterator[City]:
    """A city that answers, connected."""
    city = City(unique, broker.port)
    serving = asyncio.create_task(city.serve(), name="city")
    await until(lambda: city.client is not None, "the city connects")
    yield city
    while not serving.done():  # wait_for of Python 3.11, inside aiomqtt, can swallow a cancellation
        serving.cancel()
        await asyncio.wait((serving,), timeout=1)


@pytest.fixture
async def agent(broker: Any, unique: str, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """An agent, not started; whatever is left of it is killed in the end."""
    agent = AgentProcess(unique, broker.port, tmp_path / "data")
    yield agent
    if agent.process is not None and agent.process.poll() is None:
        agent.kill()
