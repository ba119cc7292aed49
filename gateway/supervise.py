"""Watching the sites: one that is not heard is one event about the site, however many homes hang on it.

A silence counts only while the city was listening: after a start, a broken connection to the broker, a
database that was away or a process that stood still, every site has its full time again. The pulse that
ends a silence is told by the ingest.

When many sites fall silent at once the city suspects itself: that is one incident of the city, and no
site is called silent until most of them are heard again and the rest had their full time once more.

Of several gateway processes one watches, by a lease; when it ends or dies another one takes over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents
from edge.wire.clock import US_PER_S
from edge.wire.identity import new_id
from gateway import areas, leases
from gateway.city import City
from gateway.ingest.patience import until_done
from gateway.models import Lease, SiteState

#: How often the silences are looked at: a small part of the shortest useful deadline.
EVERY_S = 5.0
LEASE = "supervisor"
#: Sites of one transaction, so that a great silence does not hold up alarms.
_PER_TRANSACTION = 50

log = structlog.get_logger()


class _Quiet(NamedTuple):
    """Of the sites not known to be silent: all, those quiet for long, those over their time."""

    watched: int
    quiet: int
    overdue: int


class Supervisor:
    """``listening_since_us`` says since when pulses can reach us, None while they cannot."""

    def __init__(self, city: City, listening_since_us: Callable[[], int | None]) -> None:
        self._city = city
        self._listening_since_us = listening_since_us
        self._silent_after_us = int(city.settings.site_silent_after_s * US_PER_S)
        self._holder = new_id()

    async def run(self) -> None:
        """Until cancelled; then another process may watch at once."""
        try:
            while True:
                while await until_done(self._city, "supervisor", self.look) >= _PER_TRANSACTION:
                    pass
                await until_done(self._city, "supervisor", self._count)
                await asyncio.sleep(EVERY_S / max(self._city.clock.factor, 1.0))
        finally:
            await asyncio.shield(self._release())

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S), self._city.database.write() as session:
                await leases.release(session, LEASE, self._holder)
        except Exception as error:  # it runs out by itself
            log.warning("supervisor.lease_not_released", error=str(error)[:200])

    async def look(self) -> int:
        """Tell of sites that fell silent, at most one transaction's worth; how many."""
        now_us = self._city.clock.now_us()
        since_us = self._listening_since_us()
        if since_us is None:
            return 0
        notified, silent = 0, list[str]()
        async with self._city.database.write() as session:
            lease = await session.get(Lease, LEASE)
            detail: dict[str, Any] = dict(lease.detail) if lease else {}
            if not await self._holds(session, detail):
                return 0
            since_us = max(since_us, int(detail.get("trusted_since_us", 0)))
            if now_us - since_us >= self._silent_after_us:
                silent, notified = await self._judge(session, detail, now_us)
                await self._holds(session, detail)
        for site_id in silent:
            log.warning("site.silent", site=site_id)
            self._city.hub.publish("site", {"site": site_id, "state": "silent"})
        if notified:
            self._city.wake_alerts()
        return len(silent)

    async def _holds(self, session: AsyncSession, detail: dict[str, Any]) -> bool:
        return await leases.hold(session, LEASE, self._holder, self._city.clock, detail)

    async def _judge(
        self, session: AsyncSession, detail: dict[str, Any], now_us: int
    ) -> tuple[list[str], int]:
        """The sites that are called silent now, and how many notifications came of it."""
        found = await self._quiet(session, now_us)
        suspected = bool(detail.get("suspected"))
        many = (
            found.quiet >= self._city.settings.city_suspects_itself_at_least
            and found.quiet >= self._city.settings.city_suspects_itself_share * found.watched
        )
        if many and (found.overdue or suspected):
            if suspected:
                return [], 0
            log.error("city.suspects_itself", quiet=found.quiet, of=found.watched)
            detail["suspected"] = True
            return [], await self._tell_of_the_city(session, "silent", now_us, found)
        if suspected:
            log.info("city.trusts_itself_again", quiet=found.quiet, of=found.watched)
            detail.update(suspected=False, trusted_since_us=now_us)
            return [], await self._tell_of_the_city(session, "back", now_us, found)
        return await self._call_silent(session, now_us)

    async def _quiet(self, session: AsyncSession, now_us: int) -> _Quiet:
        heard = SiteState.heard_us
        quiet = heard < now_us - int(self._silent_after_us * areas.QUIET_PART)
        row = await session.execute(
            select(
                func.count(),
                func.count().filter(quiet),
                func.count().filter(heard < now_us - self._silent_after_us),
            ).where(SiteState.state != "silent")
        )
        return _Quiet(*row.one())

    async def _tell_of_the_city(
        self, session: AsyncSession, what: str, now_us: int, found: _Quiet
    ) -> int:
        applied = await incidents.city_event(
            session, what, now_us, quiet=found.quiet, watched=found.watched, policy=self._city.policy
        )
        if applied.incident_id is not None:
            self._city.hub.publish("incident", {"incident": applied.incident_id})
        return applied.notified

    async def _call_silent(self, session: AsyncSession, now_us: int) -> tuple[list[str], int]:
        notified, covered = await areas.look(session, self._silent_after_us, now_us, self._city.policy)
        silent = await _overdue(session, now_us - self._silent_after_us)
        places = await areas.places_of(session, silent)
        for site_id in silent:
            await session.execute(
                update(SiteState).where(SiteState.site_id == site_id).values(state="silent")
            )
            if places.get(site_id) in covered:  # the khoroo's incident tells of it
                continue
            applied = await incidents.site_event(
                session, site_id, "silent", now_us, policy=self._city.policy
            )
            notified += applied.notified
        return silent, notified

    async def _count(self) -> None:
        async with self._city.database.read() as session:
            rows = await session.execute(
                select(SiteState.state, func.count()).group_by(SiteState.state)
            )
            counts = {str(state): int(number) for state, number in rows}
        for state in ("online", "offline", "silent"):
            self._city.metrics.sites.labels(state).set(counts.get(state, 0))


async def _overdue(session: AsyncSession, before_us: int) -> list[str]:
    """Sites last heard before this and not yet silent; what the ingest just writes is left to it."""
    found = await session.scalars(
        select(SiteState.site_id)
        .where(SiteState.state != "silent", SiteState.heard_us < before_us)
        .order_by(SiteState.site_id)
        .limit(_PER_TRANSACTION)
        .with_for_update(skip_locked=True)
    )
    return list(found)
