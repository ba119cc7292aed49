"""The office's figures of a month, quarter or year, reckoned in one place for page, XLSX and PDF.

Counts of cameras and homes are those of now; alarms and answers are those whose beginning lies in the
period. A figure that nothing is known of is None. Tests and drills are no alarms.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import Delivery, Incident, Notification
from edge.wire.clock import US_PER_S
from gateway.cameras.models import CameraHealth
from registry.cameras.life import STATES
from registry.cameras.models import Camera
from registry.models import Contact, ContactChannel, Household, Organisation
from registry.numbering import LOCAL_OFFSET_US

_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
_PERIOD: Final = re.compile(r"(20\d\d)(?:-(Q[1-4]|0[1-9]|1[0-2]))?")
_EPOCH: Final = date(1970, 1, 1)
_DAY_US: Final = 24 * 3600 * US_PER_S
#: No test, no drill.
_REAL: Final = ("test", "drill")
#: Causes of an alarm without a danger.
_FALSE: Final = ("cooking", "fault")
#: Summaries of a camera that say whether it does its work; the rest is not known.
_WORKING: Final = ("ok", "degraded")
_JUDGED: Final = ("ok", "degraded", "faulty")
_WIDTHS: Final = (44, 14, 14, 14, 14, 14, 14, 14, 14)


@dataclass(frozen=True)
class Period:
    """``2026-11``, ``2026-Q4`` or ``2026``: from one µs until before another, days of the office."""

    name: str
    start_us: int
    end_us: int


@dataclass(frozen=True)
class OrganisationRow:
    """An organisation's cameras: by state, and how many of those that are watched do their work."""

    name: str
    by_state: dict[str, int]
    watched: int
    working: int

    @property
    def total(self) -> int:
        return sum(self.by_state.values())


@dataclass(frozen=True)
class Spread:
    """Seconds from an alarm's beginning: how many are known, the middle one, and 95 of 100."""

    count: int
    median_s: float | None
    p95_s: float | None


@dataclass(frozen=True)
class Figures:
    """A report. ``alarms``: by hazard; ``told``: until the first message was accepted."""

    period: str
    cameras: dict[str, int]
    watched: int
    working: int
    organisations: tuple[OrganisationRow, ...]
    alarms: dict[str, int]
    false_alarms: int
    resolved: int
    told: Spread
    acknowledged: Spread
    homes: int
    homes_with_contact: int
    homes_reachable: int

    @property
    def availability_pct(self) -> float | None:
        """Of the cameras of which something is known."""
        return share(self.working, self.watched)

    @property
    def reachable_pct(self) -> float | None:
        return share(self.homes_reachable, self.homes)


def share(part: int, whole: int) -> float | None:
    """Per cent; None of nothing."""
    return round(100.0 * part / whole, 1) if whole else None


def period_of(name: str) -> Period:
    """Raises ``ValueError`` that says what was expected."""
    found = _PERIOD.fullmatch(name)
    if found is None:
        raise ValueError("expected a month as 2026-11, a quarter as 2026-Q4, or a year as 2026")
    year, part = int(found[1]), found[2]
    if part is None:
        first, months = 1, _MONTHS["year"]
    elif part.startswith("Q"):
        first, months = 3 * int(part[1]) - 2, _MONTHS["quarter"]
    else:
        first, months = int(part), _MONTHS["month"]
    last = first + months
    end = date(year + 1, 1, 1) if last > 12 else date(year, last, 1)
    return Period(name, _midnight_us(date(year, first, 1)), _midnight_us(end))


def _midnight_us(day: date) -> int:
    return (day - _EPOCH).days * _DAY_US - LOCAL_OFFSET_US


def neighbours(name: str) -> tuple[str, str]:
    """The period before and the one after. Raises ``ValueError``."""
    period = period_of(name)
    before, after = period.start_us - _DAY_US, period.end_us + _DAY_US
    return name_at(before, _kind(name)), name_at(after, _kind(name))


def _kind(name: str) -> str:
    return "year" if len(name) == 4 else "quarter" if "Q" in name else "month"


def name_at(time_us: int, kind: str) -> str:
    """The month, quarter or year in which a time lies."""
    day = date.fromordinal(_EPOCH.toordinal() + (time_us + LOCAL_OFFSET_US) // _DAY_US)
    if kind == "year":
        return f"{day.year}"
    return f"{day.year}-Q{(day.month + 2) // 3}" if kind == "quarter" else f"{day.year}-{day.month:02}"


async def figures(session: AsyncSession, period: Period) -> Figures:
    """The whole report; a few grouped counts, whatever the city's size."""
    by_state, organisations, watched, working = await _cameras(session)
    inside = [
        Incident.alarm_class == "alarm", Incident.hazard.not_in(_REAL),
        Incident.raised_us >= period.start_us, Incident.raised_us < period.end_us,
    ]  # fmt: skip
    counted = select(Incident.hazard, func.count()).where(*inside).group_by(Incident.hazard)
    alarms = {str(hazard): count for hazard, count in await session.execute(counted)}
    ended = select(
        func.coalesce(func.sum(case((Incident.cause.in_(_FALSE), 1), else_=0)), 0),
        func.coalesce(func.sum(case((Incident.resolved_us.is_not(None), 1), else_=0)), 0),
    ).where(*inside)
    false_alarms, resolved = (await session.execute(ended)).one()
    homes, with_contact, reachable = await _homes(session)
    return Figures(
        period=period.name, cameras=by_state, watched=watched, working=working,
        organisations=organisations, alarms=alarms, false_alarms=int(false_alarms),
        resolved=int(resolved), told=await _told(session, inside),
        acknowledged=await _acknowledged(session, inside), homes=homes,
        homes_with_contact=with_contact, homes_reachable=reachable,
    )  # fmt: skip


async def _cameras(
    session: AsyncSession,
) -> tuple[dict[str, int], tuple[OrganisationRow, ...], int, int]:
    """All by state; by organisation; of how many the state is known, and how many of those work."""
    judged = func.sum(case((CameraHealth.summary.in_(_JUDGED), 1), else_=0))
    good = func.sum(case((CameraHealth.summary.in_(_WORKING), 1), else_=0))
    query = (
        select(Camera.organisation_id, Camera.state, func.count(), judged, good)
        .outerjoin(CameraHealth, CameraHealth.camera_id == Camera.id)
        .where(Camera.gone_us.is_(None))
        .group_by(Camera.organisation_id, Camera.state)
    )
    by_state: dict[str, int] = dict.fromkeys(STATES, 0)
    rows: dict[str | None, dict[str, int]] = {}
    health: dict[str | None, list[int]] = {}
    for owner, state, count, known, working in await session.execute(query):
        by_state[state] = by_state.get(state, 0) + count
        rows.setdefault(owner, {})[state] = count
        kept = health.setdefault(owner, [0, 0])
        kept[0] += int(known or 0)
        kept[1] += int(working or 0)
    named = await session.execute(select(Organisation.id, Organisation.name))
    names = {row.id: row.name for row in named}
    made = [
        OrganisationRow(names.get(owner or "", ""), states, *health[owner])
        for owner, states in rows.items()
    ]
    made.sort(key=lambda row: (-row.total, row.name))
    known_all = sum(kept[0] for kept in health.values())
    return by_state, tuple(made), known_all, sum(kept[1] for kept in health.values())


async def _told(session: AsyncSession, inside: list[ColumnElement[bool]]) -> Spread:
    first = (
        select(Incident.raised_us, func.min(Delivery.accepted_us))
        .join(Notification, Notification.incident_id == Incident.id)
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(*inside, Delivery.accepted_us.is_not(None))
        .group_by(Incident.id, Incident.raised_us)
    )
    rows = await session.execute(first)
    return spread([(end - start) / US_PER_S for start, end in rows if end is not None])


async def _acknowledged(session: AsyncSession, inside: list[ColumnElement[bool]]) -> Spread:
    query = select(Incident.raised_us, Incident.acknowledged_us).where(
        *inside, Incident.acknowledged_us.is_not(None)
    )
    rows = await session.execute(query)
    return spread([(end - start) / US_PER_S for start, end in rows if end is not None])


def spread(seconds: list[float]) -> Spread:
    """Nearest-rank median and 95th percentile; clocks that differ make no negative time."""
    ranked = sorted(max(0.0, one) for one in seconds)
    if not ranked:
        return Spread(0, None, None)
    count = len(ranked)
    return Spread(count, ranked[-(-count // 2) - 1], ranked[-(-count * 95 // 100) - 1])


async def _homes(session: AsyncSession) -> tuple[int, int, int]:
    """Homes; those with somebody to tell; those with a verified channel that is not dead."""
    living = select(func.count()).select_from(Household).where(Household.gone_us.is_(None))
    told = select(func.count(Contact.household_id.distinct())).join(
        Household, Household.id == Contact.household_id
    ).where(Contact.gone_us.is_(None), Household.gone_us.is_(None))  # fmt: skip
    good = told.join(ContactChannel, ContactChannel.contact_id == Contact.id).where(
        ContactChannel.verified_us.is_not(None), ContactChannel.withdrawn_us.is_(None),
        ContactChannel.dead_us.is_(None),
    )  # fmt: skip
    return tuple([await session.scalar(query) or 0 for query in (living, told, good)])  # type: ignore[return-value]  # three


# --- the same figures as tables ---------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A table of a report: headings and rows of texts and numbers; None is a dash."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def workbook(title: str, tables: list[Table]) -> bytes:
    """An XLSX file with a sheet for each table. Blocking: call it in a thread."""
    book = Workbook()
    del book[book.sheetnames[0]]
    for number, table in enumerate(tables, 1):
        sheet = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", f"{number}. {table.title}")[:31])
        sheet.append([f"{title}. {table.title}"])
        sheet.append(list(table.headings))
        for row in table.rows:
            sheet.append([_cell(value) for value in row])
        for column, width in enumerate(_WIDTHS[: len(table.headings)], 1):
            sheet.column_dimensions[get_column_letter(column)].width = width
        for line in (1, 2):
            for cell in sheet[line]:
                cell.font = Font(bold=True)
        sheet.freeze_panes = "A3"
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _cell(value: Any) -> Any:
    """A name that begins like a formula stays a text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return value
