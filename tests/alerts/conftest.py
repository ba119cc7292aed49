"""A city of one household for the tests of alerts, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.db import Database
from tests.alerts.city import Town, open_town


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A fresh town on SQLite: one site, one household, two contacts with an e-mail address each."""
    database = Database(f"sqlite:///{tmp_path / 'city.sqlite'}")
    try:
        yield await open_town(database)
    finally:
        await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database the city can have."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'city.sqlite'}"


@pytest.fixture
async def any_town(database_url: str) -> AsyncIterator[Town]:
    """The same on each database the city can have."""
    database = Database(database_url)
    try:
        yield await open_town(database)
    finally:
        await database.close()
