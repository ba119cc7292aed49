"""Who is told: a household's people, its neighbours, the duty of the place, the city's desk.

A duty contact answers for its administrative unit and all that lies in it (codes are prefixes of the
codes inside); the nearest duty there is stands for a place. Channels that are dead or whose consent
was taken back are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import statements
from alerts.models import Incident, Notification
from alerts.policy import CAN_WAIT, Rule, Rung
from registry.models import Contact, ContactChannel
from registry.statements import fetch

#: Which of a contact's channels serves when one is enough: free and unobtrusive first.
_ONE_CHANNEL_ORDER = (
    "email", "webpush", "messenger", "emongolia", "national_email", "webhook", "sms", "voice",
)  # fmt: skip


class Somebody(NamedTuple):
    """What telling needs to know of a contact (``statements.PERSON``)."""

    id: str
    household_id: str | None
    role: str
    unit_code: str | None
    language: str
    quiet_from_h: int | None
    quiet_until_h: int | None
    away_until_us: int | None


class Way(NamedTuple):
    """What telling needs to know of one of a contact's channels (``statements.WAY``)."""

    id: str
    channel: str
    muted_us: int | None
    verified_us: int | None


class Person(NamedTuple):
    """Somebody and the channels on which that person can be told."""

    contact: Somebody
    channels: Sequence[Way]


async def of_rung(
    session: AsyncSession, incident: Incident, rung: Rung, now_us: int,
    *, spare_the_away: bool, can_wait: bool = False,
) -> list[Person]:  # fmt: skip
    """Whom the rung names, in their order; ``spare_the_away`` leaves out who is on holiday.

    What ``can_wait`` does not go to channels on which the person wants nothing of that sort.
    """
    found = await of_rungs(
        session, [incident], rung, now_us, spare_the_away=spare_the_away, can_wait=can_wait
    )
    return found[incident.id]


async def of_rungs(
    session: AsyncSession, incidents: Sequence[Incident], rung: Rung, now_us: int,
    *, spare_the_away: bool, can_wait: bool = False,
) -> dict[str, list[Person]]:  # fmt: skip
    """``of_rung`` for many incidents in one question, by the incident's id."""
    wanted: list[ColumnElement[bool]] = []
    at_home = [one for one in incidents if one.household_id is not None]
    roles = ["resident"] * (rung.contacts != "none") + ["neighbour"] * ("neighbours" in rung.also)
    if at_home and roles:
        homes = {one.household_id for one in at_home}
        wanted.append(and_(Contact.household_id.in_(homes), Contact.role.in_(roles)))
    watched = [one for one in incidents if _on_duty(one, rung) or "desk" in rung.also]
    if watched:
        codes = {code for one in watched for code in _around(one)}
        wanted.append(and_(Contact.role == "duty", Contact.unit_code.in_(codes)))
        here = or_(Contact.unit_code.is_(None), Contact.unit_code.in_(codes))
        wanted.append(and_(Contact.role == "desk", here))
    if not wanted:
        return {one.id: [] for one in incidents}
    among = or_(*wanted)
    found = await _people(
        session, and_(among, ContactChannel.muted_us.is_(None)) if can_wait else among
    )
    of_home: dict[str | None, list[Person]] = {}
    on_watch: list[Person] = []
    for person in found:
        if person.contact.role in ("duty", "desk"):
            on_watch.append(person)
        else:
            of_home.setdefault(person.contact.household_id, []).append(person)
    return {
        one.id: _named(one, rung, of_home.get(one.household_id, []), on_watch, now_us, spare_the_away)
        for one in incidents
    }


def _on_duty(incident: Incident, rung: Rung) -> bool:
    """Whether the duty of the place is told: the rung names it, or there is no home."""
    return "khoroo_duty" in rung.also or (incident.household_id is None and rung.contacts != "none")


def _named(
    incident: Incident, rung: Rung, of_home: Sequence[Person], on_watch: Sequence[Person], now_us: int,
    spare_the_away: bool,
) -> list[Person]:  # fmt: skip
    """Whom the rung names among these. Pure."""
    at_home = incident.household_id is not None
    around = _around(incident)
    on_duty = _on_duty(incident, rung)
    home = of_home if at_home else ()
    own = _at_home([p for p in home if p.contact.role == "resident"], now_us, spare_the_away)
    here = [p for p in on_watch if p.contact.unit_code in around]
    duty = _nearest([p for p in here if p.contact.role == "duty"]) if on_duty else []
    desk = [p for p in on_watch if p.contact.role == "desk"] if on_duty or "desk" in rung.also else []
    desk = [p for p in desk if p.contact.unit_code is None or p.contact.unit_code in around]
    if "desk" not in rung.also and (duty or at_home):
        desk = []  # it stands in only where a site has no other duty
    named = list(own) if at_home else duty + desk
    if rung.contacts == "first":
        named = named[:1]
    others = [p for p in home if p.contact.role == "neighbour"] + (duty + desk if at_home else [])
    return [_on_channels(person, rung) for person in named + others]


async def residents(session: AsyncSession, household_ids: Collection[str]) -> dict[str, list[Person]]:
    """The people of many households, in their order."""
    found: dict[str, list[Person]] = {}
    rows = await fetch(session, statements.RESIDENTS, homes=list(household_ids))
    for person in _as_people(rows):
        found.setdefault(person.contact.household_id or "", []).append(person)
    return found


def chosen(own: Sequence[Person], rule: Rule, now_us: int) -> list[Person]:
    """Whom of a home's people the first rung of the rule names, where it names nobody else. Pure."""
    rung = rule.rungs[0]
    if rule.message in CAN_WAIT:
        own = [
            Person(contact, wanted)
            for contact, channels in own
            if (wanted := [channel for channel in channels if channel.muted_us is None])
        ]
    own = _at_home(own, now_us, rule.priority > 0)
    named = own[:1] if rung.contacts == "first" else own
    return [_on_channels(person, rung) for person in named]


def _at_home(own: Sequence[Person], now_us: int, spare_the_away: bool) -> Sequence[Person]:
    """Without those on holiday, unless that would leave nobody."""
    if not spare_the_away:
        return own
    return [p for p in own if (p.contact.away_until_us or 0) <= now_us] or own


async def first_of_households(session: AsyncSession, households: Collection[str]) -> list[Person]:
    """The first contact of each, on one channel, where that person wants what can wait."""
    first: dict[str | None, Person] = {}
    ids = list(households)
    for start in range(0, len(ids), 500):
        among = and_(
            Contact.household_id.in_(ids[start : start + 500]),
            Contact.role == "resident",
            ContactChannel.muted_us.is_(None),
        )
        for person in await _people(session, among):
            first.setdefault(person.contact.household_id, person)
    return [Person(p.contact, sorted(p.channels, key=_preference)[:1]) for p in first.values()]


async def among(session: AsyncSession, contact_ids: Collection[str]) -> list[Person]:
    """These people, in the order in which each home names its own."""
    return await _people(session, Contact.id.in_(contact_ids))


async def of_the_told(session: AsyncSession, incident: Incident) -> list[Person]:
    """Everybody who was told of the incident's present episode."""
    told = select(Notification.contact_id).where(
        Notification.incident_id == incident.id, Notification.episode == incident.episode
    )
    return await _people(session, Contact.id.in_(told))


def _around(incident: Incident) -> list[str]:
    """The codes of the units that the place lies in, the place's own first."""
    code = incident.unit_code or ""
    return [code[:length] for length in range(len(code), 0, -1)]


def _nearest(duty: list[Person]) -> list[Person]:
    reach = max((len(p.contact.unit_code or "") for p in duty), default=0)
    return [p for p in duty if len(p.contact.unit_code or "") == reach]


async def _people(session: AsyncSession, condition: ColumnElement[bool]) -> list[Person]:
    return _as_people(await fetch(session, statements.PEOPLE.where(condition)))


def _as_people(rows: Iterable[Any]) -> list[Person]:
    found: dict[str, tuple[Somebody, list[Way]]] = {}
    size = len(statements.PERSON)
    for row in rows:
        known = found.get(row[0])
        if known is None:
            known = found[row[0]] = (Somebody(*row[:size]), [])
        known[1].append(Way(*row[size:]))
    return [Person(contact, ways) for contact, ways in found.values()]


def _on_channels(person: Person, rung: Rung) -> Person:
    if rung.channels == "all":
        return person
    return Person(person.contact, sorted(person.channels, key=_preference)[:1])


def _preference(channel: Way) -> tuple[bool, int]:
    known = channel.channel in _ONE_CHANNEL_ORDER
    place = _ONE_CHANNEL_ORDER.index(channel.channel) if known else len(_ONE_CHANNEL_ORDER)
    return channel.verified_us is None, place
