"""Imports end to end: again as it was, round trips, undo after others worked on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from registry import audit, editing
from registry.acts import Act
from registry.cameras.models import Camera, CameraModel
from registry.cli import build_app
from registry.db import Database
from registry.demo_city import enter_demo_city, town
from registry.exporting.opendata import PUBLIC_FIELDS, features
from registry.exporting.service import Question, export
from registry.exporting.writers import harmless
from registry.history import as_of
from registry.households import open_household
from registry.importing.bulk import insert_many
from registry.importing.cells import plain
from registry.importing.models import RegisterImport
from registry.importing.readers import read_sheet
from registry.importing.service import import_bytes
from registry.importing.undo import undo
from registry.models import AuditEntry, Household, LifeStep, Organisation, Site
from registry.rights import CONSOLE
from registry.sealed import Keyring
from registry.search.models import SearchWord

NOW_US = 1_700_000_000_000_000
ACT = Act(CONSOLE, NOW_US, "console")
CAMERAS = "Дугаар;Нэр;MAC хаяг;Өндөр\nA-1;Өргөө;02:00:00:00:00:01;4\nA-2;Төв;02:00:00:00:00:02;5\n"


@pytest.fixture
def take(database: Database, keyring: Keyring):
    async def take(text: str, kind: str = "cameras", now_us: int = NOW_US, **options: Any) -> Any:
        content = text.encode()
        act = Act(CONSOLE, now_us, "console")
        sheet = read_sheet(content, "a.csv")
        return await import_bytes(database, keyring, act, kind, "a.csv", content, sheet, **options)

    return take


async def _undo(database: Database, import_id: str, *, confirmed: bool = False) -> Any:
    async with database.write() as session:
        record = await session.get(RegisterImport, import_id)
        assert record is not None
        return await undo(session, Act(CONSOLE, NOW_US + 9, "console", "wrong file"), record,
                          confirmed=confirmed)  # fmt: skip


async def _cameras(database: Database) -> dict[str, Camera]:
    async with database.read() as session:
        return {row.number: row for row in await session.scalars(select(Camera))}


async def test_the_same_file_again_changes_nothing_and_a_changed_one_what_it_says(
    take, database
) -> None:
    await take(CAMERAS)
    plan, _ = await take(CAMERAS)
    assert plan.counts == {"create": 0, "change": 0, "revive": 0, "unchanged": 2, "refuse": 0}
    plan, _ = await take("Дугаар;Нэр\nA-1;Шинэ\n", now_us=NOW_US + 1)
    assert plan.counts["change"] == 1
    found = await _cameras(database)
    assert (found["A-1"].name, found["A-1"].height_m, found["A-1"].version) == ("Шинэ", 4.0, 2)
    async with database.read() as session:
        assert (await audit.verify(session)).ok
        then = await as_of(session, found["A-1"], NOW_US)
        assert then is not None and then["name"] == "Өргөө"
        steps = list(await session.scalars(select(LifeStep.to_state)))
        assert steps == ["planned", "planned"]


async def test_an_undone_import_is_gone_and_can_be_taken_again(take, database) -> None:
    _, import_id = await take(CAMERAS)
    done = await _undo(database, import_id)
    assert (done.undone, done.kept) == (2, [])
    assert all(row.gone_us for row in (await _cameras(database)).values())
    async with database.read() as session:
        left = select(func.count()).select_from(SearchWord).where(SearchWord.object_id != "")
        assert await session.scalar(left) == 0
        assert (await audit.verify(session)).ok
    plan, _ = await take(CAMERAS)
    assert plan.counts["revive"] == 2
    assert all(row.gone_us is None for row in (await _cameras(database)).values())


async def test_what_somebody_changed_since_is_named_and_left_alone(take, database) -> None:
    await take(CAMERAS)
    _, import_id = await take("Дугаар;Өндөр\nA-1;7\nA-2;8\n")
    async with database.write() as session:
        camera = await session.scalar(select(Camera).where(Camera.number == "A-1"))
        later = Act(dataclasses.replace(CONSOLE, id="person:later"), NOW_US + 5, "10.0.0.1")
        await editing.change(session, later, camera, {"name": "Засварласан"})
    refused = await _undo(database, import_id)
    assert refused.undone == 0 and [(one.label, one.reason) for one in refused.kept] == [
        ("A-1", "changed_since")
    ]
    assert refused.kept[0].later == [(NOW_US + 5, "person:later", "camera.change")]
    assert {row.height_m for row in (await _cameras(database)).values()} == {7.0, 8.0}
    done = await _undo(database, import_id, confirmed=True)
    assert done.undone == 1
    found = await _cameras(database)
    assert (found["A-1"].height_m, found["A-1"].name, found["A-2"].height_m) == (
        7.0,
        "Засварласан",
        5.0,
    )


async def test_an_organisation_on_which_a_camera_hangs_is_not_undone(take, database) -> None:
    _, import_id = await take("Нэр\nЖишээ сургууль\nӨөр газар\n", "organisations")
    await take("Дугаар;Байгууллага\nA-1;жишээ СУРГУУЛЬ\n")
    done = await _undo(database, import_id, confirmed=True)
    assert done.undone == 1 and [one.reason for one in done.kept] == ["in_use"]
    async with database.read() as session:
        living = await session.scalars(select(Organisation.name).where(Organisation.gone_us.is_(None)))
        assert list(living) == ["Жишээ сургууль"]


HOMES = (
    "Өрх;Цэг;Хаяг;Холбоо барих хүн;И-мэйл;Утас\n"
    "H-1;s1;Жишээ 1;Жишээ А;a@example.org;99112233\nH-1;;;Жишээ Б;b@example.org;\nH-2;s1;Жишээ 2;;;\n"
)


async def test_a_home_comes_with_its_people_sealed_and_its_undo_gives_the_old_address_back(
    take, database, keyring
) -> None:
    async with database.write() as session:
        session.add(Site(id="s1", created_us=0))
    plan, _ = await take(HOMES.replace("H-1;;;", "H-1;s1;;"), "households")
    assert plan.counts["create"] == 2
    _, import_id = await take("Өрх;Цэг;Хаяг\nH-1;s1;Шинэ 9\n", "households")
    await _undo(database, import_id)
    async with database.read() as session:
        home = await session.scalar(select(Household).where(Household.label == "H-1"))
        assert home is not None
        opened = await open_household(session, keyring, home)
        every = list(await session.scalars(select(AuditEntry)))
        entries = json.dumps([[row.before, row.after] for row in every],
                             ensure_ascii=False)  # fmt: skip
    assert opened.address == "Жишээ 1"
    assert [(one.name, [way.address for way in one.channels]) for one in opened.contacts] == [
        ("Жишээ А", ["a@example.org", "+97699112233"]), ("Жишээ Б", ["b@example.org"]),
    ]  # fmt: skip
    assert not any(word in entries for word in ("Жишээ 1", "Шинэ 9", "example.org", "Жишээ А"))


async def test_what_is_wrong_with_a_home_is_told_without_what_stands_there(take) -> None:
    plan, _ = await take("Өрх;Цэг;Утас\nH-1;s9;99112\n", "households", dry=True)
    told = [(one.code, one.value, one.repair) for one in plan.parsed.problems]
    assert ("not_a_phone", None, None) in told and "99112" not in repr(plan.parsed.problems)


async def test_thousands_at_once_are_written_as_one_by_one(database: Database) -> None:
    row = {"number": "A-1", "name": "Өргөө", "mac": "02:00:00:00:00:01", "created_us": 5}
    async with database.write() as session:
        await editing.create(session, ACT, Camera(**row, id="one", privacy_masks=[]))
    async with database.write() as session:
        await insert_many(session, ACT, Camera, [{**row, "id": "two", "number": "A-2", "mac": None}])
    async with database.read() as session:
        one, two = [await session.get(Camera, own_id) for own_id in ("one", "two")]
        entries = list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
        assert (await audit.verify(session)).ok
    different = {"id", "number", "mac", "search_text", "sort_key"}
    for column in set(Camera.__table__.columns.keys()) - different:
        assert getattr(one, column) == getattr(two, column), column
    first, second = [{**(entry.after or {}), "number": "", "mac": ""} for entry in entries]
    assert first == second


async def _exported(database: Database, question: Question) -> bytes:
    async with database.read() as session:
        return b"".join([piece async for piece in export(session, question)])


@pytest.mark.parametrize(
    ("kind", "format"),
    [("cameras", "xlsx"), ("cameras", "csv"), ("cameras", "geojson"), ("organisations", "csv"),
     ("camera-models", "xlsx"), ("detectors", "csv")],
)  # fmt: skip
async def test_an_export_imported_again_changes_nothing(
    database: Database, keyring: Keyring, kind: str, format: Any
) -> None:
    await enter_demo_city(database, keyring, now_us=NOW_US)
    content = await _exported(database, Question(kind, format, "en" if format == "csv" else "mn"))
    name = f"a.{format}"
    sheet = read_sheet(content, name)
    plan, _ = await import_bytes(database, keyring, ACT, kind, name, content, sheet, dry=True)
    assert plan.parsed.errors == 0, plan.parsed.problems[:3]
    counts = {name: count for name, count in plan.counts.items() if count}
    assert list(counts) == ["unchanged"] and counts["unchanged"] == len(sheet.rows)


@pytest.mark.parametrize(
    "text", ["=1+1", "+976", "-5", "@SUM(A1)", "\tx", "'quoted", "=cmd|' /C calc'!A0"]
)
def test_no_exported_text_is_run_and_an_import_gives_it_back(text: str) -> None:
    written = harmless(text)
    assert not written.startswith(("=", "+", "-", "@", "\t"))
    if not text.startswith("\t"):
        assert plain(written) == text


async def test_open_data_has_no_place_for_what_is_personal_or_secret(database, keyring) -> None:
    canary = "КАНАР"
    texts = {column.key: f"{canary}-{column.key}"[:17] for column in Camera.__table__.columns
             if column.type.python_type is str}  # fmt: skip
    texts |= {"state": "active", "zone": "street", "mount": "pole", "id": "c1"}
    texts |= {"model_id": "m1", "organisation_id": None, "merged_into_id": None, "site_id": None}
    async with database.write() as session:
        session.add(CameraModel(id="m1", maker=canary, name=canary, form="dome", onvif_profiles=[],
                                source_note=canary, created_us=0))  # fmt: skip
        await session.flush()
        session.add(
            Camera(**texts, lat=47.9123456, lon=106.9, azimuth_deg=90.4, height_m=6.5, privacy_masks=[],
                   stream_secret=keyring.seal(canary, "camera.stream_secret"), created_us=0,
                   indoor=False)
        )  # fmt: skip
        session.add(Camera(id="c2", number="in", lat=47.9, lon=106.9, state="active", indoor=True,
                           privacy_masks=[], created_us=0))  # fmt: skip
        session.add(Camera(id="c3", number="plan", lat=47.9, lon=106.9, state="planned",
                           privacy_masks=[], created_us=0))  # fmt: skip
    content = await _exported(database, Question("open-data", "geojson"))
    assert canary not in content.decode()
    (feature,) = json.loads(content)["features"]
    assert feature["properties"] == {
        "man_made": "surveillance", "surveillance": "public", "surveillance:type": "camera",
        "surveillance:zone": "street", "camera:type": "dome", "camera:mount": "pole",
        "camera:direction": "90", "height": "6.5",
    }  # fmt: skip
    assert feature["geometry"]["coordinates"] == [106.9, 47.91235]
    assert set(PUBLIC_FIELDS) == {
        "lat", "lon", "surveillance_zone", "camera_type", "camera_mount", "camera_direction", "height",
    }  # fmt: skip
    async with database.read() as session:
        assert len([one async for one in features(session)]) == 1


async def test_exports_of_people_have_no_person_in_them(database, keyring) -> None:
    await enter_demo_city(database, keyring, now_us=NOW_US)
    for format in ("csv", "geojson"):
        content = (await _exported(database, Question("households", format))).decode()
        assert "DK-AIL-001" in content and "example.org" not in content and "гудамж" not in content


async def test_the_demo_city_is_the_same_each_time_and_entered_once(database, keyring) -> None:
    assert town.cameras() == town.cameras()
    counts = await enter_demo_city(database, keyring, now_us=NOW_US)
    assert (counts["organisations"], counts["cameras"]) == (86, 128)
    again = await enter_demo_city(database, keyring, now_us=NOW_US + 1)
    assert set(again.values()) == {0}
    async with database.read() as session:
        assert (await audit.verify(session)).ok


def test_the_console_takes_finds_exports_and_undoes(tmp_path: Path, monkeypatch) -> None:
    from gateway.registry_commands import prepare

    monkeypatch.setenv("UTAA_REGISTRY_DATA_DIR", str(tmp_path / "city"))
    app, run = build_app(prepare), CliRunner()
    table = tmp_path / "a.csv"
    table.write_text(CAMERAS.replace("00:01", "00:0"), encoding="utf-8")
    refused = run.invoke(app, ["import", str(table), "--kind", "cameras", "--create"])
    assert refused.exit_code == 1 and "C2 (MAC хаяг): A MAC address has 12 digits" in refused.output
    told = run.invoke(app, ["import", str(table), "--kind", "cameras", "--json", "--repair",
                            "C2=02:00:00:00:00:01"])  # fmt: skip
    assert told.exit_code == 0, told.output
    import_id = json.loads(told.stdout)["import"]
    found = run.invoke(app, ["search", "ОРГОО", "--json"])
    assert [hit["title"] for hit in json.loads(found.stdout)] == ["A-1"]
    out = tmp_path / "out.xlsx"
    assert run.invoke(app, ["export", "cameras", str(out)]).exit_code == 0 and out.exists()
    few = tmp_path / "few.csv"
    wanted = ["--filter", "number=A-1", "--filter", "state=planned"]
    assert run.invoke(app, ["export", "cameras", str(few), *wanted]).exit_code == 0
    assert len(few.read_text(encoding="utf-8-sig").splitlines()) == 2
    no_such = run.invoke(app, ["export", "cameras", str(few), "--filter", "colour=red"])
    assert no_such.exit_code == 1 and "has no such filter; expected one of unit," in no_such.output
    nothing = run.invoke(app, ["search", "оргил"])
    assert nothing.exit_code == 0 and "nothing found: no word begins with 'оргил'" in nothing.output
    assert run.invoke(app, ["search", "орго", "ххх", "--json"]).stdout == "[]\n"
    assert "0 pairs" in run.invoke(app, ["duplicates"]).output
    assert "2 undone, 0 left alone" in run.invoke(app, ["undo", import_id]).output
    assert "undone" in run.invoke(app, ["undo"]).output
    wrong = run.invoke(app, ["import", str(table), "--kind", "ships"])
    assert wrong.exit_code == 1 and "expected one of cameras" in wrong.output
