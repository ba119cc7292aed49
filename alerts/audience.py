"""Who is told: a household's people, its neighbours, the duty of the place, the city's desk.

A duty contact answers for its administrative unit and all that lies in it (codes are prefixes of the
codes inside); the nearest duty there is stands for a place. Channels that are dead or whose consent
was taken back are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import Incident, Notification
from alerts.policy import CAN_WAIT, Rule, Rung
from registry.models import Contact, ContactChannel

#: Which of a contact's channels serves when one is enough: free and unobtrusive first.
_ONE_CHANNEL_ORDER = (
    "email", "webpush", "messenger", "emongolia", "national_email", "webhook", "sms", "voice",
)  # fmt: skip


class Person(NamedTuple):
    """Somebody and the channels on which that person can be told."""

    contact: Contact
    channels: Sequence[ContactChannel]


async def of_rung(
    session: AsyncSession, incident: Incident, rung: Rung, now_us: int,
    *, spare_the_away: bool, can_wait: bool = False,
) -> list[Person]:  # fmt: skip
    """Whom the rung names, in their order; ``spare_the_away`` leaves out who is on holiday.

    What ``can_wait`` does not go to channels on which the person wants nothing of that sort.
    """
    wanted: list[ColumnElement[bool]] = []
    at_home = incident.household_id is not None
    if at_home and rung.contacts != "none":
        wanted.append(_household(incident, "resident"))
    if at_home and "neighbours" in rung.also:
        wanted.append(_household(incident, "neighbour"))
    on_duty = "khoroo_duty" in rung.also or (not at_home and rung.contacts != "none")
    if on_duty:
        wanted.append(and_(Contact.role == "duty", Contact.unit_code.in_(_around(incident))))
    if "desk" in rung.also or on_duty:
        here = or_(Contact.unit_code.is_(None), Contact.unit_code.in_(_around(incident)))
        wanted.append(and_(Contact.role == "desk", here))
    if not wanted:
        return []
    among = or_(*wanted)
    found = await _people(
        session, and_(among, ContactChannel.muted_us.is_(None)) if can_wait else among
    )
    own = _at_home([p for p in found if p.contact.role == "resident"], now_us, spare_the_away)
    duty = _nearest([p for p in found if p.contact.role == "duty"])
    desk = [p for p in found if p.contact.role == "desk"]
    if "desk" not in rung.also and (duty or at_home):
        desk = []  # it stands in only where a site has no other duty
    named = list(own) if at_home else duty + desk
    if rung.contacts == "first":
        named = named[:1]
    others = [p for p in found if p.contact.role == "neighbour"] + (duty + desk if at_home else [])
    return [_on_channels(person, rung) for person in named + others]


async def residents(session: AsyncSession, household_ids: Collection[str]) -> dict[str, list[Person]]:
    """The people of many households, in their order."""
    found: dict[str, list[Person]] = {}
    among = and_(Contact.household_id.in_(household_ids), Contact.role == "resident")
    for person in await _people(session, among):
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


async def of_the_told(session: AsyncSession, incident: Incident) -> list[Person]:
    """Everybody who was told of the incident's present episode."""
    told = select(Notification.contact_id).where(
        Notification.incident_id == incident.id, Notification.episode == incident.episode
    )
    return await _people(session, Contact.id.in_(told))


def _household(incident: Incident, role: str) -> ColumnElement[bool]:
    return and_(Contact.household_id == incident.household_id, Contact.role == role)


def _around(incident: Incident) -> list[str]:
    """The codes of the units that the place lies in, the place's own first."""
    code = incident.unit_code or ""
    return [code[:length] for length in range(len(code), 0, -1)]


def _nearest(duty: list[Person]) -> list[Person]:
    reach = max((len(p.contact.unit_code or "") for p in duty), default=0)
    return [p for p in duty if len(p.contact.unit_code or "") == reach]


async def _people(session: AsyncSession, condition: ColumnElement[bool]) -> list[Person]:
    rows = await session.execute(
        select(Contact, ContactChannel)
        .join(ContactChannel, ContactChannel.contact_id == Contact.id)
        .where(
            condition,
            Contact.gone_us.is_(None),
            ContactChannel.dead_us.is_(None),
            ContactChannel.withdrawn_us.is_(None),
        )
        .order_by(Contact.position, Contact.id, ContactChannel.id)
    )
    found: dict[str, tuple[Contact, list[ContactChannel]]] = {}
    for contact, channel in rows:
        found.setdefault(contact.id, (contact, []))[1].append(channel)
    return [Person(contact, channels) for contact, channels in found.values()]


def _on_channels(person: Person, rung: Rung) -> Person:
    if rung.channels == "all":
        return person
    return Person(person.contact, sorted(person.channels, key=_preference)[:1])


def _preference(channel: ContactChannel) -> tuple[bool, int]:
    known = channel.channel in _ONE_CHANNEL_ORDER
    place = _ONE_CHANNEL_ORDER.index(channel.channel) if known else len(_ONE_CHANNEL_ORDER)
    return channel.verified_us is None, place
