"""A whole plant as operations, and as a workbook with a sheet for each kind of them.

The workbook is its own import form: a row is an operation, its columns are the operation's fields.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any, Final

import openpyxl

from registry.fibre.geojson import MAX_FILE_BYTES
from registry.fibre.operations import MAX_OPERATIONS, ChangesRefused, Problem
from registry.fibre.plant import Plant
from registry.fibre.standing import LAYERS, standing, without_none

#: Sheets in the order in which they refer to each other, with their columns.
SHEETS: Final[dict[str, tuple[str, ...]]] = {
    "node": ("id", "kind", "lon", "lat"),
    "route": ("id", "a", "b", "install", "trench", "duct", "contractor", "line"),
    "cable_type": ("id", "tubes", "strands_per_tube", "scheme", "helix", "maker"),
    "cable": ("id", "type", "a", "routes", "sheath_m", "optical_m", "status", "provider"),
    **LAYERS,
}
_JSON: Final = ("line", "routes")
_NUMBERS: Final = ("tubes", "strands_per_tube", "ports", "capacity", "number", "criticality")
#: An unpacked workbook is at most so large: a small file can hold a huge one.
_MAX_UNPACKED: Final = 256 << 20


def operations_from(plant: Plant) -> Iterator[dict[str, Any]]:
    """Everything in the plant, in an order in which it can be entered."""
    for node in plant.nodes.values():
        yield {"do": "node", "id": node.id, "kind": node.kind, "lon": node.lon, "lat": node.lat}
    for route in plant.routes.values():
        now = route.now
        said: dict[str, Any] = {
            "do": "route", "id": route.id, "a": route.a, "b": route.b, "install": now.install,
            "trench": now.trench, "duct": now.duct, "contractor": now.contractor,
            "line": [list(point) for point in now.line],
        }  # fmt: skip
        yield without_none(said)
    for made in plant.types.values():
        yield {
            "do": "cable_type", "id": made.id, "tubes": made.tubes,
            "strands_per_tube": made.strands_per_tube, "scheme": made.scheme, "helix": made.helix,
            "maker": made.maker,
        }  # fmt: skip
    for cable in plant.cables.values():
        said = {
            "do": "cable", "id": cable.id, "type": cable.type.id, "a": cable.a,
            "routes": list(cable.routes), "sheath_m": cable.sheath_m, "optical_m": cable.optical_m,
            "status": cable.status, "provider": cable.provider,
        }  # fmt: skip
        yield without_none(said)
    yield from standing(plant)


def workbook(plant: Plant) -> bytes:
    """The plant as XLSX."""
    book = openpyxl.Workbook(write_only=True)
    sheets = {name: book.create_sheet(name) for name in SHEETS}
    for name, columns in SHEETS.items():
        sheets[name].append(list(columns))
    for said in operations_from(plant):
        kind = said["do"]
        sheets[kind].append([_cell(said.get(column), column) for column in SHEETS[kind]])
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _cell(value: Any, column: str) -> Any:
    if column in _JSON:
        return json.dumps(value) if value is not None else None
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")):
        return f"'{value}"  # never a formula
    return value


def read_workbook(content: bytes) -> list[dict[str, Any]]:
    """Operations of a workbook. Raises ``ChangesRefused`` naming sheet and row."""
    problems: list[Problem] = []
    operations: list[dict[str, Any]] = []
    for name, columns, row, cells in _rows(content):
        said: dict[str, Any] = {"do": name}
        try:
            for column, value in zip(columns, cells, strict=False):
                if value is not None and value != "":
                    said[column] = _value(column, value)
        except ValueError:
            detail = f"sheet {name}, row {row}, column {column}: {str(value)[:40]!r} cannot be read"
            problems.append(Problem(len(operations), "bad_form", detail))
        if len(said) > 1:
            operations.append(said)
        if len(operations) > MAX_OPERATIONS:
            raise ChangesRefused([Problem(0, "bad_form", f"more than {MAX_OPERATIONS} rows")])
    if problems:
        raise ChangesRefused(problems)
    return operations


def _rows(content: bytes) -> Iterator[tuple[str, list[str], int, tuple[Any, ...]]]:
    _check_size(content)
    try:
        yield from _rows_in(content)
    except ChangesRefused:
        raise
    except Exception as error:  # openpyxl raises whatever a broken file makes it stumble over
        detail = f"no workbook: {type(error).__name__}"
        raise ChangesRefused([Problem(0, "bad_form", detail)]) from None


def _rows_in(content: bytes) -> Iterator[tuple[str, list[str], int, tuple[Any, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    for name, known in SHEETS.items():
        if name not in book.sheetnames:
            continue
        rows = book[name].iter_rows(values_only=True)
        columns = [str(cell or "") for cell in next(rows, ())]
        strange = [column for column in columns if column and column not in known]
        if strange:
            detail = f"sheet {name}: column {strange[0][:40]!r}; expected {', '.join(known)}"
            raise ChangesRefused([Problem(0, "bad_form", detail)])
        for number, cells in enumerate(rows, 2):
            yield name, columns, number, cells


def _check_size(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise ChangesRefused([Problem(0, "bad_form", "no workbook (.xlsx)")]) from None
    if len(content) > MAX_FILE_BYTES or unpacked > _MAX_UNPACKED:
        raise ChangesRefused([Problem(0, "bad_form", "the workbook is too large: send it in parts")])


def _value(column: str, value: Any) -> Any:
    if column in _JSON:
        return json.loads(str(value))
    if column in _NUMBERS:
        return int(value)
    if column in ("lon", "lat", "helix", "sheath_m", "optical_m", "loss_db", "length_m"):
        return float(value)
    text = str(value).strip()
    return text[1:] if text[:1] == "'" else text
