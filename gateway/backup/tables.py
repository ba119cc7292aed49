"""Rows out of one database and into another, whichever of the two kinds each is.

Tables are taken as the database has them (reflected), not as this program's models say, so a backup of
an older revision goes back into tables of that revision. A value is JSON; what JSON
has no form for is ``{"$b64": …}``, ``{"$date": …}`` and, so that nothing inside is taken for these,
``{"$json": "…"}``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

from sqlalchemy import JSON, Column, Connection, MetaData, Table, bindparam, func, insert, select, text
from sqlalchemy.schema import sort_tables_and_constraints

#: What is of one process or one browser, or is made by migrations: it is not taken along.
LEFT_OUT: Final = frozenset(
    {"alembic_version", "lease", "login_session", "setup_code", "login_failure", "open_door_count"}
)
#: Rows of one INSERT; SQLite takes at most 32,766 values in a statement.
_BATCH: Final = 500
_PAGE: Final = 2_000


class Plan:
    """The tables of a database in an order in which rows can go in, and what must come afterwards.

    ``later`` names the columns that point forwards (to a row of the same table, or in a circle): they
    go in empty and are filled at the end.
    """

    def __init__(self, connection: Connection) -> None:
        metadata = MetaData()
        metadata.reflect(connection)
        self.tables: list[Table] = []
        self.later: dict[str, list[Column[Any]]] = {}
        self.waiting: dict[str, list[dict[str, Any]]] = {}
        for table, constraints in sort_tables_and_constraints(  # type: ignore[no-untyped-call]
            metadata.tables.values()
        ):
            if table is None:
                for each in constraints:
                    self._defer(each.table, each.columns)
            elif table.name not in LEFT_OUT:
                self.tables.append(table)
                for each in table.foreign_key_constraints:
                    if each.referred_table is table:
                        self._defer(table, each.columns)
        for table in self.tables:
            for column in table.columns:
                if isinstance(column.type, JSON):
                    column.type = JSON(none_as_null=True)

    def _defer(self, table: Any, columns: Iterable[Column[Any]]) -> None:
        self.later.setdefault(table.name, []).extend(columns)

    def table(self, name: str) -> Table | None:
        return next((table for table in self.tables if table.name == name), None)


def rows_of(connection: Connection, table: Table) -> Iterator[bytes]:
    """Every row as a line of JSON, in the order of the primary key."""
    query = select(table).order_by(*table.primary_key.columns)
    result = connection.execute(query.execution_options(yield_per=_PAGE))
    columns = [(column.name, isinstance(column.type, JSON)) for column in table.columns]
    for row in result:
        values = {
            name: {"$json": json.dumps(value)} if is_json and value is not None else value
            for (name, is_json), value in zip(columns, row, strict=True)
        }
        line = json.dumps(values, default=_packed, ensure_ascii=False, separators=(",", ":"))
        yield line.encode() + b"\n"


def insert_rows(connection: Connection, plan: Plan, table: Table, lines: Iterable[bytes]) -> int:
    """Put rows in; how many. Columns that point forwards wait in the plan for ``fill_later``."""
    later = [column.name for column in plan.later.get(table.name, ())]
    keys = [column.name for column in table.primary_key.columns]
    count, batch = 0, []
    for line in lines:
        row = json.loads(line, object_hook=_unpacked)
        if any(row[name] is not None for name in later):
            change = {f"key_{name}": row[name] for name in keys}
            change |= {f"new_{name}": row[name] for name in later}
            plan.waiting.setdefault(table.name, []).append(change)
        batch.append(row | dict.fromkeys(later))
        count += 1
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)
    return count


def fill_later(connection: Connection, plan: Plan) -> None:
    """Fill the columns that point forwards, now that every row is there."""
    for table in plan.tables:
        if not (changes := plan.waiting.pop(table.name, None)):
            continue
        statement = (
            table.update()
            .where(*(key == bindparam(f"key_{key.name}") for key in table.primary_key.columns))
            .values({column.name: bindparam(f"new_{column.name}") for column in plan.later[table.name]})
        )
        connection.execute(statement, changes)


def set_counters(connection: Connection, plan: Plan) -> None:
    """PostgreSQL counts its own numbers: they go on behind the highest one that came in."""
    if connection.dialect.name != "postgresql":
        return
    for table in plan.tables:
        for column in table.primary_key.columns:
            sequence = connection.scalar(
                text("SELECT pg_get_serial_sequence(:table, :column)"),
                {"table": f'"{table.name}"', "column": column.name},
            )
            highest = connection.scalar(select(func.max(column))) if sequence else None
            if highest is not None:
                connection.execute(
                    text("SELECT setval(CAST(:s AS regclass), :n)"), {"s": sequence, "n": highest}
                )


def is_empty(connection: Connection, plan: Plan) -> str | None:
    """None, or the name of a table that holds something of somebody's."""
    for name in ("person", "site", "household", "organisation", "incident", "audit_entry"):
        table = plan.table(name)
        if table is not None and connection.execute(select(table).limit(1)).first() is not None:
            return name
    return None


def _packed(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return {"$b64": base64.b64encode(bytes(value)).decode()}
    if type(value) is date:
        return {"$date": value.isoformat()}
    raise TypeError(f"a column holds {type(value).__name__}, which a backup cannot carry")


def _unpacked(value: dict[str, Any]) -> Any:
    if "$json" in value:
        return json.loads(value["$json"])
    if "$b64" in value:
        return base64.b64decode(value["$b64"])
    return date.fromisoformat(value["$date"]) if "$date" in value else value
