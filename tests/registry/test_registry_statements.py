"""Transactions and statements that do not go through the object mapper."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from sqlalchemy import bindparam, insert, select, update

from edge.wire.identity import new_id
from registry.db import Base, Database
from registry.models import Organisation
from registry.statements import among, fetch, run, table

_ORGANISATIONS = table(Organisation)


async def _empty(path: Path) -> Database:
    database = Database(f"sqlite:///{path / 'city.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return database


async def test_a_writer_waits_for_another_process_and_lets_the_others_run(tmp_path: Path) -> None:
    database = await _empty(tmp_path)
    other = sqlite3.connect(tmp_path / "city.sqlite", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")

        async def write() -> None:
            async with database.write() as session:
                await run(session, insert(_ORGANISATIONS), _row("a"))

        writing = asyncio.create_task(write())
        for _ in range(200):  # the loop turns while the writer waits
            await asyncio.sleep(0.001)
        assert not writing.done()
        other.execute("COMMIT")
        async with asyncio.timeout(20):
            await writing
        async with database.read() as session:
            names = [row[0] for row in await fetch(session, select(_ORGANISATIONS.c.name))]
        assert names == ["a"]
    finally:
        other.close()
        await database.close()


async def test_statements_see_what_the_session_has_not_written_yet(tmp_path: Path) -> None:
    database = await _empty(tmp_path)
    try:
        by_name = select(_ORGANISATIONS.c.id).where(_ORGANISATIONS.c.name.in_(among("names")))
        rename = (
            update(_ORGANISATIONS)
            .where(_ORGANISATIONS.c.name == bindparam("was"))
            .values(name=bindparam("becomes"))
        )
        async with database.write() as session:
            session.add(Organisation(**_row("a")))
            await run(session, insert(_ORGANISATIONS), [_row("b"), _row("c")])
            assert len(await fetch(session, by_name, names=["a", "b", "x"])) == 2
            await run(
                session, rename, [{"was": "a", "becomes": "d"}, {"was": "b", "becomes": "e"}]
            )  # fmt: skip
        async with database.read() as session:
            assert len(await fetch(session, by_name, names=["c", "d", "e"])) == 3
            assert await fetch(session, by_name, names=[]) == []
    finally:
        await database.close()


def _row(name: str) -> dict[str, object]:
    return {"id": new_id(), "name": name, "kind": "city", "created_us": 1}
