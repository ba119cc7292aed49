"""``/desk/handover``: what a shift leaves to the next one, on a page that can be printed."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response

from edge.wire.clock import US_PER_S
from gateway.web.desk import view
from gateway.web.desk.work import Reader
from gateway.web.page import city_of, page_of
from registry.models import Person

router = APIRouter(prefix="/desk", tags=["pages"], include_in_schema=False)
Hours = Literal["8", "12", "24"]


@router.get("/handover")
async def handover(request: Request, asker: Reader, hours: Hours = "12") -> Response:
    """The last hours: what came, how soon it was answered, what is open, what was noted."""
    city = city_of(request)
    now_us = city.clock.now_us()
    from_us = now_us - int(hours) * 3600 * US_PER_S
    async with city.database.read() as session:
        shift = await view.shift(session, asker.reach, from_us, now_us)
        names = {}
        for entry, _ in shift.notes:
            person = await session.get(Person, entry.actor)
            names[entry.actor] = person.login if person else ""
    return page_of(
        "desk/handover.html", request, asker, shift=shift, names=names, hours=hours,
        from_us=from_us, now_us=now_us, by=asker.known.login if asker.known else "",
    )  # fmt: skip
