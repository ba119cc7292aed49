"""An MQTT connection as a device keeps it: QoS 1, in order, with a last will, and patient.

What could not be sent waits in a bounded queue and goes out in order after the next connect. What was
sent and not acknowledged goes out again, so the broker may have it twice; the ledger has it once.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiomqtt
import structlog

from edge.wire.clock import Clock
from firmware_sim.errors import BrokerError
from firmware_sim.ledger import Ledger, Outgoing

log = structlog.get_logger(__name__)

#: So many messages are on their way at once; the broker's own default is 20.
WINDOW = 20
#: A concentrator speaks for thousands: 2,000 detectors at one reading in 2 s need more than 20.
CONCENTRATOR_WINDOW = 500
#: A device keeps this many messages while it has no broker: 2.7 hours at one a second. When it is
#: full the oldest is given up and counted.
CAPACITY = 10_000
#: A concentrator keeps them for all its devices.
CONCENTRATOR_CAPACITY = 200_000
#: Seconds before the first, and at most before any, attempt to connect again.
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 10.0
#: A broker that does not answer for this long is not there.
TIMEOUT_S = 10.0

OnMessage = Callable[[str, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def broker_from_text(text: str) -> Broker:
    """``HOST:PORT`` or ``HOST``. Raises ``BrokerError``."""
    host, _, port = text.rpartition(":") if ":" in text else (text, ":", "1883")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise BrokerError(text, "is no broker; expected HOST:PORT, as in localhost:1883")
    return Broker(host, int(port))


@dataclass(slots=True)
class Link:
    """One connection and its queue. ``run`` it as a task; ``send`` at any time."""

    broker: Broker
    identifier: str
    clock: Clock
    ledger: Ledger
    will: Outgoing | None = None
    #: published first on every connect, retained words such as "online"
    greeting: Sequence[Outgoing] = ()
    filters: Sequence[str] = ()
    on_message: OnMessage | None = None
    capacity: int = CAPACITY
    window: int = WINDOW
    #: shared by the links of a fleet, so that not all connect at the same moment
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: deque[Outgoing] = field(default_factory=deque)
    _flying: list[Outgoing] = field(default_factory=list)
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _in_reach: asyncio.Event = field(default_factory=asyncio.Event)
    _client: aiomqtt.Client | None = None

    def __post_init__(self) -> None:
        self._idle.set()
        self._in_reach.set()

    @property
    def unacknowledged(self) -> int:
        """Readings that wait or fly."""
        return sum(each.reading is not None for each in (*self._waiting, *self._flying))

    def send(self, *messages: Outgoing) -> None:
        """Queue messages; a full queue gives up its oldest."""
        for message in messages:
            if len(self._waiting) >= self.capacity:
                self.ledger.dropped(self._waiting.popleft())
            self._waiting.append(message)
        if messages:
            self._idle.clear()
            self._work.set()

    def cut(self) -> None:
        """Out of reach: the socket dies without a word, and the broker speaks the last will."""
        self._in_reach.clear()
        if self._client is None:
            return
        # aiomqtt only knows a polite goodbye; the socket below it is paho's public ``socket()``
        raw = self._client._client.socket()
        if isinstance(raw, socket.socket):
            raw.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """In reach again."""
        self._in_reach.set()

    async def drained(self, timeout_s: float) -> bool:
        """Whether everything was acknowledged within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Connect, publish, and begin again after every failure, until cancelled."""
        retry_s = FIRST_RETRY_S
        while True:
            await self._in_reach.wait()
            try:
                await self._connected_once()
            except* aiomqtt.MqttError as group:
                log.info("sim.link_lost", link=self.identifier, error=_first(group))
            retry_s = FIRST_RETRY_S if self.connected.is_set() else min(LAST_RETRY_S, 2 * retry_s)
            self.connected.clear()
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))

    async def _connected_once(self) -> None:
        client = aiomqtt.Client(
            self.broker.host,
            self.broker.port,
            username=self.broker.username,
            password=self.broker.password,
            identifier=self.identifier,
            will=None if self.will is None else _will(self.will),
            timeout=TIMEOUT_S,
            max_inflight_messages=self.window,
            # small packets must not wait for each other's TCP acknowledgements (40 ms each)
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        client.pending_calls_threshold = 2 * self.window
        await self.gate.acquire()
        try:
            await client.__aenter__()
        finally:
            self.gate.release()
        try:
            self._client = client
            await self._serve(client)
        finally:
            self._client = None
            self._take_back()
            await client.__aexit__(None, None, None)

    async def _serve(self, client: aiomqtt.Client) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(client), name=f"{self.identifier} listens")
            for each in self.filters:
                await client.subscribe(each, qos=1)
            for message in self.greeting:
                await client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            self.connected.set()
            group.create_task(self._pump(client), name=f"{self.identifier} publishes")

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if self.on_message is not None and isinstance(message.payload, bytes):
                await self.on_message(str(message.topic), message.payload)

    async def _pump(self, client: aiomqtt.Client) -> None:
        while True:
            await self._work.wait()
            while self._waiting and len(self._flying) < self.window:
                self._flying.append(self._waiting.popleft())
            async with asyncio.TaskGroup() as group:
                for message in tuple(self._flying):
                    group.create_task(self._publish(client, message))
            if not self._waiting:
                self._work.clear()
                self._idle.set()

    async def _publish(self, client: aiomqtt.Client, message: Outgoing) -> None:
        sent_us = self.clock.now_us()
        await client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        self._flying.remove(message)
        self.ledger.acknowledged(message, sent_us, self.clock.now_us())

    def _take_back(self) -> None:
        """What flew and was not acknowledged waits again, in front."""
        self._waiting.extendleft(reversed(self._flying))
        self._flying.clear()
        if self._waiting:
            self._work.set()


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """What the first of nested errors says."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


async def check_reachable(broker: Broker) -> None:
    """Return if something listens there. Raises ``BrokerError`` that says what to do."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(broker.host, broker.port)
    except (OSError, TimeoutError) as error:
        raise BrokerError(
            str(broker),
            f"no broker answers ({error or 'in time'}); start one or name another by --broker",
        ) from None
    writer.close()


def _will(message: Outgoing) -> aiomqtt.Will:
    return aiomqtt.Will(message.topic, message.payload, qos=1, retain=message.retain)
