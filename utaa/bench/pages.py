"""The pages of a city with 70,000 cameras: the server's time, what travels, and a phone on slow 3G.

Server times are of whole requests through the application (door, rights, database, template, gzip)
without a socket, one after another. What travels and what a phone needs is Chromium's own account, with
an empty cache: 400 kbit/s each way, 400 ms until an answer begins, a processor four times slower.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import uvicorn

from alerts.doors import Doors
from alerts.policy import DEFAULT_POLICY
from edge.wire.clock import SystemClock
from gateway.app import create_app
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.schema import upgrade
from gateway.stores.base import Steps
from gateway.web import pages, routes
from registry.db import Database
from registry.identity import Identity
from registry.sealed import ensure_keyring
from utaa.bench import living
from utaa.bench.measure import milliseconds
from utaa.bench.registry import take_workbook, write_workbook
from utaa.bench.report import Report, Teller
from utaa.servers import ServerError, find_program

#: What travels at the first visit, compressed: without the map's own, and with all.
FIRST_BYTES, WITH_MAP_BYTES = 100_000, 300_000
_SERVER_MS, _USABLE_MS = 50, 2000
#: What the map alone needs: its library, its script, the ground and what is drawn on it.
MAP_PARTS: Final = re.compile(r"/static/vendor/leaflet|/static/map\.js|/map/|/desk/map|/fibre/map")
_LOADED: Final = re.compile(r"""<(?:link|script|img)\b[^>]*?\b(?:href|src)="(/[^"]+)\"""")
_SLOW_BYTES_S, _SLOW_LATENCY_MS, _SLOWER = 400_000 / 8, 400, 4
_DESK: Final = {"width": 1366, "height": 768}
_PHONE: Final = {"width": 360, "height": 640}
_OFFICER, _PASSWORD = "bench.officer", "four words for benches"  # of a passing city
#: Painted, and its button there: it is a plain form, so no script is needed to press it.
_USABLE: Final = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const button = document.querySelector("main form button");
  return paint && button && button.getBoundingClientRect().height ? paint.startTime : null;
}"""


@dataclass(frozen=True)
class Weight:
    """Bytes of a first visit, compressed, headers left out."""

    page: int
    parts: int
    of_map: int

    @property
    def without_map(self) -> int:
        return self.page + self.parts

    @property
    def whole(self) -> int:
        return self.without_map + self.of_map


async def weigh(client: httpx.AsyncClient, path: str, seen: dict[str, int]) -> Weight:
    """A page and all that it loads by itself. ``seen`` spares asking for a part again."""
    page = await client.get(path)
    page.raise_for_status()
    parts = of_map = 0
    ground = re.findall(r'data-base="(/[^"]+)"', page.text)
    for part in {*_LOADED.findall(page.text), *ground}:
        address = part.replace("&amp;", "&")
        if address not in seen:
            seen[address] = (await client.get(address)).num_bytes_downloaded
        if MAP_PARTS.match(address):
            of_map += seen[address]
        else:
            parts += seen[address]
    return Weight(page.num_bytes_downloaded, parts, of_map)


class _NoReadings:
    """A reading store of silence: a family's history has its tables, empty."""

    title = "none"

    async def steps(self, *_args: Any, **_named: Any) -> Steps:
        import numpy as np

        nothing = np.array([], dtype=np.float64)
        times = np.array([], dtype=np.int64)
        return Steps(times, nothing, nothing, nothing, times)


@dataclass
class Served:
    """A city on a port, and somebody of the office in it after ``signed_in``."""

    origin: str
    app: Any
    city: living.Living
    cookies: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def serve(folder: Path, cameras: int, teller: Teller) -> AsyncIterator[Served]:
    """A living city in the folder, with so many cameras more."""
    url, data = f"sqlite:///{folder}/city.db", folder / "data"
    database, clock = Database(url), SystemClock()
    try:
        await upgrade(database)
        keyring = ensure_keyring(data / "keys")
        if cameras:
            teller.say(f"a workbook of {cameras:,} cameras is taken up")
            await asyncio.to_thread(write_workbook, folder / "cameras.xlsx", cameras)
            await take_workbook(url, data, folder / "cameras.xlsx")
        city = await living.enter(database, keyring, clock.now_us())
        people = Identity(database, clock)
        await people.new_person(_OFFICER, _PASSWORD, ["registrar", "auditor", "duty"])
        rooms = SimpleNamespace(
            database=database, clock=clock, keyring=keyring, hub=Hub(Metrics()), data_dir=data,
            settings=SimpleNamespace(open_overview=False, open_metrics=False, tile_url=None,
                                     tile_attribution="", data_dir=data),
            readings=_NoReadings(), policy=DEFAULT_POLICY, doors=Doors(), troubles={}, khur=None,
            wake_alerts=lambda: None, wake_configs=lambda: None, send_command=lambda _: True,
        )  # fmt: skip
        app = create_app(rooms, identity=people, extra=pages.routers())
        routes.install(app)
        async with _listening(app) as origin:
            yield Served(origin, app, city)
        rooms.hub.close()
    finally:
        await database.close()


@asynccontextmanager
async def _listening(app: Any) -> AsyncIterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  # the server has no event to wait for
            await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = server.force_exit = True
        await serving


async def run_pages(
    *, folder: Path, teller: Teller, cameras: int, questions: int, visits: int
) -> Report:
    """The whole account. Without Chromium the second half is left out and said so."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    parameters = {
        "cameras": cameras, "requests_each": questions, "visits_each": visits,
        "slow_3g": f"{_SLOW_BYTES_S * 8 / 1000:.0f} kbit/s, {_SLOW_LATENCY_MS} ms, CPU 1/{_SLOWER}",
    }  # fmt: skip
    report = Report("pages", parameters)
    async with serve(folder, cameras, teller) as served:
        every = served.city.every()
        async with signed_in(served) as client:
            report.figures["server"] = await _server(client, every, questions, teller)
        program = find_program("chromium")
        if program is None:
            report.figures["browser"] = "Chromium is not installed: sudo apt-get install chromium"
        else:
            report.figures |= await _browser(served, program, every, visits, teller)
    report.targets = _targets(report.figures, every)
    return report


def _targets(figures: Mapping[str, Any], every: Mapping[str, str]) -> dict[str, str]:
    aims = {f"server.{name}.p95_ms": f"≤ {_SERVER_MS}" for name in every}
    aims |= {f"travels.{name}.without_map_kb": f"≤ {FIRST_BYTES // 1000}" for name in every}
    aims |= {f"travels.{name}.whole_kb": f"≤ {WITH_MAP_BYTES // 1000}" for name in every}
    return aims | {f"slow_3g.{name}": f"≤ {_USABLE_MS}" for name in figures.get("slow_3g", ())}


@asynccontextmanager
async def signed_in(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a socket, signed in as an officer and at home with the burning family."""
    transport = httpx.ASGITransport(served.app)
    async with httpx.AsyncClient(transport=transport, base_url=served.origin, timeout=60) as client:
        form = {"login": _OFFICER, "password": _PASSWORD, "next": "/"}
        await client.post("/signin", data=form)
        await client.post(served.city.way_in)
        served.cookies = dict(client.cookies)
        yield client


async def _server(
    client: httpx.AsyncClient, every: Mapping[str, str], questions: int, teller: Teller
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, path in every.items():
        first = await client.get(path)
        if first.status_code != 200:
            raise ServerError(f"{path} answers {first.status_code}")
        took_s, cpu_s = [], time.process_time()
        with teller.bar(name, questions) as bar:
            for number in range(questions):
                began_s = time.perf_counter()
                await client.get(path)
                took_s.append(time.perf_counter() - began_s)
                bar.at(number + 1)
        found[name] = {
            "p50_ms": milliseconds(took_s, 0.5), "p95_ms": milliseconds(took_s, 0.95),
            "cpu_ms": round(1000 * (time.process_time() - cpu_s) / questions, 1),
        }  # fmt: skip
    return found


async def _browser(
    served: Served, program: str, every: Mapping[str, str], visits: int, teller: Teller
) -> dict[str, Any]:
    from playwright.async_api import async_playwright  # not there where only the city runs

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        travels = {}
        with teller.bar("what travels", len(every)) as bar:
            for number, (name, path) in enumerate(every.items()):
                travels[name] = await _visit(browser, served, path)
                bar.at(number + 1)
        slow = {}
        for name, path in (("fire", "/home"), ("answer", served.city.answer)):
            times = sorted([await _slow(browser, served, path) for _ in range(visits)])
            slow[f"{name}_median_ms"] = times[len(times) // 2]
            slow[f"{name}_worst_ms"] = times[-1]
        await browser.close()
    return {"travels": travels, "slow_3g": slow}


async def context_of(browser: Any, served: Served, size: dict[str, int], **wishes: Any) -> Any:
    """A browser that was never here, with the cookies of somebody who may look."""
    context = await browser.new_context(viewport=size, service_workers="block", **wishes)
    cookies = [
        {"name": name, "value": value, "url": served.origin} for name, value in served.cookies.items()
    ]
    await context.add_cookies(cookies)
    return context


async def _visit(browser: Any, served: Served, path: str) -> dict[str, float]:
    context = await context_of(browser, served, _DESK)
    page = await context.new_page()
    tools = await context.new_cdp_session(page)
    addresses: dict[str, str] = {}
    bytes_of = {"map": 0.0, "rest": 0.0}

    def done(event: dict[str, Any]) -> None:
        address = addresses.get(event["requestId"], "").removeprefix(served.origin)
        bytes_of["map" if MAP_PARTS.match(address) else "rest"] += event["encodedDataLength"]

    tools.on("Network.responseReceived", lambda event: addresses.update(
        {event["requestId"]: event["response"]["url"]}))  # fmt: skip
    tools.on("Network.loadingFinished", done)
    await tools.send("Network.enable")
    await page.goto(served.origin + path, wait_until="load")
    await page.wait_for_timeout(700)  # the map asks for its ground and its points
    await context.close()
    without = bytes_of["rest"]
    return {
        "without_map_kb": round(without / 1000, 1),
        "whole_kb": round((without + bytes_of["map"]) / 1000, 1),
    }


async def _slow(browser: Any, served: Served, path: str) -> int:
    """ms from asking until the page is painted and its button can be pressed, on a slow phone."""
    context = await context_of(browser, served, _PHONE)
    page = await context.new_page()
    tools = await context.new_cdp_session(page)
    await tools.send("Network.enable")
    await tools.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": _SLOW_LATENCY_MS, "downloadThroughput": _SLOW_BYTES_S,
         "uploadThroughput": _SLOW_BYTES_S},
    )  # fmt: skip
    await tools.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
    await page.goto(served.origin + path, wait_until="commit")
    found = await page.wait_for_function(_USABLE, polling=50, timeout=30_000)
    usable_ms = float(await found.json_value())
    await context.close()
    return round(usable_ms)
