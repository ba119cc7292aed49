"""Incidents through the door: who sees what, who takes them, who closes them."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from alerts.incidents import apply_alarm
from alerts.models import Attempt, Delivery
from edge.wire.messages import Alarm
from registry.models import AuditEntry, ContactChannel

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
SITE = {"id": "khoroo-1116-32", "unit_code": "111664"}
MAIL = "kontakt@example.org"


@pytest.fixture
async def detector(registrar: httpx.AsyncClient) -> str:
    await registrar.post("/sites", json=SITE)
    home = {
        "label": "SKhD-32-0001", "site_id": SITE["id"], "unit_code": "111664", "address": "Жишээ 1",
        "contacts": [{"name": "Жишээ Дорж", "channels": [{"channel": "email", "address": MAIL}]}],
    }  # fmt: skip
    household_id = (await registrar.post("/households", json=home)).json()["id"]
    body = {
        "site_id": SITE["id"],
        "detectors": [{"source": "native", "address": "d1", "household_id": household_id}],
    }
    return (await registrar.post("/detectors", json=body)).json()["items"][0]["id"]


async def _burns(city, detector: str, alarm_id: str = "a1", kind: str = "smoke") -> str:
    now_us = city.clock.now_us()
    alarm = Alarm(
        id=alarm_id, kind=kind, detector=detector, raised_us=now_us, revision=1, reason="too much",
        peak={"optical_density_db_m": 1.5},
    )  # fmt: skip
    async with city.database.write() as session:
        applied = await apply_alarm(
            session, site_id=SITE["id"], epoch="e1", alarm=alarm, transition="raise", age_ms=0,
            clock_synced=True, now_us=now_us,
        )  # fmt: skip
    assert applied.incident_id is not None
    return applied.incident_id


@BOTH
async def test_an_incident_tells_its_whole_story_and_no_address(door, city, detector: str) -> None:
    incident_id = await _burns(city, detector)
    async with city.database.write() as session:
        delivery = await session.scalar(select(Delivery))
        assert delivery is not None
        session.add(
            Attempt(
                delivery_id=delivery.id, number=1, started_us=5, outcome="retry", reason="timeout",
                evidence=f"451 for {MAIL}",
            )
        )  # fmt: skip
    async with await door.machine(["duty"]) as duty:
        listed = await duty.get("/incidents", params={"open": True})
        (row,) = listed.json()["items"]
        assert (row["id"], row["hazard"], row["state"]) == (incident_id, "fire", "opened")
        answer = await duty.get(f"/incidents/{incident_id}")
    whole = answer.json()
    assert [alarm["detector_id"] for alarm in whole["alarms"]] == [detector]
    assert whole["entries"][0]["what"] == "opened"
    (told,) = whole["notifications"]
    (way,) = told["deliveries"]
    assert (way["channel"], way["masked"]) == ("email", "k…@e…")
    assert way["attempts"][0]["reason"] == "timeout"
    for text in (answer.text, listed.text):
        assert MAIL not in text and "Дорж" not in text and "Жишээ" not in text


async def test_the_first_to_acknowledge_counts_and_everybody_is_told(door, city, detector: str) -> None:
    incident_id = await _burns(city, detector)
    async with await door.machine(["duty"]) as one, await door.machine(["duty"]) as two:
        with city.hub.subscribe(frozenset({"incident"})) as watcher:
            first = await one.post(f"/incidents/{incident_id}/acknowledge")
            event = await watcher.next()
        assert event is not None and event.data["id"] == incident_id
        assert (first.status_code, first.json()["state"]) == (200, "acknowledged")
        second = await two.post(f"/incidents/{incident_id}/acknowledge")
        assert second.status_code == 200
        assert second.json()["acknowledged_by"] == first.json()["acknowledged_by"]
    assert city.woken.count("alerts") == 2
    async with city.database.read() as session:
        actions = (await session.scalars(select(AuditEntry.action))).all()
    assert actions.count("incident.acknowledge") == 1


@BOTH
async def test_resolving_names_a_cause_once(door, city, detector: str) -> None:
    incident_id = await _burns(city, detector)
    path = f"/incidents/{incident_id}/resolve"
    async with await door.machine(["duty"]) as duty:
        assert (await duty.post(path, json={"cause": "aliens"})).status_code == 422
        stale = await duty.post(path, json={"cause": "cooking"}, headers={"If-Match": '"0-opened"'})
        assert stale.status_code == 412
        etag = (await duty.get(f"/incidents/{incident_id}")).headers["etag"]
        done = await duty.post(path, json={"cause": "cooking"}, headers={"If-Match": etag})
        assert (done.status_code, done.json()["cause"]) == (200, "cooking")
        again = await duty.post(path, json={"cause": "test"})
        assert (again.status_code, again.json()["type"]) == (409, "urn:utaa:problem:already-over")
        assert (await duty.get("/incidents", params={"open": True})).json()["items"] == []
        closed = (await duty.get("/incidents", params={"open": False})).json()["items"]
        assert [row["id"] for row in closed] == [incident_id]


@pytest.mark.parametrize("role", ["registrar", "approver", "technician", "auditor"])
async def test_only_those_on_duty_take_and_close(door, city, detector: str, role: str) -> None:
    incident_id = await _burns(city, detector)
    async with await door.machine([role]) as client:
        assert (await client.get(f"/incidents/{incident_id}")).status_code == 200
        assert (await client.post(f"/incidents/{incident_id}/acknowledge")).status_code == 403
        answer = await client.post(f"/incidents/{incident_id}/resolve", json={"cause": "test"})
        assert answer.status_code == 403


@BOTH
async def test_the_newest_incident_comes_first_and_pages_meet_each_once(door, city, detector) -> None:
    made = []
    async with await door.machine(["duty"]) as duty:
        for number in range(5):
            made.append(await _burns(city, detector, f"a{number}"))
            await duty.post(f"/incidents/{made[-1]}/resolve", json={"cause": "test"})
            city.clock.advance(timedelta(minutes=number % 2))
        seen, cursor = [], None
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await duty.get("/incidents", params=query)).json()
            seen += [row["id"] for row in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
    assert len(set(made)) == 5
    assert sorted(seen) == sorted(made)
    assert seen[0] in made[3:]


async def test_an_incident_that_is_none_is_not_found(door) -> None:
    async with await door.machine(["duty"]) as duty:
        for path in ("", "/acknowledge"):
            method = "POST" if path else "GET"
            assert (await duty.request(method, f"/incidents/nothing{path}")).status_code == 404


async def test_changing_contacts_during_a_fire_keeps_what_was_sent(
    registrar, city, detector: str
) -> None:
    await _burns(city, detector)
    home = (await registrar.get("/households")).json()["items"][0]
    path = f"/households/{home['id']}/contacts"
    newcomer = {"name": "Шинэ", "channels": [{"channel": "email", "address": "shine@example.org"}]}
    answer = await registrar.put(path, json=[newcomer], headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["contacts"]) == 1
    async with city.database.read() as session:
        assert len((await session.scalars(select(Delivery))).all()) == 1


async def test_an_address_given_up_as_dead_is_shown_and_lives_again_when_entered_again(
    registrar, city, detector: str
) -> None:
    home = (await registrar.get("/households")).json()["items"][0]
    async with city.database.write() as session:
        await session.execute(
            update(ContactChannel).values(dead_us=city.clock.now_us(), dead_reason="address_unknown")
        )
    path = f"/households/{home['id']}"
    shown = (await registrar.get(path)).json()["contacts"][0]["channels"]
    assert [way["dead_reason"] for way in shown] == ["address_unknown"]
    entry = {"name": "Жишээ Дорж", "channels": [{"channel": "email", "address": MAIL}]}
    answer = await registrar.put(f"{path}/contacts", json=[entry], headers={"If-Match": "*"})
    assert [way["dead_reason"] for way in answer.json()["contacts"][0]["channels"]] == [None]
