"""The ladder: who is told next, when time passes or a delivery fails.

``climb_due`` climbs for incidents nobody has acknowledged in time; ``after_failure`` climbs at once:
for the whole incident where a rung reached nobody, else for those contacts whom it did not reach.
Both write rows only, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import plan
from alerts.cap.ready import make_ready
from alerts.climbing import climb_together
from alerts.models import Delivery, Incident, Notification
from alerts.policy import PROOFS, Policy, Rule, next_timed_rung
from alerts.queue import FAILED_STATES
from edge.wire.clock import US_PER_S
from registry.statements import fetch

#: So many incidents climb in one transaction; first messages and new alarms go between.
_CLIMBS_AT_ONCE = 100
_IS_DUE = (
    select(Incident.id)
    .where(Incident.next_rung_us <= bindparam("now_us"), Incident.state == "opened")
    .limit(1)
)


async def after_failure(
    session: AsyncSession, delivery_ids: Collection[str], now_us: int, policy: Policy
) -> int:
    """Climb for whom their rung has not reached on any channel. Returns the new deliveries."""
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
        planned += await _follow(session, notification, incident, now_us, policy)
    return planned


async def _follow(
    session: AsyncSession, notification: Notification, incident: Incident, now_us: int, policy: Policy
) -> int:
    rule = policy.rule(incident.hazard)
    of_the_ladder = notification.message == rule.message
    current = notification.episode == incident.episode and not (
        of_the_ladder and incident.alarm_class == "alarm" and incident.state != "opened"
    )
    if current and of_the_ladder and notification.rung == incident.rung:
        following = notification.rung + 1
        if following < len(rule.rungs) and not await _reached(session, notification):
            return await climb(session, incident, rule, following, now_us, "nobody_reached")
    following = notification.rung + 1
    if current and following < len(rule.rungs):
        written = await plan.tell(
            session, incident, rule, following, notification.message, now_us, at_once=True,
            only_contact=notification.contact_id, why="failure",
        )  # fmt: skip
        if written.deliveries or await _told_by(session, notification, following):
            return written.deliveries
    session.add(
        plan.note(incident, "not_reached", now_us, message=notification.message, rung=notification.rung)
    )
    return 0


async def after_stall(
    session: AsyncSession, delivery_ids: Collection[str], now_us: int, policy: Policy
) -> int:
    """A channel that is down for an alarm: lean on the next rung's people while it is tried again.

    Those whose own message still waits for the channel are left out: they have it coming. The ladder's
    times stay as they are.
    """
    if not delivery_ids:
        return 0
    stalled = await session.execute(
        select(Notification, Incident)
        .join(Incident, Notification.incident_id == Incident.id)
        .where(
            Notification.id.in_(select(Delivery.notification_id).where(Delivery.id.in_(delivery_ids))),
            Incident.alarm_class == "alarm",
            Incident.state == "opened",
        )
        .order_by(Notification.id)
    )
    planned = 0
    done = set()
    for notification, incident in stalled.all():
        rule = policy.rule(incident.hazard)
        current = notification.message == rule.message and notification.episode == incident.episode
        if incident.id in done or not current or await _hopeful(session, notification):
            continue
        done.add(incident.id)
        planned += await _lean(session, notification, incident, rule, now_us)
    return planned


async def _lean(
    session: AsyncSession, notification: Notification, incident: Incident, rule: Rule, now_us: int
) -> int:
    waiting = list(
        await session.scalars(
            select(Notification.contact_id).where(
                Notification.incident_id == incident.id,
                Notification.episode == incident.episode,
                Notification.message == notification.message,
            )
        )
    )
    for number in range(notification.rung + 1, len(rule.rungs)):
        written = await plan.tell(
            session, incident, rule, number, rule.message, now_us, at_once=True,
            except_contacts=waiting, why="channel_down", quiet=True,
        )  # fmt: skip
        if written.deliveries:
            if rule.rungs[number].cap:
                await make_ready(session, incident, now_us)
            return written.deliveries
    return 0


async def _hopeful(session: AsyncSession, notification: Notification) -> bool:
    """Whether anything of the same rung has gone well, or is at its first try."""
    found = await session.scalar(
        select(Delivery.id)
        .join(Notification, Delivery.notification_id == Notification.id)
        .where(
            Notification.incident_id == notification.incident_id,
            Notification.episode == notification.episode,
            Notification.rung == notification.rung,
            Notification.message == notification.message,
            Delivery.state.not_in(FAILED_STATES),
            or_(Delivery.state != "queued", Delivery.attempts == 0),
        )
        .limit(1)
    )
    return found is not None


async def _reached(session: AsyncSession, notification: Notification) -> bool:
    """Whether anything of the same rung is under way still, or has gone well."""
    found = await session.scalar(
        select(Delivery.id)
        .join(Notification, Delivery.notification_id == Notification.id)
        .where(
            Notification.incident_id == notification.incident_id,
            Notification.episode == notification.episode,
            Notification.rung == notification.rung,
            Notification.message == notification.message,
            Delivery.state.not_in(FAILED_STATES),
        )
        .limit(1)
    )
    return found is not None


async def _told_by(session: AsyncSession, notification: Notification, rung: int) -> bool:
    found = await session.scalar(
        select(Notification.id).where(
            Notification.incident_id == notification.incident_id,
            Notification.contact_id == notification.contact_id,
            Notification.episode == notification.episode,
            Notification.message == notification.message,
            Notification.rung == rung,
        )
    )
    return found is not None


async def climb(
    session: AsyncSession, incident: Incident, rule: Rule, number: int, now_us: int, why: str
) -> int:
    """Climb to the rung, and on at once past rungs that have nobody to tell."""
    planned = 0
    while True:
        incident.rung = number
        rung = rule.rungs[number]
        if rung.cap:
            await make_ready(session, incident, now_us)
        written = await plan.tell(
            session, incident, rule, number, rule.message, now_us, at_once=True, why=why,
            except_contacts=await _not_yet_tried(session, incident, rule),
        )  # fmt: skip
        planned += written.deliveries
        if written.deliveries or number + 1 >= len(rule.rungs):
            break
        number, why = number + 1, "nobody_to_tell"
    following = next_timed_rung(rule, number)
    incident.next_rung_us = None
    if following is not None:
        wait_s = (rule.rungs[following].timed_s or 0) - (rule.rungs[number].timed_s or 0)
        incident.next_rung_us = now_us + int(wait_s * US_PER_S)
    await session.flush()
    return planned


async def _not_yet_tried(session: AsyncSession, incident: Incident, rule: Rule) -> set[str]:
    """Contacts whose message still waits for its first try: in a storm nobody is told again first."""
    rows = await session.scalars(
        select(Notification.contact_id)
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(
            Notification.incident_id == incident.id,
            Notification.episode == incident.episode,
            Notification.message == rule.message,
            Delivery.state == "queued",
            Delivery.attempts == 0,
        )
    )
    return set(rows)


async def is_due(session: AsyncSession, now_us: int) -> bool:
    """Whether there is anything to climb."""
    return bool(await fetch(session, _IS_DUE, now_us=now_us))


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
    together: dict[tuple[str, int], list[Incident]] = {}
    for incident in due.all():
        rule = policy.rule(incident.hazard)
        number = next_timed_rung(rule, incident.rung)
        incident.next_rung_us = None
        if number is None:
            continue
        proof = await _stopping_proof(session, incident, rule)
        if proof is None:
            together.setdefault((incident.hazard, number), []).append(incident)
        else:
            session.add(plan.note(incident, "ladder_stopped", now_us, proof=proof, rung=incident.rung))
    for (hazard, number), incidents in together.items():
        rule = policy.rule(hazard)
        deliveries, left = await climb_together(session, incidents, rule, number, now_us)
        planned += deliveries
        for incident in left:
            planned += await climb(session, incident, rule, number, now_us, "time")
    await session.flush()
    return planned


async def _stopping_proof(session: AsyncSession, incident: Incident, rule: Rule) -> str | None:
    """What is known of a message of the ladder, if the policy stops at that."""
    enough = PROOFS[PROOFS.index(rule.stops_at) :]
    if enough == ("acknowledged",):
        return None  # then the incident would not be open
    found: str | None = await session.scalar(
        select(Delivery.state)
        .join(Notification, Delivery.notification_id == Notification.id)
        .where(
            Notification.incident_id == incident.id,
            Notification.episode == incident.episode,
            Notification.message == rule.message,
            Delivery.state.in_(enough),
        )
        .limit(1)
    )
    return found
