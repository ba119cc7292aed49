"""The database of everything but readings: SQLite by default, PostgreSQL where a city outgrows it.

``Database`` gives two kinds of session. ``read()`` may run at any time beside others. ``write()`` is
one transaction: on SQLite it begins IMMEDIATE, so two writers wait for each other instead of failing
in the middle, and commits at the end of the block or rolls back on an exception. Writers of one
process queue in order of arrival: SQLite itself lets them try again after ever longer pauses.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from sqlalchemy import MetaData, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from registry import inline_sqlite

#: How long a writer waits for another on SQLite before it gives up.
_BUSY_TIMEOUT_S = 30
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


#: Every constraint has a name that follows from its table, so that a later migration can find it.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The declarative base of every table of the city, whichever room owns it."""

    metadata = MetaData(naming_convention=_NAMES)


class DatabaseUnavailable(Exception):
    """The database does not answer; the text names it without its password."""


class SchemaError(Exception):
    """The database's tables are not ours to change; the text says why and what to do."""


def async_url(url: str) -> str:
    """``sqlite:///FILE`` or ``postgresql://…`` with the driver this program uses.

    Raises ``ValueError`` that says what was expected.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(
            f"{url!r} is no database address; expected sqlite:///FILE or postgresql://…"
        ) from None
    backend = parsed.get_backend_name()
    if backend not in _DRIVERS:
        raise ValueError(f"database {backend!r}; expected sqlite:///FILE or postgresql://…")
    return parsed.set(drivername=_DRIVERS[backend]).render_as_string(hide_password=False)


class Database:
    """One database and its sessions."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = async_url(url)
        self.is_sqlite = self.url.startswith("sqlite")
        options: dict[str, Any] = (
            {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
            if self.is_sqlite
            else {
                "pool_size": pool_size,
                "max_overflow": pool_size,
                "pool_pre_ping": True,
                # compiling a plan takes a tenth of a second, and no question here takes that long
                "connect_args": {"server_settings": {"jit": "off"}},
            }
        )
        self.engine = create_async_engine(self.url, hide_parameters=True, **options)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._writing = self._sessions
        self._turn: asyncio.Lock | None = None
        self._writer: AsyncEngine | None = None
        if self.is_sqlite and make_url(self.url).database not in (None, "", ":memory:"):
            self._turn = asyncio.Lock()
            self._writer = _inline_engine(self.url)
            self._writing = async_sessionmaker(self._writer, expire_on_commit=False)

    def __str__(self) -> str:
        return make_url(self.url).render_as_string(hide_password=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for reading; nothing it does is committed."""
        async with self._sessions() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction, committed at the end of the block."""
        async with self._turn or nullcontext(), self._writing() as session:
            await session.connection(execution_options={"utaa_write": True})
            yield session
            await session.commit()

    async def check(self) -> None:
        """Raises ``DatabaseUnavailable`` if the database does not answer a simple question."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(select(1))
        except (OperationalError, InterfaceError, DBAPIError, OSError) as error:
            first_line = str(getattr(error, "orig", error)).splitlines()[0]
            raise DatabaseUnavailable(f"{self} does not answer: {first_line}") from None

    async def close(self) -> None:
        await self.engine.dispose()
        if self._writer is not None:
            await self._writer.dispose()


def _inline_engine(url: str) -> AsyncEngine:
    engine = create_async_engine(
        make_url(url).set(drivername=inline_sqlite.DRIVER),
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_inline)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL, foreign keys on, and BEGIN left to us (the driver would begin too late)."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    write = connection.get_execution_options().get("utaa_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _begin_inline(connection: Any) -> None:
    """At once where the lock is free; the wait for another process's transaction is in a thread."""
    database = connection.connection.driver_connection
    database.execute("PRAGMA busy_timeout=0")
    try:
        database.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
    else:
        return
    finally:
        database.execute(f"PRAGMA busy_timeout={int(_BUSY_TIMEOUT_S * 1000)}")
    inline_sqlite.in_thread(database.execute, "BEGIN IMMEDIATE")
