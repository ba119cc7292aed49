"""The quarterly test: one test message to each contact, on every channel, to know who can be reached.

Spread over weeks and told in the daytime only. Whoever wants less (``muted_us``) gets none, whoever
is away is asked later. Each channel's test is an incident of its own (hazard ``drill``), so that its
link and its reports prove exactly that channel; it never shows among what burns.
"""

from __future__ import annotations

import math
from datetime import timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import plan
from alerts.models import Delivery, Incident, Notification
from alerts.policy import ULAANBAATAR, Policy, next_within, outside_quiet_hours
from edge.wire.clock import US_PER_S, datetime_from_us, us_from_datetime
from edge.wire.identity import new_id
from registry.models import Contact, ContactChannel, Household

#: A quarter; and the days over which one round of tests is spread.
QUARTER_S, SPREAD_DAYS = 91 * 24 * 3600, 60
#: Contacts of one transaction.
_PER_PASS = 50


def share_of_today(contacts: int, tested_today: int) -> int:
    """How many more contacts are tested today, so that all are within ``SPREAD_DAYS``. Pure."""
    return max(0, math.ceil(contacts / SPREAD_DAYS) - tested_today)


async def plan_due(session: AsyncSession, now_us: int, policy: Policy) -> int:
    """Plan the tests that are due now; how many contacts were taken up."""
    if policy.drill.hours is not None and next_within(policy.drill.hours, now_us) != now_us:
        return 0
    local = datetime_from_us(now_us).astimezone(ULAANBAATAR)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    since_us = us_from_datetime(midnight)
    everybody = Contact.gone_us.is_(None)
    contacts, today = (
        await session.execute(
            select(func.count(), func.count().filter(Contact.drilled_us >= since_us)).where(everybody)
        )
    ).one()
    room = min(share_of_today(contacts, today), _PER_PASS)
    if not room:
        return 0
    before_us = now_us - QUARTER_S * US_PER_S
    due = await session.scalars(
        select(Contact)
        .where(
            everybody,
            or_(Contact.drilled_us.is_(None), Contact.drilled_us < before_us),
            or_(Contact.away_until_us.is_(None), Contact.away_until_us <= now_us),
        )
        .order_by(func.coalesce(Contact.drilled_us, 0), Contact.id)
        .limit(room)
        .with_for_update(skip_locked=True)
    )
    taken = 0
    for contact in due.all():
        await test_contact(session, contact, now_us, policy)
        taken += 1
    await session.flush()
    return taken


async def test_contact(
    session: AsyncSession, contact: Contact, now_us: int, policy: Policy
) -> list[str]:
    """Plan a test on each of the contact's channels that wants one; the incidents."""
    channels = await session.scalars(
        select(ContactChannel)
        .where(
            ContactChannel.contact_id == contact.id,
            ContactChannel.dead_us.is_(None),
            ContactChannel.withdrawn_us.is_(None),
            ContactChannel.muted_us.is_(None),
        )
        .order_by(ContactChannel.id)
    )
    await session.execute(update(Contact).where(Contact.id == contact.id).values(drilled_us=now_us))
    due_us = now_us
    if contact.quiet_from_h is not None and contact.quiet_until_h is not None:
        quiet = (contact.quiet_from_h, contact.quiet_until_h)
        due_us = outside_quiet_hours(quiet, policy.drill.hours, now_us)
    return [await test_channel(session, contact, channel, now_us, due_us) for channel in channels.all()]


async def test_channel(
    session: AsyncSession, contact: Contact, channel: ContactChannel, now_us: int, due_us: int
) -> str:
    """Plan one test message on one channel; the incident that tells its story."""
    home = await session.get(Household, contact.household_id) if contact.household_id else None
    incident = Incident(
        id=new_id(), open_key=None, subject_kind="channel", subject_id=channel.id,
        site_id=home.site_id if home else "", household_id=contact.household_id,
        unit_code=contact.unit_code or (home.unit_code if home else None), hazard="drill",
        alarm_class="supervisory", state="opened", history=False, raised_us=now_us,
        opened_us=now_us, episode=1, rung=0, version=1,
    )  # fmt: skip
    told = Notification(
        id=new_id(), incident_id=incident.id, contact_id=contact.id, episode=1, rung=0,
        message="drill", language=contact.language, values={}, created_us=now_us,
    )  # fmt: skip
    session.add(incident)
    await session.flush()
    session.add(told)
    await session.flush()
    session.add(
        Delivery(
            id=new_id(), notification_id=told.id, channel_id=channel.id, channel=channel.channel,
            priority=2, state="queued", attempts=0, due_us=due_us, first_due_us=due_us,
            queued_us=now_us,
        )
    )  # fmt: skip
    session.add(plan.note(incident, "opened", now_us, cause="quarterly_test"))
    await session.flush()
    return incident.id


async def forget_old(session: AsyncSession, now_us: int) -> int:
    """End tests nobody answered within a fortnight, so that their links and states are over."""
    before_us = now_us - int(timedelta(days=14).total_seconds()) * US_PER_S
    done = await session.execute(
        update(Incident)
        .where(Incident.hazard == "drill", Incident.state == "opened", Incident.opened_us < before_us)
        .values(state="resolved", cause="test", resolved_us=now_us)
    )
    return int(done.rowcount)  # type: ignore[attr-defined]  # an UPDATE's cursor result has it
