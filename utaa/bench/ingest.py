"""``utaa bench ingest``: frames of a whole city into the reading store, acknowledged end to end.

The feeder (a process of its own) stands for the edges; broker, gateway and store are the real ones.
Meanwhile the last hour of one detector is read through the API again and again. At the end the store is
counted, and some detectors are compared value by value. What a run is, and how far it came, is in its
``course``; with a progress file it goes on where it was stopped.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from edge.wire.clock import US_PER_S, SystemClock, rfc3339
from edge.wire.identity import detector_id, new_id
from gateway.stores.base import ReadingStore
from gateway.stores.influx import InfluxStore
from gateway.stores.sqlite import SqliteStore
from utaa.bench import feeder
from utaa.bench.city import Home, register, token
from utaa.bench.course import Course, Head, Stretch
from utaa.bench.disk import bytes_below
from utaa.bench.feeder import Order, Progress
from utaa.bench.measure import Meter, cpu_s
from utaa.bench.report import Bar, Report, Teller
from utaa.onebox import OneBox, Plan
from utaa.readback import Api

_HOUR_US = 3600 * US_PER_S
#: How often the last hour of one detector is asked for while frames go as fast as they can.
READS_PER_S = 4.0
_SAMPLED = 20
#: So many points of the rate over the rows are kept, but none for less than so many readings.
_POINTS, _LEAST_POINT = 200, 100_000
#: Before a pace is measured the gateway has done what the new register gave it to do (sending sites
#: their configurations): for two seconds it uses less of a core than this, or so long have we waited.
_QUIET_SHARE, _QUIET_WITHIN_S = 0.1, 90.0
#: Rounds that a measured pace begins with, unmeasured: every detector's first reading of the day costs
#: more than all others.
_WARM_ROUNDS = 1


@dataclass(frozen=True)
class Wanted:
    """What somebody asked for."""

    rows: int
    detectors: int
    per_frame: int
    #: readings a second; 0: as fast as they are acknowledged
    per_s: float = 0.0
    #: how long at that pace
    seconds: float = 60.0
    reads_per_s: float = READS_PER_S
    influx: bool = False
    #: frames say their detectors in another order each time
    shuffled: bool = False
    progress: Path | None = None
    #: stop with an error when the folder is larger
    max_disk_gb: float = 20.0

    @property
    def sites(self) -> int:
        return max(1, self.detectors // self.per_frame)

    @property
    def rounds(self) -> int:
        whole = self.sites * self.per_frame
        if self.per_s:
            return _WARM_ROUNDS + max(1, round(self.per_s * self.seconds / whole))
        return max(1, round(self.rows / whole))

    @property
    def store(self) -> str:
        return "InfluxDB" if self.influx else "SQLite"


@dataclass
class _Run:
    """One run as it goes."""

    wanted: Wanted
    course: Course
    box: OneBox
    api: Api
    order: Order
    report: Report
    meter: Meter
    read_s: list[float] = field(default_factory=list)
    last: Progress = field(default_factory=lambda: Progress(at_s=0, published=0, acknowledged=0))

    @property
    def done(self) -> int:
        """Readings acknowledged of the whole run, those of earlier sessions too."""
        return self.order.first_round * self.order.sites * self.order.each + self.last.acknowledged

    @property
    def total(self) -> int:
        return self.order.rounds * self.order.sites * self.order.each

    @property
    def newest_us(self) -> int:
        """How far the simulated time has come."""
        return self.order.start_us + self.done // (self.order.sites * self.order.each) * feeder.STEP_US


async def run_ingest(*, folder: Path, teller: Teller, wanted: Wanted) -> Report:
    """Raises ``ServerError``, ``TimeoutError`` or ``OSError`` with one line for the user."""
    course = _course(folder, wanted)
    report = Report("ingest", _parameters(wanted), targets=_targets(wanted))
    plan = Plan(
        folder=Path(course.head.folder), sites=(), influx=wanted.influx, open_overview=True,
        broker_per_site=False,
    )  # fmt: skip
    known = (plan.folder / "city" / "registered").exists()
    async with OneBox(plan, say=teller.say) as box:
        await box.start_gateway()
        if known:
            teller.say(f"going on behind {course.rows:,} readings")
        else:
            await _register(box, wanted, teller)
        order = Order(
            host=box.city_broker.host, port=box.city_broker.port, epoch=course.head.epoch,
            sites=wanted.sites, start_us=course.head.start_us, each=wanted.per_frame,
            rounds=wanted.rounds, first_round=course.first_round, per_s=wanted.per_s,
            warm_rounds=_WARM_ROUNDS if wanted.per_s else 0, shuffled=wanted.shuffled,
        )  # fmt: skip
        api = Api(box.url, await token(box))
        run = _Run(wanted, course, box, api, order, report, _meter(box))
        try:
            await _settle(run, teller)
            await _feed(run, teller)
            await _account(run, teller)
        finally:
            await run.api.close()
    return report


def _course(folder: Path, wanted: Wanted) -> Course:
    """Where there is a progress file, everything is kept beside it."""
    if wanted.progress is not None:
        folder = wanted.progress.with_name(wanted.progress.name + ".data")
    head = Head(
        folder=str(folder.absolute()), store=wanted.store, epoch=new_id(), sites=wanted.sites,
        start_us=SystemClock().now_us() - (wanted.rounds + 1) * feeder.STEP_US,
        each=wanted.per_frame, rounds=wanted.rounds,
    )  # fmt: skip
    try:
        return Course.opened(head, wanted.progress)
    except ValueError as error:
        raise OSError(str(error)) from None


def _parameters(wanted: Wanted) -> dict[str, Any]:
    return {
        "store": wanted.store, "rows": wanted.rounds * wanted.sites * wanted.per_frame,
        "detectors": wanted.sites * wanted.per_frame, "sites": wanted.sites,
        "readings_per_frame": wanted.per_frame,
        "asked_readings_per_s": wanted.per_s or "as fast as acknowledged",
        "reads_per_s": wanted.reads_per_s, "shuffled": wanted.shuffled,
    }  # fmt: skip


def _targets(wanted: Wanted) -> dict[str, str]:
    if wanted.per_s:
        return {"cpu_pct.gateway": "< 10 at 3,667/s, < 40 at 22,000/s", "lost": "0", "doubled": "0"}
    rate = "≥ 100,000" if wanted.influx else "≥ 200,000"
    return {"readings_per_s": rate, "read_p95_ms": "≤ 50", "lost": "0", "doubled": "0"}


async def _register(box: OneBox, wanted: Wanted, teller: Teller) -> None:
    homes = [
        Home(feeder.site_name(site), feeder.address(n))
        for site in range(wanted.sites)
        for n in range(wanted.per_frame)
    ]
    teller.say(f"registering {len(homes)} detectors of {wanted.sites} sites")
    await register(box, homes)
    (box.gateway_data / "registered").touch()


def _meter(box: OneBox) -> Meter:
    gateway = box.rooms["gateway"].pid
    assert gateway is not None
    pids = {"gateway": [gateway], "broker": box.city_broker.pids}
    if box.influx:
        pids["influxdb"] = box.influx.pids
    return Meter(pids)


async def _settle(run: _Run, teller: Teller) -> None:
    """Until the gateway has done what the new register gave it to do."""
    teller.say("waiting for the gateway to come to rest")
    until_s = time.monotonic() + _QUIET_WITHIN_S
    (gateway,) = run.meter.pids["gateway"]
    quiet = 0
    while quiet < 2 and time.monotonic() < until_s:
        began, began_s = cpu_s(gateway), time.monotonic()
        await asyncio.sleep(1)
        quiet = quiet + 1 if cpu_s(gateway) - began < _QUIET_SHARE * (time.monotonic() - began_s) else 0


async def _feed(run: _Run, teller: Teller) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "utaa.bench.feeder", msgspec.json.encode(run.order).decode(),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    run.meter.pids = {**run.meter.pids, "feeder": [process.pid]}
    run.meter.start()
    reading = asyncio.create_task(_read_meanwhile(run), name="read the last hour")
    try:
        with teller.bar("readings stored", run.total) as bar:
            await _watch(run, _progress(process.stdout), bar)
        used = run.meter.read()
    finally:
        reading.cancel()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        _draw(run)
    run.report.figures |= {
        **run.course.figures(),
        "p50_ms": run.last.p50_ms,
        "p99_ms": run.last.p99_ms,
        "resent": run.last.resent,
        "rejected": run.last.rejected,
        **used,
    }


async def _watch(run: _Run, told: AsyncIterator[Progress], bar: Bar) -> None:
    """Follow the feeder, stretch by stretch. Raises ``OSError`` when the disk's share is used up."""
    since = Progress(at_s=time.monotonic(), published=0, acknowledged=0)
    used: dict[str, float] = {}
    least = max(_LEAST_POINT, run.total / _POINTS)
    warming = run.order.warm_rounds > 0
    async for progress in told:
        run.box.check()
        run.last = progress
        run.meter.sample()
        bar.at(run.done, f"{run.done:,}")
        if warming and not progress.warm:
            warming, since = False, progress
            run.read_s.clear()
            run.meter.start()
        elif not warming and (progress.acknowledged - since.acknowledged >= least or progress.done):
            used = _add_stretch(run, since, used)
            since = progress
            await _bound_disk(run)
        if progress.done:
            return
    raise ConnectionError("the feeder ended before it was done")


def _add_stretch(run: _Run, since: Progress, used: dict[str, float]) -> dict[str, float]:
    """What happened since then becomes a line of the course; the processor seconds used until now."""
    now_used = {name: run.meter.used_s(name) for name in run.meter.pids}
    run.course.add(
        Stretch(
            rows=run.done,
            readings=run.last.acknowledged - since.acknowledged,
            seconds=round(run.last.at_s - since.at_s, 3),
            cpu_s={name: round(took - used.get(name, 0.0), 2) for name, took in now_used.items()},
            reads_ms=[round(took * 1000, 1) for took in run.read_s],
        )
    )
    run.read_s.clear()
    return now_used


async def _bound_disk(run: _Run) -> None:
    used = await asyncio.to_thread(bytes_below, run.box.plan.folder)
    if used > run.wanted.max_disk_gb * 1e9:
        raise OSError(f"{run.box.plan.folder} has {used / 1e9:.1f} GB; see --max-disk-gb")


def _draw(run: _Run) -> None:
    """The rate over the rows: beside the progress file, or in the folder that was asked for."""
    file = run.wanted.progress
    file = run.box.plan.folder / "ingest.svg" if file is None else file.with_name(file.name + ".svg")
    aim = run.wanted.per_s or (100_000 if run.wanted.influx else 200_000)
    file.write_text(run.course.drawn(aim), encoding="utf-8")


async def _progress(lines: asyncio.StreamReader) -> AsyncIterator[Progress]:
    async for line in lines:
        yield msgspec.json.decode(line, type=Progress)


async def _read_meanwhile(run: _Run) -> None:
    """The last hour of one detector after the other, through the API."""
    choice = random.Random(1)  # noqa: S311  # which detectors are looked at
    while run.wanted.reads_per_s:
        await asyncio.sleep(1 / run.wanted.reads_per_s)
        site, number = choice.randrange(run.order.sites), choice.randrange(run.order.each)
        detector = detector_id(feeder.site_name(site), "native", feeder.address(number))
        span = {"from": rfc3339(run.newest_us - _HOUR_US), "to": rfc3339(run.newest_us)}
        began_s = time.monotonic()
        with suppress(httpx.HTTPError):
            await run.api.get(f"/detectors/{detector}/readings", limit=1000, **span)
            run.read_s.append(time.monotonic() - began_s)


# --- the account -----------------------------------------------------------------------------------


async def _account(run: _Run, teller: Teller) -> None:
    teller.say("reading back")
    store = _store(run)
    began_s = time.monotonic()
    end_us = run.order.start_us + (run.order.rounds + 1) * feeder.STEP_US
    try:
        stored = await _count(run, store, end_us, teller)
    finally:
        await store.close()
    lost, doubled = await _compare_some(run)
    kept = "influx" if run.box.influx else "city/readings"
    kept_bytes = await asyncio.to_thread(bytes_below, run.box.plan.folder / kept)
    run.report.figures |= {
        "published": run.total,
        "stored": stored,
        "lost": max(0, run.total - stored) + lost,
        "doubled": max(0, stored - run.total) + doubled,
        "compared_by_value": _SAMPLED * run.order.rounds,
        "bytes_per_reading": round(kept_bytes / max(1, stored), 1),
        "read_back_s": round(time.monotonic() - began_s, 1),
    }


def _store(run: _Run) -> ReadingStore:
    if run.box.influx:
        return InfluxStore(
            url=run.box.influx.url, token="", org="utaa", bucket="utaa", retention_days=365
        )
    return SqliteStore(run.box.gateway_data / "readings")


async def _count(run: _Run, store: ReadingStore, end_us: int, teller: Teller) -> int:
    """Different readings, hour by hour, so that a hundred million fit into memory."""
    total = 0
    with teller.bar("counting", end_us - run.order.start_us) as bar:
        for start_us in range(run.order.start_us, end_us, _HOUR_US):
            total += await store.count(None, from_us=start_us, to_us=min(end_us, start_us + _HOUR_US))
            bar.at(start_us - run.order.start_us)
    return total


async def _compare_some(run: _Run) -> tuple[int, int]:
    """Some detectors through the API: (missing or wrong, not expected)."""
    choice = random.Random(2)  # noqa: S311
    lost = doubled = 0
    for _ in range(_SAMPLED):
        site, number = choice.randrange(run.order.sites), choice.randrange(run.order.each)
        expected = _expected(run.order, site, number)
        detector = detector_id(feeder.site_name(site), "native", feeder.address(number))
        rows = run.api.items(
            f"/detectors/{detector}/readings", limit=1000, to=rfc3339(SystemClock().now_us()),
            **{"from": rfc3339(run.order.start_us)},
        )  # fmt: skip
        async for row in rows:
            if expected.pop(row["time_us"], None) != row["values"]:
                doubled += 1
        lost += len(expected)
    return lost, doubled


def _expected(order: Order, site: int, number: int) -> dict[int, dict[str, Any]]:
    """time → values of one detector."""
    return {
        int(feeder.times_us(order, site, turn)[number]): {
            quantity: float(column[number])
            for quantity, column in feeder.values(order, site, turn).items()
        }
        for turn in range(order.rounds)
    }
