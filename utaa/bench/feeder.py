"""``python -m utaa.bench.feeder``: the sites of a city as one process that sends nothing but frames.

It stands for many edges at once: frames under each site's own epoch and sequence, a window of frames
that the city has not acknowledged end to end, and repetition of what stays unanswered. Every second it
writes a JSON line on stdout; the last one has ``"done": true``. Values follow from site, detector and
round, so that a reader can tell what must be there.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np

from edge.wire.clock import US_PER_S
from edge.wire.errors import WireError
from edge.wire.frames import Frame, encode_frame
from edge.wire.identity import detector_id
from edge.wire.messages import Ack, decode
from edge.wire.topics import site_topic
from edge.wire.units import QUANTITY_NAMES
from utaa.bench.client import BenchClient

#: A detector reports every 10 s of the simulated time.
STEP_US = 10 * US_PER_S
#: Without an answer for so long everything unanswered is sent again (real seconds).
_AGAIN_AFTER_S = 20.0
#: Frames handed to the broker at once.
_AT_ONCE = 16
#: Quantity → after how many steps its values begin again.
_CYCLES = {"co_ppm": 37, "optical_density_db_m": 11, "temperature_c": 53, "battery_pct": 1}
_QUANTITIES = tuple(_CYCLES)


class Order(msgspec.Struct, kw_only=True):
    """What the feeder is to do."""

    host: str
    port: int
    epoch: str
    start_us: int
    sites: int
    #: detectors, and readings in a frame, of one site
    each: int = 200
    rounds: int
    #: of them done before
    first_round: int = 0
    #: rounds at the beginning that go as fast as they are acknowledged, before the pace begins
    warm_rounds: int = 0
    #: a frame says its detectors in another order each time, as a site with changing company does
    shuffled: bool = False
    #: readings a second; 0: as fast as they are acknowledged
    per_s: float = 0.0
    #: frames not acknowledged end to end, at most
    window: int = 1000


class Progress(msgspec.Struct, kw_only=True):
    """How far it is. Frames are acknowledged by the city, not by the broker."""

    at_s: float
    published: int
    acknowledged: int
    resent: int = 0
    rejected: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    #: the rounds before the pace are not over
    warm: bool = False
    done: bool = False


def site_name(number: int) -> str:
    return f"feed-{number}"


def address(number: int) -> str:
    return f"d{number}"


def times_us(order: Order, site: int, turn: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """When the detectors of a site measured in a round: each at its own moment within the step."""
    spread = (np.arange(order.each, dtype=np.int64) * 7_919_003 + site * 104_729) % STEP_US
    return order.start_us + turn * STEP_US + spread


def values(
    order: Order, site: int, turn: int
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """What they measured, as coarse as sensors are."""
    phase = site * 7 + turn * 3
    return {
        quantity: _waves(quantity, order.each)[phase % _CYCLES[quantity]] for quantity in _QUANTITIES
    }


@cache
def _waves(quantity: str, each: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A site's values of one quantity for each phase: looked up, so that the feeder is no bound."""
    cycle = _CYCLES[quantity]
    phase = (np.arange(cycle)[:, None] + np.arange(each)[None, :] * 13) % cycle
    return {
        "co_ppm": phase / 10,
        "optical_density_db_m": phase / 1000,
        "temperature_c": 18 + phase / 10,
        "battery_pct": np.asarray(100 - np.arange(each) % 60, np.float64)[None, :],
    }[quantity]


@dataclass
class _Sent:
    payload: bytes
    topic: bytes
    at_s: float
    first_s: float


class Feeder:
    """See the module."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._client: BenchClient
        self._tables = [
            [detector_id(site_name(site), "native", address(n)) for n in range(order.each)]
            for site in range(order.sites)
        ]
        self._index = np.arange(order.each, dtype="<u2").tobytes()
        self._flags = np.full(order.each, 7 << 16, "<u4").tobytes()
        self._sites = {site_name(number): number for number in range(order.sites)}
        self._waiting: dict[tuple[int, int], _Sent] = {}
        self._heard = asyncio.Event()
        self._took_ms: list[float] = []
        self._heard_s = time.monotonic()
        self.state = Progress(at_s=0, published=0, acknowledged=0)

    async def run(self) -> None:
        order = self._order
        self._client = await BenchClient.connect(order.host, order.port, "feeder", self._hear)
        await self._client.subscribe(site_topic("+", "ack"))
        telling = asyncio.create_task(self._tell(), name="tell")
        await self._send_rounds(range(order.first_round, order.first_round + order.warm_rounds), 0.0)
        await self._send_rounds(range(order.first_round + order.warm_rounds, order.rounds), order.per_s)
        telling.cancel()
        self._print(done=True)
        await self._client.close()

    async def _send_rounds(self, rounds: range, per_s: float) -> None:
        """Until all of them are acknowledged. ``per_s``: readings a second; 0: as fast as that goes."""
        order, sites = self._order, self._order.sites
        self.state.warm = rounds.stop < order.rounds
        self._took_ms.clear()
        self._print()
        began_s, count, sent = time.monotonic(), len(rounds) * sites, 0
        while sent < count:
            due = count
            if per_s:
                due = min(count, int((time.monotonic() - began_s) * per_s / order.each) + 1)
            room = order.window - len(self._waiting)
            for _ in range(min(due - sent, room, _AT_ONCE)):
                self._send(rounds.start + sent // sites, sent % sites)
                sent += 1
            await self._rest(full=room <= 0, ahead=sent >= due)
        while self._waiting:
            await self._rest(full=True, ahead=True)

    async def _rest(self, *, full: bool, ahead: bool) -> None:
        self._heard.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5 if full else 0.002 if ahead else 0):
                await self._heard.wait()
        now_s = time.monotonic()
        if full and now_s - self._heard_s > _AGAIN_AFTER_S:
            self._heard_s = now_s
            for one in self._waiting.values():
                self._client.publish([(one.topic, one.payload)])
            self.state.resent += len(self._waiting)

    def _send(self, turn: int, site: int) -> None:
        order, name = self._order, site_name(site)
        times, columns, table = (
            times_us(order, site, turn),
            values(order, site, turn),
            self._tables[site],
        )
        if order.shuffled:
            first = turn % order.each
            table = table[first:] + table[:first]
            times = np.roll(times, -first)
            columns = {quantity: np.roll(column, -first) for quantity, column in columns.items()}
        frame = Frame(
            site=name, epoch=order.epoch, seq=turn + 1, detectors=table, count=order.each,
            index=self._index, times=times.tobytes(), flags=self._flags,
            columns={
                QUANTITY_NAMES.index(quantity): column.tobytes() for quantity, column in columns.items()
            },
        )  # fmt: skip
        now_s = time.monotonic()
        one = _Sent(encode_frame(frame), site_topic(name, "frame").encode(), now_s, now_s)
        self._waiting[site, turn + 1] = one
        self._client.publish([(one.topic, one.payload)])
        self.state.published += order.each

    def _hear(self, _topic: str, payload: bytes) -> None:
        try:
            ack = decode(payload, Ack)
        except WireError:
            return
        site = self._sites.get(ack.site)
        if site is None or ack.epoch != self._order.epoch:
            return
        now_s = self._heard_s = time.monotonic()
        for first, last in ack.seqs:
            for seq in range(first, last + 1):
                one = self._waiting.pop((site, seq), None)
                if one is not None:
                    self.state.acknowledged += self._order.each
                    self._took_ms.append((now_s - one.first_s) * 1000)
        for refused in ack.rejected:
            if self._waiting.pop((site, refused.seq), None) is not None:
                self.state.rejected += self._order.each
        self._heard.set()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._print()

    def _print(self, *, done: bool = False) -> None:
        took = sorted(self._took_ms[-20_000:])
        self.state.at_s, self.state.done = time.monotonic(), done
        if took:
            self.state.p50_ms = round(took[len(took) // 2], 1)
            self.state.p99_ms = round(took[int(len(took) * 0.99)], 1)
        del self._took_ms[:-20_000]
        print(msgspec.json.encode(self.state).decode(), flush=True)


def main() -> None:
    """The order is the one argument, as JSON."""
    asyncio.run(Feeder(msgspec.json.decode(sys.argv[1], type=Order)).run())


if __name__ == "__main__":
    main()
