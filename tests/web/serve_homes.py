"""The pages of families and of the desk on a real port, for pictures and for real browsers.

    python -m tests.web.serve_homes docs/images

makes the pictures of docs/household.md and docs/duty-desk.md with Debian's Chromium.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn
from playwright.async_api import async_playwright

import gateway.schema  # noqa: F401  # all tables belong to the metadata
from alerts.doors import Doors
from alerts.policy import DEFAULT_POLICY
from edge.wire.clock import SystemClock
from gateway import outside
from gateway.app import create_app
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.web import pages, routes
from registry.acts import Act
from registry.boundaries import enter_shipped_units
from registry.db import Base, Database
from registry.identity import Identity
from registry.residents import service as residents
from registry.rights import SYSTEM
from registry.sealed import ensure_keyring
from tests.api.conftest import cheap_passwords
from tests.web.homes import HOME, Levels, burn, fill

PASSWORD = "correct horse battery"
CHROMIUM = "/usr/bin/chromium"
PHONE, DESK = (360, 640), (1366, 768)


@dataclass
class Served:
    """A city on a port."""

    origin: str
    city: Any
    server: uvicorn.Server

    async def link(self) -> str:
        """A fresh link to the family's page."""
        async with self.city.database.write() as session:
            act = Act(SYSTEM, self.city.clock.now_us())
            token = await residents.new_link(session, act, HOME, residents.ASKED_LIFE_US)
        return f"{self.origin}/home/in/{token}"

    async def fire(self, *, over: bool = False) -> str:
        """The smoke detector sounds, or is quiet again; watchers are told."""
        now_us = self.city.clock.now_us()
        incident = await burn(self.city.database, now_us, cleared_us=now_us if over else None)
        self.city.hub.publish("incident", {"id": incident})
        return incident


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    """The whole of it, over a new database in the folder."""
    database = Database(f"sqlite:///{folder}/city.db")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    clock, keyring = SystemClock(), ensure_keyring(folder / "keys")
    async with database.write() as session:
        await enter_shipped_units(session)
    await fill(database, keyring, clock.now_us())
    people = Identity(database, clock, passwords=cheap_passwords())
    await people.new_person("duty.one", PASSWORD, ["duty", "registrar"])
    city = SimpleNamespace(
        database=database, clock=clock, keyring=keyring, hub=Hub(Metrics()), readings=Levels(),
        settings=SimpleNamespace(
            open_overview=False, open_metrics=False, tile_url=None, tile_attribution="", data_dir=folder
        ),
        wake_alerts=lambda: None, wake_configs=lambda: None, policy=DEFAULT_POLICY,
        doors=Doors(push_public_key="BExample"), data_dir=folder, send_command=lambda _: True,
    )  # fmt: skip
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        extra = [*pages.routers(), *outside.routers()]
        app = create_app(city, identity=people, extra=extra)  # type: ignore[arg-type]
        routes.install(app)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.02)
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", city, server)
        city.hub.close()
        server.should_exit = server.force_exit = True
        await task
    await database.close()


async def pictures(goal: Path) -> None:
    """Each page at the size it is made for, in Mongolian."""
    goal.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with served(Path(folder)) as city, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            phone = await browser.new_page(viewport={"width": PHONE[0], "height": PHONE[1]})
            desk = await browser.new_page(viewport={"width": DESK[0], "height": DESK[1]})

            async def shoot(page: Any, path: str, name: str) -> None:
                await page.goto(city.origin + path)
                await page.wait_for_timeout(1200)
                await page.screenshot(path=goal / f"{name}.png")

            await phone.goto(await city.link())
            await phone.screenshot(path=goal / "household-door.png")
            await phone.locator("main button").click()
            await shoot(phone, "/home", "household-safe")
            await shoot(phone, "/home/history", "household-history")
            await shoot(phone, "/home/contacts", "household-contacts")
            await shoot(phone, "/home/say", "household-say")
            incident = await city.fire()
            await shoot(phone, "/home", "household-fire")
            await desk.goto(f"{city.origin}/signin")
            await desk.locator("input[name=login]").fill("duty.one")
            await desk.locator("input[name=password]").fill(PASSWORD)
            await desk.locator("main button").click()
            await shoot(desk, "/desk", "duty-desk")
            await phone.locator("button[value=help]").click()
            await shoot(desk, f"/desk/incidents/{incident}", "duty-incident")
            await shoot(desk, "/desk/wall", "duty-wall")
            await shoot(desk, "/desk/handover", "duty-handover")
            await desk.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
            await shoot(desk, "/desk", "duty-desk-phone")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(pictures(Path(sys.argv[1] if len(sys.argv) > 1 else "build/pictures")))
