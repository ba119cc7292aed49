"""Which site a detector belongs to, remembered between frames.

The register binds a detector to one site; a frame of another site that names it is refused. What the
register does not know is asked again after a while: somebody may have entered it meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from sqlalchemy import select

from gateway.city import City
from gateway.ingest.sites import ensure_site
from gateway.stores.base import FrameColumns
from registry.models import Detector, Site

#: Remembered detectors: about 100 MB for five times the capital's; beyond it we forget all and ask.
_MAX_REMEMBERED = 1_000_000
#: How long "not in the register" is believed.
_UNKNOWN_FOR_S = 60.0
#: Ids in one question; below every database's limit of bound values.
_CHUNK = 500


class Owners:
    """A worker's memory of sites and detectors."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._sites: set[str] = set()
        self._of: dict[str, str] = {}
        self._unknown: set[str] = set()
        self._forget_at_s = 0.0

    async def learn(self, frames: Iterable[FrameColumns]) -> None:
        """Ask for what these frames name and we do not know; enter new sites where allowed."""
        if time.monotonic() > self._forget_at_s:
            self._unknown.clear()
            self._forget_at_s = time.monotonic() + _UNKNOWN_FOR_S
        if len(self._of) + len(self._unknown) > _MAX_REMEMBERED:
            self._of.clear()
            self._unknown.clear()
        sites: set[str] = set()
        detectors: set[str] = set()
        for frame in frames:
            sites.add(frame.site)
            detectors.update(frame.detectors)
        await self._learn_sites(sorted(sites - self._sites))
        await self._learn_detectors(sorted(detectors - self._of.keys() - self._unknown))

    async def _learn_sites(self, sites: list[str]) -> None:
        if not sites:
            return
        async with self._city.database.read() as session:
            for chunk in _chunks(sites):
                self._sites.update(await session.scalars(select(Site.id).where(Site.id.in_(chunk))))
        fresh = [site for site in sites if site not in self._sites]
        if not fresh or not self._city.settings.accept_unknown_sites:
            return
        async with self._city.database.write() as session:
            for site in fresh:
                await ensure_site(session, site, accept=True, now_us=self._city.clock.now_us())
        self._sites.update(fresh)

    async def _learn_detectors(self, detectors: list[str]) -> None:
        if not detectors:
            return
        async with self._city.database.read() as session:
            for chunk in _chunks(detectors):
                rows = await session.execute(
                    select(Detector.id, Detector.site_id).where(Detector.id.in_(chunk))
                )
                self._of.update((one, site) for one, site in rows)
        self._unknown.update(one for one in detectors if one not in self._of)

    def knows(self, site: str) -> bool:
        return site in self._sites

    def wrong(self, frame: FrameColumns) -> str | None:
        """A detector in the frame that belongs to another site, if there is one."""
        for detector in frame.detectors:
            if self._of.get(detector, frame.site) != frame.site:
                return detector
        return None


def _chunks(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
