"""Numbers per year without gaps: ``ТД-2026-0001``, ``ТД-2026-0002``, …

The counter's row is raised by the same transaction that stores the numbered record. A second writer
waits for the first (the row is locked on PostgreSQL, the whole file on SQLite), and a transaction that
fails takes its number back with it. So no number is given twice and none is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer, String
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from edge.wire.clock import US_PER_S
from registry.db import Base

#: Asia/Ulaanbaatar is +08:00 the whole year: a number belongs to the year on the office's calendar.
LOCAL_OFFSET_US: Final = 8 * 3600 * US_PER_S


class NumberSeries(Base):
    """The last number given in a series and year."""

    __tablename__ = "number_series"
    series: Mapped[str] = mapped_column(String(10), primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(Integer)


@dataclass(frozen=True)
class Number:
    """One number of a series: year, position in it from 1, and as people write it."""

    series: str
    year: int
    position: int

    def __str__(self) -> str:
        return f"{self.series}-{self.year}-{self.position:04d}"


async def next_number(session: AsyncSession, series: str, year: int) -> Number:
    """The next number of the series, taken inside the caller's write transaction."""
    insert = pg_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    raised = (
        insert(NumberSeries)
        .values(series=series, year=year, last=1)
        .on_conflict_do_update(index_elements=["series", "year"], set_={"last": NumberSeries.last + 1})
        .returning(NumberSeries.last)
    )
    return Number(series, year, (await session.execute(raised)).scalar_one())
