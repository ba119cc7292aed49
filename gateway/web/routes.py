"""Addresses of the pages: the overview, signing in, the first start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sse_starlette import EventSourceResponse
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from gateway import desk, session_cookie
from gateway.compress import Compressed
from gateway.door import Asker, identity, need, origin_of
from gateway.web.overview import Overviews
from gateway.web.page import city_of, page_of, words_of
from registry.identity import BadLogin, SecondFactorNeeded, Throttled, WrongCredentials
from registry.models import Person
from registry.passwords import WeakPassword
from registry.rights import Forbidden, Reach, may_somewhere, require_somewhere

router = APIRouter(tags=["pages"], include_in_schema=False)
_FOLDER = Path(__file__).parent
#: A watching page is told at most this seldom that nothing happened, to keep proxies awake.
_PING_S = 15
Anybody = Annotated[Asker, Depends(need("page.read"))]
#: Five minutes of no question at all, then a day of the old one while the new one is fetched.
_STATIC_LIFE: Final = "public, max-age=300, stale-while-revalidate=86400"
#: Why somebody is not in → what the form says.
_NOT_IN: Final[dict[type[Exception], str]] = {
    WrongCredentials: "Wrong name or password.",
    SecondFactorNeeded: "A code is needed: from your authenticator app, or a recovery code.",
    Throttled: "Too many attempts. Wait a little and try again.",
}


class _Kept(StaticFiles):
    """Styles and scripts, kept by browsers for a while and looked after behind the reader's back."""

    def file_response(self, *args: Any, **named: Any) -> Response:
        response = super().file_response(*args, **named)
        response.headers["Cache-Control"] = _STATIC_LIFE
        return response


def install(app: FastAPI) -> None:
    """What the pages need of the application: our own style sheet, script and icon, shared reading."""
    app.state.overviews = Overviews()
    app.mount("/static", _Kept(directory=_FOLDER / "static"), name="static")
    app.add_middleware(Compressed)


@router.get("/")
async def home(request: Request, asker: Anybody) -> Response:
    """What burns now; signing in first, unless the overview is open to everybody."""
    reach = _reach(request, asker)
    if reach is None:
        return RedirectResponse(await _first_door(request), 303)
    return page_of("overview.html", request, asker, **await _overview(request, asker, reach))


@router.get("/overview")
async def overview_fragment(request: Request, asker: Anybody) -> Response:
    """The changing part of the first page."""
    reach = _reach(request, asker)
    if reach is None:
        return HTMLResponse("", 401)
    return page_of("overview_fragment.html", request, asker, **await _overview(request, asker, reach))


@router.get("/changes")
async def changes(request: Request, asker: Anybody) -> Response:
    """A stream that says only *that* something changed; the page then asks what."""
    if _reach(request, asker) is None:
        return HTMLResponse("", 401)
    hub = city_of(request).hub

    async def ticks() -> AsyncIterator[dict[str, str]]:
        with hub.subscribe(frozenset({"incident", "site", "detector", "reading"})) as watcher:
            async for event in watcher.events():
                yield {"event": "changed", "data": event.topic}

    return EventSourceResponse(ticks(), ping=_PING_S)


@router.get("/signin")
async def sign_in_form(request: Request, asker: Anybody, next: str = "/") -> Response:
    """The form."""
    return _sign_in_page(request, asker, 200, None, None, next)


@router.post("/signin")
async def sign_in(
    request: Request,
    asker: Anybody,
    login: Annotated[str, Form(max_length=100)],
    password: Annotated[str, Form(max_length=256)],
    next: Annotated[str, Form()] = "/",
    code: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """A new session and its cookie, then on to where they wanted to go (within this site)."""
    try:
        session = await identity(request).sign_in(
            login, password, code=code.strip() or None, origin=origin_of(request),
            old_token=session_cookie.given(request),
        )  # fmt: skip
    except (WrongCredentials, SecondFactorNeeded, Throttled) as error:
        status = 429 if isinstance(error, Throttled) else 401
        return _sign_in_page(request, asker, status, _NOT_IN[type(error)], login, next)
    response = RedirectResponse(inside(next), 303)
    session_cookie.give(response, request, session.token)
    return response


@router.post("/signout")
async def sign_out(request: Request, asker: Anybody) -> Response:
    """Ends the session."""
    if token := session_cookie.given(request):
        await identity(request).sign_out(token, actor=asker.actor, origin=asker.origin)
    response = RedirectResponse("/signin", 303)
    session_cookie.take(response, request)
    return response


@router.get("/setup")
async def set_up_form(request: Request, asker: Anybody, code: str = "") -> Response:
    """The first administrator's form."""
    return page_of("setup.html", request, asker, problem=None, login=None, code=code)


@router.post("/setup")
async def set_up(
    request: Request,
    asker: Anybody,
    code: Annotated[str, Form(max_length=40)],
    login: Annotated[str, Form(max_length=100)],
    password: Annotated[str, Form(max_length=256)],
) -> Response:
    """The first administrator, by the code from the console."""
    try:
        await identity(request).create_first_administrator(
            code, login, password, origin=origin_of(request)
        )
    except (WrongCredentials, Throttled, BadLogin, WeakPassword) as error:
        words = words_of(request)
        text = {
            WrongCredentials: words("That code is wrong, used or too old."),
            Throttled: words("Too many attempts. Wait a little and try again."),
        }.get(type(error), str(error))
        return page_of("setup.html", request, asker, status=400, problem=text, login=login, code=code)
    return RedirectResponse("/signin", 303)


@router.post("/incidents/{incident_id}/acknowledge")
async def acknowledge(
    request: Request,
    incident_id: str,
    asker: Annotated[Asker, Depends(need("incident.acknowledge", by_object=True))],
) -> Response:
    """Somebody at the desk has taken the incident."""
    await desk.acknowledge(city_of(request), asker, incident_id)
    return RedirectResponse("/", 303)


@router.post("/incidents/{incident_id}/silence")
async def silence(
    request: Request,
    incident_id: str,
    asker: Annotated[Asker, Depends(need("incident.acknowledge", by_object=True))],
) -> Response:
    """Its sirens are quiet for a while, unless something new begins."""
    try:
        await desk.silence(city_of(request), asker, incident_id, desk.MAX_SILENCE_S)
    except desk.SiteOutOfReach:
        return HTMLResponse(words_of(request)("The order did not leave. Try again."), 503)
    return RedirectResponse("/", 303)


def _sign_in_page(
    request: Request, asker: Asker, status: int, problem: str | None, login: str | None, next: str
) -> Response:
    provider = getattr(request.app.state, "provider", None)
    return page_of(
        "signin.html", request, asker, status=status,
        problem=words_of(request)(problem) if problem else None, login=login, next=next,
        provider=provider.settings.name if provider else None,
    )  # fmt: skip


# --- shared ------------------------------------------------------------------------------------------


def _reach(request: Request, asker: Asker) -> Reach | None:
    """Which part of the city they may see on the overview; None: none of it."""
    try:
        return require_somewhere(asker.actor, "incident.read")
    except Forbidden:
        return Reach(everywhere=True) if city_of(request).settings.open_overview else None


async def _overview(request: Request, asker: Asker, reach: Reach) -> dict[str, Any]:
    city = city_of(request)
    now_us = city.clock.now_us()
    shared: Overviews = request.app.state.overviews
    return {
        "page": await shared.get(city.database, now_us, reach),
        "now_us": now_us,
        "may_acknowledge": may_somewhere(asker.actor, "incident.acknowledge"),
    }


async def _first_door(request: Request) -> str:
    """Setting up, when nobody exists yet; signing in otherwise."""
    query = (
        f"?{urlencode({'lang': request.query_params['lang']})}"
        if "lang" in request.query_params
        else ""
    )
    async with city_of(request).database.read() as session:
        nobody = await session.scalar(select(Person.id).limit(1)) is None
    return ("/setup" if nobody else "/signin") + query


def inside(address: str) -> str:
    """The address if it lies in this site, else the first page: no open redirect."""
    return address if address.startswith("/") and address[1:2] not in ("/", "\\") else "/"
