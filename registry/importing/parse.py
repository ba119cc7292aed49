"""A sheet and fields in; rows of values and every problem at its cell out.

``guess`` says which heading is which field; a person may send another mapping. ``repairs`` are cells
that a person put right in the dry run, by their place (``D17``, or ``17:MAC`` where columns have no
letters).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rapidfuzz import fuzz, process

from registry.importing import bounds
from registry.importing.bounds import FileRefused
from registry.importing.cells import MN_LAT, MN_LON
from registry.importing.fields import Field, Problem, Severity, Taken, Wrong
from registry.importing.readers import Sheet, SheetRow
from registry.search.text import folded

#: How alike a heading must be to a known one to be taken for it, of 100.
_ALIKE: Final = 84
#: Characters of a wrong value that a problem repeats.
_SHOWN: Final = 60


@dataclass
class Row:
    """One row as it was read. ``wrong`` counts its errors; a row with one is not taken."""

    number: int
    values: dict[str, Any]
    wrong: int = 0


@dataclass
class Parsed:
    """What a sheet says: rows, problems, and which heading was which field."""

    sheet: Sheet
    mapping: dict[str, str]
    fields: dict[str, Field]
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    #: problems beyond ``bounds.MAX_PROBLEMS``, counted only
    more_problems: int = 0

    @property
    def errors(self) -> int:
        return sum(row.wrong for row in self.rows) + sum(
            problem.severity == "error" and problem.row == 0 for problem in self.problems
        )

    def problem(
        self, row: Row | None, name: str, code: str, /, *, repair: Any = None,
        severity: Severity = "error", value: Any = None, **values: Any,
    ) -> None:  # fmt: skip
        """Something about a row's field (an empty name: about the row)."""
        if row is not None and severity == "error":
            row.wrong += 1
        if len(self.problems) >= bounds.MAX_PROBLEMS:
            self.more_problems += 1
            return
        column, heading = self._place(name)
        known = self.fields.get(name)
        shown = None if value is None or (known and known.personal) else str(value)[:_SHOWN]
        if known and known.personal:
            repair = None
        number = row.number if row else 0
        self.problems.append(
            Problem(number, column, heading, name, code, shown, repair, severity, values)
        )

    def _place(self, name: str) -> tuple[str, str]:
        for index, heading in enumerate(self.sheet.headings):
            if name and self.mapping.get(heading) == name:
                return self.sheet.letter(index), heading
        known = self.fields.get(name)
        return "", known.headings[0] if known else name


def guess(headings: Sequence[str], fields: Sequence[Field]) -> dict[str, str]:
    """Heading → field: exact names first, then the most alike; each field once."""
    names = {folded(name.replace("_", " ")): one.name for one in fields for name in
             (*one.headings, one.name)}  # fmt: skip
    mapping: dict[str, str] = {}
    for heading in headings:
        flat = folded(heading.replace("_", " "))
        if flat in names and names[flat] not in mapping.values():
            mapping[heading] = names[flat]
    for heading in headings:
        flat = folded(heading.replace("_", " "))
        if heading in mapping or len(flat) < 4:
            continue
        left = [name for name, target in names.items() if target not in mapping.values()]
        near = process.extractOne(flat, left, scorer=fuzz.ratio, score_cutoff=_ALIKE)
        if near:
            mapping[heading] = names[near[0]]
    return mapping


def parse_sheet(
    sheet: Sheet,
    fields: Sequence[Field],
    *,
    mapping: Mapping[str, str | None] | None = None,
    repairs: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Parsed:
    """Read every cell. Raises ``FileRefused`` for a mapping that cannot be; a wrong cell is a problem.

    ``mapping`` overrides the guess, heading by heading; None leaves a column out.
    """
    by_name = {one.name: one for one in fields}
    mapped = guess(sheet.headings, fields)
    for heading, target in (mapping or {}).items():
        if heading not in sheet.headings or (target is not None and target not in by_name):
            raise FileRefused("mapping_unknown", fields=", ".join(by_name))
        mapped = {key: value for key, value in mapped.items() if key != heading and value != target}
        if target is not None:
            mapped[heading] = target
    parsed = Parsed(sheet, mapped, by_name)
    _check_headings(parsed)
    columns = [
        (index, sheet.letter(index), heading, by_name[mapped[heading]])
        for index, heading in enumerate(sheet.headings)
        if heading in mapped and sheet.headings.index(heading) == index
    ]
    required = [one.name for one in fields if one.required and one.name in mapped.values()]
    for count, line in enumerate(sheet.rows):
        parsed.rows.append(_row(parsed, line, columns, required, repairs or {}))
        if progress is not None and count % 1000 == 0:
            progress(count, len(sheet.rows))
    return parsed


def _check_headings(parsed: Parsed) -> None:
    headings = parsed.sheet.headings
    for index, heading in enumerate(headings):
        if heading and headings.index(heading) != index:
            parsed.problems.append(
                Problem(0, parsed.sheet.letter(index), heading, "", "heading_twice", heading)
            )
        elif heading and heading not in parsed.mapping and heading != "geometry":
            parsed.problems.append(
                Problem(
                    0, parsed.sheet.letter(index), heading, "", "heading_unknown", heading, None, "note"
                )
            )
    for one in parsed.fields.values():
        if one.required and one.name not in parsed.mapping.values():
            parsed.problems.append(
                Problem(0, "", one.headings[0], one.name, "column_missing", None, None, "error",
                        {"headings": " / ".join(one.headings[:2])})
            )  # fmt: skip


def _row(
    parsed: Parsed, line: SheetRow, columns: list[tuple[int, str, str, Field]],
    required: list[str], repairs: Mapping[str, Any],
) -> Row:  # fmt: skip
    row = Row(line.number, {})
    cells = line.cells
    width = len(parsed.sheet.headings)
    if len(cells) > width and any(cell not in (None, "") for cell in cells[width:]):
        parsed.problem(row, "", "too_many_cells", expected=width)
    for index, letter, heading, known in columns:
        cell = cells[index] if index < len(cells) else None
        if repairs:
            place = f"{letter}{line.number}" if letter else f"{line.number}:{heading}"
            cell = repairs.get(place, cell)
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            continue
        if isinstance(cell, str) and len(cell) > bounds.MAX_CELL:
            parsed.problem(row, known.name, "cell_too_long", most=bounds.MAX_CELL)
            continue
        try:
            value = known.parse(cell)
        except Wrong as wrong:
            parsed.problem(row, known.name, wrong.code, repair=wrong.repair, value=cell, **wrong.values)
            continue
        if type(value) is Taken:
            parsed.problem(row, known.name, value.code, severity="note", value=cell, **value.values)
            value = value.value
        row.values[known.name] = value
    for name in required:
        if name not in row.values and not row.wrong:
            parsed.problem(row, name, "required")
    if "lat" in row.values or "lon" in row.values:
        _check_point(parsed, row)
    return row


def _check_point(parsed: Parsed, row: Row) -> None:
    """Swapped coordinates of a place in Mongolia are put right; others outside it are refused."""
    if "lat" not in parsed.fields or "lon" not in parsed.fields:
        return
    lat, lon = row.values.get("lat"), row.values.get("lon")
    if lat is None or lon is None:
        if not row.wrong:
            parsed.problem(row, "lon" if lon is None else "lat", "half_a_point")
        return
    if _inside(lat, lon):
        return
    if _inside(lon, lat):
        row.values["lat"], row.values["lon"] = lon, lat
        parsed.problem(row, "lat", "swapped", severity="note", value=lat, lat=lon, lon=lat)
        return
    wrong = "lat" if not MN_LAT[0] <= lat <= MN_LAT[1] else "lon"
    found = row.values[wrong]
    parsed.problem(row, wrong, "outside_mongolia", value=found, repair=_shifted(found, wrong),
                   low=(MN_LAT if wrong == "lat" else MN_LON)[0],
                   high=(MN_LAT if wrong == "lat" else MN_LON)[1])  # fmt: skip


def _inside(lat: float, lon: float) -> bool:
    return MN_LAT[0] <= lat <= MN_LAT[1] and MN_LON[0] <= lon <= MN_LON[1]


def _shifted(found: float, name: str) -> float | None:
    """The number with its point elsewhere, where that one lies in the country: 479.123 → 47.9123."""
    low, high = MN_LAT if name == "lat" else MN_LON
    for power in (-3, -2, -1, 1, 2, 3):
        if low <= (moved := round(abs(found) * 10.0**power, 7)) <= high:
            return moved
    return None
