"""Taking a file: uploaded, tried as often as one likes, applied, undone.

``upload`` keeps the file sealed; ``dry_run`` plans and writes nothing; ``undo`` puts back what nobody
has changed since and names the rest. ``take`` applies: a short file is planned again and written in
one transaction; a long one is written in many short ones, so that alarms and people get their turn,
and is taken back as a whole where one of them fails.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from registry import audit
from registry.acts import Act
from registry.db import Database
from registry.importing.fields import Problem
from registry.importing.kinds import kind_named
from registry.importing.kinds.base import Kind, Known
from registry.importing.models import RegisterImport
from registry.importing.plan import Plan, Progress, plan_import
from registry.importing.progress import kept as kept_progress
from registry.importing.readers import Sheet, read_sheet
from registry.importing.writing import ChangedSincePlanned, Writer
from registry.rights import CONSOLE, Reach, require_somewhere
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch

Mode = Literal["all", "rows"]
#: What uploads and repairs are sealed for.
CONTENT: Final = "register_import.content"
REPAIRS: Final = "register_import.repairs"
#: Rows up to which a file is one transaction.
AT_ONCE: Final = 1_000
#: New records after which the database is told to look at its tables anew.
_MANY: Final = 1_000


class Interfered(Conflict):
    """Others changed the same records while a long file was written; all of it was taken back."""


class ImportRefused(Exception):
    """The file holds mistakes and all of it was wanted; nothing was taken."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(f"{plan.parsed.errors} mistakes; nothing was taken")
        self.plan = plan

    @property
    def problems(self) -> list[Problem]:
        return self.plan.parsed.problems


@dataclass(frozen=True)
class Kept:
    """A record that an undo leaves alone: somebody changed it since, or something hangs on it."""

    row: int
    object_kind: str
    object_id: str
    label: str
    reason: Literal["changed_since", "in_use", "gone"]
    #: the later entries of the audit: when (µs), who, what
    later: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Undone:
    """What an undo did, or would do."""

    undone: int
    kept: list[Kept]


async def upload(
    session: AsyncSession, keyring: Keyring, act: Act, kind: str, name: str, content: bytes,
    *, checked: bool = False,
) -> RegisterImport:  # fmt: skip
    """Keep a file for an import. Raises ``FileRefused`` or ``ValueError`` (kind).

    ``checked``: the caller has read it already.
    """
    kind_named(kind)
    if not checked:
        read_sheet(content, name)
    record = RegisterImport(
        id=new_id(), kind=kind, file_name=name[:200], sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content), state="uploaded", mode="all", actor=act.actor.id, origin=act.origin,
        created_us=act.now_us, mapping={}, counts={},
        content=keyring.seal(base64.b64encode(content).decode(), CONTENT), repairs=None,
    )  # fmt: skip
    session.add(record)
    await session.flush()
    return record


def set_choices(
    record: RegisterImport, keyring: Keyring, *,
    mapping: Mapping[str, str | None] | None, repairs: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    """Which heading is which field, and cells put right. Raises ``Conflict`` once it was applied."""
    if record.state != "uploaded":
        raise Conflict("state", f"the import is {record.state}")
    if mapping is not None:
        record.mapping = dict(mapping)
    if repairs is not None:
        record.repairs = keyring.seal(json.dumps(dict(repairs), ensure_ascii=False), REPAIRS)


def sheet_of(record: RegisterImport, keyring: Keyring) -> Sheet:
    """The uploaded file again. Raises ``Conflict`` when it is gone."""
    if record.content is None:
        raise Conflict("state", f"the import is {record.state}; its file is not kept")
    content = base64.b64decode(keyring.open(record.content, CONTENT))
    return read_sheet(content, record.file_name)


def known_for(kind: Kind, keyring: Keyring, act: Act, import_id: str = "") -> Known:
    """What a plan starts from. Raises ``Forbidden`` where the actor may not write this kind."""
    reach = Reach(True) if act.actor is CONSOLE else require_somewhere(act.actor, kind.action)
    return Known(keyring, reach, act.now_us, act.actor.id, import_id)


async def dry_run(
    session: AsyncSession, keyring: Keyring, act: Act, record: RegisterImport, sheet: Sheet,
    progress: Progress | None = None,
) -> Plan:  # fmt: skip
    """What applying the import would do now."""
    kind = kind_named(record.kind)
    repairs = json.loads(keyring.open(record.repairs, REPAIRS)) if record.repairs else {}
    known = known_for(kind, keyring, act, record.id)
    return await plan_import(
        session, kind, sheet, known, mapping=record.mapping, repairs=repairs, progress=progress
    )


async def apply(
    session: AsyncSession, keyring: Keyring, act: Act, record: RegisterImport, sheet: Sheet,
    *, mode: Mode = "all", progress: Progress | None = None,
) -> Plan:  # fmt: skip
    """Take the file inside the caller's transaction. Raises ``ImportRefused``, ``Conflict``."""
    if record.state != "uploaded":
        raise Conflict("state", f"the import is {record.state}")
    plan = await dry_run(session, keyring, act, record, sheet, progress)
    _check(plan, mode)
    act = Act(act.actor, act.now_us, act.origin, act.reason, batch_id=record.id)
    record.state, record.mode, record.applied_us = "applied", mode, act.now_us
    record.mapping, record.counts = plan.parsed.mapping, plan.counts
    record.content = record.repairs = None
    await session.flush()
    writer = Writer(keyring, act, plan, record.id)
    for chunk in writer.chunks():
        ready = await asyncio.to_thread(writer.prepare, chunk)
        await writer.write(session, ready, checked=True)
        if progress is not None:
            progress("write", chunk.start + len(chunk.rows), len(writer))
    await _note(session, act, record)
    return plan


def _check(plan: Plan, mode: Mode) -> None:
    file_wrong = any(not p.row and p.severity == "error" for p in plan.parsed.problems)
    if file_wrong or (mode == "all" and not plan.holds):
        raise ImportRefused(plan)


async def _note(session: AsyncSession, act: Act, record: RegisterImport) -> None:
    await audit.append(
        session, actor=act.actor, origin=act.origin, action="register.import", object_kind="import",
        object_id=record.id, now_us=act.now_us, batch_id=record.id,
        after={"kind": record.kind, "file": record.file_name, "sha256": record.sha256, **record.counts},
    )  # fmt: skip


async def import_bytes(
    database: Database, keyring: Keyring, act: Act, kind: str, name: str, content: bytes, sheet: Sheet,
    *, mode: Mode = "all", dry: bool = False, mapping: Mapping[str, str | None] | None = None,
    repairs: Mapping[str, Any] | None = None, progress: Progress | None = None,
) -> tuple[Plan, str | None]:  # fmt: skip
    """A file in one go, as the console does it: the plan, and the import's id unless it was a trial."""
    chosen = kind_named(kind)
    if dry:
        async with database.read() as session:
            known = known_for(chosen, keyring, act)
            return await plan_import(session, chosen, sheet, known, mapping=mapping, repairs=repairs,
                                     progress=progress), None  # fmt: skip
    record = RegisterImport(
        id=new_id(), kind=kind, file_name=name[:200], sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content), state="uploaded", mode=mode, actor=act.actor.id,
        origin=act.origin, created_us=act.now_us, mapping={}, counts={},
    )  # fmt: skip
    set_choices(record, keyring, mapping=mapping, repairs=repairs)
    if len(sheet.rows) > AT_ONCE:
        return await _in_parts(database, keyring, act, record, sheet, mode, progress), record.id
    async with database.write() as session:
        session.add(record)
        plan = await apply(session, keyring, act, record, sheet, mode=mode, progress=progress)
        return plan, record.id


async def take(
    database: Database, keyring: Keyring, act: Act, import_id: str, sheet: Sheet,
    *, mode: Mode = "all", progress: Progress | None = None,
) -> tuple[RegisterImport, Plan]:  # fmt: skip
    """Apply an upload: a short file in one transaction, a long one in parts.

    Raises ``ImportRefused``, ``Conflict``, ``NoSuch``, ``Interfered``.
    """
    if len(sheet.rows) <= AT_ONCE:
        async with database.write() as session:
            record = await get_import(session, import_id, lock=True)
            plan = await apply(session, keyring, act, record, sheet, mode=mode, progress=progress)
            return record, plan
    async with database.read() as session:
        record = await get_import(session, import_id)
    if record.state != "uploaded":
        raise Conflict("state", f"the import is {record.state}")
    plan = await _in_parts(database, keyring, act, record, sheet, mode, progress)
    async with database.read() as session:
        return await get_import(session, import_id), plan


async def _in_parts(
    database: Database, keyring: Keyring, act: Act, record: RegisterImport, sheet: Sheet,
    mode: Mode, progress: Progress | None,
) -> Plan:  # fmt: skip
    """A long file: planned beside all others, written in short transactions, taken back if one fails.

    So nobody waits longer than for one chunk. Meanwhile readers see the part that is there, and how far
    it is; what a crash leaves behind has the state ``applying`` and is taken back by an undo.
    """
    async with kept_progress(database, record.id, act.now_us, progress) as tell:
        return await _written(database, keyring, act, record, sheet, mode, tell)


async def _written(
    database: Database, keyring: Keyring, act: Act, record: RegisterImport, sheet: Sheet,
    mode: Mode, progress: Progress,
) -> Plan:  # fmt: skip
    async with database.read() as session:
        plan = await dry_run(session, keyring, act, record, sheet, progress)
    _check(plan, mode)
    act = Act(act.actor, act.now_us, act.origin, act.reason, batch_id=record.id)
    async with database.write() as session:
        kept = await session.get(RegisterImport, record.id, with_for_update=True)
        if kept is None:
            kept = record
            session.add(record)
        if kept.state != "uploaded":
            raise Conflict("state", f"the import is {kept.state}")
        kept.state, kept.mode, kept.applied_us = "applying", mode, act.now_us
        kept.mapping, kept.counts = plan.parsed.mapping, plan.counts
    writer = Writer(keyring, act, plan, record.id)
    try:
        for chunk in writer.chunks():
            ready = await asyncio.to_thread(writer.prepare, chunk)
            async with database.write() as session:
                await writer.write(session, ready, checked=False)
            progress("write", chunk.start + len(chunk.rows), len(writer))
    except BaseException as error:
        await asyncio.shield(_take_back(database, act, record.id))
        if isinstance(error, IntegrityError | ChangedSincePlanned):
            raise Interfered("register", "somebody changed the same records meanwhile; "
                             "nothing was taken, import the file again") from None  # fmt: skip
        raise
    async with database.write() as session:
        kept = await get_import(session, record.id, lock=True)
        kept.state, kept.content, kept.repairs = "applied", None, None
        await _note(session, act, kept)
    await _look_anew(database, plan)
    return plan


async def _take_back(database: Database, act: Act, import_id: str) -> None:
    from registry.importing.undo import take_back  # it needs this module

    await take_back(database, act, import_id)


async def _look_anew(database: Database, plan: Plan) -> None:
    """Plans for tables that were empty a moment ago are bad ones."""
    if plan.counts["create"] < _MANY:
        return
    async with database.engine.connect() as plain:
        connection = await plain.execution_options(utaa_write=True)
        async with connection.begin():
            if database.is_sqlite:  # samples are enough, and take no time
                await connection.exec_driver_sql("PRAGMA analysis_limit = 1000")
            for table in (plan.kind.table.__tablename__, "search_word"):
                await connection.exec_driver_sql(f"ANALYZE {table}")


async def get_import(session: AsyncSession, import_id: str, *, lock: bool = False) -> RegisterImport:
    """Raises ``NoSuch``."""
    record = await session.get(RegisterImport, import_id, with_for_update=lock or None)
    if record is None:
        raise NoSuch("import", import_id)
    return record


async def drop(session: AsyncSession, record: RegisterImport) -> None:
    """Forget an upload that is not wanted. Raises ``Conflict``."""
    if record.state != "uploaded":
        raise Conflict("state", f"the import is {record.state}")
    record.state, record.content, record.repairs = "dropped", None, None
    await session.flush()
