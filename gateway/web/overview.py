"""What the first page shows: incidents that are open, then sites and their detectors.

Everything here is free of sealed fields: a household is its office label, a detector its place.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, case, false, func, not_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from alerts import health
from alerts.health import ChannelState
from alerts.models import AlarmRecord, Delivery, Incident, Notification
from edge.wire.messages import CLASS_OF
from gateway.models import LatestReading, SiteState
from registry.db import Database
from registry.models import Detector, Household, Site
from registry.rights import Reach

#: Cards above this are counted, not drawn: an old phone must still open the page in a fire.
MAX_INCIDENTS = 50
MAX_SITES = 60
MAX_DETECTORS_PER_SITE = 100
#: Above so many sites on the page each one shows fewer detectors.
FEW_SITES = 10
MAX_DETECTORS_OF_MANY_SITES = 20
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
    #: messages planned, and those a provider has accepted
    planned: int = 0
    accepted: int = 0


@dataclass
class DetectorRow:
    """One detector as a row: its last word and what is wrong with it, if anything."""

    id: str
    place: str
    #: how its protocol names it: a family may have put a name there, so it is for signed-in eyes
    address: str
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
    #: channels whose provider does not take messages now
    failing: list[ChannelState] = field(default_factory=list)

    @property
    def hidden_incidents(self) -> int:
        return self.danger + self.troubles - len(self.open)


async def overview(session: AsyncSession, now_us: int, reach: Reach) -> Overview:
    """Read the page's content for somebody who may see so much of the city."""
    incidents_seen, sites_seen = _within(reach, Incident.unit_code), _within(reach, Site.unit_code)
    counts = await _open_counts(session, incidents_seen)
    open_cards = await _incidents(session, _lasting(), incidents_seen)
    recent = await _incidents(
        session,
        incidents_seen,
        not_(_lasting()),
        func.coalesce(Incident.resolved_us, Incident.cleared_us) > now_us - RECENT_US,
    )
    sites = await _sites(session, sites_seen)
    return Overview(
        open=open_cards,
        recent=recent,
        sites=sites,
        danger=counts.get("alarm", 0),
        troubles=sum(count for name, count in counts.items() if name != "alarm"),
        failing=[state for state in await health.channels(session, now_us) if state.failing],
        sites_total=await session.scalar(select(func.count()).select_from(Site).where(sites_seen)) or 0,
    )


def _within(reach: Reach, unit_code: InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    if reach.everywhere:
        return true()
    return or_(*(unit_code.startswith(code, autoescape=True) for code in reach.unit_codes), false())


def _lasting() -> ColumnElement[bool]:
    """Open, or closed by somebody while an alarm of it still sounds: that is not over."""
    sounding = select(AlarmRecord.incident_id).where(
        *_active(), AlarmRecord.alarm_class == "alarm", AlarmRecord.test.is_(False)
    )
    return or_(Incident.open_key.is_not(None), Incident.id.in_(sounding))


def _active() -> tuple[ColumnElement[bool], ...]:
    return (AlarmRecord.cleared_us.is_(None), AlarmRecord.abandoned_us.is_(None))


async def _open_counts(session: AsyncSession, seen: ColumnElement[bool]) -> dict[str, int]:
    rows = await session.execute(
        select(Incident.alarm_class, func.count())
        .where(_lasting(), seen)
        .group_by(Incident.alarm_class)
    )
    return {str(name): int(count) for name, count in rows.all()}


def _plant(incident: Incident) -> str:
    """What was cut, with the cameras and homes behind it; empty for every other incident."""
    return incident.summary if incident.subject_kind == "fibre" else ""


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
            where=label or title or _plant(incident) or incident.site_id,
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
    told = await session.execute(
        select(Notification.incident_id, func.count(Delivery.id), func.count(Delivery.accepted_us))
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(Notification.incident_id.in_(cards))
        .group_by(Notification.incident_id)
    )
    for incident_id, planned, accepted in told:
        cards[incident_id].planned, cards[incident_id].accepted = planned, accepted


async def _sites(session: AsyncSession, seen: ColumnElement[bool]) -> list[SiteCard]:
    """The sites that need somebody first: worst alarm, then not online, then by name."""
    rank = case(
        (AlarmRecord.test, _SEVERITY["supervisory"]),
        (AlarmRecord.alarm_class == "alarm", _SEVERITY["alarm"]),
        (AlarmRecord.alarm_class == "supervisory", _SEVERITY["supervisory"]),
        else_=_SEVERITY["trouble"],
    )
    worst = (
        select(AlarmRecord.site_id, func.min(rank).label("rank"))
        .where(*_active())
        .group_by(AlarmRecord.site_id)
        .subquery()
    )
    quiet = _SEVERITY["ok"]
    rows = await session.execute(
        select(Site.id, Site.title, SiteState.state, SiteState.heard_us, worst.c.rank)
        .outerjoin(SiteState, SiteState.site_id == Site.id)
        .outerjoin(worst, worst.c.site_id == Site.id)
        .where(seen)
        .order_by(
            func.coalesce(worst.c.rank, quiet),
            case((SiteState.state == "online", 1), else_=0),
            Site.id,
        )
        .limit(MAX_SITES)
    )
    cards = {
        site_id: SiteCard(
            id=site_id,
            title=title or site_id,
            state=state or "never heard",
            heard_us=heard_us,
            worst=_BY_SEVERITY[quiet if rank is None else rank],
        )
        for site_id, title, state, heard_us, rank in rows
    }
    await _count_detectors(session, cards)
    await _fill_detectors(session, cards)
    return list(cards.values())


async def _count_detectors(session: AsyncSession, cards: dict[str, SiteCard]) -> None:
    counts = await session.execute(
        select(Detector.site_id, Detector.status, func.count())
        .where(Detector.site_id.in_(cards), Detector.status != "retired")
        .group_by(Detector.site_id, Detector.status)
    )
    for site_id, status, count in counts:
        cards[site_id].count += count
        if status == "unregistered":
            cards[site_id].unregistered = count


async def _fill_detectors(session: AsyncSession, cards: dict[str, SiteCard]) -> None:
    """The detectors of every shown site in one statement, those in alarm first."""
    alarms: dict[str, list[str]] = defaultdict(list)
    active = select(AlarmRecord.detector_id, AlarmRecord.kind, AlarmRecord.test).where(
        *_active(), AlarmRecord.site_id.in_(cards)
    )
    for detector_id, kind, test in await session.execute(active):
        shown = "test" if test else kind
        if shown not in alarms[detector_id]:
            alarms[detector_id].append(shown)
    sounding = select(AlarmRecord.detector_id).where(*_active(), AlarmRecord.site_id.in_(cards))
    place = func.row_number().over(
        partition_by=Detector.site_id,
        order_by=(
            case((Detector.id.in_(sounding), 0), else_=1),
            Household.label,
            Detector.place,
            Detector.id,
        ),
    )
    numbered = (
        select(Detector.id, Household.label, place.label("place"))
        .outerjoin(Household, Household.id == Detector.household_id)
        .where(Detector.site_id.in_(cards), Detector.status != "retired")
        .subquery()
    )
    per_site = MAX_DETECTORS_PER_SITE if len(cards) <= FEW_SITES else MAX_DETECTORS_OF_MANY_SITES
    rows = await session.execute(
        select(Detector, numbered.c.label, LatestReading)
        .join(numbered, numbered.c.id == Detector.id)
        .outerjoin(LatestReading, LatestReading.detector_id == Detector.id)
        .where(numbered.c.place <= per_site)
        .order_by(Detector.site_id, numbered.c.place)
    )
    for detector, label, latest in rows:
        kinds = sorted(alarms.get(detector.id, []), key=lambda kind: _SEVERITY[_class_of(kind)])
        cards[detector.site_id].detectors.append(
            DetectorRow(
                id=detector.id,
                place=detector.place or detector.model_name or "",
                address=detector.address,
                household=label,
                status=detector.status,
                alarms=kinds,
                worst=_worst(kinds),
                latest=latest,
            )
        )


_SEVERITY = {"alarm": 0, "supervisory": 1, "trouble": 2, "ok": 3}
_BY_SEVERITY = list(_SEVERITY)
_CLASS_OF: dict[str, str] = {str(kind): name for kind, name in CLASS_OF.items()}


def _class_of(kind: str) -> str:
    return _CLASS_OF.get(kind, "trouble")


def _worst(kinds: list[str]) -> str:
    return min((_class_of(kind) for kind in kinds), key=_SEVERITY.__getitem__, default="ok")


class Overviews:
    """Reads the overview for many watchers at once: those who ask together share one answer.

    Whoever arrives while a reading is under way waits for the next one, because the one under way may
    have begun before the change they were told of.
    """

    def __init__(self) -> None:
        self._arrivals = 0
        self._begun: dict[Reach, int] = {}
        self._found: dict[Reach, Overview] = {}
        self._locks: dict[Reach, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, database: Database, now_us: int, reach: Reach) -> Overview:
        """What this part of the city looks like now."""
        self._arrivals += 1
        arrived = self._arrivals
        async with self._locks[reach]:
            if self._begun.get(reach, 0) >= arrived:
                return self._found[reach]
            self._begun[reach] = self._arrivals
            async with database.read() as session:
                self._found[reach] = await overview(session, now_us, reach)
            return self._found[reach]
