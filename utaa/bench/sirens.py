"""``utaa bench sirens``: from a detector's message to what sounds, with the city unreachable.

A real broker and a real agent whose city is not there; two sirens and a neighbour's sounder listen and
answer in this process. Each fire is a message of one detector; it has sounded when the last of the
three was told. Between two fires the detector is quiet again and everything was told to stop.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from edge.wire.clock import SystemClock
from edge.wire.identity import detector_id
from edge.wire.messages import Config, DetectorSettings, encode
from edge.wire.topics import detector_topic, siren_topic
from utaa.bench.measure import milliseconds
from utaa.bench.report import Report, Teller
from utaa.onebox import OneBox, Plan, until
from utaa.servers import free_port

_SITE = "bench-sirens"
SIRENS = ("hall", "yard")
NEIGHBOUR = "neighbour"
_START_S = 60.0
_PATIENCE_S = 10.0
#: Each fire is another home's: ten within ten seconds from one detector are a flood.
KITCHENS = tuple(f"kitchen-{number}" for number in range(100))
#: Readings of other detectors that pass by while there is no fire.
_QUIET_PER_FIRE = 20


@dataclass
class Sounders:
    """Sirens and detectors with a sounder that note when they were told what, and answer.

    Each has a connection of its own, as in life.
    """

    sirens: Sequence[str] = SIRENS
    neighbours: Sequence[str] = (NEIGHBOUR,)
    answers: bool = True
    #: by name: whether it sounds, in which rhythm, and since when (monotonic seconds)
    sounding: dict[str, bool] = field(default_factory=dict)
    pattern: dict[str, str] = field(default_factory=dict)
    told_s: dict[str, float] = field(default_factory=dict)
    orders: int = 0

    async def listen(self, name: str, client: aiomqtt.Client) -> None:
        """One of them, until cancelled."""
        command = detector_topic(name, "command")
        if name in self.sirens:
            command = siren_topic(name, "command")
        await client.subscribe(command, qos=1)
        async for message in client.messages:
            self._obey(name, json.loads(bytes(message.payload)), time.monotonic())
            if self.answers:
                await self._answer(name, client)

    def _obey(self, name: str, said: dict[str, str], now_s: float) -> None:
        self.orders += 1
        if (said.get("state") or said.get("action")) in ("test", "self_test", "silence"):
            return
        on = said.get("state") == "on" or said.get("action") == "sound"
        if self.sounding.get(name) != on:
            self.told_s[name] = now_s
        self.sounding[name] = on
        self.pattern[name] = said.get("pattern", "")

    async def _answer(self, name: str, client: aiomqtt.Client) -> None:
        if name in self.sirens:
            state = json.dumps({"state": "on" if self.sounding.get(name) else "off"})
            await client.publish(siren_topic(name, "state"), state, qos=1, retain=True)
        else:
            await client.publish(detector_topic(name, "answer"), "{}", qos=1)

    def all_are(self, on: bool) -> bool:
        """Whether every one was told so last."""
        names = (*self.sirens, *self.neighbours)
        return all(self.sounding.get(name, False) is on for name in names)

    def last_told_s(self) -> float:
        """When the last of them was told."""
        return max(self.told_s.values())


@asynccontextmanager
async def sounders(
    host: str, port: int, neighbours: Sequence[str] = (NEIGHBOUR,)
) -> AsyncIterator[Sounders]:
    """Two sirens and a neighbour on a broker, listening."""
    heard = Sounders(neighbours=neighbours)
    async with AsyncExitStack() as stack:
        tasks = []
        for name in (*heard.sirens, *heard.neighbours):
            client = await stack.enter_async_context(aiomqtt.Client(host, port))
            tasks.append(asyncio.create_task(heard.listen(name, client), name=f"sounder-{name}"))
        try:
            yield heard
        finally:
            for task in tasks:
                while not task.done():  # wait_for of Python 3.11 can swallow a cancellation
                    task.cancel()
                    await asyncio.wait((task,), timeout=1)


async def one_fire(heard: Sounders, client: aiomqtt.Client, detector: str) -> float:
    """Seconds from the detector's message until the last was told; everything is quiet afterwards."""
    topic = detector_topic(detector, "reading")
    began_s = time.monotonic()
    await client.publish(topic, '{"smoke_alarm":true}', qos=0)
    await _until(lambda: heard.all_are(True), "everything sounds")
    took_s = heard.last_told_s() - began_s
    await client.publish(topic, '{"smoke_alarm":false}', qos=1)
    await _until(lambda: heard.all_are(False), "everything is quiet")
    return took_s


async def _until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {_PATIENCE_S:g} s: {what}")
        await asyncio.sleep(0.001)


async def run_sirens(*, folder: Path, teller: Teller, fires: int) -> Report:
    """Raises ``ServerError`` or ``TimeoutError`` with one line for the user."""
    report = Report(
        "sirens",
        {"fires": fires, "sirens": len(SIRENS), "neighbours": 1, "city": "unreachable"},
        targets={"p50_ms": "≤ 100", "p99_ms": "≤ 1000", "lost": "0"},
    )
    city_port = free_port()  # nobody listens there
    plan = Plan(
        folder=folder, sites=(_SITE,), influx=False, smtp_port=0,
        edge_env={"UTAA_EDGE_CITY_BROKER__PORT": str(city_port)},
    )  # fmt: skip
    async with OneBox(plan, say=teller.say) as box:
        await box.city_broker.stop()
        _configure(box.edge_data(_SITE))
        broker = box.site_brokers[_SITE]
        async with (
            sounders(broker.host, broker.port) as heard,
            aiomqtt.Client(broker.host, broker.port) as client,
            aiomqtt.Client(broker.host, broker.port) as others,
        ):
            box.start_edge(_SITE)
            await until(lambda: _quiet(heard), seconds=_START_S, what="the sirens hear from the agent")
            sounder = '{"sounder":true,"temperature_c":20}'
            await client.publish(detector_topic(NEIGHBOUR, "reading"), sounder, qos=1)
            took = await _fires(heard, client, others, teller, fires)
    report.figures = {
        "p50_ms": milliseconds(took, 0.5),
        "p99_ms": milliseconds(took, 0.99),
        "max_ms": milliseconds(took, 1.0),
        "lost": fires - len(took),
        "orders": heard.orders,
    }
    return report


async def _quiet(heard: Sounders) -> bool:
    return all(heard.sounding.get(name) is False for name in SIRENS)


async def _fires(
    heard: Sounders, client: aiomqtt.Client, others: aiomqtt.Client, teller: Teller, fires: int
) -> list[float]:
    took: list[float] = []
    with teller.bar("fires", fires) as bar:
        for number in range(fires):
            for quiet in range(_QUIET_PER_FIRE):
                topic = detector_topic(f"other-{quiet}", "reading")
                await others.publish(topic, json.dumps({"co_ppm": number % 5}), qos=0)
            took.append(await one_fire(heard, client, KITCHENS[number % len(KITCHENS)]))
            bar.at(number + 1)
    return took


def _configure(data: Path) -> None:
    """The settings that the city sent while it was there."""
    data.mkdir(parents=True, exist_ok=True)
    now_us = SystemClock().now_us()
    config = Config(
        site=_SITE,
        version=1,
        detectors=[
            DetectorSettings(
                detector=detector_id(_SITE, "native", address), source="native", address=address,
                registered_us=now_us,
            )
            for address in (*KITCHENS, NEIGHBOUR)
        ],
        outputs={"sirens": list(SIRENS)},
    )  # fmt: skip
    (data / "config.json").write_bytes(encode(config))
