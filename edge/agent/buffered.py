"""paho-mqtt's client with a buffer on either side of its socket, and a short way for publications.

paho reads a packet in three small reads, makes an object of each and writes every acknowledgement by
itself; at thousands of messages a second that is half of the work. Here the bytes are read at once. A
PUBLISH of QoS 0 or 1 goes straight to ``heard``; every other packet, and whatever looks broken, paho
takes from the same buffer, one whole packet at a time. What is written is gathered until ``flush``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

#: Read at once; a broker's socket buffer holds about as much.
READ_BYTES = 1 << 16
#: First byte of a packet, its high half: PUBLISH. Below it: again, quality of service, retained.
_PUBLISH = 0x30
_DUP, _QOS, _RETAINED = 8, 6, 1
#: The head of a PUBACK; the packet's id follows.
_PUBACK = b"\x40\x02"
#: A packet's length takes at most four bytes of seven bits.
_LENGTH_BYTES = 4
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

#: topic, payload, packet id (two bytes; empty at QoS 0), given before, retained
Heard = Callable[[bytes, bytes, bytes, bool, bool], None]


class BufferedSocket:
    """A non-blocking socket as paho uses it; it hands paho whole packets only."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._in = b""
        self._at = 0
        #: what came of a packet too long for one read
        self._pieces: list[bytes] = []
        #: up to where paho may read
        self._granted = 0
        #: the other side hung up, or the socket failed: paho is to find out
        self._ended: OSError | bool = False
        self._out = bytearray()
        #: bytes came since somebody asked
        self.has_heard = False

    def publication(self, heard: Heard) -> bool:
        """Hand the next packet to ``heard`` if it is a publication; else it is granted to paho."""
        end, body = self._next_packet()
        if not end:
            return False
        data, first = self._in, self._in[self._at]
        self._granted = end
        if first & 0xF0 != _PUBLISH or first & _QOS > 2 or end - body < 3:
            return False
        head = body + 2 + (data[body] << 8 | data[body + 1])
        after = head + 2 if first & _QOS else head
        if head == body + 2 or after > end:
            return False
        self._at = end
        heard(
            data[body + 2 : head], data[after:end], data[head:after],
            first & _DUP != 0, first & _RETAINED != 0,
        )  # fmt: skip
        return True

    def _next_packet(self) -> tuple[int, int]:
        """(end, start of the body) of the next packet if all of it is at hand; else (0, 0)."""
        while not (whole := self._whole_packet())[0] and self._fill(whole[1]):
            pass
        return whole if whole[0] else (0, 0)

    def _whole_packet(self) -> tuple[int, int]:
        """(end, start of the body) of the next packet; if it is not whole, (0, its bytes wanted)."""
        data, at = self._in, self._at
        held = len(data)
        if held < at + 2:
            return 0, 2
        length, body = data[at + 1], at + 2
        if length > 127:
            length &= 127
            for shift in range(7, 7 * _LENGTH_BYTES, 7):
                if body >= held:
                    return 0, body - at + 1
                more = data[body]
                body += 1
                length |= (more & 127) << shift
                if more < 128:
                    break
            else:
                return held, held  # no packet at all: paho says so
        end = body + length
        return (end, body) if end <= held else (0, end - at)

    def _fill(self, wanted: int) -> bool:
        """Read until ``wanted`` bytes are there or nothing more is; whether they are."""
        if self._ended:
            return False
        held = len(self._in) - self._at + sum(map(len, self._pieces))
        while held < wanted:
            try:
                piece = self._inner.recv(READ_BYTES)
            except _NOTHING_YET:
                return False
            except OSError as error:
                self._ended = error
                return False
            if not piece:
                self._ended = True
                return False
            self.has_heard = True
            self._pieces.append(piece)
            held += len(piece)
        self._in = b"".join((self._in[self._at :], *self._pieces))
        self._at = self._granted = 0
        self._pieces.clear()
        return True

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes of the packet that is granted; raises what the socket raises."""
        if self._at >= self._granted:
            if isinstance(self._ended, OSError):
                raise self._ended
            if self._ended:
                return b""
            raise BlockingIOError
        piece = self._in[self._at : min(self._at + size, self._granted)]
        self._at += len(piece)
        return piece

    def send(self, data: bytes) -> int:
        """Takes everything; it goes out with ``flush``."""
        self._out += data
        return len(data)

    def flush(self) -> None:
        """Write what the socket takes now."""
        while self._out:
            try:
                sent = self._inner.send(self._out)
            except _NOTHING_YET:
                return
            del self._out[:sent]

    def has_input(self) -> bool:
        """Whether something is to be done that ``select`` does not see."""
        if self._ended or self._at < self._granted or self._whole_packet()[0]:
            return True
        pending = getattr(self._inner, "pending", None)
        return bool(pending is not None and pending())

    def has_output(self) -> bool:
        return bool(self._out)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class BufferedClient(mqtt.Client):
    """A client whose user calls ``read_packet`` and, after every turn of the loop, ``flush``."""

    _buffered: BufferedSocket | None = None

    def _create_socket(self) -> Any:
        inner: Any = super()._create_socket()
        # a siren's order must not wait for the broker's acknowledgement of what went before
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffered = BufferedSocket(inner)
        return self._buffered

    def read_packet(self, heard: Heard) -> bool:
        """Take one packet, if one is there; a publication goes to ``heard``. False: the
        connection is gone."""
        if self._buffered is not None and self._buffered.publication(heard):
            return True
        return self.loop_read() == mqtt.MQTT_ERR_SUCCESS

    def loop_misc(self) -> MQTTErrorCode:
        """As paho's; a broker whose publications went past paho is as alive as one that it read."""
        if self._buffered is not None and self._buffered.has_heard:
            self._buffered.has_heard = False
            with self._msgtime_mutex:
                self._last_bytes_received = time.monotonic()
        return super().loop_misc()

    def acknowledge(self, packet_ids: Sequence[bytes]) -> None:
        """Tell the broker that these publications are taken; goes out with ``flush``."""
        if self._buffered is not None and packet_ids:
            self._buffered.send(_PUBACK + _PUBACK.join(packet_ids))

    def has_buffered(self) -> bool:
        """Whether a packet is at hand that ``select`` does not see."""
        return self._buffered is not None and self._buffered.has_input()

    def want_write(self) -> bool:
        """Whether something waits for the socket to take it."""
        waiting = self._buffered is not None and self._buffered.has_output()
        return waiting or super().want_write()

    def flush(self) -> None:
        """Write what is gathered; a dead socket is found by reading."""
        if self._buffered is not None:
            with contextlib.suppress(OSError):
                self._buffered.flush()

    def forget(self) -> None:
        """The connection is gone and so is what was gathered for it."""
        self._buffered = None
