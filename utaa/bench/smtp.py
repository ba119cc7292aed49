"""A mail server that only notes who was written to and when; too quick to be the bench's limit.

It speaks STARTTLS where it is given a folder for its certificate, and then takes mail over TLS alone.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from utaa.certificates import make_certificate

#: recipient, seconds since 1970 at which the mail was accepted, the mail itself
Accepted = Callable[[str, float, bytes], None]


class SmtpSink:
    """``async with SmtpSink(accepted) as sink``: SMTP on ``sink.port`` of this machine.

    ``folder``: where its certificate is kept; then it is STARTTLS and ``environment`` is how a gateway
    finds and trusts it.
    """

    def __init__(self, accepted: Accepted, folder: Path | None = None) -> None:
        self._accepted = accepted
        self._tls: ssl.SSLContext | None = None
        #: a gateway's settings that go with it
        self.environment = {"UTAA_ALERTS_SMTP__SECURITY": "none"}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            files = make_certificate(folder, ["127.0.0.1", "localhost"])
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(files.certificate, files.key)
            self.environment = {"UTAA_ALERTS_SMTP__CA_FILE": str(files.certificate)}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()
        self.port = 0

    async def __aenter__(self) -> SmtpSink:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Session(self._accepted, self._open, self._tls), "127.0.0.1", 0
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                transport.abort()


class _Session(asyncio.Protocol):
    def __init__(
        self, accepted: Accepted, opened: set[asyncio.Transport], tls: ssl.SSLContext | None
    ) -> None:
        self._accepted = accepted
        self._tls = tls
        #: still to be encrypted before it takes a mail
        self._is_open = tls is not None
        self._turning: asyncio.Task[None] | None = None
        self._opened = opened
        self._buffer = bytearray()
        self._recipient = ""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened.add(transport)
        transport.write(b"220 bench ESMTP\r\n")

    def connection_lost(self, _error: Exception | None) -> None:
        self._opened.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Commands may come together (PIPELINING, RFC 2920); their answers then go together."""
        self._buffer += data
        if self._turning is None or self._turning.done():
            self._work()

    def _work(self) -> None:
        answers: list[bytes] = []
        while True:
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            at = self._buffer.find(end)
            if at < 0:
                break
            piece = bytes(self._buffer[:at])
            del self._buffer[: at + len(end)]
            answers.append(self._mail(piece) if self._in_data else self._command(piece))
        if answers:
            self._transport.write(b"".join(answers))
        if self._is_open and answers and answers[-1].startswith(b"220"):
            self._turning = asyncio.create_task(self._encrypt(), name="bench starttls")

    async def _encrypt(self) -> None:
        assert self._tls is not None
        plain = self._transport
        transport = await asyncio.get_running_loop().start_tls(plain, self, self._tls, server_side=True)
        if transport is None:
            return
        self._opened.discard(plain)
        self._opened.add(transport)
        self._transport, self._is_open = transport, False
        self._work()  # its first word over TLS may have come before we knew that TLS stands

    def _mail(self, content: bytes) -> bytes:
        self._in_data = False
        self._accepted(self._recipient, time.time(), content)
        return b"250 taken\r\n"

    def _command(self, line: bytes) -> bytes:
        word = line[:4].upper()
        if word == b"EHLO" and self._is_open:
            return b"250-bench\r\n250 STARTTLS\r\n"
        if word == b"STAR" and self._is_open:
            return b"220 go on\r\n"
        if word == b"MAIL" and self._is_open:
            return b"530 5.7.0 STARTTLS first\r\n"
        if word == b"EHLO":
            return b"250-bench\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10000000\r\n"
        if word == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
        if word == b"DATA":
            self._in_data = True
            return b"354 go on\r\n"
        if word == b"QUIT":
            return b"221 bye\r\n"
        return b"250 ok\r\n"
