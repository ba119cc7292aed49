"""``utaa bench chaos``: break things at random moments, then hold the city against the ledger.

One cycle: detectors report and a few homes begin to burn → one to three faults, chosen by the seed, at
moments chosen by it, each held for a while and mended → the load ends → the city gets its time → every
accepted reading must be stored exactly once, every alarm must have exactly one incident, and nobody may
have been told twice: the same delivery twice only where its attempts say that an answer was lost.

A reading is accepted when the site's own broker has acknowledged it; that broker is the one server that
is left alone, since nothing else has the reading yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from alerts.models import AlarmRecord, Attempt, Delivery, Incident
from edge.wire.clock import SystemClock, rfc3339
from edge.wire.identity import detector_id
from edge.wire.topics import detector_topic
from firmware_sim.ledger import ReadingLine
from registry.db import Database
from utaa.bench.city import Home, register, token
from utaa.bench.client import BenchClient
from utaa.bench.disk import SmallDisk
from utaa.bench.report import Report, Teller
from utaa.bench.smtp import SmtpSink
from utaa.bench.thin import Proxy
from utaa.onebox import OneBox, Plan, until
from utaa.postgres import Postgres
from utaa.readback import Api, Readback, read_back
from utaa.servers import Influx, Server, ServerError, free_port

SITE = "chaos"
_DETECTORS = 40
_LOAD_S = 3.0
_EVERY_S = 0.02
_FIRES_A_CYCLE = 2
#: Longer than an edge's longest pause before it connects again, and a worker's lease.
_SETTLE_S = 120.0
_LEASE_S = 5.0
_MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([0-9a-f]+)@", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """Something that can be broken and mended."""

    name: str
    break_it: Callable[[], Awaitable[None]]
    mend_it: Callable[[], Awaitable[None]]
    least_s: float = 0.1
    most_s: float = 2.0


@dataclass
class _City:
    """The running house, its faults and the ledger."""

    box: OneBox
    proxy: Proxy
    choice: random.Random
    teller: Teller
    ports: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    ledger: list[ReadingLine] = field(default_factory=list)
    burning: set[int] = field(default_factory=set)
    mails: Counter[str] = field(default_factory=Counter)
    faults_done: Counter[str] = field(default_factory=Counter)
    thinned: int = 0
    last_us: int = 0

    def hear_mail(self, _recipient: str, _at_s: float, mail: bytes) -> None:
        found = _MESSAGE_ID.search(mail)
        self.mails[found[1].decode() if found else "unreadable"] += 1


@dataclass
class Verdict:
    """What a cycle left behind."""

    readings: Readback
    alarms: int
    #: raised alarms without a record, or with more than one incident or record
    wrong_alarms: list[str]
    #: deliveries that arrived twice although no attempt of them is unknown
    told_twice: list[str]
    unknown_attempts: int
    untold: int

    @property
    def ok(self) -> bool:
        found = self.readings
        return not (found.lost or found.doubled or self.wrong_alarms or self.told_twice or self.untold)


async def run_chaos(
    *, folder: Path, teller: Teller, cycles: int, seed: int, servers: bool, disk: bool = True
) -> Report:
    """Raises ``ServerError`` or ``TimeoutError``; a broken promise is in the report, no exception."""
    report = Report(
        "chaos",
        {"cycles": cycles, "seed": seed, "detectors": _DETECTORS, "workers": 2,
         "store": "InfluxDB" if servers else "SQLite",
         "database": "PostgreSQL" if servers else "SQLite"},
        targets={"lost": "0", "doubled": "0", "wrong_alarms": "0", "told_twice": "0", "untold": "0"},
    )  # fmt: skip
    async with _running(folder, teller, seed, cycles, servers=servers, disk=disk) as city:
        await _cycles(city, cycles, report)
    return report


@contextlib.asynccontextmanager
async def _running(
    folder: Path, teller: Teller, seed: int, cycles: int, *, servers: bool, disk: bool
) -> AsyncIterator[_City]:
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy())
        choice = random.Random(seed)  # noqa: S311  # a run can be repeated
        postgres = await _postgres(stack) if servers else None
        mails: list[Callable[[str, float, bytes], None]] = []
        sink = await stack.enter_async_context(SmtpSink(lambda *mail: mails[0](*mail)))
        plan = Plan(
            folder=folder, sites=(SITE,), influx=servers, mosquitto=True, smtp_port=sink.port,
            open_overview=True, database_url=postgres.address("city") if postgres else None,
            gateway_env={
                "UTAA_ALERTS_SMTP__SECURITY": "none", "UTAA_ALERTS_WORKER__LEASE_S": str(_LEASE_S),
            },
            edge_env={
                "UTAA_EDGE_CITY_BROKER__PORT": str(proxy.port), "UTAA_EDGE_HEARTBEAT_S": "2",
                "UTAA_EDGE_QUOTA_MB": "64",
            },
        )  # fmt: skip
        small = await _small_disk(stack, plan, teller) if disk else None
        box = await stack.enter_async_context(OneBox(plan, say=teller.say))
        proxy.target = (box.city_broker.host, box.city_broker.port)
        city = _City(box, proxy, choice, teller)
        mails.append(city.hear_mail)
        await _start_rooms(city, cycles)
        city.faults = _faults(city, postgres, small)
        teller.say(f"faults: {', '.join(fault.name for fault in city.faults)}")
        yield city


async def _postgres(stack: contextlib.AsyncExitStack) -> Postgres:
    if Postgres.program("initdb") is None:
        raise ServerError("PostgreSQL is not installed: sudo apt-get install postgresql")
    if problem := Influx.why_not():
        raise ServerError(problem)
    server = Postgres()
    stack.callback(shutil.rmtree, server.folder, ignore_errors=True)
    await stack.enter_async_context(server)
    await server.execute("CREATE DATABASE city")
    return server


async def _small_disk(stack: contextlib.AsyncExitStack, plan: Plan, teller: Teller) -> SmallDisk | None:
    """A disk of a few MB for the spool, where this user may mount one."""
    small = SmallDisk(plan.folder / "sites" / SITE)
    problem = small.mount()
    if problem:
        teller.say(f"no full disk in this run: {problem}")
        return None
    stack.callback(small.unmount)
    return small


async def _start_rooms(city: _City, cycles: int) -> None:
    for name in ("gateway", "gateway-2"):
        await _start_worker(city, name)
    await register(
        city.box,
        [Home(SITE, f"d{n}") for n in range(_DETECTORS)]
        + [Home(SITE, f"f{n}", f"f{n}@example.org") for n in range(cycles * _FIRES_A_CYCLE)],
    )
    city.box.start_edge(SITE)
    await until(lambda: _has_settings(city), seconds=60, what="the agent takes its settings")


async def _has_settings(city: _City) -> bool:
    city.box.check()
    return (city.box.edge_data(SITE) / "config.json").exists()


async def _start_worker(city: _City, name: str) -> None:
    """A gateway on the port it had before; the API is asked at the first one's."""
    kept = city.box.port
    city.box.port = city.ports.setdefault(name, free_port())
    try:
        child = city.box.rooms.get(name)
        if child is None or not child.alive:
            await city.box.start_gateway(name)
    finally:
        city.box.port = city.ports["gateway"] if name != "gateway" else city.box.port
        if kept and name != "gateway":
            city.box.port = kept


# --- faults ----------------------------------------------------------------------------------------


def _faults(city: _City, postgres: Postgres | None, small: SmallDisk | None) -> list[Fault]:
    box = city.box

    async def kill(name: str) -> None:
        await box.rooms[name].kill()

    async def mend_edge() -> None:
        box.start_edge(SITE)

    async def mend_link() -> None:
        city.proxy.mend()

    found = [
        Fault("edge killed", lambda: kill(f"edge-{SITE}"), mend_edge),
        Fault("gateway killed", lambda: kill("gateway"), lambda: _start_worker(city, "gateway")),
        Fault("gateway-2 killed", lambda: kill("gateway-2"), lambda: _start_worker(city, "gateway-2")),
        Fault("broker killed", box.city_broker.kill, box.city_broker.start),
        Fault("link cut", city.proxy.cut, mend_link),
    ]
    servers: list[Server] = [one for one in (box.influx, postgres) if one is not None]
    found += [Fault(f"{one.name} killed", one.kill, one.start) for one in servers]
    if small is not None:
        found.append(Fault("disk full", small.fill, small.free, least_s=0.5, most_s=2.5))
    return found


async def _break_things(city: _City) -> None:
    """One to three different faults, each at its own moment of the load."""
    chosen = city.choice.sample(city.faults, city.choice.randint(1, min(3, len(city.faults))))
    needs_database = {"PostgreSQL killed"}
    plans = [
        (
            fault,
            city.choice.uniform(0.1, _LOAD_S - 0.5),
            city.choice.uniform(fault.least_s, fault.most_s),
        )
        for fault in chosen
    ]
    # a gateway cannot start while its database is away: such faults do not overlap
    if needs_database & {fault.name for fault in chosen}:
        plans = [plan for plan in plans if not plan[0].name.startswith("gateway")]

    async def one(fault: Fault, after_s: float, hold_s: float) -> None:
        await asyncio.sleep(after_s)
        await fault.break_it()
        city.faults_done[fault.name] += 1
        await asyncio.sleep(hold_s)
        await fault.mend_it()

    async with asyncio.TaskGroup() as group:
        for plan in plans:
            group.create_task(one(*plan), name=plan[0].name)


# --- load ------------------------------------------------------------------------------------------


async def _load(city: _City, client: BenchClient, cycle: int, stop: asyncio.Event) -> None:
    """Every detector in turn, with its own time; the cycle's fires at random moments."""
    fires = [cycle * _FIRES_A_CYCLE + n for n in range(_FIRES_A_CYCLE)]
    moments = {fire: time.monotonic() + city.choice.uniform(0.1, _LOAD_S - 0.2) for fire in fires}
    turn = 0
    while not stop.is_set():
        turn += 1
        _publish(city, client, f"d{turn % _DETECTORS}", smoke=False, turn=turn)
        for fire in [fire for fire, at_s in moments.items() if at_s <= time.monotonic()]:
            del moments[fire]
            city.burning.add(fire)
            _publish(city, client, f"f{fire}", smoke=True, turn=turn)
        await asyncio.sleep(_EVERY_S)


def _publish(city: _City, client: BenchClient, address: str, *, smoke: bool, turn: int) -> None:
    now_us = city.last_us = max(city.last_us + 1, SystemClock().now_us())
    readings = {"co_ppm": float(turn % 9), "temperature_c": 20.0 + turn % 7}
    payload = {"time": rfc3339(now_us), "smoke_alarm": smoke, **readings}
    client.publish([(detector_topic(address, "reading").encode(), msgspec.json.encode(payload))])
    city.ledger.append(
        ReadingLine(
            detector=detector_id(SITE, "native", address), source="native", address=address,
            time_us=now_us, values=readings, flags={"smoke_alarm": smoke},
        )
    )  # fmt: skip


# --- cycles and their account ----------------------------------------------------------------------


async def _cycles(city: _City, cycles: int, report: Report) -> None:
    local = city.box.site_brokers[SITE]
    client = await BenchClient.connect(local.host, local.port, "chaos")
    failed: list[str] = []
    slowest_s, verdict = 0.0, None
    began_s = time.monotonic()
    with city.teller.bar("cycles", cycles) as bar:
        for cycle in range(cycles):
            await _one_cycle(city, client, cycle)
            settled_s = time.monotonic()
            verdict = await _settled(city)
            slowest_s = max(slowest_s, time.monotonic() - settled_s)
            bar.at(cycle + 1, f"{verdict.readings.stored:,} readings, {verdict.alarms} alarms")
            if not verdict.ok:
                failed.append(f"cycle {cycle}: {verdict}")
                break
    await client.close()
    assert verdict is not None
    report.figures |= {
        "cycles_done": cycle + 1,
        "seconds": round(time.monotonic() - began_s, 1),
        "slowest_settling_s": round(slowest_s, 1),
        "faults": dict(sorted(city.faults_done.items())),
        "accepted": verdict.readings.published,
        "stored": verdict.readings.stored,
        "lost": verdict.readings.lost,
        "doubled": verdict.readings.doubled,
        "alarms": verdict.alarms,
        "wrong_alarms": len(verdict.wrong_alarms),
        "mails": city.mails.total(),
        "told_twice": len(verdict.told_twice),
        "unknown_attempts": verdict.unknown_attempts,
        "untold": verdict.untold,
        "failed": failed,
    }


async def _one_cycle(city: _City, client: BenchClient, cycle: int) -> None:
    stop = asyncio.Event()
    loading = asyncio.create_task(_load(city, client, cycle, stop), name="load")
    try:
        await asyncio.gather(_break_things(city), asyncio.sleep(_LOAD_S))
    finally:
        stop.set()
        await loading
    await client.room(1)  # everything in the ledger is accepted
    city.box.check()


async def _settled(city: _City) -> Verdict:
    """Ask until the account is right or the city has had its time."""
    deadline_s = time.monotonic() + _SETTLE_S
    while True:
        verdict = None
        try:
            verdict = await _judge(city)
        except* (httpx.HTTPError, RuntimeError, DBAPIError, OSError):
            pass  # a server that was mended just now does not answer yet
        if verdict is not None and (verdict.ok or time.monotonic() > deadline_s):
            return verdict
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the city does not answer {_SETTLE_S:g} s after the faults")
        await asyncio.sleep(0.3)


async def _judge(city: _City) -> Verdict:
    box = city.box
    api = Api(f"http://127.0.0.1:{city.ports['gateway']}", await token(box))
    try:
        readings = await read_back(api, city.ledger)
    finally:
        await api.close()
    database = Database(box.database_url)
    try:
        async with database.read() as session:
            records = (
                await session.execute(
                    select(AlarmRecord.detector_id, AlarmRecord.incident_id).where(
                        AlarmRecord.kind == "smoke"
                    )
                )
            ).all()
            incidents = (
                await session.execute(
                    select(Incident.subject_id, func.count())
                    .where(Incident.hazard == "fire")
                    .group_by(Incident.subject_id)
                )
            ).all()
            unknown = set(
                await session.scalars(select(Attempt.delivery_id).where(Attempt.outcome == "unknown"))
            )
            told = set(
                await session.scalars(
                    select(Delivery.id).where(Delivery.state.in_(("accepted", "unknown")))
                )
            )
            waiting = set(
                await session.scalars(
                    select(Delivery.id).where(Delivery.state.in_(("queued", "sending")))
                )
            )
    finally:
        await database.close()
    expected = {detector_id(SITE, "native", f"f{fire}") for fire in city.burning}
    by_detector = Counter(detector for detector, _ in records)
    wrong = [f"{one}: {by_detector[one]} records" for one in expected if by_detector[one] != 1]
    wrong += [f"{one}: raised by nobody" for one in by_detector if one not in expected]
    wrong += [f"{subject}: {count} incidents" for subject, count in incidents if count != 1]
    wrong += [f"{one}: no incident" for one, incident in records if incident is None]
    # a lost answer may hide a mail that did arrive; a mail that was never accepted may not be missing
    return Verdict(
        readings=readings,
        alarms=len(expected),
        wrong_alarms=wrong,
        told_twice=[one for one, count in city.mails.items() if count > 1 and one not in unknown],
        unknown_attempts=len(unknown),
        untold=len(waiting) + sum(1 for one in told if one not in city.mails and one not in unknown)
        + max(0, len(expected) - len(told)),
    )  # fmt: skip
