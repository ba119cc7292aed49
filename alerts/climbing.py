"""Many ladders climb at once, a rung's statements for all of them together.

A minute after a storm thousands of incidents are due for the same rung. ``climb_together`` writes for
them what ``ladder.climb`` writes for one after the other. Where the rung has nobody to tell the ladder
climbs on at once: such an incident is left to that.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience, plan
from alerts.models import CapMessage, Delivery, Incident, IncidentEntry, Notification
from alerts.policy import CAN_WAIT, Due, Rule, next_timed_rung
from edge.wire.clock import US_PER_S
from edge.wire.identity import new_id


async def climb_together(
    session: AsyncSession, incidents: Sequence[Incident], rule: Rule, number: int, now_us: int
) -> tuple[int, list[Incident]]:
    """Climb to this rung because its time has come: (new deliveries, incidents that are left over)."""
    rung = rule.rungs[number]
    people = await audience.of_rungs(
        session, incidents, rung, now_us, spare_the_away=rule.priority > 0,
        can_wait=rule.message in CAN_WAIT,
    )  # fmt: skip
    spared = await _spared(session, [one.id for one in incidents], rule.message, number)
    when = Due(now_us, "at_once")
    notifications, deliveries, lines, left, climbed = [], [], [], [], []
    for incident in incidents:
        chosen = [p for p in people[incident.id] if (incident.id, p.contact.id) not in spared]
        told, sent = plan.rows(
            incident.id, incident.episode, chosen, rule, number, rule.message, when, now_us,
            at_once=True, values={},
        )  # fmt: skip
        if not sent:
            left.append(incident)
            continue
        notifications += told
        deliveries += sent
        lines.append(
            plan.planned_line(
                incident.id, now_us, rule.message, number, told, sent, when, "time"
            )
        )  # fmt: skip
        incident.rung, incident.next_rung_us = number, _following_us(rule, number, now_us)
        climbed.append(incident)
    if climbed:
        if rung.cap:
            await _make_ready(session, climbed, now_us)
        await session.flush()
        for table, rows in (
            (Notification, notifications),
            (Delivery, deliveries),
            (IncidentEntry, lines),
        ):
            await session.execute(insert(table.__table__), rows)  # type: ignore[arg-type]
    return len(deliveries), left


def _following_us(rule: Rule, number: int, now_us: int) -> int | None:
    following = next_timed_rung(rule, number)
    if following is None:
        return None
    wait_s = (rule.rungs[following].timed_s or 0) - (rule.rungs[number].timed_s or 0)
    return now_us + int(wait_s * US_PER_S)


async def _spared(
    session: AsyncSession, ids: Sequence[str], message: str, number: int
) -> set[tuple[str, str]]:
    """(incident, contact) told by this rung, or whose first message still waits for its first try."""
    of_now = (
        select(Notification.incident_id, Notification.contact_id)
        .join(Incident, Notification.incident_id == Incident.id)
        .where(
            Notification.incident_id.in_(ids),
            Notification.episode == Incident.episode,
            Notification.message == message,
        )
    )
    by_it = of_now.where(Notification.rung == number)
    waiting = of_now.join(Delivery, Delivery.notification_id == Notification.id).where(
        Delivery.state == "queued", Delivery.attempts == 0
    )
    rows = [*await session.execute(by_it), *await session.execute(waiting)]
    return {(incident_id, contact_id) for incident_id, contact_id in rows}


async def _make_ready(session: AsyncSession, incidents: Sequence[Incident], now_us: int) -> None:
    """A CAP message of each, as ``alerts.cap.ready`` makes it of one."""
    rows = await session.execute(
        select(CapMessage.incident_id, func.max(CapMessage.number))
        .where(CapMessage.incident_id.in_([one.id for one in incidents]))
        .group_by(CapMessage.incident_id)
    )
    last = {row[0]: row[1] for row in rows}
    messages, lines = [], []
    for one in incidents:
        number = last.get(one.id, 0) + 1
        kind = "Alert" if number == 1 else "Update"  # of an open incident no cause is known yet
        messages.append(
            {"id": new_id(), "incident_id": one.id, "number": number, "msg_type": kind,
             "state": one.state, "sent_us": now_us}
        )  # fmt: skip
        lines.append(plan.line(one.id, "cap_ready", now_us, number=number, type=kind))
    await session.execute(insert(CapMessage.__table__), messages)  # type: ignore[arg-type]
    await session.execute(insert(IncidentEntry.__table__), lines)  # type: ignore[arg-type]
