"""Which site a detector belongs to, remembered between frames.

The register binds a detector to one site; a frame of another site that names it is refused. At the
first frame everything is read in one go: asking for a city's detectors some hundred at a time would
take longer than storing their readings. What the register does not know is asked again after a while:
somebody may have entered it meanwhile. While the database is away, what was believed is believed on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

from sqlalchemy import func, select

from gateway.city import City
from gateway.ingest.patience import is_outage
from gateway.ingest.sites import ensure_site
from gateway.ingest.tables import PerTable
from gateway.stores.base import FrameColumns
from registry.models import Detector, Site

#: Remembered detectors: about 100 MB for five times the capital's; beyond it we forget all and ask.
_MAX_REMEMBERED = 1_000_000
#: How long "not in the register" is believed.
_UNKNOWN_FOR_S = 60.0
#: Ids in one question; below every database's limit of bound values.
_CHUNK = 500
#: Rows read at a time at the first look.
_PARTITION = 5_000


class Owners:
    """A worker's memory of sites and detectors."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._sites: set[str] = set()
        self._of: dict[str, str] = {}
        self._unknown: set[str] = set()
        #: the site that all of a table's detectors are known to belong to
        self._whole: PerTable[str] = PerTable()
        self._ask_again_at_s = time.monotonic() + _UNKNOWN_FOR_S
        self._read_all = False

    async def learn(self, frames: Iterable[FrameColumns]) -> None:
        """Ask for what these frames name and we do not know; enter new sites where allowed."""
        if not self._read_all:
            await self._learn_all()
        if time.monotonic() > self._ask_again_at_s:
            await self._ask_again()
        if len(self._of) + len(self._unknown) > _MAX_REMEMBERED:
            self._of.clear()
            self._unknown.clear()
            self._whole.clear()
        sites: set[str] = set()
        # one by one: a difference of the whole sets would walk through the city at every batch
        detectors: set[str] = set()
        for frame in frames:
            sites.add(frame.site)
            if self._whole.get(frame.detectors) == frame.site:
                continue
            if set(map(self._of.get, frame.detectors)) == {frame.site}:
                self._whole.put(frame.detectors, frame.site)
            else:
                detectors.update(one for one in frame.detectors if one not in self._of)
        await self._learn_sites(sorted(sites - self._sites))
        await self._learn_detectors(sorted(detectors - self._unknown))

    async def _learn_all(self) -> None:
        async with self._city.database.read() as session:
            registered = await session.scalar(select(func.count()).select_from(Detector))
            if (registered or 0) <= _MAX_REMEMBERED:
                self._sites.update(await session.scalars(select(Site.id)))
                rows = await session.stream(select(Detector.id, Detector.site_id))
                async for part in rows.partitions(_PARTITION):
                    self._of.update((one, sys.intern(site)) for one, site in part)
        self._read_all = True

    async def _ask_again(self) -> None:
        """Look once more for what the register did not know."""
        asked, self._unknown = self._unknown, set()
        try:
            await self._learn_detectors(sorted(asked))
        except Exception as error:
            if not is_outage(error):
                raise
            self._unknown = asked
        self._ask_again_at_s = time.monotonic() + _UNKNOWN_FOR_S

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
        if self._whole.get(frame.detectors) == frame.site:
            return None
        owners = [self._of.get(detector) for detector in frame.detectors]
        for detector, owner in zip(frame.detectors, owners, strict=True):
            if owner is not None and owner != frame.site:
                return detector
        if None not in owners:
            self._whole.put(frame.detectors, frame.site)
        return None


def _chunks(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
