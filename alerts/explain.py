"""The whole story of one incident as a timeline: who was told when, by what, with which proof, and why.

People appear by their place in the household's order (``contact 2``), never by name or address.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.acknowledge import who_of
from alerts.models import Attempt, Delivery, Incident, IncidentEntry, Notification
from registry.models import Contact

#: A list that somebody works through is read in pages of this.
MAX_DEAD = 500


class Line(NamedTuple):
    """One thing that happened."""

    at_us: int
    what: str
    who: str
    detail: dict[str, Any]


class DeadLetter(NamedTuple):
    """A delivery that reached nobody and is not tried any more."""

    delivery_id: str
    incident_id: str
    hazard: str
    who: str
    channel: str
    message: str
    state: str
    reason: str
    attempts: int
    queued_us: int


async def timeline(session: AsyncSession, incident_id: str) -> list[Line]:
    """What happened to the incident and its notifications, in order of time."""
    entries = await session.scalars(
        select(IncidentEntry).where(IncidentEntry.incident_id == incident_id).order_by(IncidentEntry.id)
    )
    lines = [Line(entry.at_us, entry.what, entry.actor, dict(entry.detail)) for entry in entries]
    told = await session.execute(
        select(Attempt, Delivery, Notification, Contact)
        .join(Delivery, Attempt.delivery_id == Delivery.id)
        .join(Notification, Delivery.notification_id == Notification.id)
        .join(Contact, Notification.contact_id == Contact.id)
        .where(Notification.incident_id == incident_id)
        .order_by(Attempt.started_us, Delivery.id, Attempt.number)
    )
    for attempt, delivery, notification, person in told:
        lines += _attempt_lines(attempt, delivery, notification, who_of(person))
    lines += await _waiting(session, incident_id)
    return sorted(lines, key=lambda line: line.at_us)


async def _waiting(session: AsyncSession, incident_id: str) -> list[Line]:
    """What has not been sent: when it is due, or why it never was; and when the ladder goes on."""
    rows = await session.execute(
        select(Delivery, Notification, Contact)
        .join(Notification, Delivery.notification_id == Notification.id)
        .join(Contact, Notification.contact_id == Contact.id)
        .where(Notification.incident_id == incident_id, Delivery.state.in_(("queued", "cancelled")))
    )
    lines = []
    for delivery, notification, person in rows:
        about = {
            "channel": delivery.channel, "message": notification.message,
            "rung": notification.rung, "attempts": delivery.attempts,
        }  # fmt: skip
        reason = _stated({"reason": delivery.reason})
        lines.append(Line(delivery.due_us, delivery.state, who_of(person), about | reason))
    incident = await session.get(Incident, incident_id)
    if incident is not None and incident.next_rung_us is not None and incident.state == "opened":
        detail = {"after_rung": incident.rung, "unless": "acknowledged"}
        lines.append(Line(incident.next_rung_us, "next_rung", "", detail))
    return lines


def _attempt_lines(
    attempt: Attempt, delivery: Delivery, notification: Notification, who: str
) -> list[Line]:
    about = {
        "channel": delivery.channel,
        "message": notification.message,
        "rung": notification.rung,
        "attempt": attempt.number,
    }
    lines = [Line(attempt.started_us, "sending", who, about)]
    if attempt.ended_us is None:
        return lines
    proof = {"reason": attempt.reason, "evidence": attempt.evidence}
    lines.append(Line(attempt.ended_us, attempt.outcome or "unknown", who, about | _stated(proof)))
    if delivery.state == "dead" and attempt.number == delivery.attempts:
        lines.append(Line(attempt.ended_us, "given_up", who, about))
    for what, at_us in (("delivered", delivery.delivered_us), ("seen", delivery.seen_us)):
        if at_us is not None and attempt.number == delivery.attempts:
            lines.append(Line(at_us, what, who, about))
    return lines


def _stated(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


async def find(session: AsyncSession, beginning: str) -> list[Incident]:
    """Incidents whose id begins so (at most two: one is the answer, two are a question)."""
    rows = await session.scalars(
        select(Incident).where(Incident.id.startswith(beginning, autoescape=True)).limit(2)
    )
    return list(rows)


async def dead_letters(session: AsyncSession, limit: int = MAX_DEAD) -> list[DeadLetter]:
    """Deliveries that ended without reaching anybody, the newest first."""
    rows = await session.execute(
        select(Delivery, Notification, Incident.hazard, Contact)
        .join(Notification, Delivery.notification_id == Notification.id)
        .join(Incident, Notification.incident_id == Incident.id)
        .join(Contact, Notification.contact_id == Contact.id)
        .where(Delivery.state.in_(("refused", "dead", "unknown")))
        .order_by(Delivery.queued_us.desc(), Delivery.id)
        .limit(limit)
    )
    return [
        DeadLetter(
            delivery.id, notification.incident_id, hazard, who_of(person), delivery.channel,
            notification.message, delivery.state, delivery.reason or "", delivery.attempts,
            delivery.queued_us,
        )
        for delivery, notification, hazard, person in rows
    ]  # fmt: skip
