"""Planning: the notifications and deliveries of an incident, as rows of the caller's transaction.

One notification per contact, episode, rung and message (the database's own promise), one delivery per
notification and channel. Nothing is sent here; the worker finds the rows when they are due.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import Delivery, Incident, IncidentEntry, Notification
from alerts.policy import Due, Rule, Rung, due
from edge.wire.identity import new_id
from registry.models import Contact, ContactChannel

#: Which of a contact's channels serves when one is enough: free and unobtrusive first.
_ONE_CHANNEL_ORDER = ("email", "webpush", "messenger", "sms", "voice")


class Planned(NamedTuple):
    """What was written."""

    notifications: int
    deliveries: int


def note(incident: Incident, what: str, now_us: int, actor: str = "", **detail: Any) -> IncidentEntry:
    """A line of the incident's story (not yet added to a session)."""
    return IncidentEntry(incident_id=incident.id, at_us=now_us, what=what, actor=actor, detail=detail)


async def tell(
    session: AsyncSession,
    incident: Incident,
    rule: Rule,
    rung_number: int,
    message: str,
    now_us: int,
    *,
    at_once: bool = False,
    only_contact: str | None = None,
    why: str = "",
) -> Planned:
    """Write what this rung says: who, on what, when. Idempotent per contact, rung and message."""
    rung = rule.rungs[rung_number]
    audience = await _audience(session, incident, rung)
    when = Due(now_us, "at_once")
    if not at_once:
        last_us = await _last_told(session, incident) if rule.at_most_every_s else None
        when = due(rule, now_us, last_us)
    priority = rule.priority if message == rule.message else max(1, rule.priority)
    done = await _told_already(session, incident, rung_number, message)
    notifications: list[Notification] = []
    deliveries: list[Delivery] = []
    for contact, channels in audience:
        if contact.id in done or only_contact not in (None, contact.id):
            continue
        notification = Notification(
            id=new_id(),
            incident_id=incident.id,
            contact_id=contact.id,
            episode=incident.episode,
            rung=rung_number,
            message=message,
            language=contact.language,
            values={},
            created_us=now_us,
        )
        notifications.append(notification)
        for channel in channels:
            deliveries.append(
                Delivery(
                    notification_id=notification.id,
                    channel_id=channel.id,
                    channel=channel.channel,
                    priority=priority,
                    state="queued",
                    due_us=when.due_us,
                    first_due_us=when.due_us,
                    queued_us=now_us,
                )
            )
    if done and not notifications:
        return Planned(0, 0)
    session.add_all(notifications)
    await session.flush()
    session.add_all(deliveries)
    session.add(
        note(
            incident,
            "planned" if deliveries else "nobody_to_tell",
            now_us,
            message=message,
            rung=rung_number,
            notifications=len(notifications),
            deliveries=len(deliveries),
            due_us=when.due_us,
            reason=why or when.reason,
        )
    )
    await session.flush()
    return Planned(len(notifications), len(deliveries))


async def _audience(
    session: AsyncSession, incident: Incident, rung: Rung
) -> list[tuple[Contact, Sequence[ContactChannel]]]:
    if incident.household_id is None:
        return []
    rows = await session.execute(
        select(Contact, ContactChannel)
        .join(ContactChannel, ContactChannel.contact_id == Contact.id)
        .where(Contact.household_id == incident.household_id, ContactChannel.dead_us.is_(None))
        .order_by(Contact.position, Contact.id, ContactChannel.id)
    )
    found: dict[str, tuple[Contact, list[ContactChannel]]] = {}
    for contact, channel in rows:
        found.setdefault(contact.id, (contact, []))[1].append(channel)
    result: list[tuple[Contact, Sequence[ContactChannel]]] = [
        (contact, sorted(own, key=_preference)[:1] if rung.channels == "one" else own)
        for contact, own in found.values()
    ]
    return result[:1] if rung.contacts == "first" else result


def _preference(channel: ContactChannel) -> tuple[bool, int]:
    known = channel.channel in _ONE_CHANNEL_ORDER
    place = _ONE_CHANNEL_ORDER.index(channel.channel) if known else len(_ONE_CHANNEL_ORDER)
    return channel.verified_us is None, place


async def _told_already(
    session: AsyncSession, incident: Incident, rung_number: int, message: str
) -> set[str]:
    rows = await session.scalars(
        select(Notification.contact_id).where(
            Notification.incident_id == incident.id,
            Notification.episode == incident.episode,
            Notification.rung == rung_number,
            Notification.message == message,
        )
    )
    return set(rows)


async def _last_told(session: AsyncSession, incident: Incident) -> int | None:
    """When this household was last told of this hazard (by the moment it was due)."""
    if incident.household_id is None:
        return None
    found: int | None = await session.scalar(
        select(func.max(Delivery.due_us))
        .join(Notification, Delivery.notification_id == Notification.id)
        .join(Incident, Notification.incident_id == Incident.id)
        .where(
            Incident.household_id == incident.household_id,
            Incident.hazard == incident.hazard,
            Notification.message == incident.hazard,
            Delivery.state.not_in(("cancelled",)),
        )
    )
    return found


async def withdraw(session: AsyncSession, incident: Incident, reason: str) -> int:
    """Cancel what is queued for the incident: the reason to tell is gone. Never for an alarm."""
    ids = select(Notification.id).where(Notification.incident_id == incident.id)
    result = await session.execute(
        update(Delivery)
        .where(Delivery.notification_id.in_(ids), Delivery.state == "queued")
        .values(state="cancelled", reason=reason)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE's cursor result has it
