"""Homes that burn together: tied by place and time, and told to everybody at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from alerts import explain
from alerts.cap import feed
from alerts.models import CapMessage, Incident, Notification
from alerts.policy import DEFAULT_POLICY
from alerts.texts import load_catalogues
from alerts.together import distance_m
from edge.wire.identity import detector_id, new_id
from registry.models import Contact, ContactChannel, Detector, Household
from tests.alerts.city import NIGHT_US, SITE, ScriptedChannel, Town

#: Gers in Tolgoit: about 111 m a thousandth of a degree of latitude.
HERE = (47.9330, 106.7910)
NEXT_DOOR = (47.93325, 106.7910)
TWO_ROWS_ON = (47.9340, 106.7910)


async def _second_home(town: Town, place: tuple[float, float] | None) -> str:
    """A detector of another household there, with a contact of its own."""
    detector = detector_id(SITE, "native", new_id())
    lat, lon = place or (None, None)
    async with town.database.write() as session:
        await session.execute(
            update(Household)
            .where(Household.id == town.household_id)
            .values(lat=HERE[0] if place else None, lon=HERE[1] if place else None)
        )
        home = Household(
            id=new_id(), label=f"H-{new_id()[:6]}", site_id=SITE, unit_code="111624", lat=lat, lon=lon,
            created_us=NIGHT_US,
        )  # fmt: skip
        session.add(home)
        await session.flush()
        contact = Contact(
            id=new_id(), household_id=home.id, language="mn", position=1,
            name=town.keyring.seal("Дорж", "contact.name"),
        )  # fmt: skip
        session.add(contact)
        session.add(
            Detector(
                id=detector, site_id=SITE, source="native", address=detector, status="in_service",
                household_id=home.id, place="",
            )
        )  # fmt: skip
        await session.flush()
        session.add(
            ContactChannel(
                contact_id=contact.id, channel="email", address_fingerprint=new_id(),
                address=town.keyring.seal("dorj@example.mn", "contact_channel.address"),
            )
        )  # fmt: skip
    return detector


async def _others(town: Town) -> None:
    await town.add_contact("khoroo@example.mn", role="duty", unit_code="111624")
    await town.add_contact("desk@example.mn", role="desk")


async def test_a_second_home_next_door_tells_everybody_at_once(town: Town) -> None:
    detector = await _second_home(town, NEXT_DOOR)
    await _others(town)
    mails = ScriptedChannel(concurrency=20)
    worker = town.worker(mails)
    await town.alarm()
    await worker.run_until_idle()
    town.clock.advance(timedelta(seconds=20))
    assert {m.address for m in mails.sent} == {"bat@example.mn", "tsetseg@example.mn"}
    await town.alarm("b1", detector=detector)
    await worker.run_until_idle()  # no time passes
    told = [(m.incident_id, m.address) for m in mails.sent]
    assert len(told) == len(set(told)), "nobody is told twice"
    assert {address for _, address in told} >= {"khoroo@example.mn", "desk@example.mn"}
    first, second = sorted(await town.all(Incident), key=lambda one: one.raised_us)
    assert [(one.homes, one.together_id) for one in (first, second)] == [(2, first.id)] * 2
    assert len(await town.all(CapMessage)) == 2
    async with town.database.read() as session:
        story = await explain.timeline(session, first.id)
        rows = await feed.newest(session)
        alert = await feed.cap_message(
            session, town.keyring, load_catalogues(), rows[0][0].id, "utaa@example.mn"
        )
    tied = next(line for line in story if line.what == "burns_together")
    assert tied.detail["homes"] == 2 and tied.detail["with_incident"] == second.id
    assert 20 <= tied.detail["distance_m"] <= 40
    why = {line.detail["reason"] for line in story if line.what == "planned"}
    assert why == {"at_once", "homes_burn_together"}
    assert alert is not None and "2" in alert.note

    town.clock.advance(timedelta(seconds=61))  # the ladder's own times stay
    await worker.run_until_idle()
    rungs = {n.rung for n in await town.all(Notification) if n.incident_id == first.id}
    assert {0, 1} <= rungs


@pytest.mark.parametrize(("place", "later_s"), [(TWO_ROWS_ON, 10), (NEXT_DOOR, 3600), (None, 10)])
async def test_too_far_too_late_or_nowhere_known_is_another_story(
    town: Town, place: tuple[float, float] | None, later_s: int
) -> None:
    detector = await _second_home(town, place)
    await _others(town)
    mails = ScriptedChannel()
    worker = town.worker(mails)
    await town.alarm()
    await worker.run_until_idle()
    async with town.database.write() as session:  # so that no rung is climbed meanwhile
        await session.execute(update(Incident).values(next_rung_us=None))
    town.clock.advance(timedelta(seconds=later_s))
    cleared_us = NIGHT_US + 30_000_000
    await town.alarm(revision=2, transition="clear", cleared_us=cleared_us)
    await town.alarm("b1", detector=detector)
    await worker.run_until_idle()
    assert {one.homes for one in await town.all(Incident)} == {1}
    assert "desk@example.mn" not in {m.address for m in mails.sent}


async def test_the_city_chooses_how_near_is_near(town: Town) -> None:
    import msgspec

    near = msgspec.structs.replace(DEFAULT_POLICY.together, within_m=150.0)
    town.policy = msgspec.structs.replace(DEFAULT_POLICY, together=near)
    detector = await _second_home(town, TWO_ROWS_ON)
    await town.alarm()
    await town.alarm("b1", detector=detector)
    await town.worker(ScriptedChannel()).run_until_idle()
    assert {one.homes for one in await town.all(Incident)} == {2}


async def test_a_third_home_joins_the_same_group(town: Town) -> None:
    detectors = [await _second_home(town, NEXT_DOOR) for _ in range(2)]
    worker = town.worker(ScriptedChannel(concurrency=20))
    await town.alarm()
    for number, detector in enumerate(detectors):
        await town.alarm(f"b{number}", detector=detector)
        await worker.run_until_idle()
    incidents = await town.all(Incident)
    assert {one.homes for one in incidents} == {3}
    assert len({one.together_id for one in incidents}) == 1


@given(
    lat=st.floats(-70, 70), lon=st.floats(-179, 179), north=st.floats(-500, 500),
    east=st.floats(-500, 500),
)  # fmt: skip
def test_a_distance_is_right_to_a_percent(lat: float, lon: float, north: float, east: float) -> None:
    import math

    other = (lat + north / 111_320, lon + east / (111_320 * math.cos(math.radians(lat))))
    wanted = math.hypot(north, east)
    assert abs(distance_m((lat, lon), other) - wanted) <= max(0.1, 0.01 * wanted)
