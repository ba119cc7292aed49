"""``/home``: is my home safe? While something burns it is the page that says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession
from sse_starlette import EventSourceResponse
from starlette.responses import HTMLResponse

from alerts import residents as answers
from alerts.incidents import IncidentError
from alerts.models import Incident
from gateway.door import home_of
from gateway.web.home.frame import (
    Anybody,
    Family,
    contact_of,
    home_page,
    household_of,
    session_of,
    to_the_door,
)
from gateway.web.home.view import read_home
from gateway.web.page import city_of
from registry import audit
from registry.residents.models import HomeSession
from registry.sites import NoSuch

router = APIRouter(prefix="/home", tags=["pages"], include_in_schema=False)
#: A watching page is told at most this seldom that nothing happened, to keep proxies awake.
_PING_S: Final = 15
_TOPICS: Final = frozenset({"incident", "site", "detector"})
Judgement = Literal["real_fire", "cooking", "fault", "unknown"]


@router.get("")
async def home(request: Request, asker: Anybody) -> Response:
    """The one screen."""
    return await _shown("status.html", request, asker)


@router.get("/now")
async def now(request: Request, asker: Anybody) -> Response:
    """The changing part of it."""
    if home_of(request) is None:
        return HTMLResponse("", 401)
    return await _shown("status_fragment.html", request, asker)


async def _shown(template: str, request: Request, asker: Anybody) -> Response:
    at_home = home_of(request)
    if at_home is None:
        return to_the_door()
    city = city_of(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        household = await household_of(session, request, at_home)
        read = await read_home(session, household, now_us)
    return home_page(template, request, asker, home=read, now_us=now_us, section="status")


@router.get("/changes")
async def changes(request: Request, _asker: Anybody) -> Response:
    """Says only *that* something changed at this home's site; the page then asks what."""
    at_home = home_of(request)
    if at_home is None:
        return HTMLResponse("", 401)
    city = city_of(request)
    async with city.database.read() as session:
        site_id = (await household_of(session, request, at_home)).site_id
    last = request.headers.get("Last-Event-ID")

    async def ticks() -> AsyncIterator[dict[str, str]]:
        with city.hub.subscribe(_TOPICS, last_event_id=last) as watcher:
            async for event in watcher.events():
                if event.data.get("site", site_id) == site_id:
                    yield {"event": "changed", "data": event.topic, "id": event.id}

    return EventSourceResponse(ticks(), ping=_PING_S)


@router.post("/incidents/{incident_id}/answer")
async def answer(
    request: Request, incident_id: str, asker: Family, said: Annotated[answers.Answer, Form()]
) -> Response:
    """We are safe, a false alarm, or help. A second press, or one after the end, changes nothing."""
    city, at_home = city_of(request), session_of(request)
    now_us = city.clock.now_us()
    try:
        async with city.database.write() as session:
            incident = await _own(session, at_home, incident_id)
            contact = await contact_of(session, at_home)
            await answers.answer(session, incident, contact, said, now_us, city.policy)
            await _note(session, asker, "home.answer", incident_id, now_us, {"said": said})
    except IncidentError:
        return RedirectResponse("/home", 303)  # it is over; the page says so
    city.hub.publish("incident", {"id": incident_id, "site": incident.site_id})
    city.wake_alerts()
    return RedirectResponse("/home", 303)


@router.post("/incidents/{incident_id}/judge")
async def judge(
    request: Request, incident_id: str, asker: Family, cause: Annotated[Judgement, Form()],
    back: Annotated[Literal["/home", "/home/history"], Form()] = "/home",
) -> Response:  # fmt: skip
    """Whether a past alarm was real; the city learns from it."""
    city, at_home = city_of(request), session_of(request)
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        incident = await _own(session, at_home, incident_id)
        await answers.judge(session, incident, await contact_of(session, at_home), cause, now_us)
        await _note(session, asker, "home.judge", incident_id, now_us, {"cause": cause})
    city.hub.publish("incident", {"id": incident_id, "site": incident.site_id})
    return RedirectResponse(back, 303)


async def _own(session: AsyncSession, at_home: HomeSession, incident_id: str) -> Incident:
    """The incident, if it is this home's; another home's does not exist here. Raises ``NoSuch``."""
    incident = await session.get(Incident, incident_id, with_for_update=True)
    if incident is None or incident.household_id != at_home.household_id:
        raise NoSuch("incident", incident_id)
    return incident


async def _note(
    session: AsyncSession, asker: Family, action: str, incident_id: str, now_us: int,
    after: dict[str, Any],
) -> None:  # fmt: skip
    await audit.append(
        session, actor=asker.actor, action=action, object_kind="incident", object_id=incident_id,
        now_us=now_us, after=after,
    )  # fmt: skip
