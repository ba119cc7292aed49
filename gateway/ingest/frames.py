"""The frames lane: readings in, stored, acknowledged.

One batch's journey: each frame is decoded and judged by itself → the good ones go to the reading store
in one write → acknowledgements. The database is needed for what is new or refused only; latest values
follow by a way of their own (``keeper``), so that a slow or absent database does not hold up readings.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from edge.wire.errors import WireError
from edge.wire.frames import decode_frame
from edge.wire.messages import Lane
from gateway.city import City
from gateway.ingest.acks import Acks, Publish
from gateway.ingest.aside import Refusal, set_aside
from gateway.ingest.check import check_frame, frame_key, site_of
from gateway.ingest.inbox import Received
from gateway.ingest.keeper import LatestKeeper
from gateway.ingest.latest import LatestRow, described, newest
from gateway.ingest.owners import Owners
from gateway.ingest.patience import is_outage, until_done
from gateway.stores.base import FrameColumns

LANE: Lane = "frames"
#: Readings in one live event; a page that wants more of a site asks the API.
SHOWN_READINGS = 200
#: So little is judged, and so few frames are put on the board, on the event loop itself: some 100 µs,
#: about what the way to a thread and back costs.
_AT_ONCE_BYTES, _AT_ONCE_FRAMES = 50_000, 8
_STORE_REFUSED = "store_refused"

log = structlog.get_logger()


@dataclass
class Batch:
    """One batch on its way."""

    began_s: float = field(default_factory=time.monotonic)
    accepted: list[tuple[FrameColumns, Received]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    acks: Acks = field(default_factory=lambda: Acks(LANE))
    #: answers to what is set aside; sent once it is
    rejections: Acks = field(default_factory=lambda: Acks(LANE))

    def refuse(self, message: Received, error: WireError) -> None:
        """Set aside; answered if the frame says which one it is, and is of its topic's site."""
        try:
            site = site_of(message.topic).site
        except WireError:
            site, key = "", None
        else:
            key = frame_key(message.payload)
        self.refusals.append(
            Refusal(message.topic, message.payload, error.reason, error.detail, keyed=key is not None)
        )
        if key:
            self.rejections.rejected(site, *key, error.reason)


class FrameLane:
    """Stores frames. ``publish`` sends an acknowledgement on the lane's own connection."""

    def __init__(self, city: City, publish: Publish) -> None:
        self._city = city
        self._publish = publish
        self._owners = Owners(city)
        self.latest = LatestKeeper(city)
        #: what watchers have not been shown yet: site → detector → newest row
        self._unshown: dict[str, dict[str, LatestRow]] = {}

    async def process(self, messages: Sequence[Received]) -> None:
        """Returns when the batch is stored and answered; waits while store or database are away."""
        await self.finish(await self.judge(messages))

    async def judge(self, messages: Sequence[Received]) -> Batch:
        """The first half: what of it is good, and of whom it may speak; nothing is stored yet."""
        await until_done(self._city, LANE, self.latest.ready)
        if sum(len(message.payload) for message in messages) <= _AT_ONCE_BYTES:
            batch = self._judge(messages)
        else:
            # off the event loop: tens of milliseconds of work, and alarms do not wait for it
            batch = await asyncio.to_thread(self._judge, messages)
        await until_done(self._city, LANE, lambda: self._check_owners(batch))
        return batch

    async def finish(self, batch: Batch) -> None:
        """The second half: store, then answer. One batch after the other."""
        await self._store(batch)
        if any(refusal.reason == _STORE_REFUSED for refusal in batch.refusals):
            # rows of frames that are about to be acknowledged: nobody will send them again
            await until_done(self._city, LANE, lambda: self._set_aside(batch))
        self._answer(batch)
        await self._reject(batch)
        self._city.metrics.ack_seconds.labels(LANE).observe(time.monotonic() - batch.began_s)

    def _judge(self, messages: Sequence[Received]) -> Batch:
        batch = Batch()
        now_us = self._city.clock.now_us()
        for message in messages:
            if message.retained:
                self._city.metrics.refused.labels("retained").inc()
                continue
            try:
                batch.accepted.append((_columns(message, now_us), message))
            except WireError as error:
                batch.refuse(message, error)
        return batch

    async def _check_owners(self, batch: Batch) -> None:
        """Drop frames of sites we do not know, and refuse those that speak for another's detector."""
        await self._owners.learn(columns for columns, _ in batch.accepted)
        kept = []
        for columns, message in batch.accepted:
            if not self._owners.knows(columns.site):
                # no answer: the edge keeps it until somebody enters the site in the register
                batch.refusals.append(
                    Refusal(message.topic, message.payload, "unknown_site", "not in the register")
                )
            elif wrong := self._owners.wrong(columns):
                error = WireError("site_mismatch", f"detector {wrong} belongs to another site")
                batch.refuse(message, error)
            else:
                kept.append((columns, message))
        batch.accepted = kept

    async def _store(self, batch: Batch) -> None:
        if not batch.accepted:
            return
        with self.latest.storing():
            try:
                await self._write(batch, batch.accepted)
            except Exception:
                log.exception("ingest.batch_failed", lane=LANE, frames=len(batch.accepted))
                await self._store_one_by_one(batch)
            columns = [columns for columns, _ in batch.accepted]
            if len(columns) <= _AT_ONCE_FRAMES:
                self.latest.add(columns)
            else:
                await asyncio.to_thread(self.latest.add, columns)

    async def _write(self, batch: Batch, part: list[tuple[FrameColumns, Received]]) -> None:
        frames = [columns for columns, _ in part]
        refused = await until_done(self._city, LANE, lambda: self._city.readings.write(frames))
        batch.refusals += [
            Refusal(f"site {row.site}", row.text.encode(), _STORE_REFUSED, row.detail, keyed=True)
            for row in refused
        ]

    async def _store_one_by_one(self, batch: Batch) -> None:
        """One of them breaks the write: find it, set it aside, keep its neighbours."""
        kept = []
        for one in batch.accepted:
            try:
                await self._write(batch, [one])
            except Exception as error:
                log.exception("ingest.frame_failed", site=one[0].site, seq=one[0].seq)
                batch.refuse(one[1], WireError("failed", type(error).__name__))
            else:
                kept.append(one)
        batch.accepted = kept

    async def _reject(self, batch: Batch) -> None:
        """Set aside what is not yet, and answer it. While the database is away, do neither: what its
        edge keeps comes again, and good frames do not wait behind it."""
        try:
            if batch.refusals:
                await self._set_aside(batch)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("ingest.not_set_aside", messages=len(batch.refusals), error=str(error)[:200])
        else:
            self._send(batch.rejections)

    async def _set_aside(self, batch: Batch) -> None:
        async with self._city.database.write() as session:
            await set_aside(session, batch.refusals, now_us=self._city.clock.now_us())
        for refusal in batch.refusals:
            self._city.metrics.refused.labels(refusal.reason).inc()
        batch.refusals = []

    def _answer(self, batch: Batch) -> None:
        metrics = self._city.metrics
        for columns, _ in batch.accepted:
            batch.acks.stored(columns.site, columns.epoch, columns.seq)
            metrics.readings_stored.inc(columns.count)
        metrics.frames_stored.inc(len(batch.accepted))
        self._send(batch.acks)
        if self._city.hub.wanted("reading"):
            self._remember([columns for columns, _ in batch.accepted])

    def _send(self, acks: Acks) -> None:
        sent, unsent = acks.send(self._publish, self._city.store_id)
        self._city.metrics.acknowledgements.labels(LANE).inc(sent)
        self._city.metrics.unsent.inc(unsent)

    def _remember(self, frames: list[FrameColumns]) -> None:
        for row in newest(frames):
            self._unshown.setdefault(row[1], {})[row[0]] = row

    def show(self) -> None:
        """Publish the newest readings since the last call: one live event for each site."""
        unshown, self._unshown = self._unshown, {}
        for site, rows in unshown.items():
            shown = [described(row) for row in list(rows.values())[:SHOWN_READINGS]]
            more = len(rows) - len(shown)
            self._city.hub.publish("reading", {"site": site, "readings": shown, "more": more})


def _columns(message: Received, now_us: int) -> FrameColumns:
    """The message as a believable frame. Raises ``WireError``."""
    site = site_of(message.topic).site
    return check_frame(decode_frame(message.payload), topic_site=site, now_us=now_us)
