"""The ingest worker on a real broker, with SQLite and with PostgreSQL and InfluxDB."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from sqlalchemy import select, update

from alerts.models import AlarmRecord, Incident
from edge.wire.messages import Ack, Config, decode
from gateway.city import City
from gateway.doctor import city_report
from gateway.ingest import patience
from gateway.ingest.inbox import BrokerAddress, BrokerUnavailable, Inbox
from gateway.ingest.worker import IngestWorker
from gateway.models import LatestReading
from gateway.settings import GatewaySettings, load_settings
from gateway.stores.base import StoreUnavailable
from registry.models import Site as SiteRow
from tests.gateway.conftest import Site
from tests.gateway.test_gateway_ingest import alarm_of, event_of, pulse_of
from tests.made import open_made_city
from tests.servers import until

ALL = {"from_us": 0, "to_us": 2**53}


@asynccontextmanager
async def working(settings: GatewaySettings) -> AsyncIterator[tuple[City, IngestWorker]]:
    """A city with its ingest worker connected."""
    async with open_made_city(settings) as city:
        worker = IngestWorker(city)
        task = asyncio.create_task(worker.run())
        try:
            await worker.ready(10)
            yield city, worker
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


class Edge:
    """A site's link as far as these tests need one: it publishes and collects what comes back."""

    def __init__(self, client: aiomqtt.Client, site: Site) -> None:
        self.client = client
        self.site = site
        self.acks: list[Ack] = []
        self.configs: list[Config] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            payload = bytes(message.payload)
            if message.topic.value.endswith("/ack"):
                self.acks.append(decode(payload, Ack))
            else:
                self.configs.append(decode(payload, Config))

    def stored(self, lane: str) -> set[int]:
        return {
            seq
            for ack in self.acks
            if ack.lane == lane
            for first, last in ack.seqs
            for seq in range(first, last + 1)
        }


@asynccontextmanager
async def edge_at(port: int, site: Site) -> AsyncIterator[Edge]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe([(f"utaa/v1/site/{site.name}/{leaf}", 1) for leaf in ("ack", "config")])
        edge = Edge(client, site)
        task = asyncio.create_task(edge.listen())
        yield edge
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def url_of(server: Any) -> str:
    return f"mqtt://127.0.0.1:{server.port}"


@pytest.fixture(params=["sqlite", "postgresql and influxdb"])
def servers(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings of the two ways a city keeps what it has."""
    if request.param == "sqlite":
        return {}
    influx = request.getfixturevalue("influx_database")
    return {
        "database_url": request.getfixturevalue("postgres_url"),
        "influx_url": influx.url,
        "influx_bucket": influx.database,
    }


async def test_frames_and_events_are_stored_and_acknowledged(
    own_mosquitto: Callable[..., Any], tmp_path: Path, servers: dict[str, str]
) -> None:
    broker = await own_mosquitto()
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker), **servers)
    async with working(settings) as (city, _worker):
        site = Site("site-1", city.clock.now_us)
        async with edge_at(broker.port, site) as edge:
            readings = site.readings("d1", 600, co_ppm=3.25)
            for start in range(0, 600, 200):
                frame = site.frame(readings[start : start + 200])
                await edge.client.publish(frame.topic, frame.payload, qos=1)
            event = event_of(site, 1, alarm=alarm_of("d1"))
            for message in (event, event, pulse_of(site, config_version=0)):
                await edge.client.publish(message.topic, message.payload, qos=1)
            await edge.client.publish("utaa/v1/site/site-1/frame", b"garbage", qos=1)
            await until(lambda: edge.stored("frames") == {1, 2, 3}, "three frames acknowledged")
            await until(lambda: edge.stored("events") == {1}, "the event acknowledged")
            await until(lambda: edge.configs, "the configuration published")
        rows = await city.readings.rows("d1", **ALL, limit=1000)
        assert rows.times_us.tolist() == [reading.time_us for reading in readings]
        assert set(rows.columns["co_ppm"].tolist()) == {3.25}

        async def shown_us() -> bool:
            async with city.database.read() as session:
                latest = await session.get(LatestReading, "d1")
                return latest is not None and latest.time_us == readings[-1].time_us

        await until(shown_us, "the newest reading shown")
        async with city.database.read() as session:
            assert len(list(await session.scalars(select(Incident)))) == 1
            assert len(list(await session.scalars(select(AlarmRecord)))) == 1
        report = await city_report(settings)
        assert report["ok"], report
        assert [entry["reason"] for entry in report["set_aside"]] == ["wrong_type"]
        assert report["set_aside"][0]["last"][0]["payload"] == "garbage"
        assert report["sites"]["by_state"] == {"online": 1}


async def test_a_changed_configuration_is_published_without_being_asked_for(
    own_mosquitto: Callable[..., Any], tmp_path: Path
) -> None:
    broker = await own_mosquitto()
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker))
    async with working(settings) as (city, worker):
        site = Site("site-1", city.clock.now_us)
        async with edge_at(broker.port, site) as edge:
            pulse = pulse_of(site)
            await edge.client.publish(pulse.topic, pulse.payload, qos=1)
            await until(lambda: worker.known_sites == 1, "the city knows the site")
            async with city.database.write() as session:
                await session.execute(update(SiteRow).values(config_version=7))
            city.wake_configs()
            await until(lambda: 7 in [one.version for one in edge.configs], "the new version published")


async def test_a_worker_whose_store_is_away_takes_no_more_than_its_bound_and_loses_nothing(
    own_mosquitto: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LONGEST_PAUSE_S", 0.1)
    broker = await own_mosquitto(settings={"max_inflight_messages": "20"})
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker))
    async with working(settings) as (city, worker):
        site = Site("site-1", city.clock.now_us)
        real = city.readings.write

        async def full(_frames: Any) -> Any:
            raise StoreUnavailable("disk is full")

        monkeypatch.setattr(city.readings, "write", full)
        async with edge_at(broker.port, site) as edge:
            for _ in range(300):
                frame = site.frame(site.readings("d1", 1))
                await edge.client.publish(frame.topic, frame.payload, qos=1)
            await until(lambda: "ingest frames" in city.troubles, "the lane says that it waits")
            event = event_of(site, 1, alarm=alarm_of("d1"))
            await edge.client.publish(event.topic, event.payload, qos=1)
            await until(lambda: edge.stored("events") == {1}, "the alarm goes through meanwhile")
            assert edge.stored("frames") == set()
            # mosquitto's window is 20 messages; what it reads in one go it lets out before it counts
            assert worker.frames_inbox.waiting <= 100
            monkeypatch.setattr(city.readings, "write", real)
            await until(lambda: len(edge.stored("frames")) == 300, "every frame acknowledged")
            assert worker.frames_inbox.overflowed == 0


async def test_a_broker_that_forgets_everything_is_connected_to_again(
    own_mosquitto: Callable[..., Any], tmp_path: Path
) -> None:
    broker = await own_mosquitto()
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker))
    async with working(settings) as (city, worker):
        await until(lambda: worker.listening_since_us is not None, "the worker listens")
        await broker.stop()
        await until(lambda: worker.listening_since_us is None, "the worker notices")
        assert city.troubles
        await broker.start()
        await worker.ready(30)
        await until(lambda: not city.troubles, "ready again")
        site = Site("site-1", city.clock.now_us)
        async with edge_at(broker.port, site) as edge:
            frame = site.frame(site.readings("d1", 5))
            await edge.client.publish(frame.topic, frame.payload, qos=1)
            await until(lambda: edge.stored("frames") == {1}, "the frame acknowledged")


async def test_a_pulse_that_cannot_be_written_down_is_not_listened_to(
    own_mosquitto: Callable[..., Any], tmp_path: Path
) -> None:
    broker = await own_mosquitto()
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker))
    async with working(settings) as (city, worker):
        before_us = await until(lambda: worker.listening_since_us, "the worker listens")
        city.health.set("ingest events", "waiting: the database is away")
        await until(lambda: worker.listening_since_us is None, "deadlines stand still")
        city.health.set("ingest events", None)
        after_us = await until(lambda: worker.listening_since_us, "the worker listens again")
        assert after_us > before_us  # every site has its full time again


async def test_two_workers_share_and_every_frame_is_acknowledged_once(
    own_mosquitto: Callable[..., Any], tmp_path: Path
) -> None:
    broker = await own_mosquitto()
    settings = load_settings(data_dir=tmp_path / "city", broker_url=url_of(broker))
    async with working(settings) as (city, _), working(settings) as (other, _):
        site = Site("site-1", city.clock.now_us)
        async with edge_at(broker.port, site) as edge:
            for n in range(40):
                frame = site.frame(site.readings(f"d{n}", 5))
                await edge.client.publish(frame.topic, frame.payload, qos=1)
            await until(lambda: len(edge.stored("frames")) == 40, "every frame acknowledged")
        assert await other.readings.count(None, **ALL) == 200
        acknowledged = [
            seq for ack in edge.acks for first, last in ack.seqs for seq in range(first, last + 1)
        ]
        assert sorted(acknowledged) == list(range(1, 41))


async def test_a_broker_without_shared_subscriptions_is_read_plainly(
    own_mosquitto: Callable[..., Any], tmp_path: Path
) -> None:
    broker = await own_mosquitto()
    settings = load_settings(
        data_dir=tmp_path / "city", broker_url=url_of(broker), shared_subscriptions=False
    )
    async with working(settings) as (city, _):
        site = Site("site-1", city.clock.now_us)
        async with edge_at(broker.port, site) as edge:
            frame = site.frame(site.readings("d1", 5))
            await edge.client.publish(frame.topic, frame.payload, qos=1)
            await until(lambda: edge.stored("frames") == {1}, "the frame acknowledged")


async def test_an_absent_broker_is_named_without_its_password(unused_tcp_port: int) -> None:
    address = BrokerAddress.parse(f"mqtt://user:secret@127.0.0.1:{unused_tcp_port}")
    inbox = Inbox(name="test", broker=address, filters=["x"])
    inbox.start()
    with pytest.raises(BrokerUnavailable, match=str(unused_tcp_port)) as caught:
        await inbox.ready(0.3)
    assert "secret" not in str(caught.value)
    await inbox.stop()


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://host", "mqtt://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected mqtt://"):
        BrokerAddress.parse(url)
