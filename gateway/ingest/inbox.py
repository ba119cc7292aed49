"""One MQTT connection that takes no more than can be worked on.

The client runs in its own thread, so keep-alives are answered while a batch is being stored. A message
is acknowledged to the *broker* when a batch takes it, not before: when nothing takes batches, the
broker's own in-flight window fills and it holds the rest back. What the broker then loses or drops the
edges send again, because only the end-to-end acknowledgement counts for them.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from gateway.broker.files import CertificateProblem, TlsFiles

#: Messages that wait for a batch; a broker with a larger window than this loses the surplus, which is
#: counted and comes again from the edge.
MAX_WAITING = 2_000
#: The same in bytes: two thousand of the largest frames would be 2 GB.
MAX_WAITING_BYTES = 64 << 20
#: Our own unacknowledged publications (acknowledgements and configurations) on one connection.
_MAX_OUTGOING = 10_000
_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5.0
_RECONNECT_MIN_S, _RECONNECT_MAX_S = 1, 20
_MQTT_PORT, _MQTTS_PORT = 1883, 8883

log = structlog.get_logger()


class BrokerUnavailable(Exception):
    """The broker does not answer or does not let us in; the text names it without its password."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came from the broker."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True)
class BrokerAddress:
    """``mqtt://[user:password@]host[:port]`` or ``mqtts://…``, taken apart."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None
    files: TlsFiles = field(default_factory=TlsFiles)

    @classmethod
    def parse(cls, url: str, files: TlsFiles | None = None) -> BrokerAddress:
        """Raises ``ValueError`` that says what was expected."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("expected mqtt://[user:password@]host[:port] or mqtts://…")
        tls = parts.scheme == "mqtts"
        return cls(
            parts.hostname,
            parts.port or (_MQTTS_PORT if tls else _MQTT_PORT),
            tls,
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            files or TlsFiles(),
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


class Inbox:
    """A clean-start connection with its subscriptions; it reconnects by itself.

    ``name`` becomes part of the client id, which is new for every process: workers share by ``$share``.
    """

    def __init__(self, *, name: str, broker: BrokerAddress, filters: Sequence[str]) -> None:
        self.broker = broker
        self._filters = list(filters)
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Received, int, int, int]] = deque()
        self._waiting_bytes = 0
        self._generation = 0
        self._arrived = asyncio.Event()
        self._signalled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refusal: str | None = None
        self._up = asyncio.Event()
        #: messages lost here because nobody took them (see ``MAX_WAITING``)
        self.overflowed = 0
        self._tls: ssl.SSLContext | None = None
        self._client = self._new_client()

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """Why it is not connected, as far as it knows."""
        return self._refusal or "no answer"

    def _new_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"utaa-{self._name}-{random.getrandbits(64):016x}",
            clean_session=True,
            manual_ack=True,
        )
        client.max_queued_messages_set(_MAX_OUTGOING)
        client.max_inflight_messages_set(_MAX_OUTGOING)
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.reconnect_delay_set(_RECONNECT_MIN_S, _RECONNECT_MAX_S)
        if self.broker.user is not None:
            client.username_pw_set(self.broker.user, self.broker.password)
        if self.broker.tls:
            self._tls = self.broker.files.context()
            client.tls_set_context(self._tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def start(self) -> None:
        """Connect in the background, again and again until ``stop``."""
        self._loop = asyncio.get_running_loop()
        self._client.connect_async(self.broker.host, self.broker.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    async def ready(self, timeout_s: float) -> None:
        """Wait until subscribed. Raises ``BrokerUnavailable``; it goes on trying all the same."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            raise BrokerUnavailable(f"{self.broker}: {self.trouble}") from None

    async def stop(self) -> None:
        """Send what is queued, say goodbye, end the thread."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def take(
        self, limit: int, limit_bytes: int, *, linger_s: float = 0.0, enough: int = 1
    ) -> list[Received]:
        """The next batch, at least one message; taking it tells the broker to go on.

        Where fewer than ``enough`` wait, it waits ``linger_s`` for their company.
        """
        while True:
            if linger_s and 0 < len(self._waiting) < enough:
                await asyncio.sleep(linger_s)
            batch: list[Received] = []
            with self._lock:
                size = 0
                while self._waiting and len(batch) < limit and size < limit_bytes:
                    message, mid, qos, generation = self._waiting.popleft()
                    size += len(message.payload)
                    batch.append(message)
                    if qos and generation == self._generation:
                        self._client.ack(mid, qos)
                self._waiting_bytes -= size
                if not self._waiting:
                    self._arrived.clear()
                    self._signalled = False
            if batch:
                return batch
            await self._arrived.wait()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Queue a publication at QoS 1; False if our own queue is full or the connection is down."""
        if not self.connected:
            return False
        return self._client.publish(topic, payload, qos=1, retain=retain).rc == mqtt.MQTT_ERR_SUCCESS

    # -- on the client's thread ---------------------------------------------------------------

    def _tell(self, what: Any, *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *arguments)

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._refusal = f"refused: {reason}"
            return
        with self._lock:
            self._generation += 1
        client.subscribe([(one, 1) for one in self._filters])

    def _on_subscribe(self, client: mqtt.Client, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = "the broker refuses our subscriptions; give this user the right to read"
            log.error("broker.subscription_refused", inbox=self._name, broker=str(self.broker))
            client.disconnect()
            return
        self._refusal = None
        log.info("broker.connected", inbox=self._name, broker=str(self.broker))
        self._tell(self._up.set)

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        with self._lock:
            self._generation += 1
        if self._refusal is None:
            self._refusal = f"disconnected: {reason}"
        self._show_newest_certificate()
        log.warning("broker.disconnected", inbox=self._name, reason=str(reason))
        self._tell(self._up.clear)

    def _show_newest_certificate(self) -> None:
        if self._tls is None:
            return
        try:
            self.broker.files.refresh(self._tls)
        except CertificateProblem as error:  # the one we have may still do
            log.error("broker.certificate", inbox=self._name, error=str(error))

    def _on_message(self, _client: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "\ufffd"
        received = Received(topic, bytes(message.payload), bool(message.retain))
        with self._lock:
            full = self._waiting_bytes + len(message.payload) > MAX_WAITING_BYTES
            if full or len(self._waiting) >= MAX_WAITING:
                self.overflowed += 1
                return
            self._waiting.append((received, message.mid, message.qos, self._generation))
            self._waiting_bytes += len(message.payload)
            signal, self._signalled = not self._signalled, True
        if signal:
            self._tell(self._arrived.set)
