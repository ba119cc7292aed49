"""The audit: who did what to what, when, from where; append-only and chained by hash.

Each entry's hash covers its own content and the hash before it, so an entry that is altered, removed
or slipped in breaks the chain at that point. ``verify`` walks it. A cut-off end is found by comparing
the head with one noted elsewhere (``utaa registry verify --head HASH``).

Personal content can be taken out of an entry (``registry.personal.redaction``): its hash stays, a later
entry vouches for what remains of it, and its salt is gone, so that the hash betrays nothing.

``before`` and ``after`` never hold a personal field readable: write ``SEALED`` in its place. Actions of
``REASONED`` are refused without a reason.
"""

from __future__ import annotations

import hashlib
import json
import secrets
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
_SALT_BYTES: Final = 16
#: The action of an entry that vouches for others whose content was taken out: ``after`` is
#: ``{"entries": {id: seal}}``.
REDACTED: Final = "audit.redact"


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
            salt=new_salt(),
            previous_hash=previous,
        )
        row.hash = previous = digest(row)
        rows.append(row)
    session.add_all(rows)
    await session.flush()
    return rows


async def verify(session: AsyncSession, *, head: str | None = None) -> Verdict:
    """Walk the chain. With ``head``, that hash must still be in it (nothing after it was cut off)."""
    walk = _Walk(head)
    last_id = 0
    while True:
        query = select(AuditEntry).where(AuditEntry.id > last_id).order_by(AuditEntry.id).limit(_PAGE)
        page = (await session.scalars(query)).all()
        for entry in page:
            if (broken := walk.step(entry)) is not None:
                return broken
            last_id = entry.id
        if len(page) < _PAGE:
            return walk.end()
        session.expunge_all()


class _Walk:
    """One walk along the chain, with the redacted entries that no later one has vouched for yet."""

    def __init__(self, head: str | None) -> None:
        self._head = head
        self._head_seen = head in (None, GENESIS)
        self._previous = GENESIS
        self._count = 0
        self._unvouched: dict[int, str] = {}

    def step(self, entry: AuditEntry) -> Verdict | None:
        """None while it holds."""
        if entry.previous_hash != self._previous:
            return self._broken(entry.id, "an entry before it is missing or altered")
        if entry.redacted_us is not None:
            self._unvouched[entry.id] = seal_of(entry)
        elif entry.hash != digest(entry):
            return self._broken(entry.id, "its content was altered")
        elif entry.action == REDACTED:
            for own_id, seal in ((entry.after or {}).get("entries") or {}).items():
                if self._unvouched.get(int(own_id)) == seal:
                    del self._unvouched[int(own_id)]
        self._previous = entry.hash
        self._count += 1
        self._head_seen = self._head_seen or entry.hash == self._head
        return None

    def end(self) -> Verdict:
        if self._unvouched:
            return self._broken(min(self._unvouched), "its content was taken out and no entry says so")
        if not self._head_seen:
            text = "the given head is not in the chain: its end was cut off"
            return Verdict(self._count, self._previous, None, text)
        return Verdict(self._count, self._previous)

    def _broken(self, own_id: int, reason: str) -> Verdict:
        return Verdict(self._count, self._previous, own_id, reason)


def new_salt() -> str:
    """What makes an entry's hash say nothing of its content to who does not have the content."""
    return secrets.token_hex(_SALT_BYTES)


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
    if entry.salt is not None:
        content += [entry.salt]
    return hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()


def seal_of(entry: Any) -> str:
    """A hash of what remains of an entry whose content was taken out, and of its own hash."""
    content = [
        entry.id, entry.hash, entry.at_us, entry.redacted_us, entry.actor, entry.origin, entry.action,
        entry.object_kind, entry.object_id, entry.before, entry.after, entry.reason, entry.batch_id,
    ]  # fmt: skip
    return hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()
