"""The embedded broker: MQTT 3.1.1 for one box that has no Mosquitto, as a process of its own.

``python -m utaa.broker --port 1883`` listens until SIGINT or SIGTERM.

Cast: a ``Connection`` per socket, a ``Session`` per client id (kept over a disconnect unless clean),
the ``Hub`` that knows subscriptions and retained messages and spreads what is published. Quality of
service 0 and 1 both ways (2 is taken, and delivered as 1), retained messages, last wills, wildcards,
shared subscriptions (``$share``). Everything is in memory and gone when it ends: the end-to-end
acknowledgement makes that good. Nobody logs in, so it listens on this machine unless told otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import uuid4

from utaa import mqtt
from utaa.mqtt import Packet, ProtocolError, Publish, Will

#: Sent and not yet acknowledged, per session; more waits in its queue.
MAX_INFLIGHT = 1000
#: Waiting for one slow or absent client. Beyond it its newest are dropped, and said so on stderr:
#: the end-to-end acknowledgement has them sent again.
MAX_QUEUED = 100_000
MAX_QUEUED_BYTES = 64 << 20
#: Unsent bytes on a socket above which messages of quality 0 are dropped for this client.
MAX_UNSENT_BYTES = 16 << 20
#: A connection has this long to introduce itself.
CONNECT_DEADLINE_S = 10.0
#: Topics whose subscribers are remembered; beyond it the memory starts anew.
_MAX_REMEMBERED = 20_000
_REFUSED = 0x80


class Target(NamedTuple):
    """Who gets a message, and at most with which quality."""

    session: Session
    qos: int


class Outgoing(NamedTuple):
    topic: str
    payload: bytes
    retain: bool


class Session:
    """What the broker keeps of a client: subscriptions, what waits, what is unacknowledged."""

    def __init__(self, client_id: str, *, clean: bool) -> None:
        self.client_id = client_id
        self.clean = clean
        self.connection: Connection | None = None
        self.filters: set[str] = set()
        #: packet ids of quality 2 received and not yet released
        self.unreleased: set[int] = set()
        self._queue: deque[Outgoing] = deque()
        self._queued_bytes = 0
        self._dropped = 0
        self._inflight: dict[int, Outgoing] = {}
        self._ids = itertools.cycle(range(1, 1 << 16))

    def deliver(self, message: Outgoing, qos: int) -> None:
        """Send now, or keep until there is room and somebody to send to."""
        if qos == 0:
            if self.connection and self.connection.unsent() < MAX_UNSENT_BYTES:
                self.connection.write(mqtt.publish(*message[:2], qos=0, retain=message.retain))
            return
        if len(self._queue) >= MAX_QUEUED or self._queued_bytes > MAX_QUEUED_BYTES:
            self._dropped += 1
            if self._dropped.bit_count() == 1:  # 1, 2, 4, 8 … so that a flood is a few lines
                print(f"utaa: broker: {self._dropped} messages dropped for a slow client", flush=True)
            return
        self._queue.append(message)
        self._queued_bytes += len(message.payload)
        self._send_waiting()

    def acknowledged(self, packet_id: int) -> None:
        """The client has it."""
        if self._inflight.pop(packet_id, None) is not None:
            self._send_waiting()

    def attach(self, connection: Connection) -> None:
        """The client is here (again): repeat what it never acknowledged, then go on."""
        self.connection = connection
        for packet_id, message in self._inflight.items():
            self._write(packet_id, message, again=True)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self.connection and self._queue and len(self._inflight) < MAX_INFLIGHT:
            message = self._queue.popleft()
            self._queued_bytes -= len(message.payload)
            packet_id = next(number for number in self._ids if number not in self._inflight)
            self._inflight[packet_id] = message
            self._write(packet_id, message)

    def _write(self, packet_id: int, message: Outgoing, *, again: bool = False) -> None:
        if self.connection:
            self.connection.write(
                mqtt.publish(
                    *message[:2], qos=1, retain=message.retain, packet_id=packet_id, again=again
                )
            )


class Share:
    """A group that reads one filter together: each message goes to one of its members."""

    def __init__(self) -> None:
        self.members: dict[Session, int] = {}
        self._turn = 0

    def next(self) -> Target | None:
        """The member whose turn it is, among those who are here (or else among all)."""
        present = [session for session in self.members if session.connection]
        candidates = present or list(self.members)
        if not candidates:
            return None
        self._turn += 1
        session = candidates[self._turn % len(candidates)]
        return Target(session, self.members[session])


class Hub:
    """Sessions, subscriptions and retained messages of the whole broker."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self._plain: dict[str, dict[Session, int]] = {}
        self._shares: dict[tuple[str, str], Share] = {}
        self._retained: dict[str, tuple[bytes, int]] = {}
        self._remembered: dict[str, tuple[list[Target], list[Share]]] = {}

    def session_for(self, client_id: str, *, clean: bool) -> tuple[Session, bool]:
        """The client's session, and whether it was there before."""
        old = self.sessions.get(client_id)
        if old is not None and (clean or old.clean):
            self.forget(old)
            old = None
        if old is not None:
            return old, True
        self.sessions[client_id] = session = Session(client_id, clean=clean)
        return session, False

    def forget(self, session: Session) -> None:
        """Drop a session with its subscriptions and all that waits for it."""
        for pattern in list(session.filters):
            self.unsubscribe(session, pattern)
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]

    def subscribe(self, session: Session, pattern: str, qos: int) -> int:
        """The quality granted, or refusal. Retained messages follow by ``send_retained``."""
        group, plain = _share_of(pattern)
        if not mqtt.valid_filter(plain) or (group is not None and not group):
            return _REFUSED
        granted = min(qos, 1)
        if group is None:
            self._plain.setdefault(plain, {})[session] = granted
        else:
            self._shares.setdefault((group, plain), Share()).members[session] = granted
        session.filters.add(pattern)
        self._remembered.clear()
        return granted

    def unsubscribe(self, session: Session, pattern: str) -> None:
        """Harmless for a filter that was never subscribed to."""
        group, plain = _share_of(pattern)
        session.filters.discard(pattern)
        if group is None:
            self._plain.get(plain, {}).pop(session, None)
            if not self._plain.get(plain, True):
                del self._plain[plain]
        elif share := self._shares.get((group, plain)):
            share.members.pop(session, None)
            if not share.members:
                del self._shares[group, plain]
        self._remembered.clear()

    def send_retained(self, session: Session, pattern: str, qos: int) -> None:
        """The last known message of every topic that the new filter covers; none to a group."""
        if _share_of(pattern)[0] is not None:
            return
        for topic, (payload, kept_qos) in list(self._retained.items()):
            if mqtt.matches(topic, pattern):
                session.deliver(Outgoing(topic, payload, True), min(qos, kept_qos))

    def publish(self, message: Publish | Will) -> None:
        """To everybody who subscribed, once each, with the better of their qualities."""
        if message.retain and message.payload:
            self._retained[message.topic] = (message.payload, min(message.qos, 1))
        elif message.retain:
            self._retained.pop(message.topic, None)
        outgoing = Outgoing(message.topic, message.payload, False)
        for session, qos in self._targets(message.topic):
            session.deliver(outgoing, min(qos, message.qos))

    def _targets(self, topic: str) -> Iterator[Target]:
        found = self._remembered.get(topic)
        if found is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[topic] = self._look_up(topic)
        targets, shares = found
        yield from targets
        for share in shares:
            if (target := share.next()) is not None:
                yield target

    def _look_up(self, topic: str) -> tuple[list[Target], list[Share]]:
        best: dict[Session, int] = {}
        for pattern, subscribers in self._plain.items():
            if mqtt.matches(topic, pattern):
                for session, qos in subscribers.items():
                    best[session] = max(qos, best.get(session, 0))
        shares = [share for (_, pattern), share in self._shares.items() if mqtt.matches(topic, pattern)]
        return [Target(*pair) for pair in best.items()], shares


def _share_of(pattern: str) -> tuple[str | None, str]:
    """Group and filter of ``$share/<group>/<filter>``; no group for a plain one."""
    if not pattern.startswith("$share/"):
        return None, pattern
    _, group, *rest = pattern.split("/", 2)
    return group, rest[0] if rest else ""


class Connection(asyncio.Protocol):
    """One socket: introduces itself with CONNECT, then speaks for its session until it is gone."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._reader = mqtt.PacketReader()
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._will: Will | None = None
        self._keep_alive_s = CONNECT_DEADLINE_S
        self._heard_s = 0.0
        self._watch: asyncio.TimerHandle | None = None

    # --- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._hub.connections.add(self)
        self._heard_s = asyncio.get_running_loop().time()
        self._watch_silence()

    def data_received(self, data: bytes) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        try:
            for packet in self._reader.feed(data):
                self._handle(packet)
        except ProtocolError as error:
            print(f"utaa: broker: hung up: {error}", flush=True)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch:
            self._watch.cancel()
        self._hub.connections.discard(self)
        session, self._session = self._session, None
        if session is not None and session.connection is self:
            session.connection = None
            if session.clean:
                self._hub.forget(session)
        if self._will is not None:
            will, self._will = self._will, None
            self._hub.publish(will)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport else 0

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _watch_silence(self) -> None:
        """Hang up on who is silent for one and a half keep-alives."""
        loop = asyncio.get_running_loop()
        if self._keep_alive_s:
            allowed_s = self._keep_alive_s * (1.5 if self._session else 1)
            left_s = self._heard_s + allowed_s - loop.time()
            if left_s <= 0:
                if self._transport:
                    self._transport.abort()
                return
            self._watch = loop.call_later(left_s, self._watch_silence)

    # --- packets

    def _handle(self, packet: Packet) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if packet.kind == mqtt.CONNECT:
            self._on_connect(packet)
            return
        if self._session is None:
            raise ProtocolError("a packet before CONNECT")
        handler = {
            mqtt.PUBLISH: self._on_publish,
            mqtt.PUBACK: self._on_puback,
            mqtt.PUBREL: self._on_pubrel,
            mqtt.SUBSCRIBE: self._on_subscribe,
            mqtt.UNSUBSCRIBE: self._on_unsubscribe,
            mqtt.PINGREQ: self._on_ping,
            mqtt.DISCONNECT: self._on_disconnect,
        }.get(packet.kind)
        if handler is None:
            raise ProtocolError(f"a packet of kind {packet.kind}")
        handler(packet, self._session)

    def _on_connect(self, packet: Packet) -> None:
        if self._session is not None:
            raise ProtocolError("a second CONNECT")
        try:
            hello = mqtt.parse_connect(packet)
        except mqtt.UnknownVersion:
            self.write(mqtt.connack(1))
            raise
        client_id = hello.client_id or f"auto-{uuid4().hex}"
        if (old := self._hub.sessions.get(client_id)) and old.connection:
            old.connection.taken_over()
        session, present = self._hub.session_for(client_id, clean=hello.clean_session)
        self._session, self._will = session, hello.will
        self._keep_alive_s = hello.keep_alive_s
        if self._watch:
            self._watch.cancel()
        self._watch_silence()
        self.write(mqtt.connack(0, session_present=present))
        session.attach(self)

    def taken_over(self) -> None:
        """The same client connected anew: this socket is dead, its will is not."""
        transport = self._transport
        self.connection_lost(None)
        if transport is not None:
            transport.abort()

    def _on_publish(self, packet: Packet, session: Session) -> None:
        message = mqtt.parse_publish(packet)
        if message.qos < 2 or message.packet_id not in session.unreleased:
            self._hub.publish(message)
        if message.qos == 1:
            self.write(mqtt.acknowledgement(mqtt.PUBACK, message.packet_id))
        elif message.qos == 2:
            session.unreleased.add(message.packet_id)
            self.write(mqtt.acknowledgement(mqtt.PUBREC, message.packet_id))

    def _on_puback(self, packet: Packet, session: Session) -> None:
        session.acknowledged(mqtt.parse_packet_id(packet))

    def _on_pubrel(self, packet: Packet, session: Session) -> None:
        packet_id = mqtt.parse_packet_id(packet)
        session.unreleased.discard(packet_id)
        self.write(mqtt.acknowledgement(mqtt.PUBCOMP, packet_id))

    def _on_subscribe(self, packet: Packet, session: Session) -> None:
        asked = mqtt.parse_subscribe(packet)
        granted = [self._hub.subscribe(session, pattern, qos) for pattern, qos in asked.filters]
        self.write(mqtt.suback(asked.packet_id, granted))
        for (pattern, _), qos in zip(asked.filters, granted, strict=True):
            if qos != _REFUSED:
                self._hub.send_retained(session, pattern, qos)

    def _on_unsubscribe(self, packet: Packet, session: Session) -> None:
        asked = mqtt.parse_subscribe(packet)
        for pattern, _ in asked.filters:
            self._hub.unsubscribe(session, pattern)
        self.write(mqtt.acknowledgement(mqtt.UNSUBACK, asked.packet_id))

    def _on_ping(self, _packet: Packet, _session: Session) -> None:
        self.write(mqtt.packet(mqtt.PINGRESP))

    def _on_disconnect(self, _packet: Packet, _session: Session) -> None:
        self._will = None
        self.close()


async def serve(host: str, port: int) -> None:
    """Listen until SIGINT or SIGTERM. Raises ``OSError`` if the address cannot be had."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    hub = Hub()
    server = await loop.create_server(lambda: Connection(hub), host, port)
    await stop.wait()
    server.close()
    for connection in list(hub.connections):
        connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="utaa.broker", description="Embedded MQTT broker.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(options.host, options.port))
    except OSError as error:
        where = f"{options.host}:{options.port}"
        print(f"utaa: broker {where}: {error.strerror}: choose another port", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
