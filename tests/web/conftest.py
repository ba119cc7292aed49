"""A browser without JavaScript at the city's pages, over a temporary database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import gateway.schema  # noqa: F401  # all tables belong to the metadata
from alerts.doors import Doors
from alerts.policy import DEFAULT_POLICY
from edge.wire.clock import EARLIEST_US, ManualClock
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.web import routes
from registry.db import Database
from registry.identity import Identity
from registry.models import RoleGrant
from registry.sealed import ensure_keyring
from tests.api.conftest import cheap_passwords
from tests.built import app_of
from tests.made import make_tables

NOW_US = EARLIEST_US + 200_000_000_000_000
PASSWORD = "correct horse battery"
LOCALE = Path(routes.__file__).parent / "locale"


@dataclass
class Web:
    """A browser without JavaScript, and the city behind it."""

    browser: httpx.AsyncClient
    database: Database
    settings: SimpleNamespace
    people: Identity
    city: SimpleNamespace

    async def sign_in(self, login: str) -> httpx.Response:
        form = {"login": login, "password": PASSWORD, "next": "/"}
        return await self.browser.post("/signin", data=form)

    async def somebody(self, login: str, role: str, unit: str | None = None) -> str:
        """Somebody who can sign in with ``PASSWORD``; their id."""
        person = await self.people.new_person(login, PASSWORD, [])
        async with self.database.write() as session:
            session.add(RoleGrant(person_id=person, role=role, unit_code=unit))
        return person

    async def enter(self, login: str, role: str, unit: str | None = None) -> str:
        """``somebody``, signed in on this browser; their id."""
        person = await self.somebody(login, role, unit)
        await self.sign_in(login)
        return person


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    database = Database(f"sqlite:///{tmp_path}/city.db")
    await make_tables(database)
    clock = ManualClock(NOW_US)
    people = Identity(database, clock, passwords=cheap_passwords())
    settings = SimpleNamespace(
        open_overview=False, open_metrics=False, tile_url=None, tile_attribution="", data_dir=tmp_path
    )
    city = SimpleNamespace(
        database=database, clock=clock, keyring=ensure_keyring(tmp_path / "keys"), hub=Hub(Metrics()),
        settings=settings, wake_alerts=lambda: None, wake_configs=lambda: None,
        policy=DEFAULT_POLICY, doors=Doors(), data_dir=tmp_path,
    )  # fmt: skip
    app = app_of("pages", city, people)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://utaa.test") as browser:
        yield Web(browser, database, settings, people, city)
    await database.close()
