"""A connection that can be cut, slowed and thinned: a TCP proxy of one target.

Each direction has its own rate, as a line of that capacity has; the delay is one way, and half of the
round trip. All connections share the line as they share a router: first come, first served. What waits
for its turn waits here, at most ``_BUFFER_BYTES`` a direction, and the rest with its sender: who fills
the line makes the others wait, as on a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Self

_CHUNK_BYTES = 1460
#: As much as a modest router holds; the rest waits with the sender.
_BUFFER_BYTES = 32 * 1024
#: Chunks of one connection that are on their way, at most; bounds a line without a rate.
_MOST_CHUNKS = 4096


class Proxy:
    """``async with Proxy() as proxy``; set ``target`` before somebody connects to ``port``."""

    def __init__(self, *, bytes_per_s: float | None = None, delay_s: float = 0.0) -> None:
        self.target: tuple[str, int] | None = None
        self.port = 0
        self.bytes_per_s = bytes_per_s
        self.delay_s = delay_s
        self._is_cut = False
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        #: when each direction is free again: all connections share the line
        self._free_s = [0.0, 0.0]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Break every connection and refuse new ones until ``mend``."""
        self._is_cut = True
        lines = list(self._lines)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    def mend(self) -> None:
        self._is_cut = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        other: asyncio.StreamWriter | None = None
        try:
            if self._is_cut or self.target is None:
                return
            far, other = await asyncio.open_connection(*self.target, limit=_CHUNK_BYTES)
            ways = [
                asyncio.create_task(self._carry(reader, other, 0), name="up"),
                asyncio.create_task(self._carry(far, writer, 1), name="down"),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the target is away, or the line was cut: both ends are told below
        finally:
            self._lines.discard(line)
            for one in (writer, other):
                if one is not None:
                    one.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int
    ) -> None:
        """Bytes in order, each chunk at the moment the line lets it out."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_CHUNKS)

        async def deliver() -> None:
            while True:
                at_s, data = await waiting.get()
                await asyncio.sleep(max(0.0, at_s - time.monotonic()))
                writer.write(data)
                await writer.drain()

        delivering = asyncio.create_task(deliver(), name="deliver")
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(_CHUNK_BYTES):
                    await self._room(way)
                    await waiting.put((self._turn(len(data), way) + self.delay_s, data))
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _room(self, way: int) -> None:
        """Until the router has room for another chunk; others may have taken it when we wake."""
        if not self.bytes_per_s:
            return
        full_s = _BUFFER_BYTES / self.bytes_per_s
        while (left_s := self._free_s[way] - time.monotonic()) > full_s:  # noqa: ASYNC110  # no event
            await asyncio.sleep(left_s - full_s)

    def _turn(self, size: int, way: int) -> float:
        """When these bytes have left."""
        now_s = time.monotonic()
        start_s = max(now_s, self._free_s[way])
        took_s = size / self.bytes_per_s if self.bytes_per_s else 0.0
        self._free_s[way] = start_s + took_s
        return self._free_s[way]
