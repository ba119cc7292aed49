"""After the city was restored from a backup: nobody is told again what the lost city has told already.

A backup knows of messages that were on their way when it was made. The city that made it has sent them
long ago, and has perhaps climbed the ladder and heard an all clear that the backup does not know. So
messages that were due long ago are withdrawn, and ladders wait until the sites have said how it stands.
What happened after the backup is told as any alarm is when it arrives: the record of having told it is
lost, and a fire told twice is better than one told to nobody.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import Delivery, Incident
from alerts.policy import LIVE_LIMIT_S
from edge.wire.clock import US_PER_S

#: Ladders wait this long for what the sites send again.
SITES_ANSWER_S = 120


class Restored(NamedTuple):
    """How many deliveries were withdrawn and how many ladders were stopped for a while."""

    withdrawn: int
    postponed: int


async def after_restore(session: AsyncSession, now_us: int) -> Restored:
    """Withdraw what the lost city has told; let ladders wait for the sites."""
    old = await session.execute(
        update(Delivery)
        .where(
            Delivery.state.in_(("queued", "sending")),
            Delivery.due_us < now_us - LIVE_LIMIT_S * US_PER_S,
        )
        .values(state="cancelled", reason="restored", lease_owner=None, lease_until_us=None)
    )
    earliest_us = now_us + SITES_ANSWER_S * US_PER_S
    late = await session.execute(
        update(Incident).where(Incident.next_rung_us < earliest_us).values(next_rung_us=earliest_us)
    )
    return Restored(old.rowcount, late.rowcount)  # type: ignore[attr-defined]  # an UPDATE has them
