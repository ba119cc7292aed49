"""``/works``: what of the office's works is late or ends soon, each list the most urgent first."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import within
from gateway.api.records import act_of
from gateway.door import Asker, need, rooms
from gateway.web.guard import PageRoute
from gateway.web.page import page_of
from registry.acts import Act
from registry.inspections.models import Finding
from registry.requests.models import CityRequest
from registry.requests.service import overdue
from registry.rights import Reach, may, may_somewhere, require_somewhere
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
        findings = list(await session.scalars(_late_findings(asker.reach, act.today)))
        requests = await _late_requests(session, asker, act)
        papers = await _papers(session, asker, act)
        ends = await ending(session, act.today, _SOON_DAYS) if may(asker.actor, "server.read") else None
    return page_of(
        "officer/works.html", request, asker, ending=ends[:LINES] if ends is not None else None,
        findings=findings, requests=requests, waiting=papers, today=act.today,
    )  # fmt: skip


def _late_findings(reach: Reach, today: date) -> Select[Any]:
    late = select(Finding).where(
        *within(reach, Finding.unit_code), Finding.state == "open", Finding.due_on < today
    )
    return late.order_by(Finding.due_on).limit(LINES)


async def _late_requests(session: AsyncSession, asker: Asker, act: Act) -> list[CityRequest] | None:
    """None: they are not theirs to see."""
    if not may_somewhere(asker.actor, "request.read"):
        return None
    reach = require_somewhere(asker.actor, "request.read")
    late = select(CityRequest).where(*within(reach, CityRequest.unit_code), *overdue(act))
    return list(await session.scalars(late.order_by(CityRequest.due_on).limit(LINES)))


async def _papers(session: AsyncSession, asker: Asker, act: Act) -> list[Specification] | None:
    """None: they are not theirs to see."""
    if not may_somewhere(asker.actor, "specification.read"):
        return None
    reach = require_somewhere(asker.actor, "specification.read")
    found = await inbox.waiting(session, act, *within(reach, Specification.unit_code))
    return list(found[:LINES])
