"""A whole khoroo at once: its silence or its power cut is one incident that names its cause.

The watcher of the sites (``gateway.supervise``) counts; here is what follows: one incident of the unit,
told to whoever answers for it. Sites of a unit with such an incident get none of their own.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import plan
from alerts.models import Incident
from alerts.policy import Area, Policy
from alerts.records import insert_first
from edge.wire.identity import new_id

#: What happened to the unit.
Cause = Literal["area_silent", "power_cut"]
#: An incident of a unit belongs to no site.
NO_SITE = "хороо"


def shares_a_cause(area: Area, affected: int, watched: int) -> bool:
    """Whether so many sites of one unit are no coincidence."""
    return affected >= area.at_least and affected >= area.share * watched


def is_over(area: Area, affected: int, watched: int) -> bool:
    """Well below what began it, so that it does not flicker."""
    return (affected < area.at_least and affected < area.share * watched) or affected == 0


def _key(unit_code: str) -> str:
    return f"unit:{unit_code}/site"


async def open_incidents(session: AsyncSession) -> dict[str, Incident]:
    """The open incidents of units, by unit code."""
    rows = await session.scalars(
        select(Incident).where(Incident.subject_kind == "unit", Incident.open_key.is_not(None))
    )
    return {row.subject_id: row for row in rows}


async def begin(
    session: AsyncSession, unit_code: str, cause: Cause, now_us: int, policy: Policy, **said: Any
) -> tuple[Incident, int]:
    """The unit's incident, opened if there is none; and how many notifications came of it."""
    found: Incident | None = await session.scalar(
        select(Incident).where(Incident.open_key == _key(unit_code)).with_for_update()
    )
    if found is not None:
        if cause != found.summary:  # first the power, then the silence: the first cause stays
            session.add(plan.note(found, "note", now_us, note=cause, **said))
        return found, 0
    incident = Incident(
        id=new_id(), open_key=_key(unit_code), subject_kind="unit", subject_id=unit_code,
        site_id=NO_SITE, household_id=None, unit_code=unit_code, hazard="site",
        alarm_class="trouble", state="opened", history=False, raised_us=now_us, opened_us=now_us,
        summary=cause, episode=1, rung=0, version=1,
    )  # fmt: skip
    if not await insert_first(session, incident):  # another worker was faster
        return await begin(session, unit_code, cause, now_us, policy, **said)
    session.add(plan.note(incident, "opened", now_us, cause=cause, **said))
    await session.flush()
    planned = await plan.tell(session, incident, policy.site, 0, cause, now_us)
    return incident, planned.notifications


async def end(session: AsyncSession, incident: Incident, now_us: int) -> None:
    """The unit is heard again."""
    incident.state, incident.cleared_us, incident.open_key = "all_clear", now_us, None
    incident.version += 1
    session.add(plan.note(incident, "all_clear", now_us))
    await plan.withdraw(session, incident, "over_before_due")
    await session.flush()
