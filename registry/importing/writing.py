"""A plan's rows on their way into the database, a chunk at a time.

``prepare`` does what needs no database and may run in a thread; ``write`` is one chunk inside the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import audit, editing
from registry.acts import Act
from registry.importing.bulk import Prepared, insert_prepared, prepare, put
from registry.importing.models import ImportRow, RegisterImport
from registry.importing.plan import Plan, Planned
from registry.sealed import Keyring, Sealed
from registry.sites import touch_site

#: Records of one chunk: on a slow machine about 0.3 s of a transaction.
CHUNK: Final = 500


class ChangedSincePlanned(Exception):
    """Somebody edited a record between the plan and its writing."""


@dataclass(frozen=True)
class Chunk:
    """Rows of one kind of writing; ``start`` counts the rows before them."""

    rows: list[Planned]
    new: bool
    start: int


@dataclass(frozen=True)
class Ready:
    """A chunk with what could be done without the database."""

    chunk: Chunk
    prepared: Prepared | None


class Writer:
    """Writes a plan: new records, changed ones, and what the import did to each."""

    def __init__(self, keyring: Keyring, act: Act, plan: Plan, import_id: str) -> None:
        self._keyring = keyring
        self._act = act
        self._plan = plan
        self._kind = plan.kind
        self._import_id = import_id
        rows = [one for one in plan.rows if one.does in ("create", "change", "revive")]
        self._new = [one for one in rows if one.does == "create"]
        self._old = [one for one in rows if one.does != "create"]

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def chunks(self) -> Iterator[Chunk]:
        """New records first, then changed ones."""
        for group, new, before in ((self._new, True, 0), (self._old, False, len(self._new))):
            for start in range(0, len(group), CHUNK):
                yield Chunk(group[start : start + CHUNK], new, before + start)

    def prepare(self, chunk: Chunk) -> Ready:
        """Whatever of a chunk needs no database; pure but for the seals' random numbers."""
        if not chunk.new:
            return Ready(chunk, None)
        rows = []
        for one in chunk.rows:
            defaults = self._kind.defaults(one.columns, self._plan.known)
            rows.append({**defaults, **self._sealed(one.columns), "id": one.object_id})
        return Ready(chunk, prepare(self._kind.table, rows))

    async def write(self, session: AsyncSession, ready: Ready, *, checked: bool) -> None:
        """Write a chunk. ``checked``: the plan was made in this very transaction.

        Raises ``IntegrityError`` or ``ChangedSincePlanned`` where somebody was faster.
        """
        if ready.prepared is None:
            await self._change(session, ready.chunk, checked)
            return
        ids = await insert_prepared(session, self._act, ready.prepared)
        await self._note(session, ready.chunk.rows, ready.chunk.start, ids, "created", None)
        records = [SimpleNamespace(**row) for row in ready.prepared.rows]
        await self._after(session, records, ready.chunk.rows)

    def _sealed(self, columns: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._keyring.seal(value, self._kind.sealed[name])
            if name in self._kind.sealed and value is not None
            else value
            for name, value in columns.items()
        }

    async def _after(self, session: AsyncSession, records: Sequence[Any], rows: list[Planned]) -> None:
        if self._kind.after is not None:
            pairs = [(record, one.values) for record, one in zip(records, rows, strict=True)]
            await self._kind.after(session, self._plan.known, pairs)
        await session.flush()
        for made in list(session.identity_map.values()):
            if not isinstance(made, RegisterImport):
                session.expunge(made)

    async def _change(self, session: AsyncSession, chunk: Chunk, checked: bool) -> None:
        table = self._kind.table
        ids = [one.object_id for one in chunk.rows]
        query = select(table).where(table.id.in_(ids)).with_for_update()
        found = {row.id: row for row in await session.scalars(query)}
        written, kept = [], []
        for one in chunk.rows:
            record = found[one.object_id]
            if not checked and record.version != one.version:
                raise ChangedSincePlanned
            before, after, sealed = self._differences(record, one)
            if not after:
                continue
            version = record.version
            for name, value in after.items():
                setattr(record, name, value)
            record.updated_us = self._act.now_us
            written.append((one, record, version, before, after))
            kept.append(sealed or None)
        await session.flush()
        left = {str(before[table.TELLS]) for *_, before, _ in written if before.get(table.TELLS)}
        if left:  # where they hung before: they are watched there no more
            await touch_site(session, *left)
        made = await audit.append_many(
            session, [self._entry(*one) for one in written], actor=self._act.actor,
            origin=self._act.origin, now_us=self._act.now_us,
            reason=self._act.reason or f"import {self._import_id}", batch_id=self._act.batch_id,
        )  # fmt: skip
        rows = [one for one, *_ in written]
        await self._note(session, rows, chunk.start, [entry.id for entry in made], "changed", kept)
        await self._after(session, [found[one.object_id] for one in chunk.rows], chunk.rows)

    def _entry(
        self, one: Planned, record: Any, version: int, before: dict[str, Any], after: dict[str, Any]
    ) -> audit.Entry:
        verb = "restore" if one.does == "revive" else "change"
        kind = self._kind.object_kind
        return audit.Entry(
            f"{kind}.{verb}", kind, record.id,
            before={**editing.plain(before), "version": version},
            after={**editing.plain(after), "version": record.version},
        )  # fmt: skip

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
        self, session: AsyncSession, rows: Sequence[Planned], start: int, audit_ids: list[int],
        action: str, sealed: Sequence[Any] | None,
    ) -> None:  # fmt: skip
        values = [
            {"import_id": self._import_id, "position": start + count, "row": one.row.number,
             "object_kind": self._kind.object_kind, "object_id": one.object_id,
             "action": "revived" if one.does == "revive" else action,
             "audit_id": audit_id, "sealed_before": sealed[count - 1] if sealed else None}
            for count, (one, audit_id) in enumerate(zip(rows, audit_ids, strict=True), 1)
        ]  # fmt: skip
        await put(session, ImportRow, values)
