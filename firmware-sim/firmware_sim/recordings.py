"""Recordings: what real rooms measured, as the readings of detectors that could have hung there.

Three ways to get one: ``nist`` and ``kitchens`` know the layout of two public data sets, ``from_csv``
reads any table with a map of columns. Values come out in the units of the wire.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.wire.errors import WireError
from edge.wire.units import (
    QUANTITY_NAMES,
    c_from_f,
    check_value,
    db_m_from_pct_ft,
    db_m_from_per_m,
    ppm_from_volume_pct,
)
from firmware_sim.errors import RecordingError

#: Units a column may have beside the quantity's own.
UNITS: dict[str, Callable[[float], float]] = {
    "per_m": db_m_from_per_m,
    "pct_ft": db_m_from_pct_ft,
    "volume_pct": ppm_from_volume_pct,
    "f": c_from_f,
}
_SECONDS_PER_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row: seconds since the recording's start, and quantities by their names of the wire."""

    at_s: float
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one detector would have sent, in order of time.

    ``left_out`` counts values that no detector could state (not finite, or impossible).
    """

    address: str
    readings: tuple[Recorded, ...]
    left_out: int = 0

    @property
    def lasts_s(self) -> float:
        """Seconds from its start to its last reading."""
        return self.readings[-1].at_s if self.readings else 0.0

    def peak(self, quantity: str) -> float | None:
        """The highest value of a quantity, None if it has none."""
        return max((r.values[quantity] for r in self.readings if quantity in r.values), default=None)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table as a quantity: ``unit`` is a key of ``UNITS``, None the quantity's own."""

    quantity: str
    name: str
    unit: str | None = None

    def value(self, text: str) -> float:
        """The cell in the quantity's unit. Raises ``ValueError`` (as ``WireError`` does)."""
        raw = float(text)
        return check_value(self.quantity, UNITS[self.unit](raw) if self.unit else raw)


def column_from_text(text: str) -> Column:
    """``co_ppm=COLUMN`` or ``co_ppm=COLUMN:volume_pct``. Raises ``RecordingError``."""
    quantity, equals, name = text.partition("=")
    if not equals or not name or quantity not in QUANTITY_NAMES:
        raise RecordingError(
            f"--map {text}", f"expected QUANTITY=COLUMN with one of {', '.join(QUANTITY_NAMES)}"
        )
    stem, colon, unit = name.rpartition(":")
    if colon and unit in UNITS:
        return Column(quantity, stem, unit)
    return Column(quantity, name)


@dataclass(slots=True)
class _Growing:
    """A recording while its rows come in."""

    readings: list[Recorded] = field(default_factory=list)
    left_out: int = 0

    def add(self, at_s: float, row: dict[str, str], columns: Iterable[Column]) -> None:
        values: dict[str, float] = {}
        for column in columns:
            text = (row.get(column.name) or "").strip()
            if not text:
                continue
            try:
                values[column.quantity] = column.value(text)
            except (WireError, ValueError):
                self.left_out += 1
        if values:
            self.readings.append(Recorded(at_s, values))

    def done(self, address: str) -> Recording:
        return Recording(address, tuple(self.readings), self.left_out)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    except OSError as error:
        raise RecordingError(str(path), f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(str(path), f"is no CSV table: {error}") from None


def from_csv(
    path: Path,
    address: str,
    columns: Sequence[Column],
    *,
    time: str | None = None,
    step_s: float | None = None,
) -> Recording:
    """Any table. Either ``time`` names a column (seconds, HH:MM:SS or an ISO time) or rows are
    ``step_s`` apart; times count from the first row. Raises ``RecordingError``.
    """
    if (time is None) == (step_s is None):
        raise RecordingError(str(path), "expected either a time column or a step in seconds")
    if not columns:
        raise RecordingError(str(path), "no column is mapped; expected --map QUANTITY=COLUMN")
    rows = list(_rows(path))
    if not rows:
        raise RecordingError(str(path), "has no rows; expected a header and at least one")
    wanted = [column.name for column in columns] + ([time] if time else [])
    for name in wanted:
        if name not in rows[0]:
            raise RecordingError(str(path), f"has no column {name!r}; it has {', '.join(rows[0])}")
    moments = (
        [number * step_s for number in range(len(rows))]
        if step_s is not None
        else _moments((row[time or ""] for row in rows), str(path))
    )
    growing = _Growing()
    for at_s, row in zip(moments, rows, strict=True):
        growing.add(at_s, row, columns)
    return growing.done(address)


def _moments(texts: Iterable[str], where: str) -> list[float]:
    """Seconds since the first row; a time of day that falls back has passed midnight."""
    moments: list[float] = []
    for number, text in enumerate(texts, start=2):
        try:
            at_s = _moment(text.strip())
        except ValueError:
            raise RecordingError(
                f"{where}:{number}", f"time {text!r}; expected seconds, HH:MM:SS or an ISO time"
            ) from None
        if moments and at_s < moments[-1]:
            if ":" not in text or moments[-1] - at_s > _SECONDS_PER_DAY:
                raise RecordingError(f"{where}:{number}", f"time {text!r} goes back")
            at_s += _SECONDS_PER_DAY
        moments.append(at_s)
    return [at_s - moments[0] for at_s in moments]


def _moment(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
            hours, minutes, *rest = (int(part) for part in text.split(":"))
            return hours * 3600.0 + minutes * 60.0 + (rest[0] if rest else 0)
        moment = datetime.fromisoformat(text)
        # without a zone it is some local time; only differences are used
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds


def nist(path: Path) -> list[Recording]:
    """NIST's home smoke alarm experiments: a run's CSV, or the folder with all of them.

    One recording for each room A to F of each run, ``sdc02-a``: optical density from ``SMx_1`` (base
    10, 1/m), temperature from ``TCx_1`` (°C) and CO from ``GASx_1`` (volume %), where the run has
    them; ``TIME`` is in seconds.
    """
    files = sorted(path.glob("*SDC[0-9]*.csv")) if path.is_dir() else [path]
    if not files:
        raise RecordingError(
            str(path), "has no run of the experiments; expected …SDC02.csv and the like"
        )
    recordings: list[Recording] = []
    for file in files:
        run = re.search(r"SDC\d+", file.stem)
        rows = list(_rows(file))
        if run is None or not rows or "TIME" not in rows[0]:
            raise RecordingError(str(file), "is no run of the experiments; expected a column TIME")
        recordings += _nist_rooms(run.group().lower(), rows, str(file))
    return recordings


def _nist_rooms(run: str, rows: list[dict[str, str]], where: str) -> Iterator[Recording]:
    moments = _moments((row["TIME"] for row in rows), where)
    for room in "ABCDEF":
        columns = [
            Column("optical_density_db_m", f"SM{room}_1", "per_m"),
            Column("temperature_c", f"TC{room}_1"),
            Column("co_ppm", f"GAS{room}_1", "volume_pct"),
        ]
        growing = _Growing()
        for at_s, row in zip(moments, rows, strict=True):
            growing.add(at_s, row, columns)
        if growing.readings:
            yield growing.done(f"{run}-{room.lower()}")


def kitchens(path: Path) -> list[Recording]:
    """Minute CO of nine kitchens: the CSV, or its folder. One recording each, ``kitchen-06``.

    ``Stage`` is household.phase, ``Date`` and ``Time`` local, ``CO(ppm)`` the value.
    """
    file = path / "co_minute_hh05_13.csv" if path.is_dir() else path
    texts: dict[int, list[str]] = defaultdict(list)
    tables: dict[int, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(file):
        try:
            household = int(row["Stage"].partition(".")[0])
            texts[household].append(f"{row['Date']}T{row['Time']}")
        except (KeyError, ValueError):
            raise RecordingError(
                str(file), "is not this data set; expected Stage, Time, CO(ppm), Date"
            ) from None
        tables[household].append(row)
    columns = [Column("co_ppm", "CO(ppm)")]
    recordings: list[Recording] = []
    for household, rows in tables.items():
        growing = _Growing()
        for at_s, row in zip(_moments(texts[household], str(file)), rows, strict=True):
            growing.add(at_s, row, columns)
        recordings.append(growing.done(f"kitchen-{household:02d}"))
    return recordings
