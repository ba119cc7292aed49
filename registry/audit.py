"""The audit: who did what to what, when, from where; append-only and chained by hash.

Each entry's hash covers its own content and the hash before it, so an entry that is altered, removed
or slipped in breaks the chain at that point. ``verify`` walks it. A cut-off end is found by comparing
the head with one noted elsewhere (``utaa registry verify --head HASH``).

``before`` and ``after`` never hold a personal field readable: write ``SEALED`` in its place. Actions of
``REASONED`` are refused without a reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from registry.models import AuditEntry
from registry.rights import Actor

#: What the first entry has for a hash before it.
GENESIS: Final = "0" * 64
#: Stands for a personal or secret value.
SEALED: Final = "(sealed)"
#: PostgreSQL's advisory lock that makes appenders wait for each other; an arbitrary number of ours.
CHAIN_LOCK: Final = 7_561_776_101
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
#: Entries read at a time by ``verify``.
_PAGE: Final = 1000


#: Verbs that take something away or bend a rule: whoever does it says why.
REASONED: Final = frozenset(
    {"remove", "restore", "retire", "waive", "merge", "bulk", "undo", "replace"}
)
_MAX_REASON: Final = 500


class ReasonMissing(ValueError):
    """The action asks for a reason and none was given."""

    def __init__(self, action: str) -> None:
        super().__init__(f"{action}: say why (reason)")
        self.action = action


@dataclass(frozen=True)
class Entry:
    """An entry on its way in, for ``append_many``."""

    action: str
    object_kind: str
    object_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@dataclass(frozen=True)
class Verdict:
    """What ``verify`` found: how many entries hold, the last hash, and the first break if any."""

    entries: int
    head: str
    broken_at: int | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        return self.broken_at is None and self.reason is None


async def append(
    session: AsyncSession,
    *,
    actor: Actor,
    action: str,
    object_kind: str,
    object_id: str,
    now_us: int,
    origin: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str | None = None,
    batch_id: str | None = None,
) -> AuditEntry:
    """Add an entry inside the caller's write transaction. ``origin``: an address or ``console``.

    Raises ``ReasonMissing``.
    """
    entry = Entry(action, object_kind, object_id, before, after)
    made = await append_many(
        session, [entry], actor=actor, now_us=now_us, origin=origin, reason=reason, batch_id=batch_id
    )
    return made[0]


async def append_many(
    session: AsyncSession,
    entries: Sequence[Entry],
    *,
    actor: Actor,
    now_us: int,
    origin: str = "",
    reason: str | None = None,
    batch_id: str | None = None,
) -> list[AuditEntry]:
    """Add these in their order, all by the same hand; the rows have their ids. As ``append``."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})
    newest = select(AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)
    previous = await session.scalar(newest) or GENESIS
    why = (reason or "").strip()[:_MAX_REASON] or None
    rows = []
    for entry in entries:
        if why is None and entry.action.rpartition(".")[2] in REASONED:
            raise ReasonMissing(entry.action)
        row = AuditEntry(
            at_us=now_us,
            actor=actor.id,
            origin=origin,
            action=entry.action,
            object_kind=entry.object_kind,
            object_id=entry.object_id[:100],
            before=entry.before,
            after=entry.after,
            reason=why,
            batch_id=batch_id,
            previous_hash=previous,
        )
        row.hash = previous = digest(row)
        rows.append(row)
    session.add_all(rows)
    await session.flush()
    return rows


async def verify(session: AsyncSession, *, head: str | None = None) -> Verdict:
    """Walk the chain. With ``head``, that hash must still be in it (nothing after it was cut off)."""
    previous, count, last_id, head_seen = GENESIS, 0, 0, head in (None, GENESIS)
    while True:
        query = select(AuditEntry).where(AuditEntry.id > last_id).order_by(AuditEntry.id).limit(_PAGE)
        page = (await session.scalars(query)).all()
        for entry in page:
            if entry.previous_hash != previous:
                return Verdict(count, previous, entry.id, "an entry before it is missing or altered")
            if entry.hash != digest(entry):
                return Verdict(count, previous, entry.id, "its content was altered")
            previous, last_id, count = entry.hash, entry.id, count + 1
            head_seen = head_seen or previous == head
        if len(page) < _PAGE:
            break
        session.expunge_all()
    if not head_seen:
        return Verdict(count, previous, None, "the given head is not in the chain: its end was cut off")
    return Verdict(count, previous)


def digest(entry: Any) -> str:
    """The hash of an entry's content and of the hash before it."""
    content = [
        entry.previous_hash,
        entry.at_us,
        entry.actor,
        entry.origin,
        entry.action,
        entry.object_kind,
        entry.object_id,
        entry.before,
        entry.after,
    ]
    if entry.reason is not None or entry.batch_id is not None:  # older entries hash as they did
        content += [entry.reason, entry.batch_id]
    return hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()
