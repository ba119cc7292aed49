"""Organisations, and the past of any record, through the door."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from registry import audit
from registry.models import AuditEntry

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
OFFICE = {
    "name": "Жишээ газар", "kind": "city", "register_number": "1234567", "unit_code": "11",
    "contact": "Жишээ Дорж, 99112233",
}  # fmt: skip
MATCH = {"If-Match": "*"}


async def _made(registrar, **fields) -> dict:
    answer = await registrar.post("/organisations", json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


@BOTH
async def test_an_organisation_is_entered_changed_opened_and_its_past_is_told(registrar, city) -> None:
    made = await _made(registrar, **OFFICE)
    assert made["has_contact"] is True
    url = f"/organisations/{made['id']}"
    changed = await registrar.patch(url, json={"note": "moved"}, headers={"If-Match": '"1"'})
    assert changed.headers["etag"] == '"2"'
    assert (await registrar.post(f"{url}/open")).json() == {"contact": OFFICE["contact"]}
    story = (await registrar.get(f"/history/organisation/{made['id']}")).json()["items"]
    actions = [row["action"].partition(".")[2] for row in story]
    assert actions == ["open", "change", "create"]
    assert (story[1]["before"]["note"], story[1]["after"]["note"]) == ("", "moved")
    assert story[2]["after"]["contact"] == audit.SEALED
    assert story[0]["actor"] is None, "who it was is for those who audit"
    async with city.database.read() as session:
        assert all("9911" not in f"{row.after}" for row in await session.scalars(select(AuditEntry)))
        assert (await audit.verify(session)).ok


@pytest.mark.parametrize("number", ["УБ90010112", "123456", "12345678"])
async def test_a_citizens_number_is_refused(registrar, number) -> None:
    answer = await registrar.post("/organisations", json={"name": "X", "register_number": number})
    assert answer.status_code == 409
    assert "seven digits" in answer.json()["detail"]
    assert number not in answer.text


async def test_the_same_name_or_register_number_names_its_holder(registrar) -> None:
    made = await _made(registrar, **OFFICE)
    for field in ("name", "register_number"):
        body = {"name": "Another", field: OFFICE[field]}
        answer = await registrar.post("/organisations", json=body)
        assert answer.status_code == 409
        assert answer.json()["held_by"]["id"] == made["id"]


async def test_no_organisation_belongs_to_itself(registrar) -> None:
    above = await _made(registrar, name="Above")
    below = await _made(registrar, name="Below", parent_id=above["id"])
    answer = await registrar.patch(
        f"/organisations/{above['id']}", json={"parent_id": below["id"]}, headers=MATCH
    )
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["field"] == "body.parent_id"


async def test_what_hangs_on_an_organisation_keeps_it_and_follows_a_merge(registrar) -> None:
    one, two = [await _made(registrar, name=name) for name in ("One", "Two")]
    camera = {"number": "DK-1", "organisation_id": two["id"]}
    camera = (await registrar.post("/cameras", json=camera)).json()
    child = await _made(registrar, name="Child", parent_id=two["id"])
    why = {"reason": "entered twice"}
    kept = await registrar.post(f"/organisations/{two['id']}/remove", json=why, headers=MATCH)
    assert (kept.status_code, "a camera hangs" in kept.text) == (409, True)
    merged = await registrar.post(
        f"/organisations/{one['id']}/merge", json={**why, "other_id": two["id"]}, headers=MATCH
    )
    assert merged.status_code == 200, merged.text
    moved = (await registrar.get(f"/cameras/{camera['id']}")).json()
    assert (moved["organisation_id"], moved["version"]) == (one["id"], 2)
    below = (await registrar.get(f"/organisations/{child['id']}")).json()
    assert below["parent_id"] == one["id"]
    names = [row["name"] for row in (await registrar.get("/organisations")).json()["items"]]
    assert sorted(names) == ["Child", "One"]
    removed = await registrar.post(f"/organisations/{child['id']}/remove", json=why, headers=MATCH)
    assert removed.json()["gone_at"] is not None
    back = await registrar.post(f"/organisations/{child['id']}/restore", json=why, headers=MATCH)
    assert back.json()["gone_at"] is None


async def test_the_audit_is_listed_for_those_who_audit_alone(door, registrar) -> None:
    made = await _made(registrar, **OFFICE)
    assert (await registrar.get("/audit")).status_code == 403
    async with await door.machine(["auditor"]) as auditor:
        found = (await auditor.get("/audit", params={"object_id": made["id"]})).json()["items"]
        assert [row["action"] for row in found] == ["organisation.create"]
        assert found[0]["actor"]
        story = (await auditor.get(f"/history/organisation/{made['id']}")).json()["items"]
        assert story[0]["actor"] == found[0]["actor"]
        first = (await auditor.get("/audit", params={"limit": 1})).json()
        rest = (await auditor.get("/audit", params={"cursor": first["next"]})).json()["items"]
        assert first["items"][0]["id"] > rest[0]["id"]
