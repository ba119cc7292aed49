"""Watching the sites: one that is not heard is one event about the site, however many homes hang on it.

A silence counts only while the city was listening: after a start, or a broken connection to the
broker, every site has its full time again. The pulse that ends a silence is told by the ingest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents
from edge.wire.clock import US_PER_S
from gateway.city import City
from gateway.ingest.patience import until_done
from gateway.models import SiteState

#: How often the silences are looked at: a small part of the shortest useful deadline.
EVERY_S = 5.0
#: Sites of one transaction, so that a great silence does not hold up alarms.
_PER_TRANSACTION = 50

log = structlog.get_logger()


class Supervisor:
    """``listening_since_us`` says since when pulses can reach us, None while they cannot."""

    def __init__(self, city: City, listening_since_us: Callable[[], int | None]) -> None:
        self._city = city
        self._listening_since_us = listening_since_us
        self._silent_after_us = int(city.settings.site_silent_after_s * US_PER_S)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while await until_done(self._city, "supervisor", self.look) >= _PER_TRANSACTION:
                pass
            await until_done(self._city, "supervisor", self._count)
            await asyncio.sleep(EVERY_S / max(self._city.clock.factor, 1.0))

    async def look(self) -> int:
        """Tell of sites that fell silent, at most one transaction's worth; how many."""
        since_us = self._listening_since_us()
        now_us = self._city.clock.now_us()
        if since_us is None or now_us - since_us < self._silent_after_us:
            return 0
        async with self._city.database.write() as session:
            silent = await _overdue(session, now_us - self._silent_after_us)
            notified = 0
            for site_id in silent:
                await session.execute(
                    update(SiteState).where(SiteState.site_id == site_id).values(state="silent")
                )
                applied = await incidents.site_event(
                    session, site_id, "silent", now_us, policy=self._city.policy
                )
                notified += applied.notified
        for site_id in silent:
            log.warning("site.silent", site=site_id)
            self._city.hub.publish("site", {"site": site_id, "state": "silent"})
        if notified:
            self._city.wake_alerts()
        return len(silent)

    async def _count(self) -> None:
        async with self._city.database.read() as session:
            rows = await session.execute(
                select(SiteState.state, func.count()).group_by(SiteState.state)
            )
            counts = {str(state): int(number) for state, number in rows}
        for state in ("online", "offline", "silent"):
            self._city.metrics.sites.labels(state).set(counts.get(state, 0))


async def _overdue(session: AsyncSession, before_us: int) -> list[str]:
    """Sites last heard before this and not yet silent; another supervisor's are left to it."""
    found = await session.scalars(
        select(SiteState.site_id)
        .where(SiteState.state != "silent", SiteState.heard_us < before_us)
        .order_by(SiteState.site_id)
        .limit(_PER_TRANSACTION)
        .with_for_update(skip_locked=True)
    )
    return list(found)
