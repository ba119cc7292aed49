"""The pass that turns losses into cuts. It takes no input, and running it again changes nothing.

Of several gateway processes one runs it, by a lease. A cut is told when at least ``LEAST_LOST`` are
lost by it and chance is the unlikelier explanation; one camera alone stays that camera's trouble. It is
over when hardly any of those it took are still lost; they are then told by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import areas, cuts, plan
from alerts.models import Incident
from edge.wire.identity import cameras_id, new_id
from gateway import leases
from gateway.city import City
from gateway.fibre import losses as heard
from gateway.fibre.works import Running, running, settle_works
from gateway.ingest.patience import until_done
from registry.fibre.locate import Finding, Section
from registry.fibre.models import FibreEndpoint, FibreOutage
from registry.fibre.network import Network
from registry.fibre.services import Compiled, PlantKeeper
from registry.models import Household

log = structlog.get_logger()

#: How often losses are looked at (city time).
EVERY_S: Final = 5.0
LEASE: Final = "fibre"
#: Fewer lost together are told by themselves.
LEAST_LOST: Final = 3
#: A cut is over when no larger share of those it took is lost (or few are, and most are back).
_BACK_SHARE: Final = 0.1
#: A finding that shares this part of an open outage's members is the same cut, seen better.
_SAME_SHARE: Final = 0.5
#: Members named in an outage's row and homes in its incident; more are counted.
_MAX_NAMED: Final = 5000
#: Sections kept of a finding, and elements of a section.
_SECTIONS: Final = 5
_ELEMENTS: Final = 20


@dataclass(frozen=True)
class Found:
    """What one look found, for logs, metrics and tests."""

    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    notified: int = 0


class FibreWatch:
    """``look`` once, or ``run`` until cancelled."""

    def __init__(self, city: City, keeper: PlantKeeper) -> None:
        self._city = city
        self._keeper = keeper
        self._holder = new_id()
        self._seen: tuple[object, ...] | None = None

    async def run(self) -> None:
        try:
            while True:
                await until_done(self._city, "fibre", self.look)
                await asyncio.sleep(EVERY_S / max(self._city.clock.factor, 1.0))
        finally:
            await asyncio.shield(self._release())

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S), self._city.database.write() as session:
                await leases.release(session, LEASE, self._holder)
        except Exception as error:  # it runs out by itself
            log.warning("fibre.lease_not_released", error=str(error)[:200])

    async def look(self) -> Found:
        """Locate what is lost now; open, extend and close what follows."""
        now_us = self._city.clock.now_us()
        async with self._city.database.read() as session:
            if not await session.scalar(select(func.count()).select_from(FibreEndpoint)):
                return Found()
            works = await running(session, now_us)
            seen = (await heard.signature(session), tuple(works), await _open_count(session))
            if seen == self._seen:
                return Found()
        compiled = await self._keeper.current(self._city.database)
        await asyncio.to_thread(compiled.locator.compile)
        async with self._city.database.write() as session:
            if not await leases.hold(session, LEASE, self._holder, self._city.clock):
                return Found()
            found = await self._look(session, compiled, works, now_us)
        self._seen = None if found.opened or found.closed else seen
        if found.notified:
            self._city.wake_alerts()
        for incident in (*found.opened, *found.closed):
            self._city.hub.publish("incident", {"incident": incident})
        return found

    async def _look(
        self, session: AsyncSession, compiled: Compiled, works: list[Running], now_us: int
    ) -> Found:
        await settle_works(session, now_us, self._city.policy)
        network = compiled.network
        losses = await heard.read(session)
        lost, unknown = heard.subjects_of(network, losses)
        planned = {risk for work in works for risk in work.risks(network)}
        locate = compiled.locator.causes
        findings = await asyncio.to_thread(locate, lost, unknown=unknown, planned=planned)
        pass_ = _Pass(session, self._city, network, now_us, works)
        open_now = await _open_outages(session)
        taken: set[str] = set()
        for finding in findings:
            if _worth_telling(network, finding):
                taken.add(await pass_.tell(finding, [o for o in open_now if o.id not in taken]))
        lost_keys = {network.subjects[number].key for number in lost}
        for outage in open_now:
            if outage.id not in taken:
                await pass_.close_if_over(outage, lost_keys)
        return Found(tuple(pass_.opened), tuple(pass_.closed), pass_.notified)


def _worth_telling(network: Network, finding: Finding) -> bool:
    best = finding.best
    if best is None or best.score <= 0:
        return False
    return best.planned or len(finding.explained) >= LEAST_LOST


async def _open_count(session: AsyncSession) -> int:
    query = select(func.count()).select_from(FibreOutage).where(FibreOutage.closed_us.is_(None))
    return int(await session.scalar(query) or 0)


async def _open_outages(session: AsyncSession) -> list[FibreOutage]:
    rows = await session.scalars(
        select(FibreOutage).where(FibreOutage.closed_us.is_(None)).order_by(FibreOutage.opened_us)
    )
    return list(rows)


class _Pass:
    """One look inside its transaction."""

    def __init__(
        self, session: AsyncSession, city: City, network: Network, now_us: int, works: list[Running]
    ) -> None:
        self._session = session
        self._policy = city.policy
        self._network = network
        self._now_us = now_us
        self._works = works
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.notified = 0

    async def tell(self, finding: Finding, open_now: Sequence[FibreOutage]) -> str:
        """The outage of a finding, opened or brought up to date; its id."""
        best = finding.best
        assert best is not None
        members = [self._network.subjects[number].key for number in finding.explained]
        outage = _same(open_now, best.cause, members)
        if outage is None:
            return await self._open(best, finding, members)
        known = set(outage.findings.get("members", []))
        fresh = [key for key in members if key not in known]
        incident = await self._incident(outage)
        if fresh:
            every = [*outage.findings.get("members", []), *fresh][:_MAX_NAMED]
            outage.cause, outage.confidence = best.cause, best.confidence
            outage.findings = await self._findings(finding, every)
            if incident is not None and outage.work_id is None:
                await cuts.update(
                    self._session, incident, _summary(outage.findings), self._now_us,
                    **_said(outage.findings),
                )  # fmt: skip
        await self._take_over(incident, members)
        return outage.id

    async def _open(self, best: Section, finding: Finding, members: list[str]) -> str:
        work = next((w for w in self._works if best.planned and w.covers(self._network, best)), None)
        findings = await self._findings(finding, members[:_MAX_NAMED])
        outage = FibreOutage(
            id=new_id(), cause=best.cause, confidence=best.confidence, findings=findings,
            opened_us=self._now_us, work_id=work.id if work else None,
        )  # fmt: skip
        if work is not None and work.incident_id is not None:
            outage.incident_id = work.incident_id
            incident: Incident | None = await self._session.get(Incident, work.incident_id)
        else:
            incident, told = await cuts.begin(
                self._session, outage.id, _summary(findings), self._now_us, self._policy,
                quiet=work is not None, **_said(findings),
            )  # fmt: skip
            outage.incident_id = incident.id
            self.notified += told
            self.opened.append(incident.id)
        self._session.add(outage)
        await self._session.flush()
        await self._take_over(incident, members)
        log.warning(
            "fibre.cut", cause=best.cause, confidence=round(best.confidence, 3), lost=len(members),
            planned=work is not None,
        )  # fmt: skip
        return outage.id

    async def _take_over(self, incident: Incident | None, members: list[str]) -> None:
        if incident is None:
            return
        cameras = _of_kind(members, "camera")
        many = [cameras_id(site) for site in await heard.sites_explained(self._session, cameras)]
        await cuts.take_over(
            self._session, incident, [*cameras, *many], _of_kind(members, "site"), self._now_us,
            self._policy,
        )  # fmt: skip
        await self._explain_units(incident, _of_kind(members, "site"))

    async def _explain_units(self, incident: Incident, sites: list[str]) -> None:
        """A khoroo's silence that is wholly behind the cut is no second incident."""
        for code, unit in (await areas.open_incidents(self._session)).items():
            if unit.summary != "area_silent":
                continue  # a power cut is a cause of its own
            silent = await heard.lost_sites_of(self._session, code)
            if silent and silent <= set(sites):
                self._session.add(plan.note(unit, "explained", self._now_us, by=incident.id))
                await areas.end(self._session, unit, self._now_us)

    async def _incident(self, outage: FibreOutage) -> Incident | None:
        return await self._session.get(Incident, outage.incident_id or "", with_for_update=True)

    async def close_if_over(self, outage: FibreOutage, lost: set[str]) -> None:
        members = list(outage.findings.get("members", []))
        still = [key for key in members if key in lost]
        if not _over(len(still), len(members)):
            return
        outage.closed_us = self._now_us
        incident = await self._incident(outage)
        if incident is not None and outage.work_id is None and incident.open_key is not None:
            await cuts.end(self._session, incident, self._now_us, self._policy)
            for site in _of_kind(still, "site"):
                await cuts.still_silent(self._session, site, self._now_us, self._policy)
            self.closed.append(incident.id)
        log.info("fibre.mended", cause=outage.cause, still_lost=len(still))

    async def _findings(self, finding: Finding, members: list[str]) -> dict[str, Any]:
        sites = _of_kind(members, "site")
        homes = await _homes(self._session, sites)
        best = finding.sections[0]
        return {
            "cause": best.cause, "and": list(best.and_elements[:1]), "point": best.point,
            "sections": [_section(each) for each in finding.sections[:_SECTIONS]],
            "members": members, "cameras": len(_of_kind(members, "camera")), "sites": len(sites),
            "homes": len(homes), "home_ids": homes[:_MAX_NAMED],
        }  # fmt: skip


def _over(still: int, members: int) -> bool:
    """Whether so few are left that the cut cannot be what keeps them."""
    return still <= _BACK_SHARE * members or (still < LEAST_LOST and 2 * still <= members)


def _same(open_now: Sequence[FibreOutage], cause: str, members: list[str]) -> FibreOutage | None:
    """The open outage that this finding is about: of its cause, or of mostly the same members."""
    for outage in open_now:
        known = set(outage.findings.get("members", []))
        shared = len(known & set(members))
        if outage.cause == cause or shared > _SAME_SHARE * min(len(known), len(members)):
            return outage
    return None


async def _homes(session: AsyncSession, sites: list[str]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(sites), 500):
        query = select(Household.id).where(Household.site_id.in_(sites[start : start + 500]))
        found += (await session.scalars(query.order_by(Household.id))).all()
    return found


def _section(section: Section) -> dict[str, Any]:
    return {
        "elements": list(section.elements[:_ELEMENTS]),
        "shares": [round(share, 4) for share in section.shares[:_ELEMENTS]],
        "confidence": round(section.confidence, 4), "hits": section.hits, "misses": section.misses,
        "lost": section.lost, "point": section.point, "planned": section.planned,
    }  # fmt: skip


def _of_kind(keys: Sequence[str], kind: str) -> list[str]:
    return [key.partition(":")[2] for key in keys if key.startswith(f"{kind}:")]


def _summary(findings: dict[str, Any]) -> str:
    """The place's own name, and in brackets whom it took, in the office's language."""
    names = [findings["cause"], *findings["and"]]
    place = " + ".join(str(name).partition(":")[2] for name in names)
    return f"{place} ({findings['cameras']} камер, {findings['homes']} айл)"


def _said(findings: dict[str, Any]) -> dict[str, Any]:
    return {
        "cause": findings["cause"], "cameras": findings["cameras"], "sites": findings["sites"],
        "homes": findings["homes"], "point": findings["point"],
        "confidence": findings["sections"][0]["confidence"],
    }  # fmt: skip
