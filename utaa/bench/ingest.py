"""``utaa bench ingest``: frames of a whole city into the reading store, acknowledged end to end.

The feeder (a process of its own) stands for the edges; broker, gateway and store are the real ones.
Meanwhile the last hour of one detector is read through the API again and again. At the end the store is
counted, and some detectors are compared value by value.
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
from utaa.bench.feeder import Order, Progress
from utaa.bench.measure import Meter, percentile
from utaa.bench.report import Report, Teller
from utaa.onebox import OneBox, Plan
from utaa.readback import Api

_HOUR_US = 3600 * US_PER_S
_READ_EVERY_S = 0.25
_SAMPLED = 20
#: So many points of the rate over the rows are kept.
_POINTS = 100


@dataclass
class _Run:
    """One run as it goes."""

    box: OneBox
    api: Api
    order: Order
    report: Report
    meter: Meter
    rates: list[tuple[int, int]] = field(default_factory=list)
    read_s: list[float] = field(default_factory=list)
    last: Progress = field(default_factory=lambda: Progress(at_s=0, published=0, acknowledged=0))

    @property
    def total(self) -> int:
        return self.order.rounds * self.order.sites * self.order.each

    @property
    def newest_us(self) -> int:
        """How far the simulated time has come."""
        rounds = self.last.acknowledged // (self.order.sites * self.order.each)
        return self.order.start_us + rounds * feeder.STEP_US


async def run_ingest(
    *,
    folder: Path,
    teller: Teller,
    rows: int,
    detectors: int,
    per_frame: int,
    per_s: float,
    influx: bool,
) -> Report:  # fmt: skip
    """Raises ``ServerError`` or ``TimeoutError`` with one line for the user."""
    sites = max(1, detectors // per_frame)
    rounds = max(1, round(rows / (sites * per_frame)))
    report = Report(
        "ingest",
        {"store": "InfluxDB" if influx else "SQLite", "rows": rounds * sites * per_frame,
         "detectors": sites * per_frame, "sites": sites, "readings_per_frame": per_frame,
         "asked_readings_per_s": per_s or "as fast as acknowledged"},
        targets=_targets(per_s, influx=influx),
    )  # fmt: skip
    plan = Plan(folder=folder, sites=(), influx=influx, open_overview=True, broker_per_site=False)
    async with OneBox(plan, say=teller.say) as box:
        await box.start_gateway()
        homes = [
            Home(feeder.site_name(site), feeder.address(n))
            for site in range(sites)
            for n in range(per_frame)
        ]
        teller.say(f"registering {len(homes)} detectors of {sites} sites")
        await register(box, homes)
        order = Order(
            host=box.city_broker.host, port=box.city_broker.port, epoch=new_id(), sites=sites,
            start_us=SystemClock().now_us() - (rounds + 1) * feeder.STEP_US, each=per_frame,
            rounds=rounds, per_s=per_s,
        )  # fmt: skip
        run = _Run(box, Api(box.url, await token(box)), order, report, _meter(box))
        try:
            await _feed(run, teller)
            await _account(run, teller)
        finally:
            await run.api.close()
    return report


def _targets(per_s: float, *, influx: bool) -> dict[str, str]:
    if per_s:
        return {"cpu_pct.gateway": "< 10 at 3,667/s, < 40 at 22,000/s", "lost": "0", "doubled": "0"}
    rate = "≥ 100,000" if influx else "≥ 200,000"
    return {"readings_per_s": rate, "read_p95_ms": "≤ 50", "lost": "0", "doubled": "0"}


def _meter(box: OneBox) -> Meter:
    gateway = box.rooms["gateway"].pid
    assert gateway is not None
    pids = {"gateway": [gateway], "broker": box.city_broker.pids}
    if box.influx:
        pids["influxdb"] = box.influx.pids
    return Meter(pids)


async def _feed(run: _Run, teller: Teller) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "utaa.bench.feeder", msgspec.json.encode(run.order).decode(),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    run.meter.pids = {**run.meter.pids, "feeder": [process.pid]}
    run.meter.start()
    reading = asyncio.create_task(_read_meanwhile(run), name="read the last hour")
    began_s, since = time.monotonic(), Progress(at_s=time.monotonic(), published=0, acknowledged=0)
    try:
        with teller.bar("readings stored", run.total) as bar:
            async for progress in _progress(process.stdout):
                run.box.check()
                run.last = progress
                run.meter.sample()
                bar.at(progress.acknowledged, f"{progress.acknowledged:,}")
                if progress.acknowledged - since.acknowledged >= run.total / _POINTS or progress.done:
                    took_s = max(1e-3, progress.at_s - since.at_s)
                    rate = (progress.acknowledged - since.acknowledged) / took_s
                    run.rates.append((progress.acknowledged, round(rate)))
                    since = progress
                if progress.done:
                    break
        used = run.meter.read()
    finally:
        reading.cancel()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
    took_s = time.monotonic() - began_s
    run.report.figures |= {
        "seconds": round(took_s, 1),
        "readings_per_s": round(run.last.acknowledged / took_s),
        "rate_over_rows": run.rates,
        "p50_ms": run.last.p50_ms,
        "p99_ms": run.last.p99_ms,
        "reads": len(run.read_s),
        "read_p50_ms": _ms(run.read_s, 0.5),
        "read_p95_ms": _ms(run.read_s, 0.95),
        "resent": run.last.resent,
        "rejected": run.last.rejected,
        **used,
    }


def _ms(seconds: list[float], share: float) -> float | None:
    found = percentile(seconds, share)
    return None if found is None else round(found * 1000, 1)


async def _progress(lines: asyncio.StreamReader) -> AsyncIterator[Progress]:
    async for line in lines:
        yield msgspec.json.decode(line, type=Progress)


async def _read_meanwhile(run: _Run) -> None:
    """The last hour of one detector after the other, through the API."""
    choice = random.Random(1)  # noqa: S311  # which detectors are looked at
    while True:
        await asyncio.sleep(_READ_EVERY_S)
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
    run.report.figures |= {
        "published": run.last.published,
        "stored": stored,
        "lost": max(0, run.last.published - stored) + lost,
        "doubled": max(0, stored - run.last.published) + doubled,
        "compared_by_value": _SAMPLED * run.order.rounds,
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
