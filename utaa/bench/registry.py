"""70,000 cameras: an XLSX import by the console's command, then the API over what it took.

The import is a process of its own, as a clerk runs it. Requests go through the whole application (door,
rights, database, JSON) one after another, without a socket; each kind of question has its percentiles.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import openpyxl

from edge.wire.clock import SystemClock
from gateway.app import create_app
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.schema import upgrade
from registry.db import Database
from registry.identity import Identity
from registry.sealed import Keyring, ensure_keyring
from utaa.bench.measure import milliseconds
from utaa.bench.report import Report, Teller
from utaa.postgres import Postgres
from utaa.servers import ServerError

TARGETS: Final = {
    "import_s": "≤ 60",
    "list_p95_ms": "≤ 50", "filter_p95_ms": "≤ 50", "search_p95_ms": "≤ 50", "words_p95_ms": "≤ 50",
    "geojson_p95_ms": "≤ 150",
}  # fmt: skip
_HEADINGS: Final = (
    "Дугаар", "Нэр", "Үйлдвэрлэгч", "Сериал дугаар", "MAC хаяг", "Сүлжээ", "IP хаяг", "Байршил",
    "Өргөрөг", "Уртраг", "Хороо", "Бүс", "Бэхэлгээ", "Өндөр, м", "Чиглэл", "Хадгалах хугацаа",
    "Төлөв",
)  # fmt: skip
_STREETS: Final = ("Энх тайван", "Чингис", "Бага тойруу", "Өргөө", "Нарны зам", "Үйлдвэр", "Найрамдал")
_DISTRICTS: Final = ("1107", "1110", "1116", "1119", "1122", "1125")
#: Long enough for an import on a slow machine.
_IMPORT_DEADLINE_S: Final = 900
#: A screen of a quarter, in degrees; the city is forty times as wide.
_SCREEN: Final = 0.02


def row_of(number: int) -> list[Any]:
    """One camera of the workbook; the same each time."""
    street = _STREETS[number % len(_STREETS)]
    return [
        f"UB-{number:05}", f"{street} {number % 997} камер", "Жишээ", f"ZH{number:08}",
        "02:00:" + ":".join(f"{number >> shift & 255:02x}" for shift in (24, 16, 8, 0)), "камер",
        f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        f"{street} гудамж {number % 311}",
        round(47.80 + number % 300 * 0.0008, 6), round(106.60 + number // 300 * 0.0026, 6),
        _DISTRICTS[number % len(_DISTRICTS)], "гудамж", "шон", 6.5, number * 7 % 360, 720,
        "ажиллаж байгаа",
    ]  # fmt: skip


def write_workbook(path: Path, cameras: int) -> None:
    """The workbook a clerk would send."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet("Камер")
    page.append(list(_HEADINGS))
    for number in range(cameras):
        page.append(row_of(number))
    book.save(path)


@dataclass
class _City:
    """What the HTTP door needs of a city."""

    database: Database
    keyring: Keyring
    clock: SystemClock = field(default_factory=SystemClock)
    hub: Hub = field(default_factory=lambda: Hub(Metrics()))
    troubles: Mapping[str, str] = field(default_factory=dict)
    wake_alerts: Callable[[], None] = lambda: None
    wake_configs: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        raise ServerError(f"the bench's city has no {name}")


async def run_registry(
    *, folder: Path, teller: Teller, cameras: int, questions: int, database: str
) -> Report:
    """The import and the questions on each database that was asked for."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    names = ("sqlite", "postgresql") if database == "both" else (database,)
    book = folder / "cameras.xlsx"
    teller.say(f"writing a workbook of {cameras:,} cameras")
    await asyncio.to_thread(write_workbook, book, cameras)
    parameters = {"cameras": cameras, "questions": questions, "workbook_mb": book.stat().st_size / 1e6,
                  "requests": "through the application, without a socket"}  # fmt: skip
    report = Report("registry", parameters)
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            url = await _address(stack, name, folder)
            report.figures[name] = await _measure(url, folder / name, book, cameras, questions, teller)
            report.targets |= {f"{name}.{key}": aim for key, aim in TARGETS.items()}
    return report


async def _address(stack: contextlib.AsyncExitStack, name: str, folder: Path) -> str:
    if name == "sqlite":
        (folder / name).mkdir(exist_ok=True)
        return f"sqlite:///{folder}/{name}/city.db"
    if name != "postgresql":
        raise ServerError(f"database {name!r}: expected sqlite, postgresql or both")
    if Postgres.program("initdb") is None:
        raise ServerError("PostgreSQL is not installed: sudo apt-get install postgresql")
    (folder / name).mkdir(exist_ok=True)
    server = Postgres()
    stack.callback(shutil.rmtree, server.folder, ignore_errors=True)
    await stack.enter_async_context(server)
    await server.execute("CREATE DATABASE city ENCODING 'UTF8' TEMPLATE template0")
    return server.address("city")


async def _measure(
    url: str, data: Path, book: Path, cameras: int, questions: int, teller: Teller
) -> dict[str, Any]:
    database = Database(url)
    try:
        await upgrade(database)
        teller.say(f"importing into {database}")
        figures = await take_workbook(url, data, book)
        taken = figures.pop("taken")
        if taken != cameras:
            raise ServerError(f"the import took {taken} of {cameras} cameras")
        city = _City(database, ensure_keyring(data / "keys"))
        people = Identity(database, city.clock)
        token = await people.new_token("bench", ["registrar"], days=1)
        app = create_app(city, identity=people)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="https://city.test/api/v1",
            headers={"Authorization": f"Bearer {token}"}, timeout=60,
        ) as client:  # fmt: skip
            for name, ask in _questions(client, cameras).items():
                with teller.bar(name, questions) as bar:
                    figures |= await _ask(name, ask, questions, bar.at)
    finally:
        await database.close()
    return figures


async def take_workbook(url: str, data: Path, book: Path) -> dict[str, Any]:
    """Import it by the console's command; how long it took and how many rows were taken."""
    environment = {**os.environ, "UTAA_REGISTRY_DATABASE_URL": url, "UTAA_REGISTRY_DATA_DIR": str(data)}
    began_s = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "utaa.cli",
        "registry",
        "import",
        str(book),
        "--kind",
        "cameras",
        "--json",
    ]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), _IMPORT_DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
    took_s = time.monotonic() - began_s
    if process.returncode != 0:
        raise ServerError(f"the import ended with {process.returncode}")
    told = json.loads(out)
    return {"import_s": round(took_s, 2), "taken": told["counts"]["create"]}


_Ask = Callable[[random.Random], Awaitable[httpx.Response]]


def _questions(client: httpx.AsyncClient, cameras: int) -> dict[str, _Ask]:
    """What is asked, by the name of its figure; the same questions in each run."""
    cursors: list[str | None] = [None]

    async def pages(chance: random.Random) -> httpx.Response:
        wanted = {"limit": "50"} | ({"cursor": chosen} if (chosen := chance.choice(cursors)) else {})
        answer = await client.get("/cameras", params=wanted)
        if answer.status_code == 200 and (following := answer.json()["next"]):
            cursors.append(following)
        return answer

    def filtered(chance: random.Random) -> Awaitable[httpx.Response]:
        wanted = {
            "unit": chance.choice(_DISTRICTS),
            "state": "active",
            "q": f"камер {chance.randrange(997)}",
        }
        return client.get("/cameras", params=wanted)

    def searched(chance: random.Random) -> Awaitable[httpx.Response]:
        text = chance.choice(
            [f"ub-{chance.randrange(cameras):05}", f"оргоо {chance.randrange(997)}", "чингиc камер",
             f"ZH{chance.randrange(cameras):08}"]
        )  # fmt: skip
        return client.get("/search", params={"q": text})

    def misspelt(chance: random.Random) -> Awaitable[httpx.Response]:
        words = chance.choice(["найрамдла", "үйлдвэрр", "энх тайвна", "чингсс", "гудмаж"])
        return client.get("/cameras", params={"q": words})

    def mapped(chance: random.Random) -> Awaitable[httpx.Response]:
        west, south = 106.6 + chance.random() * 0.5, 47.8 + chance.random() * 0.2
        box = f"{west:.5f},{south:.5f},{west + _SCREEN:.5f},{south + _SCREEN:.5f}"
        return client.get("/cameras/map", params={"bbox": box})

    return {"list": pages, "filter": filtered, "search": searched, "words": misspelt, "geojson": mapped}


async def _ask(name: str, ask: _Ask, questions: int, tell: Callable[[float], None]) -> dict[str, Any]:
    chance = random.Random(7)  # noqa: S311  # the same questions each time
    took_s, cpu_s = [], time.process_time()
    for number in range(questions):
        began_s = time.perf_counter()
        answer = await ask(chance)
        took_s.append(time.perf_counter() - began_s)
        if answer.status_code != 200:
            raise ServerError(f"{name}: {answer.status_code} {answer.text[:200]}")
        tell(number + 1)
    return {
        f"{name}_p50_ms": milliseconds(took_s, 0.5),
        f"{name}_p95_ms": milliseconds(took_s, 0.95),
        f"{name}_cpu_ms": round(1000 * (time.process_time() - cpu_s) / questions, 2),
    }
