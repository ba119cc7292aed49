"""``/home/say``: a complaint, suggestion or request, and the answers with their due dates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.door import home_of
from gateway.web.home.frame import (
    Anybody,
    Family,
    act_at_home,
    home_page,
    household_of,
    session_of,
    to_the_door,
)
from gateway.web.page import city_of
from registry.acts import day_of
from registry.identity import Throttled
from registry.models import Household, Site
from registry.requests import opendoor, service
from registry.requests.models import CityRequest
from registry.requests.workflow import Kind, Subject, answer_days
from registry.residents.models import HomeRequest
from registry.sealed import Keyring
from registry.sites import NoSuch

router = APIRouter(prefix="/home", tags=["pages"], include_in_schema=False)
_SHOWN: Final = 20
_MAX_TEXT: Final = 4000


@dataclass(frozen=True)
class Asked:
    """One request of this home, readable to it."""

    row: CityRequest
    text: str
    answer: str | None
    handed_to: str | None
    overdue: bool


@router.get("/say")
async def say_form(request: Request, asker: Anybody, sent: str = "") -> Response:
    """The form, and what was said before."""
    if home_of(request) is None:
        return to_the_door()
    return await _shown(request, asker, sent=sent[:40])


async def _shown(
    request: Request, asker: Anybody, *, sent: str = "", problem: str = "", status: int = 200,
    typed: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    city, at_home = city_of(request), session_of(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        household = await household_of(session, request, at_home)
        asked = await _asked(session, city.keyring, household, now_us)
    return home_page(
        "say.html", request, asker, status=status, section="say", asked=asked, sent=sent,
        problem=problem, typed=typed or {"kind": "complaint", "subject": "detector", "text": ""},
        days=answer_days(city.data_dir), now_us=now_us,
    )  # fmt: skip


async def _asked(
    session: AsyncSession, keyring: Keyring, household: Household, now_us: int
) -> list[Asked]:
    rows = await session.scalars(
        select(CityRequest)
        .join(HomeRequest, HomeRequest.request_id == CityRequest.id)
        .where(HomeRequest.household_id == household.id)
        .order_by(CityRequest.received_us.desc())
        .limit(_SHOWN)
    )
    today = day_of(now_us)
    found = []
    for row in rows:
        opened = service.opened(keyring, row)
        overdue = row.state in ("received", "handed") and row.due_on < today
        body = await service.body_of(session, row)
        found.append(Asked(row, opened.text, opened.answer, body, overdue))
    return found


@router.post("/say")
async def say(
    request: Request, asker: Family, kind: Annotated[Kind, Form()],
    subject: Annotated[Subject, Form()] = "other", text: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Receives it, with a number and the day by which it is answered."""
    city, act, at_home = city_of(request), act_at_home(request, asker), session_of(request)
    typed = {"kind": kind, "subject": subject, "text": text[:_MAX_TEXT]}
    if not text.strip() or len(text) > _MAX_TEXT:
        return await _shown(request, asker, problem="text", status=422, typed=typed)
    try:
        async with city.database.write() as session:
            home = at_home.household_id
            await opendoor.count(session, city.keyring, opendoor.SEND, home, act.now_us)
    except Throttled:
        return await _shown(request, asker, problem="often", status=429, typed=typed)
    async with city.database.write() as session:
        household = await household_of(session, request, at_home)
        site = await session.get(Site, household.site_id)
        fields = {
            "kind": kind, "subject": subject, "channel": "page",
            "unit_code": household.unit_code or (site.unit_code if site else None),
        }  # fmt: skip
        said = service.Said(text.strip(), contact=household.label)
        row, _code = await service.receive(
            session, city.keyring, act, said, fields, answer_days(city.data_dir)
        )
        session.add(HomeRequest(household_id=household.id, request_id=row.id))
        number = row.number
    return RedirectResponse(f"/home/say?sent={quote(number)}", 303)


@router.post("/requests/{request_id}/rate")
async def rate(
    request: Request, request_id: str, asker: Family,
    satisfaction: Annotated[int, Form(ge=1, le=5)],
) -> Response:  # fmt: skip
    """How content the family is with the answer; once."""
    city, act, at_home = city_of(request), act_at_home(request, asker), session_of(request)
    async with city.database.write() as session:
        mine = await session.scalar(
            select(HomeRequest.id).where(
                HomeRequest.household_id == at_home.household_id, HomeRequest.request_id == request_id
            )
        )
        row = await session.get(CityRequest, request_id, with_for_update=True)
        if mine is None or row is None:
            raise NoSuch("request", request_id)
        await service.rate(session, act, row, satisfaction)
    return RedirectResponse("/home/say", 303)
