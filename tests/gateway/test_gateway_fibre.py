"""Losses become one incident that names the cut; planned work wakes nobody; fire is never taken."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from alerts import areas, incidents
from alerts.models import AlarmRecord, Incident, Notification
from edge.wire.clock import US_PER_S
from edge.wire.identity import new_id
from edge.wire.messages import Alarm, AlarmKind
from gateway.cameras.models import CameraHealth
from gateway.city import City
from gateway.fibre import works
from gateway.fibre.watch import FibreWatch
from gateway.models import SiteState
from registry.fibre.models import FibreAnomaly, FibreOutage, FibreWork
from registry.fibre.operations import operations_of
from registry.fibre.services import PlantKeeper
from registry.households import CHANNEL_ADDRESS, CONTACT_NAME
from registry.models import Contact, ContactChannel, Detector, Household, Site
from registry.rights import CONSOLE
from utaa import demo_fibre

BEHIND = [f"cam-2-{place}" for place in range(1, 9)]
BEFORE = [f"cam-1-{place}" for place in range(1, 9)]


class Street:
    """The demo's plant in a city of its own, and what its sites say."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.keeper = PlantKeeper()
        self.watch = FibreWatch(city, self.keeper)
        self.alarms: dict[str, Alarm] = {}
        self.epoch = new_id()

    async def build(self) -> None:
        now_us = self.city.clock.now_us()
        async with self.city.database.write() as session:
            for site in (demo_fibre.WATCH, demo_fibre.SCHOOL):
                session.add(Site(id=site, created_us=0))
            await session.flush()
            for site in (demo_fibre.WATCH, demo_fibre.SCHOOL):
                session.add(SiteState(site_id=site, state="online", heard_us=now_us, heartbeat={}))
            for camera in (*BEFORE, *BEHIND):
                session.add(
                    CameraHealth(
                        camera_id=camera, site_id=demo_fibre.WATCH, address="", summary="ok",
                        reachable=True, reachable_since_us=0, facts={}, device={}, evidence={},
                        reason="", at_us=0,
                    )
                )  # fmt: skip
            home = Household(
                id="home-1", label="home 1", site_id=demo_fibre.SCHOOL, language="mn", created_us=0
            )
            session.add(home)
            await session.flush()
            session.add(
                Detector(
                    id="smoke-1", site_id=demo_fibre.SCHOOL, source="native", address="a",
                    household_id="home-1", status="in_service", place="", alarm_settings={},
                )
            )  # fmt: skip
            contact = Contact(
                id="person-1", household_id="home-1", position=1, role="resident",
                name=self.city.keyring.seal("Жишээ", CONTACT_NAME), language="mn",
            )  # fmt: skip
            session.add(contact)
            await session.flush()
            session.add(
                ContactChannel(
                    contact_id="person-1", channel="email", address_fingerprint="f",
                    address=self.city.keyring.seal("a@example.org", CHANNEL_ADDRESS),
                )
            )  # fmt: skip
        operations = operations_of(demo_fibre.operations())
        await self.keeper.change(
            self.city.database, operations, actor=CONSOLE, origin="test", now_us=now_us
        )

    async def say(self, cameras: list[str], *, lost: bool) -> None:
        now_us = self.city.clock.now_us()
        async with self.city.database.write() as session:
            for camera in cameras:
                health = await session.get_one(CameraHealth, camera)
                health.reachable, health.reachable_since_us = not lost, now_us
                if lost:
                    self.alarms[camera] = self._alarm("camera_offline", camera, now_us)
                    await self._apply(session, demo_fibre.WATCH, self.alarms[camera], "raise")
                else:
                    await self._apply(session, demo_fibre.WATCH, self._cleared(camera), "clear")

    def _cleared(self, camera: str) -> Alarm:
        known = self.alarms.pop(camera)
        return Alarm(
            id=known.id, kind=known.kind, detector=camera, raised_us=known.raised_us,
            cleared_us=self.city.clock.now_us(), revision=2, reason="back",
        )  # fmt: skip

    def _alarm(self, kind: AlarmKind, detector: str, now_us: int) -> Alarm:
        return Alarm(
            id=new_id(), kind=kind, detector=detector, raised_us=now_us, revision=1, reason="gone"
        )

    async def _apply(self, session, site: str, alarm: Alarm, transition) -> None:  # type: ignore[no-untyped-def]
        await incidents.apply_alarm(
            session, site_id=site, epoch=self.epoch, alarm=alarm, transition=transition, age_ms=0,
            clock_synced=True, now_us=self.city.clock.now_us(),
        )  # fmt: skip

    async def school(self, state: str) -> None:
        async with self.city.database.write() as session:
            row = await session.get_one(SiteState, demo_fibre.SCHOOL)
            row.state = state
            if state == "silent":
                await incidents.site_event(
                    session, demo_fibre.SCHOOL, "silent", self.city.clock.now_us()
                )

    async def burn(self) -> None:
        async with self.city.database.write() as session:
            alarm = self._alarm("smoke", "smoke-1", self.city.clock.now_us())
            await self._apply(session, demo_fibre.SCHOOL, alarm, "raise")

    async def open_incidents(self) -> list[Incident]:
        async with self.city.database.read() as session:
            query = select(Incident).where(Incident.open_key.is_not(None)).order_by(Incident.hazard)
            return list(await session.scalars(query))

    async def told(self) -> list[str]:
        async with self.city.database.read() as session:
            return list(await session.scalars(select(Notification.message)))


@pytest.fixture
async def street(city: City) -> AsyncIterator[Street]:
    made = Street(city)
    await made.build()
    yield made


async def test_many_troubles_become_one_incident_and_a_fire_stays_a_fire(street: Street) -> None:
    await street.say(BEHIND, lost=True)
    await street.school("silent")
    await street.burn()
    assert len(await street.open_incidents()) == 10
    found = await street.watch.look()
    assert len(found.opened) == 1
    fire, cut = await street.open_incidents()
    assert (fire.hazard, fire.subject_kind, fire.alarm_class) == ("fire", "household", "alarm")
    assert (cut.subject_kind, cut.summary, cut.alarm_class) == (
        "fibre", "T-2 (8 камер, 1 айл)", "trouble",
    )  # fmt: skip
    async with street.city.database.read() as session:
        outage = (await session.scalars(select(FibreOutage))).one()
        assert (outage.cause, outage.findings["homes"]) == (demo_fibre.TRENCH, 1)
        smoke = (await session.scalars(select(AlarmRecord).where(AlarmRecord.kind == "smoke"))).one()
        assert smoke.incident_id == fire.id
    await street.watch.look()
    assert len(await street.open_incidents()) == 2  # looking again changes nothing


async def test_mending_closes_it_and_what_still_lasts_stands_for_itself(street: Street) -> None:
    await street.say(BEHIND, lost=True)
    await street.watch.look()
    await street.say(BEHIND[1:], lost=False)
    assert len((await street.watch.look()).closed) == 1
    left = await street.open_incidents()
    assert [(each.subject_kind, each.subject_id) for each in left] == [("camera", BEHIND[0])]
    await street.say(BEHIND[:1], lost=False)
    await street.watch.look()
    assert await street.open_incidents() == []


async def test_late_losses_join_the_cut_they_belong_to(street: Street) -> None:
    await street.say(BEHIND[:6], lost=True)
    first = await street.watch.look()
    await street.say(BEHIND[6:], lost=True)
    await street.school("offline")
    second = await street.watch.look()
    assert len(first.opened) == 1
    assert second.opened == ()
    (cut,) = await street.open_incidents()
    async with street.city.database.read() as session:
        outage = (await session.scalars(select(FibreOutage))).one()
        records = (await session.scalars(select(AlarmRecord))).all()
    assert (outage.findings["cameras"], outage.findings["sites"]) == (8, 1)
    assert {record.incident_id for record in records} == {cut.id}


async def test_a_silence_that_is_noticed_later_belongs_to_the_cut_too(street: Street) -> None:
    await street.say(BEHIND, lost=True)
    await street.school("offline")
    await street.watch.look()
    await street.watch.look()
    await street.school("silent")
    assert len(await street.open_incidents()) == 2
    await street.watch.look()
    assert [each.subject_kind for each in await street.open_incidents()] == ["fibre"]


async def test_a_khoroos_silence_behind_the_cut_is_no_second_incident(street: Street) -> None:
    await street.say(BEHIND, lost=True)
    await street.school("silent")
    async with street.city.database.write() as session:
        site = await session.get_one(Site, demo_fibre.SCHOOL)
        site.unit_code = "112551"
        now_us, policy = street.city.clock.now_us(), street.city.policy
        await areas.begin(session, "112551", "area_silent", now_us, policy)
    await street.watch.look()
    assert [each.subject_kind for each in await street.open_incidents()] == ["fibre"]


async def test_two_dead_cameras_stay_two_dead_cameras(street: Street) -> None:
    await street.say([BEFORE[0], BEHIND[0]], lost=True)
    assert (await street.watch.look()).opened == ()
    assert {each.subject_kind for each in await street.open_incidents()} == {"camera"}


async def test_planned_work_is_told_beforehand_and_its_faults_wake_nobody(street: Street) -> None:
    now_us = street.city.clock.now_us()
    kept = await street.keeper.current(street.city.database)
    async with street.city.database.write() as session:
        work = FibreWork(
            id="work-1", title="T-2", elements=[demo_fibre.TRENCH], starts_us=now_us,
            ends_us=now_us + 3600 * US_PER_S, status="planned", created_us=now_us,
        )  # fmt: skip
        session.add(work)
        await session.flush()
        affected, told = await works.announce(
            session, kept, work, actor=CONSOLE, origin="test",
            now_us=now_us, policy=street.city.policy,
        )  # fmt: skip
    assert (len(affected.of_kind("camera")), told) == (8, 1)
    assert await street.told() == ["fibre_work"]
    await street.say(BEHIND, lost=True)
    await street.watch.look()
    assert [each.subject_kind for each in await street.open_incidents()] == ["fibre"]
    assert await street.told() == ["fibre_work"]
    await street.burn()
    assert "fire" in await street.told()
    await street.say(BEHIND, lost=False)
    async with street.city.database.write() as session:
        work = await session.get_one(FibreWork, "work-1")
        await works.finish(
            session, work, "done", actor=CONSOLE, origin="test", now_us=now_us,
            policy=street.city.policy,
        )  # fmt: skip
    assert [each.hazard for each in await street.open_incidents()] == ["fire"]


async def test_faults_that_outlast_the_work_are_faults_again(street: Street) -> None:
    now_us = street.city.clock.now_us()
    kept = await street.keeper.current(street.city.database)
    async with street.city.database.write() as session:
        work = FibreWork(
            id="work-2", title="T-2", elements=[demo_fibre.TRENCH], starts_us=now_us - 2,
            ends_us=now_us + 3600 * US_PER_S, status="planned", created_us=now_us,
        )  # fmt: skip
        session.add(work)
        await session.flush()
        await works.announce(
            session, kept, work, actor=CONSOLE, origin="test",
            now_us=now_us, policy=street.city.policy,
        )  # fmt: skip
    await street.say(BEHIND, lost=True)
    await street.watch.look()
    async with street.city.database.write() as session:
        work = await session.get_one(FibreWork, "work-2")
        work.ends_us = now_us - 1
    await street.watch.look()
    await street.watch.look()
    (cut,) = await street.open_incidents()
    assert (cut.subject_kind, cut.summary) == ("fibre", "T-2 (8 камер, 0 айл)")
    async with street.city.database.read() as session:
        open_now = (
            await session.scalars(select(FibreOutage).where(FibreOutage.closed_us.is_(None)))
        ).one()
        assert open_now.work_id is None


async def test_what_is_wrong_with_the_plant_is_kept_until_it_is_mended(street: Street) -> None:
    keeper, city = street.keeper, street.city

    async def change(*said: dict[str, object]) -> list[tuple[str, bool]]:
        await keeper.change(
            city.database, operations_of(list(said)), actor=CONSOLE, origin="test", now_us=5
        )
        async with city.database.read() as session:
            rows = await session.scalars(select(FibreAnomaly).order_by(FibreAnomaly.at))
            return [(row.at, row.cleared_us is None) for row in rows]

    spare = {"do": "joint", "id": "X", "kind": "termination", "a": "OLT/9/front", "b": "F-1/9/A"}
    assert await change(spare) == [("F-1/9/B", True)]
    assert await change({"do": "part", "id": "X"}) == [("F-1/9/B", False)]
