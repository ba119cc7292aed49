"""Rows in, bytes out, a piece at a time: a city's whole register never lies in memory.

A text that a spreadsheet would run (it begins with ``=``, ``+``, ``-``, ``@`` or a tab) gets an
apostrophe before it, in XLSX as in CSV; an import takes it away again. Numbers are written as
numbers.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import openpyxl

#: Bytes of one piece.
_PIECE: Final = 1 << 16
#: Excel reads UTF-8 where a file says so.
_BOM: Final = "\ufeff"
_RUN: Final = ("=", "+", "-", "@", "\t", "\r")

MEDIA_TYPES: Final = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "geojson": "application/geo+json",
}
Rows = AsyncIterator[Sequence[Any]]


def harmless(value: Any) -> Any:
    """The value as a cell that no program runs."""
    if isinstance(value, bool):
        return "тийм" if value else "үгүй"
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_RUN):
        return f"'{value}"
    return value


async def csv_of(headings: Sequence[str], rows: Rows) -> AsyncIterator[bytes]:
    """UTF-8 with its mark, commas, quotes where they are needed."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write(_BOM)
    writer.writerow(headings)
    async for row in rows:
        writer.writerow(["" if value is None else harmless(value) for value in row])
        if buffer.tell() >= _PIECE:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


async def xlsx_of(headings: Sequence[str], rows: Rows, title: str) -> AsyncIterator[bytes]:
    """A workbook of one page; openpyxl keeps its rows in a temporary file while they come."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet(title[:31])
    page.freeze_panes = "A2"
    page.append(list(headings))
    async for row in rows:
        page.append([harmless(value) for value in row])
    with tempfile.TemporaryFile() as file:
        book.save(file)
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


async def geojson_of(features: AsyncIterator[dict[str, Any]], **about: Any) -> AsyncIterator[bytes]:
    """A FeatureCollection (RFC 7946: longitude first, WGS 84)."""
    head = json.dumps({"type": "FeatureCollection", **about}, ensure_ascii=False)
    pieces, size = [head[:-1], ', "features": ['], 0
    first = True
    async for feature in features:
        text = json.dumps(feature, ensure_ascii=False, separators=(",", ":"))
        pieces.append(text if first else "," + text)
        first = False
        size += len(text)
        if size >= _PIECE:
            yield "".join(pieces).encode()
            pieces, size = [], 0
    pieces.append("]}")
    yield "".join(pieces).encode()


def point(lat: float | None, lon: float | None) -> dict[str, Any] | None:
    """A GeoJSON point; None where it is not known."""
    if lat is None or lon is None:
        return None
    return {"type": "Point", "coordinates": [round(lon, 7), round(lat, 7)]}
