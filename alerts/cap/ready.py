"""CAP messages that are ready for dispatch: noted when the ladder asks for one, written when read.

The row says which message it is and refers to those before it; the words, which hold an opened
address, are made at the moment somebody with the right to see them asks.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import CapMessage, Incident, IncidentEntry


async def make_ready(session: AsyncSession, incident: Incident, now_us: int) -> CapMessage:
    """Note the next message of the incident: an Alert, then Updates; a Cancel if it was a mistake."""
    await session.flush()
    last: int = (
        await session.scalar(
            select(func.max(CapMessage.number)).where(CapMessage.incident_id == incident.id)
        )
    ) or 0
    kind = "Alert" if not last else "Cancel" if incident.cause in ("test", "fault") else "Update"
    row = CapMessage(
        incident_id=incident.id, number=last + 1, msg_type=kind, state=incident.state, sent_us=now_us
    )
    session.add(row)
    session.add(
        IncidentEntry(
            incident_id=incident.id, at_us=now_us, what="cap_ready", actor="",
            detail={"number": last + 1, "type": kind},
        )
    )  # fmt: skip
    await session.flush()
    return row


async def renew(session: AsyncSession, incident: Incident, now_us: int) -> CapMessage | None:
    """An Update or Cancel where an Alert was made before; nothing where dispatch heard nothing."""
    known = await session.scalar(
        select(CapMessage.id).where(CapMessage.incident_id == incident.id).limit(1)
    )
    return await make_ready(session, incident, now_us) if known is not None else None
