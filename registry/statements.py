"""Statements that are said hundreds of times a second: put together once, run past the object mapper.

Putting a statement together and taking its rows through the mapper costs many times what the database
does for it. Here a statement over tables (``Table``, not mapped classes) is a constant with
``bindparam`` where values go; lists are ``bindparam(name, expanding=True)``. What the session has not
written yet is written first, as the mapper would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Executable, Table, bindparam
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from registry.db import Base

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]


async def fetch(session: AsyncSession, statement: Executable, **values: Any) -> Sequence[Any]:
    """All rows of the answer."""
    return await session.run_sync(_fetch, statement, values)


async def run(session: AsyncSession, statement: Executable, values: Values) -> None:
    """Execute it; with a list of values once for each of them."""
    await session.run_sync(_run, statement, values)


def table(of: type[Base]) -> Table:
    """The table of a mapped class."""
    return cast(Table, of.__table__)


def among(name: str) -> Any:
    """A list of values that is given under this name."""
    return bindparam(name, expanding=True)


def _fetch(session: Session, statement: Executable, values: Values) -> Sequence[Any]:
    session.flush()
    return session.connection().execute(statement, values).all()


def _run(session: Session, statement: Executable, values: Values) -> None:
    session.flush()
    session.connection().execute(statement, values)
