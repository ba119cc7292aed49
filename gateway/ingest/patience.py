"""Waiting for what is away: an outage is waited out, anything else is somebody's mistake."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from asyncpg import exceptions as pg
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.city import City
from gateway.stores.base import StoreMisconfigured, StoreUnavailable
from registry.db import DatabaseUnavailable

#: The first pause, and the longest: an operator who mends the store sees it used within seconds.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

_OUTAGES = (
    StoreUnavailable,
    StoreMisconfigured,
    DatabaseUnavailable,
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    OSError,
    # somebody else's long transaction: what comes at BEGIN comes as it is, not by SQLAlchemy's name
    sqlite3.OperationalError,
    # what asyncpg raises itself while a server starts, stops, is full or out of connections
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InsufficientResourcesError,
    pg.InvalidAuthorizationSpecificationError,
    pg.InvalidCatalogNameError,
    pg.ReadOnlySQLTransactionError,
    pg.DeadlockDetectedError,
    pg.SerializationError,
    pg.InterfaceError,
)

#: Two workers may write the same new row at once; the second look finds it. More is no coincidence.
_MAX_COLLISIONS = 3

_T = TypeVar("_T")
log = structlog.get_logger()


def is_outage(error: BaseException) -> bool:
    """Whether waiting may help: the other side is away, full or busy."""
    if isinstance(error, _OUTAGES):
        return True
    if isinstance(error, DBAPIError):
        original = getattr(error.orig, "__cause__", None) or error.orig
        return error.connection_invalidated or isinstance(original, _OUTAGES)
    return False


async def until_done(city: City, lane: str, work: Callable[[], Awaitable[_T]]) -> _T:
    """Do the work, again after a pause for as long as there is an outage.

    While it waits, ``/readyz`` and ``utaa_ingest_stalled`` say so. Other errors are the caller's.
    """
    pause_s, collisions = _FIRST_PAUSE_S, 0
    while True:
        try:
            result = await work()
        except Exception as error:
            collisions += isinstance(error, IntegrityError)
            if not is_outage(error) and not 0 < collisions <= _MAX_COLLISIONS:
                raise
            text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            city.health.set(f"ingest {lane}", f"waiting: {text}")
            city.metrics.stalled.labels(lane).set(1)
            log.warning("ingest.waiting", lane=lane, pause_s=round(pause_s, 2), error=text)
        else:
            if pause_s > _FIRST_PAUSE_S:
                log.info("ingest.goes_on", lane=lane)
            city.health.set(f"ingest {lane}", None)
            city.metrics.stalled.labels(lane).set(0)
            return result
        await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
