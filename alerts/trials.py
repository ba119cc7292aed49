"""A technician's test alarm is told to nobody else.

Only what its site calls a test is looked at here (hazard ``test``). An incident of tests stays silent
while every lasting alarm of it falls into a trial of its own detector (``registry.fieldwork.trials``);
one that turns out to be real leaves the incident and opens another, of which everybody is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import AlarmRecord, Incident
from registry.fieldwork import trials
from registry.fieldwork.models import Trial


async def tried(session: AsyncSession, raised_us: Mapping[str, int], now_us: int) -> Collection[str]:
    """Which of the detectors (with when they raised a test) may have been in a technician's hands."""
    if not raised_us:
        return ()
    from_us = min(raised_us.values())
    return {one.detector_id for one in await trials.covering(session, list(raised_us), from_us, now_us)}


async def note_heard(
    session: AsyncSession, record: AlarmRecord, since_us: int, now_us: int
) -> Trial | None:
    """The trial that a test alarm belongs to, which now knows that it arrived; None: there is none."""
    found = await trials.covering(session, [record.detector_id], since_us, since_us)
    if not found:
        return None
    await trials.note_heard(session, found[0], record.id, record.kind, now_us)
    return found[0]


async def for_technician_alone(session: AsyncSession, incident: Incident) -> bool:
    """Whether an incident of tests has nothing that anybody but the technician made."""
    if incident.hazard != "test":
        return False
    rows = await session.execute(
        select(AlarmRecord.detector_id, AlarmRecord.raised_us).where(
            AlarmRecord.incident_id == incident.id,
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
        )
    )
    lasting = list(rows)
    for detector, raised_us in lasting:
        if not await trials.covering(session, [detector], raised_us, raised_us):
            return False
    return bool(lasting)
