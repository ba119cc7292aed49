"""People who sign in, machines' tokens, and the audit."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import func, select

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    ObjectId,
    Page,
    UnitCode,
    Wanted,
    at,
    decode_cursor,
    page_of,
)
from gateway.api.router import api_router
from gateway.api.session import Created
from gateway.door import Asker, identity, need, rooms
from gateway.problems import documented, wrong_field
from registry.identity import MAX_TOKEN_DAYS, token_id
from registry.models import ApiToken, Person, RoleGrant
from registry.rights import GRANTABLE, check_roles
from registry.sites import NoSuch

router = api_router()
_Roles = Annotated[list[str], Field(min_length=1, max_length=len(GRANTABLE), examples=[["duty"]])]


class PersonIn(Wanted):
    """Somebody who is to sign in."""

    login: Annotated[str, Field(min_length=1, max_length=100, examples=["bat.office"])]
    password: Annotated[str, Field(min_length=1, max_length=256, repr=False)]
    roles: _Roles


class PersonOut(BaseModel):
    """Somebody who signs in."""

    id: str
    login: str
    active: bool
    roles: list[str]
    created_at: str | None


class TokenIn(Wanted):
    """A machine's key."""

    name: Annotated[str, Field(min_length=1, max_length=100, examples=["prometheus"])]
    roles: _Roles
    days: Annotated[int, Field(ge=1, le=MAX_TOKEN_DAYS)] = 90
    unit_code: UnitCode | None = Field(default=None, description="only there and below")
    organisation_id: ObjectId | None = Field(default=None, description="only what lies with it")


class TokenOut(BaseModel):
    """A machine's key, without the key."""

    id: str
    name: str
    roles: list[str]
    unit_code: str | None
    organisation_id: str | None
    created_at: str | None
    expires_at: str | None
    revoked_at: str | None


class NewToken(BaseModel):
    """The key, shown this once."""

    token: str


def _checked(roles: list[str]) -> list[str]:
    try:
        return list(check_roles(roles))
    except ValueError as error:
        raise wrong_field("body.roles", str(error)) from None


@router.get(
    "/people", response_model=Page[PersonOut], summary="List people", tags=["people"],
    responses=documented(401, 403, 422), dependencies=[Depends(need("person.read"))],
)  # fmt: skip
async def list_people(
    request: Request, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[PersonOut]:
    """By login."""
    query = select(Person).order_by(Person.login).limit(limit + 1)
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(Person.login > key[0])
    async with rooms(request).database.read() as session:
        page, following = page_of(list(await session.scalars(query)), limit, lambda row: (row.login,))
        grants = await session.execute(
            select(RoleGrant.person_id, RoleGrant.role).where(
                RoleGrant.person_id.in_([row.id for row in page])
            )
        )
        roles: dict[str, set[str]] = {}
        for person_id, role in grants:
            roles.setdefault(person_id, set()).add(role)
    items = [
        PersonOut(
            id=row.id, login=row.login, active=row.active, roles=sorted(roles.get(row.id, ())),
            created_at=at(row.created_us),
        )
        for row in page
    ]  # fmt: skip
    return Page(items=items, next=following)


@router.post(
    "/people", status_code=201, response_model=Created, summary="Enter a person", tags=["people"],
    responses=documented(401, 403, 422),
)  # fmt: skip
async def post_person(
    body: PersonIn, request: Request, asker: Annotated[Asker, Depends(need("person.write"))]
) -> Created:
    """With a first password and roles."""
    roles = _checked(body.roles)
    made = await identity(request).new_person(
        body.login, body.password, roles, by=asker.actor, origin=asker.origin
    )
    return Created(id=made)


@router.get(
    "/tokens", response_model=Page[TokenOut], summary="List API tokens", tags=["people"],
    responses=documented(401, 403, 422), dependencies=[Depends(need("token.read"))],
)  # fmt: skip
async def list_tokens(
    request: Request, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[TokenOut]:
    """By id."""
    query = select(ApiToken).order_by(ApiToken.token_hash).limit(limit + 1)
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(func.substr(ApiToken.token_hash, 1, len(key[0])) > key[0])
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query))
    page, following = page_of(rows, limit, lambda row: (token_id(row.token_hash),))
    items = [
        TokenOut(
            id=token_id(row.token_hash), name=row.name, roles=row.roles,
            unit_code=row.unit_code, organisation_id=row.organisation_id,
            created_at=at(row.created_us), expires_at=at(row.expires_us), revoked_at=at(row.revoked_us),
        )
        for row in page
    ]  # fmt: skip
    return Page(items=items, next=following)


@router.post(
    "/tokens", status_code=201, response_model=NewToken, summary="Make an API token", tags=["people"],
    responses=documented(401, 403, 422),
)  # fmt: skip
async def post_token(
    body: TokenIn, request: Request, asker: Annotated[Asker, Depends(need("token.write"))]
) -> NewToken:
    """It is shown this once; only its hash is kept."""
    roles = _checked(body.roles)
    token = await identity(request).new_token(
        body.name, roles, body.days, unit_code=body.unit_code,
        organisation_id=body.organisation_id, by=asker.actor, origin=asker.origin,
    )  # fmt: skip
    return NewToken(token=token)


@router.delete(
    "/tokens/{short_id}", status_code=204, summary="Revoke an API token", tags=["people"],
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def delete_token(
    short_id: Annotated[str, Field(pattern="^[0-9a-f]{12}$")],
    request: Request,
    asker: Annotated[Asker, Depends(need("token.write"))],
) -> Response:
    """It stops working at once; its line stays in the list."""
    if not await identity(request).revoke_token(short_id, by=asker.actor, origin=asker.origin):
        raise NoSuch("token", short_id)
    return Response(status_code=204)
