"""A technician's work over HTTP: worklist, acts once, both versions, pictures, test alarms, rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from alerts.models import AlarmRecord
from edge.wire.clock import US_PER_S
from edge.wire.localkey import opens
from edge.wire.messages import Command
from registry.acts import Act
from registry.fieldwork import acts
from registry.fieldwork.models import Commissioning, FieldAct, Trial
from registry.labels.service import ensure_labels
from registry.models import AuditEntry, Detector, DetectorStay, Household, Person, RoleGrant, Site
from registry.rights import CONSOLE
from tests.api.conftest import NOW_US, PASSWORD

JPEG = b"\xff\xd8\xff\xe0" + bytes(2000)
PICTURE = "picture-0000-0000-0001"


@pytest.fixture
async def label(city) -> str:
    """Two khoroos; in the first a home with a planned detector ``d1`` that carries this label."""
    city.sent = []
    city.send_command = lambda command: city.sent.append(command) or True
    async with city.database.write() as session:
        for site, unit in (("s1", "111664"), ("s2", "112551")):
            session.add(Site(id=site, title=site.upper(), unit_code=unit, created_us=0))
        await session.flush()
        for home, site in (("h1", "s1"), ("h1b", "s1"), ("h2", "s2")):
            session.add(Household(id=home, label=home.upper(), site_id=site, created_us=0))
        await session.flush()
        for name, site, home, status in (
            ("d1", "s1", "h1", "planned"), ("d1b", "s1", "h1", "in_service"),
            ("d2", "s2", "h2", "in_service"),
        ):  # fmt: skip
            session.add(
                Detector(
                    id=name, site_id=site, source="native", address=name, household_id=home,
                    status=status, place="stove",
                )
            )  # fmt: skip
        await session.flush()
        for number, (detector, kind) in enumerate((("d1b", "low_battery"), ("d2", "lost"))):
            session.add(
                AlarmRecord(
                    id=f"a{number}", site_id=detector[:2].replace("d", "s"), epoch="e", kind=kind,
                    detector_id=detector, alarm_class="trouble", raised_us=NOW_US - number,
                    arrived_us=NOW_US, revision=1, reason="said so",
                )
            )  # fmt: skip
        (made,) = await ensure_labels(session, Act(CONSOLE, NOW_US), "detector", ["d1"])
    return made.id


@pytest.fixture
async def hands(door, label) -> AsyncIterator[httpx.AsyncClient]:
    async with await door.signed_in("hands", ["technician"]) as client:
        yield client


def _act(kind: str = "commission", key: str = "key-0000-0000-0001", **more: Any) -> dict[str, Any]:
    done = {
        "place": "bedroom", "signal": "good", "battery": "good", "siren_heard": True,
        "household_confirmed": True, "picture_id": PICTURE,
    }  # fmt: skip
    named = {} if "label" in more else {"detector_id": "d1"}
    return {"key": key, "kind": kind, "done_us": NOW_US - 3600 * US_PER_S, **named,
            **(done if kind == "commission" else {}), **more}  # fmt: skip


async def _version(hands: httpx.AsyncClient, name: str = "d1") -> int:
    return int((await hands.get(f"/field/detectors/{name}")).json()["version"])


async def test_the_worklist_is_in_order_of_urgency_with_reasons(hands) -> None:
    listed = (await hands.get("/field/worklist")).json()
    shown = [
        (one["id"], one["urgency"], [r["code"] for r in one["reasons"]]) for one in listed["items"]
    ]
    assert shown == [
        ("d2", "now", ["lost", "reach_unreachable"]),
        ("d1b", "soon", ["low_battery", "reach_unreachable"]),
        ("d1", "passing", ["planned"]),
    ]
    assert listed["total"] == 3 and not listed["cut"]
    near = (await hands.get("/field/worklist?unit=1116&reason=planned")).json()["items"]
    assert [(one["id"], one["home"], one["place"]) for one in near] == [("d1", "H1", "stove")]


async def test_a_detector_is_found_by_its_label_however_it_was_typed(hands, label) -> None:
    typed = f"{label[:3].lower()}-{label[3:]}"
    assert (await hands.get(f"/field/detectors/{typed}")).json()["id"] == "d1"
    assert (await hands.get("/field/detectors/000-000-000")).status_code == 404


async def test_commissioned_on_the_spot_it_is_in_service_with_its_proofs(hands, city, label) -> None:
    assert (await hands.put(f"/field/pictures/{PICTURE}", content=JPEG)).status_code == 204
    body = _act(label=label, version=None)
    done = await hands.post("/field/acts", json=body)
    assert done.status_code == 200 and done.json()["status"] == "in_service", done.text
    life = (await hands.get("/detectors/d1/life")).json()
    assert [step["to_state"] for step in life["steps"]][-3:] == [
        "installed", "commissioned", "in_service",
    ]  # fmt: skip
    async with city.database.read() as session:
        (visit,) = await session.scalars(select(Commissioning))
        stay = (await session.scalars(select(DetectorStay))).all()[-1]
        audit = [entry.action for entry in await session.scalars(select(AuditEntry))]
    assert visit.done_us == body["done_us"] and visit.checks["place"] == "bedroom"
    assert stay.place == "bedroom"
    assert "detector.checked" in audit and "detector.start" in audit
    picture = await hands.get(f"/field/pictures/{PICTURE}")
    assert (picture.content, picture.headers["content-type"]) == (JPEG, "image/jpeg")


async def test_an_act_sent_again_is_answered_again_and_done_once(hands, city) -> None:
    body = _act(picture_id=None, picture_refused=True, version=await _version(hands))
    first = await hands.post("/field/acts", json=body)
    again = await hands.post("/field/acts", json=body)
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    async with city.database.read() as session:
        assert len((await session.scalars(select(Commissioning))).all()) == 1
    other = await hands.post("/field/acts", json={**body, "place": "hall"})
    assert other.status_code == 409
    async with city.database.write() as session:
        assert await acts.forget_old(session, NOW_US + acts.KEEP_US + 1) == 1
        assert (await session.scalars(select(FieldAct))).all() == []


async def test_a_conflict_shows_both_versions_and_the_choice_is_carried_out(hands, registrar) -> None:
    seen = await _version(hands)
    moved = await registrar.patch("/detectors/d1", json={"place": "attic"}, headers={"If-Match": "*"})
    assert moved.status_code == 200
    body = _act(picture_id=None, picture_refused=True, version=seen)
    refused = await hands.post("/field/acts", json=body)
    problem = refused.json()
    assert refused.status_code == 412
    assert (problem["current"]["place"], problem["yours"]["place"]) == ("attic", "bedroom")
    chosen = {**body, "version": problem["current"]["version"]}
    assert (await hands.post("/field/acts", json=chosen)).json()["status"] == "in_service"


async def test_what_is_missing_is_told_all_at_once_and_nothing_is_done(hands, city) -> None:
    body = _act(place=" ", siren_heard=False, household_confirmed=False, signal="", picture_id=None)
    refused = await hands.post("/field/acts", json=body)
    named = {error["field"].rpartition(".")[2] for error in refused.json()["errors"]}
    assert named == {"place", "signal", "siren_heard", "household_confirmed", "picture_id"}
    async with city.database.read() as session:
        assert (await session.get_one(Detector, "d1")).status == "planned"
        assert (await session.scalars(select(FieldAct))).all() == []


async def test_move_fault_repair_replace_and_retire(hands) -> None:
    async def do(kind: str, number: int, name: str = "d1b", **more: Any) -> httpx.Response:
        key = f"key-0000-0000-10{number:02}"
        return await hands.post("/field/acts", json=_act(kind, key, detector_id=name, **more))

    assert (await do("move", 1, place="hall", home="H1B")).status_code == 200
    assert (await hands.get("/detectors/d1b")).json()["household_id"] == "h1b"
    assert (await do("move", 2, home="H2")).status_code == 409  # of another site
    assert (await do("fault", 3, fault="battery")).json()["status"] == "faulty"
    assert (await do("commission", 4, picture_id=None, picture_refused=True)).status_code == 409
    assert (await do("repair", 5, work="new battery")).json()["status"] == "in_service"
    assert (await do("replace", 6, address="d9")).status_code == 422  # says no reason
    taken = (await do("replace", 6, address="d9", reason="end of life")).json()
    assert taken["detector_id"] != "d1b" and taken["status"] == "in_service"
    new = await do("retire", 7, name=taken["detector_id"], reason="moved out")
    assert new.json()["status"] == "retired"


async def test_a_picture_is_a_small_jpeg_and_its_takers_until_it_belongs_somewhere(hands, door) -> None:
    assert (await hands.put(f"/field/pictures/{PICTURE}", content=b"GIF89a")).status_code == 415
    assert (await hands.put(f"/field/pictures/{PICTURE}", content=JPEG * 250)).status_code == 415
    for _ in range(2):
        assert (await hands.put(f"/field/pictures/{PICTURE}", content=JPEG)).status_code == 204
    other = JPEG + b"x"
    assert (await hands.put(f"/field/pictures/{PICTURE}", content=other)).status_code == 409
    async with await door.signed_in("other", ["technician"]) as client:
        assert (await client.get(f"/field/pictures/{PICTURE}")).status_code == 404
        body = _act(detector_id="d1")
        assert (await client.post("/field/acts", json=body)).status_code == 404  # not theirs to use


async def test_a_test_alarm_is_ordered_shown_and_ended(hands, city) -> None:
    begun = await hands.post("/field/detectors/d1/test", json={"for_s": 60})
    assert begun.json()["state"] == "waiting"
    order: Command = city.sent[0]
    assert (order.action, order.target, order.arguments["only"]) == ("test", "d1", "own_word")
    assert order.arguments["until_us"] == NOW_US + 60 * US_PER_S
    assert [command.action for command in city.sent] == ["test", "self_test"]
    await hands.post("/field/detectors/d1/test/end")
    assert city.sent[-1].action == "end_test"
    assert (await hands.get("/field/detectors/d1")).json()["trial"]["state"] == "over"
    assert (await hands.post("/field/detectors/d1/test", json={"for_s": 3600})).status_code == 422
    assert (await hands.post("/field/detectors/d1/ring")).status_code == 204
    assert (city.sent[-1].action, city.sent[-1].target) == ("self_test", "outputs")


async def test_a_site_out_of_reach_leaves_nothing_in_test(hands, city) -> None:
    city.send_command = lambda command: False
    assert (await hands.post("/field/detectors/d1/test", json={})).status_code == 503
    async with city.database.read() as session:
        (trial,) = await session.scalars(select(Trial))
    assert trial.ended_us is not None


async def test_a_technician_of_one_district_sees_and_touches_nothing_else(
    door, people, city, label
) -> None:
    person = await people.new_person("near", PASSWORD, [])
    async with city.database.write() as session:
        session.add(RoleGrant(person_id=person, role="technician", unit_code="1125"))
    async with door.client() as client:
        answer = await client.post("/session", json={"login": "near", "password": PASSWORD})
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        items = (await client.get("/field/worklist")).json()["items"]
        assert [one["id"] for one in items] == ["d2"]
        assert (await client.get("/field/detectors/d1")).status_code == 403
        assert (await client.post("/field/acts", json=_act())).status_code == 403
        assert (await client.post("/field/detectors/d1/test", json={})).status_code == 403
        assert (await client.get("/field/detectors/d1/changes")).status_code == 403


async def test_links_to_the_sites_own_page_open_one_detector_for_some_days(hands, registrar) -> None:
    url = "/field/sites/s1/local-page"
    assert (await registrar.put(url, json={"address": "ftp://x"})).status_code == 409
    secret = (await registrar.put(url, json={"address": "http://10.0.0.5:8088"})).json()["secret"]
    link = (await hands.get("/field/detectors/d1")).json()["local"][0]
    name, key = link["url"].removeprefix("http://10.0.0.5:8088/").split("/")
    assert name == "d1" and opens(secret, "d1", key, NOW_US)
    assert not opens(secret, "d1b", key, NOW_US)
    assert not opens(secret, "d1", key, NOW_US + 3 * 86_400 * US_PER_S)
    assert (await registrar.delete(url)).status_code == 204
    assert (await hands.get("/field/detectors/d1")).json()["local"] == []
    assert (await hands.put(url, json={"address": "http://10.0.0.5:8088"})).status_code == 403


async def test_no_picture_and_no_secret_is_readable_in_the_database(hands, city) -> None:
    await hands.put(f"/field/pictures/{PICTURE}", content=JPEG)
    async with city.database.engine.connect() as connection:
        row = (await connection.exec_driver_sql("SELECT content FROM field_picture")).one()
    assert JPEG[:16] not in row[0] and bytes(64) not in row[0]


async def test_people_named_in_the_audit_are_ids(hands, city) -> None:
    await hands.post("/field/acts", json=_act(picture_id=None, picture_refused=True))
    async with city.database.read() as session:
        (person,) = await session.scalars(select(Person))
        entries = await session.scalars(select(AuditEntry).where(AuditEntry.object_id == "d1"))
        assert {entry.actor for entry in entries} == {person.id, CONSOLE.id}
