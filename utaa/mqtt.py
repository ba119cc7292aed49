"""MQTT 3.1.1 as bytes: packets taken apart and put together. No socket, no state of a client.

Cast: ``PacketReader`` cuts a stream into ``Packet``; ``parse_*`` read the packets a client sends;
the other functions write those a server sends; ``matches`` compares a topic with a filter. What
breaks the protocol is a ``ProtocolError``, upon which the specification has the server hang up.
"""

from __future__ import annotations

from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(8, 15)

#: A larger packet is refused; the largest message of ours is a snapshot of about 1 MB, and what a
#: broken device sends should still reach those who count it.
MAX_PACKET_BYTES = 16 << 20
#: The specification's own bound: four bytes of seven bits.
_LENGTH_BYTES = 4
_PROTOCOL_LEVEL = 4


class ProtocolError(Exception):
    """The peer does not speak MQTT 3.1.1."""


class UnknownVersion(ProtocolError):
    """It speaks MQTT, but another version; it is told so before the server hangs up."""


class Packet(NamedTuple):
    kind: int
    flags: int
    body: bytes


class Will(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    client_id: str
    clean_session: bool
    keep_alive_s: int
    will: Will | None


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int


class Subscribe(NamedTuple):
    packet_id: int
    #: filters with the quality of service asked for
    filters: list[tuple[str, int]]


class PacketReader:
    """Collects bytes and gives whole packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def has_begun(self) -> bool:
        """A part of a packet is at hand."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Packet]:
        """The packets complete by now. Raises ``ProtocolError``."""
        self._buffer += data
        packets: list[Packet] = []
        start = 0
        while (head := self._header(start)) is not None:
            length, body = head
            if len(self._buffer) < body + length:
                break
            first = self._buffer[start]
            packets.append(Packet(first >> 4, first & 15, bytes(self._buffer[body : body + length])))
            start = body + length
        del self._buffer[:start]
        return packets

    def _header(self, start: int) -> tuple[int, int] | None:
        """Length and place of the body, if the header is complete."""
        length = 0
        for n in range(_LENGTH_BYTES):
            place = start + 1 + n
            if place >= len(self._buffer):
                return None
            length |= (self._buffer[place] & 0x7F) << (7 * n)
            if self._buffer[place] < 0x80:
                if length > MAX_PACKET_BYTES:
                    raise ProtocolError(f"a packet of {length} bytes")
                return length, place + 1
        raise ProtocolError("a packet length of more than four bytes")


class _Fields:
    """Reads a packet's body from front to back."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        piece = self._body[self._at : self._at + count]
        if len(piece) < count:
            raise ProtocolError("a packet that ends before it should")
        self._at += count
        return piece

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            raise ProtocolError("a text that is not UTF-8") from None
        if "\0" in text:
            raise ProtocolError("a text with a null character")
        return text

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    @property
    def more(self) -> bool:
        return self._at < len(self._body)


def parse_connect(packet: Packet) -> Connect:
    """Raises ``UnknownVersion`` for MQTT 5 and 3.1, ``ProtocolError`` for what is no CONNECT."""
    fields = _Fields(packet.body)
    name, level, flags = fields.text(), fields.take(1)[0], fields.take(1)[0]
    if name != "MQTT" or level != _PROTOCOL_LEVEL:
        raise UnknownVersion(f"{name} level {level}; this broker speaks MQTT 3.1.1")
    keep_alive_s, client_id = fields.number(), fields.text()
    clean = bool(flags & 2)
    if not client_id and not clean:
        raise ProtocolError("a session to keep, but no client id to keep it under")
    will = None
    if flags & 4:
        topic, payload = fields.text(), fields.binary()
        will = Will(_topic(topic), payload, _qos(flags >> 3 & 3), bool(flags & 32))
    return Connect(client_id, clean, keep_alive_s, will)


def parse_publish(packet: Packet) -> Publish:
    """Raises ``ProtocolError``."""
    fields = _Fields(packet.body)
    qos = _qos(packet.flags >> 1 & 3)
    topic = _topic(fields.text())
    packet_id = fields.number() if qos else 0
    if qos and not packet_id:
        raise ProtocolError("a packet id of 0")
    return Publish(topic, fields.rest(), qos, bool(packet.flags & 1), packet_id)


def parse_packet_id(packet: Packet) -> int:
    """The id in an acknowledgement. Raises ``ProtocolError``."""
    return _Fields(packet.body).number()


def parse_subscribe(packet: Packet) -> Subscribe:
    """SUBSCRIBE, and UNSUBSCRIBE with a quality of 0. Raises ``ProtocolError``."""
    fields = _Fields(packet.body)
    packet_id, filters = fields.number(), []
    while fields.more:
        pattern = fields.text()
        filters.append((pattern, _qos(fields.take(1)[0]) if packet.kind == SUBSCRIBE else 0))
    if not filters:
        raise ProtocolError("a subscription to nothing")
    return Subscribe(packet_id, filters)


def packet(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """Any packet."""
    length, remaining = bytearray(), len(body)
    while True:
        remaining, seven = remaining >> 7, remaining & 0x7F
        length.append(seven | 0x80 if remaining else seven)
        if not remaining:
            return bytes((kind << 4 | flags, *length)) + body


def connack(code: int, *, session_present: bool = False) -> bytes:
    """0: welcome; 1: another version; 2: client id refused."""
    return packet(CONNACK, bytes((session_present and code == 0, code)))


def acknowledgement(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBCOMP or UNSUBACK."""
    return packet(kind, packet_id.to_bytes(2, "big"))


def suback(packet_id: int, granted: list[int]) -> bytes:
    """``granted``: a quality of service, or 0x80 for refused, per filter."""
    return packet(SUBACK, packet_id.to_bytes(2, "big") + bytes(granted))


def publish(
    topic: str, payload: bytes, *, qos: int, retain: bool, packet_id: int = 0, again: bool = False
) -> bytes:
    """PUBLISH towards a client; ``again`` marks a delivery that may be a repetition."""
    name = topic.encode()
    head = len(name).to_bytes(2, "big") + name + (packet_id.to_bytes(2, "big") if qos else b"")
    return packet(PUBLISH, head + payload, again << 3 | qos << 1 | retain)


def valid_filter(pattern: str) -> bool:
    """Whether wildcards stand where they may: ``+`` for a whole level, ``#`` for the last."""
    levels = pattern.split("/")
    return bool(pattern) and all(
        not ({"+", "#"} & set(level)) or level == "+" or (level == "#" and n == len(levels) - 1)
        for n, level in enumerate(levels)
    )


def matches(topic: str, pattern: str) -> bool:
    """Whether a filter covers a topic. A leading wildcard leaves topics like ``$SYS`` alone."""
    if topic.startswith("$") and pattern[:1] in {"+", "#"}:
        return False
    names, levels = topic.split("/"), pattern.split("/")
    for n, level in enumerate(levels):
        if level == "#":
            return True
        if n >= len(names) or level not in ("+", names[n]):
            return False
    return len(names) == len(levels)


def _qos(value: int) -> int:
    if value > 2:
        raise ProtocolError(f"a quality of service of {value}")
    return value


def _topic(topic: str) -> str:
    if not topic or "+" in topic or "#" in topic:
        raise ProtocolError("a message to a wildcard, or to no topic")
    return topic
