"""How far a long import is, kept in the database, so that every process of the gateway can say it.

A short file is one transaction: until it is done there is nothing for others to see. A long one tells
here each second at most, in a transaction of its own that nobody waits for longer than for a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from edge.wire.clock import US_PER_S
from registry.db import Database, DatabaseUnavailable
from registry.importing.models import RegisterImport
from registry.importing.plan import Progress

#: How often it is written down; a person looks at it, no program waits for it.
EVERY_S: Final = 1.0
#: What was told so long ago is of a process that is no more. A chunk on a slow machine takes a second.
STALE_US: Final = 60 * US_PER_S

log = structlog.get_logger()


class Reached(NamedTuple):
    """``step`` is read, check or write; ``done`` of ``of`` rows."""

    step: str
    done: int
    of: int


def reached(record: RegisterImport, now_us: int) -> Reached | None:
    """How far it is; None where no process is at it."""
    told = record.progress
    if not told or now_us - int(told["at_us"]) > STALE_US:
        return None
    return Reached(str(told["step"]), int(told["done"]), int(told["of"]))


@asynccontextmanager
async def kept(
    database: Database, import_id: str, now_us: int, also: Progress | None = None
) -> AsyncIterator[Progress]:
    """What is told to the function that it yields is kept while the block runs, and gone after it.

    ``also`` is told each time, too. A database that is away costs the progress, never the import.
    """
    begun_s = time.monotonic()
    newest: list[Reached] = []

    def tell(step: str, done: int, of: int) -> None:
        newest[:] = [Reached(step, done, of)]
        if also is not None:
            also(step, done, of)

    async def write() -> None:
        said: Reached | None = None
        while True:
            if newest and newest[0] != said:
                said = newest[0]
                at_us = now_us + int((time.monotonic() - begun_s) * US_PER_S)
                await _write(database, import_id, {**said._asdict(), "at_us": at_us})
            await asyncio.sleep(EVERY_S)

    writing = asyncio.create_task(write(), name="import progress")
    try:
        yield tell
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        await asyncio.shield(_write(database, import_id, None))


async def _write(database: Database, import_id: str, progress: dict[str, Any] | None) -> None:
    try:
        async with database.write() as session:
            changed = update(RegisterImport).where(RegisterImport.id == import_id)
            await session.execute(changed.values(progress=progress))
    except (DBAPIError, DatabaseUnavailable) as error:
        log.warning("import.progress_not_kept", error=type(error).__name__)
