"""Taking a file: uploaded, tried as often as one likes, applied, undone.

``upload`` keeps the file sealed; ``dry_run`` plans and writes nothing; ``apply`` plans again inside
its own transaction, so what others did meanwhile counts; ``undo`` puts back what nobody has changed
since and names the rest. An import is one transaction: it is there whole, or the rows that hold are,
or nothing is.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from registry import audit, editing
from registry.acts import Act
from registry.db import Database
from registry.importing.bulk import insert_many, put
from registry.importing.fields import Problem
from registry.importing.kinds import kind_named
from registry.importing.kinds.base import Kind, Known
from registry.importing.models import ImportRow, RegisterImport
from registry.importing.plan import Plan, Planned, Progress, plan_import
from registry.importing.readers import Sheet, read_sheet
from registry.rights import CONSOLE, Reach, require_somewhere
from registry.sealed import Keyring, Sealed
from registry.sites import Conflict, NoSuch

Mode = Literal["all", "rows"]
#: What uploads and repairs are sealed for.
CONTENT: Final = "register_import.content"
REPAIRS: Final = "register_import.repairs"
#: Records written at once; below every database's limit of bound values.
_CHUNK: Final = 1_000
#: New records after which PostgreSQL is told to look at its tables anew.
_MANY: Final = 1_000
#: What an import of no reason gives as one where the audit asks.
_UNDO: Final = "undo"


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
    file_wrong = any(not p.row and p.severity == "error" for p in plan.parsed.problems)
    if file_wrong or (mode == "all" and not plan.holds):
        raise ImportRefused(plan)
    act = Act(act.actor, act.now_us, act.origin, act.reason, batch_id=record.id)
    record.state, record.mode, record.applied_us = "applied", mode, act.now_us
    record.mapping, record.counts = plan.parsed.mapping, plan.counts
    record.content = record.repairs = None
    await session.flush()
    await _Writer(session, keyring, act, plan, record.id, progress).write()
    if plan.counts["create"] >= _MANY and session.get_bind().dialect.name == "postgresql":
        for table in (plan.kind.table.__tablename__, "search_word"):  # plans for an empty table are bad
            await session.execute(text(f"ANALYZE {table}"))
    await audit.append(
        session, actor=act.actor, origin=act.origin, action="register.import",
        object_kind="import", object_id=record.id, now_us=act.now_us, batch_id=record.id,
        after={"kind": record.kind, "file": record.file_name, "sha256": record.sha256, **plan.counts},
    )  # fmt: skip
    return plan


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
    async with database.write() as session:
        record = RegisterImport(
            id=new_id(), kind=kind, file_name=name[:200], sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content), state="uploaded", mode=mode, actor=act.actor.id,
            origin=act.origin, created_us=act.now_us, mapping={}, counts={},
        )  # fmt: skip
        set_choices(record, keyring, mapping=mapping, repairs=repairs)
        session.add(record)
        plan = await apply(session, keyring, act, record, sheet, mode=mode, progress=progress)
        return plan, record.id


class _Writer:
    """Writes a plan: new records, changed ones, and what the import did to each."""

    def __init__(
        self, session: AsyncSession, keyring: Keyring, act: Act, plan: Plan, import_id: str,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self._session = session
        self._keyring = keyring
        self._act = act
        self._plan = plan
        self._kind = plan.kind
        self._import_id = import_id
        self._position = 0
        self._tell = progress or (lambda _what, _done, _of: None)

    async def write(self) -> None:
        rows = [one for one in self._plan.rows if one.does in ("create", "change", "revive")]
        new = [one for one in rows if one.does == "create"]
        old = [one for one in rows if one.does != "create"]
        done = 0
        for group, write in ((new, self._create), (old, self._change)):
            for start in range(0, len(group), _CHUNK):
                chunk = group[start : start + _CHUNK]
                await write(chunk)
                done += len(chunk)
                self._tell("write", done, len(rows))
        self._tell("write", len(rows), len(rows))

    def _sealed(self, columns: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._keyring.seal(value, self._kind.sealed[name])
            if name in self._kind.sealed and value is not None
            else value
            for name, value in columns.items()
        }

    async def _create(self, chunk: list[Planned]) -> None:
        rows = []
        for one in chunk:
            defaults = self._kind.defaults(one.columns, self._plan.known)
            rows.append({**defaults, **self._sealed(one.columns), "id": one.object_id})
        records, audit_ids = await insert_many(self._session, self._act, self._kind.table, rows)
        await self._note(chunk, audit_ids, "created", [None] * len(chunk))
        await self._after(records, chunk)

    async def _after(self, records: Sequence[Any], chunk: list[Planned]) -> None:
        if self._kind.after is not None:
            pairs = [(record, one.values) for record, one in zip(records, chunk, strict=True)]
            await self._kind.after(self._session, self._plan.known, pairs)
        await self._session.flush()
        for made in list(self._session.identity_map.values()):
            if not isinstance(made, RegisterImport):
                self._session.expunge(made)

    async def _change(self, chunk: list[Planned]) -> None:
        table = self._kind.table
        ids = [one.object_id for one in chunk]
        found = {row.id: row for row in await self._session.scalars(
            select(table).where(table.id.in_(ids)).with_for_update())}  # fmt: skip
        entries, written, kept = [], [], []
        for one in chunk:
            record = found[one.object_id]
            before, after, sealed = self._differences(record, one)
            if not after:
                continue
            version = record.version
            for name, value in after.items():
                setattr(record, name, value)
            record.updated_us = self._act.now_us
            written.append((one, record, version, before, after))
            kept.append(sealed or None)
        await self._session.flush()
        for one, record, version, before, after in written:
            verb = "restore" if one.does == "revive" else "change"
            kind = self._kind.object_kind
            entries.append(
                audit.Entry(
                    f"{kind}.{verb}", kind, record.id,
                    before={**editing.plain(before), "version": version},
                    after={**editing.plain(after), "version": record.version},
                )
            )  # fmt: skip
        made = await audit.append_many(
            self._session, entries, actor=self._act.actor, origin=self._act.origin,
            now_us=self._act.now_us, reason=self._act.reason or f"import {self._import_id}",
            batch_id=self._act.batch_id,
        )  # fmt: skip
        await self._note([one for one, *_ in written], [entry.id for entry in made], "changed", kept)
        await self._after([found[one.object_id] for one in chunk], chunk)

    def _differences(
        self, record: Any, one: Planned
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
        columns = dict(one.columns)
        sealed = {}
        for name, purpose in self._kind.sealed.items():
            if name not in columns:
                continue
            stored: Sealed | None = getattr(record, name)
            if stored is not None and self._keyring.open(stored, purpose) == columns[name]:
                del columns[name]
                continue
            columns[name] = self._keyring.seal(columns[name], purpose)
            sealed[name] = stored.blob.hex() if stored is not None else ""
        if one.does == "revive":
            columns |= {"gone_us": None, "merged_into_id": None}
        if getattr(record, "status", None) == "unregistered":
            columns |= {"status": "in_service", "registered_us": self._act.now_us}
        after = {name: value for name, value in columns.items() if getattr(record, name) != value}
        return {name: getattr(record, name) for name in after}, after, sealed

    async def _note(
        self, rows: Sequence[Planned], audit_ids: list[int], action: str, sealed: Sequence[Any]
    ) -> None:
        values = []
        for one, audit_id, kept in zip(rows, audit_ids, sealed, strict=True):
            self._position += 1
            values.append(
                {"import_id": self._import_id, "position": self._position, "row": one.row.number,
                 "object_kind": self._kind.object_kind, "object_id": one.object_id,
                 "action": "revived" if one.does == "revive" else action,
                 "audit_id": audit_id, "sealed_before": kept}
            )  # fmt: skip
        await put(self._session, ImportRow, values)


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
