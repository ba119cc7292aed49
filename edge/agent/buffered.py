"""paho-mqtt's client with a buffer on either side of its socket.

paho reads a packet in three small reads and writes every acknowledgement by itself; at thousands of
messages a second the system calls are most of the work. The buffer hands it bytes that were read at
once and gathers what it writes until ``flush``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

import paho.mqtt.client as mqtt

#: Read at once; a broker's socket buffer holds about as much.
READ_BYTES = 1 << 16


class BufferedSocket:
    """A non-blocking socket as paho uses it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._in = b""
        self._at = 0
        self._out = bytearray()

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes; raises what the socket raises when it has none."""
        if self._at >= len(self._in):
            self._in = self._inner.recv(READ_BYTES)
            self._at = 0
        piece = self._in[self._at : self._at + size]
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
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del self._out[:sent]

    def has_input(self) -> bool:
        """Whether bytes are at hand that ``select`` does not see."""
        if self._at < len(self._in):
            return True
        pending = getattr(self._inner, "pending", None)
        return bool(pending is not None and pending())

    def has_output(self) -> bool:
        return bool(self._out)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class BufferedClient(mqtt.Client):
    """A client whose user calls ``flush`` after every turn of the loop."""

    _buffered: BufferedSocket | None = None

    def _create_socket(self) -> Any:
        inner: Any = super()._create_socket()
        # a siren's order must not wait for the broker's acknowledgement of what went before
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffered = BufferedSocket(inner)
        return self._buffered

    def has_buffered(self) -> bool:
        """Whether a packet, or a part of one, is at hand."""
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
