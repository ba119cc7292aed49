"""Taking personal content out of the audit while its chain of hashes still holds.

The entry keeps who did what to which record when, and its hash. Its content and its salt go, so the
hash says nothing of what was there. A new entry, chained as any other, vouches for what remains
(``audit.seal_of``), so a redaction that nobody ordered breaks the chain as any other change does.

Entries made before salts existed keep a hash without one: whoever has such a hash and all else of the
entry could try out what was there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import audit
from registry.acts import Act
from registry.models import AuditEntry

#: Entries redacted in one transaction, and vouched for by one entry.
BATCH: Final = 200
#: Stands where content was.
GONE: Final[dict[str, Any]] = {"erased": True}


class ChainBroken(Exception):
    """The entry does not match its hash: somebody altered it, so it is left as it is."""

    def __init__(self, own_id: int) -> None:
        super().__init__(f"entry {own_id} of the audit does not match its hash: run registry verify")
        self.own_id = own_id


async def redact(
    session: AsyncSession, act: Act, ids: Sequence[int], *, origin_only: bool = False
) -> int:
    """Take the content out of these entries (at most ``BATCH``), in the caller's transaction.

    ``origin_only``: the address somebody came from goes, what they did stays. Returns how many were
    changed. Raises ``ChainBroken``; nothing is redacted then.
    """
    wanted = select(AuditEntry).where(AuditEntry.id.in_(ids), AuditEntry.action != audit.REDACTED)
    rows = list(await session.scalars(wanted.order_by(AuditEntry.id)))
    seals: dict[str, str] = {}
    for row in rows:
        if row.redacted_us is None and row.hash != audit.digest(row):
            raise ChainBroken(row.id)
        if not _take_out(row, origin_only=origin_only):
            continue
        row.salt, row.redacted_us = None, act.now_us
        seals[str(row.id)] = audit.seal_of(row)
    await session.flush()
    if seals:
        await audit.append(
            session, actor=act.actor, origin=act.origin, action=audit.REDACTED, object_kind="audit",
            object_id=f"{len(seals)} entries", now_us=act.now_us, after={"entries": seals},
        )  # fmt: skip
    return len(seals)


def _take_out(row: AuditEntry, *, origin_only: bool) -> bool:
    """Whether there was something to take out."""
    had_origin = bool(row.origin)
    row.origin = ""
    if origin_only:
        return had_origin
    had = [row.before, row.after, row.reason]
    row.before = None if row.before is None else dict(GONE)
    row.after = None if row.after is None else dict(GONE)
    row.reason = None if row.reason is None else audit.SEALED
    return had_origin or had != [row.before, row.after, row.reason]
