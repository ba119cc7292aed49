"""A cut of the fibre plant: one incident that names its cause, in place of one for each camera.

``gateway.fibre`` finds the cut; here is what follows. The incident takes over the troubles of the
cameras and the silences of the sites it explains, and never anything else: a smoke or CO alarm of a
home behind the cut stays what it is. Planned work has its incident from the day it is announced: whom
it affects is told beforehand, and the faults it causes join it and nobody is woken for them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience, incidents, plan
from alerts.audience import Person
from alerts.models import AlarmRecord, Delivery, Incident, Notification
from alerts.policy import MessageKind, Policy, due
from alerts.records import insert_first
from edge.wire.identity import cameras_id, new_id

#: What a cut can explain; nothing of class alarm or supervisory is ever among it.
EXPLAINED = ("camera_offline",)
#: An incident of the plant belongs to no site.
NO_SITE = "шилэн"
#: Ids in one IN (…).
_CHUNK = 500
#: Homes told of one planned work; a larger work is announced by other means too.
MAX_TOLD = 5000


async def begin(
    session: AsyncSession, outage_id: str, summary: str, now_us: int, policy: Policy, *,
    unit_code: str | None = None, quiet: bool = False, **said: Any,
) -> tuple[Incident, int]:  # fmt: skip
    """Open the cut's incident; how many notifications came of it. ``quiet``: nobody is told now."""
    key = f"fibre:{outage_id}/site"
    found: Incident | None = await session.scalar(
        select(Incident).where(Incident.open_key == key).with_for_update()
    )
    if found is not None:
        return found, 0
    incident = Incident(
        id=new_id(), open_key=key, subject_kind="fibre", subject_id=outage_id, site_id=NO_SITE,
        household_id=None, unit_code=unit_code, hazard="site", alarm_class="trouble", state="opened",
        history=False, raised_us=now_us, opened_us=now_us, summary=summary[:500], episode=1, rung=0,
        version=1,
    )  # fmt: skip
    if not await insert_first(session, incident):  # another worker was faster
        return await begin(session, outage_id, summary, now_us, policy, quiet=quiet, **said)
    session.add(plan.note(incident, "opened", now_us, **said))
    await session.flush()
    if quiet:
        return incident, 0
    planned = await plan.tell(
        session, incident, policy.site, 0, "fibre_cut", now_us, at_once=True, values=_told(said)
    )
    return incident, planned.notifications


def _told(said: dict[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in ("cameras", "homes") if name in said}


async def update(
    session: AsyncSession, incident: Incident, summary: str, now_us: int, **said: Any
) -> None:
    """What is known of the cut has changed."""
    incident.summary = summary[:500]
    incident.version += 1
    session.add(plan.note(incident, "note", now_us, **said))
    await session.flush()


async def take_over(
    session: AsyncSession, incident: Incident, cameras: Collection[str], sites: Collection[str],
    now_us: int, policy: Policy,
) -> int:  # fmt: skip
    """Join the troubles that the cut explains; how many there were."""
    ids = sorted({*cameras, *(cameras_id(site) for site in sites)})
    taken = 0
    for start in range(0, len(ids), _CHUNK):
        records = await session.scalars(
            select(AlarmRecord)
            .where(
                AlarmRecord.detector_id.in_(ids[start : start + _CHUNK]),
                AlarmRecord.kind.in_(EXPLAINED),
                AlarmRecord.cleared_us.is_(None),
                AlarmRecord.abandoned_us.is_(None),
                (AlarmRecord.incident_id.is_(None)) | (AlarmRecord.incident_id != incident.id),
            )
            .order_by(AlarmRecord.id)
            .with_for_update()
        )
        for record in records.all():
            await incidents.hand_over(session, record, incident, now_us, policy)
            taken += 1
    for site in sorted(sites):
        taken += await incidents.cover_site(session, site, incident, now_us, policy)
    return taken


async def end(session: AsyncSession, incident: Incident, now_us: int, policy: Policy) -> int:
    """The cut is mended. What of it still lasts is told by itself again; how many that are."""
    incident.state, incident.cleared_us, incident.open_key = "all_clear", now_us, None
    incident.version += 1
    session.add(plan.note(incident, "all_clear", now_us))
    await plan.withdraw(session, incident, "over_before_due")
    left = await session.scalars(
        select(AlarmRecord)
        .where(
            AlarmRecord.incident_id == incident.id,
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
        )
        .order_by(AlarmRecord.id)
        .with_for_update()
    )
    freed = 0
    for record in left.all():
        await incidents.set_free(session, record, now_us, policy)
        freed += 1
    await session.flush()
    return freed


async def still_silent(session: AsyncSession, site_id: str, now_us: int, policy: Policy) -> None:
    """A site that did not come back with the others is told by itself."""
    await incidents.site_event(session, site_id, "silent", now_us, policy=policy)


async def announce(
    session: AsyncSession, incident: Incident, households: Collection[str], message: MessageKind,
    now_us: int, policy: Policy, values: dict[str, Any],
) -> int:  # fmt: skip
    """Tell the first contact of each household, once, by day; how many are told."""
    people = await audience.first_of_households(session, sorted(households)[:MAX_TOLD])
    return await announce_to(session, incident, people, message, now_us, policy, values)


async def announce_to(
    session: AsyncSession, incident: Incident, people: Collection[Person], message: MessageKind,
    now_us: int, policy: Policy, values: dict[str, Any],
) -> int:  # fmt: skip
    """Tell these people once, by day, as what can wait; how many are told."""
    when = due(policy.site, now_us, None)
    notifications, deliveries = plan.rows(
        incident.id, incident.episode, people, policy.site, 0, message, when, now_us, values=values
    )
    if notifications:
        await session.execute(insert(Notification), notifications)
        await session.execute(insert(Delivery), deliveries)
    session.add(
        plan.note(incident, "planned", now_us, message=message, notifications=len(notifications))
    )
    await session.flush()
    return len(notifications)
