"""The newest reading of each detector, kept in the database for both kinds of reading store.

One statement for a batch; the newest time wins, whatever the order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.units import QUANTITY_NAMES
from gateway.models import LatestReading
from gateway.stores.base import FrameColumns

_ABSENT: dict[str, None] = dict.fromkeys(QUANTITY_NAMES)


def newest(frames: Sequence[FrameColumns]) -> list[dict[str, Any]]:
    """One row for each detector of the frames: its newest reading. In order of id. Pure."""
    best: dict[str, tuple[int, FrameColumns, int]] = {}
    for frame in frames:
        # by time, then the last row of each detector: rows of equal index keep their order
        order = np.argsort(frame.times, kind="stable")
        index = frame.index[order]
        numbers, from_end = np.unique(index[::-1], return_index=True)
        rows = order[len(order) - 1 - from_end]
        for number, row, time_us in zip(
            numbers.tolist(), rows.tolist(), frame.times[rows].tolist(), strict=True
        ):
            name = frame.detectors[number]
            known = best.get(name)
            if known is None or time_us >= known[0]:
                best[name] = (time_us, frame, row)
    return [_row(name, *best[name]) for name in sorted(best)]


def _row(detector: str, time_us: int, frame: FrameColumns, row: int) -> dict[str, Any]:
    flags = int(frame.flags[row])
    values: dict[str, Any] = {
        "detector_id": detector,
        "site_id": frame.site,
        "time_us": time_us,
        "flags": flags & 0xFFFF,
        "flags_known": flags >> 16,
        **_ABSENT,
    }
    for number, column in frame.columns.items():
        value = float(column[row])
        if value == value:
            values[QUANTITY_NAMES[number]] = value
    return values


async def upsert_latest(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Write them where they are newer than what is known, and of the same site."""
    if not rows:
        return
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if on_postgresql else sqlite.insert)(LatestReading)
    changed = {
        column.name: insert.excluded[column.name]
        for column in LatestReading.__table__.columns
        if column.name not in ("detector_id", "site_id")
    }
    statement = insert.on_conflict_do_update(
        index_elements=[LatestReading.detector_id],
        set_=changed,
        where=(insert.excluded.time_us >= LatestReading.time_us)
        & (insert.excluded.site_id == LatestReading.site_id),
    )
    connection = await session.connection()
    await connection.execute(statement, list(rows))
