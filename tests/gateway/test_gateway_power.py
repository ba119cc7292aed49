"""A real cut of the mains: boxes whose kernels know of it, a real broker, the city that hears them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from alerts import explain
from alerts.models import Incident, Notification
from edge.agent import agent as agents
from edge.agent.mains import Mains
from edge.settings import EdgeSettings
from edge.spool import DataFolder
from edge.wire.clock import SystemClock
from gateway.city import City
from gateway.models import SiteState
from gateway.settings import load_settings
from gateway.supervise import Supervisor
from registry.households import ChannelEntry, ContactEntry, add_on_duty
from registry.models import Site
from tests.gateway.test_gateway_worker import url_of, working
from tests.servers import until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(90)]

KHOROO = "111664"
#: As many as the policy wants before it speaks of a cause that they share, and one more.
HOMES = ("home-1", "home-2", "home-3", "home-4")


class Supply:
    """What the kernels of these boxes say of their mains: one socket for all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        battery, self._plug = folder / "BAT0", folder / "AC"
        for supply, kind in ((battery, "Battery"), (self._plug, "Mains")):
            supply.mkdir(parents=True)
            (supply / "type").write_text(kind + "\n")
        self.online(True)

    def online(self, there: bool) -> None:
        beside = self._plug / "next"  # a kernel never shows half a value
        beside.write_text(f"{int(there)}\n")
        beside.replace(self._plug / "online")


@asynccontextmanager
async def boxes(folder: Path, port: int) -> AsyncIterator[None]:
    """An agent of each home, on the broker of the test, until the end."""
    running = []
    broker: dict[str, Any] = {"host": "127.0.0.1", "port": port}
    for home in HOMES:
        settings = EdgeSettings(
            site=home, data_dir=folder / home, site_broker=broker, city_broker=broker, heartbeat_s=0.3
        )  # type: ignore[arg-type]
        data = DataFolder(settings.data_dir)
        data.acquire()
        box = agents.Agent(settings, data, SystemClock())
        running.append((box, data, asyncio.create_task(box.run(), name=home)))
    try:
        yield
    finally:
        for box, data, task in running:
            box.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            data.release()


async def incidents(city: City) -> list[Incident]:
    async with city.database.read() as session:
        return list(await session.scalars(select(Incident)))


async def powered(city: City) -> list[bool | None]:
    """What the city knows of the homes' mains."""
    async with city.database.read() as session:
        return list(await session.scalars(select(SiteState.mains).order_by(SiteState.site_id)))


async def test_a_power_cut_is_told_by_the_boxes_named_by_the_city_and_over_when_it_is_back(
    own_mosquitto: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supply = Supply(tmp_path / "power_supply")
    monkeypatch.setattr(agents, "Mains", partial(Mains, supply.folder))
    monkeypatch.setattr(agents, "HOUSE_EVERY_S", 0.1)
    broker = await own_mosquitto()
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker))
    async with working(settings) as (city, _):
        async with city.database.write() as session:
            session.add_all(Site(id=home, unit_code=KHOROO, created_us=1) for home in HOMES)
            await session.flush()
            entry = ContactEntry("Жижүүр", channels=(ChannelEntry("email", "duty@example.org"),))
            await add_on_duty(session, city.keyring, "duty", KHOROO, entry)
        supervisor = Supervisor(city, lambda: 1)
        async with boxes(tmp_path, broker.port):

            async def heard() -> bool:
                return len(await powered(city)) == len(HOMES)

            await until(heard, "all boxes are heard", 20)
            await supervisor.look()
            assert await incidents(city) == []

            supply.online(False)

            async def dark() -> bool:
                return await powered(city) == [False] * len(HOMES)

            await until(dark, "every box has said that its mains are gone", 20)
            await supervisor.look()
            await supervisor.look()
            (cut,) = await incidents(city)
            assert (cut.subject_kind, cut.subject_id, cut.summary) == ("unit", KHOROO, "power_cut")
            assert cut.open_key is not None

            supply.online(True)

            async def bright() -> bool:
                return await powered(city) == [True] * len(HOMES)

            await until(bright, "every box has said that its mains are back", 20)
            await supervisor.look()
        (cut,) = await incidents(city)
        assert (cut.state, cut.open_key) == ("all_clear", None)
        async with city.database.read() as session:
            story = await explain.timeline(session, cut.id)
            told = (await session.scalars(select(Notification.message))).all()
        opened = next(line for line in story if line.what == "opened")
        assert opened.detail["cause"] == "power_cut"
        assert opened.detail["without_mains"] == opened.detail["watched"] == len(HOMES)
        assert list(told) == ["power_cut"]
