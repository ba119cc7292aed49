"""A whole khoroo at once: its silence or its power cut is one incident that names its cause."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from alerts import explain
from alerts.models import Delivery, Incident, Notification
from edge.wire.clock import EARLIEST_US, ManualClock
from edge.wire.messages import Event
from gateway.city import City
from gateway.ingest.events import EventLane
from gateway.settings import load_settings
from gateway.supervise import Supervisor
from registry.households import ChannelEntry, ContactEntry, add_on_duty
from registry.models import Site as SiteRow
from tests.gateway.conftest import Sent, Site
from tests.gateway.test_gateway_ingest import event_of, pulse_of
from tests.made import open_made_city

NOW_US = EARLIEST_US + 200_000_000_000_000
KHOROO, OTHER = "111664", "111651"


class Khoroo:
    """Six sites of one khoroo and four of another, and the watcher of them all."""

    def __init__(self, city: City, clock: ManualClock) -> None:
        self.city, self.clock = city, clock
        self.lane = EventLane(city, Sent())
        self.supervisor = Supervisor(city, lambda: NOW_US)
        self.here = [Site(f"here-{n}", clock.now_us) for n in range(6)]
        self.there = [Site(f"there-{n}", clock.now_us) for n in range(4)]

    async def begin(self) -> None:
        async with self.city.database.write() as session:
            entry = ContactEntry("Жижүүр", channels=(ChannelEntry("email", "duty@example.org"),))
            await add_on_duty(session, self.city.keyring, "duty", KHOROO, entry)
        await self.pulse([*self.here, *self.there])
        async with self.city.database.write() as session:
            for sites, code in ((self.here, KHOROO), (self.there, OTHER)):
                names = [site.name for site in sites]
                await session.execute(
                    update(SiteRow).where(SiteRow.id.in_(names)).values(unit_code=code)
                )

    async def pulse(self, sites: list[Site]) -> None:
        await self.lane.process([pulse_of(site) for site in sites])

    async def says(self, sites: list[Site], note: str) -> None:
        for site in sites:
            site.seq += 1
            await self.lane.process([event_of(site, site.seq, transition="update", note=note)])

    async def pass_with(self, sites: list[Site], seconds: int = 200) -> None:
        """Time goes by in which only these are heard."""
        for _ in range(seconds // 40):
            self.clock.advance(timedelta(seconds=40))
            await self.pulse(sites)
            await self.supervisor.look()

    async def incidents(self) -> list[Incident]:
        async with self.city.database.read() as session:
            return list(await session.scalars(select(Incident).order_by(Incident.opened_us)))


@pytest.fixture
async def khoroo(tmp_path: Path) -> AsyncIterator[Khoroo]:
    clock = ManualClock(NOW_US)
    settings = load_settings(
        data_dir=tmp_path, site_silent_after_s=180.0, city_suspects_itself_at_least=50
    )
    async with open_made_city(settings) as city:
        city.clock = clock
        found = Khoroo(city, clock)
        await found.begin()
        yield found


async def test_a_khoroo_that_falls_silent_is_one_incident_told_to_its_duty(khoroo: Khoroo) -> None:
    await khoroo.pass_with(khoroo.there)
    (incident,) = await khoroo.incidents()
    assert (incident.subject_kind, incident.subject_id) == ("unit", KHOROO)
    assert incident.summary == "area_silent"
    async with khoroo.city.database.read() as session:
        story = await explain.timeline(session, incident.id)
        told = (await session.scalars(select(Notification))).all()
        assert len((await session.scalars(select(Delivery))).all()) == 1
    assert [one.message for one in told] == ["area_silent"]
    opened = next(line for line in story if line.what == "opened")
    assert opened.detail["cause"] == "area_silent" and opened.detail["sites"] == 6

    await khoroo.pass_with([*khoroo.there, *khoroo.here])
    (incident,) = await khoroo.incidents()
    assert (incident.state, incident.open_key) == ("all_clear", None)


async def test_those_left_behind_get_an_incident_of_their_own(khoroo: Khoroo) -> None:
    await khoroo.pass_with(khoroo.there)
    await khoroo.pass_with([*khoroo.there, *khoroo.here[:5]])
    area, alone = await khoroo.incidents()
    assert (area.state, alone.state) == ("all_clear", "opened")
    assert (alone.subject_kind, alone.subject_id) == ("site", "here-5")


async def test_two_sites_of_six_are_told_each_by_itself(khoroo: Khoroo) -> None:
    await khoroo.pass_with([*khoroo.there, *khoroo.here[2:]])
    assert {one.subject_id for one in await khoroo.incidents()} == {"here-0", "here-1"}


async def test_sites_that_were_dead_before_do_not_make_a_khoroo_silent(khoroo: Khoroo) -> None:
    await khoroo.pass_with([*khoroo.there, *khoroo.here[2:]])
    await khoroo.pass_with([*khoroo.there, *khoroo.here[3:]], 400)
    assert {one.subject_kind for one in await khoroo.incidents()} == {"site"}


async def test_a_power_cut_names_itself_before_anybody_falls_silent(khoroo: Khoroo) -> None:
    await khoroo.pass_with([*khoroo.there, *khoroo.here])
    await khoroo.says(khoroo.here[:4], "mains_lost")
    await khoroo.supervisor.look()
    (incident,) = await khoroo.incidents()
    assert (incident.subject_id, incident.summary) == (KHOROO, "power_cut")
    await khoroo.pass_with(khoroo.there)  # their batteries are empty: still the same incident
    assert len(await khoroo.incidents()) == 1
    await khoroo.says(khoroo.here[:4], "mains_back")
    await khoroo.pass_with([*khoroo.there, *khoroo.here])
    (incident,) = await khoroo.incidents()
    assert incident.state == "all_clear"


def test_the_note_is_one_that_a_site_can_say() -> None:
    assert "note" in Event.__struct_fields__
