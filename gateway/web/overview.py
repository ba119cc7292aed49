"""What the first page shows: incidents that are open, then sites and their detectors.

Everything here is free of sealed fields: a household is its office label, a detector its place.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, case, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from alerts.models import AlarmRecord, Delivery, Incident, Notification
from edge.wire.messages import CLASS_OF
from gateway.models import LatestReading, SiteState
from registry.models import Detector, Household, Site
from registry.rights import Reach

#: Cards above this are counted, not drawn: an old phone must still open the page in a fire.
MAX_INCIDENTS = 50
MAX_SITES = 60
MAX_DETECTORS_PER_SITE = 100
#: An incident that ended stays on the page this long.
RECENT_US = 3600 * 1_000_000

_CLASS_ORDER = case({"alarm": 0, "supervisory": 1}, value=Incident.alarm_class, else_=2)


@dataclass
class IncidentCard:
    """One incident as a card."""

    id: str
    hazard: str
    alarm_class: str
    state: str
    history: bool
    raised_us: int
    cleared_us: int | None
    acknowledged_us: int | None
    where: str
    site_id: str
    kinds: list[str] = field(default_factory=list)
    accepted: int = 0


@dataclass
class DetectorRow:
    """One detector as a row: its last word and what is wrong with it, if anything."""

    id: str
    place: str
    household: str | None
    status: str
    alarms: list[str]
    worst: str
    latest: LatestReading | None


@dataclass
class SiteCard:
    """One site and its detectors."""

    id: str
    title: str
    state: str
    heard_us: int | None
    worst: str = "ok"
    detectors: list[DetectorRow] = field(default_factory=list)
    count: int = 0
    unregistered: int = 0

    @property
    def hidden(self) -> int:
        return self.count - len(self.detectors)


@dataclass
class Overview:
    """The page's content. ``danger`` counts open incidents of class alarm."""

    open: list[IncidentCard]
    recent: list[IncidentCard]
    sites: list[SiteCard]
    danger: int
    troubles: int
    sites_total: int

    @property
    def hidden_incidents(self) -> int:
        return self.danger + self.troubles - len(self.open)


async def overview(session: AsyncSession, now_us: int, reach: Reach) -> Overview:
    """Read the page's content for somebody who may see so much of the city."""
    incidents_seen, sites_seen = _within(reach, Incident.unit_code), _within(reach, Site.unit_code)
    counts = await _open_counts(session, incidents_seen)
    open_cards = await _incidents(session, Incident.open_key.is_not(None), incidents_seen)
    recent = await _incidents(
        session,
        incidents_seen,
        Incident.open_key.is_(None),
        func.coalesce(Incident.resolved_us, Incident.cleared_us) > now_us - RECENT_US,
    )
    sites = await _sites(session, sites_seen)
    return Overview(
        open=open_cards,
        recent=recent,
        sites=sites,
        danger=counts.get("alarm", 0),
        troubles=sum(count for name, count in counts.items() if name != "alarm"),
        sites_total=await session.scalar(select(func.count()).select_from(Site).where(sites_seen)) or 0,
    )


def _within(reach: Reach, unit_code: InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    if reach.everywhere:
        return true()
    return or_(*(unit_code.startswith(code, autoescape=True) for code in reach.unit_codes), false())


async def _open_counts(session: AsyncSession, seen: ColumnElement[bool]) -> dict[str, int]:
    rows = await session.execute(
        select(Incident.alarm_class, func.count())
        .where(Incident.open_key.is_not(None), seen)
        .group_by(Incident.alarm_class)
    )
    return {str(name): int(count) for name, count in rows.all()}


async def _incidents(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[IncidentCard]:
    rows = await session.execute(
        select(Incident, Household.label, Site.title)
        .outerjoin(Household, Household.id == Incident.household_id)
        .outerjoin(Site, Site.id == Incident.site_id)
        .where(*conditions)
        .order_by(_CLASS_ORDER, Incident.raised_us.desc())
        .limit(MAX_INCIDENTS)
    )
    cards = [
        IncidentCard(
            id=incident.id,
            hazard=incident.hazard,
            alarm_class=incident.alarm_class,
            state=incident.state,
            history=incident.history,
            raised_us=incident.raised_us,
            cleared_us=incident.cleared_us,
            acknowledged_us=incident.acknowledged_us,
            where=label or title or incident.site_id,
            site_id=incident.site_id,
        )
        for incident, label, title in rows
    ]
    await _fill_cards(session, {card.id: card for card in cards})
    return cards


async def _fill_cards(session: AsyncSession, cards: dict[str, IncidentCard]) -> None:
    """Which alarms an incident holds and how many messages a provider has accepted."""
    kinds = await session.execute(
        select(AlarmRecord.incident_id, AlarmRecord.kind)
        .where(AlarmRecord.incident_id.in_(cards))
        .distinct()
    )
    for incident_id, kind in kinds:
        if incident_id:
            cards[incident_id].kinds.append(kind)
    accepted = await session.execute(
        select(Notification.incident_id, func.count(Delivery.id))
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(Notification.incident_id.in_(cards), Delivery.accepted_us.is_not(None))
        .group_by(Notification.incident_id)
    )
    for incident_id, count in accepted:
        cards[incident_id].accepted = count


async def _sites(session: AsyncSession, seen: ColumnElement[bool]) -> list[SiteCard]:
    alarms = await _active_alarms(session)
    rows = await session.execute(
        select(Site.id, Site.title, SiteState.state, SiteState.heard_us)
        .outerjoin(SiteState, SiteState.site_id == Site.id)
        .where(seen)
        .order_by(Site.id)
    )
    cards = [
        SiteCard(id=site_id, title=title or site_id, state=state or "never heard", heard_us=heard_us)
        for site_id, title, state, heard_us in rows
    ]
    for card in cards:
        card.worst = _worst([kind for kind, _ in alarms.by_site.get(card.id, [])])
    cards.sort(key=lambda card: (_SEVERITY[card.worst], card.state == "online", card.id))
    cards = cards[:MAX_SITES]
    for card in cards:
        await _fill_site(session, card, alarms.by_detector)
    return cards


@dataclass
class _Active:
    by_site: dict[str, list[tuple[str, str]]]
    by_detector: dict[str, list[str]]


async def _active_alarms(session: AsyncSession) -> _Active:
    rows = await session.execute(
        select(AlarmRecord.site_id, AlarmRecord.detector_id, AlarmRecord.kind).where(
            AlarmRecord.cleared_us.is_(None), AlarmRecord.abandoned_us.is_(None)
        )
    )
    active = _Active(defaultdict(list), defaultdict(list))
    for site_id, detector_id, kind in rows:
        active.by_site[site_id].append((kind, detector_id))
        active.by_detector[detector_id].append(kind)
    return active


async def _fill_site(session: AsyncSession, card: SiteCard, active: dict[str, list[str]]) -> None:
    counts = await session.execute(
        select(Detector.status, func.count())
        .where(Detector.site_id == card.id, Detector.status != "retired")
        .group_by(Detector.status)
    )
    by_status = {str(status): int(count) for status, count in counts.all()}
    card.count = sum(by_status.values())
    card.unregistered = by_status.get("unregistered", 0)
    rows = await session.execute(
        select(Detector, Household.label, LatestReading)
        .outerjoin(Household, Household.id == Detector.household_id)
        .outerjoin(LatestReading, LatestReading.detector_id == Detector.id)
        .where(Detector.site_id == card.id, Detector.status != "retired")
        .order_by(
            case((Detector.id.in_(list(active)[:500]), 0), else_=1), Household.label, Detector.place
        )
        .limit(MAX_DETECTORS_PER_SITE)
    )
    for detector, label, latest in rows:
        kinds = active.get(detector.id, [])
        card.detectors.append(
            DetectorRow(
                id=detector.id,
                place=detector.place or detector.model_name or detector.address,
                household=label,
                status=detector.status,
                alarms=sorted(kinds, key=lambda kind: _SEVERITY[_class_of(kind)]),
                worst=_worst(kinds),
                latest=latest,
            )
        )


_SEVERITY = {"alarm": 0, "supervisory": 1, "trouble": 2, "ok": 3}
_CLASS_OF: dict[str, str] = {str(kind): name for kind, name in CLASS_OF.items()}


def _class_of(kind: str) -> str:
    return _CLASS_OF.get(kind, "trouble")


def _worst(kinds: list[str]) -> str:
    return min((_class_of(kind) for kind in kinds), key=_SEVERITY.__getitem__, default="ok")
