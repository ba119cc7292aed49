"""What links cost by organisation and month. Pure, but for the one query.

A month that a contract covers in part counts by its days: monthly amount x days covered / days of the
month, rounded to whole tögrög, halves up, each link and month by itself. So sums of months are sums of
what is shown.
"""

from __future__ import annotations

import calendar
import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.costs.models import LinkCost
from registry.models import Organisation

#: Months of one report: ten years.
MAX_MONTHS: Final = 120
_MONTH: Final = re.compile(r"(2[01]\d\d)-(0[1-9]|1[0-2])")
#: Characters that make a spreadsheet take a text for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Month:
    """A calendar month."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year}-{self.month:02d}"

    @property
    def days(self) -> int:
        return calendar.monthrange(self.year, self.month)[1]

    @property
    def first(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last(self) -> date:
        return date(self.year, self.month, self.days)


@dataclass(frozen=True)
class Row:
    """What an organisation's links cost in a month (or a year)."""

    organisation_id: str
    organisation: str
    period: str
    links: int
    amount_mnt: int


def month_of(text: str) -> Month:
    """``2026-11``. Raises ``ValueError``."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise ValueError("expected a month such as 2026-11")
    return Month(int(found[1]), int(found[2]))


def months(first: Month, last: Month) -> list[Month]:
    """All months from the first to the last. Raises ``ValueError`` (none, or too many)."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    if not 1 <= count <= MAX_MONTHS:
        raise ValueError(f"expected 1 to {MAX_MONTHS} months, the first before the last")
    start = first.year * 12 + first.month - 1
    return [Month(number // 12, number % 12 + 1) for number in range(start, start + count)]


def amount_in(monthly_mnt: int, from_on: date, until_on: date | None, month: Month) -> int:
    """What a link costs in a month, whole tögrög."""
    begin, end = max(from_on, month.first), min(until_on or date.max, month.last)
    covered = max((end - begin).days + 1, 0)
    return (2 * monthly_mnt * covered + month.days) // (2 * month.days)


async def report(
    session: AsyncSession, first: Month, last: Month, *, by_year: bool = False,
    organisation_id: str | None = None,
) -> list[Row]:  # fmt: skip
    """By organisation's name and period, without those that cost nothing. Raises ``ValueError``."""
    wanted = months(first, last)
    query = (
        select(LinkCost, Organisation.name)
        .join(Organisation, LinkCost.organisation_id == Organisation.id)
        .where(LinkCost.gone_us.is_(None), LinkCost.from_on <= last.last)
        .where(or_(LinkCost.until_on.is_(None), LinkCost.until_on >= first.first))
    )
    if organisation_id is not None:
        query = query.where(LinkCost.organisation_id == organisation_id)
    pairs = [(cost, name) for cost, name in await session.execute(query)]
    return summed(pairs, wanted, by_year=by_year)


def summed(
    costs: Sequence[tuple[LinkCost, str]], wanted: Iterable[Month], *, by_year: bool
) -> list[Row]:
    """The rows of these costs in these months."""
    amounts: dict[tuple[str, str, str], int] = defaultdict(int)
    links: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for month in wanted:
        for cost, name in costs:
            amount = amount_in(cost.monthly_mnt, cost.from_on, cost.until_on, month)
            if amount:
                key = (name, cost.organisation_id, str(month.year) if by_year else str(month))
                amounts[key] += amount
                links[key].add(cost.link)
    return [
        Row(organisation_id, name, period, len(links[name, organisation_id, period]), amount)
        for (name, organisation_id, period), amount in sorted(amounts.items())
    ]


def as_csv(rows: Sequence[Row]) -> str:
    """With a header; UTF-8 with a mark, as spreadsheets want it; no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["organisation_id", "organisation", "period", "links", "amount_mnt"])
    for row in rows:
        name = f"'{row.organisation}" if row.organisation.startswith(_FORMULA) else row.organisation
        writer.writerow([row.organisation_id, name, row.period, row.links, row.amount_mnt])
    return "\ufeff" + out.getvalue()
