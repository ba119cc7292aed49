"""Sites that watch cameras and do not exist, on a plant that can be cut.

``Streets`` speaks to the city's broker as edges do: pulses, facts and alarms of cameras, a last will. A
``Plan`` says which cameras each site watches and who is lost with each element of the plant (a register
reckons that; this room knows no register). A message on ``CUT_TOPIC`` cuts elements or mends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterable
from typing import Final, Literal

import aiomqtt
import msgspec
import structlog

from edge.wire.clock import Clock
from edge.wire.identity import new_id
from edge.wire.messages import Alarm, CameraFact, Event, Heartbeat, Snapshot, Status, encode
from edge.wire.topics import site_topic
from firmware_sim.errors import SimulatorError
from firmware_sim.link import Broker

log = structlog.get_logger(__name__)

CUT_TOPIC: Final = "utaa/sim/v1/plant"
_PULSE_S: Final = 10.0
_RETRY_S: Final = 0.3


class Plan(msgspec.Struct, frozen=True):
    """``sites``: cameras by the site that watches them; ``losers``: subjects by element."""

    sites: dict[str, list[str]]
    losers: dict[str, list[str]]


class Order(msgspec.Struct, frozen=True):
    """What the plant is to do."""

    do: Literal["cut", "mend"]
    elements: list[str]


class _Site:
    """One site: its connection, its cameras, what of them is lost."""

    def __init__(self, name: str, cameras: Iterable[str], broker: Broker, clock: Clock) -> None:
        self.name, self.cameras = name, tuple(cameras)
        self._broker, self._clock = broker, clock
        self._epoch, self._boot, self._seq, self._nonce = new_id(), new_id(), 0, 0
        self._alarms: dict[str, Alarm] = {}
        self._lost: set[str] = set()
        self._in_reach = asyncio.Event()
        self._in_reach.set()
        self._client: aiomqtt.Client | None = None
        self._changed = asyncio.Event()

    def set_lost(self, lost: set[str]) -> None:
        """Who is lost now: this site itself, or cameras it watches."""
        mine = {camera for camera in self.cameras if f"camera:{camera}" in lost}
        if f"site:{self.name}" in lost:
            self._cut()
        else:
            self._in_reach.set()
        self._lost = mine
        self._changed.set()

    def _cut(self) -> None:
        """The line is gone without a word; the broker speaks the last will."""
        self._in_reach.clear()
        if self._client is None:
            return
        raw = self._client._client.socket()  # aiomqtt only knows a polite goodbye
        if isinstance(raw, socket.socket):
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)

    async def run(self) -> None:
        while True:
            await self._in_reach.wait()
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                await self._connected()
            self._client = None
            await asyncio.sleep(_RETRY_S)

    async def _connected(self) -> None:
        will = Status(site=self.name, state="offline", boot=self._boot)
        topic = site_topic(self.name, "status")
        async with aiomqtt.Client(
            self._broker.host, self._broker.port, username=self._broker.username,
            password=self._broker.password, will=aiomqtt.Will(topic, encode(will), 1, True),
            identifier=f"sim-{self.name}-{self._boot[:8]}", keepalive=10,
        ) as client:  # fmt: skip
            self._client = client
            online = Status(site=self.name, state="online", boot=self._boot)
            await client.publish(topic, encode(online), qos=1, retain=True)
            await self._snapshot(client)
            for camera in self.cameras:
                await self._say(client, camera, camera not in self._alarms, first=True)
            while True:
                await self._pulse(client)
                await self._settle(client)
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _PULSE_S)

    async def _snapshot(self, client: aiomqtt.Client) -> None:
        self._nonce += 1
        message = Snapshot(
            site=self.name, epoch=self._epoch, nonce=f"{self._boot[:8]}-{self._nonce}",
            at_us=self._clock.now_us(), last_seq=self._seq, active=list(self._alarms.values()),
        )  # fmt: skip
        await client.publish(site_topic(self.name, "snapshot"), encode(message), qos=1)

    async def _pulse(self, client: aiomqtt.Client) -> None:
        message = Heartbeat(
            site=self.name, epoch=self._epoch, boot=self._boot, at_us=self._clock.now_us(),
            uptime_s=time.monotonic(), clock_synced=True, config_version=1, detectors=0,
            queued_events=0, queued_readings=0, spool_bytes=0, software="simulated",
        )  # fmt: skip
        await client.publish(site_topic(self.name, "heartbeat"), encode(message), qos=1)

    async def _settle(self, client: aiomqtt.Client) -> None:
        """Bring what the city was told in line with who is lost."""
        for camera in self.cameras:
            lost = camera in self._lost
            if lost != (camera in self._alarms):
                await self._say(client, camera, not lost)
                await self._turn(client, camera, lost=lost)

    async def _say(
        self, client: aiomqtt.Client, camera: str, reachable: bool, *, first: bool = False
    ) -> None:
        fact = CameraFact(
            camera=camera, address=f"rtsp://camera.example/{camera}", reachable=reachable,
            summary="ok" if reachable else "faulty",
        )  # fmt: skip
        await self._event(client, Event(
            site=self.name, epoch=self._epoch, seq=self._next(), at_us=self._clock.now_us(),
            transition="update" if first else "clear" if reachable else "raise", camera=fact, age_ms=0,
        ))  # fmt: skip

    async def _turn(self, client: aiomqtt.Client, camera: str, *, lost: bool) -> None:
        now_us = self._clock.now_us()
        if lost:
            alarm = Alarm(
                id=new_id(), kind="camera_offline", detector=camera, raised_us=now_us, revision=1,
                reason="it does not answer",
            )  # fmt: skip
            self._alarms[camera] = alarm
        else:
            known = self._alarms.pop(camera)
            alarm = msgspec.structs.replace(known, cleared_us=now_us, revision=known.revision + 1)
        await self._event(client, Event(
            site=self.name, epoch=self._epoch, seq=self._next(), at_us=now_us,
            transition="raise" if lost else "clear", alarm=alarm, age_ms=0,
        ))  # fmt: skip

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    async def _event(self, client: aiomqtt.Client, event: Event) -> None:
        await client.publish(site_topic(self.name, "event"), encode(event), qos=1)


class Streets:
    """All sites of a plan. ``run`` until cancelled; ``cut`` and ``mend`` at any time."""

    def __init__(self, plan: Plan, broker: Broker, clock: Clock) -> None:
        self._plan, self._broker = plan, broker
        self._sites = [_Site(name, cameras, broker, clock) for name, cameras in plan.sites.items()]
        self._broken: set[str] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="orders to the plant")
            for site in self._sites:
                group.create_task(site.run(), name=f"simulated site {site.name}")

    async def _listen(self) -> None:
        while True:
            try:
                async with aiomqtt.Client(
                    self._broker.host, self._broker.port, username=self._broker.username,
                    password=self._broker.password,
                ) as client:  # fmt: skip
                    await client.subscribe(CUT_TOPIC, qos=1)
                    async for message in client.messages:
                        self._hear(message.payload if isinstance(message.payload, bytes) else b"")
            except (aiomqtt.MqttError, OSError):
                await asyncio.sleep(_RETRY_S)

    def _hear(self, payload: bytes) -> None:
        try:
            order = msgspec.json.decode(payload, type=Order)
        except msgspec.MsgspecError as error:
            log.warning("streets.order_refused", error=str(error)[:200])
            return
        (self.cut if order.do == "cut" else self.mend)(order.elements)

    def cut(self, elements: Iterable[str]) -> None:
        self._broken |= set(elements)
        self._apply()

    def mend(self, elements: Iterable[str]) -> None:
        self._broken -= set(elements)
        self._apply()

    def _apply(self) -> None:
        lost = {who for each in self._broken for who in self._plan.losers.get(each, ())}
        log.info("streets.plant", broken=sorted(self._broken), lost=len(lost))
        for site in self._sites:
            site.set_lost(lost)


def read_plan(content: bytes) -> Plan:
    """Raises ``SimulatorError``."""
    try:
        return msgspec.json.decode(content, type=Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SimulatorError("the plan", f"cannot be read: {str(error)[:200]}") from None
