"""The ingest worker: two lanes on two connections, and the configurations, in one task group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import structlog

from edge.wire.messages import Command, encode
from edge.wire.topics import ingest_filter, site_topic
from gateway.city import City
from gateway.ingest import events, frames
from gateway.ingest.configs import Configs
from gateway.ingest.events import EventLane
from gateway.ingest.frames import Batch, FrameLane
from gateway.ingest.inbox import Inbox, Received
from gateway.stores.base import StoreMisconfigured, StoreUnavailable

log = structlog.get_logger()

#: One write of the frames lane: at most this many frames and bytes. More gains little: a commit is
#: shared by tens of thousands of readings then.
FRAMES_PER_BATCH, FRAME_BYTES_PER_BATCH = 256, 4 << 20
#: Fewer frames than this wait so long for company: a city's quiet pace is some frames a commit then.
#: Below the 20 messages that a broker of old habits lets out unacknowledged.
FRAMES_ENOUGH, FRAMES_LINGER_S = 16, 0.05
#: One transaction of the events lane: small, so that the first of a storm is acknowledged early.
EVENTS_PER_BATCH, EVENT_BYTES_PER_BATCH = 64, 8 << 20
#: How often live readings are shown, and queues and connections looked at for ``/metrics``.
_GAUGES_EVERY_S = 0.2
#: How often the reading store is asked whether it would take a write.
_PROBE_EVERY_S = 5.0
#: A process that did not run for this long heard no pulses meanwhile.
_STOOD_STILL_S = 10.0


class IngestWorker:
    """Stateless but for its two inboxes: any number of these may run on one broker."""

    def __init__(self, city: City) -> None:
        self._city = city
        broker = city.settings.broker
        shared = city.settings.shared_subscriptions
        self.frames_inbox = Inbox(
            name="frames", broker=broker, filters=[ingest_filter("frame", shared=shared)]
        )
        self.events_inbox = Inbox(
            name="events",
            broker=broker,
            filters=[ingest_filter(leaf, shared=shared) for leaf in events.LEAVES],
        )
        self._frames = FrameLane(city, self.frames_inbox.publish)
        self._events = EventLane(city, self.events_inbox.publish)
        self._configs = Configs(
            city, partial(self.events_inbox.publish, retain=True), self._events.stale_configs
        )
        self._listening_since_us: int | None = None
        for lane in (frames.LANE, events.LANE):
            city.health.set(f"broker {lane}", f"{broker}: not connected yet")

    @property
    def listening_since_us(self) -> int | None:
        """Since when pulses can reach us and are written down; None while they are not."""
        return self._listening_since_us

    @property
    def known_sites(self) -> int:
        """How many sites' configurations are watched."""
        return self._configs.known

    async def ready(self, timeout_s: float) -> None:
        """Wait for both connections. Raises ``BrokerUnavailable``."""
        await self.events_inbox.ready(timeout_s)
        await self.frames_inbox.ready(timeout_s)

    async def run(self) -> None:
        """Until cancelled. What was taken and not acknowledged then comes again from the edges."""
        self._city.wake_configs = self._configs.wake
        self._city.send_command = self._send_command
        self.events_inbox.start()
        self.frames_inbox.start()
        try:
            async with asyncio.TaskGroup() as group:
                event_limits = (EVENTS_PER_BATCH, EVENT_BYTES_PER_BATCH)
                for name, work in (
                    ("frames", _pump_frames(self.frames_inbox, self._frames)),
                    ("events", _pump(self.events_inbox, event_limits, self._events.process)),
                    ("latest", self._frames.latest.run()),
                    ("configs", self._configs.run()),
                    ("gauges", self._watch()),
                    ("store probe", self._probe()),
                ):
                    group.create_task(work, name=f"ingest {name}")
        finally:
            await asyncio.gather(self.events_inbox.stop(), self.frames_inbox.stop())

    def _send_command(self, command: Command) -> bool:
        """Never retained: an order is for now."""
        return self.events_inbox.publish(site_topic(command.site, "command"), encode(command))

    async def _probe(self) -> None:
        """Ask the reading store how it is, so that ``/readyz`` knows before a frame comes."""
        while True:
            try:
                await self._city.readings.check()
            except (StoreUnavailable, StoreMisconfigured) as error:
                self._city.health.set("reading store", str(error)[:300])
            else:
                self._city.health.set("reading store", None)
            await asyncio.sleep(_PROBE_EVERY_S)

    async def _watch(self) -> None:
        counted = {frames.LANE: 0, events.LANE: 0}
        watched_s = time.monotonic()
        while True:
            for lane, inbox in ((frames.LANE, self.frames_inbox), (events.LANE, self.events_inbox)):
                self._city.metrics.waiting.labels(lane).set(inbox.waiting)
                self._city.metrics.connected.labels(lane).set(int(inbox.connected))
                trouble = None if inbox.connected else f"{inbox.broker}: {inbox.trouble}"
                self._city.health.set(f"broker {lane}", trouble)
                self._city.metrics.refused.labels("overflow").inc(inbox.overflowed - counted[lane])
                counted[lane] = inbox.overflowed
            self._frames.show()
            slept_s, watched_s = time.monotonic() - watched_s, time.monotonic()
            stalled = "ingest events" in self._city.troubles
            if not self.events_inbox.connected or stalled or slept_s > _STOOD_STILL_S:
                self._listening_since_us = None
            elif self._listening_since_us is None:
                self._listening_since_us = self._city.clock.now_us()
            await asyncio.sleep(_GAUGES_EVERY_S)


async def _pump(
    inbox: Inbox, limits: tuple[int, int], process: Callable[[Sequence[Received]], Awaitable[None]]
) -> None:
    while True:
        batch = await inbox.take(*limits)
        with _lost_here(len(batch)):
            await process(batch)


async def _pump_frames(inbox: Inbox, lane: FrameLane) -> None:
    """Two batches are on their way: one is judged while the one before it is written."""
    before: asyncio.Task[None] | None = None
    try:
        while True:
            messages = await inbox.take(
                FRAMES_PER_BATCH, FRAME_BYTES_PER_BATCH, linger_s=FRAMES_LINGER_S, enough=FRAMES_ENOUGH
            )
            judged: Batch | None = None
            with _lost_here(len(messages)):
                judged = await lane.judge(messages)
            if before is not None:
                await before
            before = None if judged is None else asyncio.create_task(_finish(lane, judged, messages))
    finally:
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)


async def _finish(lane: FrameLane, batch: Batch, messages: Sequence[Received]) -> None:
    with _lost_here(len(messages)):
        await lane.finish(batch)


@contextmanager
def _lost_here(messages: int) -> Iterator[None]:
    """What fails is not acknowledged, so the edges send it again; the lane goes on for the others."""
    try:
        yield
    except Exception:
        log.exception("ingest.batch_lost_here", messages=messages)
