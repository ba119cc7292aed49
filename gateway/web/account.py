"""``/account``: one's own sessions, password and second step, without JavaScript; and emergencies.

Each form makes one call to the service that the API calls too, and comes back by a redirect. Secrets
and recovery codes are on the answer to the form alone, once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

import segno
from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from gateway import session_cookie
from gateway.api.account import accounts, current_session, factors, renewed
from gateway.door import Asker, need, rooms
from gateway.web.guard import PageRoute
from gateway.web.page import page_of
from registry.accounts.emergencies import EMERGENCY_ROLES, MAX_MINUTES, Emergencies
from registry.identity import BadLogin, SignedIn, Throttled, WrongCredentials
from registry.passwords import WeakPassword
from registry.rights import may_somewhere
from registry.sites import Conflict, NoSuch

router = APIRouter(prefix="/account", tags=["pages"], include_in_schema=False, route_class=PageRoute)
Own = Annotated[Asker, Depends(need("me.write", by_object=True))]
Taker = Annotated[Asker, Depends(need("emergency.take", by_object=True))]
Password = Annotated[str, Form(min_length=1, max_length=256)]
Code = Annotated[str, Form(max_length=20)]
#: What went wrong → what the page says.
_SAID: Final[dict[type[Exception], str]] = {
    WrongCredentials: "This was not right. Nothing has changed.",
    WeakPassword: "This password is too easy. Take twelve characters or more that are your own.",
    Throttled: "Too many attempts. Wait a little and try again.",
    Conflict: "This was not right. Nothing has changed.",
    NoSuch: "This was not right. Nothing has changed.",
    BadLogin: "This was not right. Nothing has changed.",
}


@router.get("")
async def show(request: Request, asker: Own, done: str = "") -> Response:
    """Sessions, password, second step."""
    return await _page(request, asker, done=done == "1")


@router.post("/password")
async def password(
    request: Request, asker: Own, old: Password, new: Password, again: Password
) -> Response:
    """Every session ends; this browser gets a new one."""
    if new != again:
        return await _page(request, asker, problem="The two new passwords differ.", status=422)
    try:
        made = await accounts(request).change_password(
            asker.actor, old, new, origin=asker.origin, token=session_cookie.given(request)
        )
    except tuple(_SAID) as error:
        return await _page(request, asker, problem=_SAID[type(error)], status=422)
    response = _back()
    session_cookie.give(response, request, made.token)
    return response


@router.post("/sessions")
async def end(
    request: Request, asker: Own, session: Annotated[str, Form(max_length=12)] = ""
) -> Response:
    """One other browser, or all others, have to sign in again."""
    service = accounts(request)
    try:
        if session:
            await service.end_session(asker.actor.id, session, by=asker.actor, origin=asker.origin)
        else:
            await service.end_sessions(
                asker.actor.id, by=asker.actor, origin=asker.origin, keep=current_session(request)
            )
    except NoSuch:
        pass  # it ended by itself meanwhile
    return _back()


@router.post("/second-step")
async def begin(request: Request, asker: Own) -> Response:
    """A secret for an authenticator app, as a picture and as text."""
    try:
        begun = await factors(request).begin(asker.actor.id)
    except tuple(_SAID) as error:
        return await _page(request, asker, problem=_SAID[type(error)], status=409)
    picture = segno.make(begun.uri, error="m", micro=False).svg_data_uri(scale=5, border=4)
    return await _page(request, asker, secret=begun.secret, picture=picture)


@router.post("/second-step/confirm")
async def confirm(request: Request, asker: Own, code: Code) -> Response:
    """From now on signing in asks for a code. The recovery codes are shown this once."""
    try:
        codes = await factors(request).confirm(asker.actor, code.strip(), origin=asker.origin)
    except tuple(_SAID) as error:
        return await _page(request, asker, problem=_SAID[type(error)], status=422, waits=True)
    kept = Response()
    made = await renewed(request, kept, asker)
    response = await _page(request, _as(asker, made), codes=codes)
    response.headers["set-cookie"] = kept.headers["set-cookie"]
    return response


@router.post("/second-step/codes")
async def renew_codes(request: Request, asker: Own, code: Code) -> Response:
    """New recovery codes; the old ones stop working."""
    try:
        codes = await factors(request).renew_codes(asker.actor, code.strip(), origin=asker.origin)
    except tuple(_SAID) as error:
        return await _page(request, asker, problem=_SAID[type(error)], status=422)
    return await _page(request, asker, codes=codes)


@router.post("/emergency")
async def take(
    request: Request, asker: Taker, role: Annotated[str, Form(max_length=30)],
    reason: Annotated[str, Form(max_length=500)], minutes: Annotated[int, Form()] = 30,
) -> Response:  # fmt: skip
    """A role for some minutes; everybody who watches over rights sees it on every page."""
    city = rooms(request)
    try:
        await Emergencies(city.database, city.clock).take(
            asker.actor, role, minutes, reason, origin=asker.origin
        )
    except Conflict:
        return await _page(
            request, asker, problem="Say why in a sentence, and for at most 120 minutes.", status=422
        )
    return _back()


def _back() -> RedirectResponse:
    return RedirectResponse("/account?done=1", 303)


def _as(asker: Asker, made: SignedIn) -> Asker:
    """The same person in the session that takes this one's place."""
    return asker if asker.known is None else replace(asker, known=replace(asker.known, csrf=made.csrf))


async def _page(request: Request, asker: Asker, *, status: int = 200, **values: Any) -> Response:
    lines = await accounts(request).sessions_of(asker.actor.id)
    given: dict[str, Any] = {"problem": "", "done": False, "secret": "", "picture": "", "codes": [],
                             "waits": False}  # fmt: skip
    return page_of(
        "account.html", request, asker, status=status, sessions=lines, current=current_session(request),
        codes_left=await factors(request).codes_left(asker.actor.id),
        emergency_roles=EMERGENCY_ROLES if may_somewhere(asker.actor, "emergency.take") else (),
        most_minutes=MAX_MINUTES, now_us=rooms(request).clock.now_us(), **(given | values),
    )  # fmt: skip
