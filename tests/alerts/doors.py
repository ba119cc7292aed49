"""The city's HTTP doors over a town of the tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn

from alerts.doors import Doors
from gateway.live import Hub
from gateway.metrics import Metrics
from registry.identity import Identity
from tests.alerts.city import Town
from tests.api.conftest import cheap_passwords
from tests.built import app_of, leave
from tests.servers import until

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
    app = app_of("doors", city, people)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=ORIGIN, follow_redirects=False
    ) as client:
        yield House(town, client, people, app, woken)
    leave(app)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The application on a port of its own, for those who come over the network; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started, "the city's door is open")
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await task
