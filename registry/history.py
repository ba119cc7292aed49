"""A record's past, told by the audit: every entry of it, and the record as it was on a day.

The past is walked backwards from the record as it is: each entry's ``before`` undoes it. So a record
whose making was never written (an import of older days) still has a past as far as it was written.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.editing import kind_of, values_of
from registry.models import AuditEntry

#: Entries of one record read for its past; a record edited more often tells its nearer past only.
MAX_ENTRIES: Final = 10_000


async def entries_of(
    session: AsyncSession, kind: str, object_id: str, *, before_id: int | None = None, limit: int
) -> list[AuditEntry]:
    """The record's entries, newest first, ``limit`` at a time before the entry ``before_id``."""
    query = select(AuditEntry).where(AuditEntry.object_id == object_id, AuditEntry.object_kind == kind)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return list(await session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)))


async def as_of(session: AsyncSession, record: Any, at_us: int) -> dict[str, Any] | None:
    """What people edit of the record as it was at that time; None: it was not there yet.

    Sealed fields are masked, as in the audit.
    """
    if at_us < (getattr(record, "created_us", None) or 0):
        return None
    state = values_of(record)
    for entry in await entries_of(session, kind_of(record), str(record.id), limit=MAX_ENTRIES):
        if entry.at_us <= at_us:
            break
        if entry.action.endswith(".create"):
            return None
        _undo(state, entry)
    return state


async def at_version(session: AsyncSession, record: Any, version: int) -> dict[str, Any] | None:
    """As ``as_of``, at a version; None where the audit does not reach back to it."""
    state = values_of(record)
    for entry in await entries_of(session, kind_of(record), str(record.id), limit=MAX_ENTRIES):
        if state["version"] <= version:
            break
        _undo(state, entry)
    return state if state["version"] == version else None


def _undo(state: dict[str, Any], entry: AuditEntry) -> None:
    for name, value in (entry.before or {}).items():
        if name in state:
            state[name] = value
