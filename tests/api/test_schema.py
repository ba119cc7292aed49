"""The tables: what the migrations make is what the models say, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import alerts.models  # noqa: F401  # its tables belong to the metadata
import gateway.models  # noqa: F401  # and its
from gateway import schema
from registry.db import Base, Database
from registry.models import Site


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


async def _check_round(database: Database) -> None:
    assert await schema.current(database) is None
    await asyncio.gather(*(schema.upgrade(database) for _ in range(3)))
    assert await schema.current(database) == schema.newest()
    async with database.engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    async with database.write() as session:
        session.add(Site(id="kept", created_us=0))
    await schema.upgrade(database)
    async with database.read() as session:
        assert await session.get(Site, "kept") is not None


async def test_the_migrations_make_what_the_models_say_on_sqlite(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/city.db")
    await _check_round(database)
    await database.close()


@pytest.mark.servers
async def test_the_migrations_make_what_the_models_say_on_postgresql(postgres_url: str) -> None:
    database = Database(postgres_url)
    await _check_round(database)
    await database.close()


async def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/city.db"
    await schema.upgrade(url)
    database = Database(url)
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.SchemaError, match=r"city\.db has revision 9999, newer than"):
        await schema.upgrade(database)
    assert await schema.current(database) == "9999"
    await database.close()


async def test_somebody_elses_tables_are_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/city.db")
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    with pytest.raises(schema.SchemaError, match="name an empty database"):
        await schema.upgrade(database)
    await database.close()
