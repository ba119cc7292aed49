"""Files of every kind and intent: encodings, map layers, bombs, entities, formulas, wrong names."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.importing import bounds, cells
from registry.importing.bounds import FileRefused
from registry.importing.fields import Field, Taken, Wrong
from registry.importing.parse import parse_sheet
from registry.importing.readers import read_path, read_sheet

TABLE = "Дугаар;Нэр\nA-1;Өргөө\n"
KML = (
    '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>A-1</name><ExtendedData>'
    '<Data name="Нэр"><value>Өргөө</value></Data></ExtendedData><Point><coordinates>106.9,47.9,0'
    "</coordinates></Point></Placemark></Document></kml>"
)
GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [106.9, 47.9]},
         "properties": {"number": "A-1", "Нэр": "Өргөө"}}
    ],
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_table_of_text_is_read_in_each_encoding_with_each_separator(encoding: str, mark: str) -> None:
    sheet = read_sheet(TABLE.replace(";", mark).encode(encoding), "a.csv")
    assert sheet.headings == ["Дугаар", "Нэр"]
    assert [(row.number, row.cells) for row in sheet.rows] == [(2, ["A-1", "Өргөө"])]


def test_the_letters_of_old_windows_become_mongolian_ones() -> None:
    sheet = read_sheet("Дугаар;Нэр\nA-1;Єргєє їнэ\n".encode("cp1251"), "a.csv")
    assert sheet.rows[0].cells == ["A-1", "Өргөө үнэ"]


def test_a_title_above_the_headings_is_passed_over_and_rows_keep_their_numbers() -> None:
    text = "Хяналтын камерын бүртгэл;;\n;;\nДугаар;Нэр;Чиглэл\nA-1;Төв;10\n\nA-2;Төв;20\n"
    sheet = read_sheet(text.encode(), "a.csv")
    assert sheet.headings == ["Дугаар", "Нэр", "Чиглэл"]
    assert [row.number for row in sheet.rows] == [4, 6]


@pytest.mark.parametrize(
    ("name", "content"), [("a.kml", KML.encode()), ("a.geojson", json.dumps(GEOJSON).encode())]
)
def test_a_map_layer_is_a_table_of_its_features(name: str, content: bytes) -> None:
    sheet = read_sheet(content, name)
    found = dict(zip(sheet.headings, sheet.rows[0].cells, strict=True))
    assert (found["lat"], found["lon"], found["Нэр"]) == (47.9, 106.9, "Өргөө")
    assert found["geometry"]["type"] == "Point" and sheet.rows[0].number == 1 and not sheet.letters


def _zip(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


XXE = b'<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/hostname">]><kml>&x;</kml>'
LAUGHS = b'<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><kml><name>&b;</name></kml>'
WORKBOOK = {"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"}
HOSTILE = [
    ("a.xlsx", _zip({**WORKBOOK, "xl/worksheets/sheet1.xml": b"0" * (30 << 20)}), "zip_bomb"),
    ("a.xlsx", _zip({f"p{number}.xml": b"" for number in range(1_001)} | WORKBOOK), "zip_bomb"),
    ("a.xlsx", _zip({**WORKBOOK, "xl/sharedStrings.xml": LAUGHS}), "entities"),
    ("a.xlsx", _zip(WORKBOOK), "broken_file"),
    ("a.xlsx", b"PK\x03\x04 and nothing behind it", "broken_file"),
    ("a.xlsx", TABLE.encode(), "wrong_format"),
    ("a.csv", _zip(WORKBOOK), "wrong_format"),
    ("a.csv", KML.encode(), "wrong_format"),
    ("a.kml", XXE, "entities"),
    ("a.kml", LAUGHS, "entities"),
    ("a.kml", XXE.decode().encode("utf-16"), "entities"),
    ("a.kml", b"<kml><Placemark>", "broken_file"),
    ("a.kml", b"<kml></kml>", "no_features"),
    ("a.geojson", b'{"features": 5}', "no_features"),
    ("a.geojson", b'{"features": [' + b"[" * 100_000, "broken_file"),
    ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old_or_locked_workbook"),
    ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old_or_locked_workbook"),
    ("a.csv", b"%PDF-1.7", "not_a_table"),
    ("a.csv", b"", "file_empty"),
    ("a.csv", "Дугаар;Нэр\n".encode(), "no_rows"),
    ("a.csv", ";".join("ab" for _ in range(201)).encode() + b"\n1\n", "too_many_columns"),
    ("a.exe", b"MZ", "ending_unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "code"), HOSTILE)
def test_a_hostile_or_broken_file_is_refused_as_a_whole(name: str, content: bytes, code: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read_sheet(content, name)
    assert refused.value.code == code and len(content) < 1 << 20
    assert str(refused.value).endswith(".")


def test_five_gigabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(5 << 30)  # sparse: it takes no place
    with pytest.raises(FileRefused) as refused:
        read_path(path)
    assert refused.value.code == "file_too_large"


def test_rows_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_ROWS", 3)
    read_sheet(b"a;b\n" + b"1;2\n" * 3, "a.csv")
    with pytest.raises(FileRefused) as refused:
        read_sheet(b"a;b\n" + b"1;2\n" * 4, "a.csv")
    assert refused.value.code == "too_many_rows"


GOOD_CELLS = [
    (cells.mac, ["02-00-00-AA-BB-CC", "0200.00aa.bbcc", "020000AABBCC", "02 00 00 aa bb cc"],
     "02:00:00:aa:bb:cc"),
    (cells.phone, ["99112233", "+976 9911-2233", 99112233, "9911 2233"], "+97699112233"),
    (cells.ip, ["10.1.2.3", " 10.1.2.3 "], "10.1.2.3"),
    (cells.number(0, 1e6), ["1250,5", "1 250,5", 1250.5, "1250.5"], 1250.5),
    (cells.azimuth, [45, "45°", "зүүн хойд", "зүүн-хойд", "NE"], 45.0),
    (cells.yes_no, ["тийм", "Тийм", "yes", 1, True, "+"], True),
    (cells.yes_no, ["үгүй", "no", 0, False, "-"], False),
    (cells.text(20), ["Xороо", "Хороо", "Хоpоо"], "Хороо"),
    (cells.text(20), ["Єргєє", "Өргөө"], "Өргөө"),
    (cells.degrees, ["47°54'", "47 54 0", "N 47° 54′ 00″", "47,9", "47.9 N", 47.9], 47.9),
    (cells.day_us, ["2024-05-31", "2024.5.31", "31.05.2024", "2024 оны 5 сарын 31", 45443, "20240531"],
     1_717_084_800_000_000),
]  # fmt: skip


@pytest.mark.parametrize(("read", "spellings", "meant"), GOOD_CELLS)
def test_a_value_is_understood_however_it_is_spelt(read, spellings, meant) -> None:
    for spelling in spellings:
        found = read(spelling)
        assert (found.value if isinstance(found, Taken) else found) == meant, spelling


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.booleans(), st.dates()))
def test_no_cell_makes_a_reader_fall_over(value) -> None:
    readers = (
        cells.mac, cells.ip, cells.phone, cells.email, cells.day_us, cells.degrees, cells.azimuth,
        cells.serial, cells.yes_no, cells.text(10), cells.whole(0, 9), cells.choice({"a": ("б",)}),
        cells.code(r"[a-z]+", "abc"), cells.several(cells.whole(0, 9), 3),
    )  # fmt: skip
    for read in readers:
        try:
            read(value)
        except Wrong as wrong:
            assert wrong.code


def test_a_row_with_more_cells_than_headings_is_told() -> None:
    sheet = read_sheet("Дугаар;Нэр\nA-1;Төв;зам\n".encode(), "a.csv")
    parsed = parse_sheet(
        sheet, [Field("n", ("Дугаар",), cells.text(9)), Field("m", ("Нэр",), cells.text(9))]
    )
    assert [(one.row, one.code) for one in parsed.problems] == [(2, "too_many_cells")]
