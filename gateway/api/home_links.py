"""Links to a family's own page, made by the office; and closing that page everywhere."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import ObjectId, at
from gateway.api.records import act_of
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry.models import Household, Site
from registry.residents import service as residents
from registry.rights import Place
from registry.sites import NoSuch

router = api_router("/households", tags=["households"])
_Writer = Annotated[Asker, Depends(need("household.write", by_object=True))]


class HomeLinkOut(BaseModel):
    """A link that opens the family's page in one browser, once."""

    link: str
    expires_at: str | None


class ClosedOut(BaseModel):
    """How many browsers were at home."""

    closed: int


async def place_of(session: AsyncSession, household_id: str) -> Place:
    """Where the household lies. Raises ``NoSuch``."""
    household = await session.get(Household, household_id)
    if household is None or household.gone_us is not None:
        raise NoSuch("household", household_id)
    site = await session.get(Site, household.site_id)
    return Place(unit_code=household.unit_code or (site.unit_code if site else None))


async def make(request: Request, asker: Asker, household_id: str) -> HomeLinkOut:
    """A link for paper; who made it is recorded."""
    city, act = rooms(request), act_of(request, asker)
    async with city.database.write() as session:
        allow(asker, "household.write", await place_of(session, household_id))
        token = await residents.new_link(session, act, household_id, residents.PAPER_LIFE_US)
    base = (city.doors.public_url or str(request.base_url)).rstrip("/")
    return HomeLinkOut(
        link=f"{base}/home/in/{token}", expires_at=at(act.now_us + residents.PAPER_LIFE_US)
    )


@router.post(
    "/{household_id}/home-link", response_model=HomeLinkOut, status_code=201,
    summary="A link to the family's own page", responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_link(household_id: ObjectId, request: Request, asker: _Writer) -> HomeLinkOut:
    """For its first contact; used once, within 14 days. Shown this once."""
    return await make(request, asker, household_id)


@router.delete(
    "/{household_id}/home-sessions", response_model=ClosedOut,
    summary="Close the family's page everywhere", responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def close(household_id: ObjectId, request: Request, asker: _Writer) -> ClosedOut:
    """Every browser, and every link that was not used."""
    city = rooms(request)
    async with city.database.write() as session:
        allow(asker, "household.write", await place_of(session, household_id))
        closed = await residents.close_all(session, act_of(request, asker), household_id)
    return ClosedOut(closed=closed)
