"""The socket between paho and the broker: packets are cut alike however their bytes arrive."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, _ConnectionState

from edge.agent.buffered import READ_BYTES, BufferedClient, BufferedSocket

PINGRESP = b"\xd0\x00"


class Wire:
    """A non-blocking socket whose reads give the prepared pieces; ``None``: nothing for now."""

    def __init__(self, pieces: list[bytes | BaseException | None]) -> None:
        self.pieces = deque(pieces)
        self.sent = b""

    def recv(self, size: int) -> bytes:
        assert size == READ_BYTES
        piece = self.pieces.popleft() if self.pieces else None
        if piece is None:
            raise BlockingIOError
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def close(self) -> None: ...

    def send(self, data: bytes) -> int:
        self.sent += data[:7]
        return min(7, len(data))


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | 128 if size else low)
        if not size:
            return bytes(out)


def _publish(topic: bytes, payload: bytes, packet_id: bytes, first: int) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + packet_id + payload
    return bytes((first,)) + _length(len(body)) + body


def _everything(socket: BufferedSocket, wire: Wire) -> list[Any]:
    """What comes out: publications as tuples, what paho got as bytes."""
    found: list[Any] = []

    def heard(*publication: Any) -> None:
        found.append(publication)

    while True:
        if socket.publication(heard):
            continue
        packet = b""
        try:
            while piece := socket.recv(3):
                packet += piece
        except BlockingIOError:
            pass
        if packet:
            found.append(packet)
        elif not wire.pieces and not socket.has_input():
            return found


packets = st.one_of(
    st.tuples(
        st.binary(min_size=1, max_size=20),
        st.one_of(st.binary(max_size=300), st.integers(16_000, 17_000).map(bytes)),
        st.sampled_from([0, 2]),
        st.sampled_from([0, 1]),
        st.sampled_from([0, 8]),
    ),
    st.just(PINGRESP),
    st.just(b"\x40\x02\x00\x09"),
)


@given(said=st.lists(packets, max_size=8), cuts=st.lists(st.integers(1, 40_000), max_size=12))
def test_packets_are_the_same_however_their_bytes_arrive(said: list[Any], cuts: list[int]) -> None:
    stream, expected = b"", []
    for one in said:
        if isinstance(one, bytes):
            stream += one
            expected.append(one)
            continue
        topic, payload, qos, retain, dup = one
        packet_id = b"\x01\x07" if qos else b""
        stream += _publish(topic, payload, packet_id, 0x30 | qos | retain | dup)
        expected.append((topic, payload, packet_id, bool(dup), bool(retain)))
    pieces: list[bytes | BaseException | None] = []
    at = 0
    for cut in sorted(cut % (len(stream) + 1) for cut in cuts):
        pieces += [stream[at:cut], None] if cut > at else [None]
        at = cut
    pieces += [stream[at:]] if at < len(stream) else []
    wire = Wire(pieces)
    assert _everything(BufferedSocket(wire), wire) == expected


@pytest.mark.parametrize(
    "broken",
    [
        b"\x36\x05\x00\x01t\x00\x01",  # QoS 3
        b"\x30\x02\x00\x00",  # no topic
        b"\x30\x03\x00\x09t",  # a topic longer than the packet
        b"\x32\x04\x00\x01t\x00",  # half a packet id
        b"\x30\xff\xff\xff\xff",  # a length of more than four bytes
    ],
)
def test_what_looks_broken_is_left_to_paho_byte_for_byte(broken: bytes) -> None:
    wire = Wire([broken])
    assert _everything(BufferedSocket(wire), wire) == [broken]


@pytest.mark.parametrize("end", [b"", ConnectionResetError("gone")])
def test_what_came_whole_is_taken_before_the_end_is_told(end: Any) -> None:
    wire = Wire([_publish(b"t", b"{}", b"\x00\x01", 0x32) + b"\x32\x09", end])
    socket = BufferedSocket(wire)
    heard: list[Any] = []
    assert socket.publication(lambda *one: heard.append(one))
    assert not socket.publication(lambda *one: heard.append(one))
    assert len(heard) == 1
    assert socket.has_input()
    if end == b"":
        assert socket.recv(1) == b""
    else:
        with pytest.raises(ConnectionResetError):
            socket.recv(1)


def test_half_a_packet_gives_no_reason_to_turn() -> None:
    socket = BufferedSocket(Wire([b"\x30\x05\x00\x01t"]))
    assert not socket.publication(lambda *_: None)
    assert not socket.has_input()
    with pytest.raises(BlockingIOError):
        socket.recv(1)


def test_what_is_written_goes_out_in_order_by_flush() -> None:
    wire = Wire([])
    socket = BufferedSocket(wire)
    assert socket.send(b"12345678") == 8
    socket.send(b"90")
    assert wire.sent == b""
    socket.flush()
    assert wire.sent == b"1234567890"
    assert not socket.has_output()


def test_a_broker_that_only_publishes_is_not_taken_for_dead() -> None:
    client = BufferedClient(CallbackAPIVersion.VERSION2, client_id="agent")
    client.keepalive = 20
    client._state = _ConnectionState.MQTT_CS_CONNECTED
    client._buffered = client._sock = BufferedSocket(  # type: ignore[assignment]
        Wire([_publish(b"t", b"{}", b"\x00\x01", 0x32)])
    )
    lost: list[Any] = []
    client.on_disconnect = lambda *_: lost.append(_)
    assert client.read_packet(lambda *_: None)
    # an unanswered ping and nothing that paho read itself for longer than the keepalive
    client._ping_t = client._last_bytes_received = client._last_msg_out = time.monotonic() - 30
    client.loop_misc()
    assert not lost
    assert client._sock is not None
