"""``utaa registry …``: the register's commands, with the tables brought up to date first."""

from __future__ import annotations

from gateway.personal.commands import add_commands
from gateway.schema import upgrade
from registry.cli import build_app
from registry.db import Database, DatabaseUnavailable, SchemaError


async def prepare(database: Database) -> None:
    """Raises ``DatabaseUnavailable`` where the tables are not ours to change."""
    try:
        await upgrade(database)
    except SchemaError as error:
        raise DatabaseUnavailable(str(error)) from None


app = build_app(prepare)
add_commands(app, prepare)
