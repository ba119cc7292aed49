"""What the console commands of alerts share: the settings' database, and one line on a failure."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import typer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from registry.db import Database, DatabaseUnavailable
from registry.settings import SettingsError, load

T = TypeVar("T")


def with_database(
    config: Path | None, work: Callable[[AsyncSession], Awaitable[T]], *, write: bool = False
) -> T:
    """Do the work in one transaction on the database that the settings name; or say why not."""

    async def run() -> T:
        database = Database(load(config).effective_database_url)
        file = database.engine.url.database
        if database.is_sqlite and file and not os.path.exists(file):  # noqa: ASYNC240, PTH110
            fail(f"no database at {file}; start the gateway once, or name it with --config")
        try:
            await database.check()
            async with database.write() if write else database.read() as session:
                return await work(session)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except SettingsError as error:
        fail(f"wrong setting: {error}", 2)
    except DatabaseUnavailable as error:
        fail(str(error))
    except DBAPIError as error:
        first = str(error.orig).splitlines()[0]
        fail(f"the database cannot be read: {first}; start the gateway once, it prepares it")


def fail(text: str, code: int = 1) -> NoReturn:
    """One line on stderr, and out."""
    typer.echo(f"utaa: {text}", err=True)
    raise typer.Exit(code)
