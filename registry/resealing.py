"""A new key for the sealed columns: everything sealed by older keys is sealed again, in batches.

Each batch is a transaction of its own and says of itself whether it is done (a value begins with the id
of its key), so the work may be interrupted at any moment and goes on where it was. A value that changed
meanwhile is left to its newer content. The oldest key stays in the ring: look-ups are keyed by it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    LargeBinary,
    Select,
    Table,
    func,
    literal,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session

from edge.wire.clock import Clock
from registry import audit
from registry.db import Base, Database
from registry.rights import CONSOLE
from registry.sealed import KEY_ID_BYTES, Keyring, KeyringError, Sealed, SealedText

#: Values sealed again in one transaction: others wait no longer than that.
BATCH = 200


@dataclass(frozen=True)
class Resealed:
    """One column: how many values were sealed again, and how many do not open at all."""

    column: str
    resealed: int
    unreadable: int


def sealed_columns() -> Iterator[tuple[Table, Column[Sealed]]]:
    """Every sealed column of the tables that are known."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, SealedText):
                yield table, column


async def reseal(
    database: Database, keyring: Keyring, clock: Clock, *, batch: int = BATCH
) -> AsyncIterator[Resealed]:
    """Seal everything by the current key; one account for each column, when it is done."""
    for table, column in sealed_columns():
        yield await _column(database, keyring, table, column, batch)
    async with database.write() as session:
        await audit.append(
            session, actor=CONSOLE, origin="console", action="key.rotate", object_kind="key",
            object_id=keyring.current, now_us=clock.now_us(),
        )  # fmt: skip


def _rows(session: Session, wanted: Select[Any]) -> list[Any]:
    return list(session.execute(wanted).all())


async def _column(
    database: Database, keyring: Keyring, table: Table, column: Column[Sealed], batch: int
) -> Resealed:
    (key,) = table.primary_key.columns
    purpose = f"{table.name}.{column.name}"
    raw = type_coerce(column, LargeBinary)
    current = literal(keyring.current.encode(), LargeBinary)
    resealed = unreadable = 0
    last = None
    while True:
        wanted = (
            select(key, column)
            .where(column.is_not(None), func.substr(raw, 1, KEY_ID_BYTES) != current)
            .order_by(key)
            .limit(batch)
        )
        if last is not None:
            wanted = wanted.where(key > last)
        async with database.write() as session:
            rows = await session.run_sync(_rows, wanted)
            for row in rows:
                identity, sealed = row[0], row[1]
                try:
                    fresh = keyring.seal(keyring.open(sealed, purpose), purpose)
                except KeyringError:
                    unreadable += 1
                    continue
                changed = update(table).where(key == identity, column == sealed)
                await session.execute(changed.values({column: fresh}))
                resealed += 1
        if len(rows) < batch:
            return Resealed(purpose, resealed, unreadable)
        last = rows[-1][0]
