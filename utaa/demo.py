"""``utaa demo``: a small city of simulated homes on this machine, with a fire within a minute.

Everything but the homes is real: broker, agents, gateway, reading store, mail by SMTP. At the end the
publishers' own ledgers are held against what the public API gives back.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edge.wire.clock import SystemClock
from firmware_sim import scenario as scenarios
from firmware_sim.fleet import run_fleet
from firmware_sim.ledger import HappeningLine, Ledger, ReadingLine, read_ledger
from firmware_sim.link import Broker
from firmware_sim.scenario import HomeSpec, Scenario
from firmware_sim.streets import Streets
from registry.db import Database
from registry.demo_city import enter_demo_city
from registry.identity import Identity
from registry.sealed import ensure_keyring
from utaa import demo_fibre
from utaa.onebox import OneBox, Plan, until
from utaa.ports import ServerError
from utaa.readback import Api, Readback, read_back, us_from_text

#: After the fleets have stopped: how long the city may take to have everything.
_SETTLE_S = 30.0
_ROLES = ("administrator", "registrar", "duty")
#: Who acknowledges the demo's alarms; the password is another one each time.
DUTY_LOGIN = "duty"
#: Who goes to its homes: the same password.
TECHNICIAN_LOGIN = "technician"
_PASSWORD_BYTES = 12
#: What the demo's agents listen to: our own format and one foreign one.
_SOURCES = '[{"name": "native"}, {"name": "zigbee2mqtt"}]'


@dataclass(frozen=True)
class District:
    """A district the demo has homes in: its site's name and about where it is."""

    code: str
    site: str
    title: str
    short: str
    lat: float
    lon: float


#: By the official code of the district; a khoroo's begins with it.
DISTRICTS: dict[str, District] = {
    "1125": District("1125", "chingeltei", "Чингэлтэй дүүрэг", "ЧД", 47.953, 106.906),
    "1116": District("1116", "songinokhairkhan", "Сонгинохайрхан дүүрэг", "СХД", 47.944, 106.800),
    "1110": District("1110", "bayanzurkh", "Баянзүрх дүүрэг", "БЗД", 47.926, 106.985),
    "1119": District("1119", "sukhbaatar", "Сүхбаатар дүүрэг", "СБД", 47.961, 106.931),
    "1113": District("1113", "nalaikh", "Налайх дүүрэг", "НД", 47.775, 107.265),
}


def khoroo_number(code: str) -> int:
    """The number in a khoroo's official code: the last two digits count up from 51 by two, then
    again from 52 for the 26th and on."""
    last = int(code[-2:])
    return (last - 51) // 2 + 1 if last % 2 else (last - 52) // 2 + 26


@dataclass(frozen=True)
class Greeting:
    """What a visitor needs: addresses, and who they are when they sign in."""

    page: str
    mailbox: str
    login: str
    technician: str
    password: str


@dataclass
class DemoReport:
    """What the demo measured, under the names its JSON bears."""

    detectors: int
    readings_published: int
    readings_stored: int
    alarms_raised: int
    incidents_opened: int
    notifications_accepted: int
    breach_to_accept_ms: dict[str, float | None]
    lost: int
    doubled: int
    broker: str
    reading_store: str
    seconds: float


@dataclass
class Demo:
    """One run."""

    box: OneBox
    scenario: Scenario
    say: Callable[[str], None]
    sites: dict[str, list[HomeSpec]] = field(default_factory=dict)
    ledgers: dict[str, Path] = field(default_factory=dict)

    @property
    def detectors(self) -> int:
        return len(self.scenario.detectors())


def homes_by_site(scenario: Scenario) -> dict[str, list[HomeSpec]]:
    """The scenario's homes by the site of their district."""
    sites: dict[str, list[HomeSpec]] = defaultdict(list)
    for home in scenario.homes:
        district = DISTRICTS.get((home.khoroo or "").removeprefix("MN")[:4])
        sites[district.site if district else "elsewhere"].append(home)
    return dict(sites)


async def run_demo(
    *,
    folder: Path,
    scenario_name: str,
    seconds: float | None,
    port: int,
    say: Callable[[str], None],
    stop: asyncio.Event,
    influx: bool | None = None,
    mosquitto: bool | None = None,
    ready: Callable[[Greeting], None] = lambda _greeting: None,
    city: bool = False,
) -> DemoReport:
    """Start everything, play until ``seconds`` have passed or ``stop``, and account for it.

    ``city`` also enters the invented Darkhan (``registry.demo_city``), whose homes are silent.
    ``ready`` is told page, mailbox, and login and password of a duty officer made for this run.
    Raises ``ServerError``, ``SimulatorError`` or ``TimeoutError`` with one line for the user.
    """
    scenario = scenarios.load(scenario_name)
    if (folder / "city").exists():
        raise ServerError(
            f"folder {folder} holds an earlier demo: choose another with --keep, or remove it"
        )
    sites = homes_by_site(scenario)
    plan = Plan(
        folder=folder, sites=tuple(sites), port=port, influx=influx, mosquitto=mosquitto,
        open_overview=True, edge_env={"UTAA_EDGE_SOURCES": _SOURCES},
    )  # fmt: skip
    async with OneBox(plan, say=say) as box:
        demo = Demo(box, scenario, say, sites)
        await box.start_gateway()
        token, password = await _keys(box)
        if city:
            await _enter_city(box, say)
        api = Api(box.url, token)
        try:
            await _register(demo, api)
            for site in sites:
                box.start_edge(site)
            await until(lambda: _connected(api, len(sites), box), seconds=60, what="the sites connect")
            await demo_fibre.register(api)
            city_broker = f"{box.city_broker.host}:{box.city_broker.port}"
            say(f"cut a trench: utaa sim cut {demo_fibre.TRENCH} --broker {city_broker} (mend: mend)")
            assert box.mailbox is not None  # the demo's plan always has one
            ready(Greeting(box.url, box.mailbox.url, DUTY_LOGIN, TECHNICIAN_LOGIN, password))
            began = time.monotonic()
            await _play(demo, seconds, stop)
            return await _account(demo, api, time.monotonic() - began)
        finally:
            await api.close()


async def _keys(box: OneBox) -> tuple[str, str]:
    """A key for the demo itself and a password for who watches it, made as at the console."""
    database = Database(box.database_url)
    try:
        identity = Identity(database, SystemClock())
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        await identity.new_person(DUTY_LOGIN, password, ("duty",))
        await identity.new_person(TECHNICIAN_LOGIN, password, ("technician",))
        return await identity.new_token("demo", _ROLES, days=1), password
    finally:
        await database.close()


async def _enter_city(box: OneBox, say: Callable[[str], None]) -> None:
    keyring = await asyncio.to_thread(ensure_keyring, box.gateway_data / "keys")
    database = Database(box.database_url)
    try:
        counts = await enter_demo_city(database, keyring, now_us=SystemClock().now_us())
    finally:
        await database.close()
    say("an invented Darkhan: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))


async def _register(demo: Demo, api: Api) -> None:
    """Sites, homes with a contact each, and their detectors; the persons do not exist."""
    titles = {district.site: district for district in DISTRICTS.values()}
    for site, homes in demo.sites.items():
        district = titles.get(site)
        sirens = [
            name
            for home in homes
            if home.siren
            for name in demo.scenario.sirens()
            if name.startswith(home.name)
        ]
        await api.post(
            "/sites",
            {
                "id": site,
                "title": district.title if district else site,
                "unit_code": district.code if district else None,
                "lat": district.lat if district else None,
                "lon": district.lon if district else None,
                "output_settings": {"sirens": sirens} if sirens else {},
            },
        )
        for number, home in enumerate(homes, 1):
            await _register_home(demo, api, site, district, home, number)


async def _register_home(
    demo: Demo, api: Api, site: str, district: District | None, home: HomeSpec, number: int
) -> None:
    khoroo = khoroo_number(home.khoroo) if home.khoroo and district else number
    place = f"{district.short} {khoroo}-р хороо" if district else site
    household = await api.post(
        "/households",
        {
            "label": f"{place}, {home.name}",
            "site_id": site,
            "unit_code": home.khoroo.removeprefix("MN") if home.khoroo and district else None,
            "address": f"{place}, Жишээ гудамж {number} тоот",
            "contacts": [
                {
                    "name": "Жишээ Айл",
                    "channels": [{"channel": "email", "address": f"{home.name}@example.org"}],
                }
            ],
        },
    )
    registered = [
        {
            "source": detector.format,
            "address": detector.address,
            "household_id": household["id"],
            "place": _PLACES.get(detector.kind, detector.kind),
        }
        for detector in demo.scenario.detectors_of(home)
        if detector.address not in _LEFT_UNREGISTERED
    ]
    if registered:
        await api.post("/detectors", {"site_id": site, "detectors": registered})


_PLACES = {
    "smoke": "утаа мэдрэгч",
    "co": "угаарын хийн мэдрэгч",
    "heat": "дулаан мэдрэгч",
    "combined": "хосолсон мэдрэгч",
}
#: One detector nobody has registered, as there always is one.
_LEFT_UNREGISTERED = frozenset({"house-009-heat"})


async def _connected(api: Api, sites: int, box: OneBox) -> bool:
    box.check()
    states = [site["state"] async for site in api.items("/sites")]
    return states.count("online") >= sites


async def _play(demo: Demo, seconds: float | None, stop: asyncio.Event) -> None:
    """All fleets at once, each at its own site's broker; ends early if a room dies."""
    ending = asyncio.Event()

    async def end() -> None:
        deadline = time.monotonic() + seconds if seconds else float("inf")
        while not stop.is_set() and time.monotonic() < deadline:
            demo.box.check()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(0.25, max(0.0, deadline - time.monotonic())))
        ending.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(end(), name="end of the demo")
        group.create_task(_streets(demo, ending), name="streets on the fibre")
        for site, homes in demo.sites.items():
            group.create_task(_fleet(demo, site, homes, ending), name=f"fleet {site}")


async def _streets(demo: Demo, ending: asyncio.Event) -> None:
    """Cameras and a school on a fibre plant, until the demo ends."""
    broker = Broker(demo.box.city_broker.host, demo.box.city_broker.port)
    streets = asyncio.create_task(
        Streets(demo_fibre.plan(), broker, SystemClock()).run(), name="simulated sites"
    )
    try:
        await ending.wait()
    finally:
        streets.cancel()
        await asyncio.gather(streets, return_exceptions=True)


async def _fleet(demo: Demo, site: str, homes: list[HomeSpec], ending: asyncio.Event) -> None:
    names = {home.name for home in homes}
    part = msgspec.structs.replace(
        demo.scenario,
        homes=homes,
        happenings=[each for each in demo.scenario.happenings if each.home in names],
    )
    broker = demo.box.site_brokers[site]
    path = demo.box.plan.folder / f"ledger-{site}.jsonl"
    demo.ledgers[site] = path
    with Ledger(path) as ledger:
        await run_fleet(
            part, site=site, broker=Broker(broker.host, broker.port), clock=SystemClock(),
            ledger=ledger, seconds=None, stop=ending,
        )  # fmt: skip


# --- the account -----------------------------------------------------------------------------------


async def _account(demo: Demo, api: Api, seconds: float) -> DemoReport:
    lines = [line for path in demo.ledgers.values() for line in read_ledger(path)]
    published = [line for line in lines if isinstance(line, ReadingLine)]
    dangers = [line for line in lines if isinstance(line, HappeningLine)]
    demo.say(f"reading back {len(published)} readings through the API")
    found = await _settled(api, published)
    incidents = [item async for item in api.items("/incidents")]
    stories = [await api.get(f"/incidents/{item['id']}") for item in incidents]
    return DemoReport(
        detectors=demo.detectors,
        readings_published=found.published,
        readings_stored=found.stored,
        alarms_raised=sum(len(story["alarms"]) for story in stories),
        incidents_opened=len(incidents),
        notifications_accepted=sum(1 for story in stories for _ in _accepted_us(story)),
        breach_to_accept_ms=_latencies(dangers, stories),
        lost=found.lost,
        doubled=found.doubled,
        broker=demo.box.city_broker.name,
        reading_store="InfluxDB" if demo.box.influx else "SQLite",
        seconds=round(seconds, 1),
    )


async def _settled(api: Api, published: list[ReadingLine]) -> Readback:
    """Read back until nothing is missing or the city has had its time."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        found = await read_back(api, published)
        if found.lost == 0 or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.5)


def _accepted_us(story: dict[str, Any]) -> list[int]:
    return [
        us_from_text(delivery["accepted_at"])
        for notification in story["notifications"]
        for delivery in notification["deliveries"]
        if delivery["accepted_at"] is not None
    ]


def _latencies(dangers: list[HappeningLine], stories: list[dict[str, Any]]) -> dict[str, float | None]:
    """From the first published reading that breached a limit to the first mail a server accepted."""
    took_ms = []
    for danger in dangers:
        accepted = [
            at_us
            for story in stories
            if any(alarm["detector_id"] == danger.detector for alarm in story["alarms"])
            for at_us in _accepted_us(story)
            if at_us >= danger.first_breach_us
        ]
        if accepted:
            took_ms.append((min(accepted) - danger.first_breach_us) / 1000)
    if not took_ms:
        return {"p50": None, "p99": None}
    took_ms.sort()
    last = took_ms[min(len(took_ms) - 1, int(len(took_ms) * 0.99))]
    return {"p50": round(statistics.median(took_ms), 1), "p99": round(last, 1)}
