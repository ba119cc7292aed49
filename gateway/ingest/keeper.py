"""Keeping latest values: derived from what is stored, written beside the acknowledgements' way.

A frame is acknowledged once the reading store has it. Its newest readings go onto a board in memory
(``board``) and from there into the database, many at a time. What a process has stored and not yet
written there it owes, and a lease says since which position of the store: if the process dies, another
one (or the next) reads what was stored after that position and makes up for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from gateway import leases
from gateway.city import City
from gateway.ingest.board import LatestBoard
from gateway.ingest.latest import newest, upsert_latest
from gateway.ingest.patience import until_done
from gateway.models import LatestReading, Lease
from gateway.stores.base import FrameColumns, Position
from registry.models import Detector

#: A page shows a reading at most about this much after it was stored.
FLUSH_EVERY_S = 0.25
#: A flush that took long rests this many times as long: at ten times the load, a fifth of the time.
_REST = 4.0
#: Rows of one transaction: some 10 ms, which is what an alarm on SQLite may wait behind.
ROWS_PER_TRANSACTION = 2_000
#: How often a process looks for others that are gone; their leases run out after some seconds anyway.
_MAKE_UP_EVERY_S = 2.0
#: The last flush of a process that ends; what is left over the next one makes up for.
_LAST_FLUSH_S = 5.0
_PREFIX = "latest/"

log = structlog.get_logger()


class LatestKeeper:
    """Latest values of one process."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._board = LatestBoard()
        self._name = _PREFIX + new_id()
        self._holder = new_id()
        self._base: Position | None = None
        self._writing: list[Position] = []
        self._flushing = asyncio.Lock()
        self._renew_at_s = 0.0

    async def ready(self) -> None:
        """Before the first frame is stored: say in the database what we shall owe."""
        if self._base is None:
            base = await self._city.readings.end()
            await self._promise(base)
            self._base = base

    async def _promise(self, since: Position) -> None:
        async with self._city.database.write() as session:
            await self._hold(session, since)

    async def _hold(self, session: AsyncSession, since: Position) -> None:
        await leases.hold(session, self._name, self._holder, self._city.clock, dict(since))
        self._renew_at_s = time.monotonic() + leases.RENEW_S

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Around a write to the store and the ``add`` of what was written."""
        began = self._position()
        self._writing.append(began)
        try:
            yield
        finally:
            self._writing.remove(began)

    def _position(self) -> Position:
        return {**(self._base or {}), **self._city.readings.position()}

    def add(self, frames: Sequence[FrameColumns]) -> None:
        """These are stored."""
        self._board.add(frames)

    async def run(self) -> None:
        """Flush until cancelled, and once more then."""
        await until_done(self._city, "latest", self.ready)
        make_up_at_s = 0.0
        try:
            while True:
                began_s = time.monotonic()
                await until_done(self._city, "latest", self.flush)
                if began_s >= make_up_at_s:
                    await until_done(self._city, "latest", self.make_up)
                    make_up_at_s = time.monotonic() + _MAKE_UP_EVERY_S
                self._city.metrics.latest_owed.set(self._board.owed)
                await asyncio.sleep(max(FLUSH_EVERY_S, _REST * (time.monotonic() - began_s)))
        finally:
            with suppress(Exception):
                await asyncio.wait_for(asyncio.shield(self._leave()), _LAST_FLUSH_S)

    async def _leave(self) -> None:
        await self.flush()
        async with self._city.database.write() as session:
            await leases.release(session, self._name, self._holder)

    async def flush(self) -> None:
        """Write what is owed. Raises what the database raises; nothing is forgotten then."""
        async with self._flushing:
            since = self._writing[0] if self._writing else self._position()
            due = self._board.due()
            for start in range(0, len(due), ROWS_PER_TRANSACTION):
                part = due[start : start + ROWS_PER_TRANSACTION]
                rows = await asyncio.to_thread(self._board.take, part)
                try:
                    async with self._city.database.write() as session:
                        await upsert_latest(session, rows)
                        if start + ROWS_PER_TRANSACTION >= len(due):
                            await self._hold(session, since)
                except BaseException:
                    self._board.give_back(part)
                    raise
            if not len(due) and time.monotonic() >= self._renew_at_s:
                await self._promise(since)
            self._board.tidy()

    async def make_up(self) -> None:
        """Write what processes owed that are gone."""
        async with self._city.database.read() as session:
            gone = await leases.run_out(session, _PREFIX, self._city.clock.now_us())
        for lease in gone:
            if lease.name != self._name:
                await self._make_up_for(lease)

    async def _make_up_for(self, lease: Lease) -> None:
        log.info("latest.catching_up", lease=lease.name)
        rows = 0
        async for frames in self._city.readings.newer_than(lease.detail):
            rows += await self._write_newest(frames)
        async with self._city.database.write() as session:
            await leases.forget(session, lease)
        log.info("latest.caught_up", lease=lease.name, rows=rows)

    async def _write_newest(self, frames: list[FrameColumns]) -> int:
        rows = await asyncio.to_thread(newest, frames)
        if any(not row[1] for row in rows):
            sites = await self._sites_of([row[0] for row in rows])
            rows = [(row[0], row[1] or sites[row[0]], *row[2:]) for row in rows if row[0] in sites]
        for start in range(0, len(rows), ROWS_PER_TRANSACTION):
            async with self._city.database.write() as session:
                await upsert_latest(session, rows[start : start + ROWS_PER_TRANSACTION])
        return len(rows)

    async def _sites_of(self, detectors: list[str]) -> dict[str, str]:
        """Where the store does not say it: by the register, else by the last reading before."""
        found: dict[str, str] = {}
        async with self._city.database.read() as session:
            for table in (LatestReading, Detector):
                key = LatestReading.detector_id if table is LatestReading else Detector.id
                for start in range(0, len(detectors), 500):
                    part = detectors[start : start + 500]
                    rows = await session.execute(select(key, table.site_id).where(key.in_(part)))
                    found.update((one, site) for one, site in rows)
        return found
