"""``/works``: what of the office's works is late or ends soon, each list the most urgent first."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select

from gateway.api.common import within
from gateway.api.records import act_of
from gateway.door import Asker, need, rooms
from gateway.web.guard import PageRoute
from gateway.web.page import page_of
from registry.inspections.models import Finding
from registry.requests.models import CityRequest
from registry.requests.service import overdue
from registry.rights import may, require_somewhere
from registry.servers.service import ending
from registry.specifications import inbox
from registry.specifications.models import Specification

router = APIRouter(prefix="/works", tags=["pages"], include_in_schema=False, route_class=PageRoute)
#: Support that ends within so many days is told; and so many lines of each list.
_SOON_DAYS: Final = 90
LINES: Final = 30


@router.get("")
async def works_page(
    request: Request, asker: Annotated[Asker, Depends(need("inspection.read", by_object=True))]
) -> Response:
    """Four short lists, each inside the visitor's area."""
    act = act_of(request, asker)
    async with rooms(request).database.read() as session:
        may_servers = may(asker.actor, "server.read")
        ends = await ending(session, act.today, _SOON_DAYS) if may_servers else []
        late = select(Finding).where(
            *within(asker.reach, Finding.unit_code), Finding.state == "open", Finding.due_on < act.today
        )
        findings = list(await session.scalars(late.order_by(Finding.due_on).limit(LINES)))
        asked = require_somewhere(asker.actor, "request.read")
        open_still = select(CityRequest).where(*within(asked, CityRequest.unit_code), *overdue(act))
        requests = list(await session.scalars(open_still.order_by(CityRequest.due_on).limit(LINES)))
        reach = require_somewhere(asker.actor, "specification.read")
        papers = await inbox.waiting(session, act, *within(reach, Specification.unit_code))
    return page_of(
        "officer/works.html", request, asker, ending=ends[:LINES], findings=findings,
        requests=requests, waiting=papers[:LINES], today=act.today, may_servers=may_servers,
    )  # fmt: skip
