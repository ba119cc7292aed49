"""Cameras through the door: their fields, life, twins, sight, and two people editing one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from edge.wire.clock import rfc3339
from registry import audit
from registry.cameras.life import ASKED, STATES, STEPS
from registry.cameras.models import Camera
from registry.evidence import Asked
from registry.models import AuditEntry, LifeStep, RoleGrant
from registry.rights import GRANTABLE, ROLES
from registry.specifications.models import Specification

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
MODEL = {
    "id": "example-b2", "maker": "Example", "name": "B2", "sensor_width_px": 1920,
    "sensor_height_px": 1080, "hfov_min_deg": 30, "hfov_max_deg": 90, "onvif_profiles": ["S", "T"],
}  # fmt: skip
CAMERA = {
    "number": "DK-0001", "name": "Төв талбай", "model_id": "example-b2", "serial": "SN1",
    "mac": "3C-EF-8C-01-02-03", "ip": "10.16.4.21", "lat": 47.92, "lon": 108.4, "unit_code": "110151",
    "mount": "pole", "height_m": 4, "azimuth_deg": 90, "tilt_deg": 20,
    "stream_address": "rtsp://admin:hunter2hunter2@10.16.4.21/stream1",
}  # fmt: skip
PROOFS: dict[str, dict[str, Any]] = {
    "install": {"installed_on": "2026-01-05", "installed_by": "Example LLC"},
    "inspect": {
        "inspected_on": "2026-01-06", "report": "26/1", "picture_good": True, "masks_checked": True,
    },
    "register": {"decided_on": "2026-01-07", "decision": "A/12"},
    "activate": {"recording_checked_on": "2026-01-08"},
    "break": {"found_on": "2026-01-09", "fault": "no_power"},
    "repair": {"repaired_on": "2026-01-10", "work": "new supply"},
    "retire": {"removed_on": "2026-01-11", "recordings": "deleted"},
}  # fmt: skip


@pytest.fixture
async def camera(registrar: httpx.AsyncClient) -> dict[str, Any]:
    assert (await registrar.post("/camera-models", json=MODEL)).status_code == 201
    answer = await registrar.post("/cameras", json=CAMERA)
    assert answer.status_code == 201, answer.text
    return answer.json()


@BOTH
async def test_a_camera_is_entered_listed_changed_and_found_on_the_map(registrar, camera) -> None:
    assert camera["mac"] == "3c:ef:8c:01:02:03"
    assert (camera["maker"], camera["state"], camera["version"]) == ("Example", "planned", 1)
    url = f"/cameras/{camera['id']}"
    changed = await registrar.patch(url, json={"name": "Талбай"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    listed = (await registrar.get("/cameras", params={"unit": "1101", "number": "DK"})).json()
    assert [(row["number"], row["name"]) for row in listed["items"]] == [("DK-0001", "Талбай")]
    around = await registrar.get("/cameras/map", params={"bbox": "108.3,47.9,108.5,48.0"})
    assert around.headers["content-type"] == "application/geo+json"
    (feature,) = around.json()["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [108.4, 47.92]}
    assert feature["properties"]["number"] == "DK-0001"
    elsewhere = await registrar.get("/cameras/map", params={"bbox": "106,47,107,48"})
    assert elsewhere.json()["features"] == []


async def test_pages_of_cameras_follow_each_other(registrar, camera) -> None:
    for number in ("DK-0003", "DK-0002"):
        assert (await registrar.post("/cameras", json={"number": number})).status_code == 201
    first = (await registrar.get("/cameras", params={"limit": 2})).json()
    rest = (await registrar.get("/cameras", params={"limit": 2, "cursor": first["next"]})).json()
    numbers = [row["number"] for row in [*first["items"], *rest["items"]]]
    assert (numbers, rest["next"]) == (["DK-0001", "DK-0002", "DK-0003"], None)


@pytest.mark.parametrize("field", ["number", "serial", "mac", "ip"])
async def test_what_another_camera_has_is_refused_and_it_is_named(registrar, camera, field) -> None:
    twin = {"number": "DK-0002", "model_id": "example-b2", field: CAMERA[field]}
    answer = await registrar.post("/cameras", json=twin)
    assert answer.status_code == 409, answer.text
    problem = answer.json()
    assert problem["errors"][0]["field"] == f"body.{field}"
    assert problem["held_by"] == {"kind": "camera", "id": camera["id"], "name": "DK-0001"}


async def test_the_same_ip_in_another_network_is_another_address(registrar, camera) -> None:
    twin = {"number": "DK-0002", "ip": CAMERA["ip"], "network": "khoroo-7"}
    assert (await registrar.post("/cameras", json=twin)).status_code == 201


async def test_a_check_before_saving_names_what_is_held_and_what_is_near(registrar, camera) -> None:
    near = {"lat": 47.92001, "lon": 108.4, "azimuth_deg": 76, "mac": CAMERA["mac"]}
    found = (await registrar.post("/cameras/check", json=near)).json()
    assert [row["field"] for row in found["held"]] == ["mac"]
    (candidate,) = found["near"]
    assert candidate["number"] == "DK-0001"
    assert candidate["distance_m"] == pytest.approx(1.11, abs=0.02)
    assert candidate["turn_deg"] == pytest.approx(14)
    for other in ({"azimuth_deg": 74}, {"lat": 47.92004}):
        nothing = (await registrar.post("/cameras/check", json={**near, "mac": None, **other})).json()
        assert nothing == {"held": [], "near": []}
    own = await registrar.post("/cameras/check", json=near, params={"own": camera["id"]})
    assert own.json() == {"held": [], "near": []}


@BOTH
async def test_two_people_edit_one_camera_and_the_second_sees_both_versions(
    door, registrar, camera, city
) -> None:
    url = f"/cameras/{camera['id']}"
    async with await door.machine(["registrar"]) as other:
        first = await registrar.patch(url, json={"place": "north"}, headers={"If-Match": '"1"'})
        assert first.status_code == 200
        mine = {"place": "south", "stream_secret": "user:secret-of-mine"}
        second = await other.patch(url, json=mine, headers={"If-Match": '"1"'})
    assert second.status_code == 412
    problem = second.json()
    assert second.headers["etag"] == '"2"'
    assert (problem["seen"]["place"], problem["seen"]["version"]) == ("", 1)
    assert (problem["current"]["place"], problem["current"]["version"]) == ("north", 2)
    assert problem["yours"] == {"place": "south"}
    assert "secret-of-mine" not in second.text
    assert "hunter2" not in second.text
    assert (await registrar.patch(url, json={"place": "x"})).status_code == 428


async def test_a_streams_password_is_sealed_and_its_reading_recorded(
    door, registrar, camera, city
) -> None:
    assert camera["stream_address"] == "rtsp://10.16.4.21/stream1"
    assert camera["has_stream_secret"] is True
    opened = await registrar.post(f"/cameras/{camera['id']}/open")
    assert opened.json()["stream_secret"] == "admin:hunter2hunter2"
    async with await door.machine(["administrator"]) as administrator:
        refused = await administrator.post(f"/cameras/{camera['id']}/open")
        assert refused.status_code == 403
    async with city.database.read() as session:
        entries = list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
        assert [entry.object_id for entry in entries if entry.action == "camera.open"] == [camera["id"]]
        assert all("hunter2" not in f"{entry.before}{entry.after}" for entry in entries)
        stored = await session.get(Camera, camera["id"])
        assert b"hunter2" not in stored.stream_secret.blob
        assert (await audit.verify(session)).ok


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mac", "3c:ef:8c:01:02"), ("mac", "ff:ff:ff:ff:ff:ff"), ("ip", "10.16.4.256"),
        ("ip", "0.0.0.0"), ("stream_address", "10.16.4.21"), ("privacy_masks", [[[0, 0], [1, 1]]]),
        ("privacy_masks", [[[0, 0], [1, 1], [2, 0]]]), ("retention_h", 719), ("lat", 47.0),
    ],
)  # fmt: skip
async def test_a_field_that_cannot_be_is_named(registrar, field, value) -> None:
    answer = await registrar.post("/cameras", json={"number": "X", field: value})
    assert answer.status_code == 409, answer.text
    named = answer.json()["errors"][0]["field"]
    assert named == ("body.lon" if field == "lat" else f"body.{field}")


async def test_recordings_kept_for_less_than_720_hours_need_a_waiver_with_a_reason(
    registrar, camera
) -> None:
    url = f"/cameras/{camera['id']}"
    short = {"retention_h": 168, "retention_waiver": "no recorder before the new building"}
    waived = await registrar.patch(url, json=short, headers={"If-Match": "*"})
    assert waived.json()["retention_waiver"] == short["retention_waiver"]
    kept = await registrar.patch(url, json={"retention_h": 720}, headers={"If-Match": "*"})
    assert kept.json()["retention_waiver"] is None


async def _camera_in(city, state: str, number: str = "T-1") -> str:
    """A camera in that state, with every fact that any step asks for, mounted by nobody's hand."""
    async with city.database.write() as session:
        camera = Camera(
            number=number, name="", maker="Example", serial=number, network="", place="", lat=47.9,
            lon=106.9, indoor=False, purpose="order", legal_basis="law", notice_sign=True,
            mount="pole", height_m=4.0, azimuth_deg=0.0, tilt_deg=10.0, unit_code="1101",
            privacy_masks=[], retention_h=720, recorder="NVR-1", switch_port="", ip=None, note="",
            state=state, created_us=city.clock.now_us(),
        )  # fmt: skip
        session.add(camera)
        await session.flush()
        return camera.id


async def test_every_state_step_and_role_is_answered_as_the_table_says(door, city, monkeypatch) -> None:
    """7 states × 7 steps × every role: 403 without the right, 409 from a wrong state, else done."""
    monkeypatch.setattr(
        "registry.cameras.life.ASKED", {s: Asked(a.proofs, {}) for s, a in ASKED.items()}
    )
    for role in GRANTABLE:
        async with await door.machine([role]) as client:
            for state in STATES:
                ident = await _camera_in(city, state, f"{role}-{state}")
                for name, step in STEPS.items():
                    body = {"evidence": PROOFS[name], "reason": "test"}
                    url = f"/cameras/{ident}/steps/{name}"
                    answer = await client.post(url, json=body, headers={"If-Match": "*"})
                    if "camera.read" not in ROLES[role] or step.right not in ROLES[role]:
                        expected = 403
                    elif state not in step.origins:
                        expected = 409
                    else:
                        expected = 200
                    assert answer.status_code == expected, (role, state, name, answer.text)
                    if expected == 200:
                        assert answer.json()["state"] == step.goal
                        async with city.database.write() as session:
                            camera = await session.get(Camera, ident)
                            camera.state, camera.retired_us = state, None


@BOTH
async def test_a_camera_lives_through_all_its_steps_with_their_proofs(door, registrar, city) -> None:
    await registrar.post("/camera-models", json=MODEL)
    organisation = await registrar.post("/organisations", json={"name": "Example Office"})
    async with city.database.write() as session:
        specification = Specification(
            number="T-2026-001", kind="camera", title="x", author_id="a", created_us=1
        )
        session.add(specification)
    facts = {
        "organisation_id": organisation.json()["id"], "specification_id": specification.id,
        "retention_h": 720, "purpose": "order", "legal_basis": "a law", "recorder": "NVR-1",
        "notice_sign": True,
    }  # fmt: skip
    made = (await registrar.post("/cameras", json={**CAMERA, **facts})).json()
    url = f"/cameras/{made['id']}"
    roles = {
        "install": "technician",
        "inspect": "approver",
        "break": "technician",
        "repair": "technician",
    }
    way = ("install", "inspect", "register", "activate", "break", "repair", "retire")
    for step in way:
        city.clock.advance(timedelta(minutes=1))
        async with await door.machine([roles.get(step, "registrar")]) as client:
            early = await client.post(f"{url}/steps/{step}", json={}, headers={"If-Match": "*"})
            assert early.status_code == 422, early.text
            named = {error["field"] for error in early.json()["errors"]}
            assert named == {f"body.evidence.{name}" for name in PROOFS[step]}
            body = {"evidence": PROOFS[step], "reason": "worn out"}
            taken = await client.post(f"{url}/steps/{step}", json=body, headers={"If-Match": "*"})
            assert taken.status_code == 200, taken.text
    life = (await registrar.get(f"{url}/life")).json()
    assert [step["to_state"] for step in life["steps"]] == [
        "planned", "installed", "inspected", "registered", "active", "faulty", "active", "retired",
    ]  # fmt: skip
    assert life["steps"][1]["evidence"] == PROOFS["install"]
    assert life["next"] == []
    again = {**CAMERA, "number": "DK-0002", "serial": "SN2", "mac": None}
    assert (await registrar.post("/cameras", json=again)).status_code == 201, "its IP is free again"


async def test_whoever_recorded_the_mounting_does_not_inspect_it(door, city, registrar, camera) -> None:
    async with await door.machine(["technician", "approver"]) as both:
        url = f"/cameras/{camera['id']}"
        await registrar.patch(url, json={"notice_sign": True}, headers={"If-Match": "*"})
        for step, status in (("install", 200), ("inspect", 403)):
            body = {"evidence": PROOFS[step]}
            answer = await both.post(f"{url}/steps/{step}", json=body, headers={"If-Match": "*"})
            assert answer.status_code == status, answer.text


async def test_retiring_without_a_reason_is_refused(registrar, city) -> None:
    ident = await _camera_in(city, "active")
    answer = await registrar.post(
        f"/cameras/{ident}/steps/retire", json={"evidence": PROOFS["retire"]}, headers={"If-Match": "*"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.reason"
    async with city.database.read() as session:
        assert (await session.get(Camera, ident)).state == "active"
        assert list(await session.scalars(select(LifeStep))) == []


@BOTH
async def test_any_day_shows_the_camera_as_it_was(registrar, camera, city) -> None:
    url = f"/cameras/{camera['id']}"
    times = []
    for place in ("one", "two", "three"):
        city.clock.advance(timedelta(hours=1))
        answer = await registrar.patch(url, json={"place": place}, headers={"If-Match": "*"})
        assert answer.status_code == 200
        times.append(rfc3339(city.clock.now_us()))
    told = [(await registrar.get(url, params={"at": at})).json() for at in times]
    assert [(row["place"], row["version"]) for row in told] == [("one", 2), ("two", 3), ("three", 4)]
    before = await registrar.get(url, params={"at": "2020-01-01"})
    assert before.status_code == 404
    assert (await registrar.get(url, params={"at": "2026-13-01"})).status_code == 422


@BOTH
async def test_a_merge_keeps_both_histories_and_needs_a_reason(registrar, camera, city) -> None:
    other = {"number": "DK-0002", "place": "east gate", "serial": "SN9", "maker": "Example"}
    gone = (await registrar.post("/cameras", json=other)).json()
    url = f"/cameras/{camera['id']}/merge"
    bare = await registrar.post(url, json={"other_id": gone["id"]}, headers={"If-Match": "*"})
    assert bare.status_code == 422
    body = {"other_id": gone["id"], "reason": "entered twice"}
    merged = await registrar.post(url, json=body, headers={"If-Match": "*"})
    assert merged.status_code == 200, merged.text
    assert (merged.json()["place"], merged.json()["serial"]) == ("east gate", "SN1")
    left = (await registrar.get(f"/cameras/{gone['id']}")).json()
    assert left["merged_into_id"] == camera["id"]
    assert [row["number"] for row in (await registrar.get("/cameras")).json()["items"]] == ["DK-0001"]
    for ident in (camera["id"], gone["id"]):
        story = (await registrar.get(f"/history/camera/{ident}")).json()["items"]
        assert [row["action"] for row in story] == ["camera.merge", "camera.create"]
        assert story[0]["reason"] == "entered twice"


async def test_many_cameras_change_as_the_preview_showed_or_not_at_all(registrar, camera, city) -> None:
    two = (await registrar.post("/cameras", json={"number": "DK-0002"})).json()
    ids = [camera["id"], two["id"]]
    wanted = {"ids": ids, "set": {"recorder": "NVR-7", "retention_h": 100}}
    shown = (await registrar.post("/cameras/bulk", json=wanted)).json()
    assert (shown["applied"], shown["problems"]) == (False, 2)
    wanted["set"] = {"recorder": "NVR-7"}
    shown = (await registrar.post("/cameras/bulk", json=wanted)).json()
    assert shown["changes"] == 2
    assert shown["cameras"][0]["after"] == {"recorder": "NVR-7"}
    await registrar.patch(f"/cameras/{ids[0]}", json={"place": "x"}, headers={"If-Match": "*"})
    late = {**wanted, "confirm": shown["confirm"], "reason": "new recorder"}
    assert (await registrar.post("/cameras/bulk", json=late)).status_code == 412
    shown = (await registrar.post("/cameras/bulk", json=wanted)).json()
    done = await registrar.post("/cameras/bulk", json={**late, "confirm": shown["confirm"]})
    assert done.json()["applied"] is True
    async with city.database.read() as session:
        batch = AuditEntry.batch_id == done.json()["batch_id"]
        entries = list(await session.scalars(select(AuditEntry).where(batch)))
        assert {entry.object_id for entry in entries} == set(ids)
        assert {entry.reason for entry in entries} == {"new recorder"}
        assert (await audit.verify(session)).ok


async def test_one_entered_by_mistake_is_removed_with_a_trace_and_comes_back(registrar, camera) -> None:
    url, match = f"/cameras/{camera['id']}", {"If-Match": "*"}
    assert (await registrar.post(f"{url}/remove", json={}, headers=match)).status_code == 422
    removed = await registrar.post(f"{url}/remove", json={"reason": "a mistake"}, headers=match)
    assert removed.status_code == 200, removed.text
    assert (await registrar.get("/cameras")).json()["items"] == []
    assert (await registrar.get(url)).json()["gone_at"] is not None
    assert (await registrar.patch(url, json={"place": "x"}, headers=match)).status_code == 409
    twin = {"number": "DK-0002", "ip": CAMERA["ip"]}
    taken = (await registrar.post("/cameras", json=twin)).json()
    late = await registrar.post(f"{url}/restore", json={"reason": "after all"}, headers=match)
    assert (late.status_code, late.json()["held_by"]["id"]) == (409, taken["id"])
    await registrar.patch(f"/cameras/{taken['id']}", json={"ip": None}, headers=match)
    back = await registrar.post(f"{url}/restore", json={"reason": "after all"}, headers=match)
    assert (back.status_code, back.json()["gone_at"]) == (200, None)


async def test_a_grant_of_one_district_or_organisation_sees_its_own_cameras_only(
    door, people, registrar, city
) -> None:
    ids = [
        (await registrar.post("/organisations", json={"name": name})).json()["id"]
        for name in ("Example One", "Example Two")
    ]
    for number, unit, owner in (("A", "110151", ids[0]), ("B", "1116", ids[0]), ("C", "1116", ids[1])):
        body = {"number": number, "unit_code": unit, "organisation_id": owner}
        assert (await registrar.post("/cameras", json=body)).status_code == 201
    client = await door.signed_in("some.body", ["auditor"])
    seen = {}
    for name, unit, owner in (
        ("unit", "1116", None), ("owner", None, ids[0]), ("both", "1116", ids[0]),
    ):  # fmt: skip
        async with city.database.write() as session:
            grant = await session.scalar(select(RoleGrant))
            grant.unit_code, grant.organisation_id = unit, owner
        items = (await client.get("/cameras")).json()["items"]
        seen[name] = "".join(row["number"] for row in items)
    await client.aclose()
    assert seen == {"unit": "BC", "owner": "AB", "both": "B"}


async def test_sight_and_coverage_of_an_area(registrar, camera, city) -> None:
    sight = (await registrar.get(f"/cameras/{camera['id']}/sight")).json()
    assert sight["distances_m"]["detect"] == 38.4
    assert sight["footprint"]["type"] == "Polygon"
    west, south, east, north = 108.399, 47.9195, 108.401, 47.9205
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    body = {"area": {"type": "Polygon", "coordinates": [ring]}, "states": ["planned"]}
    facing = {"number": "2", "serial": "S2", "mac": None, "ip": None, "lon": 108.4005}
    await registrar.post("/cameras", json={**CAMERA, **facing, "azimuth_deg": 270})
    await registrar.post("/cameras", json={"number": "3", "lat": 47.92, "lon": 108.4})
    found = (await registrar.post("/cameras/coverage", json=body)).json()
    assert (found["cameras"], found["unknown"]) == (3, 1)
    assert found["seen_m2"] + found["blind_m2"] == pytest.approx(found["area_m2"], rel=1e-6)
    assert 0 < found["overlap_m2"] < found["seen_m2"]
    for area in ({}, {"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon", "coordinates": []}):
        assert (await registrar.post("/cameras/coverage", json={"area": area})).status_code == 422


async def test_a_site_is_told_of_its_cameras_and_nobody_reads_their_passwords(
    registrar, city, camera
) -> None:
    from edge.wire.messages import encode
    from registry.cameras.watched import full_config

    for name in ("s1", "s2"):
        assert (await registrar.post("/sites", json={"id": name, "title": name})).status_code == 201
    url = f"/cameras/{camera['id']}"

    async def give(**fields: Any) -> None:
        version = (await registrar.get(url)).json()["version"]
        answer = await registrar.patch(url, json=fields, headers={"If-Match": f'"{version}"'})
        assert answer.status_code == 200, answer.text

    async def told(site: str) -> Any:
        async with city.database.read() as session:
            return await full_config(session, city.keyring, site)

    wanted = {
        "stream_codec": "h264",
        "stream_width": 640,
        "stream_height": 360,
        "stream_rate_fps": 12.5,
    }
    await give(site_id="s1", probe_interval_s=30, **wanted)
    assert (await told("s1")).cameras == []  # planned: there is nothing to look at yet

    async with city.database.write() as session:
        (await session.get(Camera, camera["id"])).state = "active"
    before = await told("s1")
    (mine,) = before.cameras
    assert (mine.camera, mine.address) == (camera["id"], "rtsp://10.16.4.21/stream1")
    assert (mine.secret, mine.interval_s, mine.maintenance) == ("admin:hunter2hunter2", 30, False)
    assert (mine.codec, mine.width, mine.height, mine.rate_fps) == tuple(wanted.values())
    assert "hunter2" not in repr(mine)
    shown = await registrar.get("/sites/s1/config")
    assert shown.json()["cameras"][0]["camera"] == camera["id"] and "hunter2" not in shown.text

    other = await told("s2")
    await give(site_id="s2")
    assert (await told("s1")).cameras == [] and (await told("s1")).version > before.version
    assert [one.camera for one in (await told("s2")).cameras] == [camera["id"]]
    assert (await told("s2")).version > other.version
    assert b"hunter2hunter2" not in encode(await told("s1"))

    async with city.database.write() as session:
        (await session.get(Camera, camera["id"])).state = "faulty"
    assert (await told("s2")).cameras[0].maintenance  # known to be broken: nobody is told again
    missing = await registrar.patch(url, json={"site_id": "s3"}, headers={"If-Match": "*"})
    assert missing.status_code == 404


async def test_who_answers_for_one_district_gives_no_camera_to_a_site_of_another(
    app, door, people, city
) -> None:
    async with await door.signed_in("clerk.one", ["registrar"]) as clerk:
        for name, unit in (("s1", "1101"), ("s2", "1104")):
            await clerk.post("/sites", json={"id": name, "title": name, "unit_code": unit})
        async with city.database.write() as session:
            for grant in await session.scalars(select(RoleGrant)):
                grant.unit_code = "1101"
        body = {"number": "X-1", "unit_code": "110151"}
        refused = await clerk.post("/cameras", json={**body, "site_id": "s2"})
        assert refused.status_code in (403, 404), refused.text
        assert (await clerk.post("/cameras", json={**body, "site_id": "s1"})).status_code == 201
