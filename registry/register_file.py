"""A register's file as raw rows that know their place in it: TOML and CSV.

Cast: ``RawRow`` (a kind, its values by column, and the line of each), ``Problem`` (one thing wrong, by
file, line, column and what was expected), ``RegisterRefused`` (all of them at once). Nothing here knows
what a column means.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: A register of 220,000 homes is about 60 MB.
MAX_FILE_BYTES: Final = 128 << 20
KINDS: Final = ("site", "model", "household", "detector")
#: A flat file: each line names a site, and may bring a home, a contact and a detector.
CSV_COLUMNS: Final = (
    "site", "site_title", "household", "unit", "address", "lat", "lon", "language",
    "contact", "contact_language", "contact_role", "email", "sms", "voice",
    "source", "detector", "model", "place",
)  # fmt: skip
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z0-9_-]+))\s*[.=]""")
_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file. The value itself is not repeated: it may be personal."""

    file: str
    line: int
    column: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.file} line {self.line}" if self.line else self.file
        return f"{place}{f', {self.column}' if self.column else ''}: {self.expected}"


class RegisterRefused(Exception):
    """The file holds mistakes, so nothing of it was taken."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(f"{len(problems)} problems, the first: {problems[0]}")
        self.problems = problems


@dataclass
class RawRow:
    """One record of the file."""

    kind: str
    values: dict[str, Any]
    line: int
    lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, column: str) -> int:
        return self.lines.get(column, self.line)


def read_register(path: Path) -> list[RawRow]:
    """The file's rows, in its order. Raises ``RegisterRefused``."""
    file = path.name
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RegisterRefused([Problem(file, 0, "", f"expected at most {MAX_FILE_BYTES} bytes")])
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RegisterRefused(
            [Problem(str(path), 0, "", f"cannot read it: {error.strerror}")]
        ) from None
    except UnicodeDecodeError as error:
        place = f"expected UTF-8; byte {error.start} is not"
        raise RegisterRefused([Problem(file, 0, "", place)]) from None
    if path.suffix.lower() == ".toml":
        return _rows_of_toml(file, text)
    if path.suffix.lower() == ".csv":
        return _rows_of_csv(file, text)
    raise RegisterRefused([Problem(file, 0, "", "expected a name that ends in .toml or .csv")])


# --- TOML -------------------------------------------------------------------------------------------


def _rows_of_toml(file: str, text: str) -> list[RawRow]:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"line (\d+)", str(error))
        line = int(found[1]) if found else len(text.splitlines())  # "at end of document"
        raise RegisterRefused([Problem(file, line, "", f"expected TOML; {error}")]) from None
    lines = _lines_of_toml(text)
    rows: list[RawRow] = []
    problems: list[Problem] = []
    for kind, tables in document.items():
        expected = f"expected [[{']], [['.join(KINDS)}]]"
        if kind not in KINDS or not isinstance(tables, list):
            problems.append(Problem(file, lines.get((kind,), 0), kind, expected))
            continue
        for index, table in enumerate(tables):
            path: _Path = (kind, index)
            if not isinstance(table, dict):
                problems.append(Problem(file, lines.get((kind,), 0), kind, expected))
                continue
            rows.append(_row_of_table(kind, table, path, lines))
    if problems:
        raise RegisterRefused(problems)
    return rows


def _row_of_table(kind: str, table: dict[str, Any], path: _Path, lines: dict[_Path, int]) -> RawRow:
    """The table as a row; tables inside become rows too, so that they know their own lines."""
    line = lines.get(path, 0)
    row = RawRow(kind, {}, line, {key: lines[(*path, key)] for key in table if (*path, key) in lines})
    for key, value in table.items():
        row.values[key] = value
        if isinstance(value, list) and all(isinstance(inner, dict) for inner in value):
            row.values[key] = [
                _row_of_table(key, inner, (*path, key, index), lines)
                for index, inner in enumerate(value)
            ]
            for inner in row.values[key]:
                inner.line = inner.line or row.line_of(key)
    return row


def _lines_of_toml(text: str) -> dict[_Path, int]:
    """The line of every table and key, by path; enough to point at a mistake, not a parser."""
    lines: dict[_Path, int] = {}
    counts: dict[_Path, int] = {}
    current: _Path = ()
    for number, line in _outside_long_strings(text):
        if header := _HEADER.match(line):
            names = [part.strip().strip("\"'") for part in header[2].split(".")]
            current = _enter(counts, names, array=header[1] == "[[")
            lines.setdefault(current, number)
            lines.setdefault(tuple(names[:1]), number)
        elif key := _KEY.match(line):
            lines.setdefault((*current, key[1] or key[2] or key[3]), number)
    return lines


def _enter(counts: dict[_Path, int], names: list[str], *, array: bool) -> _Path:
    path: _Path = ()
    for depth, name in enumerate(names, 1):
        path = (*path, name)
        if depth == len(names) and array:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _outside_long_strings(text: str) -> Iterator[tuple[int, str]]:
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence:
            if fence in line:
                fence = ""
            continue
        yield number, line
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                fence = mark


# --- CSV --------------------------------------------------------------------------------------------


def _rows_of_csv(file: str, text: str) -> list[RawRow]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    problems: list[Problem] = []
    rows: list[RawRow] = []
    try:
        heading = [cell.strip().lower() for cell in next(reader, [])]
        problems += _heading_problems(file, heading)
        for cells in reader:
            if len(cells) > len(heading):
                wide = f"expected {len(heading)} cells, found {len(cells)}"
                problems.append(Problem(file, reader.line_num, "", wide))
            elif any(cell.strip() for cell in cells):
                values = {
                    name: cell.strip()
                    for name, cell in zip(heading, cells, strict=False)
                    if cell.strip()
                }
                rows.append(RawRow("line", values, reader.line_num))
    except csv.Error as error:
        problems.append(Problem(file, reader.line_num, "", f"expected CSV; {error}"))
    if problems:
        raise RegisterRefused(problems)
    return _from_lines(file, rows)


def _heading_problems(file: str, heading: list[str]) -> list[Problem]:
    known = f"expected one of {', '.join(CSV_COLUMNS)}"
    problems = [Problem(file, 1, name, known) for name in heading if name not in CSV_COLUMNS]
    twice = {name for name in heading if heading.count(name) > 1}
    problems += [Problem(file, 1, name, "expected each column once") for name in sorted(twice)]
    if "site" not in heading:
        problems.append(Problem(file, 1, "site", "expected this column; every line names its site"))
    return problems


_OF_SITE: Final = {"site": "id", "site_title": "title"}
_OF_HOME: Final = {
    "household": "label", "site": "site", "unit": "unit", "address": "address", "lat": "lat",
    "lon": "lon", "language": "language",
}  # fmt: skip
_OF_CONTACT: Final = {
    "contact": "name", "contact_language": "language", "contact_role": "role", "email": "email",
    "sms": "sms", "voice": "voice",
}  # fmt: skip
#: Columns of which any one says that the line brings a contact.
_SAYS_CONTACT: Final = ("contact", "email", "sms", "voice")
_OF_DETECTOR: Final = {
    "site": "site", "source": "source", "detector": "address", "model": "model", "place": "place",
    "household": "household",
}  # fmt: skip


def _from_lines(file: str, rows: list[RawRow]) -> list[RawRow]:
    """Sites, homes with their contacts, and detectors out of flat lines."""
    sites: dict[str, RawRow] = {}
    homes: dict[str, RawRow] = {}
    detectors: list[RawRow] = []
    problems: list[Problem] = []
    for row in rows:
        if "site" not in row.values:
            problems.append(Problem(file, row.line, "site", "expected the name of the line's site"))
            continue
        _fold(file, sites, row.values["site"], _part("site", row, _OF_SITE), problems)
        if "household" in row.values:
            home = _part("household", row, _OF_HOME)
            whole = _fold(file, homes, row.values["household"], home, problems)
            if any(name in row.values for name in _SAYS_CONTACT):
                whole.values.setdefault("contact", []).append(_part("contact", row, _OF_CONTACT))
        elif any(name in row.values for name in _SAYS_CONTACT):
            problems.append(Problem(file, row.line, "household", "expected whose contact this is"))
        if "detector" in row.values or "source" in row.values:
            detectors.append(_part("detector", row, _OF_DETECTOR))
    if problems:
        raise RegisterRefused(problems)
    return [*sites.values(), *homes.values(), *detectors]


def _part(kind: str, row: RawRow, columns: dict[str, str]) -> RawRow:
    values = {own: row.values[name] for name, own in columns.items() if name in row.values}
    return RawRow(kind, values, row.line)


def _fold(
    file: str, known: dict[str, RawRow], key: str, row: RawRow, problems: list[Problem]
) -> RawRow:
    """The record that lines share; a line may leave out what another says, not contradict it."""
    whole = known.setdefault(key, row)
    for name, value in row.values.items():
        if whole.values.setdefault(name, value) != value:
            said = f"expected what line {whole.line_of(name)} says of {key!r}, or nothing"
            problems.append(Problem(file, row.line, name, said))
        elif whole is not row:
            whole.lines.setdefault(name, row.line)
    return whole
