"""A small HTTP server for the page: GET alone, a key for each detector and day, everything bounded.

No library: one request, one answer, then the connection ends. Whoever is slow, long or has no key
gets a bare status; a wrong key and an unknown detector look the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog

from edge.local.facts import Facts
from edge.local.page import CSP, page
from edge.wire.localkey import MIN_SECRET, opens

log = structlog.get_logger()

#: Connections at once; a phone has one or two, and the rest is shut out, not the agent slowed.
MAX_CONNECTIONS: Final = 8
#: A request's head, and how long it may take to come and its answer to go.
MAX_HEAD_BYTES: Final = 4096
PATIENCE_S: Final = 5.0
_REQUEST: Final = re.compile(rb"GET /([a-z0-9]{1,64})/([a-z2-7]{16})(?:\?[^ ]*)? HTTP/1\.[01]\r\n")
_HEADERS: Final = (
    f"Content-Security-Policy: {CSP}\r\nX-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n"
)
_STATUS: Final = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable",
}  # fmt: skip


def read_secret(path: Path) -> str:
    """The secret that the city told. Raises ``ValueError`` (too short) and ``OSError``."""
    secret = path.read_text(encoding="ascii").strip()
    if len(secret) < MIN_SECRET:
        raise ValueError(f"{path}: expected the city's secret of at least {MIN_SECRET} characters")
    return secret


class LocalPage:
    """Serves what ``look`` answers. It can do nothing but look."""

    def __init__(
        self,
        secret: str,
        look: Callable[[str], Awaitable[Facts | None]],
        now_us: Callable[[], int],
    ) -> None:
        self._secret = secret
        self._look = look
        self._now_us = now_us
        self._open = 0

    async def run(self, host: str, port: int, started: Callable[[int], None] = lambda _: None) -> None:
        """Until it is cancelled. A port that is taken is logged: the agent works without the page."""
        try:
            server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD_BYTES)
        except OSError as error:
            log.error("local_page.not_served", port=port, error=error.strerror)
            return
        at = server.sockets[0].getsockname()[1]
        log.info("local_page.served", port=at)
        started(at)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > MAX_CONNECTIONS:
                writer.write(_answer(503))
            else:
                async with asyncio.timeout(PATIENCE_S):
                    writer.write(await self._answered(reader))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.CancelledError):  # slow, gone, or the agent ends
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return _answer(400)
        found = _REQUEST.match(head)
        if found is None:
            return _answer(404 if head.startswith(b"GET ") else 400)
        detector, key = (part.decode("ascii") for part in found.groups())
        if not opens(self._secret, detector, key, self._now_us()):
            return _answer(404)
        facts = await self._look(detector)
        return _answer(404) if facts is None else _answer(200, page(facts))


def _answer(status: int, body: str = "") -> bytes:
    content = (body or _STATUS[status]).encode()
    kind = "text/html; charset=utf-8" if body else "text/plain"
    head = (
        f"HTTP/1.1 {status} {_STATUS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\n{_HEADERS}\r\n"
    )
    return head.encode("ascii") + content
