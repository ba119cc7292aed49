"""A clerk's spreadsheet with every kind of mistake: each told at its cell, and nothing half-taken."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import openpyxl
import pytest
from sqlalchemy import func, select

from registry.acts import Act
from registry.cameras.models import Camera, CameraModel
from registry.db import Database
from registry.importing.fields import Problem
from registry.importing.kinds import KINDS
from registry.importing.readers import read_sheet
from registry.importing.service import ImportRefused, import_bytes
from registry.importing.texts import LANGUAGES, catalogue
from registry.models import AuditEntry, Organisation, Site
from registry.rights import CONSOLE
from registry.sealed import Keyring

ACT = Act(CONSOLE, 1_700_000_000_000_000, "console")
HEADINGS = [
    "Дугаар", "Нэр", "Загвар", "Сериал дугаар", "MAC хаяг", "Сүлжээ", "IP хаяг", "Өргөрөг", "Уртраг",
    "Хороо", "Байгууллага", "Бүс", "Бэхэлгээ", "Өндөр, м", "Чиглэл", "Налуу", "Тэмдэг",
    "Хадгалах хугацаа", "Богино хадгалах шалтгаан", "Дүрсний хаяг", "Төлөв", "Санхүүжилт", "Дотор",
    "Техникийн даалгавар", "Тэмдэглэл",
]  # fmt: skip
COLUMNS = dict(zip(HEADINGS, "ABCDEFGHIJKLMNOPQRSTUVWXY", strict=True))
GOOD = {"Нэр": "Өргөө", "Өргөрөг": 47.9, "Уртраг": 106.9}

#: heading, what stands in the cell, the code it is told with, the repair it suggests.
MISTAKES: list[tuple[str, Any, str, Any]] = [
    ("Дугаар", None, "required", None),
    ("Дугаар", "KH/?!", "not_a_code", None),
    ("Дугаар", "TWICE", "twice_in_file", None),
    ("Дугаар", "H" * 51, "text_too_long", "H" * 50),
    ("Нэр", "н" * 201, "text_too_long", "н" * 200),
    ("Нэр", "Төв\ufffdзам", "broken_letters", None),
    ("Нэр", "#REF!", "excel_error", None),
    ("Нэр", '=HYPERLINK("http://example.org")', "formula", None),
    ("Загвар", "Жишэ D4", "model_unknown", "Жишээ D4"),
    ("Сериал дугаар", 1.23456789012345e18, "digits_lost", None),
    ("Сериал дугаар", "1.23E+11", "digits_lost", None),
    ("Сериал дугаар", "байхгүй", "placeholder", ""),
    ("Сериал дугаар", "SN-TWICE", "twice_in_file", None),
    ("MAC хаяг", "02:00:00:00:00", "mac_length", None),
    ("MAC хаяг", "02:00:00:00:00:0O", "mac_letters", "02:00:00:00:00:00"),
    ("MAC хаяг", "00:00:00:00:00:00", "mac_placeholder", ""),
    ("MAC хаяг", "01:00:5e:00:00:01", "mac_multicast", None),
    ("MAC хаяг", "02-00-00-00-00-77", "taken_in_register", None),
    ("MAC хаяг", "0200.0000.0099", "twice_in_file", None),
    ("IP хаяг", "10.0.0.300", "not_an_ip", None),
    ("IP хаяг", "10.0.0.7:554", "not_an_ip", "10.0.0.7"),
    ("IP хаяг", "10.0.0.77", "taken_in_register", None),
    ("Өргөрөг", "хойд", "not_degrees", None),
    ("Өргөрөг", "47°75'00\"", "minutes_out_of_range", None),
    ("Өргөрөг", 4791.2345, "not_degrees", None),
    ("Өргөрөг", 4.79, "outside_mongolia", 47.9),
    ("Өргөрөг", 106.9, "half_a_point", None),
    ("Хороо", "СХД 99", "unit_unknown", None),
    ("Байгууллага", "Жишээ сургуулъ", "organisation_unknown", "Жишээ сургууль"),
    ("Бүс", "гудмаж", "not_a_choice", "street"),
    ("Бэхэлгээ", "утсаар", "not_a_choice", None),
    ("Өндөр, м", "6,5 метр", "number_with_unit", "6.5"),
    ("Өндөр, м", "зургаа", "not_a_number", None),
    ("Өндөр, м", 650, "number_out_of_range", None),
    ("Чиглэл", -90, "not_an_azimuth", "270"),
    ("Налуу", 120, "number_out_of_range", None),
    ("Тэмдэг", "магадгүй", "not_yes_no", None),
    ("Хадгалах хугацаа", 240, "retention_short", 720),
    ("Хадгалах хугацаа", 720.5, "not_whole", 720),
    ("Дүрсний хаяг", "10.0.0.9", "not_a_stream", None),
    ("Дүрсний хаяг", "rtsp://u:p@10.0.0.9/1", "stream_secret", "rtsp://10.0.0.9/1"),
    ("Төлөв", "шинэ юм", "not_a_choice", None),
    ("Төлөв", "ажиллаж байгаа", "state_changes_by_step", "planned"),
    ("Санхүүжилт", "улсын төсөө", "not_a_choice", "state_budget"),
    ("Техникийн даалгавар", "2026/999", "specification_unknown", None),
    ("Нэр", "Төв\x7fзам", "control_characters", "Төвзам"),
    ("Өндөр, м", date(2026, 6, 5), "date_for_number", None),
]
HOMES = ["Өрх", "Цэг", "Хороо", "Хаяг", "Хэл", "Холбоо барих хүн", "И-мэйл", "Утас"]
#: The same for a table of homes.
HOME_MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("Цэг", {"Цэг": "байхгүй-цэг"}, "site_unknown"),
    ("И-мэйл", {"И-мэйл": "jishee@@example", "Холбоо барих хүн": "Жишээ"}, "not_an_email"),
    ("Утас", {"Утас": "гэрийн утас", "Холбоо барих хүн": "Жишээ"}, "not_a_phone"),
    ("Утас", {"Утас": "991122334", "Холбоо барих хүн": "Жишээ"}, "phone_length"),
    ("Холбоо барих хүн", {"Утас": "99112233"}, "contact_without_name"),
    ("Хэл", {"Хэл": "франц"}, "not_a_choice"),
    ("Хаяг", {"Өрх": "H-SAME", "Хаяг": "Өөр хаяг 9"}, "contradicts_row"),
]
NOTES: list[tuple[str, dict[str, Any], str]] = [
    ("Өргөрөг", {"Өргөрөг": 106.9, "Уртраг": 47.9}, "swapped"),
    ("Өргөрөг", {"Өргөрөг": "47°54'44.5\"", "Уртраг": 106.9}, "dms_read"),
    ("Чиглэл", {"Чиглэл": "зүүн хойд"}, "compass_word"),
    ("Өргөрөг", {"Өргөрөг": 47.95, "Уртраг": 106.95, "Чиглэл": 10}, "near_in_register"),
    ("Богино хадгалах шалтгаан", {"Богино хадгалах шалтгаан": "дүүрсэн"}, "waiver_needless"),
]


def workbook(rows: list[dict[str, Any]], headings: list[str] = HEADINGS) -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(headings)
    for row in rows:
        page.append([row.get(heading) for heading in headings])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


async def _stock(database: Database) -> None:
    async with database.write() as session:
        session.add(Organisation(id="o1", name="Жишээ сургууль", kind="school"))
        session.add(CameraModel(id="d4", maker="Жишээ", name="D4", onvif_profiles=[], created_us=0))
        session.add(
            Camera(
                id="c1", number="OLD-1", name="Хуучин", mac="02:00:00:00:00:77", ip="10.0.0.77",
                lat=47.95, lon=106.95, azimuth_deg=12.0, privacy_masks=[], created_us=0,
            )
        )  # fmt: skip


async def _take(database: Database, keyring: Keyring, content: bytes, **options: Any) -> Any:
    sheet = read_sheet(content, "cameras.xlsx")
    return await import_bytes(
        database, keyring, ACT, "cameras", "cameras.xlsx", content, sheet, **options
    )


async def _count(database: Database) -> tuple[int, int]:
    async with database.read() as session:
        cameras = await session.scalar(select(func.count()).select_from(Camera)) or 0
        return cameras, await session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def _rows_with_mistakes() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for index, (heading, value, code, _) in enumerate(MISTAKES):
        row = {"Дугаар": f"N-{index}", **GOOD, "Өргөрөг": 47.5 + index / 100, heading: value}
        if code == "half_a_point":
            row = {**row, "Уртраг": None}
        if code == "state_changes_by_step":
            row["Дугаар"] = "OLD-1"
        rows.append(row)
    rows.append(
        {"Дугаар": "FIRST", **GOOD, "Сериал дугаар": "SN-TWICE", "MAC хаяг": "02:00:00:00:00:99"}
    )
    rows.insert(0, {"Дугаар": "TWICE", **GOOD})
    rows.insert(0, rows.pop())
    return rows


async def test_each_of_the_mistakes_is_told_at_its_cell_and_nothing_is_taken(
    database: Database, keyring: Keyring
) -> None:
    await _stock(database)
    before = await _count(database)
    assert len({code for _, _, code, _ in MISTAKES} | {code for _, _, code in NOTES}) >= 41
    assert len(MISTAKES) >= 40
    with pytest.raises(ImportRefused) as refused:
        await _take(database, keyring, workbook(_rows_with_mistakes()))
    assert await _count(database) == before
    errors = [one for one in refused.value.problems if one.severity == "error"]
    by_row: dict[int, list[Problem]] = {}
    for problem in errors:
        by_row.setdefault(problem.row, []).append(problem)
    for index, (heading, value, code, repair) in enumerate(MISTAKES):
        (problem,) = by_row.pop(index + 4)  # headings and two good rows are above
        assert (problem.code, problem.repair) == (code, repair), (heading, value)
        where = "Уртраг" if code == "half_a_point" else heading
        assert (problem.column, problem.heading) == (COLUMNS[where], where)
        for language in LANGUAGES:
            sentence = problem.message(language)
            assert sentence.endswith(".") and "{" not in sentence
    assert by_row == {}, "a good row was refused"


async def test_a_table_of_homes_tells_its_own_mistakes_and_nothing_personal(
    database: Database, keyring: Keyring
) -> None:
    """Together with the cameras' these are more than forty kinds of mistakes."""
    kinds = {code for _, _, code, _ in MISTAKES} | {code for _, _, code in HOME_MISTAKES}
    assert len(kinds) >= 40
    async with database.write() as session:
        session.add(Site(id="s1", created_us=0))
    rows = [{"Өрх": "H-SAME", "Цэг": "s1", "Хаяг": "Жишээ 1"}]
    rows += [{"Өрх": f"H-{i}", "Цэг": "s1", **row} for i, (_, row, _) in enumerate(HOME_MISTAKES)]
    content = workbook(rows, HOMES)
    with pytest.raises(ImportRefused) as refused:
        sheet = read_sheet(content, "homes.xlsx")
        await import_bytes(database, keyring, ACT, "households", "homes.xlsx", content, sheet)
    assert await _count(database) == (0, 0)
    told = {one.row: one for one in refused.value.problems if one.severity == "error"}
    assert sorted(told) == list(range(3, 3 + len(HOME_MISTAKES)))
    for index, (heading, _, code) in enumerate(HOME_MISTAKES, 3):
        assert (told[index].code, told[index].heading) == (code, heading)
        assert told[index].column == "ABCDEFGH"[HOMES.index(heading)]
        if heading in ("Хаяг", "И-мэйл", "Утас"):
            assert told[index].value is None and told[index].repair is None


async def test_what_is_understood_is_taken_and_told(database: Database, keyring: Keyring) -> None:
    await _stock(database)
    rows = [{"Дугаар": f"N-{i}", "Нэр": "Өргөө", **row} for i, (_, row, _) in enumerate(NOTES)]
    plan, _ = await _take(database, keyring, workbook(rows))
    told = {(one.row, one.code): one for one in plan.parsed.problems}
    for index, (heading, _, code) in enumerate(NOTES):
        problem = told[index + 2, code]
        assert problem.severity != "error" and problem.column == COLUMNS[heading]
    async with database.read() as session:
        found = {row.number: row for row in await session.scalars(select(Camera))}
    assert (found["N-0"].lat, found["N-0"].lon) == (47.9, 106.9)
    assert found["N-1"].lat == pytest.approx(47.9123611)
    assert found["N-2"].azimuth_deg == 45


async def test_the_rows_that_hold_are_taken_one_by_one(database: Database, keyring: Keyring) -> None:
    await _stock(database)
    plan, _ = await _take(database, keyring, workbook(_rows_with_mistakes()), mode="rows")
    assert plan.counts["refuse"] == len(MISTAKES) and plan.counts["create"] == 2
    assert (await _count(database))[0] == 3


async def test_a_repaired_cell_is_read_in_place_of_what_stood_there(
    database: Database, keyring: Keyring
) -> None:
    content = workbook([{"Дугаар": "N-1", **GOOD, "MAC хаяг": "02:00:00:00:00:0O"}])
    plan, _ = await _take(database, keyring, content, dry=True)
    (problem,) = plan.parsed.problems
    repairs = {f"{problem.column}{problem.row}": "02:00:00:00:00:01"}
    plan, import_id = await _take(database, keyring, content, repairs=repairs)
    assert plan.holds and import_id
    async with database.read() as session:
        assert await session.scalar(select(Camera.mac)) == "02:00:00:00:00:01"


async def test_columns_are_found_by_other_names_and_by_hand(
    database: Database, keyring: Keyring
) -> None:
    rows = [{"Camera number": "N-1", "serail number": "A1", "Юу ч биш": "тэмдэглэл", "Latitude": "47,9",
             "longitude": "106,9"}]  # fmt: skip
    content = workbook(rows, list(rows[0]))
    plan, _ = await _take(database, keyring, content, dry=True)
    assert plan.parsed.mapping == {
        "Camera number": "number", "serail number": "serial", "Latitude": "lat", "longitude": "lon",
    }  # fmt: skip
    assert [(one.code, one.severity) for one in plan.parsed.problems] == [("heading_unknown", "note")]
    plan, _ = await _take(
        database, keyring, content, mapping={"Юу ч биш": "note", "serail number": None}
    )
    async with database.read() as session:
        camera = await session.scalar(select(Camera))
    assert camera is not None and (camera.note, camera.serial) == ("тэмдэглэл", None)


def test_every_sentence_is_there_in_both_languages_with_the_same_names() -> None:
    from string import Formatter

    mongolian, english = catalogue("mn"), catalogue("en")
    assert mongolian.keys() == english.keys() and len(english) > 80
    for code, text in english.items():
        names = [
            {name for _, name, _, _ in Formatter().parse(one) if name}
            for one in (text, mongolian[code])
        ]
        assert names[0] == names[1], code
    assert all(kind.fields for kind in KINDS.values())
