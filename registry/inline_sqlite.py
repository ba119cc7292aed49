"""SQLite for short write transactions: statements run where they are, waits run in a thread.

The usual asynchronous driver takes every statement, every fetch and every close to a thread and back;
for a transaction of dozens of statements of some µs each, the way there is most of the work. Here a
statement runs on the event loop's own thread. What may take long goes to a thread of its own: getting
the write lock, writing many rows at once, and the commit, which waits for the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import await_only

#: More rows than this in one statement are written in a thread.
_MANY_ROWS = 50
NAME = "sqlite.utaainline"
DRIVER = "sqlite+utaainline"


class InlineSqlite(SQLiteDialect_pysqlite):
    """The plain driver of the standard library under SQLAlchemy's asynchronous engine."""

    driver = "utaainline"
    supports_statement_cache = True
    is_async = True
    poolclass = AsyncAdaptedQueuePool

    @classmethod
    def get_pool_class(cls, url: Any) -> type[Any]:
        return AsyncAdaptedQueuePool

    def get_driver_connection(self, connection: Any) -> Any:
        return connection

    def do_commit(self, dbapi_connection: Any) -> None:
        if dbapi_connection.in_transaction:
            in_thread(dbapi_connection.execute, "COMMIT")

    def do_rollback(self, dbapi_connection: Any) -> None:
        if dbapi_connection.in_transaction:
            dbapi_connection.execute("ROLLBACK")

    def do_executemany(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        if len(parameters) > _MANY_ROWS:
            in_thread(cursor.executemany, statement, parameters)
        else:
            await_only(_nothing())
            cursor.executemany(statement, parameters)

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        await_only(_nothing())
        cursor.execute(statement, parameters)


def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Wait for the work in a thread; called from within SQLAlchemy's own greenlet.

    A cancellation lets the work end first: the connection must not be used by two at once.
    """
    return await_only(_finished(work, arguments))


async def _nothing() -> None:
    """SQLAlchemy insists that a statement awaits something, as proof of an asynchronous driver."""


async def _finished(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    running = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        if not running.cancelled():
            running.exception()
        raise


registry.register(NAME, __name__, InlineSqlite.__name__)
