"""The embedded broker for as long as UTAA_SOAK_MINUTES says: nothing lost, memory that stays put."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import aiomqtt
import pytest

from utaa.servers import EmbeddedBroker

#: What the broker may grow by once it is warm: kept sessions and fragmentation, no leak.
_GROWTH_KB = 30_000
_WARM_UP_S = 20.0
_WRITERS = 8


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("the broker is gone")


async def _write(broker: EmbeddedBroker, name: str, until_s: float) -> int:
    """Connect, say a few things, leave; again and again. Returns how many were said."""
    said = 0
    while time.monotonic() < until_s:
        async with aiomqtt.Client(broker.host, broker.port, identifier=name) as client:
            await client.subscribe(f"own/{name}/{said}", qos=1)
            for _ in range(50):
                await client.publish(f"soak/{name}", b"%d" % said, qos=1)
                said += 1
    return said


async def _read(broker: EmbeddedBroker, counts: dict[str, int], ready: asyncio.Event) -> None:
    async with aiomqtt.Client(broker.host, broker.port, identifier="reader") as client:
        await client.subscribe("soak/#", qos=1)
        ready.set()
        async for message in client.messages:
            name = str(message.topic).removeprefix("soak/")
            assert int(message.payload) == counts.get(name, 0), f"{name}: lost, doubled or disordered"  # type: ignore[arg-type]
            counts[name] = counts.get(name, 0) + 1


@pytest.mark.soak
async def test_clients_that_come_and_go_for_hours_lose_nothing(tmp_path: Path) -> None:
    until_s = time.monotonic() + 60 * float(os.environ.get("UTAA_SOAK_MINUTES", "60"))
    counts: dict[str, int] = {}
    ready = asyncio.Event()
    async with EmbeddedBroker(tmp_path) as broker, asyncio.timeout(until_s - time.monotonic() + 120):
        reader = asyncio.create_task(_read(broker, counts, ready))
        await ready.wait()
        writers = [asyncio.create_task(_write(broker, f"w{n}", until_s)) for n in range(_WRITERS)]
        await asyncio.sleep(min(_WARM_UP_S, (until_s - time.monotonic()) / 3))
        warm_kb = _resident_kb(broker.pids[0])
        said = {f"w{n}": count for n, count in enumerate(await asyncio.gather(*writers))}
        while counts != said and not reader.done():
            await asyncio.sleep(0.1)
        reader.cancel()
        assert counts == said
        assert _resident_kb(broker.pids[0]) - warm_kb < _GROWTH_KB
