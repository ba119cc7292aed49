"""``utaa bench edge`` and ``utaa bench singles``: what one agent costs, and what it can take.

``edge``: a site of 2,500 detectors at their usual pace, with the city connected; memory and processor
time of the agent. ``singles``: single messages at QoS 1 as fast as the agent takes them; counted is
what it has committed and only then acknowledged, read back from its spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from pathlib import Path

from edge.wire.frames import decode_frame
from edge.wire.topics import detector_topic
from utaa.bench.city import Home, register
from utaa.bench.client import BenchClient
from utaa.bench.measure import Meter
from utaa.bench.report import Report, Teller
from utaa.onebox import OneBox, Plan, until

SITE = "bench"
_PACE_S = 10.0
_TICK_S = 0.02
#: Messages the broker may hold for the agent; enough that it never waits for us.
_AHEAD = 5_000
_SETTLE_S = 120.0


def _payload(number: int, turn: int) -> bytes:
    smoke = (number + turn) % 7 / 1000
    return (
        b'{"smoke_alarm":false,"optical_density_db_m":%.3f,"temperature_c":%.1f,"battery_pct":87}'
        % (smoke, 20 + (turn + number) % 30 / 10)
    )


async def run_edge(*, folder: Path, teller: Teller, detectors: int, seconds: float) -> Report:
    """Raises ``ServerError`` or ``TimeoutError`` with one line for the user."""
    report = Report(
        "edge",
        {"detectors": detectors, "every_s": _PACE_S, "seconds": seconds},
        targets={"rss_mb.agent": "≤ 80", "cpu_pct.agent": "≤ 5"},
    )
    plan = Plan(folder=folder, sites=(SITE,), influx=False, open_overview=True)
    async with OneBox(plan, say=teller.say) as box:
        await box.start_gateway()
        await register(box, [Home(SITE, f"d{n}") for n in range(detectors)])
        agent = box.start_edge(SITE)
        broker = box.site_brokers[SITE]
        client = await BenchClient.connect(broker.host, broker.port, "edge")
        await until(lambda: _configured(box), seconds=60, what="the agent takes its settings")
        sent = await _pace(client, detectors, 2 * _PACE_S, teller, "warming up")
        assert agent.pid is not None
        meter = Meter({"agent": [agent.pid]})
        meter.start()
        began_s = time.monotonic()
        count = await _pace(client, detectors, seconds, teller, "at their pace")
        took_s = time.monotonic() - began_s
        used = meter.read()
        kept = await _kept(box, sent + count)
        box.check()
        await client.close()
    report.figures |= {
        "readings_per_s": round(count / took_s, 1), "published": sent + count, "kept": kept,
        "lost": max(0, sent + count - kept), "doubled": max(0, kept - sent - count), **used,
    }  # fmt: skip
    return report


async def _configured(box: OneBox) -> bool:
    box.check()
    return (box.edge_data(SITE) / "config.json").exists()


async def _pace(client: BenchClient, detectors: int, seconds: float, teller: Teller, what: str) -> int:
    """Every detector once in ten seconds, evenly; how many readings."""
    total, sent, began_s = round(detectors * seconds / _PACE_S), 0, time.monotonic()
    with teller.bar(what, seconds) as bar:
        while sent < total:
            due = min(total, int((time.monotonic() - began_s) * detectors / _PACE_S) + 1)
            client.publish(_message(n % detectors, n // detectors) for n in range(sent, due))
            sent = due
            bar.at(time.monotonic() - began_s)
            await asyncio.sleep(_TICK_S)
    return sent


def _message(number: int, turn: int) -> tuple[bytes, bytes]:
    return detector_topic(f"d{number}", "reading").encode(), _payload(number, turn)


async def run_singles(*, folder: Path, teller: Teller, messages: int, detectors: int) -> Report:
    """Raises ``ServerError`` or ``TimeoutError`` with one line for the user."""
    report = Report(
        "singles",
        {"messages": messages, "detectors": detectors, "qos": 1},
        targets={"readings_per_s": "≥ 20,000", "lost": "0", "doubled": "0"},
    )
    # the city is away: what is measured is the site alone
    plan = Plan(
        folder=folder, sites=(SITE,), influx=False,
        edge_env={"UTAA_EDGE_CITY_BROKER__PORT": "9", "UTAA_EDGE_QUOTA_MB": "4096"},
    )  # fmt: skip
    async with OneBox(plan, say=teller.say) as box:
        agent = box.start_edge(SITE)
        broker = box.site_brokers[SITE]
        spool = box.edge_data(SITE) / "spool.db"
        client = await BenchClient.connect(broker.host, broker.port, "singles")
        await until(lambda: _starts(box, client, spool), seconds=60, what="the agent listens")
        prepared = [_message(n % detectors, n // detectors) for n in range(20 * detectors)]
        assert agent.pid is not None
        meter = Meter({"agent": [agent.pid], "broker": broker.pids, "bench": [os.getpid()]})
        before = _committed(spool)
        meter.start()
        began_s = time.monotonic()
        await _flood(client, prepared, messages, spool, before, teller)
        await until(
            lambda: _all_committed(box, spool, before + messages), seconds=_SETTLE_S, poll_s=0.02,
            what="the agent commits what it was sent",
        )  # fmt: skip
        took_s = time.monotonic() - began_s
        agent_s, used = meter.used_s("agent"), meter.read()
        kept = await _kept(box, before + messages) - before
        await client.close()
    report.figures |= {
        "readings_per_s": round(messages / took_s),
        # what one whole core would carry, where other work leaves the agent less
        "readings_per_core_s": round(messages / agent_s) if agent_s else None,
        "seconds": round(took_s, 2), "published": messages, "kept": kept,
        "lost": max(0, messages - kept), "doubled": max(0, kept - messages), **used,
    }  # fmt: skip
    return report


async def _starts(box: OneBox, client: BenchClient, spool: Path) -> bool:
    """Say something until the agent has kept it."""
    box.check()
    client.publish([(detector_topic("first", "reading").encode(), b'{"temperature_c":20}')])
    await asyncio.sleep(0.3)
    return _committed(spool) > 0 and client.unacknowledged == 0


async def _flood(
    client: BenchClient, prepared: list[tuple[bytes, bytes]], messages: int, spool: Path, before: int,
    teller: Teller,
) -> None:  # fmt: skip
    """Keep the broker's queue for the agent filled, but never without end."""
    sent = 0
    with teller.bar("single messages", messages) as bar:
        while sent < messages:
            size = min(200, messages - sent)
            start = sent % (len(prepared) - 200)
            await client.room(_AHEAD)
            client.publish(prepared[start : start + size])
            sent += size
            bar.at(sent)
            await asyncio.sleep(0)


async def _all_committed(box: OneBox, spool: Path, wanted: int) -> bool:
    box.check()
    return _committed(spool) >= wanted


def _committed(spool: Path) -> int:
    """Readings in the spool's frames and in the unfinished one."""
    if not spool.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=10)) as database:
        try:
            (framed,) = database.execute("SELECT coalesce(sum(readings), 0) FROM frame").fetchone()
            tails = database.execute("SELECT body FROM tail").fetchall()
        except sqlite3.OperationalError:
            return 0
    return int(framed) + sum(_tail_count(body) for (body,) in tails)


def _tail_count(body: bytes) -> int:
    import msgspec

    return len(msgspec.msgpack.decode(body))


async def _kept(box: OneBox, expected: int) -> int:
    """Different (detector, time) in the spool, once its last frame is closed."""
    spool = box.edge_data(SITE) / "spool.db"
    with contextlib.suppress(TimeoutError):
        await until(
            lambda: _framed(spool, expected), seconds=15, what="the last frame is closed", poll_s=0.2
        )
    with contextlib.closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=10)) as database:
        bodies = [body for (body,) in database.execute("SELECT body FROM frame")]
    found = {
        (reading.detector, reading.time_us)
        for body in bodies
        for reading in decode_frame(body).readings()
    }
    return len(found)


async def _framed(spool: Path, expected: int) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=10)) as database:
        (framed,) = database.execute("SELECT coalesce(sum(readings), 0) FROM frame").fetchone()
    return int(framed) >= expected
