"""The newest reading of each detector, kept in the database for both kinds of reading store.

One statement for many rows; the newest time wins, whatever the order of arrival. The rows go to the
driver as plain tuples (SQLite) or as one array for each column (PostgreSQL): at a city's rate the
time would otherwise go into describing rows, not into writing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import rfc3339
from edge.wire.frames import MAX_READINGS
from edge.wire.readings import flag_names
from edge.wire.units import QUANTITY_NAMES
from gateway.stores.base import I64, FrameColumns

#: A row of ``latest_reading``, in this order.
COLUMNS: tuple[str, ...] = (
    "detector_id", "site_id", "time_us", "flags", "flags_known", *QUANTITY_NAMES,
)  # fmt: skip
_TYPES = ("text", "text", "bigint", "integer", "integer", *("float8" for _ in QUANTITY_NAMES))
LatestRow = tuple[Any, ...]
#: The index of a frame with one reading of each detector, in the table's order.
_COUNTING = np.arange(MAX_READINGS, dtype=np.uint16)

_KEYS = len(COLUMNS) - len(QUANTITY_NAMES)
_INTO = f"INSERT INTO latest_reading ({', '.join(COLUMNS)})"
_NEWER = (
    " WHERE excluded.time_us >= latest_reading.time_us AND excluded.site_id = latest_reading.site_id"
)
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, 1))
_UPDATED = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])
_POSTGRESQL = (
    f"{_INTO} SELECT * FROM unnest({_ARRAYS})"  # noqa: S608  # our own names
    f" ON CONFLICT (detector_id) DO UPDATE SET {_UPDATED}{_NEWER}"
)


def newest(frames: Sequence[FrameColumns]) -> list[LatestRow]:
    """One row for each detector of the frames: its newest reading. In order of id. Pure."""
    best: dict[str, LatestRow] = {}
    for frame in frames:
        for row in _newest_of(frame):
            known = best.get(row[0])
            if known is None or row[2] >= known[2]:
                best[row[0]] = row
    return [best[detector] for detector in sorted(best)]


def _newest_of(frame: FrameColumns) -> list[LatestRow]:
    rows = newest_rows(frame)
    flags = frame.flags[rows].astype(np.int64)
    names = frame.detectors
    values = [_stated(frame, number, rows) for number in range(len(QUANTITY_NAMES))]
    return list(
        zip(
            [names[number] for number in frame.index[rows].tolist()],
            repeat(frame.site),
            frame.times[rows].tolist(),
            (flags & 0xFFFF).tolist(),
            (flags >> 16).tolist(),
            *values,
            strict=False,  # the site repeats for ever
        )
    )


def newest_rows(frame: FrameColumns) -> I64:
    """The row of each detector's newest reading; of equal times the last."""
    if len(frame.detectors) == len(frame.index) and np.array_equal(
        frame.index, _COUNTING[: len(frame.index)]
    ):
        return np.arange(len(frame.index))
    if len(frame.detectors) == 1:
        return np.array([len(frame.times) - 1 - int(np.argmax(frame.times[::-1]))])
    order = np.argsort(frame.times, kind="stable")
    _, from_end = np.unique(frame.index[order][::-1], return_index=True)
    return order[len(order) - 1 - from_end]


def _stated(frame: FrameColumns, number: int, rows: I64) -> list[float | None]:
    column = frame.columns.get(number)
    if column is None:
        return [None] * len(rows)
    return [value if value == value else None for value in column[rows].tolist()]


async def upsert_latest(session: AsyncSession, rows: Sequence[LatestRow]) -> None:
    """Write them where they are newer than what is known, and of the same site."""
    if not rows:
        return
    connection = await session.connection()
    if session.get_bind().dialect.name == "postgresql":
        # in order of id: two processes that lock the same rows wait for each other, not in a circle
        columns = tuple(map(list, zip(*sorted(rows, key=itemgetter(0)), strict=True)))
        await connection.exec_driver_sql(_POSTGRESQL, columns)
    else:
        bound = [*range(_KEYS), *_stated_columns(rows)]
        statement = _sqlite(tuple(bound))
        await connection.exec_driver_sql(statement, list(map(itemgetter(*bound), rows)))


def _stated_columns(rows: Sequence[LatestRow]) -> list[int]:
    """Places of the quantities that some row states: most sites measure a few of all."""
    return [at for at in range(_KEYS, len(COLUMNS)) if any(row[at] is not None for row in rows)]


@cache
def _sqlite(bound: tuple[int, ...]) -> str:
    """The statement with a bound value for these columns and NULL for the others, which is cheaper."""
    given = ", ".join("?" if at in bound else "NULL" for at in range(len(COLUMNS)))
    updated = ", ".join(
        f"{name} = excluded.{name}" if at in bound else f"{name} = NULL"
        for at, name in enumerate(COLUMNS)
        if at > 1
    )
    return f"{_INTO} VALUES ({given}) ON CONFLICT (detector_id) DO UPDATE SET {updated}{_NEWER}"


def described(row: LatestRow) -> dict[str, Any]:
    """The row as the live stream shows it."""
    of = dict(zip(COLUMNS, row, strict=True))
    return {
        "detector": of["detector_id"],
        "time": rfc3339(of["time_us"]),
        "time_us": of["time_us"],
        "values": {name: of[name] for name in QUANTITY_NAMES if of[name] is not None},
        "flags": flag_names(of["flags"]),
        "flags_known": flag_names(of["flags_known"]),
    }
