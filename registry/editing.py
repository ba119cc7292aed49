"""Making, changing and ending records: one way for all, so that none goes without its audit entry.

A record is ``Versioned``. ``create`` writes all its edited columns into the audit, ``change`` what
differs, each with the version, so that ``history`` can tell any record as it was. Sealed values are
never written: ``audit.SEALED`` stands for them. Rules of a kind (what is unique, what refers to what)
are checked by its own service before it calls these.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from registry import acts, audit
from registry.acts import Act
from registry.models import AuditEntry
from registry.records import Versioned
from registry.sealed import Sealed
from registry.sites import Conflict, touch_site

_BATCH_BYTES: Final = 8


class ChangedMeanwhile(Exception):
    """Somebody changed the record since the editor read it.

    ``expected`` is the version they read and ``seen`` the record at it, where that is known.
    """

    def __init__(
        self,
        record: Any,
        expected: int,
        wanted: Mapping[str, Any] | None = None,
        seen: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{kind_of(record)} {record.id!r} has version {record.version}")
        self.record = record
        self.expected = expected
        self.wanted = plain(wanted or {})
        self.seen = seen


def kind_of(record: Versioned | type[Versioned]) -> str:
    """What the audit calls this kind of record."""
    return record.KIND or str(record.__tablename__)  # type: ignore[union-attr]  # every table has it


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values fit for JSON and for everybody who may see the audit: sealed ones are masked."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Sealed | bytes):
        return audit.SEALED
    return value.isoformat() if isinstance(value, date) else value


def values_of(record: Versioned) -> dict[str, Any]:
    """What people edit of a record, with its version; sealed values masked."""
    edited = plain({name: getattr(record, name) for name in record.EDITED})
    return {**edited, "version": record.version}


def check_version(
    record: Versioned, expected: int | None, wanted: Mapping[str, Any] | None = None
) -> None:
    """Raises ``ChangedMeanwhile`` if the record has another version than its editor saw.

    None: the editor says that any will do.
    """
    if expected is not None and record.version != expected:
        raise ChangedMeanwhile(record, expected, wanted)


async def create(session: AsyncSession, act: Act, record: Versioned) -> None:
    """Enter a new record."""
    session.add(record)
    await session.flush()
    await _tell_sites(session, record)
    kind = kind_of(record)
    await acts.record(session, act, f"{kind}.create", kind, _id(record), after=values_of(record))


async def create_many(
    session: AsyncSession, act: Act, records: Sequence[Versioned]
) -> list[AuditEntry]:
    """Enter new records at once, an entry each; the entries, in their order."""
    session.add_all(records)
    await session.flush()
    await _tell_sites(session, *records)
    entries = [
        audit.Entry(f"{kind_of(row)}.create", kind_of(row), _id(row), after=values_of(row))
        for row in records
    ]
    return await audit.append_many(
        session, entries, actor=act.actor, origin=act.origin, now_us=act.now_us,
        reason=act.reason, batch_id=act.batch_id,
    )  # fmt: skip


async def change(
    session: AsyncSession,
    act: Act,
    record: Versioned,
    wanted: Mapping[str, Any],
    *,
    verb: str = "change",
    note: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Set what differs; returns it as it now is. Nothing that differs: no entry, no new version.

    ``note``: more for the audit's ``after``, such as the evidence of a step.
    """
    after = {name: value for name, value in wanted.items() if getattr(record, name) != value}
    if not after:
        return {}
    before = {name: getattr(record, name) for name in after}
    version = record.version
    for name, value in after.items():
        setattr(record, name, value)
    record.updated_us = act.now_us
    await session.flush()
    await _tell_sites(session, record, before=before)
    kind = kind_of(record)
    await acts.record(
        session, act, f"{kind}.{verb}", kind, _id(record),
        before={**plain(before), "version": version},
        after={**plain(after), **(note or {}), "version": record.version},
    )  # fmt: skip
    return after


async def _tell_sites(
    session: AsyncSession, *records: Versioned, before: Mapping[str, Any] | None = None
) -> None:
    """The sites that hang on these records, now or before the change, have news."""
    told = {getattr(record, record.TELLS) for record in records if record.TELLS is not None}
    told |= {(before or {}).get(record.TELLS) for record in records if record.TELLS is not None}
    if sites := told - {None}:
        await touch_site(session, *sites)


async def note(
    session: AsyncSession, act: Act, record: Versioned, verb: str, after: Mapping[str, Any]
) -> None:
    """An entry about a record that changes none of its fields."""
    kind = kind_of(record)
    await acts.record(session, act, f"{kind}.{verb}", kind, _id(record), after=plain(after))


async def remove(session: AsyncSession, act: Act, record: Any) -> None:
    """Take a record out of every list; it stays readable with its history. Needs a reason."""
    if record.gone_us is not None:
        raise Conflict("id", "it is removed already")
    await change(session, act, record, {"gone_us": act.now_us}, verb="remove")


async def restore(session: AsyncSession, act: Act, record: Any) -> None:
    """Bring a removed record back. Needs a reason. Raises ``Conflict``."""
    if record.gone_us is None:
        raise Conflict("id", "it is not removed")
    if record.merged_into_id is not None:
        raise Conflict("id", "it was merged into another; that one has what it had")
    await change(session, act, record, {"gone_us": None}, verb="restore")


def new_batch() -> str:
    """An id for changes made by one hand at once."""
    return secrets.token_hex(_BATCH_BYTES)


def _id(record: Any) -> str:
    return str(record.id)
