"""One's own account: sessions, password, second factor; and a role for some minutes in an emergency."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from gateway import session_cookie
from gateway.api.common import Wanted, at
from gateway.api.router import api_router
from gateway.door import Asker, identity, need, rooms
from gateway.problems import documented
from registry.accounts.emergencies import EMERGENCY_ROLES, MAX_MINUTES, Emergencies, Emergency
from registry.accounts.factors import SecondFactors
from registry.accounts.service import Accounts, SessionLine
from registry.identity import SignedIn, id_of_token

router = api_router(tags=["account"])
Own = Annotated[Asker, Depends(need("me.write", by_object=True))]
Taker = Annotated[Asker, Depends(need("emergency.take", by_object=True))]
ShortId = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
Password = Annotated[str, Field(min_length=1, max_length=256, repr=False)]
#: Six digits, or a recovery code.
Code = Annotated[str, Field(min_length=6, max_length=20, repr=False)]


class SessionOut(BaseModel):
    """A signed-in browser."""

    id: str
    created_at: str | None
    used_at: str | None = Field(description="to the minute")
    expires_at: str | None
    origin: str = Field(description="the address it was opened from")
    current: bool = Field(description="whether it is the one that asks")


class PasswordIn(Wanted):
    """A new password for oneself."""

    old: Password
    password: Password


class CodeIn(Wanted):
    """A code of the second factor."""

    code: Code


class EnrolmentOut(BaseModel):
    """A new secret, shown this once."""

    secret: str
    uri: str = Field(description="for a QR code")


class RecoveryOut(BaseModel):
    """Recovery codes, shown this once; each stands in for the second factor once."""

    recovery_codes: list[str]
    csrf: str | None = Field(default=None, description="of the session that takes this one's place")


class Renewed(BaseModel):
    """This browser's session has another cookie now."""

    csrf: str


class EmergencyIn(Wanted):
    """A role for some minutes."""

    role: Annotated[str, Field(max_length=30, examples=list(EMERGENCY_ROLES))]
    minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES)] = 30
    reason: Annotated[str, Field(max_length=500)]


class EmergencyOut(BaseModel):
    """Who took which role, and why."""

    id: str
    person_id: str
    login: str
    role: str
    reason: str
    started_at: str | None
    ends_at: str | None


def accounts(request: Request) -> Accounts:
    """The service behind this request."""
    city = rooms(request)
    return Accounts(city.database, city.clock, identity(request))


def factors(request: Request) -> SecondFactors:
    """The service behind this request."""
    city = rooms(request)
    return SecondFactors(city.database, city.keyring, city.clock)


def session_out(line: SessionLine, current: str | None = None) -> SessionOut:
    """A session as it is shown."""
    return SessionOut(
        id=line.id, created_at=at(line.created_us), used_at=at(line.used_us),
        expires_at=at(line.expires_us), origin=line.origin, current=line.id == current,
    )  # fmt: skip


def emergency_out(found: Emergency) -> EmergencyOut:
    """An emergency as it is shown."""
    return EmergencyOut(
        id=found.id, person_id=found.person_id, login=found.login, role=found.role,
        reason=found.reason, started_at=at(found.started_us), ends_at=at(found.ends_us),
    )  # fmt: skip


def current_session(request: Request) -> str | None:
    """The short id of the browser's own session."""
    token = session_cookie.given(request)
    return id_of_token(token) if token else None


@router.get("/me/sessions", summary="List my sessions", responses=documented(401))
async def list_sessions(request: Request, asker: Own) -> list[SessionOut]:
    """Every browser that is signed in as you."""
    lines = await accounts(request).sessions_of(asker.actor.id)
    return [session_out(line, current_session(request)) for line in lines]


@router.delete("/me/sessions/{short_id}", status_code=204, summary="End a session of mine",
               responses=documented(401, 403, 404, 422))  # fmt: skip
async def delete_session(short_id: ShortId, request: Request, asker: Own) -> Response:
    """That browser has to sign in again."""
    await accounts(request).end_session(asker.actor.id, short_id, by=asker.actor, origin=asker.origin)
    return Response(status_code=204)


@router.delete("/me/sessions", status_code=204, summary="End my other sessions",
               responses=documented(401, 403))  # fmt: skip
async def delete_sessions(request: Request, asker: Own) -> Response:
    """All browsers but this one have to sign in again."""
    await accounts(request).end_sessions(
        asker.actor.id, by=asker.actor, origin=asker.origin, keep=current_session(request)
    )
    return Response(status_code=204)


@router.put("/me/password", summary="Change my password",
            responses=documented(401, 403, 404, 422, 429))  # fmt: skip
async def put_password(body: PasswordIn, request: Request, response: Response, asker: Own) -> Renewed:
    """Every session ends; this browser gets a new one."""
    made = await accounts(request).change_password(
        asker.actor, body.old, body.password, origin=asker.origin,
        token=session_cookie.given(request),
    )  # fmt: skip
    session_cookie.give(response, request, made.token)
    return Renewed(csrf=made.csrf)


@router.post("/me/second-factor", status_code=201, summary="Begin a second factor",
             responses=documented(401, 403, 404, 409))  # fmt: skip
async def post_factor(request: Request, asker: Own) -> EnrolmentOut:
    """A secret for an authenticator app; it counts once `confirm` has had a code of it."""
    begun = await factors(request).begin(asker.actor.id)
    return EnrolmentOut(secret=begun.secret, uri=begun.uri)


@router.post("/me/second-factor/confirm", summary="Confirm the second factor",
             responses=documented(401, 403, 404, 422, 429))  # fmt: skip
async def confirm_factor(body: CodeIn, request: Request, response: Response, asker: Own) -> RecoveryOut:
    """The next sign-in asks for a code. This browser's session is renewed, the others end."""
    codes = await factors(request).confirm(asker.actor, body.code, origin=asker.origin)
    made = await renewed(request, response, asker)
    return RecoveryOut(recovery_codes=codes, csrf=made.csrf)


@router.post("/me/second-factor/recovery-codes", summary="Make new recovery codes",
             responses=documented(401, 403, 422))  # fmt: skip
async def post_recovery_codes(body: CodeIn, request: Request, asker: Own) -> RecoveryOut:
    """The old ones stop working."""
    codes = await factors(request).renew_codes(asker.actor, body.code, origin=asker.origin)
    return RecoveryOut(recovery_codes=codes)


@router.post("/me/second-factor/remove", status_code=204, summary="Remove my second factor",
             responses=documented(401, 403, 422))  # fmt: skip
async def remove_factor(body: CodeIn, request: Request, asker: Own) -> Response:
    """It takes a code of it. A role that asks for one waits until there is another."""
    await factors(request).drop_own(asker.actor, body.code, origin=asker.origin)
    return Response(status_code=204)


@router.post("/me/emergency", status_code=201, summary="Take a role in an emergency",
             responses=documented(401, 403, 404, 409, 422))  # fmt: skip
async def post_emergency(body: EmergencyIn, request: Request, asker: Taker) -> EmergencyOut:
    """For some minutes, with a reason; it is audited, and administrators are told."""
    city = rooms(request)
    taken = await Emergencies(city.database, city.clock).take(
        asker.actor, body.role, body.minutes, body.reason, origin=asker.origin
    )
    return emergency_out(taken)


async def renewed(request: Request, response: Response, asker: Asker) -> SignedIn:
    """Other sessions end; this browser's goes on under a new token."""
    person, token = asker.actor.id, session_cookie.given(request)
    await accounts(request).end_sessions(person, by=asker.actor, origin=asker.origin)
    made = await identity(request).open_session(person, origin=asker.origin, old_token=token)
    session_cookie.give(response, request, made.token)
    return made
