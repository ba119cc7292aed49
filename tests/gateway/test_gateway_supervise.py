"""A site that is not heard is one event about the site, while the city was listening."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from alerts.models import Incident
from edge.wire.clock import EARLIEST_US, ManualClock
from gateway.city import City, open_city
from gateway.ingest.events import EventLane
from gateway.models import SiteState
from gateway.settings import load_settings
from gateway.supervise import Supervisor
from tests.gateway.conftest import Sent, Site
from tests.gateway.test_gateway_ingest import pulse_of

NOW_US = EARLIEST_US + 200_000_000_000_000
SILENCE = timedelta(seconds=181)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_US)


@pytest.fixture
async def city(tmp_path: Path, clock: ManualClock) -> AsyncIterator[City]:
    async with open_city(load_settings(data_dir=tmp_path, site_silent_after_s=180.0)) as opened:
        opened.clock = clock
        yield opened


async def incidents(city: City) -> list[Incident]:
    async with city.database.read() as session:
        return list(await session.scalars(select(Incident)))


async def state_of(city: City, site: str) -> str:
    async with city.database.read() as session:
        row = await session.get(SiteState, site)
        assert row is not None
        return row.state


async def test_a_silent_site_is_one_incident_and_its_next_pulse_ends_it(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    lane = EventLane(city, sent)
    supervisor = Supervisor(city, lambda: NOW_US)
    site = Site("site-1", clock.now_us)
    await lane.process([pulse_of(site)])
    clock.advance(timedelta(seconds=179))
    assert await supervisor.look() == 0
    clock.advance(timedelta(seconds=2))
    assert await supervisor.look() == 1
    assert await supervisor.look() == 0
    (incident,) = await incidents(city)
    assert (incident.subject_kind, incident.subject_id, incident.hazard) == ("site", "site-1", "site")
    assert await state_of(city, "site-1") == "silent"
    await lane.process([pulse_of(site)])
    assert await state_of(city, "site-1") == "online"
    (incident,) = await incidents(city)
    assert incident.open_key is None
    clock.advance(SILENCE)
    assert await supervisor.look() == 1


async def test_silence_counts_only_while_the_city_listened(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    listening: list[int | None] = [None]
    supervisor = Supervisor(city, lambda: listening[0])
    await EventLane(city, sent).process([pulse_of(Site("site-1", clock.now_us))])
    clock.advance(timedelta(hours=5))
    assert await supervisor.look() == 0
    listening[0] = clock.now_us()
    clock.advance(timedelta(seconds=100))
    assert await supervisor.look() == 0
    clock.advance(timedelta(seconds=100))
    assert await supervisor.look() == 1


async def test_a_great_silence_is_told_in_parts(city: City, clock: ManualClock, sent: Sent) -> None:
    lane = EventLane(city, sent)
    await lane.process([pulse_of(Site(f"site-{n}", clock.now_us)) for n in range(60)])
    clock.advance(SILENCE)
    supervisor = Supervisor(city, lambda: NOW_US)
    assert [await supervisor.look() for _ in range(3)] == [50, 10, 0]
    assert len(await incidents(city)) == 60
