"""Receivers for a bench, in a process of their own: a mail server and a push service that only note.

``python -m alerts.sinks FILE`` prints ``<smtp port> <push port>`` on one line, and appends to FILE a
line ``<seconds since 1970> <key>`` for every message at the moment it says that it has it. The key is
the recipient's address, or the path of the push subscription: both made up by the bench.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import IO

_HOST = "127.0.0.1"
_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10000000\r\n"
_ANSWERS = {
    b"EHLO": _EHLO, b"HELO": b"250 sink\r\n", b"MAIL": b"250 OK\r\n", b"RSET": b"250 OK\r\n",
    b"NOOP": b"250 OK\r\n", b"QUIT": b"221 bye\r\n",
}  # fmt: skip


class _Noting(asyncio.Protocol):
    def __init__(self, notes: IO[str]) -> None:
        self._notes = notes
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def note(self, key: str) -> None:
        self._notes.write(f"{time.time():.4f} {key}\n")


class _Smtp(_Noting):
    """Commands may come one by one or pipelined (RFC 2920)."""

    _recipient = ""
    _in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = bytearray()
        while True:
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            at = self._buffer.find(end)
            if at < 0:
                break
            line = bytes(self._buffer[:at])
            del self._buffer[: at + len(end)]
            answers += self._taken() if self._in_data else self._command(line)
        if answers:
            self.transport.write(bytes(answers))

    def _taken(self) -> bytes:
        self._in_data = False
        self.note(self._recipient)
        return b"250 2.0.0 taken\r\n"

    def _command(self, line: bytes) -> bytes:
        word = line[:4].upper()
        if word == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
            return b"250 OK\r\n"
        if word == b"DATA":
            self._in_data = True
            return b"354 go on\r\n"
        return _ANSWERS.get(word, b"502 what?\r\n")


class _Push(_Noting):
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head_end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:head_end]).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:])
            whole = head_end + 4 + int(fields.get("content-length", "0"))
            if len(self._buffer) < whole:
                return
            del self._buffer[:whole]
            self.note(head[0].split(" ")[1])
            self.transport.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


async def main(path: Path) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    with path.open("a", buffering=1) as notes:  # a local file, a line at a time
        smtp = await loop.create_server(lambda: _Smtp(notes), _HOST, 0, backlog=500)
        push = await loop.create_server(lambda: _Push(notes), _HOST, 0, backlog=500)
        ports = [server.sockets[0].getsockname()[1] for server in (smtp, push)]
        print(*ports, flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
