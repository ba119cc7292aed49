"""``utaa bench alarm``: from a detector's publication to a mail server's acceptance, under load.

Every detector reports every 10 s on its site's own broker; one reading in ten, of a detector that was
quiet before, says smoke. Each such detector is the only one of a home with one contact, so each alarm
is one incident and one mail, and the mail's recipient names the detector. Publisher and mail server
live in this process and share one clock.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from alerts.models import AlarmRecord, Delivery, Incident
from edge.wire.topics import detector_topic
from registry.db import Database
from utaa.bench.city import Home, register
from utaa.bench.client import BenchClient
from utaa.bench.measure import Meter, milliseconds
from utaa.bench.report import Report, Teller
from utaa.bench.smtp import SmtpSink
from utaa.onebox import OneBox, Plan, until

_ROUND_S = 10.0
_TICK_S = 0.005
#: Progress is shown this often: it is the bench's own work.
_TELL_S = 0.5
#: After the last alarm: how long the last mail may take.
_SETTLE_S = 120.0
_QUIET = b'{"smoke_alarm":false,"optical_density_db_m":0.01,"temperature_c":20.5,"battery_pct":87}'
_SMOKE = b'{"smoke_alarm":true,"optical_density_db_m":0.35,"temperature_c":24.5,"battery_pct":87}'
_START_S = 90.0


@dataclass
class Fire:
    """Detectors of one run, and what became of each alarm (by the detector's number)."""

    sites: int
    detectors: int
    published_s: dict[int, float] = field(default_factory=dict)
    accepted_s: dict[int, float] = field(default_factory=dict)
    mails: Counter[int] = field(default_factory=Counter)
    readings: int = 0
    burning: set[int] = field(default_factory=set)

    def site_of(self, number: int) -> str:
        return f"bench-{number % self.sites}"

    def homes(self) -> list[Home]:
        return [Home(self.site_of(n), f"d{n}", f"d{n}@example.org") for n in range(self.detectors)]

    def accepted(self, recipient: str, at_s: float, _mail: bytes) -> None:
        number = int(recipient[1:].partition("@")[0])
        self.mails[number] += 1
        self.accepted_s.setdefault(number, at_s)


async def run_alarm(
    *,
    folder: Path,
    teller: Teller,
    seconds: float,
    readings_per_s: float,
    alarms_per_s: float,
    sites: int,
) -> Report:
    """Raises ``ServerError`` or ``TimeoutError`` with one line for the user."""
    fire = Fire(sites, round(readings_per_s * _ROUND_S))
    report = Report(
        "alarm",
        {"seconds": seconds, "readings_per_s": readings_per_s, "alarms_per_s": alarms_per_s,
         "sites": sites, "detectors": fire.detectors, "brokers": sites + 1},
        targets={"p50_ms": "≤ 60", "p99_ms": "≤ 250", "lost": "0", "doubled": "0"},
    )  # fmt: skip
    async with SmtpSink(fire.accepted, folder / "mail") as sink:
        plan = Plan(
            folder=folder, sites=tuple(f"bench-{n}" for n in range(sites)), influx=False,
            smtp_port=sink.port, open_overview=True,
            gateway_env=sink.environment,
        )  # fmt: skip
        async with OneBox(plan, say=teller.say) as box:
            await box.start_gateway()
            teller.say(f"registering {fire.detectors} homes")
            await register(box, fire.homes())
            for site in plan.sites:
                box.start_edge(site)
            await _measure(box, fire, report, teller, seconds, alarms_per_s)
    return report


async def _measure(
    box: OneBox, fire: Fire, report: Report, teller: Teller, seconds: float, alarms_per_s: float
) -> None:
    clients = [
        await BenchClient.connect(broker.host, broker.port, "bench")
        for broker in box.site_brokers.values()
    ]
    await until(
        lambda: all_configured(box, fire), seconds=_START_S, what="the agents take their settings"
    )
    teller.say("every detector is heard once before it counts")
    await play(fire, clients, teller, _ROUND_S, 0.0, "warming up")
    meter = Meter(
        {
            "gateway": [_pid(box, "gateway")],
            "edges": [_pid(box, name) for name in box.rooms if name.startswith("edge")],
            "bench": [os.getpid()],
            "brokers": [
                pid for one in (box.city_broker, *box.site_brokers.values()) for pid in one.pids
            ],
        }
    )
    before = fire.readings
    meter.start()
    began_s = time.monotonic()
    await play(fire, clients, teller, seconds, alarms_per_s, "alarms")
    took_s = time.monotonic() - began_s
    await all_accepted(fire, teller)
    used = meter.read()
    box.check()
    for client in clients:
        await client.close()
    report.figures |= await figures(box, fire, took_s, fire.readings - before) | used
    report.figures["cpu_ms_per_alarm"] = {
        name: round(1000 * spent / max(1, len(fire.published_s)), 2)
        for name, spent in report.figures["cpu_s"].items()
    }


async def all_configured(box: OneBox, fire: Fire) -> bool:
    """Every agent has kept its site's settings: its file is there."""
    box.check()
    return all((box.edge_data(site) / "config.json").exists() for site in box.plan.sites)


def _pid(box: OneBox, name: str) -> int:
    pid = box.rooms[name].pid
    assert pid is not None
    return pid


async def play(
    fire: Fire,
    clients: list[BenchClient],
    teller: Teller,
    seconds: float,
    alarms_per_s: float,
    what: str,
) -> None:
    """Publish what is due every few milliseconds, at the pace of the clock."""
    per_s = fire.detectors / _ROUND_S
    every = round(per_s / alarms_per_s) if alarms_per_s else 0
    total = round(per_s * seconds)
    began_s, told_s, sent = time.monotonic(), 0.0, 0
    topics = [detector_topic(f"d{n}", "reading").encode() for n in range(fire.detectors)]
    with teller.bar(what, seconds) as bar:
        while sent < total:
            due = min(total, int((time.monotonic() - began_s) * per_s) + 1)
            parts: list[list[tuple[bytes, bytes]]] = [[] for _ in clients]
            now_s = time.time()
            for turn in range(sent, due):
                number = turn % fire.detectors
                lights = bool(every) and number % every == turn // fire.detectors % every
                if lights and number not in fire.burning:
                    fire.burning.add(number)
                    fire.published_s[number] = now_s
                payload = _SMOKE if number in fire.burning else _QUIET
                parts[number % fire.sites].append((topics[number], payload))
            for client, messages in zip(clients, parts, strict=True):
                if messages:
                    client.publish(messages)
            fire.readings += due - sent
            sent = due
            if time.monotonic() >= told_s + _TELL_S:
                told_s = time.monotonic()
                bar.at(told_s - began_s, f"{len(fire.accepted_s)}/{len(fire.published_s)} mails")
            await asyncio.sleep(_TICK_S)


async def all_accepted(fire: Fire, teller: Teller) -> None:
    """Wait for the last mails, and a moment for a second one of any."""
    deadline_s = time.monotonic() + _SETTLE_S
    with teller.bar("waiting for the last mails", len(fire.published_s)) as bar:
        while len(fire.accepted_s) < len(fire.published_s) and time.monotonic() < deadline_s:
            bar.at(len(fire.accepted_s))
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)  # a second mail would come about now


async def figures(box: OneBox, fire: Fire, took_s: float, readings: int) -> dict[str, Any]:
    """What became of the alarms, held against mails and database."""
    took = [fire.accepted_s[n] - at_s for n, at_s in fire.published_s.items() if n in fire.accepted_s]
    database = Database(box.database_url)
    try:
        async with database.read() as session:
            incidents = await session.scalar(
                select(func.count()).select_from(Incident).where(Incident.hazard == "fire")
            )
            accepted = await session.scalar(
                select(func.count()).select_from(Delivery).where(Delivery.state == "accepted")
            )
            alarms = await session.scalar(
                select(func.count()).select_from(AlarmRecord).where(AlarmRecord.kind == "smoke")
            )
    finally:
        await database.close()
    return {
        "readings_per_s": round(readings / took_s),
        "alarms_per_s": round(len(fire.published_s) / took_s, 1),
        "p50_ms": milliseconds(took, 0.5),
        "p90_ms": milliseconds(took, 0.9),
        "p99_ms": milliseconds(took, 0.99),
        "max_ms": milliseconds(took, 1.0),
        "alarms_published": len(fire.published_s),
        "alarms_stored": alarms,
        "incidents": incidents,
        "mails": fire.mails.total(),
        "lost": len(fire.published_s) - len(fire.accepted_s),
        # nobody takes these fires, so the ladder tells of them again after a minute
        "told_again": fire.mails.total() - len(fire.mails),
        "doubled": max(0, fire.mails.total() - (accepted or 0)),
    }
