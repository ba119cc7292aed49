"""New records by the thousand: what ``editing.create_many`` writes, without an object for each.

The same columns, the same audit entries and chain, the same words for search; a test holds the two
against each other. ``prepare`` does whatever needs no database, so that the transaction is short:
rows go in as the driver takes them, by COPY on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import asyncpg
from sqlalchemy import Dialect, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from registry import audit, editing
from registry.acts import Act
from registry.models import AuditEntry
from registry.search.models import SearchWord
from registry.search.text import entries_of, searchable, sort_key
from registry.search.vocabulary import remember


@dataclass(frozen=True)
class Prepared:
    """New records ready to be written: whole rows, their words, their audit entries."""

    table: Any
    rows: list[dict[str, Any]]
    words: list[dict[str, str]]
    entries: list[audit.Entry]


def prepare(table: Any, rows: Sequence[dict[str, Any]]) -> Prepared:
    """Complete new rows with their columns' defaults, search words and audit entries; pure."""
    whole = [_described(table, {**_defaults(table), **row}) for row in rows]
    kind = str(table.__tablename__)
    words = [
        {"kind": kind, "word": word, "object_id": row["id"]}
        for row in whole
        if "search_text" in row
        for word in entries_of(row["search_text"])
    ]
    words.sort(key=lambda entry: entry["word"])  # neighbours in the index are written together
    kind = editing.kind_of(table)
    entries = []
    for row in whole:
        after = editing.plain({name: row[name] for name in table.EDITED})
        entries.append(audit.Entry(f"{kind}.create", kind, row["id"], after={**after, "version": 1}))
    return Prepared(table, whole, words, entries)


async def insert_prepared(session: AsyncSession, act: Act, prepared: Prepared) -> list[int]:
    """Write them; the ids of their audit entries. Raises ``IntegrityError``."""
    await put(session, prepared.table, prepared.rows)
    await put(session, SearchWord, prepared.words)
    if prepared.words:
        words = [(word["kind"], word["word"]) for word in prepared.words]
        await (await session.connection()).run_sync(remember, words)
    return await _append(session, act, prepared.entries)


async def insert_many(
    session: AsyncSession, act: Act, table: Any, rows: Sequence[dict[str, Any]]
) -> tuple[list[SimpleNamespace], list[int]]:
    """Enter new records, an audit entry each; the records' columns, and their entries' ids."""
    prepared = prepare(table, rows)
    ids = await insert_prepared(session, act, prepared)
    return [SimpleNamespace(**row) for row in prepared.rows], ids


async def put(session: AsyncSession, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as they are into a table, past the ORM. All have the same columns.

    Raises ``IntegrityError``.
    """
    if not rows:
        return
    await session.flush()
    connection = await session.connection()
    missing = {name: value for name, value in _defaults(table).items() if name not in rows[0]}
    missing = {name: value for name, value in missing.items() if name not in _own_numbers(table)}
    names = (*rows[0], *missing)
    bound = [_binder(table, name, connection.dialect) for name in names]
    records = []
    for row in rows:
        full = {**row, **missing}
        records.append(
            tuple(
                full[name] if bind is None else bind(full[name])
                for name, bind in zip(names, bound, strict=True)
            )
        )
    if connection.dialect.name == "postgresql":
        await _copy(connection, table, names, records)
        return
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(names))
    await connection.exec_driver_sql(  # names of our own tables and columns
        f'INSERT INTO "{table.__tablename__}" ({columns}) VALUES ({marks})',  # noqa: S608
        records,
    )  # fmt: skip


async def _copy(
    connection: AsyncConnection, table: Any, names: Sequence[str], records: list[tuple[Any, ...]]
) -> None:
    await connection.execute(text("SELECT 1"))  # the driver begins its transaction with a statement
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    try:
        await driver.copy_records_to_table(
            str(table.__tablename__), records=records, columns=list(names)
        )
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError("COPY", None, error) from None


@lru_cache(maxsize=512)
def _binder(table: Any, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    """What a column's values go through on their way into the database."""
    kind = table.__table__.columns[name].type
    bind: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return bind


@lru_cache(maxsize=32)
def _own_numbers(table: Any) -> frozenset[str]:
    """Columns that the database numbers by itself."""
    column = table.__table__.autoincrement_column
    return frozenset() if column is None else frozenset({column.key})


def _defaults(table: Any) -> dict[str, Any]:
    """The columns' own defaults, fresh lists and dicts for each row."""
    values: dict[str, Any] = {}
    for column in table.__table__.columns:
        default = column.default
        values[column.key] = None
        if default is not None and default.is_scalar:
            values[column.key] = default.arg
        elif default is not None and default.is_callable and column.key != "id":
            values[column.key] = default.arg({})
    return values


def _described(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    if getattr(table, "SEARCHED", ()):
        row["search_text"] = searchable(*(_text(row[name]) for name in table.SEARCHED))
    if getattr(table, "SORTED", ""):
        row["sort_key"] = sort_key(_text(row[table.SORTED]) or "")
    return row


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return None if value is None else str(value)


async def _append(session: AsyncSession, act: Act, entries: Sequence[audit.Entry]) -> list[int]:
    """As ``audit.append_many``, past the ORM; the entries' ids."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": audit.CHAIN_LOCK})
    newest = select(AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)
    previous = await session.scalar(newest) or audit.GENESIS
    ids = await _next_ids(session, len(entries), on_postgresql)
    rows = []
    for own_id, entry in zip(ids, entries, strict=True):
        row: dict[str, Any] = {
            "id": own_id, "at_us": act.now_us, "actor": act.actor.id, "origin": act.origin,
            "action": entry.action, "object_kind": entry.object_kind,
            "object_id": entry.object_id[:100], "before": entry.before, "after": entry.after,
            "reason": act.reason, "batch_id": act.batch_id, "previous_hash": previous,
            "salt": audit.new_salt(),
        }  # fmt: skip
        row["hash"] = previous = audit.digest(SimpleNamespace(**row))
        rows.append(row)
    await put(session, AuditEntry, rows)
    return ids


async def _next_ids(session: AsyncSession, count: int, on_postgresql: bool) -> list[int]:
    """Numbers of the next entries. The chain's lock, or SQLite's one writer, keeps others out."""
    if on_postgresql:
        taken = text(
            "SELECT nextval(pg_get_serial_sequence('audit_entry', 'id')) FROM generate_series(1, :n)"
        )
        return sorted(await session.scalars(taken, {"n": count}))
    newest = await session.scalar(select(func.max(AuditEntry.id))) or 0
    return list(range(newest + 1, newest + 1 + count))
