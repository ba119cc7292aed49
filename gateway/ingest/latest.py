"""The newest reading of each detector, kept in the database for both kinds of reading store.

One statement for many rows; the newest time wins, whatever the order of arrival. The rows go to the
driver as plain tuples (SQLite) or as one array for each column (PostgreSQL): at a city's rate the
time would otherwise go into describing rows, not into writing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import rfc3339
from edge.wire.readings import flag_names
from edge.wire.units import QUANTITY_NAMES
from gateway.stores.base import I64, FrameColumns

#: A row of ``latest_reading``, in this order.
COLUMNS: tuple[str, ...] = (
    "detector_id", "site_id", "time_us", "flags", "flags_known", *QUANTITY_NAMES,
)  # fmt: skip
_TYPES = ("text", "text", "bigint", "integer", "integer", *("float8" for _ in QUANTITY_NAMES))
LatestRow = tuple[Any, ...]

_INTO = f"INSERT INTO latest_reading ({', '.join(COLUMNS)})"
_NEWER = (
    " ON CONFLICT (detector_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])
    + " WHERE excluded.time_us >= latest_reading.time_us"
    " AND excluded.site_id = latest_reading.site_id"
)
_SQLITE = f"{_INTO} VALUES ({', '.join('?' for _ in COLUMNS)}){_NEWER}"
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, 1))
_POSTGRESQL = f"{_INTO} SELECT * FROM unnest({_ARRAYS}){_NEWER}"  # noqa: S608  # our own names


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
        await connection.exec_driver_sql(_POSTGRESQL, tuple(map(list, zip(*rows, strict=True))))
    else:
        await connection.exec_driver_sql(_SQLITE, list(rows))


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
