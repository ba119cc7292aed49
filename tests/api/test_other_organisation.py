"""Every route against somebody whose roles are all another organisation's; made from the routes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI

from gateway.door import needs_of
from registry.rights import GRANTABLE, ROLES
from tests.api.test_cameras import CAMERA, MODEL

#: A right to one's own account is nobody's organisation.
OWN = "me."
#: What is open to anybody is open to them too.
OPEN = ROLES["open"]


async def _organisations(client: Any) -> tuple[str, str]:
    made = [
        (await client.post("/organisations", json={"name": name})).json()["id"]
        for name in ("Ours LLC", "Theirs LLC")
    ]
    return made[0], made[1]


async def _stranger(door: Any, organisation_id: str) -> Any:
    token = await door.people.new_token("theirs", GRANTABLE, 1, organisation_id=organisation_id)
    return door.client(Authorization=f"Bearer {token}")


async def test_a_right_inside_one_organisation_opens_no_door_that_asks_for_it_everywhere(
    app: FastAPI, door: Any, registrar: Any
) -> None:
    _, theirs = await _organisations(registrar)
    tried = 0
    async with await _stranger(door, theirs) as client:
        for method, path, found in needs_of(app):
            assert found is not None
            if found.by_object or found.action in OPEN or found.action.startswith(OWN):
                continue
            url = f"https://city.test{path}".replace("{", "").replace("}", "")
            answer = await client.request(method, url)
            assert answer.status_code in (401, 403), (method, path, answer.status_code)
            tried += 1
    assert tried > 20


@pytest.fixture
async def ours(registrar: Any, door: Any) -> dict[str, str]:
    """Objects of one organisation, by the word that routes have for their id."""
    mine, _ = await _organisations(registrar)
    await registrar.post("/camera-models", json=MODEL)
    held = {"organisation_id": mine}
    async with await door.machine([role for role in GRANTABLE if role != "dispatch"]) as office:
        made = {
            "camera_id": await office.post("/cameras", json=CAMERA | held),
            "specification_id": await office.post(
                "/specifications", json={"kind": "camera", "title": "T"} | held
            ),
            "inspection_id": await office.post(
                "/inspections", json={"title": "I", "held_on": "2026-05-01"} | held
            ),
            "request_id": await office.post(
                "/requests", json={"kind": "request", "text": "x", "channel": "phone"} | held
            ),
        }
    return {name: said.json()["id"] for name, said in made.items() if said.status_code == 201}


async def test_what_belongs_to_one_organisation_is_neither_read_nor_changed_by_another(
    app: FastAPI, door: Any, registrar: Any, ours: dict[str, str]
) -> None:
    assert {"camera_id", "specification_id"} <= ours.keys(), ours
    listed = (await registrar.get("/organisations")).json()["items"]
    theirs = next(one["id"] for one in listed if one["name"] == "Theirs LLC")
    read = changed = 0
    async with await _stranger(door, theirs) as client:
        for method, path, found in needs_of(app):
            name = next((name for name in ours if f"{{{name}}}" in path), None)
            if name is None or found is None or found.action in OPEN or not path.startswith("/api"):
                continue
            url = "https://city.test" + path.replace(f"{{{name}}}", ours[name])
            url = re.sub(r"\{[^}]+\}", "1", url)
            answer = await client.request(method, url, json={}, headers={"If-Match": "*"})
            if method == "GET":
                typed = (422,) if "{" in path.replace(f"{{{name}}}", "") else ()  # another id's form
                assert answer.status_code in (401, 403, 404, *typed), (path, answer.status_code)
                read += 1
            else:
                assert answer.status_code >= 400, (method, path, answer.status_code)
                changed += 1
        for kind in ("cameras", "specifications", "inspections", "requests"):
            answer = await client.get(f"/{kind}")
            assert not any(one in answer.text for one in ours.values()), kind
    assert read >= 4
    assert changed >= 6
