"""The first sheet of a workbook as rows of cells, and nothing else of it.

openpyxl tells which part is the first sheet and which formats are dates; the cells are read here, past
its objects: of 70,000 cameras with their 1.2 million cells that takes a third of the time. Formulas
stay texts that begin with ``=``.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, Final
from xml.etree.ElementTree import Element, iterparse

from openpyxl.packaging.manifest import Override
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils.datetime import from_excel
from openpyxl.xml.constants import SHARED_STRINGS

from registry.importing import bounds
from registry.importing.bounds import FileRefused

_NS: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROWS: Final = f"{_NS}sheetData"
_ROW: Final = f"{_NS}row"
_VALUE: Final = f"{_NS}v"
_FORMULA: Final = f"{_NS}f"
_INLINE: Final = f"{_NS}is"
_ITEMS: Final = f"{_NS}sst"
_ITEM: Final = f"{_NS}si"
_TEXT: Final = f"{_NS}t"
_PHONETIC: Final = f"{_NS}rPh"
#: What no table of a clerk has; entities could grow, document types could fetch.
_REFUSED: Final = (b"<!DOCTYPE", b"<!ENTITY")
_LONGEST: Final = 16
#: Cells of columns beyond these are no table: each would lengthen its whole row.
_MAX_COLUMN: Final = 5 * bounds.MAX_COLUMNS


class Watched(io.RawIOBase):
    """A part of an archive that is refused where an entity or a document type comes by."""

    def __init__(self, part: IO[bytes]) -> None:
        super().__init__()
        self._part = part
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        piece = self._part.read(size)
        flat = (self._tail + piece).replace(b"\x00", b"")  # UTF-16 hides nothing
        if any(word in flat for word in _REFUSED):
            raise FileRefused("entities")
        self._tail = flat[-_LONGEST:]
        return piece


def rows_of(content: bytes) -> Iterator[tuple[int, list[Any]]]:
    """The number of each row of the first sheet, as the program that made it counts, and its cells.

    Raises ``FileRefused``, and whatever a broken workbook makes openpyxl stumble over.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = ExcelReader(io.BytesIO(content), read_only=True, keep_links=False)
        reader.read_manifest()
        reader.read_workbook()
        apply_stylesheet(reader.archive, reader.wb)
    path = next(
        rel.target
        for _sheet, rel in reader.parser.find_sheets()
        if "chartsheet" not in rel.Type and rel.target in reader.valid_files
    )
    strings = _strings(reader.archive, reader.package.find(SHARED_STRINGS))  # type: ignore[no-untyped-call]
    cells = _Cells(strings, reader.wb)
    with reader.archive.open(path) as part:
        for element in _ended(part, _ROWS, _ROW):
            yield cells.row(element)


def _ended(part: IO[bytes], parent: str, tag: str) -> Iterator[Element]:
    """The parent's elements of a tag as they end; what was passed is forgotten."""
    holder: Element | None = None
    for event, element in iterparse(Watched(part), ("start", "end")):  # noqa: S314  # watched
        if event == "start":
            if holder is None and element.tag == parent:
                holder = element
        elif element.tag == tag:
            yield element
            if holder is not None:
                holder.clear()


def _strings(archive: zipfile.ZipFile, part: Override | None) -> list[str]:
    if part is None:
        return []
    with archive.open(part.PartName.lstrip("/")) as opened:
        return [_text_of(item) for item in _ended(opened, _ITEMS, _ITEM)]


def _text_of(element: Element) -> str:
    """All runs of a text; not how it is pronounced."""
    texts = []
    for child in element:
        if child.tag == _TEXT:
            texts.append(child.text or "")
        elif child.tag != _PHONETIC:
            texts += [one.text or "" for one in child.iter(_TEXT)]
    return "".join(texts)


class _Cells:
    """Reads the cells of one sheet; it counts what leaves out its own place."""

    def __init__(self, strings: list[str], book: Any) -> None:
        self._strings = strings
        self._dates = {str(style) for style in book._date_formats}
        self._spans = {str(style) for style in book._timedelta_formats}
        self._epoch = book.epoch
        self._columns: dict[str, int] = {}
        self._row = 0

    def row(self, element: Element) -> tuple[int, list[Any]]:
        self._row = int(element.get("r") or self._row + 1)
        cells: list[Any] = []
        for cell in element:
            value = self._value(cell)
            place = cell.get("r")
            at = len(cells) if place is None else self._column(place)
            if at == len(cells):
                cells.append(value)
            elif value is None:
                continue
            elif at > len(cells):
                if at >= _MAX_COLUMN:
                    raise FileRefused("too_many_columns", most=bounds.MAX_COLUMNS)
                cells += [None] * (at - len(cells))
                cells.append(value)
            else:
                cells[at] = value
        return self._row, cells

    def _column(self, place: str) -> int:
        letters = place.rstrip("0123456789")
        known = self._columns.get(letters)
        if known is None:
            known = 0
            for letter in letters:
                known = known * 26 + ord(letter) - 64
            known = self._columns[letters] = known - 1
        return known

    def _value(self, cell: Element) -> Any:
        if len(cell) == 0:
            return None
        kind = cell.get("t", "n")
        formula = cell.find(_FORMULA)
        if formula is not None:
            return f"={formula.text or ''}"
        if kind == "inlineStr":
            inline = cell.find(_INLINE)
            return None if inline is None else _text_of(inline)
        written = cell.findtext(_VALUE)
        if not written:
            return None
        if kind == "s":
            return self._strings[int(written)]
        if kind == "n":
            return self._number(written, cell.get("s", ""))
        if kind == "b":
            return written == "1"
        return datetime.fromisoformat(written) if kind == "d" else written

    def _number(self, written: str, style: str) -> Any:
        try:
            value: int | float = int(written)
        except ValueError:
            value = float(written)
        if style not in self._dates:
            return value
        try:
            return from_excel(value, self._epoch, timedelta=style in self._spans)
        except (OverflowError, ValueError):
            return "#VALUE!"
