"""``/audit``: who did what and when, newest first; every filter is in the address."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator
from sqlalchemy import ColumnElement, select

from edge.wire.clock import US_PER_S
from gateway.api.common import Cursor, Text, decode_cursor
from gateway.api.common import page_of as cut
from gateway.door import Asker, need, rooms
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import address, logins
from gateway.web.page import page_of
from gateway.web.words import ZONE
from registry.models import AuditEntry, Person

router = APIRouter(prefix="/audit", tags=["pages"], include_in_schema=False, route_class=PageRoute)
ROWS: Final = 50
#: Where the page of a record is, by what the audit calls it.
RECORDS: Final = {
    "camera": "/cameras/", "detector": "/detectors/", "specification": "/specifications/",
    "import": "/imports/", "household": "/households/", "incident": "/desk/incidents/",
}  # fmt: skip
KINDS: Final = (
    "camera", "camera_model", "organisation", "household", "site", "detector", "specification",
    "finding", "city_request", "import", "register", "person", "incident",
)  # fmt: skip


def _day(text: str | None) -> date | None:
    """An empty field of a form is no day."""
    return date.fromisoformat(text) if text else None


Day = Annotated[str | None, AfterValidator(lambda text: text if _day(text) else None), Query()]


def _between(since: str | None, until: str | None) -> list[ColumnElement[bool]]:
    first, last = _day(since), _day(until)
    found = []
    if first is not None:
        found.append(AuditEntry.at_us >= _midnight_us(first))
    if last is not None:
        found.append(AuditEntry.at_us < _midnight_us(last + timedelta(days=1)))
    return found


def _midnight_us(day: date) -> int:
    return int(datetime.combine(day, time.min, ZONE).timestamp()) * US_PER_S


@router.get("")
async def list_page(
    request: Request,
    asker: Annotated[Asker, Depends(need("audit.read"))],
    who: Text | None = None,
    action: Text | None = None,
    kind: Text | None = None,
    object: Text | None = None,
    since: Day = None,
    until: Day = None,
    cursor: Cursor = None,
) -> Response:
    """A page of the audit. ``who`` is a login, or an actor's id; days are the office's, both within."""
    names = ("who", "action", "kind", "object", "since", "until")
    filters = {name: request.query_params.get(name, "") for name in names}
    query = select(AuditEntry)
    async with rooms(request).database.read() as session:
        if who:
            person = await session.scalar(select(Person.id).where(Person.login == who))
            query = query.where(AuditEntry.actor == (person or who))
        if action:
            query = query.where(AuditEntry.action == action)
        if kind:
            query = query.where(AuditEntry.object_kind == kind)
        if object:
            query = query.where(AuditEntry.object_id == object)
        query = query.where(*_between(since, until))
        if (key := decode_cursor(cursor, int)) is not None:
            query = query.where(AuditEntry.id < key[0])
        rows = list(await session.scalars(query.order_by(AuditEntry.id.desc()).limit(ROWS + 1)))
        people = await logins(session, {row.actor for row in rows})
    shown, following = cut(rows, ROWS, lambda row: (row.id,))
    return page_of(
        "officer/audit.html", request, asker, rows=shown, names=people, filters=filters, kinds=KINDS,
        records=RECORDS, now_us=rooms(request).clock.now_us(),
        next=address("/audit", filters, cursor=following) if following else None,
        first=address("/audit", filters) if cursor else None,
    )  # fmt: skip
