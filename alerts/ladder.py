"""The ladder: who is told next, when time passes or a delivery fails.

``climb_due`` climbs for incidents nobody has acknowledged in time; ``after_failure`` climbs at once for
those contacts whom a rung did not reach. Both write rows only, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import plan
from alerts.models import Delivery, Incident, Notification
from alerts.policy import Policy, next_timed_rung
from alerts.queue import FAILED_STATES
from edge.wire.clock import US_PER_S


async def after_failure(
    session: AsyncSession, delivery_ids: Collection[str], now_us: int, policy: Policy
) -> int:
    """Climb for contacts whom their rung has not reached on any channel. Returns the new deliveries."""
    if not delivery_ids:
        return 0
    failed = (
        await session.execute(
            select(Notification, Incident)
            .join(Incident, Notification.incident_id == Incident.id)
            .where(
                Notification.id.in_(
                    select(Delivery.notification_id).where(Delivery.id.in_(delivery_ids))
                ),
                ~exists().where(
                    Delivery.notification_id == Notification.id, Delivery.state.not_in(FAILED_STATES)
                ),
            )
            .order_by(Notification.id)
        )
    ).all()
    planned = 0
    for notification, incident in failed:
        rule = policy.rule(incident.hazard)
        following = notification.rung + 1
        if following >= len(rule.rungs) or notification.episode != incident.episode:
            session.add(
                plan.note(
                    incident,
                    "not_reached",
                    now_us,
                    message=notification.message,
                    rung=notification.rung,
                )
            )
            continue
        written = await plan.tell(
            session,
            incident,
            rule,
            following,
            notification.message,
            now_us,
            at_once=True,
            only_contact=notification.contact_id,
            why="failure",
        )
        planned += written.deliveries
    return planned


async def climb_due(session: AsyncSession, now_us: int, policy: Policy) -> int:
    """Climb the next rung of every incident whose time has come. Returns the new deliveries."""
    due = await session.scalars(
        select(Incident)
        .where(Incident.next_rung_us <= now_us, Incident.state == "opened")
        .order_by(Incident.next_rung_us)
        .limit(_CLIMBS_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    planned = 0
    for incident in due.all():
        rule = policy.rule(incident.hazard)
        number = next_timed_rung(rule, incident.rung)
        if number is not None:
            incident.rung = number
            written = await plan.tell(
                session, incident, rule, number, rule.message, now_us, at_once=True, why="time"
            )
            planned += written.deliveries
        following = next_timed_rung(rule, incident.rung)
        incident.next_rung_us = None
        if number is not None and following is not None:
            wait_s = (rule.rungs[following].timed_s or 0) - (rule.rungs[number].timed_s or 0)
            incident.next_rung_us = now_us + int(wait_s * US_PER_S)
    await session.flush()
    return planned


#: So many incidents climb in one transaction; the rest in the next one.
_CLIMBS_AT_ONCE = 200
