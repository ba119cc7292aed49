"""Search words and sort keys made anew: for records of an older schema, or after the rules changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, select, update

from registry.db import Base, Database
from registry.importing.bulk import put
from registry.records import Searchable, described
from registry.search.models import SearchWord
from registry.search.text import entries_of
from registry.search.vocabulary import remember

#: Records of one short transaction.
_CHUNK: Final = 500
Tell = Callable[[str, int, int], None]


def searched_tables() -> list[Any]:
    """The tables whose records are found by their words."""
    found = [mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, Searchable)]
    return sorted(found, key=lambda table: str(table.__tablename__))


async def reindex(
    database: Database, *, missing_only: bool = False, tell: Tell | None = None
) -> dict[str, int]:
    """Every record's words, or only of those that have none; how many of each kind.

    It changes nothing that people edit: no version, no entry of the audit.
    """
    counts = {}
    for table in searched_tables():
        counts[str(table.__tablename__)] = await _reindex(database, table, missing_only, tell)
    return counts


async def _reindex(database: Database, table: Any, missing_only: bool, tell: Tell | None) -> int:
    chosen = [table.sort_key == "", table.search_text == ""] if missing_only else []
    kind = str(table.__tablename__)
    async with database.read() as session:
        of = await session.scalar(select(func.count()).select_from(table).where(*chosen)) or 0
    done, last = 0, ""
    while done < of:
        async with database.write() as session:
            query = select(table).where(*chosen, table.id > last).order_by(table.id).limit(_CHUNK)
            records = list(await session.scalars(query))
            if not records:
                break
            last = records[-1].id
            rows = [{"own_id": one.id, **described(one)} for one in records]
            gone = {one.id for one in records if getattr(one, "gone_us", None) is not None}
            session.expunge_all()
            columns: dict[str, Any] = {
                name: bindparam(f"new_{name}") for name in rows[0] if name != "own_id"
            }
            own = table.__table__
            await (await session.connection()).execute(
                update(own).where(own.c.id == bindparam("own_id")).values(columns),
                [{f"new_{k}" if k != "own_id" else k: v for k, v in row.items()} for row in rows],
            )
            ids = [row["own_id"] for row in rows]
            await session.execute(
                delete(SearchWord).where(SearchWord.kind == kind, SearchWord.object_id.in_(ids))
            )
            words = [
                {"kind": kind, "word": word, "object_id": row["own_id"]}
                for row in rows if row["own_id"] not in gone
                for word in entries_of(row["search_text"])
            ]  # fmt: skip
            await put(session, SearchWord, words)
            await (await session.connection()).run_sync(
                remember, [(kind, word["word"]) for word in words]
            )
        done += len(rows)
        if tell is not None:
            tell(kind, done, of)
    return done
