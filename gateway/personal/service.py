"""A home's or a person's data across the rooms: everything held, and taking it out everywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from alerts import personal as alerts_part
from edge.wire.clock import rfc3339
from registry import acts
from registry.acts import Act
from registry.db import Database
from registry.personal import erasure, file, redaction
from registry.personal.subject import Kind, Subject, audit_ids, subject_of
from registry.sealed import Keyring

#: What is held elsewhere, told to whoever reads the file.
NOT_HERE: Final = (
    "measured values of the home's detectors: GET /api/v1/readings, kept for the city's retention_days",
    "backups: whole copies of the city, kept as long as the city says in its own rules",
    "what mail, SMS and messenger providers keep of the messages they carried",
)


@dataclass(frozen=True)
class Erasure:
    """What an erasure took out, or would."""

    kind: str
    id: str
    dry_run: bool
    homes: int
    people: int
    channels: int
    requests: int
    incidents: int
    audit_entries: int
    more: dict[str, int] = field(default_factory=dict)


async def file_of(
    session: AsyncSession, keyring: Keyring, act: Act, kind: Kind, own_id: str
) -> dict[str, Any]:
    """Everything held on the home or person; the reading is recorded first, in this transaction.

    The caller has checked the right. Raises ``NoSuch``.
    """
    subject = await subject_of(session, keyring, kind, own_id)
    await acts.record(session, act, f"{kind}.export", kind, own_id)
    return {
        "made": rfc3339(act.now_us),
        "about": {"kind": kind, "id": own_id},
        **await file.held(session, keyring, subject),
        **await alerts_part.held(session, subject),
        "not_in_this_file": list(NOT_HERE),
    }


async def erase(
    database: Database, keyring: Keyring, act: Act, kind: Kind, own_id: str, *, dry_run: bool = False
) -> Erasure:
    """Take the home or person out everywhere. Interrupted at any moment, it is simply run again.

    Raises ``NoSuch``, ``Conflict`` (an incident is open, detectors hang there), ``ChainBroken``.
    """
    async with database.read() as session:
        subject = await subject_of(session, keyring, kind, own_id)
        await erasure.check_free(session, subject)
        await alerts_part.check_closed(session, subject)
        incidents = await alerts_part.incident_ids(session, subject)
        entries = await audit_ids(session, subject, [("incident", each) for each in incidents])
    if dry_run:
        return _told(subject, len(incidents), len(entries), dry_run=True)
    redacted = 0
    for start in range(0, len(entries), redaction.BATCH):
        async with database.write() as session:
            batch = entries[start : start + redaction.BATCH]
            redacted += await redaction.redact(session, _plain(act), batch)
    async with database.write() as session:
        subject = await subject_of(session, keyring, kind, own_id)
        return await empty(session, keyring, act, subject, redacted=redacted)


async def empty(
    session: AsyncSession, keyring: Keyring, act: Act, subject: Subject, *, redacted: int = 0
) -> Erasure:
    """The rows, and the tombstone in the audit: that it was erased, by whom, and how much of what.

    Raises ``Conflict``.
    """
    told = await alerts_part.empty(session, subject)
    gone = await erasure.empty(session, keyring, act, subject)
    counts = {**asdict(gone), **told, "audit_entries": redacted}
    await acts.record(session, act, f"{subject.kind}.erase", subject.kind, subject.id, after=counts)
    more = {name: counts[name] for name in ("links", "others", "notifications", "deliveries")}
    return Erasure(
        subject.kind, subject.id, False, gone.homes, gone.people, gone.channels, gone.requests,
        told["incidents"], redacted, more,
    )  # fmt: skip


def _plain(act: Act) -> Act:
    """Redactions are vouched for without the reason: it may speak of the person."""
    return Act(act.actor, act.now_us, act.origin)


def _told(subject: Subject, incidents: int, entries: int, *, dry_run: bool) -> Erasure:
    return Erasure(
        subject.kind, subject.id, dry_run, len(subject.erased_homes), len(subject.contact_ids),
        len(subject.channel_ids), len(subject.request_ids), incidents, entries,
    )  # fmt: skip
