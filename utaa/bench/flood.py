"""More telemetry than a site's link takes, so that its spool fills and thins; and the account of it.

Each detector of the flood publishes a batch of ten readings a second on its site's own broker; the
agent takes them all, but its frames are small and the city is slow. Each reading that the broker
took must in the end be in the city, wait in the spool, or have been given up by the stated rule and
counted.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge.wire.readings import Reading
from edge.wire.topics import detector_topic
from utaa.bench.city import Home
from utaa.bench.client import BenchClient

#: Readings in a batch, and batches of a detector a second.
PER_BATCH = 10
_TICK_S = 0.05
#: Batches that the broker has not acknowledged, at most.
_WINDOW = 400
#: A flooded agent's frames: so small that its window of them is less than the flood.
FRAME_READINGS = 20
_tail = msgspec.msgpack.Decoder(list[Reading])


@dataclass
class Flood:
    """The detectors of one site."""

    site: str
    client: BenchClient
    readings_per_s: float

    @property
    def accepted(self) -> int:
        """Readings that the site's broker took, which keeps them until they are on the agent's disk."""
        return self.client.acknowledged * PER_BATCH

    async def play(self, seconds: float) -> None:
        """Publish at the pace of the clock."""
        detectors = max(1, round(self.readings_per_s / PER_BATCH))
        topics = [detector_topic(address(n), "reading").encode() for n in range(detectors)]
        began_s, sent = time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            room = _WINDOW - self.client.unacknowledged
            due = min(int(passed_s * detectors) - sent, room)
            now_s = time.time()
            if due > 0:
                self.client.publish(
                    (topics[turn % detectors], _batch(now_s, turn)) for turn in range(sent, sent + due)
                )
                sent += due
            await asyncio.sleep(_TICK_S)

    async def settled(self) -> None:
        """Until the broker has everything. Raises ``ConnectionError``."""
        await self.client.room(1)


def address(number: int) -> str:
    return f"flood{number}"


def homes(sites: Sequence[str], readings_per_s: float) -> list[Home]:
    """The flood's detectors, which nobody lives with."""
    detectors = max(1, round(readings_per_s / PER_BATCH))
    return [Home(site, address(number)) for site in sites for number in range(detectors)]


def _batch(now_s: float, turn: int) -> bytes:
    rows = (
        b'{"time":%.3f,"temperature_c":%.1f,"co_ppm":%.1f}'
        % (now_s - 0.1 * back, 18 + (turn * 7 + back) % 53 / 10, (turn + back) % 37 / 10)
        for back in range(PER_BATCH)
    )
    return b"[" + b",".join(rows) + b"]"


def waiting(spool: Path) -> int:
    """Readings in an agent's spool that the city has not acknowledged. The agent may run."""
    db = sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=30)
    try:
        (frames,) = db.execute(
            "SELECT coalesce(sum(readings), 0) FROM frame WHERE acked_us IS NULL"
        ).fetchone()
        return int(frames) + sum(
            len(_tail.decode(body)) for (body,) in db.execute("SELECT body FROM tail")
        )
    finally:
        db.close()


def given_up(log: Path) -> dict[str, int]:
    """What an agent's log says that it thinned and dropped."""
    told = {"thinned": 0, "dropped": 0}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"spool.thinned"' not in line:
            continue
        said: dict[str, Any] = json.loads(line)
        for name in told:
            told[name] += int(said[name])
    return told
