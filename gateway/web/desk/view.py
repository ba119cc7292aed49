"""What the desk reads: open incidents by severity, one incident's story as lines, a shift's sums."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.explain import Line
from alerts.models import AlarmRecord, Delivery, Incident, IncidentEntry, Notification
from alerts.residents import answers_of
from registry.fibre.models import FibreOutage
from registry.models import Household, Person, RoleGrant, Site
from registry.rights import ROLES, Reach

#: Lines of the list; more is a storm, and the filter narrows it.
MAX_LISTED: Final = 100
#: Points of the map; the ground of a city in a storm.
MAX_MAPPED: Final = 500
_SEVERITY: Final = case({"alarm": 0, "supervisory": 1}, value=Incident.alarm_class, else_=2)
_STATE: Final = case({"opened": 0, "acknowledged": 1}, value=Incident.state, else_=2)


@dataclass(frozen=True)
class Filter:
    """Which of the open incidents; empty: all."""

    alarm_class: str = ""
    unit: str = ""
    #: mine, unanswered or nobody's
    whose: str = ""


@dataclass(frozen=True)
class Card:
    """An incident as the desk's list shows it."""

    incident: Incident
    where: str
    assignee: str | None
    #: the family's own word: safe, false_alarm or help
    said: str | None
    told: int
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Shift:
    """What happened between two moments."""

    opened: int
    alarms: int
    answered: int
    median_answer_s: int | None
    causes: list[tuple[str, int]]
    open_now: list[Card]
    ended: list[Card]
    notes: list[tuple[IncidentEntry, str]]


def within(reach: Reach) -> ColumnElement[bool]:
    """The incidents that lie where somebody may look."""
    if reach.everywhere:
        return Incident.id.is_not(None)
    inside = [Incident.unit_code.startswith(code, autoescape=True) for code in reach.unit_codes]
    return or_(false(), *inside)


def is_open() -> ColumnElement[bool]:
    """Not closed, or closed while an alarm of it still sounds. A test of one channel is none."""
    sounds = (
        select(AlarmRecord.id)
        .where(
            AlarmRecord.incident_id == Incident.id,
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
            AlarmRecord.history.is_(False),
        )
        .exists()
    )
    return and_(Incident.hazard != "drill", or_(Incident.state != "resolved", sounds))


def _chosen(reach: Reach, wanted: Filter, me: str) -> list[ColumnElement[bool]]:
    conditions = [within(reach), is_open()]
    if wanted.alarm_class:
        conditions.append(Incident.alarm_class == wanted.alarm_class)
    if wanted.unit:
        conditions.append(Incident.unit_code.startswith(wanted.unit, autoescape=True))
    whose = {
        "mine": Incident.assigned_to == me,
        "unanswered": Incident.state == "opened",
        "nobodys": Incident.assigned_to.is_(None),
    }
    return conditions + ([whose[wanted.whose]] if wanted.whose in whose else [])


async def listed(
    session: AsyncSession, reach: Reach, wanted: Filter, me: str
) -> tuple[list[Card], int]:
    """The first of them, the worst first, and how many there are."""
    conditions = _chosen(reach, wanted, me)
    total = await session.scalar(select(func.count()).select_from(Incident).where(*conditions)) or 0
    rows = await session.scalars(
        select(Incident)
        .where(*conditions)
        .order_by(_SEVERITY, _STATE, Incident.raised_us.desc(), Incident.id)
        .limit(MAX_LISTED)
    )
    return await cards(session, list(rows)), total


async def cards(session: AsyncSession, rows: list[Incident]) -> list[Card]:
    """With where each is, who has it, what its family said and how many messages went out."""
    ids = [row.id for row in rows]
    home_ids = {row.household_id for row in rows if row.household_id}
    site_ids = {row.site_id for row in rows}
    person_ids = {row.assigned_to for row in rows if row.assigned_to}
    homes = await _pairs(
        session, select(Household.id, Household.label).where(Household.id.in_(home_ids))
    )
    sites = await _pairs(session, select(Site.id, Site.title).where(Site.id.in_(site_ids)))
    people = await _pairs(session, select(Person.id, Person.login).where(Person.id.in_(person_ids)))
    told = await _pairs(session, _went_out(ids))
    kinds: dict[str, set[str]] = {}
    for incident_id, kind in await session.execute(
        select(AlarmRecord.incident_id, AlarmRecord.kind).where(AlarmRecord.incident_id.in_(ids))
    ):
        kinds.setdefault(incident_id or "", set()).add(kind)
    said = await answers_of(session, ids)
    return [
        Card(
            row, homes.get(row.household_id or "") or sites.get(row.site_id) or row.subject_id,
            people.get(row.assigned_to or ""), said.get(row.id, {}).get("said"), told.get(row.id, 0),
            tuple(sorted(kinds.get(row.id, ()))),
        )
        for row in rows
    ]  # fmt: skip


def _went_out(ids: list[str]) -> Select[Any, Any]:
    """How many messages of each incident a provider has taken."""
    return (
        select(Notification.incident_id, func.count())
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(Notification.incident_id.in_(ids), Delivery.state.in_(("accepted", "delivered", "seen")))
        .group_by(Notification.incident_id)
    )


async def _pairs(session: AsyncSession, query: Select[Any, Any]) -> dict[Any, Any]:
    """Rows of two as a mapping."""
    return {key: value for key, value in await session.execute(query)}  # noqa: C416


async def mapped(
    session: AsyncSession, reach: Reach, wanted: Filter, me: str
) -> list[tuple[Incident, float, float]]:
    """Open incidents that have a place: their own, their home's or their site's."""
    lat = func.coalesce(Incident.lat, Household.lat, Site.lat)
    lon = func.coalesce(Incident.lon, Household.lon, Site.lon)
    rows = await session.execute(
        select(Incident, lat, lon)
        .outerjoin(Household, Household.id == Incident.household_id)
        .outerjoin(Site, Site.id == Incident.site_id)
        .where(*_chosen(reach, wanted, me), lat.is_not(None), lon.is_not(None))
        .order_by(_SEVERITY, Incident.raised_us.desc())
        .limit(MAX_MAPPED)
    )
    return [(incident, at_lat, at_lon) for incident, at_lat, at_lon in rows]


async def takers(session: AsyncSession) -> list[tuple[str, str]]:
    """Who can be given an incident: (id, sign-in name) of people whose role answers incidents."""
    roles = [role for role, actions in ROLES.items() if "incident.acknowledge" in actions]
    rows = await session.execute(
        select(Person.id, Person.login)
        .join(RoleGrant, RoleGrant.person_id == Person.id)
        .where(RoleGrant.role.in_(roles), Person.active.is_(True))
        .distinct()
        .order_by(Person.login)
    )
    return [(person_id, login) for person_id, login in rows]


async def logins(session: AsyncSession, lines: list[Line]) -> dict[str, str]:
    """The sign-in names of those whom the lines name by id."""
    named = {line.who for line in lines} | {str(line.detail.get("to", "")) for line in lines}
    return await _pairs(session, select(Person.id, Person.login).where(Person.id.in_(named)))


async def cut_of(session: AsyncSession, incident: Incident) -> dict[str, Any] | None:
    """What hangs on the cut, if the incident is one of the fibre plant."""
    if incident.subject_kind != "fibre":
        return None
    outage = await session.get(FibreOutage, incident.subject_id)
    if outage is None:
        return None
    counts = {
        name: value if isinstance(value, int) else len(value)
        for name in ("cameras", "sites", "homes")
        if isinstance(value := outage.findings.get(name), int | list | dict)
    }
    return {"cause": outage.cause, "confidence": outage.confidence, "counts": counts}


async def shift(session: AsyncSession, reach: Reach, from_us: int, now_us: int) -> Shift:
    """The sums of a shift that ends now."""
    mine = within(reach)
    opened = list(
        await session.scalars(
            select(Incident)
            .where(mine, Incident.hazard != "drill", Incident.opened_us >= from_us)
            .order_by(_SEVERITY, Incident.opened_us)
        )
    )
    waits = sorted(
        (row.acknowledged_us - row.opened_us) // 1_000_000
        for row in opened
        if row.alarm_class == "alarm" and row.acknowledged_us
    )
    ended = await session.scalars(
        select(Incident)
        .where(mine, Incident.hazard != "drill", Incident.resolved_us >= from_us)
        .order_by(Incident.resolved_us)
        .limit(MAX_LISTED)
    )
    ended_cards = await cards(session, list(ended))
    open_now, _ = await listed(session, reach, Filter(), "")
    return Shift(
        len(opened), sum(row.alarm_class == "alarm" for row in opened), len(waits),
        waits[len(waits) // 2] if waits else None,
        Counter(card.incident.cause or "unknown" for card in ended_cards).most_common(),
        open_now, ended_cards, await _notes(session, mine, from_us, now_us),
    )  # fmt: skip


async def _notes(
    session: AsyncSession, mine: ColumnElement[bool], from_us: int, now_us: int
) -> list[tuple[IncidentEntry, str]]:
    rows = await session.execute(
        select(IncidentEntry, func.coalesce(Household.label, Incident.site_id))
        .join(Incident, Incident.id == IncidentEntry.incident_id)
        .outerjoin(Household, Household.id == Incident.household_id)
        .where(mine, IncidentEntry.what == "desk_note", IncidentEntry.at_us.between(from_us, now_us))
        .order_by(IncidentEntry.id)
        .limit(MAX_LISTED)
    )
    return [(entry, where) for entry, where in rows]
