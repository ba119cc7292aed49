"""A clerk at the API: upload, try, repair, take, find, export, take back."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading

from sqlalchemy import select

from gateway.api import camera_models, cameras, detectors, exports, households, organisations
from registry.db import Database
from registry.importing import bounds, progress, service, writing
from registry.search.lists import FILTERS
from tests.servers import until

TABLE = (
    "Дугаар;Нэр;MAC хаяг;Өргөрөг;Уртраг;Чиглэл;Хороо\n"
    "A-1;Өргөө;0200.0000.0001;47,9;106,9;10;СХД 32\nA-2;Төв;02000000000Z;106,95;47,9;12;СХД 32\n"
).encode()
WHERE = {"kind": "cameras", "name": "a.csv"}


async def test_a_file_is_tried_put_right_taken_found_and_taken_back(registrar) -> None:
    sent = await registrar.post("/imports", params=WHERE, content=TABLE)
    assert sent.status_code == 201, sent.text
    where = f"/imports/{sent.json()['id']}"
    tried = (await registrar.post(f"{where}/dry-run", json={}, params={"language": "en"})).json()
    (wrong,) = [one for one in tried["problems"] if one["severity"] == "error"]
    assert (wrong["place"], wrong["repair"]) == ("C3", "02:00:00:00:00:02")
    assert not tried["holds"] and [row["does"] for row in tried["rows"]] == ["create", "refuse"]
    refused = await registrar.post(f"{where}/apply", json={})
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "C3 (MAC хаяг)"
    assert (await registrar.get("/cameras")).json()["items"] == []
    repaired = await registrar.post(f"{where}/dry-run", json={"repairs": {"C3": wrong["repair"]}})
    assert repaired.json()["holds"]
    taken = await registrar.post(f"{where}/apply", json={})
    assert taken.json()["counts"]["create"] == 2 and taken.json()["state"] == "applied"
    assert (await registrar.post(f"{where}/apply", json={})).status_code == 409
    assert (await registrar.get(f"{where}/progress")).json()["state"] == "applied"

    async def numbers(**query: str) -> list[str]:
        answer = await registrar.get("/cameras", params=query)
        assert answer.status_code == 200, answer.text
        return [row["number"] for row in answer.json()["items"]]

    assert await numbers(q="оргоо") == ["A-1"]
    assert await numbers(bbox="106.94,47.8,107,48", state="planned") == ["A-2"]
    assert await numbers(polygon="106.89 47.89,106.91 47.89,106.91 47.91") == ["A-1"]
    assert (await registrar.get("/cameras", params={"polygon": "1"})).status_code == 422

    async def exported(**query: str) -> list[str]:
        answer = await registrar.get("/exports/cameras", params={"format": "geojson", **query})
        found = json.loads(answer.content)["features"]
        return [one["properties"]["number"] for one in found]

    assert await exported() == ["A-1", "A-2"]
    assert await exported(q="оргоо") == await exported(number="A-1") == ["A-1"]
    assert await exported(bbox="106.94,47.8,107,48", state="planned", unit="11") == ["A-2"]
    assert await exported(state="active") == []
    for query in ({"site": "s-1"}, {"state": "lost"}, {"bbox": "1,2"}):
        wrong = await registrar.get("/exports/cameras", params=query)
        assert wrong.status_code == 422 and next(iter(query)) in wrong.text
    assert (await registrar.get("/exports/open-data", params={"unit": "11"})).status_code == 422
    undone = await registrar.post(f"{where}/undo", json={"reason": "wrong file"})
    assert undone.json() == {"done": True, "undone": 2, "kept": []}
    assert await numbers() == []
    assert [row["state"] for row in (await registrar.get("/imports")).json()["items"]] == ["undone"]


def test_an_export_takes_every_filter_of_its_list() -> None:
    listed = {
        "cameras": cameras.list_cameras, "camera-models": camera_models.list_camera_models,
        "organisations": organisations.list_organisations,
        "households": households.list_households, "detectors": detectors.list_detectors,
    }  # fmt: skip
    assert set(listed) == set(FILTERS)
    sent = set(exports._filters()) | {"format", "language"}
    for kind, route in listed.items():
        own = set(inspect.signature(route).parameters)
        own -= {"request", "asker", "_asker", "limit", "cursor"}
        assert own <= set(FILTERS[kind]) <= sent, kind


async def test_how_far_a_long_import_is_can_be_seen_from_every_process(
    registrar, city, monkeypatch
) -> None:
    for module, name, value in (
        (service, "AT_ONCE", 1), (writing, "CHUNK", 1), (progress, "EVERY_S", 0.01),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    prepare, go_on = writing.Writer.prepare, threading.Event()

    def waits(writer: writing.Writer, chunk: writing.Chunk) -> writing.Ready:
        assert chunk.start == 0 or go_on.wait(30)
        return prepare(writer, chunk)

    monkeypatch.setattr(writing.Writer, "prepare", waits)
    good = TABLE.replace(b"02000000000Z", b"020000000002")
    import_id = (await registrar.post("/imports", params=WHERE, content=good)).json()["id"]
    taking = asyncio.create_task(registrar.post(f"/imports/{import_id}/apply", json={}))
    half = {"state": "applying", "step": "write", "done": 1, "of": 2}
    other = Database(city.database.url)  # as another process has it
    try:

        async def seen() -> bool:
            return (await registrar.get(f"/imports/{import_id}/progress")).json() == half

        await until(seen, "half of it is written")
        async with other.read() as session:
            record = await service.get_import(session, import_id)
        now_us = city.clock.now_us()
        assert progress.reached(record, now_us) == ("write", 1, 2)
        assert progress.reached(record, now_us + 2 * progress.STALE_US) is None
    finally:
        go_on.set()
        taken = await taking
        await other.close()
    assert taken.json()["state"] == "applied"
    over = (await registrar.get(f"/imports/{import_id}/progress")).json()
    assert over == {"state": "applied", "step": "", "done": 0, "of": 0}


async def test_a_later_edit_holds_an_undo_up_until_it_is_confirmed(registrar) -> None:
    good = TABLE.replace(b"02000000000Z", b"020000000002")
    where = f"/imports/{(await registrar.post('/imports', params=WHERE, content=good)).json()['id']}"
    assert (await registrar.post(f"{where}/apply", json={})).status_code == 200
    camera = (await registrar.get("/cameras")).json()["items"][0]
    await registrar.patch(
        f"/cameras/{camera['id']}", json={"name": "Шинэ"}, headers={"If-Match": '"1"'}
    )
    held = (await registrar.post(f"{where}/undo", json={"reason": "wrong file"})).json()
    assert (held["done"], held["undone"]) == (False, 0)
    assert [(one["label"], one["reason"]) for one in held["kept"]] == [("A-1", "changed_since")]
    assert held["kept"][0]["later"][0]["action"] == "camera.change"
    done = await registrar.post(f"{where}/undo", json={"reason": "wrong file", "confirmed": True})
    assert (done.json()["done"], done.json()["undone"]) == (True, 1)


async def test_a_file_that_is_none_is_refused_in_the_clerks_language(registrar) -> None:
    answer = await registrar.post("/imports", params=WHERE, content=b"%PDF-1.7")
    assert answer.status_code == 422 and answer.json()["detail"].startswith("Хүснэгт (XLSX, CSV)")
    too_long = {"Content-Length": str(bounds.MAX_FILE_BYTES + 1)}
    answer = await registrar.post("/imports", params=WHERE, content=b"a", headers=too_long)
    assert answer.status_code == 413


async def test_a_clerk_of_one_district_imports_into_no_other(app, door, people, city) -> None:
    from registry.models import RoleGrant

    async with await door.signed_in("clerk.one", ["registrar"]) as clerk:
        async with city.database.write() as session:
            for grant in await session.scalars(select(RoleGrant)):
                grant.unit_code = "1107"
        sent = await clerk.post("/imports", params=WHERE, content=TABLE.replace(b"Z", b"2"))
        assert sent.status_code == 201, sent.text
        tried = await clerk.post(f"/imports/{sent.json()['id']}/dry-run", json={})
        assert {one["code"] for one in tried.json()["problems"] if one["severity"] == "error"} == {
            "out_of_area"
        }
        assert (await clerk.post(f"/imports/{sent.json()['id']}/apply", json={})).status_code == 422


async def test_duplicates_are_listed_and_a_decision_is_remembered(registrar) -> None:
    near = TABLE.replace(b"02000000000Z", b"020000000002").replace(b"106,95;47,9", b"47,9;106,9")
    where = f"/imports/{(await registrar.post('/imports', params=WHERE, content=near)).json()['id']}"
    await registrar.post(f"{where}/apply", json={})
    (pair,) = (await registrar.get("/duplicates")).json()["items"]
    assert pair["why"] == "near"
    two = {"kind": "camera", "first_id": pair["first_id"], "second_id": pair["second_id"]}
    assert (await registrar.post("/duplicates/decisions", json=two)).status_code == 201
    assert (await registrar.get("/duplicates")).json()["items"] == []


async def test_a_list_is_kept_and_opened_again(registrar) -> None:
    wanted = {"name": "Эвдэрсэн", "kind": "cameras", "filters": {"state": "faulty"}, "shared": True}
    kept = await registrar.post("/views", json=wanted)
    assert kept.status_code == 201
    opened = (await registrar.get(f"/views/{kept.json()['id']}")).json()
    assert opened["filters"] == {"state": "faulty"} and opened["own"]
    assert (await registrar.delete(f"/views/{kept.json()['id']}")).status_code == 204
    assert (await registrar.get("/views")).json() == []
