"""A storm, measured: thousands of homes burn within a minute, each with contacts to be told.

``storm`` fills a register in a new folder, raises one alarm per home through the same function that the
ingest calls, lets the real worker tell everybody over real sockets to a mail server and a push
service in another process, and reads from their notes when each first notification was accepted.
``dead_site_storm`` is the same number of homes behind one site that falls silent.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, insert, select

import alerts.models  # noqa: F401  # its tables
from alerts import incidents
from alerts.channels.base import Channel
from alerts.channels.email import EmailChannel
from alerts.channels.vapid import b64url, ensure_vapid
from alerts.channels.webpush import WebPushChannel
from alerts.models import Delivery, Incident
from alerts.openings import Said, apply_alarms
from alerts.policy import DEFAULT_POLICY
from alerts.settings import SmtpSettings, WebPushSettings, WorkerSettings
from alerts.worker import Worker
from edge.wire.clock import SystemClock
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import Alarm, AlarmKind
from registry.db import Base, Database
from registry.households import ADDRESS, CHANNEL_ADDRESS, CONTACT_NAME
from registry.models import Contact, ContactChannel, Detector, Household, Site
from registry.sealed import Keyring

#: As many events as the gateway's ingest takes into one transaction.
_EVENTS_AT_ONCE = 64
_HOMES_PER_SITE = 100
_EPOCH = "storm"
#: Nobody waits longer than this for the stragglers.
_PATIENCE_S = 120.0
#: A trouble that is being sent when a fire begins is no trouble before a fire.
_HEAD_START_S = 1.0


@dataclass(frozen=True)
class StormFigures:
    """What was measured. Delays are from the moment the alarm was due to the server's acceptance."""

    households: int
    contacts: int
    spread_s: float
    told: int
    median_s: float
    p99_s: float
    slowest_s: float
    #: of all first notifications, accepted within ten seconds
    within_10_s: float
    #: messages that a server accepted beyond those that we know as accepted
    doubled: int
    incidents: int
    #: how late the last alarm was planned: the ingest's share
    planned_late_s: float
    cpu_s: float
    peak_rss_mb: float
    #: of the troubles that were due before the first fire
    troubles_told: int
    #: troubles accepted while a fire that had been due for a second still waited
    troubles_before_fire: int
    receivers_cpu_s: float


@dataclass(frozen=True)
class _Home:
    site: str
    detector: str
    keys: tuple[str, ...]


async def storm(
    folder: Path, *, households: int = 5000, contacts: int = 3, spread_s: float = 60.0,
    database_url: str | None = None, troubles: int = 0,
    progress: Callable[[int], None] = lambda _told: None,
) -> StormFigures:  # fmt: skip
    """Raise one alarm per home, evenly over ``spread_s``, and tell everybody.

    Every third contact of a home has a browser, the others an e-mail address. ``troubles`` of so many
    further homes with one contact each are due when it begins. ``progress`` hears how many were told.
    """
    notes = folder / "accepted.txt"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    children_s = before.ru_utime + before.ru_stime
    async with _sinks(notes) as (smtp_port, push_port), _city(folder, database_url) as city:
        database, keyring = city
        homes = await _fill(database, keyring, households, contacts, push_port)
        weary = await _fill(
            database, keyring, troubles, 1, push_port, name="trouble"
        )  # fmt: skip
        clock = SystemClock()
        await _be_in_trouble(database, weary, clock)
        worker = Worker(
            database, _channels(folder, smtp_port, push_port), clock, WorkerSettings(poll_s=0.2),
            keyring=keyring, public_url="https://utaa.example",
        )  # fmt: skip
        running = asyncio.create_task(worker.run())
        cpu_before_s = time.process_time()
        due, late_s = await _raise_all(database, homes, spread_s, clock, worker)
        await _until_told(notes, households * contacts + troubles, progress)
        cpu_s = time.process_time() - cpu_before_s
        worker.stop()
        await running
        count = await _count(database)
        async with database.read() as session:
            accepted = select(func.count()).where(Delivery.state == "accepted")
            deliveries = await session.scalar(accepted) or 0
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = _figures(notes, homes, due, contacts, spread_s, count, deliveries, late_s, cpu_s)
    return replace(told, receivers_cpu_s=spent.ru_utime + spent.ru_stime - children_s)


async def dead_site_storm(folder: Path, *, households: int = 5000) -> tuple[int, int]:
    """(incidents, deliveries) after one site with so many homes has fallen silent."""
    async with _city(folder, None) as (database, keyring):
        await _fill(database, keyring, households, 1, 1, homes_per_site=households)
        clock = SystemClock()
        async with database.write() as session:
            for _ in range(3):  # told again and again, as a supervisor may
                await incidents.site_event(session, "site-0", "silent", clock.now_us())
        async with database.read() as session:
            deliveries = await session.scalar(select(func.count()).select_from(Delivery))
        return await _count(database), deliveries or 0


def _channels(folder: Path, smtp_port: int, push_port: int) -> dict[str, Channel]:
    smtp = SmtpSettings(port=smtp_port, security="none", concurrency=16)
    vapid = ensure_vapid(folder / "vapid.pem", "mailto:bench@example.org")
    push = WebPushSettings(allow_private=True, concurrency=32)
    return {"email": EmailChannel(smtp), "webpush": WebPushChannel(push, vapid)}


@asynccontextmanager
async def _sinks(notes: Path) -> AsyncIterator[tuple[int, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alerts.sinks", str(notes),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        smtp, push = (await process.stdout.readline()).split()
        yield int(smtp), int(push)
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def _city(folder: Path, database_url: str | None) -> AsyncIterator[tuple[Database, Keyring]]:
    database = Database(database_url or f"sqlite:///{folder}/city.sqlite")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    try:
        yield database, Keyring({"k001": os.urandom(32)})
    finally:
        await database.close()


async def _fill(
    database: Database, keyring: Keyring, households: int, contacts: int, push_port: int,
    *, homes_per_site: int = _HOMES_PER_SITE, name: str = "site",
) -> list[_Home]:  # fmt: skip
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public_key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    browser_keys = {"p256dh": b64url(point), "auth": b64url(os.urandom(16))}
    rows: dict[type[Base], list[dict[str, Any]]] = {
        Site: [], Household: [], Contact: [], ContactChannel: [], Detector: [],
    }  # fmt: skip
    homes = []
    for number in range(households):
        site = f"{name}-{number // homes_per_site}"
        if number % homes_per_site == 0:
            rows[Site].append(
                {"id": site, "title": site, "unit_code": "111624", "config_version": 1,
                 "alarm_settings": {}, "output_settings": {}, "created_us": 0}
            )  # fmt: skip
        home_id, detector = new_id(), detector_id(site, "native", f"d{number}")
        rows[Household].append(
            {"id": home_id, "label": f"{name}-home-{number}", "site_id": site, "unit_code": "111624",
             "address": keyring.seal(f"Жишээ гудамж {number}", ADDRESS), "language": "mn",
             "created_us": 0}
        )  # fmt: skip
        rows[Detector].append(
            {"id": detector, "site_id": site, "source": "native", "address": f"d{number}",
             "status": "in_service", "household_id": home_id, "place": "", "alarm_settings": {}}
        )  # fmt: skip
        keys = []
        for position in range(1, contacts + 1):
            browser = position % 3 == 0
            who = f"{name}{number}-{position}"
            key = f"/push/{who}" if browser else f"{who}@example.org"
            address = key
            if browser:
                endpoint = f"http://127.0.0.1:{push_port}{key}"
                address = json.dumps({"endpoint": endpoint, "keys": browser_keys})
            contact_id = new_id()
            rows[Contact].append(
                {"id": contact_id, "household_id": home_id, "role": "resident", "language": "mn",
                 "position": position, "name": keyring.seal("Жишээ", CONTACT_NAME)}
            )  # fmt: skip
            rows[ContactChannel].append(
                {"id": new_id(), "contact_id": contact_id,
                 "channel": "webpush" if browser else "email",
                 "address": keyring.seal(address, CHANNEL_ADDRESS),
                 "address_fingerprint": who}
            )  # fmt: skip
            keys.append(key)
        homes.append(_Home(site, detector, tuple(keys)))
    async with database.write() as session:
        for model, entries in rows.items():
            if entries:
                await session.execute(insert(model), entries)
    return homes


async def _be_in_trouble(database: Database, homes: Sequence[_Home], clock: SystemClock) -> None:
    """Every one of these homes has a weak battery, and a city that tells of it at once."""
    at_once = msgspec.structs.replace(
        DEFAULT_POLICY.trouble, hours=None, collect_s=0, at_most_every_s=0
    )
    policy = msgspec.structs.replace(DEFAULT_POLICY, trouble=at_once)
    for start in range(0, len(homes), _EVENTS_AT_ONCE):
        part = homes[start : start + _EVENTS_AT_ONCE]
        said = [
            _said(home, f"t{start + n}", "low_battery", clock.now_us()) for n, home in enumerate(part)
        ]
        async with database.write() as session:
            await apply_alarms(session, said, now_us=clock.now_us(), policy=policy)


async def _raise_all(
    database: Database, homes: Sequence[_Home], spread_s: float, clock: SystemClock, worker: Worker
) -> tuple[list[float], float]:
    """When each home's alarm was due (seconds since 1970), and how late the last one was planned."""
    begin_s = time.time() + 0.1
    due = [begin_s + spread_s * number / len(homes) for number in range(len(homes))]
    done = 0
    while done < len(homes):
        arrived = done
        while arrived < len(homes) and due[arrived] <= time.time():
            arrived += 1
        batch = range(done, min(arrived, done + _EVENTS_AT_ONCE))
        if not batch:
            await asyncio.sleep(max(0.0, due[done] - time.time()))
            continue
        said = [_said(homes[n], f"a{n}", "smoke", int(due[n] * 1e6)) for n in batch]
        async with database.write() as session:
            await apply_alarms(session, said, now_us=clock.now_us())
        worker.wake()
        done = batch[-1] + 1
        await asyncio.sleep(0)
    return due, time.time() - due[-1]


def _said(home: _Home, alarm_id: str, kind: AlarmKind, raised_us: int) -> Said:
    alarm = Alarm(
        id=alarm_id, kind=kind, detector=home.detector, raised_us=raised_us, revision=1,
        reason="optical density",
    )  # fmt: skip
    return Said(home.site, _EPOCH, alarm, "raise", 0, True)


async def _until_told(notes: Path, wanted: int, progress: Callable[[int], None]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        told = len({line.split()[1] for line in _lines(notes)})
        progress(told)
        if told >= wanted:
            return
        await asyncio.sleep(0.5)


def _lines(notes: Path) -> list[str]:
    return notes.read_text(encoding="utf-8").splitlines()


async def _count(database: Database) -> int:
    async with database.read() as session:
        found = await session.scalar(
            select(func.count()).select_from(Incident).where(Incident.hazard.in_(("fire", "site")))
        )
    return found or 0


def _figures(
    notes: Path, homes: Sequence[_Home], due: Sequence[float], contacts: int, spread_s: float,
    count: int, deliveries: int, late_s: float, cpu_s: float,
) -> StormFigures:  # fmt: skip
    accepted: dict[str, list[float]] = {}
    for line in _lines(notes):
        moment, key = line.split()
        accepted.setdefault(key, []).append(float(moment))
    delays = sorted(
        min(accepted[key]) - due[number]
        for number, home in enumerate(homes)
        for key in home.keys
        if key in accepted
    )
    wanted = len(homes) * contacts
    doubled = sum(map(len, accepted.values())) - deliveries
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return StormFigures(
        households=len(homes), contacts=contacts, spread_s=spread_s, told=len(delays),
        median_s=_at(delays, 0.5), p99_s=_at(delays, 0.99), slowest_s=_at(delays, 1.0),
        within_10_s=sum(delay <= 10.0 for delay in delays) / wanted, doubled=doubled,
        incidents=count, planned_late_s=late_s, cpu_s=cpu_s, peak_rss_mb=rss_mb,
        troubles_told=sum("trouble" in key for key in accepted),
        troubles_before_fire=_overtaken(accepted, homes, due), receivers_cpu_s=0.0,
    )  # fmt: skip


def _overtaken(accepted: dict[str, list[float]], homes: Sequence[_Home], due: Sequence[float]) -> int:
    """Troubles that went out while a fire, due for a second or more, had not."""
    fires = sorted(
        (due[number], min(accepted[key]))
        for number, home in enumerate(homes)
        for key in home.keys
        if key in accepted
    )
    latest, begins = list(accumulate((taken for _, taken in fires), max)), [at for at, _ in fires]
    count = 0
    for moment in (min(times) for key, times in accepted.items() if "trouble" in key):
        waiting = bisect_left(begins, moment - _HEAD_START_S)
        count += waiting > 0 and latest[waiting - 1] > moment
    return count


def _at(delays: Sequence[float], share: float) -> float:
    return delays[min(len(delays) - 1, int(share * len(delays)))] if delays else float("nan")
