"""The family's door: ask for a link, come in by it once, go out; and the manifest of the page."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from alerts.verification import send_code
from alerts.wishes import CATALOGUES, CodeMessage
from gateway.city import City
from gateway.door import home_cookie_name, home_of
from gateway.web.home.frame import DOOR, Anybody, Family, act_at_home, home_page, session_of
from gateway.web.page import city_of, words_of
from registry.acts import Act
from registry.households import CHANNEL_ADDRESS
from registry.identity import Throttled
from registry.requests import opendoor
from registry.residents import service as residents
from registry.rights import SYSTEM

router = APIRouter(tags=["pages"], include_in_schema=False)
#: Longer than a session lives unused: the city decides when it ends, not the browser.
_COOKIE_S: Final = 400 * 24 * 3600
_GONE: Final = 410
Typed = Annotated[str, Form(max_length=200)]


@router.get("/home/ask")
async def ask_form(request: Request, asker: Anybody, sent: bool = False) -> Response:
    """Where a family that is known to the city asks for its link."""
    if home_of(request) is not None and not sent:
        return RedirectResponse("/home", 303)
    return home_page("ask.html", request, asker, sent=sent, problem=None)


@router.post("/home/ask")
async def ask(request: Request, asker: Anybody, reach: Typed = "") -> Response:
    """The same answer, as quickly, whether somebody is known by it or not."""
    city = city_of(request)
    now_us = city.clock.now_us()
    try:
        async with city.database.write() as session:
            await opendoor.count(session, city.keyring, residents.ASK, asker.origin, now_us)
    except Throttled:
        said = words_of(request)("Too many attempts. Wait a little and try again.")
        return home_page("ask.html", request, asker, status=429, sent=False, problem=said)
    base = city.doors.public_url or str(request.base_url)
    later = BackgroundTask(_send_links, city, reach.strip(), base.rstrip("/"))
    return RedirectResponse(f"{DOOR}?sent=true", 303, background=later)


async def _send_links(city: City, typed: str, base: str) -> None:
    now_us = city.clock.now_us()
    messages = []
    async with city.database.write() as session:
        for contact, channel in await residents.reached_by(session, city.keyring, typed):
            assert contact.household_id is not None  # a resident's
            token = await residents.new_link(
                session, Act(SYSTEM, now_us), contact.household_id, residents.ASKED_LIFE_US, contact.id
            )
            say, link = CATALOGUES.get(contact.language).text, f"{base}/home/in/{token}"
            messages.append(
                CodeMessage(
                    channel.channel, city.keyring.open(channel.address, CHANNEL_ADDRESS),
                    contact.language, say("home.subject"), say("home.body", link=link),
                    say("home.short", link=link),
                )
            )  # fmt: skip
    for message in messages:
        await send_code(city.doors.channels, message, now_us)


@router.get("/home/in/{token}")
async def link(request: Request, token: str, asker: Anybody) -> Response:
    """Looking uses nothing up: a preview looks too."""
    city = city_of(request)
    try:
        async with city.database.read() as session:
            await residents.look(session, token, city.clock.now_us())
    except residents.LinkSpent:
        return home_page("come_in.html", request, asker, status=_GONE, spent=True)
    return home_page("come_in.html", request, asker, spent=False)


@router.post("/home/in/{token}")
async def come_in(request: Request, token: str, asker: Anybody) -> Response:
    """The button: the link is used up and this browser is at home."""
    city = city_of(request)
    act = Act(asker.actor, city.clock.now_us())
    try:
        async with city.database.write() as session:
            opened = await residents.come_home(session, act, token)
    except residents.LinkSpent:
        return home_page("come_in.html", request, asker, status=_GONE, spent=True)
    response = RedirectResponse("/home", 303)
    response.set_cookie(
        home_cookie_name(request), opened.token, max_age=_COOKIE_S, path="/", httponly=True,
        samesite="lax", secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


@router.post("/home/out")
async def go_out(request: Request, asker: Family) -> Response:
    """This browser forgets the home."""
    city, act = city_of(request), act_at_home(request, asker)
    async with city.database.write() as session:
        await residents.leave(session, act, session_of(request))
    response = RedirectResponse(DOOR, 303)
    secure = request.url.scheme == "https"
    response.delete_cookie(home_cookie_name(request), path="/", secure=secure, httponly=True)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.post("/home/out-others")
async def out_others(request: Request, asker: Family) -> Response:
    """Every other browser forgets it: a phone was lost or sold."""
    city, act = city_of(request), act_at_home(request, asker)
    home = session_of(request)
    async with city.database.write() as session:
        await residents.close_all(session, act, home.household_id, but=home)
    return RedirectResponse("/home/contacts?done=out", 303)


@router.get("/manifest.webmanifest")
async def manifest(request: Request, _asker: Anybody) -> Response:
    """What a phone needs to put the page among its programs."""
    words = words_of(request)
    made = {
        "name": words("Utaa: my home"), "short_name": words("Utaa"), "lang": words.language,
        "id": "/home", "start_url": "/home", "scope": "/home", "display": "standalone",
        "background_color": "#f6f5f2", "theme_color": "#ffffff",
        "icons": [
            {"src": "/static/icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"},
            {"src": "/static/icon-maskable.svg", "sizes": "any", "type": "image/svg+xml",
             "purpose": "maskable"},
            *({"src": f"/static/icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png",
               "purpose": "any maskable"} for side in (192, 512)),
        ],
    }  # fmt: skip
    return JSONResponse(made, media_type="application/manifest+json")
