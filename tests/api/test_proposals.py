"""Heard detectors and their proposed profiles: shown, and accepted in bulk."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from edge.wire.identity import detector_id
from edge.wire.messages import DeviceFact
from gateway.ingest.sites import apply_device
from tests.api.conftest import TestCity

SITE = "home-1"


def fact(address: str, **rest: Any) -> DeviceFact:
    ident = detector_id(SITE, "zigbee2mqtt", address)
    return DeviceFact(detector=ident, source="zigbee2mqtt", address=address, **rest)


@pytest.fixture
async def heard(registrar: httpx.AsyncClient, city: TestCity) -> list[DeviceFact]:
    """A site that heard three detectors and a siren."""
    assert (await registrar.post("/sites", json={"id": SITE, "title": "Жишээ"})).status_code == 201
    said = {"maker": "TuYa", "model": "TS0205", "senses": ("smoke_alarm",)}
    facts = [
        fact("kitchen", **said, proposed_deadline_s=90_000.0),
        fact("attic", **said, proposed_deadline_s=90_000.0),
        fact("nameless", senses=("co_ppm",), proposed_deadline_s=3600.0),
        fact("bell", maker="Heiman", role="siren"),
    ]
    async with city.database.write() as session:
        for one in facts:
            await apply_device(session, SITE, one, now_us=1)
    return facts


async def test_a_heard_detector_shows_what_its_protocol_proposes(registrar, heard) -> None:
    rows = (await registrar.get("/detectors", params={"status": "unregistered"})).json()["items"]
    by_address = {row["address"]: row for row in rows}
    assert by_address.keys() == {"kitchen", "attic", "nameless"}  # a siren is no detector
    assert by_address["kitchen"]["proposed"] == {"senses": ["smoke_alarm"], "deadline_s": 90_000}
    assert by_address["kitchen"]["maker"] == "TuYa"


async def test_all_are_accepted_at_once_with_one_model_made_of_the_proposal(
    registrar, heard, city
) -> None:
    answer = await registrar.post("/detectors/accept", json={"site_id": SITE, "all": True})
    assert answer.status_code == 200, answer.text
    models = {row["address"]: row["model_id"] for row in answer.json()["items"]}
    assert models == {"kitchen": "tuya-ts0205", "attic": "tuya-ts0205", "nameless": None}
    assert city.woken == ["configs"]
    (model,) = (await registrar.get("/models")).json()["items"]
    assert (model["maker"], model["name"], model["deadline_s"]) == ("TuYa", "TS0205", 90_000)
    assert model["senses"] == ["smoke_alarm"]
    told = (await registrar.get(f"/sites/{SITE}/config")).json()["detectors"]
    assert {row["address"]: row.get("deadline_s") for row in told} == {
        "kitchen": 90_000, "attic": 90_000, "nameless": None,
    }  # fmt: skip
    again = await registrar.post("/detectors/accept", json={"site_id": SITE, "all": True})
    assert (again.status_code, again.json()["items"]) == (200, [])


async def test_the_registers_own_model_of_that_name_wins(registrar, heard) -> None:
    own = {"id": "ours", "maker": "TuYa", "name": "TS0205", "senses": [], "deadline_s": 7200}
    assert (await registrar.post("/models", json=own)).status_code == 201
    body = {"site_id": SITE, "ids": [heard[0].detector]}
    (row,) = (await registrar.post("/detectors/accept", json=body)).json()["items"]
    assert (row["address"], row["model_id"], row["status"]) == ("kitchen", "ours", "in_service")


async def test_one_sources_detectors_are_accepted_and_an_unknown_one_is_refused(
    registrar, heard
) -> None:
    none = {"site_id": SITE, "source": "shelly"}
    assert (await registrar.post("/detectors/accept", json=none)).json()["items"] == []
    for body, status in (
        ({"site_id": SITE}, 409),
        ({"site_id": SITE, "ids": ["d-nobody"]}, 404),
        ({"site_id": "elsewhere", "all": True}, 404),
        ({"site_id": SITE, "all": True, "household_id": "nobody"}, 404),
    ):
        assert (await registrar.post("/detectors/accept", json=body)).status_code == status, body
    zigbee = {"site_id": SITE, "source": "zigbee2mqtt"}
    assert len((await registrar.post("/detectors/accept", json=zigbee)).json()["items"]) == 3
