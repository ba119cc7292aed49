"""Who I am: first start, signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from edge.wire.clock import rfc3339
from gateway import session_cookie
from gateway.api.common import Wanted
from gateway.api.router import api_router
from gateway.door import Asker, identity, need, origin_of
from gateway.problems import documented
from registry.identity import Known
from registry.rights import ACTIONS, may_somewhere

router = api_router(tags=["session"])

_Login = Annotated[str, Field(min_length=1, max_length=100, examples=["bat.office"])]
_Password = Annotated[str, Field(min_length=1, max_length=256, repr=False)]


class SetupIn(Wanted):
    """The first administrator."""

    code: Annotated[str, Field(max_length=40, repr=False, description="from the server's console")]
    login: _Login
    password: _Password


class SessionIn(Wanted):
    """A sign-in."""

    login: _Login
    password: _Password
    code: Annotated[
        str | None,
        Field(max_length=20, repr=False, description="of the second factor, where there is one"),
    ] = None


class Me(BaseModel):
    """Who is asking."""

    id: str
    kind: str
    login: str
    language: str
    roles: list[str]
    actions: list[str] = Field(description="what you may do, somewhere or everywhere")
    expires_at: str
    csrf: str | None = Field(
        default=None, description="send it as X-CSRF-Token with every unsafe request by cookie"
    )


class Created(BaseModel):
    """The id of what was made."""

    id: str


@router.post(
    "/setup",
    status_code=201,
    response_model=Created,
    summary="Create the first administrator",
    responses=documented(401, 422, 429),
    dependencies=[Depends(need("session.open"))],
)
async def set_up(body: SetupIn, request: Request) -> Created:
    """By the one-time code that the first start prints on the server's console."""
    person_id = await identity(request).create_first_administrator(
        body.code, body.login, body.password, origin=origin_of(request)
    )
    return Created(id=person_id)


@router.post(
    "/session",
    status_code=201,
    response_model=Me,
    summary="Sign in",
    responses=documented(401, 422, 429),
    dependencies=[Depends(need("session.open"))],
)
async def sign_in(body: SessionIn, request: Request, response: Response) -> Me:
    """Sets the session cookie; an older session of this browser ends."""
    session = await identity(request).sign_in(
        body.login, body.password, code=body.code, origin=origin_of(request),
        old_token=session_cookie.given(request),
    )  # fmt: skip
    known = await identity(request).known_by_session(session.token)
    session_cookie.give(response, request, session.token)
    if known is None:  # deactivated in this very moment
        raise RuntimeError("a session that ended as it began")
    return _me(known)


@router.delete("/session", status_code=204, summary="Sign out", responses=documented(401, 403))
async def sign_out(
    request: Request, asker: Annotated[Asker, Depends(need("session.close", by_object=True))]
) -> Response:
    """Ends the session of the cookie."""
    token = session_cookie.given(request)
    if token:
        await identity(request).sign_out(token, actor=asker.actor, origin=asker.origin)
    response = Response(status_code=204)
    session_cookie.take(response, request)
    return response


@router.get("/me", response_model=Me, summary="Who am I", responses=documented(401))
async def me(asker: Annotated[Asker, Depends(need("me.read", by_object=True))]) -> Me:
    """Your roles, what they allow, and the CSRF token of your session."""
    if asker.known is None:  # the need lets nobody else in
        raise RuntimeError("somebody known was asked for")
    return _me(asker.known)


def _me(known: Known) -> Me:
    actor = known.actor
    return Me(
        id=actor.id,
        kind=actor.kind,
        login=known.login,
        language=known.language,
        roles=sorted({grant.role for grant in actor.grants}),
        actions=[action for action in ACTIONS if may_somewhere(actor, action)],
        expires_at=rfc3339(known.expires_us),
        csrf=known.csrf,
    )
