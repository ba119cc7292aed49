"""The city's HTTP door over a temporary database, and people to knock at it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

import alerts.models  # noqa: F401  # its tables belong to the metadata
import gateway.models  # noqa: F401  # and its
from alerts.doors import Doors
from alerts.policy import DEFAULT_POLICY, Policy
from edge.wire.clock import EARLIEST_US, ManualClock
from gateway.live import Hub
from gateway.metrics import Metrics
from registry.db import Database
from registry.identity import Identity
from registry.khur.client import Khur
from registry.passwords import Passwords
from registry.sealed import Keyring
from tests.built import app_of, leave
from tests.made import make_tables

PASSWORD = "correct horse battery"
NOW_US = EARLIEST_US + 200_000_000_000_000


@dataclass
class TestCity:
    """What the HTTP door needs of a city."""

    __test__ = False
    database: Database
    keyring: Keyring
    clock: ManualClock
    hub: Hub
    troubles: dict[str, str] = field(default_factory=dict)
    woken: list[str] = field(default_factory=list)
    policy: Policy = DEFAULT_POLICY
    doors: Doors = field(default_factory=Doors)
    data_dir: Path = Path("utaa-data")
    khur: Khur | None = None

    def wake_alerts(self) -> None:
        self.woken.append("alerts")

    def wake_configs(self) -> None:
        self.woken.append("configs")


def cheap_passwords() -> Passwords:
    """Argon2id all the same, with the smallest cost: the tests are not a safe."""
    return Passwords(PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)))


@pytest.fixture
def city_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own: SQLite, or what a test on both databases asks for."""
    if getattr(request, "param", "sqlite") == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/city.db"


@pytest.fixture
async def city(city_url: str, tmp_path: Path) -> AsyncIterator[TestCity]:
    database = Database(city_url)
    await make_tables(database)
    keyring = Keyring({"k001": base64.b64decode("A" * 43 + "=")})
    yield TestCity(database, keyring, ManualClock(NOW_US), Hub(Metrics()), data_dir=tmp_path)
    await database.close()


@pytest.fixture
def people(city: TestCity) -> Identity:
    return Identity(city.database, city.clock, passwords=cheap_passwords(), keyring=city.keyring)


@pytest.fixture
def app(city: TestCity, people: Identity) -> Iterator[FastAPI]:
    application = app_of("api", city, people)
    yield application
    leave(application)


@dataclass
class Door:
    """Makes clients that stand at the door as somebody."""

    app: FastAPI
    people: Identity
    scheme: str = "https"

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport, base_url=f"{self.scheme}://city.test/api/v1", headers=headers
        )

    async def machine(self, roles: Sequence[str]) -> httpx.AsyncClient:
        """A client with an API token of these roles."""
        token = await self.people.new_token("test", roles, 1)
        return self.client(Authorization=f"Bearer {token}")

    async def signed_in(self, login: str, roles: Sequence[str]) -> httpx.AsyncClient:
        """A client with a session cookie and its CSRF header."""
        await self.people.new_person(login, PASSWORD, roles)
        async with self.client() as first:
            answer = await first.post("/session", json={"login": login, "password": PASSWORD})
            assert answer.status_code == 201, answer.text
            client = self.client(**{"X-CSRF-Token": answer.json()["csrf"]})
            client.cookies = first.cookies
        return client


@pytest.fixture
def door(app: FastAPI, people: Identity) -> Door:
    return Door(app, people)


@pytest.fixture
async def registrar(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with await door.machine(["registrar"]) as client:
        yield client
