"""``utaa bench overload``: sites with far more telemetry than the city can take, and fires meanwhile.

First the feeder finds what this machine takes, acknowledged end to end. Then its sites have ten
times as much to say. What that means is exactly this: each site keeps its window of frames that the
city has not acknowledged full all the time and holds back the rest, as an agent's link does; more
never reaches the broker, however much a site has. ``offered_readings_per_s`` is what the sites
would have had to say, ``readings_per_s`` what the city took of it. The feeder has no spool.

The agents have one, of a few MB, and a flood of telemetry of their own (``flood``), so that it
fills and thins by its stated rule. Each reading that their brokers took must be in the city, wait
in the spool, or have been given up and counted. Meanwhile homes of these agents begin to burn,
steadily; measured is from the detector's publication to the mail server's acceptance. Memory is
sampled all the time: its peak in the second half shows whether it grows with the time or only with
the windows.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.spool import DataFolder
from edge.wire.clock import US_PER_S, SystemClock
from edge.wire.identity import new_id
from gateway.stores.sqlite import SqliteStore
from utaa.bench import feeder, flood
from utaa.bench.alarm import Fire, all_accepted, all_configured, figures, play
from utaa.bench.city import Home, register
from utaa.bench.client import BenchClient
from utaa.bench.feeder import Order, Progress
from utaa.bench.flood import Flood
from utaa.bench.measure import Meter
from utaa.bench.report import Report, Teller
from utaa.bench.smtp import SmtpSink
from utaa.onebox import OneBox, Plan, until

_START_S = 90.0
_WARM_S = 10.0
#: Detectors, and readings in a frame, of one feeding site; frames a site may have unacknowledged.
_PER_FRAME, _WINDOW_PER_SITE = 200, 4
_FEED_SITES = 500
#: Readings a second of the agents' own detectors.
_AGENTS_READINGS_PER_S = 400.0
_SAMPLE_S = 0.5
#: The feeding sites tell of yesterday, so that the store's account can tell them from the agents.
_AGO_US = 24 * 3600 * US_PER_S


@dataclass
class _Feed:
    """The feeder process and what it last said."""

    process: asyncio.subprocess.Process
    last: Progress = field(default_factory=lambda: Progress(at_s=0, published=0, acknowledged=0))
    _reading: asyncio.Task[None] | None = None

    def follow(self) -> None:
        self._reading = asyncio.create_task(self._read(), name="feeder's progress")

    async def is_answered(self) -> bool:
        """On a busy machine that takes a while; what is measured begins after it."""
        return self.last.acknowledged >= _FEED_SITES * _PER_FRAME

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.last = msgspec.json.decode(line, type=Progress)

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self.process.terminate()
        await self.process.wait()
        if self._reading is not None:
            await self._reading


async def run_overload(
    *, folder: Path, teller: Teller, seconds: float, times: float, alarms_per_s: float, sites: int,
    flood_per_s: float, quota_mb: int,
) -> Report:  # fmt: skip
    """Raises ``ServerError`` or ``TimeoutError`` with one line for the user."""
    fire = Fire(sites, round(_AGENTS_READINGS_PER_S * 10))
    report = Report(
        "overload",
        {"seconds": seconds, "times_what_it_takes": times, "alarms_per_s": alarms_per_s,
         "sites_with_agents": sites, "feeding_sites": _FEED_SITES, "readings_per_frame": _PER_FRAME,
         "frames_unacknowledged_per_site": _WINDOW_PER_SITE, "quota_mb_of_agents": quota_mb,
         "readings_per_frame_of_agents": flood.FRAME_READINGS,
         "flood_readings_per_s_of_each_agent": flood_per_s},
        targets={"p99_ms": "≤ 2,000", "lost": "0", "doubled": "0", "telemetry_lost": "0",
                 "agents_readings_unaccounted": "0", "agents_readings_thinned": "> 0",
                 "rss_mb_second_half.gateway": "as in the first half"},
    )  # fmt: skip
    async with SmtpSink(fire.accepted, folder / "mail") as sink:
        plan = Plan(
            folder=folder, sites=tuple(fire.site_of(n) for n in range(sites)), influx=False,
            smtp_port=sink.port, open_overview=True,
            gateway_env=sink.environment,
            edge_env={
                "UTAA_EDGE_QUOTA_MB": str(quota_mb),
                "UTAA_EDGE_FRAME_READINGS": str(flood.FRAME_READINGS),
            },
        )  # fmt: skip
        async with OneBox(plan, say=teller.say) as box:
            await box.start_gateway()
            teller.say("registering the homes and the feeding sites' detectors")
            await register(box, [*fire.homes(), *_feeding(), *flood.homes(plan.sites, flood_per_s)])
            for site in plan.sites:
                box.start_edge(site)
            await _measure(box, fire, report, teller, seconds, times, alarms_per_s, flood_per_s)
    return report


def _feeding() -> list[Home]:
    return [
        Home(feeder.site_name(site), feeder.address(number))
        for site in range(_FEED_SITES)
        for number in range(_PER_FRAME)
    ]


def _order(box: OneBox, per_s: float, seconds: float) -> Order:
    """More rounds than can be sent: the feeder is ended by us."""
    each_round = _FEED_SITES * _PER_FRAME
    rounds = max(20, int((per_s or 500_000) * seconds / each_round) + 1)
    start_us = SystemClock().now_us() - _AGO_US - (rounds + 1) * feeder.STEP_US
    return Order(
        host=box.city_broker.host, port=box.city_broker.port, epoch=new_id(), sites=_FEED_SITES,
        start_us=start_us, each=_PER_FRAME, rounds=rounds, per_s=per_s,
        window=_FEED_SITES * _WINDOW_PER_SITE,
    )  # fmt: skip


@asynccontextmanager
async def _feeding_at(box: OneBox, per_s: float, seconds: float) -> AsyncIterator[_Feed]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "utaa.bench.feeder",
        msgspec.json.encode(_order(box, per_s, seconds)).decode(), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    feed = _Feed(process)
    feed.follow()
    try:
        yield feed
    finally:
        await feed.end()


async def _measure(
    box: OneBox, fire: Fire, report: Report, teller: Teller, seconds: float, times: float,
    alarms_per_s: float, flood_per_s: float,
) -> None:  # fmt: skip
    clients = [
        await BenchClient.connect(broker.host, broker.port, "bench")
        for broker in box.site_brokers.values()
    ]
    floods = [
        Flood(site, await BenchClient.connect(broker.host, broker.port, "flood"), flood_per_s)
        for site, broker in box.site_brokers.items()
    ]
    await until(
        lambda: all_configured(box, fire), seconds=_START_S, what="the agents take their settings"
    )
    teller.say("every detector is heard once before it counts")
    await play(fire, clients, teller, 10.0, 0.0, "warming up")
    teller.say("what does this machine take?")
    async with _feeding_at(box, 0.0, 3 * _WARM_S) as feed:
        await until(feed.is_answered, seconds=_START_S, what="the city answers the feeding sites")
        await asyncio.sleep(_WARM_S / 2)
        before = feed.last
        await asyncio.sleep(_WARM_S)
    takes = (feed.last.acknowledged - before.acknowledged) / max(1.0, feed.last.at_s - before.at_s)
    fed = feed.last.acknowledged
    async with _feeding_at(box, times * takes, seconds) as feed:
        meter = Meter(_pids(box) | {"feeder": [feed.process.pid]})
        meter.start()
        peaks = asyncio.create_task(_sample(meter, seconds), name="memory")
        began_s = time.monotonic()
        flooding = asyncio.gather(*(one.play(seconds) for one in floods))
        await play(fire, clients, teller, seconds, alarms_per_s, "fires in the overload")
        await flooding
        took_s = time.monotonic() - began_s
        used = meter.read()
        await all_accepted(fire, teller)
        first, second = await peaks
    box.check()
    account = await _account(box, clients, floods)
    acknowledged = feed.last.acknowledged
    stored = await _stored(box, 0, SystemClock().now_us() - _AGO_US // 2)
    offered = times * takes * took_s
    report.figures |= await figures(box, fire, took_s, acknowledged) | {
        "takes_readings_per_s": round(takes),
        "offered_readings_per_s": round(times * takes),
        "acknowledged_readings": acknowledged,
        "waiting_at_the_edges": max(0, round(offered - acknowledged)),
        "resent": feed.last.resent, "rejected": feed.last.rejected,
        "telemetry_lost": max(0, fed + acknowledged - stored),
        "rss_mb_first_half": first, "rss_mb_second_half": second,
        **account, **used,
    }  # fmt: skip


async def _account(
    box: OneBox, clients: Sequence[BenchClient], floods: Sequence[Flood]
) -> dict[str, int]:
    """What became of the readings that the sites' brokers took; ends clients and agents."""
    for one in floods:
        await one.settled()
    accepted = sum(one.accepted for one in floods) + sum(client.acknowledged for client in clients)
    for client in (*clients, *(one.client for one in floods)):
        await client.close()
    deadline_s = time.monotonic() + _START_S
    while (await _whereabouts(box, accepted))["agents_readings_unaccounted"]:
        if time.monotonic() > deadline_s:
            break
        await asyncio.sleep(1.0)  # the agents still take what their brokers hold
    for site in box.plan.sites:
        await box.stop_room(f"edge-{site}")
    return await _whereabouts(box, accepted)


async def _whereabouts(box: OneBox, accepted: int) -> dict[str, int]:
    gone = {"thinned": 0, "dropped": 0}
    waiting = 0
    for site in box.plan.sites:
        waiting += flood.waiting(DataFolder(box.edge_data(site)).spool)
        for name, readings in flood.given_up(box.log_of(f"edge-{site}")).items():
            gone[name] += readings
    now_us = SystemClock().now_us()
    stored = await _stored(box, now_us - _AGO_US // 2, now_us + _AGO_US // 2)
    return {
        "agents_readings_accepted": accepted,
        "agents_readings_stored": stored,
        "agents_readings_waiting": waiting,
        "agents_readings_thinned": gone["thinned"],
        "agents_readings_dropped": gone["dropped"],
        # a frame that was thinned while its answer was on the way counts twice: never less than none
        "agents_readings_unaccounted": max(0, accepted - stored - waiting - sum(gone.values())),
    }


def _pids(box: OneBox) -> dict[str, list[int]]:
    def of(prefix: str) -> list[int]:
        return [room.pid for name, room in box.rooms.items() if name.startswith(prefix) and room.pid]

    return {"gateway": of("gateway"), "edges": of("edge"), "city_broker": list(box.city_broker.pids)}


async def _sample(meter: Meter, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """Peaks of the memory in both halves of the time."""
    halves: list[dict[str, float]] = []
    for _ in range(2):
        peak: dict[str, float] = {}
        end_s = time.monotonic() + seconds / 2
        while time.monotonic() < end_s:
            await asyncio.sleep(_SAMPLE_S)
            for name, now_mb in meter.resident().items():
                peak[name] = max(peak.get(name, 0.0), round(now_mb, 1))
        halves.append(peak)
    return halves[0], halves[1]


async def _stored(box: OneBox, from_us: int, to_us: int) -> int:
    """Readings that the city has: the feeding sites tell of another time than the agents."""
    store = SqliteStore(box.gateway_data / "readings")
    try:
        return await store.count(None, from_us=from_us, to_us=to_us)
    finally:
        await store.close()
