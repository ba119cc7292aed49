"""The fibre plant through the API: changed, traced, asked, imported, exported, printed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from alerts.models import Delivery, Notification
from registry.fibre.geojson import ofds, read_features, read_ofds
from registry.fibre.ofds_rules import broken_rules
from registry.fibre.operations import check_all, operations_of
from registry.fibre.plant import Plant
from registry.fibre.whole import operations_from, read_workbook
from utaa import demo_fibre

BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)

URL = "https://city.test/api/v1/fibre"


@asynccontextmanager
async def _built(door: Any) -> AsyncIterator[Any]:
    async with await door.machine(["registrar", "duty"]) as client:
        answer = await client.post(f"{URL}/changes", json={"operations": demo_fibre.operations()})
        assert answer.status_code == 200, answer.text
        yield client


@BOTH
async def test_a_plant_is_entered_traced_and_asked(door) -> None:
    async with _built(door) as client:
        said = (await client.get(f"{URL}/trace", params={"end": "ONU-2-3/1/front"})).json()
        assert [hop["kind"] for hop in said["hops"]][-1] == "device"
        assert said["budget"]["verdict"] == "ok"
        svg = await client.get(f"{URL}/trace", params={"end": "ONU-2-3/1/front", "format": "svg"})
        assert svg.headers["content-type"].startswith("image/svg+xml")
        lost = (await client.get(f"{URL}/impact", params={"element": demo_fibre.TRENCH})).json()
        assert (lost["cameras"], lost["sites"]) == (8, 1)
        assert lost["subjects"][0]["subject"] == f"site:{demo_fibre.SCHOOL}"  # the most critical first
        names = [each["subject"] for each in lost["subjects"]]
        found = (await client.post(f"{URL}/locate", json={"lost": names})).json()
        assert found["causes"][0]["sections"][0]["elements"][0] == demo_fibre.TRENCH
        ways = (await client.get(f"{URL}/redundancy", params={"kind": "camera"})).json()
        assert ways["on_a_single_way"] == 16
        paper = await client.get(f"{URL}/nodes/CAB-2/splice-plan", params={"format": "pdf"})
        assert paper.content.startswith(b"%PDF")
        free = (await client.get(f"{URL}/free-way", params={"a": "POP-1", "b": "CAB-2"})).json()
        assert [leg["strand"] for leg in free["legs"]] == [2]
        place = await client.post(f"{URL}/otdr?end=F-2/1/A&distance_m=500")
        assert place.json()["place"]["unit"] == demo_fibre.TRENCH


async def test_changes_are_taken_whole_or_not_at_all_and_a_dry_run_takes_nothing(door) -> None:
    async with _built(door) as client:
        version = (await client.get(f"{URL}/summary")).json()["version"]
        wrong = [
            {"do": "node", "id": "NEW", "kind": "pole", "lon": 106.9, "lat": 47.9},
            {"do": "joint", "kind": "splice", "a": "F-1/1/B", "b": "F-1/2/B"},
            {"do": "cable", "id": "SHORT", "type": "G652-2", "a": "POP-1", "routes": ["R-1"],
             "sheath_m": 5},
        ]  # fmt: skip
        answer = await client.post(f"{URL}/changes", json={"operations": wrong})
        assert answer.status_code == 422
        fields = {each["field"]: each["detail"] for each in answer.json()["errors"]}
        assert fields["operations.1"].startswith("end_in_use: ")
        assert "too_short: cable SHORT: 5.0 m of sheath" in fields["operations.2"]
        strange = await client.post(f"{URL}/changes", json={"operations": [{"do": "explode"}]})
        assert strange.status_code == 422
        dry = await client.post(f"{URL}/changes", json={"operations": wrong[:1], "dry_run": True})
        assert dry.json() == {"taken": 1, "dry_run": True, "version": version, "notes": []}
        assert (await client.get(f"{URL}/summary")).json()["version"] == version


async def test_what_is_exported_is_imported_into_an_empty_city(door) -> None:
    async with _built(door) as client:
        for format in ("geojson", "xlsx", "ofds"):
            content = (await client.get(f"{URL}/exports/{format}")).content
            again = await client.post(f"{URL}/imports/{format}?dry_run=true", content=content)
            if format == "xlsx":  # a workbook says what is to be entered: it is there already
                assert again.status_code == 422
                assert "name_taken" in again.text
            else:
                assert again.json()["taken"] == 0
            _check_copy(format, content)


def _check_copy(format: str, content: bytes) -> None:
    city, own = Plant(), Plant()
    if format == "xlsx":
        said = read_workbook(content)
    else:
        said, notes = (read_features if format == "geojson" else read_ofds)(content, city)
        assert notes == []
    check_all(city, operations_of(said))
    check_all(own, operations_of(demo_fibre.operations()))
    assert city.nodes == own.nodes
    assert {r: each.now.length_m for r, each in city.routes.items()} == pytest.approx(
        {r: each.now.length_m for r, each in own.routes.items()}
    )
    installs = {route: each.now.install for route, each in own.routes.items()}
    assert {route: each.now.install for route, each in city.routes.items()} == installs
    if format == "ofds":
        assert broken_rules(json.loads(content)) == []
    else:
        assert list(_whole(city)) == list(_whole(own))


def _whole(plant: Plant) -> Iterator[dict[str, Any]]:
    """Everything but the makers of cables, which a map layer does not have, and names made up."""
    for said in operations_from(plant):
        made_up = {"id": ""} if said["do"] == "joint" else {}
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in said.items()}
        yield {**rounded, "maker": "", **made_up}


def _package() -> dict[str, Any]:
    plant = Plant()
    check_all(plant, operations_of(demo_fibre.operations()))
    return ofds(plant, name="Дархан", publisher="Utaa")


@pytest.mark.parametrize(
    ("at", "value", "rule"),
    [
        (("id",), "utaa", "networks/0/id: expected a UUID"),
        (("links",), [], "networks/0/links: empty"),
        (("links", 0, "rel"), "self", "networks/0/links/0"),
        (("crs",), {"name": "x"}, "networks/0/crs: expected name and uri"),
        (("nodes",), [], "networks/0/nodes: empty"),
        (("nodes", 1, "id"), "POP-1", "networks/0/nodes/1/id: 'POP-1' is used before"),
        (("nodes", 0, "name"), "", "networks/0/nodes/0/name: empty"),
        (("nodes", 0, "type"), "pop", "networks/0/nodes/0/type: expected a list"),
        (("nodes", 0, "location", "type"), "LineString", "nodes/0/location: expected a Point"),
        (("nodes", 0, "location", "coordinates"), [200, 1], "nodes/0/location/coordinates"),
        (("spans", 0, "status"), "alive", "networks/0/spans/0/status: expected one of proposed"),
        (("spans", 0, "end"), "NOWHERE", "networks/0/spans/0/end: expected the id of a node"),
        (("spans", 0, "deployment"), ["ducted"], "networks/0/spans/0/deployment: expected of above"),
        (("spans", 0, "fibreCount"), 1.5, "networks/0/spans/0/fibreCount"),
        (("spans", 0, "route", "coordinates"), [[1, 1]], "networks/0/spans/0/route/coordinates"),
    ],
)  # fmt: skip
def test_each_rule_of_the_fibre_standard_that_is_broken_is_named(
    at: tuple[Any, ...], value: Any, rule: str
) -> None:
    package = _package()
    assert broken_rules(package) == []
    place: Any = package["networks"][0]
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = value
    assert any(rule in told for told in broken_rules(package))


def test_a_plant_without_anything_is_still_a_package_of_the_standard() -> None:
    package = ofds(Plant(), name="Дархан", publisher="Utaa")
    assert broken_rules(package) == [] and "nodes" not in package["networks"][0]
    assert read_ofds(json.dumps(package).encode(), Plant()) == ([], [])
    assert broken_rules({"networks": []}) and broken_rules(None) and broken_rules({"networks": [1]})


async def test_a_change_thought_out_on_an_older_plant_is_shown_what_others_did(door) -> None:
    async with _built(door) as client:
        read = (await client.get(f"{URL}/summary")).headers["ETag"]
        poles = [
            {"operations": [{"do": "node", "id": name, "kind": "pole", "lon": 106.9, "lat": 47.9}]}
            for name in ("P-1", "P-2")
        ]
        first = await client.post(f"{URL}/changes", json=poles[0], headers={"If-Match": read})
        assert first.status_code == 200 and first.headers["ETag"] != read
        late = await client.post(f"{URL}/changes", json=poles[1], headers={"If-Match": read})
        assert late.status_code == 412 and late.headers["ETag"] == first.headers["ETag"]
        told = late.json()
        assert told["current"]["version"] == told["seen"]["version"] + 1
        (other,) = told["current"]["others"]
        assert other["changes"] == [["fibre.node", "P-1"]]
        file = await client.post(
            f"{URL}/imports/geojson", headers={"If-Match": read},
            content=json.dumps({"features": [_pole("P-2")]}).encode(),
        )  # fmt: skip
        assert file.status_code == 412
        newest = {"If-Match": late.headers["ETag"]}
        assert (await client.post(f"{URL}/changes", json=poles[1], headers=newest)).status_code == 200
        strange = await client.post(f"{URL}/changes", json=poles[1], headers={"If-Match": "x"})
        assert strange.status_code == 412


def _pole(name: str) -> dict[str, Any]:
    point = {"type": "Point", "coordinates": [106.9, 47.9]}
    return {"geometry": point, "properties": {"layer": "node", "id": name, "kind": "pole"}}


async def test_lengths_that_a_line_contradicts_are_told_and_bad_files_refused(door) -> None:
    async with _built(door) as client:
        content = (await client.get(f"{URL}/exports/geojson")).json()
        route = next(f for f in content["features"] if f["properties"]["layer"] == "route")
        route["properties"] |= {"id": "R-LONG", "length_m": 5000.0}
        answer = await client.post(
            f"{URL}/imports/geojson", content=json.dumps({"features": [route]}).encode()
        )
        assert answer.json()["dry_run"] is True
        assert answer.json()["notes"][0].startswith("R-LONG: 5000.0 m in the file")
        for body in (b"", b"{", b"[]", b'{"features": [{}]}', b'{"features": [1]}'):
            assert (await client.post(f"{URL}/imports/geojson", content=body)).status_code == 422
            assert (await client.post(f"{URL}/imports/xlsx", content=body)).status_code == 422


async def test_an_editable_loss_needs_its_source(door) -> None:
    async with _built(door) as client:
        before = (await client.get(f"{URL}/trace", params={"end": "ONU-2-3/1/front"})).json()["budget"]
        bad = await client.put(f"{URL}/losses/connector_db", json={"value": 0.2, "source": ""})
        assert bad.status_code == 422
        good = await client.put(f"{URL}/losses/connector_db", json={"value": 0.2, "source": "measured"})
        assert good.status_code == 204
        after = (await client.get(f"{URL}/trace", params={"end": "ONU-2-3/1/front"})).json()["budget"]
        assert before["loss_db"] - after["loss_db"] == pytest.approx(
            0.3 * before["connectors"], abs=0.02
        )
        assert (
            await client.put(f"{URL}/losses/luck_db", json={"value": 1, "source": "x"})
        ).status_code == 404


async def test_a_service_is_traced_when_it_is_entered_and_lives_by_its_table(door) -> None:
    async with _built(door) as client:
        body = {
            "id": "SV-1", "a_end": "ONU-2-3/1/front", "z_end": "OLT/2/front", "wavelength_nm": 1310,
            "monthly_cost_mnt": 250_000,
        }  # fmt: skip
        made = (await client.post(f"{URL}/services", json=body)).json()
        assert made["verdict"] == "ok"
        assert made["calculated_loss_db"] > 10
        wrong = await client.post(
            f"{URL}/services", json={**body, "id": "SV-2", "z_end": "OLT/1/front"}
        )
        assert wrong.status_code == 404
        early = await client.post(f"{URL}/services/SV-1/status", json={"status": "faulty"})
        assert early.status_code == 409
        step = await client.post(
            f"{URL}/services/SV-1/status", json={"status": "active", "measured_loss_db": 27.0}
        )
        assert step.json()["verdict"] == "tight"
        own = {"value": 0.5, "source": "measured by the city"}
        assert (await client.put(f"{URL}/losses/margin_db", json=own)).status_code == 204
        (listed,) = [
            each for each in (await client.get(f"{URL}/services")).json() if each["id"] == "SV-1"
        ]
        assert listed["verdict"] == "ok"  # by the margin the city has set


async def test_work_is_planned_announced_and_ended_by_those_who_may(door) -> None:
    async with _built(door) as client:
        body = {"title": "T-2", "elements": [demo_fibre.TRENCH], "starts_us": 10, "ends_us": 20}
        backwards = await client.post(f"{URL}/works", json={**body, "ends_us": 5})
        assert backwards.status_code == 422
        nothing = await client.post(f"{URL}/works", json={**body, "elements": ["trench:T-99"]})
        assert nothing.status_code == 404
        work = (await client.post(f"{URL}/works", json=body)).json()
        async with await door.machine(["technician"]) as technician:
            refused = await technician.post(f"{URL}/works/{work['id']}/announce")
            assert refused.status_code == 403
        told = (await client.post(f"{URL}/works/{work['id']}/announce")).json()
        assert (told["status"], told["cameras"], told["told"]) == ("announced", 8, 0)
        assert (await client.post(f"{URL}/works/{work['id']}/announce")).status_code == 409
        assert (await client.post(f"{URL}/works/{work['id']}/cancel")).json()["status"] == "cancelled"


async def test_organisations_whose_services_lead_through_are_shown_and_then_told(door, city) -> None:
    async with _built(door) as client:
        offices = {}
        for name, contact in (("Сургууль 7", "Захирал, office@example.mn, 99112233"), ("ХХК", "99")):
            made = await door_post(client, "/organisations", {"name": name, "contact": contact})
            offices[name] = made["id"]
        for number, owner in enumerate(offices.values(), 1):
            service = {
                "id": f"SV-{number}", "a_end": f"ONU-2-{number}/1/front", "z_end": "OLT/2/front",
                "wavelength_nm": 1310, "organisation_id": owner,
            }  # fmt: skip
            await door_post(client, "/fibre/services", service)
            step = {"status": "active"}
            await door_post(client, f"/fibre/services/SV-{number}/status", step)
        body = {"title": "T-2", "elements": [demo_fibre.TRENCH], "starts_us": 10, "ends_us": 20}
        work = await door_post(client, "/fibre/works", body)
        where = f"{URL}/works/{work['id']}"
        seen = (await client.get(f"{where}/affected")).json()
        assert (seen["cameras"], seen["homes_told"]) == (8, 0)
        shown = {one["id"]: (one["services"], one["addresses"]) for one in seen["organisations"]}
        assert shown == {
            offices["Сургууль 7"]: (["SV-1"], ["o…@e…"]), offices["ХХК"]: (["SV-2"], []),
        }  # fmt: skip
        async with city.database.read() as session:
            assert (await session.scalars(select(Notification))).all() == []
        other = await door_post(client, "/fibre/works", {**body, "elements": ["trench:T-1"]})
        before = (await client.get(f"{URL}/works/{other['id']}/affected")).json()
        assert {one["id"] for one in before["organisations"]} <= set(offices.values())
        assert (await client.post(f"{where}/announce")).json()["told"] == 1
    async with city.database.read() as session:
        (told,) = (await session.scalars(select(Notification))).all()
        (way,) = (await session.scalars(select(Delivery))).all()
    assert (told.message, way.channel, way.state) == ("fibre_work_office", "email", "queued")
    assert way.priority > 0 and way.first_due_us >= way.queued_us


async def door_post(client: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(f"https://city.test/api/v1{path}", json=body)
    assert answer.status_code in (200, 201), answer.text
    made: dict[str, Any] = answer.json()
    return made
