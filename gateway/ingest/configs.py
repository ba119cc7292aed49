"""A site's settings, published retained: when they change, and when a pulse names an older version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import func, select

from edge.wire.messages import encode
from edge.wire.topics import site_topic
from gateway.city import City
from gateway.ingest.patience import until_done
from registry.cameras.watched import full_config
from registry.models import Site
from registry.sites import NoSuch

#: How long a change made elsewhere (a command, another process) may go unnoticed.
POLL_S = 2.0

#: topic, payload → whether the connection took it; retained
PublishRetained = Callable[[str, bytes], bool]

log = structlog.get_logger()


class Configs:
    """Publishes configurations; ``stale`` is filled by the events lane."""

    def __init__(self, city: City, publish: PublishRetained, stale: set[str]) -> None:
        self._city = city
        self._publish = publish
        self._stale = stale
        self._versions: dict[str, int] | None = None
        self._fingerprint: tuple[int, int] | None = None
        self._wake = asyncio.Event()

    @property
    def known(self) -> int:
        return len(self._versions or {})

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await until_done(self._city, "configs", self.publish_due)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def publish_due(self) -> int:
        """Publish what changed and what is stale; how many were published."""
        due = self._stale | await self._changed()
        published = 0
        for site_id in sorted(due):
            if await self._publish_one(site_id):
                published += 1
            self._stale.discard(site_id)
        return published

    async def _changed(self) -> set[str]:
        """Sites whose version is not the one we last saw; none at the first look."""
        async with self._city.database.read() as session:
            totals = (
                await session.execute(
                    select(func.count(), func.coalesce(func.sum(Site.config_version), 0))
                )
            ).one()
            fingerprint = (int(totals[0]), int(totals[1]))
            if fingerprint == self._fingerprint:
                return set()
            rows = await session.execute(select(Site.id, Site.config_version))
            versions = {site_id: version for site_id, version in rows}  # noqa: C416  # Row is no pair
        before, self._versions, self._fingerprint = self._versions, versions, fingerprint
        if before is None:
            return set()
        return {site_id for site_id, version in versions.items() if before.get(site_id) != version}

    async def _publish_one(self, site_id: str) -> bool:
        async with self._city.database.read() as session:
            try:
                config = await full_config(session, self._city.keyring, site_id)
            except NoSuch:
                return False
        taken = self._publish(site_topic(site_id, "config"), encode(config))
        log.info("config.published", site=site_id, version=config.version, taken=taken)
        return taken
