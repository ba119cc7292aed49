"""Replays against a real Mosquitto, on a scaled clock."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.wire.clock import US_PER_S, ScaledClock, SystemClock
from edge.wire.identity import detector_id
from firmware_sim.errors import SimulatorError
from firmware_sim.ledger import Ledger, ReadingLine, read_ledger
from firmware_sim.recordings import Recorded, Recording, kitchens, nist
from firmware_sim.replay import replay

pytestmark = pytest.mark.servers

Until = Callable[[Callable[[], object]], Awaitable[None]]


def recording(address: str, step_s: float, count: int) -> Recording:
    return Recording(address, tuple(Recorded(n * step_s, {"co_ppm": float(n)}) for n in range(count)))


def lines_of(path: Path) -> list[ReadingLine]:
    return [line for line in read_ledger(path) if isinstance(line, ReadingLine)]


async def test_a_recording_is_published_at_the_pace_of_the_shared_clock(
    mosquitto: Any, tmp_path: Path
) -> None:
    clock = ScaledClock(time.time(), 1_760_000_000.0, 100.0)
    start_us = clock.now_us()
    with Ledger(tmp_path / "l.jsonl") as ledger:
        begun_s = time.monotonic()
        summary = await replay(
            [recording("a", 10.0, 11), recording("b", 25.0, 5)],
            mosquitto.broker, clock, ledger, site="home", start_us=start_us,
        )  # fmt: skip
        took_s = time.monotonic() - begun_s
    assert took_s >= 1.0  # 100 s of the recording at 100 times
    assert summary.published == 16
    lines = lines_of(tmp_path / "l.jsonl")
    assert [line.time_us for line in lines if line.address == "a"] == [
        start_us + n * 10 * US_PER_S for n in range(11)
    ]
    assert all(line.sent_us >= line.time_us for line in lines)
    assert {line.detector for line in lines} == {
        detector_id("home", "native", "a"),
        detector_id("home", "native", "b"),
    }


async def test_as_fast_as_possible_waits_for_nothing_and_comes_from_no_future(
    mosquitto: Any, shared_data: Path, tmp_path: Path, listening: Any, until: Until
) -> None:
    recordings = nist(shared_data / "nist-smoke-alarms") + kitchens(shared_data / "household-stove-co")
    readings = sum(len(each.readings) for each in recordings)
    async with listening("utaa/v1/detector/+/reading") as ear:
        with Ledger(tmp_path / "l.jsonl") as ledger:
            summary = await replay(
                recordings, mosquitto.broker, SystemClock(), ledger,
                site="home", as_fast_as_possible=True,
            )  # fmt: skip
        await until(lambda: len(ear.heard) == readings)
    assert (summary.published, summary.detectors) == (readings, 33)
    lines = lines_of(tmp_path / "l.jsonl")
    assert max(line.time_us for line in lines) <= SystemClock().now_us()
    for topic in {topic for topic, _, _ in ear.heard}:
        times = [json.loads(payload)["time"] for payload in ear.on(topic)]
        assert times == sorted(times)


async def test_a_replay_can_leave_without_saying_goodbye(
    mosquitto: Any, listening: Any, until: Until
) -> None:
    status = "utaa/v1/detector/a/status"
    for goodbye, expected in ((False, [b"online"]), (True, [b"online", b"online", b"offline"])):
        async with listening(status) as ear:
            await replay(
                [recording("a", 1.0, 3)], mosquitto.broker, SystemClock(), Ledger(None),
                site="home", as_fast_as_possible=True, goodbye=goodbye,
            )  # fmt: skip
            await until(lambda ear=ear, expected=expected: len(ear.heard) >= len(expected))
            assert ear.on(status) == expected


async def test_a_replay_can_be_stopped(mosquitto: Any, tmp_path: Path, until: Until) -> None:
    stop = asyncio.Event()
    with Ledger(tmp_path / "l.jsonl") as ledger:
        run = asyncio.create_task(
            replay(
                [recording("a", 0.05, 100_000)],
                mosquitto.broker,
                SystemClock(),
                ledger,
                site="home",
                stop=stop,
            )
        )
        await until(lambda: ledger.counts["published"] >= 3)
        stop.set()
        summary = await run
    assert 3 <= summary.published < 1000
    assert len(lines_of(tmp_path / "l.jsonl")) == summary.published


@pytest.mark.parametrize(
    ("addresses", "site", "expected"),
    [
        (["a", "a"], "home", "address of two recordings"),
        (["a/b"], "home", "is no address"),
        (["a"], "No", "no site name"),
    ],
)
async def test_wrong_addresses_and_sites_are_named(
    addresses: list[str], site: str, expected: str, mosquitto: Any
) -> None:
    with pytest.raises(SimulatorError, match=expected):
        await replay(
            [recording(address, 1.0, 1) for address in addresses],
            mosquitto.broker, SystemClock(), Ledger(None), site=site,
        )  # fmt: skip
