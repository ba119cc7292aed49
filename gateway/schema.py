"""The tables of a database, brought to what this program expects. Forward only.

``upgrade`` runs what is missing in one transaction (several processes that start together wait for
each other); ``current`` says where a database is. A database of a newer program, or one with tables
that no migration made, is refused before anything is touched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncSession

import gateway.cameras.models  # noqa: F401  # its tables belong to the metadata
import registry.accounts.models
import registry.cameras.models  # its tables belong to the metadata
import registry.costs.models
import registry.duplicates.models
import registry.fibre.models
import registry.fieldwork.models
import registry.importing.models
import registry.inspections.models
import registry.khur.models
import registry.labels.models
import registry.numbering
import registry.personal.models
import registry.requests.models
import registry.residents.models
import registry.search.models
import registry.servers.models
import registry.specifications.models  # noqa: F401
from registry.boundaries import enter_shipped_units
from registry.db import Database, SchemaError
from registry.search.reindex import reindex
from registry.shipped import enter_shipped_models

_FOLDER: Final = Path(__file__).parent / "migrations"
#: PostgreSQL's advisory lock while tables change; an arbitrary number of ours.
_LOCK: Final = 7_561_776_102


def config_of(connection: Connection | None = None) -> Config:
    """Alembic's configuration, over a connection of ours."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def newest() -> str:
    """The revision this program expects."""
    head = ScriptDirectory.from_config(config_of()).get_current_head()
    if head is None:
        raise RuntimeError("no migrations in the package")
    return head


async def current(database: Database | str) -> str | None:
    """The database's revision; None for an empty one."""
    async with _opened(database) as opened, opened.engine.connect() as connection:
        return await connection.run_sync(_revision_of)


async def upgrade(database: Database | str) -> None:
    """Bring the tables to what this program expects, and enter what ships. Raises ``SchemaError``."""
    async with _opened(database) as opened, opened.engine.connect() as plain:
        connection = await plain.execution_options(utaa_write=True)
        async with connection.begin():
            if not opened.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_upgrade, str(opened))
            async with AsyncSession(connection) as session:
                await enter_shipped_models(session)
                await enter_shipped_units(session)
                await session.commit()
        await reindex(opened, missing_only=True)


async def upgrade_to(database: Database, revision: str) -> None:
    """Make an empty database's tables as an older program (or this one) had them; nothing is entered.

    For bringing a backup back. Raises ``SchemaError``.
    """
    async with database.engine.connect() as plain:
        connection = await plain.execution_options(utaa_write=True)
        async with connection.begin():
            await connection.run_sync(_upgrade, str(database), revision)


def _upgrade(connection: Connection, name: str, to: str = "head") -> None:
    revision = _revision_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config_of()).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaError(
            f"{name} has revision {revision}, newer than this program's {newest()}: "
            "run the newer program, or restore the backup made before the upgrade"
        )
    if revision is None and inspect(connection).get_table_names():
        raise SchemaError(f"{name} has tables that no migration of ours made: name an empty database")
    if to != "head" and to not in known:
        raise SchemaError(
            f"revision {to} is newer than this program's {newest()}: use the newer program"
        )
    if revision != newest():
        command.upgrade(config_of(connection), to)


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@asynccontextmanager
async def _opened(database: Database | str) -> AsyncIterator[Database]:
    if isinstance(database, Database):
        yield database
        return
    own = Database(database)
    try:
        yield own
    finally:
        await own.close()
