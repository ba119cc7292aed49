"""Planning: the notifications and deliveries of an incident, as rows of the caller's transaction.

One notification per contact, episode, rung and message (the database's own promise), one delivery per
notification and channel. Nothing is sent here; the worker finds the rows when they are due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience
from alerts.audience import Person, Somebody
from alerts.models import Delivery, Incident, IncidentEntry, Notification
from alerts.policy import CAN_WAIT, Due, Rule, due, outside_quiet_hours
from edge.wire.identity import new_id

#: Texts that go to whoever was told before, whichever rung told them.
_TO_THE_TOLD = ("all_clear", "acknowledged")


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
    except_contacts: Collection[str] = (),
    values: dict[str, Any] | None = None,
    why: str = "",
    fresh: bool = False,
    quiet: bool = False,
) -> Planned:
    """Write what this rung says: who, on what, when. Idempotent per contact, rung and message.

    ``fresh``: the caller has just made the incident, so nobody can have been told of it. ``quiet``:
    where there is nobody to tell, that is no line of the story.
    """
    rung = rule.rungs[rung_number]
    if message in _TO_THE_TOLD:
        people = await audience.of_the_told(session, incident)
    else:
        people = await audience.of_rung(
            session, incident, rung, now_us, spare_the_away=rule.priority > 0,
            can_wait=message in CAN_WAIT,
        )  # fmt: skip
    when = Due(now_us, "at_once")
    if not at_once:
        last_us = await _last_told(session, incident) if rule.at_most_every_s else None
        when = due(rule, now_us, last_us)
    done = set() if fresh else await _told_already(session, incident, rung_number, message)
    people = [
        person
        for person in people
        if person.contact.id not in done
        and person.contact.id not in except_contacts
        and only_contact in (None, person.contact.id)
    ]
    notifications, deliveries = rows(
        incident.id, incident.episode, people, rule, rung_number, message, when, now_us,
        at_once=at_once, values=values or {},
    )  # fmt: skip
    if (done or only_contact or quiet) and not notifications:
        return Planned(0, 0)
    await session.flush()
    if notifications:
        await session.execute(insert(Notification), notifications)
        await session.execute(insert(Delivery), deliveries)
    line_of_it = planned_line(
        incident.id, now_us, message, rung_number, notifications, deliveries, when, why
    )
    session.add(IncidentEntry(**line_of_it))
    await session.flush()
    return Planned(len(notifications), len(deliveries))


def rows(
    incident_id: str,
    episode: int,
    people: Iterable[Person],
    rule: Rule,
    rung_number: int,
    message: str,
    when: Due,
    now_us: int,
    *,
    values: dict[str, Any],
    at_once: bool = False,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of notifications and deliveries to these people. Pure but for the ids."""
    priority = rule.priority if message == rule.message else max(1, rule.priority)
    notifications: list[dict[str, Any]] = []
    deliveries: list[dict[str, Any]] = []
    for contact, channels in people:
        notification_id = new_id()
        due_us = when.due_us if at_once else _wished(contact, rule, when.due_us)
        notifications.append(
            {
                "id": notification_id, "incident_id": incident_id, "contact_id": contact.id,
                "episode": episode, "rung": rung_number, "message": message,
                "language": contact.language, "values": values, "created_us": now_us,
            }
        )  # fmt: skip
        deliveries += [
            {
                "id": new_id(), "notification_id": notification_id, "channel_id": channel.id,
                "channel": channel.channel, "priority": priority, "state": "queued", "attempts": 0,
                "due_us": due_us, "first_due_us": due_us, "queued_us": now_us,
            }
            for channel in channels
        ]  # fmt: skip
    return notifications, deliveries


def line(incident_id: str, what: str, now_us: int, **detail: Any) -> dict[str, Any]:
    """A line of the incident's story as a row."""
    return {
        "incident_id": incident_id, "at_us": now_us, "what": what, "actor": "", "detail": detail,
    }  # fmt: skip


def planned_line(
    incident_id: str,
    now_us: int,
    message: str,
    rung_number: int,
    notifications: Sequence[dict[str, Any]],
    deliveries: Sequence[dict[str, Any]],
    when: Due,
    why: str = "",
) -> dict[str, Any]:
    """The line that says what was planned, or that there was nobody to tell."""
    return line(
        incident_id, "planned" if deliveries else "nobody_to_tell", now_us, message=message,
        rung=rung_number, notifications=len(notifications), deliveries=len(deliveries),
        due_us=min((row["due_us"] for row in deliveries), default=when.due_us),
        reason=why or when.reason,
    )  # fmt: skip


def _wished(contact: Somebody, rule: Rule, due_us: int) -> int:
    """The household's own quiet hours hold for what can wait, never for an alarm."""
    if rule.priority == 0 or contact.quiet_from_h is None or contact.quiet_until_h is None:
        return due_us
    return outside_quiet_hours((contact.quiet_from_h, contact.quiet_until_h), rule.hours, due_us)


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


async def last_told(session: AsyncSession, homes: Collection[str]) -> dict[tuple[str, str], int]:
    """By (household, hazard): when each was last told (by the moment it was due)."""
    rows = await session.execute(
        select(Incident.household_id, Incident.hazard, func.max(Delivery.due_us))
        .join(Notification, Notification.incident_id == Incident.id)
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(
            Incident.household_id.in_(homes),
            Notification.message == Incident.hazard,
            Delivery.state != "cancelled",
        )
        .group_by(Incident.household_id, Incident.hazard)
    )
    return {(home or "", hazard): due_us for home, hazard, due_us in rows}


async def withdraw(session: AsyncSession, incident: Incident, reason: str) -> int:
    """Cancel what is queued for the incident: the reason to tell is gone. Never for an alarm."""
    ids = select(Notification.id).where(Notification.incident_id == incident.id)
    result = await session.execute(
        update(Delivery)
        .where(Delivery.notification_id.in_(ids), Delivery.state == "queued")
        .values(state="cancelled", reason=reason)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE's cursor result has it
