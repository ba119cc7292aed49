"""The frames lane: readings in, stored, acknowledged.

One batch's journey: each frame is decoded and judged by itself → the good ones go to the reading store
in one write → latest values, new sites and what was set aside in one transaction → acknowledgements.
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
from gateway.ingest.latest import LatestRow, described, newest, upsert_latest
from gateway.ingest.owners import Owners
from gateway.ingest.patience import until_done
from gateway.stores.base import FrameColumns

LANE: Lane = "frames"
#: Readings in one live event; a page that wants more of a site asks the API.
SHOWN_READINGS = 200

log = structlog.get_logger()


@dataclass
class _Batch:
    """One batch on its way."""

    accepted: list[tuple[FrameColumns, Received]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    acks: Acks = field(default_factory=lambda: Acks(LANE))

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
            self.acks.rejected(site, *key, error.reason)


class FrameLane:
    """Stores frames. ``publish`` sends an acknowledgement on the lane's own connection."""

    def __init__(self, city: City, publish: Publish) -> None:
        self._city = city
        self._publish = publish
        self._owners = Owners(city)
        #: what watchers have not been shown yet: site → detector → newest row
        self._unshown: dict[str, dict[str, LatestRow]] = {}

    async def process(self, messages: Sequence[Received]) -> None:
        """Returns when the batch is stored and answered; waits while store or database are away."""
        began_s = time.monotonic()
        # off the event loop: a batch is tens of milliseconds of work, and alarms do not wait for it
        batch = await asyncio.to_thread(self._judge, messages)
        await until_done(self._city, LANE, lambda: self._check_owners(batch))
        await self._store(batch)
        await until_done(self._city, LANE, lambda: self._record(batch))
        self._answer(batch)
        self._city.metrics.ack_seconds.labels(LANE).observe(time.monotonic() - began_s)

    def _judge(self, messages: Sequence[Received]) -> _Batch:
        batch = _Batch()
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

    async def _check_owners(self, batch: _Batch) -> None:
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

    async def _store(self, batch: _Batch) -> None:
        if not batch.accepted:
            return
        try:
            await self._write(batch, batch.accepted)
        except Exception:
            log.exception("ingest.batch_failed", lane=LANE, frames=len(batch.accepted))
            await self._store_one_by_one(batch)

    async def _write(self, batch: _Batch, part: list[tuple[FrameColumns, Received]]) -> None:
        frames = [columns for columns, _ in part]
        refused = await until_done(self._city, LANE, lambda: self._city.readings.write(frames))
        batch.refusals += [
            Refusal(f"site {row.site}", row.text.encode(), "store_refused", row.detail, keyed=True)
            for row in refused
        ]

    async def _store_one_by_one(self, batch: _Batch) -> None:
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

    async def _record(self, batch: _Batch) -> None:
        now_us = self._city.clock.now_us()
        rows = await asyncio.to_thread(newest, [columns for columns, _ in batch.accepted])
        if not rows and not batch.refusals:
            return
        async with self._city.database.write() as session:
            await upsert_latest(session, rows)
            await set_aside(session, batch.refusals, now_us=now_us)

    def _answer(self, batch: _Batch) -> None:
        metrics = self._city.metrics
        for refusal in batch.refusals:
            metrics.refused.labels(refusal.reason).inc()
        for columns, _ in batch.accepted:
            batch.acks.stored(columns.site, columns.epoch, columns.seq)
            metrics.readings_stored.inc(columns.count)
        metrics.frames_stored.inc(len(batch.accepted))
        sent, unsent = batch.acks.send(self._publish, self._city.store_id)
        metrics.acknowledgements.labels(LANE).inc(sent)
        metrics.unsent.inc(unsent)
        if self._city.hub.wanted("reading"):
            self._remember([columns for columns, _ in batch.accepted])

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
