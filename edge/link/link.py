"""Two connections to the city's broker and what goes over them.

The events connection carries, first, the snapshot of active alarms, then events, the heartbeat, the
site's status with its last will, and hears acknowledgements, settings and commands. A raise that waited
long says nothing about now: an old event is sent only after the city has acknowledged a snapshot that
was taken after it, so that what is over is known to be over before its raise arrives. The frames
connection carries frames and nothing else, so that telemetry never stands in an alarm's way; it begins
when the city has heard the worst of the snapshot. What is no alarm keeps its queue on the line short
(``line``), so a new fire finds a thin line nearly empty.

Timeouts here are real seconds: networks do not run faster in a replay.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiomqtt
import msgspec
import structlog

from edge.link.age import age_ms
from edge.link.line import Line
from edge.link.listing import PARTS_WINDOW, Listing
from edge.link.window import EVENTS_RESEND_CAP_S, Window
from edge.spool import PendingEvent, Spool, SpoolFull
from edge.tls import TlsFiles
from edge.wire import topics
from edge.wire.clock import Clock
from edge.wire.errors import WireError
from edge.wire.identity import new_id
from edge.wire.messages import (
    Ack,
    CommandResult,
    Event,
    Heartbeat,
    Snapshot,
    Status,
    decode,
    encode,
)

log = structlog.get_logger()

#: Alarms under way at once.
ALARMS_WINDOW = 32
#: What is less than an alarm, under way at once at most; a city that answers late gets fewer, so that
#: a new fire finds little before it in the city's transaction.
LESSER_WINDOW = 20
#: So much later than the quickest answer is late (real seconds).
LESSER_LATE_S = 0.1
#: Frames without the city's answer at once, at most; a slow city gets fewer.
FRAMES_WINDOW = 32
FRAMES_LEAST = 6
#: An event that is not known to be younger than this waits for the acknowledgement of a snapshot that
#: was taken after it; the city takes older ones for history, unless a snapshot lists the alarm.
YOUNG_MS = 300_000
#: Events read in one look for young ones behind old ones that wait; more are left by days away.
MOST_LOOKED_AT = 1000
#: Snapshots of a connection whose answer is still awaited; an answer to an older one counts no more.
MAX_NONCES = 100
#: Frames wait this long for the answer to the snapshot's first part, then go all the same.
FRAMES_HOLD_S = 3.0
HEARTBEAT_S = 30.0
#: A replay's heartbeat comes as often as its clock says, but no more often than this (real seconds).
HEARTBEAT_LEAST_S = 0.5
KEEPALIVE_S = 20
#: The broker itself must take a message within this; a snapshot over a thin link needs its time.
PUBLISH_TIMEOUT_S = 90.0
#: Connecting and subscribing: a connection that is cut before the broker's first word is only found by
#: this, and a thin link (600 ms, TLS) needs about 3 s.
CONNECT_TIMEOUT_S = 8.0
RECONNECT_FIRST_S = 0.2
RECONNECT_CAP_S = 30.0
#: A connection that held this long starts the back-off anew.
STEADY_S = 20.0
#: Saying goodbye takes no longer than this before it is cut short (real seconds).
LEAVE_S = 2.0
#: Acknowledgements are written down at most this often (real seconds): little beside a round trip.
SETTLE_EVERY_S = 0.01
#: Results of commands that wait for a connection; the oldest go first when there are more.
MAX_RESULTS = 100

#: So many publications at once are no news for a log.
_EXPECTED_CALLS = 10 * ALARMS_WINDOW

_event_decoder = msgspec.json.Decoder(Event)


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """Where a broker is and how to speak with it."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: TlsFiles | None = None


@dataclass(frozen=True, kw_only=True)
class Ears:
    """Whom the link tells what it heard. Called on the event loop; they must not block."""

    heartbeat: Callable[[], Heartbeat]
    config: Callable[[bytes], None]
    command: Callable[[bytes], None]
    #: a message the city put aside, by reason, and how many
    rejected: Callable[[dict[str, int]], None]
    #: whether the wall clock can be believed
    synced: Callable[[], bool]
    #: the city knows more than the spool, which goes on under this new epoch
    restored: Callable[[str], None] = lambda _epoch: None


class Link:
    """The site's link to the city (see the module). ``run`` until ``stop``."""

    def __init__(
        self,
        *,
        site: str,
        boot: str,
        broker: BrokerAddress,
        spool: Spool,
        clock: Clock,
        ears: Ears,
        heartbeat_s: float = HEARTBEAT_S,
        rng: random.Random | None = None,
    ) -> None:
        self._site = site
        self._boot = boot
        self._broker = broker
        self._spool = spool
        self._clock = clock
        self._ears = ears
        self._heartbeat_s = max(HEARTBEAT_LEAST_S, heartbeat_s / clock.factor)
        self._rng = rng or random.Random()  # noqa: S311  # jitter, no secret
        jitter = self._rng.random
        self._alarms = Window(ALARMS_WINDOW, cap_s=EVENTS_RESEND_CAP_S, jitter=jitter)
        self._lesser = Window(
            LESSER_WINDOW, adaptive=True, slow_factor=1, slow_margin_s=LESSER_LATE_S,
            cap_s=EVENTS_RESEND_CAP_S, jitter=jitter,
        )  # fmt: skip
        self._frames = Window(FRAMES_WINDOW, least=FRAMES_LEAST, adaptive=True, jitter=jitter)
        self._parts = Window(
            PARTS_WINDOW, least=1, adaptive=True, slow_factor=1, slow_margin_s=LESSER_LATE_S,
            jitter=jitter,
        )  # fmt: skip
        self._events_line, self._frames_line = Line(), Line()
        self._listing: Listing | None = None
        self._acks: asyncio.Queue[Ack] = asyncio.Queue()
        self._results: list[CommandResult] = []
        #: last parts of this connection's snapshots, each with the newest event it includes
        self._nonces: dict[str, int] = {}
        #: events up to this one are included in a snapshot that the city has acknowledged
        self._covered_seq = -1
        self._snapshot_done = asyncio.Event()
        self._snapshot_wanted = asyncio.Event()
        self._snapshot_moved = asyncio.Event()
        #: this connection's first part of a snapshot was sent, which events come behind
        self._snapshot_begun = asyncio.Event()
        #: the city has the first part of a snapshot of this connection
        self._listed = asyncio.Event()
        #: there may be events that nobody has looked at
        self._has_more_events = True
        self._events_wake = asyncio.Event()
        self._frames_wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.connected = False

    # -- from outside -------------------------------------------------------------------------

    def wake(self, *, events: bool, frames: bool) -> None:
        """Something was committed. From any thread."""
        if events:
            self._call(self._wake_events)
        if frames:
            self._call(self._frames_wake.set)

    def publish_result(self, result: CommandResult) -> None:
        """Answer a command. From any thread."""
        self._call(lambda: self._queue_result(result))

    def stop(self) -> None:
        """Say offline and leave. From any thread."""
        self._call(self._stopping.set)

    def counters(self) -> dict[str, int]:
        """What the link has to tell about itself."""
        resent = self._alarms.resent + self._lesser.resent
        return {"resent_events": resent, "resent_frames": self._frames.resent}

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to wake
                self._loop.call_soon_threadsafe(function)

    def _wake_events(self) -> None:
        self._has_more_events = True
        self._events_wake.set()

    def _wake_both(self) -> None:
        self._events_wake.set()
        self._frames_wake.set()

    def _queue_result(self, result: CommandResult) -> None:
        self._results.append(result)
        del self._results[:-MAX_RESULTS]
        self._events_wake.set()

    # -- running ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve both lanes until ``stop``. Raises ``SpoolDamaged``."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(self._settle(), name="link-settle")
            lanes = [
                tasks.create_task(self._lane("events", self._events_session), name="link-events"),
                tasks.create_task(self._lane("frames", self._frames_session), name="link-frames"),
            ]
            await asyncio.gather(*lanes)
            settling.cancel()

    async def _lane(self, name: str, session: Callable[[aiomqtt.Client], Awaitable[None]]) -> None:
        """Connect, serve, and connect again with a growing pause."""
        pause_s = RECONNECT_FIRST_S
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                async with self._client(name) as client:
                    log.info("link.connected", lane=name)
                    await self._session_until_stopped(client, session)
            except* (aiomqtt.MqttError, OSError) as errors:
                log.warning("link.lost", lane=name, error=str(errors.exceptions[0]))
            if self._stopping.is_set():
                return
            steady = time.monotonic() - began_s > STEADY_S
            pause_s = RECONNECT_FIRST_S if steady else min(pause_s * 2, RECONNECT_CAP_S)
            pause = pause_s * (0.5 + 0.5 * self._rng.random())
            await _wait(self._stopping, time.monotonic() + pause)

    async def _session_until_stopped(
        self, client: aiomqtt.Client, session: Callable[[aiomqtt.Client], Awaitable[None]]
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(_as_coroutine(session(client)), name="link-session")
            stopping = tasks.create_task(self._stopping.wait(), name="link-stopping")
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            while not serving.done():
                # again and again: wait_for of Python 3.11 can swallow a cancellation
                serving.cancel()
                await asyncio.wait((serving,), timeout=LEAVE_S)

    def _client(self, lane: str) -> aiomqtt.Client:
        will = None
        if lane == "events":
            will = aiomqtt.Will(
                topics.site_topic(self._site, "status"), self._status("offline"), 1, retain=True
            )
        client = aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.username,
            password=self._broker.password,
            tls_context=self._broker.tls.context() if self._broker.tls else None,
            identifier=f"{self._site}-{lane}",
            clean_session=True,
            will=will,
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_TIMEOUT_S,
            max_inflight_messages=2 * ALARMS_WINDOW,
            max_queued_incoming_messages=0,
            max_queued_outgoing_messages=0,
        )
        client.pending_calls_threshold = _EXPECTED_CALLS
        return client

    def _status(self, state: str) -> bytes:
        return encode(
            Status(site=self._site, state="online" if state == "online" else "offline", boot=self._boot)
        )

    # -- the events lane ----------------------------------------------------------------------

    async def _events_session(self, client: aiomqtt.Client) -> None:
        self._clear_events()
        self._events_line.clear()
        self._nonces.clear()
        self._listing = None
        self._snapshot_begun.clear()
        self._want_snapshot()
        self._covered_seq = -1
        wanted = [(topics.site_topic(self._site, leaf), 1) for leaf in topics.DOWNLINK_LEAVES]
        self.connected = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(client), name="link-hear")
                # nothing waits for the broker's word on these: on a thin line that is seconds
                tasks.create_task(_as_coroutine(client.subscribe(wanted)), name="link-subscribe")
                online = self._publish(client, "status", self._status("online"), retain=True)
                tasks.create_task(online, name="link-online")
                tasks.create_task(self._send_snapshots(client, tasks), name="link-snapshot")
                tasks.create_task(self._send_heartbeats(client), name="link-heartbeat")
                tasks.create_task(self._send_events(client, tasks), name="link-send-events")
        finally:
            self.connected = False
            self._listed.clear()
            if self._stopping.is_set():
                with contextlib.suppress(aiomqtt.MqttError):
                    await self._publish(client, "status", self._status("offline"), retain=True)

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            topic = topics.parse_site_topic(message.topic.value)
            if topic is None or topic.site != self._site:
                continue
            if topic.leaf == "ack":
                self._hear_ack(payload)
            elif topic.leaf == "config":
                self._ears.config(payload)
            elif topic.leaf == "command" and not message.retain:
                self._ears.command(payload)

    def _hear_ack(self, payload: bytes) -> None:
        try:
            self._acks.put_nowait(decode(payload, Ack))
        except WireError as error:
            log.warning("link.bad_ack", reason=error.reason, detail=error.detail)

    async def _settle(self) -> None:
        """Acknowledgements, many at a time, into the spool and out of the windows."""
        settled_s = 0.0
        while True:
            acks = [await self._acks.get()]
            # one by itself at once; in a storm they come one after another and share a transaction
            await asyncio.sleep(max(0.0, settled_s + SETTLE_EVERY_S - time.monotonic()))
            settled_s = time.monotonic()
            while not self._acks.empty():
                acks.append(self._acks.get_nowait())
            try:
                settled = await asyncio.to_thread(self._spool.acknowledge, acks)
                if settled.overtaken:
                    epoch = await asyncio.to_thread(self._spool.renew_epoch)
                    log.warning("link.spool_overtaken", epoch=epoch)
                    self._ears.restored(epoch)
            except SpoolFull as error:
                log.error("link.ack_not_kept", error=str(error))  # it is sent and answered again
                continue
            if settled.store_changed:
                log.warning("link.store_changed", store=self._spool.store)
            if settled.store_changed or settled.overtaken:
                self._clear_events()
                self._frames.clear()
                self._covered_seq = -1  # what the former store knew says nothing of this one
                self._nonces.clear()
                self._listing = None
                self._want_snapshot()
            now_s = time.monotonic()
            self._alarms.settle(settled.events, now_s)
            self._lesser.settle(settled.events, now_s)
            self._frames.settle(settled.frames, now_s)
            self._settle_snapshots(settled.snapshots, now_s)
            if settled.rejected:
                self._ears.rejected(settled.rejected)
            if self._has_more_events:
                self._events_wake.set()
            self._frames_wake.set()

    def _settle_snapshots(self, nonces: set[str], now_s: float) -> None:
        if not nonces:
            return
        if self._listing is not None:
            self._listing.answered(nonces, now_s)
            if self._listing.is_begun:
                self._listed.set()
            if self._listing.is_done:
                self._covered_seq = max(self._covered_seq, self._listing.last_seq)
                self._snapshot_done.set()
        answered = [self._nonces[nonce] for nonce in nonces if nonce in self._nonces]
        if answered:
            self._covered_seq = max(self._covered_seq, *answered)
            self._snapshot_done.set()
        self._snapshot_moved.set()

    def _clear_events(self) -> None:
        self._has_more_events = True
        self._alarms.clear()
        self._lesser.clear()

    def _want_snapshot(self) -> None:
        """The city is to have a new snapshot."""
        self._snapshot_done.clear()
        self._snapshot_wanted.set()

    async def _send_snapshots(self, client: aiomqtt.Client, tasks: asyncio.TaskGroup) -> None:
        """Whenever one is wanted: the snapshot, again and again until the city has answered one."""
        while True:
            await self._snapshot_wanted.wait()
            self._snapshot_wanted.clear()
            self._parts.forget()
            while not self._snapshot_done.is_set() and not self._snapshot_wanted.is_set():
                self._listing = Listing(await asyncio.to_thread(self._snapshot), self._parts)
                await self._send_parts(client, tasks, self._listing)

    async def _send_parts(
        self, client: aiomqtt.Client, tasks: asyncio.TaskGroup, listing: Listing
    ) -> None:
        """Until the listing is answered, is not wanted any more or does not move."""
        while self._listing is listing and not self._snapshot_done.is_set():
            self._snapshot_moved.clear()
            if listing.is_stuck(time.monotonic()):
                return
            part = listing.due(self._spool.store) if self._events_line.is_free() else None
            if part is None:
                await _wait(self._snapshot_moved, listing.next_due_s())
                continue
            if part.part == part.parts:
                self._nonces[part.nonce] = part.last_seq
                if len(self._nonces) > MAX_NONCES:
                    del self._nonces[next(iter(self._nonces))]
            listing.sent(part, time.monotonic())
            self._start_bulk(client, tasks, self._events_line, "snapshot", encode(part))
            self._snapshot_begun.set()

    def _snapshot(self) -> Snapshot:
        last_seq, active = self._spool.snapshot()
        ages = {
            entry.alarm.id: age_ms(
                at_us=entry.alarm.raised_us,
                mono_us=entry.mono_us,
                boot=entry.boot,
                synced=entry.synced,
                clock=self._clock,
                this_boot=self._boot,
                synced_now=self._ears.synced(),
            )
            for entry in active.values()
        }
        return Snapshot(
            site=self._site,
            epoch=self._spool.epoch,
            nonce=new_id(),
            at_us=self._clock.now_us(),
            last_seq=last_seq,
            active=[entry.alarm for entry in active.values()],
            age_ms={alarm: age for alarm, age in ages.items() if age is not None},
        )

    async def _send_heartbeats(self, client: aiomqtt.Client) -> None:
        while True:
            await self._publish(client, "heartbeat", encode(self._ears.heartbeat()))
            await asyncio.sleep(self._heartbeat_s)

    async def _send_events(self, client: aiomqtt.Client, tasks: asyncio.TaskGroup) -> None:
        await self._snapshot_begun.wait()
        while True:
            self._events_wake.clear()
            while self._results:
                await self._publish(client, "result", encode(self._results[0]))
                del self._results[0]
            now_s = time.monotonic()
            if self._alarms.expire(now_s) + self._lesser.expire(now_s):
                self._has_more_events = True
            for row in self._chosen_events() if self._has_more_events else ():
                (self._lesser if row.rank else self._alarms).sent(row.seq, now_s)
                if row.rank == 0:
                    publishing = self._publish(client, "event", self._event(row))
                    tasks.create_task(publishing, name=f"event-{row.seq}")
                else:
                    self._start_bulk(client, tasks, self._events_line, "event", self._event(row))
            dues = (self._alarms.next_due_s(), self._lesser.next_due_s())
            await _wait(self._events_wake, min((due for due in dues if due is not None), default=None))

    def _chosen_events(self) -> list[PendingEvent]:
        under_way = self._alarms.under_way | self._lesser.under_way
        free = {True: self._lesser.free(), False: self._alarms.free()}
        limit = free[True] + free[False]
        rows = self._spool.pending_events(limit, under_way)
        found = len(rows)
        young = all(self._may_go(row) for row in rows)
        if not young:  # young ones may stand behind those that wait
            rows = self._spool.pending_events(MOST_LOOKED_AT, under_way)
            if self._snapshot_done.is_set():
                self._want_snapshot()
            rows = [row for row in rows if self._may_go(row)]
        chosen: list[PendingEvent] = []
        room = self._events_line.limit - self._events_line.under_way
        for row in rows:
            lesser = row.rank > 0
            if lesser and room <= 0 and self._events_line.under_way:
                break
            if free[lesser] > 0:
                free[lesser] -= 1
                room -= len(row.body) if lesser else 0
                chosen.append(row)
        # what comes later says so itself (``wake``): until then nobody need look again
        self._has_more_events = not young or found == limit or len(chosen) < found
        return chosen

    def _may_go(self, row: PendingEvent) -> bool:
        """Whether it is young, or the city knows what became of it by a snapshot."""
        if row.seq <= self._covered_seq:
            return True
        age = self._age_ms(row)
        return age is not None and age < YOUNG_MS

    def _age_ms(self, row: PendingEvent) -> int | None:
        return age_ms(
            at_us=row.at_us,
            mono_us=row.mono_us,
            boot=row.boot,
            synced=row.synced,
            clock=self._clock,
            this_boot=self._boot,
            synced_now=self._ears.synced(),
        )

    def _event(self, row: PendingEvent) -> bytes:
        event = _event_decoder.decode(row.body)
        age = self._age_ms(row)
        return encode(msgspec.structs.replace(event, epoch=self._spool.epoch, age_ms=age))

    # -- the frames lane ----------------------------------------------------------------------

    async def _frames_session(self, client: aiomqtt.Client) -> None:
        self._frames.clear()
        self._frames_line.clear()
        await _wait(self._listed, time.monotonic() + FRAMES_HOLD_S)
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._frames_wake.clear()
                now_s = time.monotonic()
                self._frames.expire(now_s)
                free = self._frames.free() if self._frames_line.is_free() else 0
                rows = self._spool.pending_frames(free, self._frames.under_way) if free else []
                for row in rows:
                    if not self._frames_line.is_free():
                        break
                    self._frames.sent(row.seq, now_s)
                    self._start_bulk(client, tasks, self._frames_line, "frame", row.body)
                await _wait(self._frames_wake, self._frames.next_due_s())

    # -- publishing ---------------------------------------------------------------------------

    def _start_bulk(
        self,
        client: aiomqtt.Client,
        tasks: asyncio.TaskGroup,
        line: Line,
        leaf: topics.SiteLeaf,
        payload: bytes,
    ) -> None:
        """Publish what is no alarm, within what the line may hold."""
        line.sent(len(payload))

        async def publish() -> None:
            sent_s = time.monotonic()
            await self._publish(client, leaf, payload)
            was_free = line.is_free()
            line.arrived(len(payload), sent_s, time.monotonic())
            if not was_free and line.is_free():
                self._snapshot_moved.set()
                self._wake_both()

        tasks.create_task(publish(), name=f"link-{leaf}")

    async def _publish(
        self, client: aiomqtt.Client, leaf: topics.SiteLeaf, payload: bytes, *, retain: bool = False
    ) -> None:
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):  # the client's own limit costs a task each
                await client.publish(
                    topics.site_topic(self._site, leaf), payload, qos=1, retain=retain, timeout=math.inf
                )
        except TimeoutError:
            raise aiomqtt.MqttError("the broker does not take it") from None


async def _as_coroutine(awaitable: Awaitable[object]) -> None:
    await awaitable


async def _wait(event: asyncio.Event, due_s: float | None) -> None:
    """Until the event or until the moment (monotonic, real seconds)."""
    timeout_s = None if due_s is None else max(0.0, due_s - time.monotonic())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
