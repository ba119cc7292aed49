"""A site's list of its active alarms, where the city hears of them for the first time.

After days offline a site comes with a list before any event: in it are thousands of alarms that the
city never heard of. A part of the list with nothing but such alarms is applied like a batch of raises,
which take a dozen statements together; every other part goes alarm by alarm, in its order.
"""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents
from alerts.incidents import Applied
from alerts.models import AlarmRecord
from alerts.openings import Said, apply_alarms
from alerts.policy import DEFAULT_POLICY, Policy
from edge.wire.clock import EARLIEST_US, FUTURE_SLACK_US
from edge.wire.messages import Snapshot


async def apply_snapshot(
    session: AsyncSession,
    *,
    snapshot: Snapshot,
    now_us: int,
    new_epoch: bool,
    whole: bool = True,
    policy: Policy = DEFAULT_POLICY,
) -> list[Applied]:
    """Does what ``incidents.apply_snapshot`` does, with the same result."""
    opened: list[Applied] = []
    if await _is_all_news(session, snapshot, now_us):
        # a listed alarm is live however old it is, as is one whose age nobody knows
        said = [
            Said(snapshot.site, snapshot.epoch, alarm, "raise", None, True) for alarm in snapshot.active
        ]
        opened = await apply_alarms(session, said, now_us=now_us, policy=policy)
        snapshot = replace(snapshot, active=[])
    rest = await incidents.apply_snapshot(
        session, snapshot=snapshot, now_us=now_us, new_epoch=new_epoch, whole=whole, policy=policy
    )
    return opened + rest


async def _is_all_news(session: AsyncSession, snapshot: Snapshot, now_us: int) -> bool:
    """Whether the city knows none of the alarms, and their own times can be believed: then their
    ages, which a raise of unknown age does not have, are not needed."""
    listed = snapshot.active
    if len(listed) < 2 or not all(
        EARLIEST_US <= alarm.raised_us <= now_us + FUTURE_SLACK_US for alarm in listed
    ):
        return False
    known = await session.scalar(
        select(func.count())
        .select_from(AlarmRecord)
        .where(AlarmRecord.id.in_([alarm.id for alarm in listed]))
    )
    return not known
