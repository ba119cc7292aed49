"""What an administrator does with others' accounts: roles, sessions, rules, providers, emergencies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from gateway.api.account import (
    EmergencyOut,
    Password,
    SessionOut,
    ShortId,
    accounts,
    emergency_out,
    factors,
    session_out,
)
from gateway.api.common import ObjectId, Wanted
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import documented, wrong_field
from registry.accounts.emergencies import Emergencies
from registry.accounts.outside import OutsideAccounts
from registry.rights import GRANTABLE, check_roles

router = api_router(tags=["people"])
Reader = Annotated[Asker, Depends(need("person.read"))]
Ruler = Annotated[Asker, Depends(need("person.write"))]
_Reason = Annotated[str, Field(min_length=1, max_length=500)]


class RolesIn(Wanted):
    """What somebody may do from now on, everywhere."""

    roles: Annotated[list[str], Field(max_length=len(GRANTABLE), examples=[["duty"]])]


class ReasonIn(Wanted):
    """Why."""

    reason: _Reason


class NewPasswordIn(ReasonIn):
    """A first password for somebody who lost theirs."""

    password: Password


class LinkIn(Wanted):
    """Whom a visitor is."""

    person_id: ObjectId


class RuleIn(Wanted):
    """What a role asks of whoever has it."""

    second_factor: bool


class RuleOut(BaseModel):
    """What a role asks of whoever has it."""

    role: str
    second_factor: bool


def _checked(roles: list[str]) -> list[str]:
    try:
        return list(check_roles(roles))
    except ValueError as error:
        raise wrong_field("body.roles", str(error)) from None


@router.put("/people/{person_id}/roles", status_code=204, summary="Set somebody's roles",
            responses=documented(401, 403, 404, 409, 422))  # fmt: skip
async def put_roles(person_id: ObjectId, body: RolesIn, request: Request, asker: Ruler) -> Response:
    """Their sessions end: they sign in again with the new roles."""
    await accounts(request).set_roles(
        person_id, _checked(body.roles), by=asker.actor, origin=asker.origin
    )
    return Response(status_code=204)


@router.put("/people/{person_id}/password", status_code=204, summary="Give a new first password",
            responses=documented(401, 403, 404, 422))  # fmt: skip
async def put_password(
    person_id: ObjectId, body: NewPasswordIn, request: Request, asker: Ruler
) -> Response:
    """Their sessions end."""
    await accounts(request).set_password(
        person_id, body.password, by=asker.actor, reason=body.reason, origin=asker.origin
    )
    return Response(status_code=204)


@router.post("/people/{person_id}/retire", status_code=204, summary="Deactivate a person",
             responses=documented(401, 403, 404, 409, 422))  # fmt: skip
async def retire(person_id: ObjectId, body: ReasonIn, request: Request, asker: Ruler) -> Response:
    """They sign in no more, and their sessions end now; what they did stays theirs."""
    await accounts(request).retire(person_id, by=asker.actor, reason=body.reason, origin=asker.origin)
    return Response(status_code=204)


@router.post("/people/{person_id}/restore", status_code=204, summary="Let a person in again",
             responses=documented(401, 403, 404, 422))  # fmt: skip
async def restore(person_id: ObjectId, body: ReasonIn, request: Request, asker: Ruler) -> Response:
    """With the password and roles they had."""
    await accounts(request).restore(person_id, by=asker.actor, reason=body.reason, origin=asker.origin)
    return Response(status_code=204)


@router.post("/people/{person_id}/second-factor/remove", status_code=204,
             summary="Remove a lost second factor",
             responses=documented(401, 403, 404, 422))  # fmt: skip
async def remove_factor(
    person_id: ObjectId, body: ReasonIn, request: Request, asker: Ruler
) -> Response:
    """After having made sure who asks."""
    await factors(request).remove(person_id, by=asker.actor, reason=body.reason, origin=asker.origin)
    return Response(status_code=204)


@router.get("/people/{person_id}/sessions", summary="List somebody's sessions",
            responses=documented(401, 403))  # fmt: skip
async def list_sessions(person_id: ObjectId, request: Request, asker: Reader) -> list[SessionOut]:
    """Every browser that is signed in as them."""
    return [session_out(line) for line in await accounts(request).sessions_of(person_id)]


@router.delete("/people/{person_id}/sessions/{short_id}", status_code=204,
               summary="End a session of somebody",
               responses=documented(401, 403, 404, 422))  # fmt: skip
async def delete_session(
    person_id: ObjectId, short_id: ShortId, request: Request, asker: Ruler
) -> Response:
    """That browser has to sign in again."""
    await accounts(request).end_session(person_id, short_id, by=asker.actor, origin=asker.origin)
    return Response(status_code=204)


@router.delete("/people/{person_id}/sessions", status_code=204, summary="End all somebody's sessions",
               responses=documented(401, 403))  # fmt: skip
async def delete_sessions(person_id: ObjectId, request: Request, asker: Ruler) -> Response:
    """All their browsers have to sign in again."""
    await accounts(request).end_sessions(person_id, by=asker.actor, origin=asker.origin)
    return Response(status_code=204)


@router.get("/role-rules", summary="What roles ask for", responses=documented(401, 403))
async def list_rules(request: Request, asker: Reader) -> list[RuleOut]:
    """Every role, and whether it asks for a second factor."""
    found = await accounts(request).rules()
    return [RuleOut(role=role, second_factor=found.get(role, False)) for role in GRANTABLE]


@router.put("/role-rules/{role}", status_code=204, summary="Say what a role asks for",
            responses=documented(401, 403, 422))  # fmt: skip
async def put_rule(role: ObjectId, body: RuleIn, request: Request, asker: Ruler) -> Response:
    """Whoever has the role and no second factor may do nothing but set one up."""
    (checked,) = _checked([role])
    await accounts(request).set_rule(checked, body.second_factor, by=asker.actor, origin=asker.origin)
    return Response(status_code=204)


@router.get("/emergencies", summary="Who took a role", responses=documented(401, 403))
async def list_emergencies(request: Request, asker: Reader) -> list[EmergencyOut]:
    """Roles taken in emergencies, the newest first."""
    city = rooms(request)
    return [emergency_out(row) for row in await Emergencies(city.database, city.clock).newest()]


@router.delete("/emergencies/{emergency_id}", status_code=204, summary="End an emergency",
               responses=documented(401, 403, 404))  # fmt: skip
async def delete_emergency(emergency_id: ObjectId, request: Request, asker: Ruler) -> Response:
    """The role that was taken is gone now."""
    city = rooms(request)
    await Emergencies(city.database, city.clock).end(asker.actor, emergency_id, origin=asker.origin)
    return Response(status_code=204)


@router.post("/outside-accounts/{code}/link", status_code=204, summary="Say who a visitor is",
             responses=documented(401, 403, 404, 409, 422))  # fmt: skip
async def link(code: ObjectId, body: LinkIn, request: Request, asker: Ruler) -> Response:
    """The visitor whom a sign-in provider sent, by the code on their screen, is this person."""
    await _visitors(request).link(code, body.person_id, by=asker.actor, origin=asker.origin)
    return Response(status_code=204)


@router.delete("/outside-accounts/{code}", status_code=204, summary="Unlink a visitor",
               responses=documented(401, 403, 404))  # fmt: skip
async def unlink(code: ObjectId, request: Request, asker: Ruler) -> Response:
    """They are nobody here again."""
    await _visitors(request).unlink(code, by=asker.actor, origin=asker.origin)
    return Response(status_code=204)


def _visitors(request: Request) -> OutsideAccounts:
    city = rooms(request)
    return OutsideAccounts(city.database, city.keyring, city.clock)
