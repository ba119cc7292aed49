"""``/reports``: the figures of a month, quarter or year as page, XLSX and PDF: the same numbers."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway import reports
from gateway.api.files import file_response
from gateway.door import Asker, need, rooms
from gateway.problems import wrong_field
from gateway.reports import Figures, Spread, Table
from gateway.web.guard import PageRoute
from gateway.web.kept import kept
from gateway.web.page import page_of, words_of
from gateway.web.words import Words
from registry.cameras.life import STATES
from registry.printing.typeset import pdf

router = APIRouter(prefix="/reports", tags=["pages"], include_in_schema=False, route_class=PageRoute)
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: So long page, XLSX and PDF say the very same, and the register is not gone through again.
_FIGURES_S = 30.0
_KINDS = ("month", "quarter", "year")


@router.get("")
async def report(
    request: Request,
    asker: Annotated[Asker, Depends(need("cost.read"))],
    period: Annotated[str | None, Query(max_length=10)] = None,
    format: Literal["page", "xlsx", "pdf"] = "page",
) -> Response:
    """Of the whole city; this month without a period."""
    city, words = rooms(request), words_of(request)
    now_us = city.clock.now_us()
    try:
        chosen = reports.period_of(period or reports.name_at(now_us, "month"))
    except ValueError as error:
        raise wrong_field("query.period", str(error)) from None

    async def reckoned() -> Figures:
        async with city.database.read() as session:
            return await reports.figures(session, chosen)

    found = await kept(request).get(("figures", chosen.name), _FIGURES_S, reckoned)
    tables = tables_of(found, words)
    title = words("Report of the city's office")
    if format == "xlsx":
        content = await asyncio.to_thread(reports.workbook, f"{title} {chosen.name}", tables)
        return file_response(content, _XLSX, f"utaa-{chosen.name}.xlsx")
    if format == "pdf":
        data = _document(title, chosen.name, words.moment(now_us, 0), tables, words)
        content = await asyncio.to_thread(pdf, "report", data, at_us=now_us)
        return file_response(content, "application/pdf", f"utaa-{chosen.name}.pdf", inline=True)
    before, after = reports.neighbours(chosen.name)
    kinds = [(kind, reports.name_at(chosen.start_us, kind)) for kind in _KINDS]
    return page_of(
        "officer/reports.html", request, asker, figures=found, tables=tables, period=chosen.name,
        before=before, after=after if chosen.end_us <= now_us else None, kinds=kinds,
        shown=lambda value: shown(value, words),
    )  # fmt: skip


def _document(title: str, period: str, made: str, tables: list[Table], words: Words) -> dict[str, Any]:
    plain = [
        {"title": table.title, "headings": table.headings,
         "rows": [[shown(value, words) for value in row] for row in table.rows]}
        for table in tables
    ]  # fmt: skip
    return {"title": title, "subtitle": period, "made": made, "tables": plain, "lang": words.language}


def shown(value: Any, words: Words) -> str:
    """A figure as people read it."""
    if value is None:
        return "—"
    if isinstance(value, float):
        return words.number(value, 1)
    return words.number(value, 0) if isinstance(value, int) else str(value)


def tables_of(found: Figures, words: Words) -> list[Table]:
    """The report as tables under the visitor's words; nothing is reckoned here but shares."""
    states = [state for state in STATES if found.cameras.get(state)]
    by_state = tuple((words.of("camera state", one), found.cameras[one]) for one in states)
    owners = tuple(
        (row.name or words("no organisation"), *(row.by_state.get(one, 0) for one in states), row.total,
         reports.share(row.working, row.watched))
        for row in found.organisations
    )  # fmt: skip
    hazards = tuple((words.of("hazard", name), count) for name, count in sorted(found.alarms.items()))
    heads = tuple(words.of("camera state", one) for one in states)
    return [
        Table(words("Cameras by state"), (words("State"), words("Cameras")),
              (*by_state, (words("Together"), sum(found.cameras.values())))),
        Table(words("Availability of the cameras"), (words("Figure"), words("Value")),
              ((words("Watched cameras"), found.watched), (words("Of these at work"), found.working),
               (words("Availability, %"), found.availability_pct))),
        Table(words("Alarms"), (words("Hazard"), words("Count")),
              (*hazards, (words("Together"), sum(found.alarms.values())),
               (words("Closed with a cause"), found.resolved),
               (words("False: cooking or a fault"), found.false_alarms))),
        Table(words("Response times"),
              (words("From the alarm's beginning"), words("Count"), words("Median, s"),
               words("95 of 100, s")),
              (_times(words("until the first was told"), found.told),
               _times(words("until somebody acknowledged"), found.acknowledged))),
        Table(words("Reachability"), (words("Figure"), words("Value")),
              ((words("Homes"), found.homes),
               (words("With somebody to tell"), found.homes_with_contact),
               (words("With a channel that works"), found.homes_reachable),
               (words("Reachable, %"), found.reachable_pct))),
        Table(words("Cameras by organisation"),
              (words("Organisation"), *heads, words("Together"), words("Availability, %")), owners),
    ]  # fmt: skip


def _times(name: str, found: Spread) -> tuple[Any, ...]:
    return (name, found.count, found.median_s, found.p95_s)
