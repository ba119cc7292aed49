"""The events lane: events, snapshots, pulses and wills in; one transaction a batch; acknowledged.

One event's journey: decoded and judged by itself → its alarm, device or note applied in the batch's
transaction, incident and notifications with it → committed → acknowledged, shown live, alerts woken.
A repeated event is acknowledged and changes nothing. One that breaks the batch is found by applying
each alone, and set aside; its neighbours go through.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents, listed
from alerts.incidents import Applied
from alerts.openings import Said, apply_alarms
from edge.wire.errors import REASONS, REPAIRS, WireError
from edge.wire.messages import Alarm, CommandResult, Event, Heartbeat, Lane, Snapshot, Status, decode
from edge.wire.topics import SiteLeaf
from gateway import areas
from gateway.cameras import hearing
from gateway.city import City
from gateway.ingest import sites
from gateway.ingest.acks import Acks, Publish
from gateway.ingest.aside import Refusal, set_aside
from gateway.ingest.check import site_of
from gateway.ingest.inbox import Received
from gateway.ingest.patience import until_done
from gateway.live import Topic
from registry.fieldwork import trials
from registry.models import Site

LANE: Lane = "events"
LEAVES: tuple[SiteLeaf, ...] = ("event", "snapshot", "heartbeat", "status", "result")

Uplink = Event | Snapshot | Heartbeat | Status | CommandResult
_Judged = tuple[Received, Uplink]
_KINDS: dict[str, Any] = {
    "event": Event,
    "snapshot": Snapshot,
    "heartbeat": Heartbeat,
    "status": Status,
    "result": CommandResult,
}
#: The words an edge's counters become metrics under; whatever else it says is counted as "other".
_EDGE_WORDS = frozenset(REASONS) | frozenset(REPAIRS)

log = structlog.get_logger()


class _Key(msgspec.Struct):
    """What is read of an event that cannot be used, so that it can be answered."""

    epoch: str
    seq: int


@dataclass
class _Outcome:
    """What a transaction did, to be told only after it is committed."""

    acks: Acks = field(default_factory=lambda: Acks(LANE))
    refusals: list[Refusal] = field(default_factory=list)
    live: list[tuple[Topic, dict[str, Any]]] = field(default_factory=list)
    stale_configs: list[str] = field(default_factory=list)
    pulses: list[Heartbeat] = field(default_factory=list)
    notified: int = 0
    events: int = 0
    snapshots: int = 0

    def refuse(self, message: Received, error: WireError) -> None:
        key = _key_of(message)
        refusal = Refusal(message.topic, message.payload, error.reason, error.detail, key is not None)
        self.refusals.append(refusal)
        if key:
            self.acks.rejected(*key, error.reason)


class EventLane:
    """Applies events. ``publish`` sends an acknowledgement on the lane's own connection."""

    def __init__(self, city: City, publish: Publish) -> None:
        self._city = city
        self._publish = publish
        #: sites whose pulse named an older configuration than the register has
        self.stale_configs: set[str] = set()

    async def process(self, messages: Sequence[Received]) -> None:
        """Returns when the batch is committed and answered; waits while the database is away."""
        began_s = time.monotonic()
        try:
            outcome = await until_done(self._city, LANE, lambda: self._apply(messages))
        except Exception:
            log.exception("ingest.batch_failed", lane=LANE, messages=len(messages))
            for message in messages:
                await self._apply_alone(message)
        else:
            self._tell(outcome)
        self._city.metrics.ack_seconds.labels(LANE).observe(time.monotonic() - began_s)

    async def _apply_alone(self, message: Received) -> None:
        """The message by itself; what still fails is set aside with its reason."""
        try:
            outcome = await until_done(self._city, LANE, lambda: self._apply([message]))
        except Exception as error:
            log.exception("ingest.message_failed", topic=message.topic)
            failed = _Outcome()
            failed.refuse(message, WireError("failed", type(error).__name__))
            await until_done(self._city, LANE, lambda: self._set_aside(failed))
            outcome = failed
        self._tell(outcome)

    async def _set_aside(self, outcome: _Outcome) -> None:
        async with self._city.database.write() as session:
            await set_aside(session, outcome.refusals, now_us=self._city.clock.now_us())

    async def _apply(self, messages: Sequence[Received]) -> _Outcome:
        """All messages in one transaction."""
        outcome = _Outcome()
        judged = [
            (message, uplink)
            for message in messages
            if (uplink := self._judge(message, outcome)) is not None
        ]
        if not judged and not outcome.refusals:
            return outcome
        async with self._city.database.write() as session:
            known = await sites.known_sites(session, {uplink.site for _, uplink in judged})
            for alone, part in _parts(judged):
                if not alone:
                    await self._apply_alarms(session, part, outcome, known)
                    continue
                for message, uplink in part:
                    try:
                        await self._apply_one(session, uplink, outcome, known)
                    except WireError as error:
                        outcome.refuse(message, error)
            if outcome.refusals:
                await set_aside(session, outcome.refusals, now_us=self._city.clock.now_us())
        return outcome

    async def _apply_alarms(
        self, session: AsyncSession, part: Sequence[_Judged], outcome: _Outcome, known: set[str]
    ) -> None:
        """Events of alarms that followed each other, together."""
        now_us = self._city.clock.now_us()
        heard = [(message, event) for message, event in part if isinstance(event, Event)]
        owners = await sites.owners(session, [_alarm(event).detector for _, event in heard])
        told = []
        for message, event in heard:
            detector = _alarm(event).detector
            if owners.get(detector, event.site) != event.site:
                outcome.refuse(message, sites.of_another(detector))
            elif await self._knows(session, event.site, known, now_us):
                told.append(event)
        results = await apply_alarms(
            session, [_said(event) for event in told], now_us=now_us, policy=self._city.policy
        )
        newest: dict[tuple[str, str], int] = {}
        for event in told:
            key = (event.site, event.epoch)
            newest[key] = max(newest.get(key, 0), event.seq)
        await sites.ensure_epochs(session, newest, now_us=now_us)
        for event, applied in zip(told, results, strict=True):
            _note_applied(outcome, applied, event.site)
            outcome.events += 1
            outcome.acks.stored(event.site, event.epoch, event.seq)
            if _alarm(event).members:
                await hearing.apply_loss(session, event.site, _alarm(event), event.at_us)

    async def _knows(self, session: AsyncSession, site: str, known: set[str], now_us: int) -> bool:
        """Whether the register knows the site, now; ``known`` remembers it for this transaction."""
        if site in known:
            return True
        accept = self._city.settings.accept_unknown_sites
        if await sites.ensure_site(session, site, accept=accept, now_us=now_us):
            known.add(site)
            return True
        # no answer: the edge keeps it until somebody enters the site in the register
        self._city.metrics.refused.labels("unknown_site").inc()
        return False

    def _judge(self, message: Received, outcome: _Outcome) -> Uplink | None:
        try:
            uplink = _decode(message)
        except WireError as error:
            outcome.refuse(message, error)
            return None
        if message.retained and not isinstance(uplink, Status):
            # last-known state of a broker: it raises nothing, and its edge sends what is real
            self._city.metrics.refused.labels("retained").inc()
            return None
        return uplink

    async def _apply_one(
        self, session: AsyncSession, uplink: Uplink, outcome: _Outcome, known: set[str]
    ) -> None:
        """Raises ``WireError`` before it has changed anything."""
        now_us = self._city.clock.now_us()
        if not await self._knows(session, uplink.site, known, now_us):
            return
        if isinstance(uplink, Event):
            await self._apply_event(session, uplink, outcome, now_us)
        elif isinstance(uplink, Snapshot):
            await self._apply_snapshot(session, uplink, outcome, now_us)
        elif isinstance(uplink, Heartbeat):
            await self._apply_heartbeat(session, uplink, outcome, now_us)
        elif isinstance(uplink, Status):
            if await sites.apply_status(session, uplink, now_us=now_us):
                outcome.live.append(("site", {"site": uplink.site, "state": uplink.state}))
        else:
            log.info("command.result", site=uplink.site, command=uplink.id, ok=uplink.ok)
            trial = await trials.answered(
                session, uplink.site, uplink.id, uplink.ok, uplink.detail, now_us
            )
            if trial is not None:
                outcome.live.append(("detector", {"site": uplink.site, "detector": trial.detector_id}))

    async def _apply_event(
        self, session: AsyncSession, event: Event, outcome: _Outcome, now_us: int
    ) -> None:
        """An event of anything but an alarm."""
        parts = (event.alarm, event.device, event.note, event.camera)
        said = [part for part in parts if part is not None]
        if len(said) != 1:
            raise WireError(
                "inconsistent", f"{len(said)} of alarm, device, note and camera; expected one"
            )
        if event.device is not None:
            if await sites.apply_device(session, event.site, event.device, now_us=now_us):
                outcome.live.append(
                    ("detector", {"site": event.site, "detector": event.device.detector})
                )
        elif event.camera is not None:
            if await hearing.apply_camera(session, self._city.keyring, event):
                fact = event.camera
                outcome.live.append(
                    ("site", {"site": event.site, "camera": fact.camera, "summary": fact.summary})
                )
        else:
            await self._apply_note(session, event, outcome, now_us)
        epoch = await sites.ensure_epoch(session, event.site, event.epoch, now_us=now_us)
        epoch.newest_event = max(epoch.newest_event, event.seq)
        outcome.events += 1
        outcome.acks.stored(event.site, event.epoch, event.seq)

    async def _apply_note(
        self, session: AsyncSession, event: Event, outcome: _Outcome, now_us: int
    ) -> None:
        if await sites.apply_note(session, event) and event.note:
            await areas.note_mains(session, event.site, event.note)
            applied = await incidents.site_event(
                session, event.site, event.note[:60], now_us, policy=self._city.policy
            )
            _note_applied(outcome, applied, event.site)
            outcome.live.append(("site", {"site": event.site, "note": event.note[:60]}))

    async def _apply_snapshot(
        self, session: AsyncSession, snapshot: Snapshot, outcome: _Outcome, now_us: int
    ) -> None:
        detectors = [alarm.detector for alarm in snapshot.active]
        await sites.check_owners(session, snapshot.site, detectors)
        epoch = await sites.ensure_epoch(session, snapshot.site, snapshot.epoch, now_us=now_us)
        whole = snapshot.completes(self._city.store_id)
        new_epoch = epoch.snapshot_us is None and await sites.is_newest_epoch(session, epoch)
        results = await listed.apply_snapshot(
            session,
            snapshot=snapshot,
            now_us=now_us,
            new_epoch=new_epoch,
            whole=whole,
            policy=self._city.policy,
        )
        if whole and epoch.snapshot_us is None:
            epoch.snapshot_us = now_us
        for applied in results:
            _note_applied(outcome, applied, snapshot.site)
        outcome.snapshots += 1
        outcome.acks.snapshot(snapshot.site, snapshot.epoch, snapshot.nonce, epoch.newest_event)

    async def _apply_heartbeat(
        self, session: AsyncSession, pulse: Heartbeat, outcome: _Outcome, now_us: int
    ) -> None:
        before = await sites.apply_heartbeat(session, pulse, now_us=now_us)
        outcome.pulses.append(pulse)
        if before == "silent":
            applied = await incidents.site_event(
                session, pulse.site, "back", now_us, policy=self._city.policy
            )
            _note_applied(outcome, applied, pulse.site)
        if before != "online":
            outcome.live.append(("site", {"site": pulse.site, "state": "online"}))
        site = await session.get(Site, pulse.site)
        if site is not None and site.config_version != pulse.config_version:
            outcome.stale_configs.append(pulse.site)

    def _tell(self, outcome: _Outcome) -> None:
        """After the commit: acknowledge, count, show, wake."""
        metrics = self._city.metrics
        sent, unsent = outcome.acks.send(self._publish, self._city.store_id)
        metrics.acknowledgements.labels(LANE).inc(sent)
        metrics.unsent.inc(unsent)
        metrics.events_applied.inc(outcome.events)
        metrics.snapshots_applied.inc(outcome.snapshots)
        for refusal in outcome.refusals:
            metrics.refused.labels(refusal.reason).inc()
        for pulse in outcome.pulses:
            self._count_pulse(pulse)
        if outcome.notified:
            self._city.wake_alerts()
        for topic, data in outcome.live:
            self._city.hub.publish(topic, data)
        if outcome.stale_configs:
            self.stale_configs.update(outcome.stale_configs)
            self._city.wake_configs()

    def _count_pulse(self, pulse: Heartbeat) -> None:
        metrics = self._city.metrics
        for what, gauge in (("refused", metrics.edge_refused), ("repaired", metrics.edge_repaired)):
            known: Counter[str] = Counter()
            for reason, count in pulse.counters.get(what, {}).items():
                known[reason if reason in _EDGE_WORDS else "other"] += count
            for reason, count in known.items():
                gauge.labels(pulse.site, reason).set(count)
        metrics.edge_queued.labels(pulse.site, "events").set(pulse.queued_events)
        metrics.edge_queued.labels(pulse.site, "readings").set(pulse.queued_readings)


def _parts(judged: Iterable[_Judged]) -> Iterator[tuple[bool, list[_Judged]]]:
    """The messages in their order; those about alarms that follow each other are one part."""
    for alone, part in groupby(judged, lambda one: not _is_alarm(one[1])):
        yield alone, list(part)


def _is_alarm(uplink: Uplink) -> bool:
    return (
        isinstance(uplink, Event)
        and uplink.alarm is not None
        and all(part is None for part in (uplink.device, uplink.note, uplink.camera))
    )


def _alarm(event: Event) -> Alarm:
    assert event.alarm is not None
    return event.alarm


def _said(event: Event) -> Said:
    return Said(
        event.site, event.epoch, _alarm(event), event.transition, event.age_ms, event.clock_synced
    )


def _note_applied(outcome: _Outcome, applied: Applied, site: str) -> None:
    outcome.notified += applied.notified
    if applied.changed and applied.incident_id is not None:
        outcome.live.append(
            ("incident", {"incident": applied.incident_id, "site": site, "opened": applied.opened})
        )


def _decode(message: Received) -> Uplink:
    """The message, of its topic's site. Raises ``WireError``."""
    site, leaf = site_of(message.topic)
    if leaf not in _KINDS:
        raise WireError("unknown_topic", message.topic[:200])
    if not message.payload:
        raise WireError("empty", "no payload")
    uplink: Uplink = decode(message.payload, _KINDS[leaf])
    if uplink.site != site:
        raise WireError("site_mismatch", f"site {uplink.site!r} on the topic of {site!r}")
    return uplink


def _key_of(message: Received) -> tuple[str, str, int] | None:
    """(site, epoch, seq) of an event that cannot be used; None for anything else."""
    try:
        site, leaf = site_of(message.topic)
        if leaf != "event":
            return None
        key = msgspec.json.decode(message.payload, type=_Key)
    except (WireError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not 0 < len(key.epoch) <= 64 or not 0 < key.seq <= 2**62:
        return None
    return site, key.epoch, key.seq
