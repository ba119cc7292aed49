"""Recordings: any CSV as readings, by a map from quantities to columns.

A map is ``[NAME/]QUANTITY=COLUMN[*FACTOR][:UNIT]``: the quantity (or flag) of a detector called NAME is
read from that column, in UNIT, times FACTOR. Every trouble is a ``RecordingError`` that says where.
"""

from __future__ import annotations

import csv
import fnmatch
import gzip
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from edge.wire.errors import WireError
from edge.wire.readings import Flag, Reading
from edge.wire.units import (
    BY_NAME,
    c_from_f,
    check_value,
    db_m_from_pct_ft,
    db_m_from_per_m,
    ppm_from_volume_pct,
)  # fmt: skip

US_PER_S = 1_000_000
_S_PER_DAY = 86_400.0
#: A clock of hours and minutes that jumps back by more than this went over midnight.
_MIDNIGHT_S = 12 * 3600.0
#: Recordings are laid out from here on the alarm timeline: any moment will do that leaves
#: room before it.
ORIGIN_US = 20_000_000_000 * US_PER_S
#: No number beyond this is a time in seconds (it would be the year 2286).
_FURTHEST_S = 1e10
#: Cells that say "not measured".
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--"})
_TRUE = frozenset({"1", "true", "on", "yes", "alarm", "active"})
_FALSE = frozenset({"0", "false", "off", "no", "no alarm", "inactive", "normal"})
_FLAGS: dict[str, Flag] = {flag.name.lower(): flag for flag in Flag if flag.name}
#: CO: 1 mg/m³ is 0.859 ppm at 20 °C and 1013 hPa (24.055 l/mol over 28.01 g/mol).
_PPM_PER_MG_M3 = 24.055 / 28.01

Convert = Callable[[float], float]


def _times(factor: float) -> Convert:
    return lambda value: value * factor


def _db_m_from_pct_m(obscuration_pct_m: float) -> float:
    if not 0 <= obscuration_pct_m < 100:
        raise WireError("out_of_range", f"obscuration is {obscuration_pct_m} %/m; expected 0 to <100")
    return -10.0 * math.log10(1.0 - obscuration_pct_m / 100.0)


#: Units a column may be in, by quantity; the first is the quantity's own.
UNITS: dict[str, dict[str, Convert]] = {
    "co_ppm": {
        "ppm": float, "ppb": _times(1e-3), "volume_pct": ppm_from_volume_pct,
        "mg_m3": _times(_PPM_PER_MG_M3),
    },
    "optical_density_db_m": {
        "db_m": float, "per_m": db_m_from_per_m, "pct_ft": db_m_from_pct_ft,
        "pct_m": _db_m_from_pct_m,
    },
    "temperature_c": {"c": float, "f": c_from_f, "k": lambda kelvin: kelvin - 273.15},
    "humidity_pct": {"pct": float, "fraction": _times(100.0)},
    "battery_pct": {"pct": float, "fraction": _times(100.0)},
    "battery_v": {"v": float, "mv": _times(1e-3)},
    "co2_ppm": {"ppm": float, "volume_pct": ppm_from_volume_pct},
    "o2_pct": {"pct": float, "fraction": _times(100.0)},
    "pm25_ug_m3": {"ug_m3": float, "mg_m3": _times(1000.0)},
    "signal_dbm": {"dbm": float},
}  # fmt: skip


class RecordingError(ValueError):
    """What is wrong with a recording or with what was asked of it, and where."""


@dataclass(frozen=True)
class Column:
    """One mapped column: where a quantity or a flag of a detector is read."""

    name: str
    quantity: str
    column: str
    factor: float = 1.0
    unit: str | None = None

    def value(self, text: str) -> float:
        """The quantity in its own unit. Raises ``ValueError`` or ``WireError``."""
        units = UNITS[self.quantity]
        convert = units[self.unit] if self.unit else float
        return check_value(self.quantity, convert(float(text) * self.factor))


def parse_map(text: str, header: Sequence[str]) -> Column:
    """The mapping that a ``--map`` text means, held against the header."""
    target, equals, source = text.partition("=")
    name, slash, quantity = target.strip().rpartition("/")
    if not equals:
        raise RecordingError(f"--map {text!r}: expected QUANTITY=COLUMN[*FACTOR][:UNIT]")
    if slash and not name:
        raise RecordingError(f"--map {text!r}: the name before '/' is empty")
    if quantity not in BY_NAME and quantity not in _FLAGS:
        known = ", ".join((*BY_NAME, *_FLAGS))
        raise RecordingError(f"--map {text!r}: unknown quantity {quantity!r}; expected one of {known}")
    column, factor, unit = _parse_source(text, source.strip(), header)
    if unit and quantity in _FLAGS:
        raise RecordingError(f"--map {text!r}: {quantity} is a flag and has no unit")
    if unit and unit not in UNITS[quantity]:
        known = ", ".join(UNITS[quantity])
        raise RecordingError(f"--map {text!r}: unknown unit {unit!r}; {quantity} is read in {known}")
    return Column(name, quantity, column, factor, unit)


def _parse_source(text: str, source: str, header: Sequence[str]) -> tuple[str, float, str | None]:
    """Column, factor and unit; a column whose name holds ``*`` or ``:`` is found by its whole name."""
    if source in header:
        return source, 1.0, None
    unit: str | None = None
    head, colon, tail = source.rpartition(":")
    if colon:
        source, unit = head.strip(), tail.strip()
    factor = 1.0
    if source not in header:
        head, star, tail = source.rpartition("*")
        if star:
            try:
                factor = float(tail)
            except ValueError:
                raise RecordingError(
                    f"--map {text!r}: {tail.strip()!r} is no number; expected COLUMN*FACTOR"
                ) from None
            source = head.strip()
    _need_column(source, header, f"--map {text!r}")
    return source, factor, unit


def _need_column(column: str, header: Sequence[str], where: str) -> int:
    if column not in header:
        shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
        raise RecordingError(f"{where}: there is no column {column!r}; the file has {shown}")
    return header.index(column)


@dataclass(frozen=True)
class Sample:
    """A reading of the recording: its detector's name, its time as the file says it, its row."""

    detector: str
    time_s: float
    row: int
    reading: Reading


@dataclass
class _Clock:
    """Seconds from cells: numbers as they are, clock times across midnight, dates since the first."""

    numeric: bool | None = None
    first_s: float | None = None
    last_s: float | None = None
    days: float = 0.0

    def seconds(self, text: str) -> float:
        number = _number(text)
        if number is not None and self.numeric is not False:
            self.numeric = True
            return number
        if self.numeric:
            raise ValueError(f"{text!r} is no number, as the times before it")
        self.numeric = False
        moment = _hours(text)
        if moment is None:
            moment = _date(text)
        elif self.last_s is not None and moment + self.days < self.last_s - _MIDNIGHT_S:
            self.days += _S_PER_DAY
            moment += self.days
        else:
            moment += self.days
        self.last_s = moment
        if self.first_s is None:
            self.first_s = moment
        return moment - self.first_s


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not abs(number) <= _FURTHEST_S:
        raise ValueError(f"{text!r} is no time in seconds")
    return number


_HOURS = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?$")
_DATES = ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")


def _hours(text: str) -> float | None:
    match = _HOURS.match(text)
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    if int(hours) > 24 or int(minutes) > 59 or float(seconds or 0) >= 61:
        raise ValueError(f"{text!r} is no time of a day")
    return int(hours) * 3600.0 + int(minutes) * 60.0 + float(seconds or 0)


def _date(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
        for pattern in _DATES:
            try:
                moment = datetime.strptime(text, pattern)  # noqa: DTZ007  # made aware below
                break
            except ValueError:
                continue
    if moment is None:
        raise ValueError(f"{text!r} is no time; expected a number, HH:MM:SS or a date")
    # a recording's own clock: differences count, so one without a zone is read as UTC
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True)
class Plan:
    """What to read from a recording. ``time`` is a column, or two joined by ``+`` (date and time)."""

    maps: Sequence[str]
    time: str | None = None
    step_s: float | None = None
    #: ``COLUMN`` or ``COLUMN~REGEX``: one detector per value, or per match of the expression in it
    by: str | None = None
    #: ``COLUMN=GLOB``: rows whose cell matches; all of them must
    where: Sequence[str] = field(default=())


def read_recording(path: Path, plan: Plan) -> Iterator[Sample]:
    """The samples of a CSV (or ``.csv.gz``), in the order of its rows.

    Raises ``RecordingError`` naming row and column for a cell that is no value, a time that goes back,
    a row that is too short; and for an option that does not fit the file.
    """
    try:
        raw = io.TextIOWrapper(_open(path), encoding="utf-8-sig", newline="")
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None
    with raw:
        try:
            yield from _read(raw, plan)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RecordingError(f"{path}: not a CSV in UTF-8: {error}") from None


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _read(lines: io.TextIOBase, plan: Plan) -> Iterator[Sample]:
    rows = csv.reader(lines)
    header = [cell.strip() for cell in next(rows, [])]
    if not header:
        raise RecordingError("the file is empty: expected a first row with the columns' names")
    reader = _Rows(header, plan)
    for number, cells in enumerate(rows, start=2):
        if any(cell.strip() for cell in cells):
            yield from reader.samples(number, cells)


class _Rows:
    """Turns rows into samples; remembers each detector's clock."""

    def __init__(self, header: Sequence[str], plan: Plan) -> None:
        if (plan.time is None) == (plan.step_s is None):
            raise RecordingError("expected either --time COLUMN or --step SECONDS")
        if plan.step_s is not None and not plan.step_s > 0:
            raise RecordingError(f"--step {plan.step_s:g}: expected a number of seconds above 0")
        if not plan.maps:
            raise RecordingError("nothing to read: expected at least one --map QUANTITY=COLUMN")
        self._header = header
        self._step_s = plan.step_s
        self._columns = [parse_map(text, header) for text in plan.maps]
        self._places = [header.index(column.column) for column in self._columns]
        self._names = list(dict.fromkeys(column.name for column in self._columns))
        self._time = self._time_places(plan.time)
        self._by, self._by_pattern = self._parse_by(plan.by)
        self._where = [self._parse_where(text) for text in plan.where]
        self._clocks: dict[str, _Clock] = {}
        self._last_s: dict[str, float] = {}
        self._count: dict[str, int] = {}

    def _time_places(self, time: str | None) -> list[int]:
        if time is None:
            return []
        parts = [time] if time in self._header else time.split("+")
        return [_need_column(part.strip(), self._header, f"--time {time!r}") for part in parts]

    def _parse_by(self, by: str | None) -> tuple[int | None, re.Pattern[str] | None]:
        if by is None:
            return None, None
        column, tilde, pattern = (by, "", "") if by in self._header else by.partition("~")
        place = _need_column(column.strip(), self._header, f"--by {by!r}")
        try:
            return place, re.compile(pattern) if tilde else None
        except re.error as error:
            raise RecordingError(f"--by {by!r}: no regular expression: {error}") from None

    def _parse_where(self, text: str) -> tuple[int, str]:
        column, equals, glob = text.partition("=")
        if not equals:
            raise RecordingError(f"--where {text!r}: expected COLUMN=VALUE (with * and ? as jokers)")
        return _need_column(column.strip(), self._header, f"--where {text!r}"), glob.strip()

    def samples(self, row: int, cells: list[str]) -> Iterator[Sample]:
        def cell(place: int) -> str:
            if place >= len(cells):
                raise RecordingError(
                    f"row {row}: no column {self._header[place]!r}; it has only {len(cells)} cells"
                )
            return cells[place].strip()

        if not all(fnmatch.fnmatchcase(cell(place), glob) for place, glob in self._where):
            return
        group = ""
        if self._by is not None:
            group = cell(self._by)
            if self._by_pattern is not None:
                match = self._by_pattern.search(group)
                if match is None:
                    return
                group = match.group(match.lastindex or 0)
        time_s = self._seconds(row, group, cell)
        for name in self._names:
            reading = self._reading(row, name, time_s, cell)
            if reading is not None:
                detector = "/".join(part for part in (group, name) if part)
                yield Sample(detector, time_s, row, reading)

    def _seconds(self, row: int, group: str, cell: Callable[[int], str]) -> float:
        if self._step_s is not None:
            count = self._count.get(group, 0)
            self._count[group] = count + 1
            return count * self._step_s
        column = "+".join(self._header[place] for place in self._time)
        try:
            text = " ".join(cell(place) for place in self._time)
            time_s = self._clocks.setdefault(group, _Clock()).seconds(text)
        except ValueError as error:
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(f"row {row}, column {column!r}: {error}") from None
        last_s = self._last_s.get(group)
        if last_s is not None and time_s < last_s:
            raise RecordingError(
                f"row {row}, column {column!r}: the time goes back from {last_s:g} s to {time_s:g} s; "
                "sort the file or split it with --by or --where"
            )
        self._last_s[group] = time_s
        return time_s

    def _reading(
        self, row: int, name: str, time_s: float, cell: Callable[[int], str]
    ) -> Reading | None:
        values: dict[str, float] = {}
        flags = known = 0
        for column, place in zip(self._columns, self._places, strict=True):
            if column.name != name:
                continue
            text = cell(place)
            if text.lower() in _MISSING:
                continue
            where = f"row {row}, column {column.column!r}"
            if column.quantity in _FLAGS:
                bit = int(_FLAGS[column.quantity])
                known |= bit
                flags |= bit if _truth(text, where) else 0
            else:
                values[column.quantity] = _measured(column, text, where)
        if not values and not known:
            return None
        time_us = ORIGIN_US + round(time_s * US_PER_S)
        return Reading(
            detector=name or "detector", time_us=time_us, flags=flags, flags_known=known, **values
        )


def _measured(column: Column, text: str, where: str) -> float:
    try:
        return column.value(text)
    except WireError as error:
        raise RecordingError(f"{where}: {error.detail}") from None
    except ValueError:
        raise RecordingError(f"{where}: {text!r} is no number") from None


def _truth(text: str, where: str) -> bool:
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise RecordingError(f"{where}: {text!r} is no flag; expected true or false, on or off, 1 or 0")
