"""``utaa bench drain``: three days of arrears go up while a new fire must not wait for them.

An agent stands alone with its broker while its detectors deliver batches of readings from the past and
ten thousand troubles are raised; then the city comes, over a line of a chosen thinness. While the
arrears drain, homes that were quiet begin to burn one after the other; measured is from the detector's
publication to the mail server's acceptance.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.wire.clock import US_PER_S, SystemClock
from edge.wire.identity import detector_id
from edge.wire.topics import detector_topic
from gateway.stores.sqlite import SqliteStore
from utaa.bench.city import Home, register
from utaa.bench.client import BenchClient
from utaa.bench.measure import Meter, milliseconds
from utaa.bench.report import Report, Teller
from utaa.bench.smtp import SmtpSink
from utaa.bench.thin import Proxy
from utaa.onebox import OneBox, Plan, until

SITE = "drain"
_BATCH = 200
_OFFLINE_US = 72 * 3600 * US_PER_S
#: Batches under way to the agent while the arrears are made.
_WINDOW = 40
_FIRST_FIRE_S = 0.1
_BETWEEN_FIRES_S = 0.1
_RECONNECT_S = 120.0
_FILL_S, _DRAIN_S, _MAIL_S = 900.0, 3600.0, 120.0


@dataclass
class _Arrears:
    """What is made, and what is expected of it."""

    readings: int
    detectors: int
    troubles: int
    fires: int
    start_us: int
    lit_s: dict[int, float] = field(default_factory=dict)
    accepted_s: dict[int, float] = field(default_factory=dict)
    #: readings that the fires' own detectors add, and the troubles'
    more: int = 0

    def accepted(self, recipient: str, at_s: float, _mail: bytes) -> None:
        name = recipient.partition("@")[0]
        if name.startswith("f"):
            self.accepted_s.setdefault(int(name[1:]), at_s)

    def batches(self) -> AsyncIterator[tuple[bytes, bytes]]:
        return self._batches()

    async def _batches(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """Each detector's history in batches, oldest first."""
        per_detector = self.readings // self.detectors
        step_us = _OFFLINE_US // max(1, per_detector)
        for first in range(0, per_detector, _BATCH):
            for number in range(self.detectors):
                rows = [
                    {"time": (self.start_us + turn * step_us) / US_PER_S,
                     "co_ppm": float((turn + number) % 5), "temperature_c": 20.0 + turn % 9}
                    for turn in range(first, min(per_detector, first + _BATCH))
                ]  # fmt: skip
                yield detector_topic(f"h{number}", "reading").encode(), msgspec.json.encode(rows)
        return

    @property
    def made(self) -> int:
        return self.readings // self.detectors * self.detectors


async def run_drain(
    *,
    folder: Path,
    teller: Teller,
    readings: int,
    troubles: int,
    fires: int,
    kbit_s: float,
    delay_ms: float,
) -> Report:
    """Raises ``ServerError`` or ``TimeoutError`` with one line for the user."""
    arrears = _Arrears(
        readings=readings, detectors=min(500, max(1, readings // _BATCH)), troubles=troubles,
        fires=fires, start_us=SystemClock().now_us() - _OFFLINE_US,
    )  # fmt: skip
    thin = kbit_s > 0
    report = Report(
        "drain",
        {"readings_behind": arrears.made, "troubles_behind": troubles, "fires": fires,
         "link_kbit_s": kbit_s or "unlimited", "link_round_trip_ms": delay_ms},
        targets={"fire_p99_ms": "≤ 3,000" if thin else "≤ 500", "lost": "0", "doubled": "0"}
        | ({} if thin else {"readings_per_s": "≥ 50,000"}),
    )  # fmt: skip
    rate = kbit_s * 1000 / 8 if thin else None
    async with (
        Proxy(bytes_per_s=rate, delay_s=delay_ms / 2000) as proxy,
        SmtpSink(arrears.accepted) as sink,
    ):
        plan = Plan(
            folder=folder, sites=(SITE,), influx=False, smtp_port=sink.port, open_overview=True,
            gateway_env={"UTAA_ALERTS_SMTP__SECURITY": "none"},
            edge_env={"UTAA_EDGE_CITY_BROKER__PORT": str(proxy.port), "UTAA_EDGE_QUOTA_MB": "1024"},
        )  # fmt: skip
        async with OneBox(plan, say=teller.say) as box:
            proxy.target = (box.city_broker.host, box.city_broker.port)
            await box.start_gateway()
            await register(box, _homes(arrears))
            box.start_edge(SITE)
            await until(lambda: _configured(box), seconds=180, what="the agent takes its settings")
            await proxy.cut()
            broker = box.site_brokers[SITE]
            client = await BenchClient.connect(broker.host, broker.port, "drain")
            began_s = time.monotonic()
            await _fall_behind(box, arrears, client, teller)
            report.figures["fill_s"] = round(time.monotonic() - began_s, 1)
            teller.say(f"fell behind in {report.figures['fill_s']:g} s; the city comes now")
            proxy.mend()
            await _drain(box, arrears, client, report, teller, wait_for_all=not thin)
            await client.close()
    return report


async def _configured(box: OneBox) -> bool:
    """Detectors that are on no list are bounded, so the site's list comes before the arrears."""
    box.check()
    return (box.edge_data(SITE) / "config.json").exists()


def _homes(arrears: _Arrears) -> list[Home]:
    homes = [Home(SITE, f"h{n}") for n in range(arrears.detectors)]
    # a trouble belongs to a home whose people are told, as in a real site
    homes += [Home(SITE, f"t{n}", f"t{n}@example.org") for n in range(arrears.troubles)]
    return homes + [Home(SITE, f"f{n}", f"f{n}@example.org") for n in range(arrears.fires)]


async def _fall_behind(box: OneBox, arrears: _Arrears, client: BenchClient, teller: Teller) -> None:
    spool = box.edge_data(SITE) / "spool.db"
    await until(lambda: _listens(box, client, spool), seconds=60, what="the agent listens")
    with teller.bar("falling behind", arrears.made) as bar:
        sent = 0
        async for message in arrears.batches():
            await client.room(_WINDOW)
            client.publish([message])
            sent += _BATCH
            bar.at(sent)
    for number in range(arrears.troubles):
        await client.room(500)
        topic = detector_topic(f"t{number}", "reading").encode()
        client.publish([(topic, b'{"fault":true,"temperature_c":20}')])
        arrears.more += 1

    teller.say(f"{sent:,} readings and {arrears.troubles:,} troubles published")

    async def all_kept() -> bool:
        box.check()
        events, readings = _queued(spool)
        return readings > arrears.made + arrears.more and events >= arrears.troubles

    await until(all_kept, seconds=_FILL_S, what="the agent keeps the arrears", poll_s=0.5)


async def _listens(box: OneBox, client: BenchClient, spool: Path) -> bool:
    """Say something, of another time than the arrears, until the agent has kept it."""
    box.check()
    client.publish([(detector_topic("first", "reading").encode(), b'{"time":1700000000,"co_ppm":1}')])
    await asyncio.sleep(0.3)
    return spool.exists() and _queued(spool)[1] > 0  # noqa: ASYNC240  # a local file, in no time


def _queued(spool: Path) -> tuple[int, int]:
    """(events, readings in frames and waiting for one) that the city does not have."""
    with contextlib.closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=10)) as database:
        try:
            (events,) = database.execute("SELECT count(*) FROM event WHERE acked_us IS NULL").fetchone()
            (readings,) = database.execute(
                "SELECT coalesce(sum(readings), 0) FROM frame WHERE acked_us IS NULL"
            ).fetchone()
        except sqlite3.OperationalError:  # it is just being made
            return 0, 0
    return int(events), int(readings)


async def _drain(
    box: OneBox,
    arrears: _Arrears,
    client: BenchClient,
    report: Report,
    teller: Teller,
    *,
    wait_for_all: bool,
) -> None:
    spool = box.edge_data(SITE) / "spool.db"
    pids = {name: [child.pid] for name, child in box.rooms.items() if child.pid is not None}
    meter = Meter(pids)
    behind = arrears.made + arrears.more + 1
    # the agent tries again after pauses of up to half a minute: draining begins when it is through
    await until(
        lambda: _moves(box, spool, behind),
        seconds=_RECONNECT_S,
        what="the agent finds the city",
        poll_s=0.02,
    )
    meter.start()
    began_s = time.monotonic()
    teller.say("the arrears go up, and homes begin to burn")
    burning = asyncio.create_task(_burn(arrears, client), name="fires")
    drained_s: float | None = None
    fires_in_arrears = 0
    try:
        with teller.bar("draining", behind) as bar:
            while time.monotonic() - began_s < _DRAIN_S:
                box.check()
                meter.sample()
                _events, left = _queued(spool)
                bar.at(behind - left, f"{len(arrears.accepted_s)}/{len(arrears.lit_s)} fires told")
                if drained_s is None:
                    fires_in_arrears = len(arrears.lit_s)
                    if left < behind / 200:
                        drained_s = time.monotonic() - began_s
                if burning.done() and (drained_s is not None or not wait_for_all):
                    break
                await asyncio.sleep(0.1)
        await burning
        await _all_told(arrears)
    finally:
        burning.cancel()
    used = meter.read()
    stored = await _stored(box, arrears) if wait_for_all else None
    took = [arrears.accepted_s[n] - lit for n, lit in arrears.lit_s.items() if n in arrears.accepted_s]
    expected = arrears.made + arrears.more + len(arrears.lit_s)
    report.figures |= {
        "drained_s": None if drained_s is None else round(drained_s, 1),
        "readings_per_s": round(behind / drained_s) if drained_s else None,
        "fires": len(arrears.lit_s),
        "fires_while_behind": fires_in_arrears,
        "fire_p50_ms": milliseconds(took, 0.5),
        "fire_p99_ms": milliseconds(took, 0.99),
        "fire_max_ms": milliseconds(took, 1.0),
        "fires_untold": len(arrears.lit_s) - len(arrears.accepted_s),
        **({} if stored is None else
           {"stored": stored, "lost": max(0, expected - stored), "doubled": max(0, stored - expected)}),
        **used,
    }  # fmt: skip


async def _moves(box: OneBox, spool: Path, behind: int) -> bool:
    box.check()
    return _queued(spool)[1] < behind - _BATCH


async def _burn(arrears: _Arrears, client: BenchClient) -> None:
    """One home after the other, so that the fires spread over the draining."""
    await asyncio.sleep(_FIRST_FIRE_S)
    for number in range(arrears.fires):
        arrears.lit_s[number] = time.time()
        topic = detector_topic(f"f{number}", "reading").encode()
        client.publish([(topic, b'{"smoke_alarm":true,"temperature_c":24}')])
        await asyncio.sleep(_BETWEEN_FIRES_S)


async def _all_told(arrears: _Arrears) -> None:
    deadline_s = time.monotonic() + _MAIL_S
    while len(arrears.accepted_s) < len(arrears.lit_s) and time.monotonic() < deadline_s:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _stored(box: OneBox, arrears: _Arrears) -> int:
    """Different readings in the store, once all is acknowledged."""
    spool = box.edge_data(SITE) / "spool.db"

    async def empty() -> bool:
        return _queued(spool)[1] == 0

    with contextlib.suppress(TimeoutError):
        await until(empty, seconds=60, what="the spool is empty", poll_s=0.2)
    await asyncio.sleep(2.0)  # the last frame of the fires lingers
    store = SqliteStore(box.gateway_data / "readings")
    now_us = SystemClock().now_us()
    total = 0
    try:
        for number in range(arrears.detectors):
            detector = detector_id(SITE, "native", f"h{number}")
            total += await store.count(detector, from_us=0, to_us=now_us) if number < 3 else 0
        whole = await store.count(None, from_us=arrears.start_us - US_PER_S, to_us=now_us)
    finally:
        await store.close()
    if total != 3 * (arrears.made // arrears.detectors):
        raise ConnectionError(f"three detectors have {total} readings in the store")
    return whole
