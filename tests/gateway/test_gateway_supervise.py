"""A site that is not heard is one event about the site, while the city was listening."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from alerts.incidents import CITY
from alerts.models import Incident
from edge.wire.clock import EARLIEST_US, ManualClock
from gateway.city import City
from gateway.ingest.events import EventLane
from gateway.models import SiteState
from gateway.settings import load_settings
from gateway.supervise import Supervisor
from tests.gateway.conftest import Sent, Site
from tests.gateway.test_gateway_ingest import pulse_of
from tests.made import open_made_city

NOW_US = EARLIEST_US + 200_000_000_000_000
SILENCE = timedelta(seconds=181)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_US)


@pytest.fixture
async def city(tmp_path: Path, clock: ManualClock) -> AsyncIterator[City]:
    async with open_made_city(load_settings(data_dir=tmp_path, site_silent_after_s=180.0)) as opened:
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


async def test_sites_that_fall_silent_one_by_one_are_told_in_parts(
    tmp_path: Path, clock: ManualClock, sent: Sent
) -> None:
    settings = load_settings(data_dir=tmp_path, city_suspects_itself_share=1.0)
    async with open_made_city(settings) as city:
        city.clock = clock
        lane = EventLane(city, sent)
        await lane.process([pulse_of(Site(f"site-{n}", clock.now_us)) for n in range(60)])
        clock.advance(SILENCE)
        await lane.process([pulse_of(Site("another", clock.now_us))])
        supervisor = Supervisor(city, lambda: NOW_US)
        assert [await supervisor.look() for _ in range(3)] == [50, 10, 0]
        assert len(await incidents(city)) == 60


async def pulses(lane: EventLane, sites: list[Site]) -> None:
    for start in range(0, len(sites), 50):
        await lane.process([pulse_of(site) for site in sites[start : start + 50]])


async def test_many_sites_silent_at_once_are_one_incident_of_the_city(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    lane, supervisor = EventLane(city, sent), Supervisor(city, lambda: NOW_US)
    sites = [Site(f"site-{n:03}", clock.now_us) for n in range(100)]
    away = sites[:40]
    for part in range(6):  # pulses come spread over their interval, as in life
        await pulses(lane, sites[part::6])
        clock.advance(timedelta(seconds=5))
    for _ in range(4):
        clock.advance(timedelta(seconds=40))
        await pulses(lane, sites[40:])
        assert await supervisor.look() == 0
    (incident,) = await incidents(city)
    assert (incident.subject_kind, incident.hazard, incident.site_id) == ("city", "site", CITY)
    assert {await state_of(city, site.name) for site in away} == {"online"}

    # most come back, a few seconds after each other; nobody is called silent on the way
    for start in range(0, 38, 10):
        await pulses(lane, away[start : min(start + 10, 38)])
        clock.advance(timedelta(seconds=5))
        assert await supervisor.look() == 0
    (incident,) = await incidents(city)
    assert incident.state == "all_clear"

    # the two that are really gone are told, after their full time
    for _ in range(4):
        clock.advance(timedelta(seconds=40))
        await pulses(lane, [*away[:38], *sites[40:]])
        assert await supervisor.look() == 0
    clock.advance(timedelta(seconds=25))
    assert await supervisor.look() == 2
    assert {one.subject_id for one in await incidents(city)} == {CITY, "site-038", "site-039"}


async def test_a_few_silent_sites_are_told_each_by_itself(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    lane, supervisor = EventLane(city, sent), Supervisor(city, lambda: NOW_US)
    await pulses(lane, [Site(f"site-{n}", clock.now_us) for n in range(4)])
    clock.advance(SILENCE)
    assert await supervisor.look() == 4


async def test_one_of_several_processes_watches_and_another_takes_over_when_it_is_gone(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    first, second = (Supervisor(city, lambda: NOW_US) for _ in range(2))
    await EventLane(city, sent).process([pulse_of(Site("site-1", clock.now_us))])
    await first.look()
    clock.advance(SILENCE - timedelta(seconds=10))
    await first.look()
    clock.advance(timedelta(seconds=11))
    assert await second.look() == 0
    clock.advance(timedelta(seconds=15))  # the first is dead: its lease runs out
    assert await second.look() == 1
    assert await first.look() == 0
    await second._release()
    await EventLane(city, sent).process([pulse_of(Site("site-1", clock.now_us))])
    clock.advance(SILENCE)
    assert await first.look() == 1


async def test_a_process_that_hears_nothing_leaves_the_watch_to_another(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    deaf, hearing = Supervisor(city, lambda: None), Supervisor(city, lambda: NOW_US)
    await EventLane(city, sent).process([pulse_of(Site("site-1", clock.now_us))])
    clock.advance(SILENCE)
    assert await deaf.look() == 0
    assert await hearing.look() == 1
