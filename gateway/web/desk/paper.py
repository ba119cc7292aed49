"""``/home-links/<household>``: a link to a family's own page on paper, made by the office."""

from __future__ import annotations

import base64
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from gateway.api.home_links import make, place_of
from gateway.door import Asker, allow, need
from gateway.web.page import city_of, page_of
from registry.models import Household
from registry.printing.typeset import qr_svg
from registry.residents.service import PAPER_LIFE_US

router = APIRouter(prefix="/home-links", tags=["pages"], include_in_schema=False)
Writer = Annotated[Asker, Depends(need("household.write", by_object=True))]
_DAY_US: Final = 24 * 3600 * 1_000_000


@router.get("/{household_id}")
async def form(request: Request, household_id: str, asker: Writer) -> Response:
    """Looking makes none."""
    return await _shown(request, household_id, asker, link="")


@router.post("/{household_id}")
async def print_one(request: Request, household_id: str, asker: Writer) -> Response:
    """A new link and its code, to be printed and handed over; shown this once."""
    return await _shown(
        request, household_id, asker, link=(await make(request, asker, household_id)).link
    )


async def _shown(request: Request, household_id: str, asker: Asker, link: str) -> Response:
    async with city_of(request).database.read() as session:
        allow(asker, "household.write", await place_of(session, household_id))
        label = (await session.get_one(Household, household_id)).label
    code = base64.b64encode(qr_svg(link).encode()).decode() if link else ""
    return page_of(
        "desk/paper.html", request, asker, label=label, link=link, days=PAPER_LIFE_US // _DAY_US,
        code=f"data:image/svg+xml;base64,{code}",
    )  # fmt: skip
