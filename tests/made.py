"""Databases made once for a whole process of tests, and copied for each of them.

To make the tables takes longer than most tests: ``make_tables`` instead of ``create_all``,
``open_made_city`` instead of ``open_city``, ``migrated`` before a gateway is started over a folder.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path

from sqlalchemy import create_engine, make_url

from gateway import schema
from gateway.city import City, open_city
from gateway.settings import GatewaySettings
from registry.db import Base, Database


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="utaa-tests-")


@lru_cache(maxsize=1)
def _tables() -> Path:
    """A SQLite file with every table, and nothing in them."""
    file = Path(_folder().name) / "tables.sqlite"
    engine = create_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return file


@lru_cache(maxsize=1)
def _migrated() -> Path:
    """A SQLite file as a gateway leaves it after its first start."""
    file = Path(_folder().name) / "migrated.sqlite"
    with ThreadPoolExecutor(1) as other:  # a loop may be running here
        other.submit(lambda: asyncio.run(schema.upgrade(f"sqlite:///{file}"))).result()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return file


async def make_tables(database: Database) -> None:
    """Every table in an empty database that nobody has opened yet."""
    place = make_url(database.url).database
    if database.is_sqlite and place and not Path(place).exists():
        shutil.copyfile(_tables(), place)
        return
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


def migrated(url: str) -> None:
    """What the first start of a gateway makes, in a SQLite file unless it is there already."""
    place = Path(str(make_url(url).database))
    if url.startswith("sqlite") and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_migrated(), place)


@asynccontextmanager
async def open_made_city(settings: GatewaySettings) -> AsyncIterator[City]:
    """``open_city`` that finds its tables made."""
    migrated(settings.effective_database_url)
    async with open_city(settings) as city:
        yield city
