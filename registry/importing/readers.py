"""A file in, a ``Sheet`` out. The content says what a file is; its name must not say otherwise.

Nothing is evaluated and nothing is fetched: formulas stay texts, entities and document types are
refused.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml.ElementTree import fromstring as parse_xml

from registry.importing import bounds
from registry.importing.bounds import FileRefused
from registry.importing.fields import letter_of
from registry.importing.xlsx import rows_of

FORMATS: Final = ("xlsx", "csv", "geojson", "kml")
_ENDINGS: Final = {".xlsx": "xlsx", ".xlsm": "xlsx", ".csv": "csv", ".txt": "csv", ".tsv": "csv",
                   ".geojson": "geojson", ".json": "geojson", ".kml": "kml", ".kmz": "kml"}  # fmt: skip
#: Where the headings may be: tables have a title above them.
_HEADING_ROWS: Final = 10
#: Headings have at least this share of the most texts that a row begins with; a title has one.
_SHARE: Final = 0.6
#: What a damaged ZIP makes Python stumble over; ``NotImplementedError``: a newer ZIP.
_BROKEN_ZIP: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, OSError, EOFError, NotImplementedError,
    RuntimeError,
)  # fmt: skip
#: What may go before a document's root.
_PROLOGUE_BYTES: Final = 1 << 16
_CP1251_MONGOLIAN: Final = {"є": "ө", "Є": "Ө", "ї": "ү", "Ї": "Ү"}
#: The heading of a feature's shape, for tables that have one.
GEOMETRY: Final = "geometry"


@dataclass
class SheetRow:
    """One line of a table, or one feature. ``number`` counts as the program that made the file does."""

    number: int
    cells: list[Any]


@dataclass
class Sheet:
    """A table: its headings and its rows. ``letters`` name its columns; features have none."""

    format: str
    headings: list[str]
    rows: list[SheetRow] = field(repr=False)
    letters: bool = True

    def letter(self, index: int) -> str:
        return letter_of(index) if self.letters else ""


def read_path(path: Path) -> tuple[Sheet, bytes]:
    """The file's sheet, and its bytes. Raises ``FileRefused`` before a byte too many is read."""
    try:
        size = path.stat().st_size
        if size > bounds.MAX_FILE_BYTES:
            raise FileRefused("file_too_large", most=bounds.MAX_FILE_BYTES >> 20)
        content = path.read_bytes()
    except OSError as error:
        raise FileRefused("file_unreadable", reason=error.strerror or "?") from None
    return read_sheet(content, path.name), content


def read_sheet(content: bytes, name: str) -> Sheet:
    """The sheet in these bytes. Raises ``FileRefused``."""
    if len(content) > bounds.MAX_FILE_BYTES:
        raise FileRefused("file_too_large", most=bounds.MAX_FILE_BYTES >> 20)
    if not content.strip():
        raise FileRefused("file_empty")
    kind, said = _kind_of(content), _ENDINGS.get(Path(name).suffix.lower())
    if said is None:
        raise FileRefused("ending_unknown", endings=", ".join(_ENDINGS))
    if kind != said:
        raise FileRefused("wrong_format", said=said.upper(), found=kind.upper())
    sheet = _READERS[kind](content)
    if not sheet.rows:
        raise FileRefused("no_rows")
    return sheet


def _kind_of(content: bytes) -> str:
    if content.startswith(b"PK\x03\x04"):
        return "kml" if b"[Content_Types].xml" not in content and b".kml" in content else "xlsx"
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise FileRefused("old_or_locked_workbook")
    if content.startswith(
        (b"%PDF", b"{\\rtf", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"\xff\xd8", b"\x89PNG")
    ):
        raise FileRefused("not_a_table")
    start = content[:_PROLOGUE_BYTES].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if start.startswith(b"<"):
        return "kml"
    return "geojson" if start.startswith(b"{") else "csv"


# --- XLSX -------------------------------------------------------------------------------------------


def _xlsx(content: bytes) -> Sheet:
    _check_zip(content)
    try:
        return _table("xlsx", rows_of(content))
    except FileRefused:
        raise
    except Exception as error:  # openpyxl raises whatever a broken file makes it stumble over
        raise FileRefused("broken_file", format="XLSX", reason=type(error).__name__) from None


def _check_zip(content: bytes) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        parts = archive.infolist()
    except _BROKEN_ZIP as error:
        raise FileRefused("broken_file", format="ZIP", reason=type(error).__name__) from None
    if (
        len(parts) > bounds.MAX_PARTS
        or sum(part.file_size for part in parts) > bounds.MAX_UNZIPPED_BYTES
    ):
        raise FileRefused("zip_bomb")
    for part in parts:
        if part.flag_bits & 1:
            raise FileRefused("old_or_locked_workbook")
        packed = max(1, part.compress_size)
        if part.file_size > bounds.SMALL_PART_BYTES and part.file_size / packed > bounds.MAX_RATIO:
            raise FileRefused("zip_bomb")
        if part.filename.endswith((".xml", ".rels", ".kml")):
            _check_prologue(_start_of(archive, part))
    return archive


def _start_of(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(part) as opened:
            return opened.read(_PROLOGUE_BYTES)
    except _BROKEN_ZIP as error:
        raise FileRefused("broken_file", format="ZIP", reason=type(error).__name__) from None


def _check_prologue(start: bytes) -> None:
    """Neither entities nor a document type: no table of a clerk has any."""
    flat = start.replace(b"\x00", b"")  # UTF-16 hides nothing
    if b"<!DOCTYPE" in flat or b"<!ENTITY" in flat:
        raise FileRefused("entities")


def _table(kind: str, numbered: Iterator[tuple[int, list[Any]]]) -> Sheet:
    """Headings and rows out of numbered lines; titles above the headings are passed over."""
    head = list(itertools.islice(numbered, _HEADING_ROWS))
    words = [sum(isinstance(cell, str) and bool(cell.strip()) for cell in line[1]) for line in head]
    most = max(words, default=0)
    best = next((line for line, count in zip(head, words, strict=True) if count >= _SHARE * most), None)
    if best is None:
        raise FileRefused("no_headings")
    _, cells = best
    headings = ["" if cell is None else " ".join(str(cell).split()) for cell in cells]
    while headings and not headings[-1]:
        headings.pop()
    if not any(headings):
        raise FileRefused("no_headings")
    if len(headings) > bounds.MAX_COLUMNS:
        raise FileRefused("too_many_columns", most=bounds.MAX_COLUMNS)
    rest = itertools.chain(head[head.index(best) + 1 :], numbered)
    return Sheet(kind, headings, list(_rows(rest)))


def _rows(numbered: Iterable[tuple[int, list[Any]]]) -> Iterator[SheetRow]:
    count = 0
    for number, cells in numbered:
        if all(cell is None or cell == "" for cell in cells):
            continue
        count += 1
        if count > bounds.MAX_ROWS:
            raise FileRefused("too_many_rows", most=bounds.MAX_ROWS)
        yield SheetRow(number, cells)


# --- CSV --------------------------------------------------------------------------------------------


def _csv(content: bytes) -> Sheet:
    text = decoded(content)
    if "\x00" in text[:4096]:
        raise FileRefused("not_a_table")
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.lower().startswith("sep=") and len(first) == 5:
        delimiter, text = first[4], text.partition("\n")[2]
    else:
        sample = text[:20_000].splitlines()[:20]
        delimiter = max(
            ",;\t|", key=lambda mark: (min(_count(sample, mark)), sum(_count(sample, mark)))
        )
    csv.field_size_limit(bounds.MAX_CELL * 4)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return _table("csv", enumerate(reader, 1))
    except csv.Error as error:
        raise FileRefused("broken_file", format="CSV", reason=str(error)[:60]) from None


def _count(sample: list[str], mark: str) -> list[int]:
    return [line.count(mark) for line in sample if line.strip()] or [0]


def decoded(content: bytes) -> str:
    """The text: UTF-8, UTF-16 by its mark or its zeros, else Windows' Cyrillic of old programs."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif _is_utf16(content):
        encoding = "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp1251")
    except UnicodeDecodeError:
        raise FileRefused("encoding_unknown") from None
    return "".join(_CP1251_MONGOLIAN.get(letter, letter) for letter in text)


def _is_utf16(content: bytes) -> bool:
    """Without a mark: every other byte is a Latin or Cyrillic page's number."""
    pages = content[1:400:2]
    return len(pages) > 1 and sum(page in (0, 4) for page in pages) > 0.9 * len(pages)


# --- features ---------------------------------------------------------------------------------------


def _geojson(content: bytes) -> Sheet:
    try:
        document = json.loads(decoded(content))
    except (ValueError, RecursionError) as error:
        raise FileRefused("broken_file", format="GeoJSON", reason=type(error).__name__) from None
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise FileRefused("no_features")
    found = []
    for feature in features:
        if not isinstance(feature, dict):
            raise FileRefused("no_features")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise FileRefused("no_features")
        found.append((properties, feature.get("geometry")))
    return _features("geojson", found)


def _kml(content: bytes) -> Sheet:
    if content.startswith(b"PK"):
        archive = _check_zip(content)
        try:
            content = archive.read(next(name for name in archive.namelist() if name.endswith(".kml")))
        except (*_BROKEN_ZIP, StopIteration, KeyError) as error:
            raise FileRefused("broken_file", format="KMZ", reason=type(error).__name__) from None
    _check_prologue(content[:_PROLOGUE_BYTES])
    try:
        root = parse_xml(content, forbid_dtd=True)
    except defusedxml.DefusedXmlException:
        raise FileRefused("entities") from None
    except (ParseError, ValueError, RecursionError) as error:
        raise FileRefused("broken_file", format="KML", reason=type(error).__name__) from None
    found = [_placemark(one) for one in root.iter() if _tag(one) == "Placemark"]
    if not found:
        raise FileRefused("no_features")
    return _features("kml", found)


def _placemark(mark: Element) -> tuple[dict[str, Any], Any]:
    properties: dict[str, Any] = {}
    geometry: dict[str, Any] | None = None
    for inner in mark.iter():
        tag, written = _tag(inner), (inner.text or "").strip()
        if tag in ("name", "description") and written:
            properties.setdefault(tag, written)
        elif tag == "SimpleData":
            properties[inner.get("name", "")] = written
        elif tag == "Data":
            value = next((one.text for one in inner if _tag(one) == "value"), None)
            properties[inner.get("name", "")] = (value or "").strip()
        elif tag in ("Point", "LineString", "LinearRing") and geometry is None:
            points = _coordinates(inner)
            if tag == "Point":
                geometry = {"type": "Point", "coordinates": points[0]} if points else None
            elif tag == "LineString":
                geometry = {"type": "LineString", "coordinates": points}
            else:
                geometry = {"type": "Polygon", "coordinates": [points]}
    return properties, geometry


def _coordinates(shape: Element) -> list[list[float]]:
    text = next((one.text or "" for one in shape.iter() if _tag(one) == "coordinates"), "")
    try:
        return [[float(part) for part in point.split(",")[:2]] for point in text.split()]
    except ValueError:
        return []


def _tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _features(kind: str, found: list[tuple[dict[str, Any], Any]]) -> Sheet:
    """A table of features: their properties, ``lat`` and ``lon`` of points, and ``geometry``."""
    if len(found) > bounds.MAX_ROWS:
        raise FileRefused("too_many_rows", most=bounds.MAX_ROWS)
    names = list(dict.fromkeys(str(name) for properties, _ in found for name in properties))
    if len(names) > bounds.MAX_COLUMNS:
        raise FileRefused("too_many_columns", most=bounds.MAX_COLUMNS)
    extra = [name for name in ("lat", "lon") if name not in names]
    rows = []
    for number, (properties, geometry) in enumerate(found, 1):
        point = _point(geometry)
        cells = [properties.get(name) for name in names]
        cells += [point[name] for name in extra]
        rows.append(SheetRow(number, [*cells, geometry]))
    return Sheet(kind, [*names, *extra, GEOMETRY], rows, letters=False)


def _point(geometry: Any) -> dict[str, Any]:
    if isinstance(geometry, dict) and geometry.get("type") == "Point":
        pair = geometry.get("coordinates")
        if isinstance(pair, list) and len(pair) >= 2:
            return {"lon": pair[0], "lat": pair[1]}
    return {"lat": None, "lon": None}


_READERS: Final = {"xlsx": _xlsx, "csv": _csv, "geojson": _geojson, "kml": _kml}
