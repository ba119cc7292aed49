"""Servers, inspections, requests, costs, KHUR and labels through the API."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from firmware_sim.khur import KhurServer, judged
from registry.cameras.models import Camera, CameraModel
from registry.khur.client import Khur
from registry.khur.models import KhurAnswer
from registry.labels.models import Label
from registry.models import AuditEntry, Organisation
from registry.requests.models import CityRequest
from tests.api.office import office_app


@pytest.fixture
def app(city, people) -> FastAPI:
    return office_app(city, people)


@pytest.fixture
async def office(door, city) -> AsyncIterator[httpx.AsyncClient]:
    """A registrar at a desk, with a body and two cameras in the register."""
    async with city.database.write() as session:
        session.add(Organisation(id="school-1", name="1-р сургууль"))
        session.add(CameraModel(id="old", maker="A", name="Analog", analogue=True, created_us=0))
        await session.flush()
        for number, model, hours in (("К-1", "old", 720), ("К-2", None, 100), ("К-3", None, 900)):
            session.add(
                Camera(id=number, number=number, model_id=model, retention_h=hours, created_us=0)
            )
    async with await door.signed_in("bat.office", ["registrar"]) as client:
        yield client


def _seen(record: dict[str, Any]) -> dict[str, str]:
    return {"If-Match": f'"{record["version"]}"'}


async def _audit(city, action: str) -> list[AuditEntry]:
    async with city.database.read() as session:
        return list(await session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


# --- servers -----------------------------------------------------------------------------------


async def test_two_machines_never_share_a_unit_of_a_rack(office) -> None:
    rack = (await office.post("/racks", json={"name": "A-1", "height_u": 10})).json()
    first = await office.post(
        "/servers", json={"name": "s1", "rack_id": rack["id"], "position_u": 3, "height_u": 2}
    )
    assert first.status_code == 201, first.text
    for position, height, expected in (
        (4, 1, 409),
        (2, 2, 409),
        (10, 2, 409),
        (5, 1, 201),
        (1, 2, 201),
    ):
        body = {
            "name": f"p{position}",
            "rack_id": rack["id"],
            "position_u": position,
            "height_u": height,
        }
        assert (await office.post("/servers", json=body)).status_code == expected, body
    moved = await office.patch(
        f"/servers/{first.json()['id']}", json={"position_u": 5}, headers=_seen(first.json())
    )
    assert moved.status_code == 409
    taken = await office.post("/servers", json={"name": "s1"})
    assert taken.status_code == 409 and taken.json()["errors"][0]["field"] == "body.name"
    assert (await office.post("/servers", json={"name": "x", "rack_id": "none"})).status_code == 404


async def test_what_ends_soon_is_listed_and_what_was_removed_is_not(office, city) -> None:
    today = (await office.post("/servers", json={"name": "old", "support_until": "2001-01-01"})).json()
    await office.post("/servers", json={"name": "new", "support_until": "2999-01-01"})
    await office.post(
        "/servers", json={"name": "gone", "support_until": "2001-01-01", "status": "retired"}
    )
    await office.post("/licences", json={"name": "os", "valid_until": "2002-01-01", "key": "SECRET-1"})
    items = (await office.get("/servers/ending?days=30")).json()["items"]
    assert [one["name"] for one in items] == ["old", "os"] and items[0]["days_left"] < 0
    bare = await office.post(f"/servers/{today['id']}/remove", json={}, headers=_seen(today))
    assert bare.status_code == 422
    removed = await office.post(
        f"/servers/{today['id']}/remove", json={"reason": "entered twice"}, headers=_seen(today)
    )
    assert removed.status_code == 200 and removed.json()["removed_at"]
    assert [one["name"] for one in (await office.get("/servers/ending")).json()["items"]] == ["os"]
    again = await office.post("/servers", json={"name": "old"})
    assert again.status_code == 201, "a removed one holds its name no longer"


async def test_a_licence_key_is_sealed_and_its_opening_recorded(office, door, city) -> None:
    made = (await office.post("/licences", json={"name": "os", "key": "SECRET-1"})).json()
    assert made["has_key"] and "SECRET-1" not in (await office.get("/licences")).text
    assert (await office.post(f"/licences/{made['id']}/open")).status_code == 403
    async with await door.machine(["technician"]) as technician:
        opened = await technician.post(f"/licences/{made['id']}/open")
    assert opened.json() == {"key": "SECRET-1"}
    assert len(await _audit(city, "licence.open")) == 1
    assert all("SECRET-1" not in str(entry.after) for entry in await _audit(city, "licence.create"))


async def test_a_log_line_is_corrected_by_another_and_never_changed(office) -> None:
    server = (await office.post("/servers", json={"name": "s1"})).json()
    other = (await office.post("/servers", json={"name": "s2"})).json()
    url = f"/maintenance/server/{server['id']}"
    line = (await office.post(url, json={"work": "repair", "text": "PSU 2 сольсон"})).json()
    fixed = {"work": "repair", "text": "PSU 1 сольсон", "corrects_id": line["id"]}
    assert (await office.post(url, json=fixed)).status_code == 201
    foreign = await office.post(f"/maintenance/server/{other['id']}", json=fixed)
    future = await office.post(
        url, json={"work": "check", "text": "x", "done_at": "2999-01-01T00:00:00Z"}
    )
    assert (foreign.status_code, future.status_code) == (409, 409)
    log = (await office.get(url)).json()["items"]
    assert {one["text"] for one in log} == {"PSU 1 сольсон", "PSU 2 сольсон"}
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await office.request(method, f"{url}/{line['id']}")).status_code in (404, 405)


# --- inspections -------------------------------------------------------------------------------


async def test_the_register_suggests_what_the_standard_forbids_until_it_is_a_finding(office) -> None:
    items = (await office.get("/findings/suggested")).json()["items"]
    assert [(one["name"], one["rule"]) for one in items] == [
        ("К-1", "analogue_camera"), ("К-2", "short_retention"),
    ]  # fmt: skip
    names = ("rule", "object_kind", "object_id", "severity", "text")
    accepted = await office.post("/findings", json={name: items[0][name] for name in names})
    assert accepted.status_code == 201, accepted.text
    left = (await office.get("/findings/suggested")).json()["items"]
    assert [one["name"] for one in left] == ["К-2"]


async def test_a_fix_is_verified_by_another_person(office, door) -> None:
    held = await office.post("/inspections", json={"title": "Камер", "held_on": "2026-05-01"})
    assert held.json()["number"].startswith("ХШ-")
    made = await office.post(
        "/findings",
        json={
            "object_kind": "camera", "object_id": "К-3", "severity": "critical", "text": "Тэмдэггүй",
            "inspection_id": held.json()["id"], "due_on": "2020-01-01",
        },
    )  # fmt: skip
    finding = made.json()
    assert finding["overdue"]
    url = f"/findings/{finding['id']}"
    assert [one["id"] for one in (await office.get("/findings?overdue=true")).json()["items"]] == [
        finding["id"]
    ]
    finding = (await office.post(f"{url}/fix", json={"text": "Тавьсан"}, headers=_seen(finding))).json()
    own = await office.post(f"{url}/verify", json={}, headers=_seen(finding))
    assert (own.status_code, own.json()["type"]) == (403, "urn:utaa:problem:same-person")
    async with await door.signed_in("tuya.audit", ["auditor"]) as auditor:
        unexplained = await auditor.post(f"{url}/reopen", json={}, headers=_seen(finding))
        assert unexplained.status_code == 422
        finding = (
            await auditor.post(f"{url}/reopen", json={"text": "Харагдахгүй"}, headers=_seen(finding))
        ).json()
        assert (finding["state"], finding["refusal"]) == ("open", "Харагдахгүй")
        finding = (await office.post(f"{url}/fix", json={"text": "Том"}, headers=_seen(finding))).json()
        finding = (await auditor.post(f"{url}/verify", json={}, headers=_seen(finding))).json()
    assert finding["state"] == "verified" and not finding["overdue"]
    late = await office.patch(url, json={"text": "other"}, headers=_seen(finding))
    assert late.status_code == 409


async def test_a_finding_needs_a_record_that_exists(office) -> None:
    for kind in ("server", "software", "rack", "detector", "household", "site", "organisation"):
        body = {"object_kind": kind, "object_id": "none", "severity": "low", "text": "x"}
        assert (await office.post("/findings", json=body)).status_code == 404, kind


# --- requests ----------------------------------------------------------------------------------


SAID = {
    "kind": "complaint", "subject": "camera", "text": "Камер манай цонх руу харж байна",
    "name": "Нэр-Нууц", "contact": "kontakt@example.org",
}  # fmt: skip


async def test_a_resident_asks_without_signing_in_and_reads_the_answer_by_the_code(
    office, door, city
) -> None:
    async with door.client() as resident:
        taken = (await resident.post("/requests", json={**SAID, "channel": "phone"})).json()
        assert taken["number"].startswith("ӨГ-")
        code = {"code": taken["code"].lower()}
        early = await resident.post("/requests/rating", json={**code, "satisfaction": 5})
        assert early.status_code == 409
        (listed,) = (await office.get("/requests?state=received")).json()["items"]
        assert listed["channel"] == "page"
        for secret in (SAID["text"], SAID["name"], SAID["contact"], taken["code"]):
            assert secret not in (await office.get("/requests")).text
        url = f"/requests/{listed['id']}"
        opened = (await office.post(f"{url}/open")).json()
        assert (opened["text"], opened["name"]) == (SAID["text"], SAID["name"])
        assert len(await _audit(city, "city_request.open")) == 1
        handed = await office.post(
            f"{url}/hand", json={"organisation_id": "school-1"}, headers=_seen(listed)
        )
        answered = await office.post(
            f"{url}/answer", json={"text": "Чиглэлийг өөрчилсөн."}, headers=_seen(handed.json())
        )
        assert answered.json()["state"] == "answered"
        read = (await resident.post("/requests/answer", json=code)).json()
        assert (read["answer"], read["handed_to"]) == ("Чиглэлийг өөрчилсөн.", "1-р сургууль")
        rated = await resident.post("/requests/rating", json={**code, "satisfaction": 4})
        assert rated.json()["state"] == "closed"
        assert (
            await resident.post("/requests/rating", json={**code, "satisfaction": 1})
        ).status_code == 409
    summary = (await office.get("/requests/summary")).json()
    assert (summary["rated"], summary["satisfaction_mean"]) == (1, 4.0)
    async with city.database.read() as session:
        stored = await session.scalar(select(CityRequest))
        everything = str(vars(stored)) + str(
            [vars(entry) for entry in await session.scalars(select(AuditEntry))]
        )
    for secret in (SAID["text"], SAID["name"], SAID["contact"], taken["code"], "Чиглэлийг"):
        assert secret not in everything
    (made,) = await _audit(city, "city_request.create")
    assert (made.actor, made.origin) == ("anybody", "")


async def test_the_open_door_is_for_people_and_not_for_floods(office, door, city) -> None:
    async with door.client() as resident:
        statuses = [(await resident.post("/requests", json=SAID)).status_code for _ in range(6)]
        assert statuses == [201] * 5 + [429]
        assert (await office.post("/requests", json=SAID)).status_code == 201
        wrong = await resident.post("/requests/answer", json={"code": "AAAA-AAAA"})
        assert wrong.status_code == 404 and "AAAA" not in wrong.text
        city.clock.advance(timedelta(hours=1))
        assert (await resident.post("/requests", json=SAID)).status_code == 201


async def test_the_days_of_an_answer_are_the_citys_own_data(office, door, city) -> None:
    (city.data_dir / "requests.toml").write_text(
        "[days]\ncomplaint = 1\nsuggestion = 1\nrequest = 1\n", encoding="utf-8"
    )
    assert (await office.post("/requests", json=SAID)).status_code == 201
    assert (await office.get("/requests?overdue=true")).json()["items"] == []
    city.clock.advance(timedelta(days=3))
    async with await door.machine(["duty"]) as later:
        (late,) = (await later.get("/requests?overdue=true")).json()["items"]
        assert late["overdue"]
    (city.data_dir / "requests.toml").write_text("[days]\ncomplaint = 0\n", encoding="utf-8")
    async with door.client() as resident:
        refused = await resident.post("/requests", json=SAID)
    assert refused.status_code == 503 and "requests.toml" in refused.json()["detail"]


# --- costs -------------------------------------------------------------------------------------


async def test_costs_are_reported_by_organisation_month_and_year(office) -> None:
    body = {
        "link": "svc-1", "organisation_id": "school-1", "provider": "Сүлжээ ХХК",
        "monthly_mnt": 300_000, "from_on": "2026-01-16", "until_on": "2026-02-28",
    }  # fmt: skip
    made = await office.post("/costs", json=body)
    assert made.status_code == 201, made.text
    backwards = await office.post("/costs", json={**body, "until_on": "2025-01-01"})
    assert backwards.status_code == 409
    told = (await office.get("/costs/report?first=2026-01&last=2026-12")).json()
    assert [(row["period"], row["amount_mnt"]) for row in told["items"]] == [
        ("2026-01", 154_839), ("2026-02", 300_000),
    ]  # fmt: skip
    assert told["total_mnt"] == 454_839
    year = await office.get("/costs/report?first=2026-01&last=2026-12&by=year&format=csv")
    assert year.headers["content-type"].startswith("text/csv")
    assert "school-1,1-р сургууль,2026,1,454839" in year.text
    assert (await office.get("/costs/report?first=2026-02&last=2026-01")).status_code == 422


# --- KHUR --------------------------------------------------------------------------------------


@pytest.fixture
def khur_server() -> Iterator[KhurServer]:
    server = KhurServer(0, "key")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_look_up_is_recorded_first_then_answered_and_kept(office, city, khur_server) -> None:
    asked = {"register_number": "2000001", "reason": "гэрээ байгуулах"}
    assert (await office.post("/khur/legal-entity", json=asked)).status_code == 503
    city.khur = Khur(khur_server.url, "key")
    first = (await office.post("/khur/legal-entity", json=asked)).json()
    assert (first["outcome"], first["cached"]) == ("found", False) and first["record"]["name"]
    unknown = {"register_number": "1111111", "reason": "гэрээ байгуулах"}
    assert (await office.post("/khur/legal-entity", json=unknown)).json()["outcome"] == "unknown"
    address = {"address_code": "DRK-0007", "reason": "хаяг тулгах"}
    assert (await office.post("/khur/address", json=address)).json()["outcome"] == "found"
    entries = await _audit(city, "khur.ask")
    assert [entry.reason for entry in entries] == [asked["reason"]] * 2 + ["хаяг тулгах"]
    assert all("2000001" not in str(vars(entry)) for entry in entries)
    wrong = await office.post("/khur/legal-entity", json={**asked, "register_number": "12"})
    assert wrong.status_code == 422 and khur_server.counts == {200: 2, 404: 1}
    await city.khur.close()


async def test_an_answer_is_kept_sealed_until_its_time_is_over(office, door, city) -> None:
    calls: list[httpx.Request] = []

    def adapter(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        until = "2099-01-01T00:00:00+00:00"
        record = {"register_number": "2000001", "name": "Нууц ХХК", "status": "active"}
        return httpx.Response(200, json={"outcome": "found", "record": record, "valid_until": until})

    city.khur = Khur("http://khur.test", "key", transport=httpx.MockTransport(adapter))
    asked = {"register_number": "2000001", "reason": "гэрээ байгуулах"}
    for cached in (False, True):
        told = (await office.post("/khur/legal-entity", json=asked)).json()
        assert (told["cached"], told["record"]["name"]) == (cached, "Нууц ХХК")
    async with city.database.read() as session:
        kept = await session.scalar(select(KhurAnswer))
        assert kept is not None and "Нууц" not in str(vars(kept)) and "2000001" not in str(vars(kept))
    city.clock.advance(timedelta(days=31))
    async with await door.machine(["registrar"]) as later:  # no answer is believed longer than 30 days
        assert not (await later.post("/khur/legal-entity", json=asked)).json()["cached"]
    assert len(calls) == 2 and len(await _audit(city, "khur.ask")) == 3
    await city.khur.close()


_GOOD = {"outcome": "found", "valid_until": "2099-01-01T00:00:00+00:00",
         "record": {"register_number": "2000001", "name": "n", "status": "active"}}  # fmt: skip


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (httpx.Response(200, json=_GOOD), "found"),
        (
            httpx.Response(404, json={"outcome": "unknown", "valid_until": "2099-01-01T00:00:00Z"}),
            "unknown",
        ),
        (httpx.Response(404, text="nginx: no such page"), "unreadable"),
        (httpx.Response(200, json={**_GOOD, "valid_until": "2099-01-01"}), "unreadable"),
        (
            httpx.Response(
                200, json={**_GOOD, "record": {**_GOOD["record"], "register_number": "2000002"}}
            ),
            "unreadable",
        ),
        (httpx.Response(200, json={**_GOOD, "record": {**_GOOD["record"], "name": 7}}), "unreadable"),
        (httpx.Response(200, json=[]), "unreadable"),
        (httpx.Response(200, content=b"x" * 70_000), "unreadable"),
        (httpx.Response(302, headers={"Location": "http://elsewhere.test"}), "unreadable"),
        (httpx.Response(401), "refused"),
        (httpx.Response(429, headers={"Retry-After": "7"}), "busy"),
        (httpx.Response(503), "unreachable"),
        (httpx.ConnectTimeout("slow"), "unreachable"),
    ],
)
async def test_whatever_the_adapter_does_is_one_of_six_outcomes(response: Any, outcome: str) -> None:
    def adapter(_request: httpx.Request) -> httpx.Response:
        if isinstance(response, Exception):
            raise response
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    khur = Khur("http://khur.test", "key", transport=httpx.MockTransport(adapter))
    answer = await khur.ask(
        "legal_entity", "2000001", reason="reason", asker="p", request_id="12345678", now_us=0
    )
    assert answer.outcome == outcome and (answer.retry_after_s == 7) is (outcome == "busy")
    await khur.close()


_HEADERS = {
    "Authorization": "Bearer key", "X-Request-Id": "12345678", "Content-Type": "application/json",
}  # fmt: skip
_BODY = b'{"register_number":"2000001","reason":"reason","asker":"p"}'


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/legal-entity", {}, _BODY, 200),
        ("/v1/other", {}, _BODY, 404),
        ("/v1/legal-entity", {"Authorization": "Bearer other"}, _BODY, 401),
        ("/v1/legal-entity", {"X-Request-Id": "x"}, _BODY, 400),
        ("/v1/legal-entity", {"Content-Type": "text/plain"}, _BODY, 400),
        ("/v1/legal-entity", {}, b"{", 400),
        ("/v1/legal-entity", {}, b"7", 400),
        ("/v1/legal-entity", {}, _BODY.replace(b"asker", b"asked"), 422),
        ("/v1/legal-entity", {}, _BODY.replace(b"2000001", b"12"), 422),
        (
            "/v1/legal-entity",
            {},
            _BODY.replace(b'"reason"}', b'"why"}').replace(b':"reason"', b':"why"'),
            422,
        ),
        ("/v1/address", {}, _BODY, 422),
    ],
)
def test_the_stand_in_enforces_the_contract(path: str, headers: Any, body: bytes, status: int) -> None:
    assert judged(path, {**_HEADERS, **headers}, body, "key")[0] == status


# --- labels ------------------------------------------------------------------------------------


async def test_a_label_leads_a_technician_to_the_record_and_tells_a_stranger_nothing(
    app: FastAPI, office, door
) -> None:
    sheet = await office.post("/labels/sheet", json={"kind": "camera", "ids": ["К-1", "К-2"]})
    assert sheet.status_code == 200 and sheet.content.startswith(b"%PDF-"), sheet.text
    again = await office.post("/labels/sheet", json={"kind": "camera", "ids": ["К-1"]})
    assert again.status_code == 200
    missing = await office.post("/labels/sheet", json={"kind": "camera", "ids": ["none"]})
    assert missing.status_code == 404
    async with app.state.city.database.read() as session:
        labels = list(await session.scalars(select(Label)))
    assert len(labels) == 2, "a record keeps its label"
    label = labels[0]
    typed = f"{label.id[:3]}-{label.id[3:6]}-{label.id[6:]}".lower()
    assert (await office.get(f"/labels/{typed}")).json()["object_id"] == label.object_id
    async with door.client() as stranger:
        page = await stranger.get(f"https://city.test/q/{label.id}")
        assert page.status_code == 200 and "хотын өмч" in page.text
        assert label.object_id not in page.text and "camera" not in page.text.split("<main")[-1]
        for wrong in (label.id[:-1] + ("0" if label.id[-1] != "0" else "1"), "x" * 60, "%00"):
            assert (await stranger.get(f"https://city.test/q/{wrong}")).status_code == 404
    led = await office.get(f"https://city.test/q/{label.id}")
    assert led.status_code == 303 and led.headers["location"].startswith("/cameras/")
    assert (await office.post(f"/labels/{label.id}/void")).status_code == 204
    assert (await office.get(f"/labels/{label.id}")).status_code == 404
