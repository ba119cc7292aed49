"""A push message in a real browser: the service worker shows it, and its button acknowledges.

Everything is real but the way from push service to browser: the message is made and encrypted by
our channel, decrypted by the push service of the tests, and handed to Chromium by DevTools, because
Chromium's own subscription needs its maker's service.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.async_api import BrowserContext, Page, Worker, async_playwright
from sqlalchemy import update

from alerts.channels.vapid import ensure_vapid
from alerts.channels.webpush import WebPushChannel
from alerts.doors import Doors
from alerts.settings import WebPushSettings
from registry.db import Database
from registry.models import ContactChannel
from tests.alerts.city import Town, open_town
from tests.alerts.doors import house_of
from tests.alerts.push_service import PushService
from tests.e2e.test_e2e_page import QUIET
from tests.servers import missing, until
from utaa.servers import find_program

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

#: What pressing the notification's button does in the worker; DevTools cannot press it.
PRESS = """async (action) => {
  const [notification] = await self.registration.getNotifications();
  self.dispatchEvent(new NotificationEvent("notificationclick", { notification, action }));
}"""
SHOWN = """async () => (await self.registration.getNotifications()).map((one) => ({
  title: one.title, body: one.body, tag: one.tag, stays: one.requireInteraction,
  actions: one.actions.map((action) => action.title),
}))"""


@asynccontextmanager
async def _served(town: Town, vapid_key: str) -> AsyncIterator[str]:
    """The city's pages on a real port; their address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with house_of(town, Doors(public_url=origin, push_public_key=vapid_key)) as house:
            config = uvicorn.Config(house.app, log_config=None, access_log=False, lifespan="off")
            server = uvicorn.Server(config)
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await until(lambda: server.started, "the pages are served")
            yield origin
            server.should_exit = True
            await serving


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    program = find_program("chromium")
    if program is None:
        missing("Chromium is not installed: sudo apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=QUIET)
        opened = await browser.new_context()
        yield opened
        await browser.close()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    database = Database(f"sqlite:///{tmp_path / 'city.sqlite'}")
    yield await open_town(database)
    await database.close()


async def _register(context: BrowserContext, origin: str) -> tuple[Page, Worker, Any]:
    """A page of ours with its worker in charge, and DevTools."""
    await context.grant_permissions(["notifications"], origin=origin)
    page = await context.new_page()
    await page.goto(origin + "/signin")
    registrations: list[str] = []
    tools = await context.new_cdp_session(page)
    tools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
    )
    await tools.send("ServiceWorker.enable")
    await page.evaluate(
        """async () => {
          await navigator.serviceWorker.register("/service-worker.js");
          await navigator.serviceWorker.ready;
        }"""
    )
    await until(lambda: bool(context.service_workers and registrations), "the worker runs")

    async def deliver(data: str) -> None:
        await tools.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": origin, "registrationId": registrations[-1], "data": data},
        )

    return page, context.service_workers[0], deliver


async def _shown(worker: Worker, count: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def seen() -> bool:
        found[:] = await worker.evaluate(SHOWN)
        return len(found) >= count

    await until(seen, "the notification is shown")
    return found


async def test_the_button_of_a_push_message_acknowledges_without_signing_in(
    town: Town, tmp_path: Path, context: BrowserContext
) -> None:
    service = PushService()
    await service.start()
    browser = service.subscribe()
    vapid = ensure_vapid(tmp_path / "vapid.pem", "mailto:utaa@example.mn")
    async with _served(town, vapid.public_key) as origin:
        page, worker, deliver = await _register(context, origin)
        key = await page.evaluate("async () => (await fetch('/push-key')).text()")
        assert key == vapid.public_key
        async with town.database.write() as session:
            await session.execute(update(ContactChannel).values(dead_us=1))
        await town.add_contact(browser.subscription, channel="webpush", name="Б. Бат")
        push = WebPushChannel(WebPushSettings(allow_private=True), vapid)
        await town.alarm()
        await town.worker(push, public_url=origin).run_until_idle()
        [payload] = browser.received
        await deliver(json.dumps(payload))
        [shown] = await _shown(worker)
        assert shown["title"] == payload["title"] and shown["title"].startswith("ГАЛ!")
        assert shown["body"] == payload["body"] and shown["stays"]
        assert shown["actions"] == ["Би мэдлээ"]
        assert (await town.incident()).state == "opened", "showing it acknowledges nothing"

        await worker.evaluate(PRESS, "seen")

        async def acknowledged() -> bool:
            return (await town.incident()).state == "acknowledged"

        await until(acknowledged, "acknowledged by the button")
        assert (await town.incident()).acknowledged_by == "contact 9"

        async def thanked() -> bool:
            return "Хариу авлаа. Баярлалаа." in [s["title"] for s in await worker.evaluate(SHOWN)]

        await until(thanked, "the person is thanked")
        await push.close()
    await service.stop()


async def test_a_push_that_cannot_be_read_shows_something_and_a_failed_answer_says_so(
    town: Town, context: BrowserContext
) -> None:
    async with _served(town, "") as origin:
        _, worker, deliver = await _register(context, origin)
        await deliver("not JSON")
        [shown] = await _shown(worker)
        assert shown["title"] == "Утаа: шинэ мэдэгдэл. Аюултай бол 101 рүү залга."
        assert shown["actions"] == []
        await worker.evaluate(
            "async () => { for (const n of await self.registration.getNotifications()) n.close(); }"
        )

        async def gone() -> bool:
            return not await worker.evaluate(SHOWN)

        await until(gone, "it is closed: a late close would take the next one away")
        message = {"title": "FIRE!", "incident": "i1", "language": "en", "link": origin + "/a/forged"}
        await deliver(json.dumps(message))
        await _shown(worker)
        await worker.evaluate(PRESS, "seen")

        async def failed() -> bool:
            found = await worker.evaluate(SHOWN)
            return any("did not arrive" in one["title"] for one in found)

        await until(failed, "the person is told that the answer did not arrive")
