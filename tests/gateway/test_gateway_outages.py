"""Two workers on one PostgreSQL, and servers killed under load: edges wait, nothing lost or doubled.

The edge here repeats what is not acknowledged, as a real one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
from sqlalchemy import func, select

from alerts.models import AlarmRecord, Delivery, Incident, Notification
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import Alarm, Snapshot, encode
from gateway.city import City
from gateway.ingest import patience
from gateway.ingest.inbox import Received
from gateway.settings import load_settings
from registry.models import Contact, ContactChannel, Detector, Household
from registry.models import Site as SiteRow
from tests.gateway.conftest import Site
from tests.gateway.test_gateway_ingest import alarm_of, event_of
from tests.gateway.test_gateway_worker import Edge, edge_at, url_of, working
from tests.servers import missing, until
from utaa.postgres import Postgres
from utaa.servers import Influx

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

ALL = {"from_us": 0, "to_us": 2**53}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_LONGEST_PAUSE_S", 0.3)


async def homes(city: City, site: str, count: int) -> list[str]:
    """So many households with a contact by mail and a detector each; the detectors."""
    detectors = []
    async with city.database.write() as session:
        session.add(SiteRow(id=site, created_us=0))
        await session.flush()
        for number in range(count):
            household, contact = new_id(), new_id()
            detectors.append(detector_id(site, "native", f"d{number}"))
            session.add(Household(id=household, label=f"h{number}", site_id=site, created_us=0))
            await session.flush()
            session.add(Contact(id=contact, household_id=household, language="mn", position=1,
                                name=city.keyring.seal("Жишээ", "contact.name")))  # fmt: skip
            await session.flush()
            session.add(
                ContactChannel(
                    contact_id=contact, channel="email", address_fingerprint=f"{number:064}",
                    address=city.keyring.seal(f"h{number}@example.org", "contact_channel.address"),
                )
            )  # fmt: skip
            session.add(
                Detector(id=detectors[-1], site_id=site, source="native", address=f"d{number}",
                         household_id=household)
            )  # fmt: skip
    return detectors


async def nobody_is_told_twice(city: City, incidents: int) -> None:
    async with city.database.read() as session:
        found = list(await session.scalars(select(Incident)))
        assert len(found) == incidents
        assert max(Counter((one.subject_id, one.hazard) for one in found).values()) == 1
        told = await session.execute(
            select(Notification.contact_id, Notification.message, func.count(Delivery.id))
            .join(Delivery, Delivery.notification_id == Notification.id)
            .group_by(Notification.contact_id, Notification.message)
        )
        assert {(message, count) for _, message, count in told} == {("fire", 1)}


def next_of(alarm: Alarm, **fields: Any) -> Alarm:
    return msgspec.structs.replace(alarm, revision=alarm.revision + 1, **fields)


def snapshot_of(site: Site, alarms: list[Alarm]) -> Received:
    said = Snapshot(
        site=site.name, epoch=site.epoch, nonce=new_id(), at_us=1_790_000_000_000_000, last_seq=0,
        active=alarms,
    )  # fmt: skip
    return Received(f"utaa/v1/site/{site.name}/snapshot", encode(said), False)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_two_workers_that_share_one_sites_messages_double_nothing(
    own_mosquitto: Callable[..., Any], tmp_path: Path, postgres_url: str, seed: int
) -> None:
    broker, chance = await own_mosquitto(), random.Random(seed)
    settings = load_settings(
        data_dir=tmp_path / "city", broker_url=url_of(broker), database_url=postgres_url
    )
    async with working(settings) as (city, _), working(settings) as (other, _):
        detectors = await homes(city, "site-1", 15)
        site = Site("site-1", city.clock.now_us)
        alarms = [alarm_of(one, kind=kind) for one in detectors for kind in ("smoke", "heat")]
        messages = [snapshot_of(site, chance.sample(alarms, 10)) for _ in range(3)]
        for number, alarm in enumerate(alarms):
            raised = event_of(site, 2 * number + 1, alarm=alarm)
            updated = event_of(
                site, 2 * number + 2, transition="update", alarm=next_of(alarm, peak={"x": 1.0})
            )
            messages += [raised, raised, updated, updated]
        chance.shuffle(messages)
        async with edge_at(broker.port, site) as edge:
            for message in messages:
                await edge.client.publish(message.topic, message.payload, qos=1)
            seqs = set(range(1, 2 * len(alarms) + 1))
            await until(lambda: edge.stored("events") == seqs, "every event acknowledged", 60)
        shares = [
            one.metrics.registry.get_sample_value("utaa_ingest_events_applied_total") or 0
            for one in (city, other)
        ]
        assert min(shares) > 0, "both worked"
        await nobody_is_told_twice(city, incidents=15)
        async with city.database.read() as session:
            records = list(await session.scalars(select(AlarmRecord)))
        assert sorted(one.id for one in records) == sorted(one.id for one in alarms)
        assert {one.revision for one in records} == {2}


@asynccontextmanager
async def repeating(edge: Edge, waiting: dict[tuple[str, int], Received]) -> AsyncIterator[None]:
    """Send what is not acknowledged again and again."""

    async def repeat() -> None:
        while True:
            for (lane, seq), message in list(waiting.items()):
                if seq in edge.stored(lane):
                    del waiting[lane, seq]
                else:
                    with contextlib.suppress(aiomqtt.MqttError):
                        await edge.client.publish(message.topic, message.payload, qos=1)
            await asyncio.sleep(0.3)

    task = asyncio.create_task(repeat())
    yield
    task.cancel()


async def test_servers_killed_under_load_delay_what_needs_them_and_lose_nothing(
    own_mosquitto: Callable[..., Any], tmp_path: Path
) -> None:
    if Postgres.program("initdb") is None:
        missing("PostgreSQL is not installed: sudo apt-get install postgresql")
    if problem := Influx.why_not():
        missing(problem)
    broker, postgres, influx = await own_mosquitto(), Postgres(), Influx(tmp_path / "influx")
    await postgres.start()
    await influx.start()
    await postgres.execute("CREATE DATABASE city")
    settings = load_settings(
        data_dir=tmp_path / "city", broker_url=url_of(broker), influx_url=influx.url,
        database_url=postgres.address("city"),
    )  # fmt: skip
    try:
        async with working(settings) as (city, worker):
            detectors = await homes(city, "site-1", 6)
            site = Site("site-1", city.clock.now_us)
            waiting: dict[tuple[str, int], Received] = {}
            rows = 0

            def say(readings: int, alarm: int | None = None) -> tuple[int, int]:
                """A frame, and perhaps the alarm of that detector; their numbers."""
                nonlocal rows
                frame = site.frame(site.readings(detectors[0], readings, co_ppm=float(site.seq)))
                waiting["frames", site.seq] = frame
                rows += readings
                if alarm is not None:
                    number = alarm + 1
                    waiting["events", number] = event_of(site, number, alarm=alarm_of(detectors[alarm]))
                return site.seq, (alarm or 0) + 1

            async with edge_at(broker.port, site) as edge, repeating(edge, waiting):
                frame, event = say(50, alarm=0)
                await until(lambda: frame in edge.stored("frames"), "stored with all servers there")
                await until(lambda: event in edge.stored("events"), "the alarm, too")

                await postgres.kill()
                frame, late = say(40, alarm=1)
                await until(lambda: frame in edge.stored("frames"), "a reading needs no database", 40)
                await until(lambda: "ingest events" in city.troubles, "the alarm waits for it", 40)
                assert late not in edge.stored("events")
                assert worker.listening_since_us is None or await until(
                    lambda: worker.listening_since_us is None, "deadlines stand still"
                )
                await postgres.start()
                await until(lambda: late in edge.stored("events"), "the alarm is in", 40)

                await influx.kill()
                frame, event = say(30, alarm=2)
                await until(lambda: event in edge.stored("events"), "an alarm needs no readings", 40)
                assert frame not in edge.stored("frames")
                await influx.start()
                await until(lambda: frame in edge.stored("frames"), "the reading is in", 40)
                await until(lambda: not waiting, "nothing waits any more", 40)
            await nobody_is_told_twice(city, incidents=3)
            times = {
                reading
                for page in [await city.readings.rows(detectors[0], **ALL, limit=1000)]
                for reading in page.times_us.tolist()
            }
            assert await city.readings.count(detectors[0], **ALL) == len(times) == rows
    finally:
        await influx.stop()
        await postgres.stop()
