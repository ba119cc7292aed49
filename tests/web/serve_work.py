"""A city on a port for the technician's pages, whose signal can be cut; and pictures of those pages.

``python -m tests.web.serve_work FOLDER`` writes the pictures of ``docs/technician.md``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn
from fastapi import FastAPI
from playwright.async_api import Page, async_playwright

import gateway.schema  # noqa: F401  # all tables belong to the metadata
from alerts import incidents
from alerts.doors import Doors
from alerts.policy import DEFAULT_POLICY
from edge.wire.clock import US_PER_S, SystemClock
from edge.wire.identity import new_id
from edge.wire.messages import Alarm, AlarmKind, Command
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.models import LatestReading
from registry.acts import Act
from registry.boundaries import enter_shipped_units
from registry.db import Base, Database
from registry.fieldwork import localpage, trials
from registry.identity import Identity
from registry.labels.service import ensure_labels
from registry.models import Detector, Household, RoleGrant
from registry.rights import CONSOLE
from registry.sealed import ensure_keyring
from tests.api.conftest import cheap_passwords
from tests.built import app_of
from tests.web.homes import HOME, SITE, UNIT, Levels, fill
from utaa.servers import find_program

PASSWORD = "correct horse battery"
LOGIN = "technician.one"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Field:
    """The city, its signal, and short words for what its site says."""

    city: Any
    app: FastAPI
    port: int
    #: the code on the label of the detector that waits to be commissioned
    label: str
    sent: list[Command] = field(default_factory=list)
    _server: uvicorn.Server | None = None
    _serving: asyncio.Task[None] | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self) -> None:
        """There is signal (again), at the same address."""
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=self.port, log_config=None, access_log=False,
            lifespan="off", timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """No signal: nobody answers, and streams end."""
        assert self._server and self._serving
        self._server.should_exit = self._server.force_exit = True
        await self._serving

    def changed(self, topic: Any = "detector", detector: str = "d-new") -> None:
        """What the ingest says to those who watch."""
        self.city.hub.publish(topic, {"site": SITE, "detector": detector})

    async def site_answers(self, *, ok: bool = True) -> None:
        """The site's answer to the newest order of a test alarm."""
        order = next(one for one in reversed(self.sent) if one.action == "test")
        async with self.city.database.write() as session:
            now_us = self.city.clock.now_us()
            await trials.answered(session, SITE, order.id, ok, "no such detector", now_us)
        self.changed()

    async def alarm(self, detector: str, kind: AlarmKind = "smoke", *, test: bool) -> int:
        """The detector sounds; how many people were told."""
        now_us = self.city.clock.now_us()
        alarm = Alarm(
            id=new_id(), kind=kind, detector=detector, raised_us=now_us, revision=1, test=test,
            reason="own word",
        )  # fmt: skip
        async with self.city.database.write() as session:
            applied = await incidents.apply_alarm(
                session, site_id=SITE, epoch="e", alarm=alarm, transition="raise", age_ms=0,
                clock_synced=True, now_us=now_us, policy=DEFAULT_POLICY,
            )  # fmt: skip
        self.changed("incident")
        return applied.notified

    async def detector(self, name: str = "d-new") -> Detector:
        async with self.city.database.read() as session:
            found: Detector = await session.get_one(Detector, name)
            return found


async def _enter(database: Database, keyring: Any, now_us: int) -> str:
    """A home that waits for a detector, and some trouble elsewhere; the label of the one that waits."""
    await fill(database, keyring, now_us)
    async with database.write() as session:
        await enter_shipped_units(session)
        session.add(
            Detector(
                id="d-new", site_id=SITE, source="native", address="d-new", household_id=HOME,
                status="planned",
            )
        )  # fmt: skip
        session.add(
            Household(id="h-2", label="СХД-24-0031", site_id=SITE, unit_code=UNIT, created_us=1)
        )
        await session.flush()
        for name, place in (("d-lost", "үүдний өрөө"), ("d-low", "зуухны дэргэд")):
            session.add(
                Detector(
                    id=name, site_id=SITE, source="native", address=name, household_id="h-2",
                    status="in_service", place=place,
                )
            )  # fmt: skip
        session.add(
            LatestReading(
                detector_id="d-new", site_id=SITE, time_us=now_us - 4 * US_PER_S, temperature_c=21.4,
                optical_density_db_m=0.01, battery_pct=97.0, signal_dbm=-61.0,
            )
        )  # fmt: skip
        act = Act(CONSOLE, now_us)
        await localpage.set_up(session, keyring, act, SITE, "http://192.168.1.20:8088")
        (label,) = await ensure_labels(session, act, "detector", ["d-new"])
        for number, (name, kind) in enumerate((("d-lost", "lost"), ("d-low", "low_battery"))):
            trouble = Alarm(
                id=new_id(), kind=kind, detector=name, revision=1, reason="said so",  # type: ignore[arg-type]
                raised_us=now_us - (number * 26 + 3) * 3600 * US_PER_S,
            )  # fmt: skip
            await incidents.apply_alarm(
                session, site_id=SITE, epoch="e", alarm=trouble, transition="raise", age_ms=0,
                clock_synced=True, now_us=now_us, policy=DEFAULT_POLICY,
            )  # fmt: skip
    return label.id


@asynccontextmanager
async def field_city(folder: Path) -> AsyncIterator[Field]:
    """All of it, over a new database in the folder, with signal."""
    database = Database(f"sqlite:///{folder}/city.db")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    clock, keyring = SystemClock(), ensure_keyring(folder / "keys")
    label = await _enter(database, keyring, clock.now_us())
    people = Identity(database, clock, passwords=cheap_passwords())
    person = await people.new_person(LOGIN, PASSWORD, [])
    async with database.write() as session:
        session.add(RoleGrant(person_id=person, role="technician", unit_code="1116"))
    sent: list[Command] = []

    def take(command: Command) -> bool:
        sent.append(command)
        return True

    city = SimpleNamespace(
        database=database, clock=clock, keyring=keyring, hub=Hub(Metrics()), readings=Levels(),
        settings=SimpleNamespace(
            open_overview=False, open_metrics=False, tile_url=None, tile_attribution="", data_dir=folder
        ),
        wake_alerts=lambda: None, wake_configs=lambda: None, policy=DEFAULT_POLICY, doors=Doors(),
        data_dir=folder, send_command=take,
    )  # fmt: skip
    app = app_of("pages", city, people)
    served = Field(city, app, 0, label, sent)
    await served.connect()
    try:
        yield served
    finally:
        await served.cut()
        city.hub.close()
        await database.close()


async def sign_in(page: Page, origin: str, language: str = "mn") -> None:
    """The technician, at their worklist."""
    await page.goto(f"{origin}/signin?lang={language}&next=/field/")
    await page.fill("input[name=login]", LOGIN)
    await page.fill("input[name=password]", PASSWORD)
    await page.click(".sheet button")
    await page.wait_for_selector(".jobs")


def label_picture(served: Field, goal: Path) -> Path:
    """A label as printed, as a picture."""
    import segno

    segno.make(f"{served.origin}/q/{served.label}", error="m").save(str(goal), scale=8, border=4)
    return goal


def label_film(served: Field, goal: Path) -> Path:
    """A label before a camera, as the film that Chromium's fake camera plays."""
    import numpy as np
    import segno

    width, height, scale = 640, 480, 10
    code = np.array(list(segno.make(f"{served.origin}/q/{served.label}", error="m").matrix_iter()))
    dark = np.kron(code, np.ones((scale, scale), np.uint8)) > 0
    frame = np.full((height, width), 235, np.uint8)
    top, left = (height - dark.shape[0]) // 2, (width - dark.shape[1]) // 2
    frame[top : top + dark.shape[0], left : left + dark.shape[1]][dark] = 16
    grey = bytes([128]) * (width * height // 2)
    one = b"FRAME\n" + frame.tobytes() + grey
    goal.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420\n".encode() + one * 3)
    return goal


async def pictures(goal: Path) -> None:
    """Each page in both languages, at a phone's size."""
    goal.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with field_city(Path(folder)) as served, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=find_program("chromium"), args=QUIET
            )
            for language in ("mn", "en"):
                page = await browser.new_page(viewport={"width": 360, "height": 640})

                async def shoot(name: str, page: Page = page, language: str = language) -> None:
                    await page.wait_for_timeout(800)
                    await page.screenshot(path=goal / f"technician-{name}-{language}.png")

                await sign_in(page, served.origin, language)
                await shoot("list")
                await page.goto(f"{served.origin}/field/#d/d-new")
                await page.wait_for_selector("#commission")
                await shoot("detector")
                await page.click("#test-start")
                await page.wait_for_selector("#trial[data-state=waiting]")
                await served.site_answers()
                await served.alarm("d-new", test=True)
                await page.wait_for_selector("#trial[data-state=heard]")
                await page.locator("#trial h2").evaluate(
                    "one => scrollTo(0, one.getBoundingClientRect().top + scrollY - 90)"
                )
                await shoot("test")
                await page.click("#test-end")
                await page.locator("#commission h2").evaluate(
                    "one => scrollTo(0, one.getBoundingClientRect().top + scrollY - 90)"
                )
                await shoot("checklist")
                await page.close()
            await browser.close()


if __name__ == "__main__":
    asyncio.run(pictures(Path(sys.argv[1] if len(sys.argv) > 1 else "build/pictures")))
