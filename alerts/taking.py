"""Who of the desk takes an incident, and what the desk writes into its story.

Inside the caller's transaction; who may do it, and the audit, are the caller's.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from alerts import plan
from alerts.incidents import IncidentError
from alerts.models import Incident

#: A note is a remark, not a report.
MAX_NOTE: Final = 1000
ASSIGNED: Final = "assigned"
NOTED: Final = "desk_note"


async def assign(
    session: AsyncSession, incident: Incident, person_id: str | None, actor: str, now_us: int
) -> bool:
    """Give it to that person; None: to nobody again. False if it was so. Raises: already_over."""
    if incident.state == "resolved":
        raise IncidentError("already_over", f"resolved before as {incident.cause}")
    if incident.assigned_to == person_id:
        return False
    incident.assigned_to = person_id
    incident.version += 1
    session.add(plan.note(incident, ASSIGNED, now_us, actor, to=person_id or ""))
    await session.flush()
    return True


async def write_note(
    session: AsyncSession, incident: Incident, text: str, actor: str, now_us: int
) -> None:
    """A remark for whoever reads the story. It names no resident: the page says so."""
    incident.version += 1
    session.add(plan.note(incident, NOTED, now_us, actor, text=text.strip()[:MAX_NOTE]))
    await session.flush()
