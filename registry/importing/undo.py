"""An import taken back: each record as it was before, unless somebody changed it since.

Records that were new are removed (they stay readable), changed ones get back what they had. One that
was edited later, or that others hang on, is left alone and named with who edited it when.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from registry import audit, editing
from registry.acts import Act
from registry.cameras.models import Camera
from registry.db import Database
from registry.importing.kinds import kind_named
from registry.importing.kinds.base import Kind
from registry.importing.models import ImportRow, RegisterImport
from registry.importing.service import Kept, Undone
from registry.models import AuditEntry, Detector, Organisation
from registry.sealed import Sealed
from registry.sites import Conflict, touch_site

#: Later entries told of one record.
_TOLD: Final = 5
_CHUNK: Final = 500
#: An import that is ``applying`` for so long was cut off: the longest takes a few minutes.
_ABANDONED_US: Final = 15 * 60 * US_PER_S
#: Columns by which others hang on a record: kind → columns of living records.
_HANGING: Final[dict[str, tuple[Any, ...]]] = {
    "organisation": (Camera.organisation_id, Organisation.parent_id),
    "camera_model": (Camera.model_id,),
    "household": (Detector.household_id,),
}


async def undo(
    session: AsyncSession, act: Act, record: RegisterImport, *, confirmed: bool, dry: bool = False
) -> Undone:
    """Take the import back. ``confirmed``: even where some records must be left as they are.

    Not confirmed, and there are such: nothing is undone and they are told. Raises ``Conflict``.
    """
    left = record.state == "applying" and (record.applied_us or 0) < act.now_us - _ABANDONED_US
    if record.state not in ("applied", "partly_undone") and not left:
        raise Conflict("state", f"the import is {record.state}")
    kind = kind_named(record.kind)
    rows = list(
        await session.scalars(
            select(ImportRow)
            .where(ImportRow.import_id == record.id, ImportRow.action != "undone")
            .order_by(ImportRow.position.desc())
        )
    )
    free, kept = await _sorted_out(session, kind, rows)
    if dry or (kept and not confirmed):
        return Undone(len(free) if dry else 0, kept)
    act = Act(act.actor, act.now_us, act.origin, act.reason or f"undo of import {record.id}", record.id)
    for start in range(0, len(free), _CHUNK):
        await _put_back(session, act, kind, free[start : start + _CHUNK])
    record.state = "partly_undone" if kept else "undone"
    record.undone_us = act.now_us
    await audit.append(
        session, actor=act.actor, origin=act.origin, action="register.undo", object_kind="import",
        object_id=record.id, now_us=act.now_us, reason=act.reason, batch_id=record.id,
        after={"undone": len(free), "kept": len(kept)},
    )  # fmt: skip
    return Undone(len(free), kept)


async def take_back(database: Database, act: Act, import_id: str) -> None:
    """Take an import that failed midway out again, in short transactions; its upload stays.

    What somebody edited in the meantime is left alone.
    """
    reason = act.reason or f"import {import_id} failed"
    act = Act(act.actor, act.now_us, act.origin, reason, import_id)
    async with database.read() as session:
        record = await session.get(RegisterImport, import_id)
        query = select(ImportRow.position).where(ImportRow.import_id == import_id)
        places = list(await session.scalars(query.order_by(ImportRow.position.desc())))
    if record is None:
        return
    kind = kind_named(record.kind)
    for start in range(0, len(places), _CHUNK):
        chunk = places[start : start + _CHUNK]
        async with database.write() as session:
            wanted = select(ImportRow).where(
                ImportRow.import_id == import_id, ImportRow.position.in_(chunk)
            )
            rows = list(await session.scalars(wanted.order_by(ImportRow.position.desc())))
            free, _ = await _sorted_out(session, kind, rows)
            await _put_back(session, act, kind, free)
    async with database.write() as session:
        await session.execute(delete(ImportRow).where(ImportRow.import_id == import_id))
        kept = await session.get(RegisterImport, import_id)
        if kept is not None:
            kept.state = "uploaded" if kept.content is not None else "dropped"
            kept.applied_us = None
        await audit.append(
            session, actor=act.actor, origin=act.origin, action="register.import_failed",
            object_kind="import", object_id=import_id, now_us=act.now_us, reason=reason,
            batch_id=import_id, after={"taken_back": len(places)},
        )  # fmt: skip


_Found = tuple[ImportRow, Any, AuditEntry]


async def _sorted_out(
    session: AsyncSession, kind: Kind, rows: list[ImportRow]
) -> tuple[list[_Found], list[Kept]]:
    """Rows that can be undone, and those that cannot with the reason."""
    free: list[_Found] = []
    kept: list[Kept] = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        ids = [row.object_id for row in chunk]
        table = kind.table
        records = {r.id: r for r in await session.scalars(select(table).where(table.id.in_(ids)))}
        wanted = [row.audit_id for row in chunk]
        entries = {e.id: e for e in await session.scalars(
            select(AuditEntry).where(AuditEntry.id.in_(wanted)))}  # fmt: skip
        used = await _in_use(session, kind, [row.object_id for row in chunk if row.action == "created"])
        for row in chunk:
            found, entry = records.get(row.object_id), entries.get(row.audit_id or 0)
            if found is None or entry is None:
                kept.append(Kept(row.row, row.object_kind, row.object_id, "", "gone"))
                continue
            label = str(getattr(found, kind.label))
            if found.version != (entry.after or {}).get("version"):
                later = await _later(session, row, entry.id)
                kept.append(
                    Kept(row.row, row.object_kind, row.object_id, label, "changed_since", later)
                )
            elif row.object_id in used:
                kept.append(Kept(row.row, row.object_kind, row.object_id, label, "in_use"))
            else:
                free.append((row, found, entry))
    return free, kept


async def _later(session: AsyncSession, row: ImportRow, after_id: int) -> list[tuple[int, str, str]]:
    query = (
        select(AuditEntry.at_us, AuditEntry.actor, AuditEntry.action)
        .where(AuditEntry.object_id == row.object_id, AuditEntry.object_kind == row.object_kind,
               AuditEntry.id > after_id)
        .order_by(AuditEntry.id.desc()).limit(_TOLD)
    )  # fmt: skip
    return [(at_us, actor, action) for at_us, actor, action in await session.execute(query)]


async def _in_use(session: AsyncSession, kind: Kind, ids: list[str]) -> set[str]:
    """Of these new records, those on which a living record hangs that the import did not bring."""
    used: set[str] = set()
    for column in _HANGING.get(kind.object_kind, ()):
        table = column.class_
        query = select(column).where(column.in_(ids))
        if hasattr(table, "gone_us"):
            query = query.where(table.gone_us.is_(None))
        if table is kind.table:
            query = query.where(table.id.notin_(ids))
        used |= set(await session.scalars(query.distinct()))
    return used


async def _put_back(session: AsyncSession, act: Act, kind: Kind, found: list[_Found]) -> None:
    entries = []
    touched = set[str | None]()
    if not found:
        return
    for row, record, entry in found:
        wanted = _wanted(row, record, entry, act.now_us)
        before = {name: getattr(record, name) for name in wanted}
        version = record.version
        for name, value in wanted.items():
            setattr(record, name, value)
        record.updated_us = act.now_us
        row.action = "undone"
        entries.append((record, before, wanted, version))
        touched |= {before.get("site_id"), getattr(record, "site_id", None)}
    await session.flush()
    name = kind.object_kind
    await audit.append_many(
        session,
        [
            audit.Entry(
                f"{name}.undo", name, record.id,
                before={**editing.plain(before), "version": version},
                after={**editing.plain(wanted), "version": record.version},
            )
            for record, before, wanted, version in entries
        ],
        actor=act.actor, origin=act.origin, now_us=act.now_us, reason=act.reason, batch_id=act.batch_id,
    )  # fmt: skip
    if kind.object_kind in ("household", "detector", "camera"):
        await touch_site(session, *{site for site in touched if site})


def _wanted(row: ImportRow, record: Any, entry: AuditEntry, now_us: int) -> dict[str, Any]:
    if row.action == "created":
        return {"status": "retired"} if not hasattr(record, "gone_us") else {"gone_us": now_us}
    columns = {column.key for column in record.__table__.columns}
    wanted = {
        name: value
        for name, value in (entry.before or {}).items()
        if name in columns and name != "version" and value != audit.SEALED
    }
    for name, blob in (row.sealed_before or {}).items():
        wanted[name] = Sealed(bytes.fromhex(blob)) if blob else None
    return wanted


async def count_rows(session: AsyncSession, import_id: str) -> int:
    """Records that the import touched and that were not undone."""
    query = select(func.count()).where(ImportRow.import_id == import_id, ImportRow.action != "undone")
    return await session.scalar(query) or 0
