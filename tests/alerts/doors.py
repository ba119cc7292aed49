"""The city's HTTP doors over a town of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx

from alerts.doors import Doors
from gateway import outside
from gateway.app import create_app
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.web import answers, routes
from registry.identity import Identity
from tests.alerts.city import Town
from tests.api.conftest import cheap_passwords

ORIGIN = "https://utaa.test"


@dataclass
class House:
    """A town behind its doors. ``client`` is nobody in particular."""

    town: Town
    client: httpx.AsyncClient
    people: Identity
    app: Any
    woken: list[int]

    async def machine(self, *roles: str) -> httpx.AsyncClient:
        """A client with an API token of these roles."""
        token = await self.people.new_token("test", list(roles), 1)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=ORIGIN, headers=headers
        )


@asynccontextmanager
async def house_of(town: Town, doors: Doors) -> AsyncIterator[House]:
    """The application over the town, as the gateway makes it."""
    people = Identity(town.database, town.clock, passwords=cheap_passwords())
    woken: list[int] = []
    metrics = Metrics()
    city: Any = SimpleNamespace(
        database=town.database, clock=town.clock, keyring=town.keyring, hub=Hub(metrics),
        settings=SimpleNamespace(open_overview=False, open_metrics=True), metrics=metrics, troubles={},
        policy=town.policy, doors=doors, wake_alerts=lambda: woken.append(1),
        wake_configs=lambda: None, send_command=lambda _: False,
    )  # fmt: skip
    extra = [routes.router, answers.router, *outside.routers()]
    app = create_app(city, identity=people, extra=extra)
    routes.install(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=ORIGIN, follow_redirects=False
    ) as client:
        yield House(town, client, people, app, woken)
