"""A publisher and listener for benches: MQTT 3.1.1 at QoS 1 with little work of its own.

Packets are written many at a time, acknowledgements only counted. It never repeats a message: what the
broker did not acknowledge is in ``unacknowledged``, and the bench's ledger says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from utaa import mqtt

_CONNECT_TIMEOUT_S = 10.0
_PING_EVERY_S = 10.0
_KEEPALIVE_S = 60
_MAX_PACKET_ID = 65_535

#: topic, payload
Heard = Callable[[str, bytes], None]


class BenchClient(asyncio.Protocol):
    """One connection; ``connect`` makes it."""

    def __init__(self, heard: Heard | None = None) -> None:
        self._heard = heard
        self._reader = mqtt.PacketReader()
        self._transport: asyncio.Transport | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._subscribed: asyncio.Future[None] | None = None
        self._packet_id = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._progress = asyncio.Event()
        self._pinging: asyncio.Task[None] | None = None
        self.sent = 0
        self.acknowledged = 0
        self.lost = False

    @classmethod
    async def connect(cls, host: str, port: int, name: str, heard: Heard | None = None) -> BenchClient:
        """Raises ``OSError`` or ``TimeoutError``."""
        _, client = await asyncio.get_running_loop().create_connection(lambda: cls(heard), host, port)
        client._write(_connect_packet(name))
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await client._ready
        client._pinging = asyncio.create_task(client._ping(), name=f"bench ping {name}")
        return client

    @property
    def unacknowledged(self) -> int:
        return self.sent - self.acknowledged

    async def subscribe(self, wanted: str) -> None:
        """One filter at QoS 1, granted when this returns."""
        self._subscribed = asyncio.get_running_loop().create_future()
        topic = wanted.encode()
        body = (1).to_bytes(2, "big") + len(topic).to_bytes(2, "big") + topic + b"\1"
        self._write(bytes((mqtt.SUBSCRIBE << 4 | 2,)) + _length(len(body)) + body)
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await self._subscribed

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> int:
        """Hand over (topic, payload) pairs at QoS 1 in one write; how many."""
        parts: list[bytes] = []
        count = 0
        for topic, payload in messages:
            self._packet_id = self._packet_id % _MAX_PACKET_ID + 1
            parts += (
                b"\x32", _length(len(topic) + len(payload) + 4), len(topic).to_bytes(2, "big"), topic,
                self._packet_id.to_bytes(2, "big"), payload,
            )  # fmt: skip
            count += 1
        self._write(b"".join(parts))
        self.sent += count
        return count

    async def room(self, window: int) -> None:
        """Until fewer than ``window`` messages are unacknowledged and the socket takes more.

        Raises ``ConnectionError`` when the connection is gone.
        """
        while self.unacknowledged >= window or not self._writable.is_set():
            if self.lost:
                raise ConnectionError("the broker hung up")
            self._progress.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._progress.wait()
            await self._writable.wait()

    async def close(self) -> None:
        """Say goodbye."""
        if self._pinging is not None:
            self._pinging.cancel()
        if self._transport is not None and not self.lost:
            self._write(bytes((mqtt.DISCONNECT << 4, 0)))
            self._transport.close()

    # -- asyncio's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True
        self._writable.set()
        self._progress.set()
        if not self._ready.done():
            self._ready.set_exception(ConnectionError("the broker hung up"))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        self._progress.set()

    def data_received(self, data: bytes) -> None:
        count, rest = divmod(len(data), 4)
        only_acknowledgements = (
            not rest
            and not self._reader.has_begun
            and data[::4] == b"\x40" * count
            and data[1::4] == b"\x02" * count
        )
        if only_acknowledgements:  # of publications: nearly all that comes
            self.acknowledged += count
            self._progress.set()
            return
        answers: list[bytes] = []
        for packet in self._reader.feed(data):
            if packet.kind == mqtt.PUBACK:
                self.acknowledged += 1
            elif packet.kind == mqtt.PUBLISH:
                self._take(packet, answers)
            elif packet.kind == mqtt.CONNACK and not self._ready.done():
                self._ready.set_result(None)
            elif packet.kind == mqtt.SUBACK and self._subscribed is not None:
                self._subscribed.set_result(None)
        if answers:
            self._write(b"".join(answers))
        self._progress.set()

    def _take(self, packet: mqtt.Packet, answers: list[bytes]) -> None:
        size = int.from_bytes(packet.body[:2], "big")
        topic = packet.body[2 : 2 + size].decode()
        start = 2 + size
        if packet.flags >> 1 & 3:
            answers.append(b"\x40\x02" + packet.body[start : start + 2])
            start += 2
        if self._heard is not None:
            self._heard(topic, packet.body[start:])

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING_EVERY_S)
            self._write(bytes((mqtt.PINGREQ << 4, 0)))


def _connect_packet(name: str) -> bytes:
    client_id = name.encode()
    body = b"\0\4MQTT\4\2" + _KEEPALIVE_S.to_bytes(2, "big")
    body += len(client_id).to_bytes(2, "big") + client_id
    return bytes((mqtt.CONNECT << 4,)) + _length(len(body)) + body


def _length(size: int) -> bytes:
    if size < 128:
        return bytes((size,))
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | 128 if size else low)
        if not size:
            return bytes(out)
