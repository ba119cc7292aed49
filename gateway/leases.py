"""Leases: what one of several gateway processes does for all, until it ends or dies.

A lease is a row with its holder and the moment it runs out, by the city's clock. Its holder renews it
well before; when it dies, another process takes it over after at most ``LEASE_S``. The processes'
clocks may differ by less than that.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S, Clock
from gateway.models import Lease

#: How long a dead process's work waits for another one.
LEASE_S = 15.0
#: A holder renews this often (real seconds): two renewals may fail.
RENEW_S = 5.0


def lease_us(clock: Clock) -> int:
    """The length of a lease on this clock: real processes die in real time."""
    return int(LEASE_S * US_PER_S * max(clock.factor, 1.0))


async def hold(
    session: AsyncSession, name: str, holder: str, clock: Clock, detail: dict[str, Any] | None = None
) -> bool:
    """Take or renew a lease that is ours, free or run out; False while another one holds it."""
    now_us = clock.now_us()
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if on_postgresql else sqlite.insert)(Lease)
    values = {"holder": holder, "until_us": now_us + lease_us(clock), "detail": detail or {}}
    done = await session.execute(
        insert.values(name=name, **values).on_conflict_do_update(
            index_elements=[Lease.name],
            set_=values,
            where=or_(Lease.holder == holder, Lease.until_us < now_us),
        )
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]  # an INSERT's cursor result has it


async def release(session: AsyncSession, name: str, holder: str) -> None:
    """Give it up, if it is ours."""
    await session.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))


async def run_out(session: AsyncSession, prefix: str, now_us: int) -> list[Lease]:
    """Leases of this kind whose holders did not renew them."""
    found = await session.scalars(
        select(Lease).where(Lease.name.startswith(prefix, autoescape=True), Lease.until_us < now_us)
    )
    return list(found)


async def forget(session: AsyncSession, lease: Lease) -> bool:
    """Delete it unless its holder is back; False if it is."""
    done = await session.execute(
        delete(Lease).where(Lease.name == lease.name, Lease.until_us == lease.until_us)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]
