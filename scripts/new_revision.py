"""Write the next migration: what the models have and the newest revision has not.

    python scripts/new_revision.py 0002 "What changes and why"

Read and correct what it writes: Alembic sees tables and columns, not their meaning.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from gateway import schema
from registry.db import Database


async def main(revision: str, message: str) -> None:
    """Against an empty SQLite database brought to the newest revision there is."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        async with database.engine.begin() as connection:
            await connection.run_sync(_tables)
        async with database.engine.connect() as connection:
            await connection.run_sync(_write, revision, message)
        await database.close()


def _tables(connection: Connection) -> None:
    """The tables alone: what ships is entered by today's models, which the newest revision lacks."""
    if any(Path(schema.__file__).with_name("migrations").glob("versions/*.py")):
        command.upgrade(schema.config_of(connection), "head")


def _write(connection: Connection, revision: str, message: str) -> None:
    config = schema.config_of(connection)
    command.revision(config, message=message, autogenerate=True, rev_id=revision)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
