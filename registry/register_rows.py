"""Raw rows into checked ones: what every column must be, as data.

A column that is absent says nothing (what is recorded stays); one that is there must be right. All
mistakes of a file are found, not only the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from edge.wire.identity import check_site
from registry.households import CHANNELS, LANGUAGES, ChannelEntry, ContactEntry, normal_address
from registry.register_file import Problem, RawRow
from registry.values import check_storable

Parse = Callable[[Any], Any]
_MODEL_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_UNIT: Final = re.compile(r"[0-9]{2,8}")
_SENSES: Final = ("smoke", "co", "heat", "temperature", "humidity", "air")


@dataclass(frozen=True)
class Row:
    """A checked record: only the columns the file has. ``line_of`` says where each came from."""

    kind: str
    values: dict[str, Any]
    raw: RawRow
    contacts: tuple[ContactEntry, ...] = ()

    def line_of(self, column: str) -> int:
        return self.raw.line_of(column)


@dataclass
class Checked:
    """Everything a file says, by kind."""

    sites: list[Row] = field(default_factory=list)
    models: list[Row] = field(default_factory=list)
    households: list[Row] = field(default_factory=list)
    detectors: list[Row] = field(default_factory=list)


def _text(most: int, least: int = 0) -> Parse:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value.strip()) <= most:
            raise ValueError(f"expected a text of {least} to {most} characters")
        check_storable(value)
        return value.strip()

    return parse


def _pattern(pattern: re.Pattern[str], expected: str) -> Parse:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"expected {expected}")
        return value

    return parse


def _number(low: float, high: float, expected: str) -> Parse:
    def parse(value: Any) -> float:
        try:
            if isinstance(value, bool):
                raise ValueError
            number = float(value.replace(",", ".") if isinstance(value, str) else value)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"expected {expected}") from None
        if not math.isfinite(number) or not low <= number <= high:
            raise ValueError(f"expected {expected}")
        return number

    return parse


def _one_of(*words: str) -> Parse:
    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"expected {' or '.join(words)}")
        return str(value)

    return parse


def _site(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected the name of a site")
    return check_site(value)


def _senses(value: Any) -> list[str]:
    if not isinstance(value, list) or any(word not in _SENSES for word in value):
        raise ValueError(f"expected a list of {', '.join(_SENSES)}")
    return list(value)


def _settings(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(
        isinstance(inner, str | int | float | bool | list | dict) for inner in value.values()
    ):
        raise ValueError("expected a table of settings")
    check_storable(value)
    return value


_LAT = _number(-90, 90, "a latitude in degrees, -90 to 90")
_LON = _number(-180, 180, "a longitude in degrees, -180 to 180")
_UNIT_CODE = _pattern(_UNIT, "the code of a district or khoroo, digits such as 111664")
_MODEL = _pattern(_MODEL_ID, "a model's id: lower-case letters, digits, '.', '_', '-', at most 64")

#: What each kind of row may say: column → how it is read. The first line of each is required.
COLUMNS: Final[dict[str, dict[str, Parse]]] = {
    "site": {
        "id": _site,
        "title": _text(200), "unit": _UNIT_CODE, "lat": _LAT, "lon": _LON, "alarms": _settings,
        "outputs": _settings,
    },
    "model": {
        "id": _MODEL, "name": _text(100, 1),
        "maker": _text(100), "senses": _senses,
        "deadline_s": _number(1, 31 * 86400, "seconds, 1 to 2678400"), "alarms": _settings,
        "source_note": _text(300),
    },
    "household": {
        "label": _text(100, 1), "site": _site,
        "unit": _UNIT_CODE, "address": _text(500), "lat": _LAT, "lon": _LON,
        "language": _one_of(*LANGUAGES),
    },
    "contact": {
        "name": _text(200, 1),
        "language": _one_of(*LANGUAGES), "role": _one_of("resident", "neighbour"),
    },
    "detector": {
        "site": _site, "source": _text(40, 1), "address": _text(200, 1),
        "household": _text(100, 1), "model": _MODEL, "place": _text(100), "alarms": _settings,
    },
}  # fmt: skip
_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "site": ("id",),
    "model": ("id", "name"),
    "household": ("label", "site"),
    "contact": ("name",),
    "detector": ("site", "source", "address"),
}
#: Columns that hold rows of their own, or addresses; read apart.
_NESTED: Final[dict[str, tuple[str, ...]]] = {
    "household": ("contact", "detector"),
    "contact": tuple(CHANNELS),
}


class Checker:
    """Reads a file's rows; ``problems`` fills up on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def check(self, rows: list[RawRow]) -> Checked:
        result = Checked()
        lists = {
            "site": result.sites, "model": result.models, "household": result.households,
            "detector": result.detectors,
        }  # fmt: skip
        for raw in rows:
            if raw.kind == "household":
                self._household(raw, result)
            else:
                lists[raw.kind].append(self._row(raw))
        self._twice(result.sites, "id")
        self._twice(result.models, "id")
        self._twice(result.households, "label")
        self._twice(result.detectors, "site", "source", "address")
        return result

    def problem(self, raw: RawRow, column: str, expected: str) -> None:
        self.problems.append(Problem(self.file, raw.line_of(column), column, expected))

    def _row(self, raw: RawRow, contacts: tuple[ContactEntry, ...] = ()) -> Row:
        columns, nested = COLUMNS[raw.kind], _NESTED.get(raw.kind, ())
        values = {}
        for name, value in raw.values.items():
            if name in nested:
                continue
            if name not in columns:
                self.problem(raw, name, f"expected one of {', '.join((*columns, *nested))}")
                continue
            try:
                values[name] = columns[name](value)
            except ValueError as error:
                self.problem(raw, name, str(error))
        for name in _REQUIRED[raw.kind]:
            if name not in raw.values:
                self.problem(raw, name, "expected this column")
        return Row(raw.kind, values, raw, contacts)

    def _household(self, raw: RawRow, result: Checked) -> None:
        contacts = tuple(
            entry for inner in self._inner(raw, "contact") if (entry := self._contact(inner))
        )
        result.households.append(self._row(raw, contacts))
        for inner in self._inner(raw, "detector"):
            for column, of_home in (("household", "label"), ("site", "site")):
                if of_home in raw.values:
                    inner.values.setdefault(column, raw.values[of_home])
            result.detectors.append(self._row(inner))

    def _inner(self, raw: RawRow, column: str) -> list[RawRow]:
        inner = raw.values.get(column, [])
        if isinstance(inner, list) and all(isinstance(one, RawRow) for one in inner):
            return inner
        self.problem(raw, column, f"expected [[{raw.kind}.{column}]] tables")
        return []

    def _contact(self, raw: RawRow) -> ContactEntry | None:
        before = len(self.problems)
        row = self._row(raw)
        channels = []
        for channel in _NESTED["contact"]:
            said = raw.values.get(channel, [])
            for address in said if isinstance(said, list) else [said]:
                try:
                    if not isinstance(address, str):
                        raise ValueError("expected an address, or a list of them")
                    channels.append(ChannelEntry(channel, normal_address(channel, address)))
                except ValueError as error:
                    self.problem(raw, channel, str(error))
        if len(self.problems) > before:
            return None
        language = row.values.get("language", "mn")
        role = row.values.get("role")
        return ContactEntry(row.values["name"], language, tuple(channels), role=role)

    def _twice(self, rows: list[Row], *columns: str) -> None:
        seen: dict[tuple[Any, ...], int] = {}
        for row in rows:
            key = tuple(row.values.get(column) for column in columns)
            if None in key:
                continue
            if key in seen:
                self.problem(row.raw, columns[-1], f"expected it once; line {seen[key]} has it too")
            seen.setdefault(key, row.raw.line)
