"""``/audit``: who did what and when, newest first; every filter is in the address."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select

from gateway.api.common import Cursor, Text, decode_cursor
from gateway.api.common import page_of as cut
from gateway.door import Asker, need, rooms
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import address, logins
from gateway.web.page import page_of
from registry.models import AuditEntry, Person

router = APIRouter(prefix="/audit", tags=["pages"], include_in_schema=False, route_class=PageRoute)
ROWS: Final = 50
#: Where the page of a record is, by what the audit calls it.
RECORDS: Final = {
    "camera": "/cameras/", "detector": "/detectors/", "specification": "/specifications/",
    "import": "/imports/",
}  # fmt: skip
KINDS: Final = (
    "camera", "camera_model", "organisation", "household", "site", "detector", "specification",
    "finding", "city_request", "import", "register", "person", "incident",
)  # fmt: skip


@router.get("")
async def list_page(
    request: Request,
    asker: Annotated[Asker, Depends(need("audit.read"))],
    who: Text | None = None,
    action: Text | None = None,
    kind: Text | None = None,
    object: Text | None = None,
    cursor: Cursor = None,
) -> Response:
    """A page of the audit. ``who`` is a login, or an actor's id."""
    names = ("who", "action", "kind", "object")
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
