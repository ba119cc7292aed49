"""Sites, homes, detectors and models through the door."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from sqlalchemy import select

from edge.wire.identity import detector_id
from registry import audit
from registry.models import AuditEntry, Contact, ContactChannel, Detector, Household, RoleGrant, Site

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
SITE = {"id": "khoroo-1116-32", "title": "32-р хороо", "unit_code": "111664", "lat": 47.9, "lon": 106.8}
MAIL = "kontakt@example.org"
HOME = {
    "label": "SKhD-32-0001",
    "site_id": SITE["id"],
    "unit_code": "111664",
    "address": "Жишээ гудамж 1",
    "contacts": [
        {"name": "Жишээ Дорж", "channels": [{"channel": "email", "address": MAIL}]},
        {"name": "Example Neighbour", "language": "en"},
    ],
}
PUSH = json.dumps(
    {"endpoint": "https://push.example.org/abc", "keys": {"p256dh": "BK", "auth": "xy"}, "more": 1}
)


@pytest.fixture
async def home(registrar: httpx.AsyncClient) -> dict:
    assert (await registrar.post("/sites", json=SITE)).status_code == 201
    answer = await registrar.post("/households", json=HOME)
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "etag": answer.headers["etag"]}


async def _registered(registrar: httpx.AsyncClient, household_id: str | None, *addresses: str) -> list:
    body = {
        "site_id": SITE["id"],
        "detectors": [
            {"source": "native", "address": address, "household_id": household_id, "place": "stove"}
            for address in addresses
        ],
    }
    answer = await registrar.post("/detectors", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_site_is_registered_read_changed_and_told(registrar, city) -> None:
    created = await registrar.post("/sites", json=SITE)
    assert created.status_code == 201
    read = await registrar.get(f"/sites/{SITE['id']}")
    assert read.headers["etag"] == created.headers["etag"]
    assert read.json()["config_version"] == 1 and read.json()["state"] is None
    changed = await registrar.patch(
        f"/sites/{SITE['id']}", json={"title": "Шинэ"}, headers={"If-Match": read.headers["etag"]}
    )
    assert changed.status_code == 200
    assert (changed.json()["title"], changed.json()["lat"]) == ("Шинэ", 47.9)
    assert changed.json()["config_version"] == 2
    assert city.woken == ["configs"]


async def test_a_change_needs_the_etag_of_what_was_read(registrar) -> None:
    etag = (await registrar.post("/sites", json=SITE)).headers["etag"]
    path = f"/sites/{SITE['id']}"
    without = await registrar.patch(path, json={"title": "a"})
    assert without.status_code == 428
    assert (
        await registrar.patch(path, json={"title": "a"}, headers={"If-Match": etag})
    ).status_code == 200
    late = await registrar.patch(path, json={"title": "b"}, headers={"If-Match": etag})
    assert (late.status_code, late.json()["type"]) == (412, "urn:utaa:problem:changed-meanwhile")
    newer = {"If-Match": late.headers["etag"]}
    assert (await registrar.patch(path, json={"title": "b"}, headers=newer)).status_code == 200


@BOTH
async def test_of_two_who_change_at_once_one_is_told(registrar) -> None:
    etag = (await registrar.post("/sites", json=SITE)).headers["etag"]
    answers = await asyncio.gather(
        *(
            registrar.patch(
                f"/sites/{SITE['id']}", json={"title": f"title {n}"}, headers={"If-Match": etag}
            )
            for n in range(5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]


async def test_the_same_change_again_tells_nobody_anything(registrar, city) -> None:
    etag = (await registrar.post("/sites", json=SITE)).headers["etag"]
    body = {"title": SITE["title"]}
    answer = await registrar.patch(f"/sites/{SITE['id']}", json=body, headers={"If-Match": etag})
    assert answer.json()["config_version"] == 1
    async with city.database.read() as session:
        actions = (await session.scalars(select(AuditEntry.action))).all()
    assert "site.change" not in actions


@BOTH
async def test_lists_go_on_by_cursor_and_meet_everything_once(registrar) -> None:
    for number in range(7):
        await registrar.post("/sites", json={**SITE, "id": f"site-{number}"})
    seen, cursor, pages = [], None, 0
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await registrar.get("/sites", params=query)).json()
        seen += [row["id"] for row in page["items"]]
        cursor, pages = page["next"], pages + 1
        if cursor is None:
            break
    assert seen == [f"site-{number}" for number in range(7)] and pages == 3


@pytest.mark.parametrize("cursor", ["WzFd", "bnVsbA", "WyJcdWQ4MDAiXQ", "WyJcdTAwMDAiXQ", "====", "é"])
async def test_a_cursor_that_is_none_is_refused(registrar, cursor: str) -> None:
    assert (await registrar.get("/sites", params={"cursor": cursor})).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"title": "a\x00b"},
        {"alarm_settings": {"deadline_s": float("nan")}},
        {"alarm_settings": {"x": 10**30}},
        {"alarm_settings": {"x": "\ud800"}},
        {"output_settings": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}},
        {"lat": float("inf")},
        {"unit_code": "дүүрэг"},
        {"title": None},
        {"config_version": 9},
    ],
)
@BOTH
async def test_what_no_database_should_hold_is_refused(registrar, body: dict) -> None:
    etag = (await registrar.post("/sites", json=SITE)).headers["etag"]
    headers = {"If-Match": etag, "Content-Type": "application/json"}
    answer = await registrar.patch(f"/sites/{SITE['id']}", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422, answer.text


@BOTH
async def test_a_household_is_masked_until_it_is_opened_and_that_is_recorded(
    registrar, home, city, door
) -> None:
    read = await registrar.get(f"/households/{home['id']}")
    listed = await registrar.get("/households")
    for text in (read.text, listed.text):
        assert MAIL not in text and "Дорж" not in text and "Жишээ гудамж" not in text
    assert read.json()["has_address"] is True
    assert read.json()["contacts"][0]["channels"][0]["masked"] == "k…@e…"
    opened = (await registrar.post(f"/households/{home['id']}/open")).json()
    assert opened["address"] == HOME["address"]
    assert [contact["name"] for contact in opened["contacts"]] == ["Жишээ Дорж", "Example Neighbour"]
    assert opened["contacts"][0]["channels"][0]["address"] == MAIL
    async with await door.machine(["administrator"]) as administrator:
        assert (await administrator.post(f"/households/{home['id']}/open")).status_code == 403
        found = await administrator.get("/audit", params={"action": "household.open"})
    assert [entry["object_id"] for entry in found.json()["items"]] == [home["id"]]


async def test_nothing_personal_is_stored_or_audited_readable(registrar, home, city, tmp_path) -> None:
    headers = {"If-Match": home["etag"]}
    change = {"address": "Шинэ гудамж 7", "language": "en"}
    assert (await registrar.patch(f"/households/{home['id']}", json=change, headers=headers)).is_success
    async with city.database.read() as session:
        entries = (await session.scalars(select(AuditEntry))).all()
        assert (await audit.verify(session)).ok
        trail = json.dumps([[e.before, e.after] for e in entries], ensure_ascii=False)
        await session.connection()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("city.db*"))
    for secret in (MAIL, "Дорж", "Жишээ гудамж", "Шинэ гудамж"):
        assert secret not in trail
        assert secret.encode() not in stored
    assert audit.SEALED in trail


@BOTH
async def test_contacts_that_stay_keep_their_ids(registrar, home) -> None:
    path = f"/households/{home['id']}/contacts"
    first, second = home["contacts"]
    mail = {"channel": "email", "address": "Kontakt@EXAMPLE.org"}
    push = {"channel": "webpush", "address": PUSH}
    wanted = [
        {"name": "Шинэ Хүн", "channels": [push]},
        {"id": first["id"], "name": "Жишээ Дорж", "channels": [{**mail, "address": MAIL}, mail]},
    ]
    answer = await registrar.put(path, json=wanted, headers={"If-Match": home["etag"]})
    assert answer.status_code == 200, answer.text
    contacts = answer.json()["contacts"]
    assert [contact["position"] for contact in contacts] == [1, 2]
    assert contacts[1]["id"] == first["id"]
    assert first["channels"][0]["id"] in [way["id"] for way in contacts[1]["channels"]]
    assert second["id"] not in [contact["id"] for contact in contacts]
    again = await registrar.put(path, json=wanted, headers={"If-Match": answer.headers["etag"]})
    assert [contact["id"] for contact in again.json()["contacts"]] == [c["id"] for c in contacts]


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("email", "no address"), ("email", "a@b@c.org"), ("email", "two..dots@example.org"),
        ("email", "x@example.org\r\nBcc: y@example.org"), ("webpush", "{}"),
        ("webpush", '{"endpoint":"http://10.0.0.1/x","keys":{"p256dh":"a","auth":"b"}}'),
        ("webpush", "[" * 3000), ("pigeon", "loft 3"),
    ],
)  # fmt: skip
async def test_an_address_that_is_none_is_refused_and_not_repeated(
    registrar, home, channel: str, address: str
) -> None:
    body = [{"name": "A", "channels": [{"channel": channel, "address": address}]}]
    answer = await registrar.put(
        f"/households/{home['id']}/contacts", json=body, headers={"If-Match": home["etag"]}
    )
    assert answer.status_code == 422
    assert address not in answer.text


async def test_a_household_of_no_site_or_with_a_taken_label_is_refused(registrar, home) -> None:
    nowhere = await registrar.post("/households", json={**HOME, "label": "x", "site_id": "nowhere"})
    assert nowhere.status_code == 404
    taken = await registrar.post("/households", json=HOME)
    assert (taken.status_code, taken.json()["errors"][0]["field"]) == (409, "body.label")


@BOTH
async def test_detectors_are_registered_in_bulk_before_they_are_heard(registrar, home, city) -> None:
    items = await _registered(registrar, home["id"], "d1", "d2", "d3")
    assert [row["id"] for row in items] == [
        detector_id(SITE["id"], "native", f"d{n}") for n in (1, 2, 3)
    ]
    assert {row["status"] for row in items} == {"in_service"}
    config = (await registrar.get(f"/sites/{SITE['id']}/config")).json()
    assert config["version"] == 2 and len(config["detectors"]) == 3
    await _registered(registrar, home["id"], "d1", "d2", "d3")
    assert (await registrar.get(f"/sites/{SITE['id']}/config")).json()["version"] == 2


async def test_a_bulk_with_one_mistake_registers_none(registrar, home) -> None:
    body = {
        "site_id": SITE["id"],
        "detectors": [
            {"source": "native", "address": "d1"},
            {"source": "native", "address": "d2", "model_id": "unheard-of"},
        ],
    }
    assert (await registrar.post("/detectors", json=body)).status_code == 404
    assert (await registrar.get("/detectors")).json()["items"] == []


async def test_a_heard_detector_is_found_and_accepted(registrar, home, city) -> None:
    own_id = detector_id(SITE["id"], "native", "heard")
    async with city.database.write() as session:
        session.add(
            Detector(
                id=own_id, site_id=SITE["id"], source="native", address="heard", first_seen_us=1,
                status="unregistered", place="", alarm_settings={},
            )
        )  # fmt: skip
    waiting = await registrar.get("/detectors", params={"status": "unregistered"})
    assert [row["id"] for row in waiting.json()["items"]] == [own_id]
    answer = await registrar.post(f"/detectors/{own_id}/accept", json={"household_id": home["id"]})
    assert (answer.status_code, answer.json()["status"]) == (200, "in_service")
    assert (await registrar.get("/detectors", params={"status": "unregistered"})).json()["items"] == []
    by_address = await registrar.get("/detectors", params={"address": "heard", "site": SITE["id"]})
    assert by_address.json()["items"][0]["household_id"] == home["id"]


async def test_a_detector_cannot_protect_a_home_of_another_site(registrar, home) -> None:
    await registrar.post("/sites", json={**SITE, "id": "elsewhere"})
    body = {
        "site_id": "elsewhere",
        "detectors": [{"source": "native", "address": "d", "household_id": home["id"]}],
    }
    assert (await registrar.post("/detectors", json=body)).status_code == 409


@BOTH
async def test_a_model_tells_every_site_that_has_it(registrar, home) -> None:
    model = {"id": "acme-1", "name": "Acme", "senses": ["co"], "deadline_s": 900}
    made = await registrar.post("/models", json={**model, "alarm_settings": {"co_profile": "ul2034"}})
    assert made.status_code == 201
    (row,) = await _registered(registrar, home["id"], "d1")
    path = f"/detectors/{row['id']}"
    etag = (await registrar.get(path)).headers["etag"]
    body = {"model_id": "acme-1", "alarm_settings": {"deadline_s": 60}}
    assert (await registrar.patch(path, json=body, headers={"If-Match": etag})).status_code == 200
    (told,) = (await registrar.get(f"/sites/{SITE['id']}/config")).json()["detectors"]
    assert told["deadline_s"] == 900
    assert told["alarms"] == {"co_profile": "ul2034", "deadline_s": 60}
    version = (await registrar.get(f"/sites/{SITE['id']}")).json()["config_version"]
    etag = (await registrar.get("/models/acme-1")).headers["etag"]
    await registrar.patch("/models/acme-1", json={"deadline_s": 600}, headers={"If-Match": etag})
    assert (await registrar.get(f"/sites/{SITE['id']}")).json()["config_version"] == version + 1


async def test_a_retired_detector_is_no_longer_told_of(registrar, home) -> None:
    (row,) = await _registered(registrar, home["id"], "d1")
    etag = (await registrar.get(f"/detectors/{row['id']}")).headers["etag"]
    answer = await registrar.patch(
        f"/detectors/{row['id']}", json={"status": "retired"}, headers={"If-Match": etag}
    )
    assert answer.json()["status"] == "retired"
    assert (await registrar.get(f"/sites/{SITE['id']}/config")).json()["detectors"] == []


@BOTH
async def test_a_clerk_of_one_district_sees_and_changes_only_that(door, registrar, home, city) -> None:
    await registrar.post("/sites", json={**SITE, "id": "other-district", "unit_code": "112585"})
    await registrar.post(
        "/households",
        json={"label": "ChD-1", "site_id": "other-district", "unit_code": "112585"},
    )
    await registrar.post("/households", json={"label": "SKhD-2", "site_id": SITE["id"]})
    (own,) = await _registered(registrar, None, "own")
    body = {"site_id": "other-district", "detectors": [{"source": "native", "address": "o1"}]}
    (other,) = (await registrar.post("/detectors", json=body)).json()["items"]
    async with await door.signed_in("district.clerk", ["registrar"]) as clerk:
        me = (await clerk.get("/me")).json()["id"]
        async with city.database.write() as session:
            grant = await session.scalar(select(RoleGrant).where(RoleGrant.person_id == me))
            grant.unit_code = "1116"
        assert [row["id"] for row in (await clerk.get("/sites")).json()["items"]] == [SITE["id"]]
        labels = [row["label"] for row in (await clerk.get("/households")).json()["items"]]
        assert labels == ["SKhD-2", HOME["label"]]
        seen = (await clerk.get("/detectors")).json()["items"]
        assert [row["id"] for row in seen] == [own["id"]]
        for method, path, payload in (
            ("GET", "/sites/other-district", None),
            ("GET", "/sites/other-district/config", None),
            ("POST", "/sites", {"id": "new", "unit_code": "112585"}),
            ("POST", "/sites", {"id": "new"}),
            ("GET", f"/detectors/{other['id']}", None),
            ("POST", f"/detectors/{other['id']}/accept", {}),
            ("POST", "/detectors", body),
            ("POST", "/households", {"label": "x", "site_id": "other-district"}),
            ("POST", "/models", {"id": "x", "name": "x"}),
        ):
            answer = await clerk.request(method, path, json=payload)
            assert answer.status_code == 403, (method, path, answer.text)
        etag = (await clerk.get(f"/sites/{SITE['id']}")).headers["etag"]
        away = await clerk.patch(
            f"/sites/{SITE['id']}", json={"unit_code": "112585"}, headers={"If-Match": etag}
        )
        assert away.status_code == 403


@BOTH
async def test_every_change_leaves_a_trace_in_one_unbroken_chain(registrar, home, city) -> None:
    await _registered(registrar, home["id"], "d1")
    async with city.database.read() as session:
        actions = (await session.scalars(select(AuditEntry.action).order_by(AuditEntry.id))).all()
        verdict = await audit.verify(session)
    assert actions == ["token.create", "site.create", "household.create", "detector.register"]
    assert (verdict.ok, verdict.entries) == (True, 4)


@BOTH
async def test_a_refused_change_leaves_nothing(registrar, home, city) -> None:
    async with city.database.read() as session:
        before = [len((await session.scalars(select(t))).all()) for t in (Site, Household, Contact)]
    bad = {**HOME, "label": "new", "contacts": [{"id": "x" * 64, "name": "A"}], "site_id": "nowhere"}
    assert (await registrar.post("/households", json=bad)).status_code == 404
    async with city.database.read() as session:
        after = [len((await session.scalars(select(t))).all()) for t in (Site, Household, Contact)]
        assert len((await session.scalars(select(ContactChannel))).all()) == 1
    assert before == after


@BOTH
async def test_people_and_tokens_are_for_the_administrator(door) -> None:
    async with await door.machine(["administrator"]) as boss:
        person = {"login": "duty.desk", "password": "correct horse battery", "roles": ["duty"]}
        assert (await boss.post("/people", json=person)).status_code == 201
        weak = await boss.post("/people", json={**person, "login": "b2", "password": "short"})
        assert (weak.status_code, weak.json()["errors"][0]["field"]) == (422, "body.password")
        king = await boss.post("/people", json={**person, "login": "b3", "roles": ["king"]})
        assert (king.status_code, king.json()["errors"][0]["field"]) == (422, "body.roles")
        assert [p["login"] for p in (await boss.get("/people")).json()["items"]] == ["duty.desk"]
        made = await boss.post("/tokens", json={"name": "meter", "roles": ["duty"], "days": 1})
        async with door.client(Authorization=f"Bearer {made.json()['token']}") as meter:
            assert (await meter.get("/sites")).status_code == 200
            assert (await meter.get("/tokens")).status_code == 403
            listed = (await boss.get("/tokens", params={"limit": 1})).json()
            rest = (await boss.get("/tokens", params={"cursor": listed["next"]})).json()
            (own,) = [t for t in listed["items"] + rest["items"] if t["name"] == "meter"]
            assert made.json()["token"] not in json.dumps(listed)
            assert (await boss.delete(f"/tokens/{own['id']}")).status_code == 204
            assert (await meter.get("/sites")).status_code == 401
        assert (await boss.delete("/tokens/000000000000")).status_code == 404


async def test_units_are_open_facts(door) -> None:
    async with door.client() as client:
        everything = (await client.get("/units")).json()["items"]
        khoroos = (await client.get("/units", params={"parent": "1116"})).json()["items"]
    assert len(everything) == 1 + 9 + 204
    assert len(khoroos) == 43 and khoroos[31]["code"] == "111664"
