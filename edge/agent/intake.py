"""The site's broker: read what is there, commit it, and only then acknowledge it.

One thread reads, decides, commits and acknowledges: nothing waits in a queue that a crash could
empty, and when the disk is slow the broker keeps what is not taken. A batch is committed as soon as
something urgent is in it, when it holds ``FEW`` messages and no more is at hand, or when it has
lingered; so a broker that lets only 20 unacknowledged messages out never waits for a timer.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from paho.mqtt.enums import CallbackAPIVersion

from edge.agent.buffered import BufferedClient
from edge.agent.core import Core
from edge.link import BrokerAddress
from edge.sources import RawMessage
from edge.sources.base import Order
from edge.spool import Spool, SpoolDamaged, SpoolFailed, SpoolFull, Written
from edge.wire.clock import US_PER_S, Clock

log = structlog.get_logger()

#: Messages in one commit at most; bounds what is delivered again after a crash.
MOST = 1000
#: Readings in one commit at most; a message may be a batch of many.
MOST_READINGS = 20_000
#: With so many at hand, waiting for more saves little and may stall the broker's window (20).
FEW = 16
#: A batch of fewer waits at most this long for company (real seconds).
LINGER_S = 0.05
#: At a home's pace it reads at most this often: a wake-up costs more than a message (real seconds).
NAP_S = 0.01
#: From so many messages a second on it reads without a pause: a broker that lets only 20 out at once
#: (its default) comes to 2,000 with pauses.
BUSY_PER_S = 1200
#: What is at hand behind something urgent shares its commit, up to so many messages (some ms).
URGENT_MORE = 32
#: The disk took nothing: try again after this (real seconds).
RETRY_S = 0.5
#: Then this much old telemetry gives way, as often as it takes (bytes).
GIVE_WAY_BYTES = 64 << 10
#: After a full disk, room is held back again as soon as there is some; asked this often (seconds).
RESTOCK_S = 2.0
KEEPALIVE_S = 20
RECONNECT_FIRST_S = 0.1
RECONNECT_CAP_S = 15.0
#: The thread looks after the connection at least this often (real seconds).
IDLE_S = 1.0
#: What a broker that kept our session gives us again comes first and at once; this long after a
#: connection what is known is taken for that, also from a broker that does not mark it (real seconds).
REDELIVERY_S = 5.0
#: Orders to sirens and detectors that wait for a connection; the oldest go first when there are more.
MAX_WAITING_ORDERS = 200


class Pace:
    """Messages a second, by the last whole second."""

    def __init__(self) -> None:
        self.per_s = 0.0
        self._since_s = 0.0
        self._count = 0

    def count(self, messages: int, now_s: float) -> None:
        """So many more."""
        self._count += messages
        if now_s - self._since_s >= 1.0:
            self.per_s = self._count / (now_s - self._since_s)
            self._since_s, self._count = now_s, 0


class Intake:
    """Runs the core in a thread of its own (see the module)."""

    def __init__(
        self,
        *,
        broker: BrokerAddress,
        client_id: str,
        core: Core,
        spool: Spool,
        clock: Clock,
        committed: Callable[[Written], None],
        failed: Callable[[BaseException], None],
        linger_s: float = LINGER_S,
    ) -> None:
        self._broker = broker
        self._subscribed: set[str] = set()
        self._core = core
        self._spool = spool
        self._clock = clock
        self._on_committed = committed
        self._on_failed = failed
        self._linger_s = linger_s
        self._tls: ssl.SSLContext | None = None
        self._client = self._new_client(client_id)
        #: ids of the packets taken, as they are on the wire
        self._unacknowledged: list[bytes] = []
        self._taken = 0
        self._since_s: float | None = None
        self._retry_s = 0.0
        self._restock_s: float | None = None
        self._pace = Pace()
        self._nap_until_s = 0.0
        self._inbox: deque[Callable[[Core], None]] = deque()
        self._orders: deque[Order] = deque(maxlen=MAX_WAITING_ORDERS)
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._connected = False
        self._next_try_s = 0.0
        self._redelivery_until_s = 0.0
        self._pause_s = RECONNECT_FIRST_S
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    # -- from outside -------------------------------------------------------------------------

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def post(self, work: Callable[[Core], None]) -> None:
        """Have the core's own thread do something, and commit what comes of it. From any thread."""
        self._inbox.append(work)
        self._poke()

    def send(self, order: Order) -> None:
        """Publish to the site's broker when it is there. From the core's own thread."""
        self._orders.append(order)

    def stop(self) -> None:
        """Commit what was taken, acknowledge it and end; waits for the thread."""
        self._stopping = True
        self._poke()
        if self._thread.is_alive():
            self._thread.join()

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_w, b"x")

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
            self._last_turn()
        except (SpoolDamaged, SpoolFailed) as error:
            log.error("spool.failed", error=str(error))
            self._on_failed(error)
        except BaseException as error:
            log.exception("intake.failed")
            self._on_failed(error)
        finally:
            self._close()

    def _turn(self) -> None:
        """Wait for something, take it, commit if it is time."""
        self._connect_if_due()
        readable = self._wait()
        if self._wake_r in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_r, 4096)
        posted = bool(self._inbox)
        while self._inbox:
            self._inbox.popleft()(self._core)
            self._core.urgent = True
        if posted and self._connected and self._client.is_connected():
            self._subscribe()  # perhaps they were settings
        drained = True
        if self._connected:
            drained = self._read()
            self._client.loop_misc()
            self._client.flush()
        due_us = self._core.next_wake_us()
        if due_us is not None and due_us <= self._core.now_us():
            self._core.tick()
        self._tell_sirens()
        if not self._core.batch.is_empty():
            self._begin_lingering()
        if self._is_commit_due(drained=drained):
            self._commit()
        if self._spool.undated and self._core.synced():
            self._date()

    def _wait(self) -> list[Any]:
        timeout_s = self._wait_s()
        handles: list[Any] = [self._wake_r]
        sock = self._client.socket() if self._connected else None
        if sock is not None and self._is_napping():
            timeout_s = min(timeout_s, NAP_S)
        elif sock is not None and not self._is_blocked():
            if self._client.has_buffered():
                timeout_s = 0.0
            handles.append(sock)
        writers = [sock] if sock is not None and self._client.want_write() else []
        try:
            readable, writable, _ = select.select(handles, writers, [], timeout_s)
        except (OSError, ValueError):  # the socket was closed under us
            return []
        if writable:
            self._client.loop_write()
            self._client.flush()
        return readable

    def _wait_s(self) -> float:
        now_s = time.monotonic()
        moments = [now_s + IDLE_S]
        if not self._connected:
            moments.append(self._next_try_s)
        if self._since_s is not None:
            moments.append(max(self._since_s + self._linger_s, self._retry_s))
        seal_s = self._spool.seal_in_s()
        if seal_s is not None:
            moments.append(max(now_s + seal_s, self._retry_s))
        wake_us = self._core.next_wake_us()
        if wake_us is not None:
            left_s = (wake_us - self._core.now_us()) / US_PER_S / self._clock.factor
            moments.append(now_s + left_s)
        return max(0.0, min(moments) - now_s)

    def _is_napping(self) -> bool:
        """A message came just now and there is no hurry: the next ones may come together."""
        return time.monotonic() < self._nap_until_s and self._pace.per_s < BUSY_PER_S

    def _is_blocked(self) -> bool:
        """The disk took nothing lately: the broker keeps the rest."""
        too_many = self._taken >= MOST or len(self._core.batch.readings) >= MOST_READINGS
        return too_many or time.monotonic() < self._retry_s

    def _read(self) -> bool:
        """Take what is there, up to a batch; whether nothing more is at hand."""
        now_s = time.monotonic()
        if self._is_blocked() or self._is_napping():
            return True
        start = self._taken
        drained = self._read_packets()
        self._pace.count(self._taken - start, now_s)
        if drained and self._taken > start and self._pace.per_s < BUSY_PER_S:
            self._nap_until_s = now_s + NAP_S
        return drained

    def _read_packets(self) -> bool:
        most = MOST
        while self._taken < most:
            if self._core.urgent:
                most = min(most, self._taken + URGENT_MORE)
                if not self._client.has_buffered():
                    return True
            if len(self._core.batch.readings) >= MOST_READINGS:
                return False
            before = self._taken
            if not self._client.read_packet(self._hear):
                return True
            if self._taken == before and not self._client.has_buffered():
                return True
        return False

    def _is_commit_due(self, *, drained: bool) -> bool:
        now_s = time.monotonic()
        if now_s < self._retry_s:
            return False
        if self._core.urgent or self._is_blocked() or (drained and self._taken >= FEW):
            return True
        lingered = self._since_s is not None and now_s >= self._since_s + self._linger_s
        return lingered or self._spool.seal_in_s() == 0.0

    def _commit(self, *, seal: bool = False) -> bool:
        try:
            written = self._spool.commit(self._core.sealed_batch(), seal=seal)
        except SpoolFull as error:
            log.error("spool.full", error=str(error))
            self._core.counters["spool"]["full"] += 1
            self._restock_s = time.monotonic() + RESTOCK_S
            if not error.eased:
                self._retry_s = time.monotonic() + RETRY_S
                self._make_room()
            return False
        self._core.committed()
        self._acknowledge()
        self._since_s = None
        self._retry_s = 0.0
        if self._restock_s is not None and time.monotonic() >= self._restock_s:
            self._restock_s = None if self._spool.restock() else time.monotonic() + RESTOCK_S
        self._on_committed(written)
        return True

    def _date(self) -> None:
        """The clock can be believed now: what waited for it gets its time."""
        try:
            written = self._spool.date_undated()
        except SpoolFull as error:
            log.error("spool.full", error=str(error))
            return
        self._on_committed(written)

    def _make_room(self) -> None:
        try:
            room = self._spool.make_room(at_least_bytes=GIVE_WAY_BYTES)
        except SpoolFull:
            return
        if room.lost_readings:
            self._core.counters["spool"]["thinned_readings"] += room.lost_readings

    def _acknowledge(self) -> None:
        self._client.acknowledge(self._unacknowledged)
        self._unacknowledged.clear()
        self._taken = 0
        self._client.flush()

    def _last_turn(self) -> None:
        while self._inbox:
            self._inbox.popleft()(self._core)
        try:
            self._commit(seal=True)
        except SpoolDamaged as error:
            log.error("spool.damaged", error=str(error))

    # -- the connection -----------------------------------------------------------------------

    def _new_client(self, client_id: str) -> BufferedClient:
        client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            reconnect_on_failure=False,
        )
        client.on_connect = self._handle_connect
        client.on_disconnect = self._handle_disconnect
        if self._core.hub is not None:
            client.will_set(self._core.hub.status_topic, b"offline", qos=1, retain=True)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls is not None:
            self._tls = self._broker.tls.context()
            client.tls_set_context(self._tls)
        return client

    def _connect_if_due(self) -> None:
        if self._connected or time.monotonic() < self._next_try_s:
            return
        try:
            if self._tls is not None and self._broker.tls is not None:
                self._broker.tls.refresh(self._tls)
            self._client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
        except (OSError, ValueError) as error:
            self._lost(str(error))
            return
        self._client.flush()
        self._connected = True

    def _handle_connect(self, client: Any, _data: Any, flags: Any, reason: Any, _props: Any) -> None:
        if reason.is_failure:
            log.error("intake.refused", reason=str(reason))
            return
        self._pause_s = RECONNECT_FIRST_S
        kept = flags.session_present
        self._redelivery_until_s = time.monotonic() + REDELIVERY_S if kept else 0.0
        self._core.hears(True)
        self._core.connected(True)
        self._subscribed = set()
        self._subscribe()
        log.info("intake.connected", broker=f"{self._broker.host}:{self._broker.port}")

    def _subscribe(self) -> None:
        """To what the core wants to hear by now: sirens and relays come with the city's settings."""
        wanted = set(self._core.filters())
        fresh, over = sorted(wanted - self._subscribed), sorted(self._subscribed - wanted)
        if fresh:
            self._client.subscribe([(one, 1) for one in fresh])
        if over:
            self._client.unsubscribe(over)
        self._subscribed = wanted

    def _handle_disconnect(self, *_: Any) -> None:
        self._lost("the connection closed")

    def _lost(self, why: str) -> None:
        """What was taken is committed all the same; the broker delivers it again, and it is known."""
        self._connected = False
        self._core.hears(False)
        self._core.connected(False)
        self._unacknowledged.clear()
        self._client.forget()
        self._next_try_s = time.monotonic() + self._pause_s * (0.5 + random.random() / 2)  # noqa: S311
        self._pause_s = min(self._pause_s * 2, RECONNECT_CAP_S)
        log.warning("intake.lost", error=why)

    def _hear(
        self, topic: bytes, payload: bytes, packet_id: bytes, again: bool, retained: bool
    ) -> None:
        self._taken += 1
        if self._since_s is None:
            self._since_s = time.monotonic()
        if packet_id:
            self._unacknowledged.append(packet_id)
        try:
            message = RawMessage(topic.decode(), payload, retained, self._clock.now_us())
        except UnicodeDecodeError:
            self._core.counters["refused"]["unknown_topic"] += 1
            return
        # whether the broker may have given it to us before
        redelivered = bool(packet_id) and (again or self._is_redelivering())
        self._core.take(message, redelivered=redelivered)

    def _is_redelivering(self) -> bool:
        """Whether the connection is so new that the broker may be giving us what it gave before."""
        return self._redelivery_until_s > 0.0 and time.monotonic() < self._redelivery_until_s

    def _begin_lingering(self) -> None:
        if self._since_s is None:
            self._since_s = time.monotonic()

    def _tell_sirens(self) -> None:
        if not self._connected or not self._client.is_connected():
            return
        self._orders.extend(self._core.siren_orders())
        if not self._orders:
            return
        told = sum(not order.retain for order in self._orders)
        if told:  # no topics: they carry devices' own names
            log.info("orders.sent", orders=told)
        while self._orders:
            order = self._orders.popleft()
            self._client.publish(order.topic, order.payload, qos=1, retain=order.retain)
        self._client.flush()

    def _close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._core.hub is not None:
                self._client.publish(self._core.hub.status_topic, b"offline", qos=1, retain=True)
            self._client.disconnect()
            self._client.flush()
        os.close(self._wake_w)
        os.close(self._wake_r)
