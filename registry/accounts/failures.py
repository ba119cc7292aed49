"""Failed tries, counted before a try is judged, so that guesses in parallel are counted too."""

from __future__ import annotations

import hashlib

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S, Clock
from registry.db import Database
from registry.models import LoginFailure
from registry.throttle import LOGIN_ALLOWANCE, wait_us

#: Counters of failures, and how many each one forgives.
Keys = dict[str, int]


class Throttled(Exception):
    """Too many failures; ``retry_after_s`` says when the next try is heard."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many failed attempts; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


async def count_failure(database: Database, clock: Clock, keys: Keys) -> None:
    """One more for each counter. Raises ``Throttled`` where a counter asks to wait."""
    now_us = clock.now_us()
    async with database.write() as session:
        for key, allowance in sorted(keys.items()):
            row = await _counter(session, key, now_us)
            wait = wait_us(row.failures, now_us - row.last_us, allowance)
            if wait > 0:
                raise Throttled(-(-wait // US_PER_S))
            row.failures = row.failures + 1 if wait == 0 else 1
            row.last_us = now_us


async def forget_failures(session: AsyncSession, keys: Keys) -> None:
    """It was no failure after all. An address keeps its other failures: one account is no amnesty."""
    logins = [key for key, allowance in keys.items() if allowance == LOGIN_ALLOWANCE]
    await session.execute(delete(LoginFailure).where(LoginFailure.key.in_(logins)))
    await uncount_failure(session, [key for key in keys if key not in logins])


async def uncount_failure(session: AsyncSession, keys: list[str]) -> None:
    """This one try was none; those before it stay counted."""
    await session.execute(
        update(LoginFailure)
        .where(LoginFailure.key.in_(keys), LoginFailure.failures > 0)
        .values(failures=LoginFailure.failures - 1)
    )


def failure_key(kind: str, name: str) -> str:
    """A counter's name, which says nothing of what it counts."""
    return hashlib.sha256(f"{kind}\0{name}".encode()).hexdigest()


async def _counter(session: AsyncSession, key: str, now_us: int) -> LoginFailure:
    """The counter, made if there is none, held until the transaction ends."""
    insert = pg_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    new = insert(LoginFailure).values(key=key, failures=0, last_us=now_us)
    await session.execute(new.on_conflict_do_nothing())
    held = select(LoginFailure).where(LoginFailure.key == key).with_for_update()
    return (await session.scalars(held.execution_options(populate_existing=True))).one()
