"""What waited long: the link lets the city know what is over before it sends an old raise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.link import BrokerAddress, Ears, Link
from edge.link.link import YOUNG_MS
from edge.spool import ActiveAlarm, Batch, Draft, Spool
from edge.wire.clock import US_PER_S, ManualClock
from edge.wire.messages import Alarm, AlarmKind, Heartbeat, Transition
from tests.edge.conftest import City
from tests.servers import until

NOW_US = 1_790_000_000 * US_PER_S
#: A message without an answer is sent again this soon here (real seconds).
QUICK_S = 0.3


class Site:
    """A link over a spool of its own, on a clock that moves when told to."""

    def __init__(self, city: City, port: int, folder: Path) -> None:
        self.clock = ManualClock(NOW_US)
        self.clock.advance(timedelta(days=1))
        self.city = city
        self.spool = Spool(
            folder / "spool.db", site=city.site, boot="b", clock=self.clock, quota_bytes=64 << 20
        )
        self.link = Link(
            site=city.site, boot="b", broker=BrokerAddress(host="127.0.0.1", port=port),
            spool=self.spool, clock=self.clock, heartbeat_s=0.5,
            ears=Ears(
                heartbeat=self._heartbeat, config=lambda _: None, command=lambda _: None,
                rejected=lambda _: None, synced=lambda: True,
            ),
        )  # fmt: skip

        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.link.run(), name="link")

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            site=self.city.site, epoch=self.spool.epoch, boot="b", at_us=self.clock.now_us(),
            uptime_s=1, clock_synced=True, config_version=0, detectors=0, queued_events=0,
            queued_readings=0, spool_bytes=0,
        )  # fmt: skip

    def say(
        self, transition: Transition, *, kind: AlarmKind = "smoke", ident: str = "a", ago_s: int = 0
    ) -> int:
        """Commit an event of so long ago; its sequence."""
        at_us = self.clock.now_us() - ago_s * US_PER_S
        mono_us = self.clock.monotonic_us() - ago_s * US_PER_S
        alarm = Alarm(
            id=ident, kind=kind, detector=f"d-{ident}", raised_us=at_us,
            revision=1 if transition == "raise" else 2, reason="told",
            cleared_us=at_us if transition == "clear" else None,
        )  # fmt: skip
        active = ActiveAlarm(alarm=alarm, mono_us=mono_us, boot="b")
        self.spool.commit(
            Batch(
                drafts=[Draft(transition=transition, at_us=at_us, mono_us=mono_us, alarm=alarm)],
                active={(alarm.detector, kind): None if transition == "clear" else active},
            )
        )
        self.link.wake(events=True, frames=False)
        return self.spool.last_event_seq

    def arrived(self) -> list[int]:
        return [seq for lane, _, seq in self.city.arrivals if lane == "events"]

    async def two_heartbeats(self) -> None:
        """Whatever was sent before has arrived then: the connection keeps the order."""
        heard = len(self.city.heartbeats)
        await until(lambda: len(self.city.heartbeats) >= heard + 2, "two heartbeats")


@pytest.fixture
async def site(
    broker: Any, city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """A site whose link runs from ``start`` to the end of the test."""
    monkeypatch.setattr("edge.link.window.RESEND_AFTER_S", QUICK_S)
    site = Site(city, broker.port, tmp_path)
    yield site
    site.link.stop()
    if site.running is not None:
        await site.running
    site.spool.close()


async def test_old_events_wait_for_the_answer_to_the_snapshot_and_young_ones_do_not(
    site: Site, city: City
) -> None:
    city.answers_snapshots = False
    raised = site.say("raise", ago_s=3600)
    cleared = site.say("clear", ago_s=3000)
    doubtful = site.say("raise", ident="b", ago_s=YOUNG_MS // 1000)
    young = site.say("raise", kind="low_battery", ident="c", ago_s=YOUNG_MS // 1000 - 60)
    site.start()
    await until(lambda: young in site.arrived(), "the young event")
    await site.two_heartbeats()
    assert site.arrived() == [young]
    await city.answer_snapshots()
    await until(lambda: {raised, cleared, doubtful} <= set(site.arrived()), "the old ones")


async def test_an_event_that_grew_old_without_an_answer_waits_for_a_newer_snapshot(
    site: Site, city: City
) -> None:
    site.start()
    await until(lambda: site.spool.store == city.store, "the first snapshot is answered")
    city.answers = False
    raised = site.say("raise")
    await until(lambda: raised in site.arrived(), "it is sent while it is young")
    site.clock.advance(timedelta(minutes=10))
    await until(lambda: ("snapshot", site.spool.epoch, raised) in city.arrivals, "a newer snapshot")
    city.arrivals.clear()
    await site.two_heartbeats()
    assert site.arrived() == []
    await city.answer_snapshots()
    await until(lambda: raised in site.arrived(), "the raise again")
    assert city.snapshots[-1].active[0].id == "a"


async def test_another_store_has_the_snapshot_before_any_old_event_comes_again(
    site: Site, city: City
) -> None:
    site.start()
    raised = site.say("raise")
    cleared = site.say("clear")
    await until(lambda: site.spool.queued().events == 0, "the first store has both")
    site.clock.advance(timedelta(minutes=10))
    city.arrivals.clear()
    city.store, city.answers_snapshots = "store-2", False
    young = site.say("raise", ident="b")
    await until(lambda: site.spool.store == "store-2", "the other store has answered")
    await until(lambda: ("snapshot", site.spool.epoch, young) in city.arrivals, "a new snapshot")
    await site.two_heartbeats()
    assert site.arrived() == [young]
    await city.answer_snapshots()
    await until(lambda: {raised, cleared} <= set(site.arrived()), "what the former store had")
    await until(lambda: site.spool.queued().events == 0, "everything is answered")
