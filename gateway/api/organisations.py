"""Organisations: who answers for cameras, servers, links and people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Latitude,
    Limit,
    Longitude,
    ObjectId,
    Page,
    UnitCode,
    Wanted,
    at,
    within_place,
)
from gateway.api.records import ReasonIn, act_of, add_endings, matched, one, page, tag
from gateway.api.router import api_router
from gateway.api.search import chosen_by
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry import editing
from registry import organisations as service
from registry.models import Organisation
from registry.organisations import OrganisationKind
from registry.rights import Place

router = api_router("/organisations", tags=["organisations"])
_Reader = Annotated[Asker, Depends(need("organisation.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("organisation.write", by_object=True))]
_Opener = Annotated[Asker, Depends(need("organisation.open", by_object=True))]


class OrganisationFields(Wanted):
    """What people say of an organisation."""

    name: Annotated[str, Field(min_length=1, max_length=300)]
    short_name: Annotated[str, Field(max_length=50)] = ""
    kind: OrganisationKind = "other"
    register_number: Annotated[str, Field(max_length=20)] | None = Field(
        default=None, description="of a legal entity, seven digits", examples=["1234567"]
    )
    parent_id: ObjectId | None = None
    unit_code: UnitCode | None = None
    lat: Latitude | None = None
    lon: Longitude | None = None
    note: Annotated[str, Field(max_length=1000)] = ""
    contact: Annotated[str | None, Field(max_length=500, repr=False)] = Field(
        default=None, description="who answers there; sealed, read by `open`"
    )


class OrganisationPatch(OrganisationFields):
    """Only the fields sent change."""

    name: Annotated[str, Field(min_length=1, max_length=300)] = "-"


class OrganisationOut(BaseModel):
    """An organisation as everybody in the office sees it."""

    id: str
    name: str
    short_name: str
    kind: str
    register_number: str | None
    parent_id: str | None
    unit_code: str | None
    lat: float | None
    lon: float | None
    note: str
    has_contact: bool
    version: int
    gone_at: str | None
    merged_into_id: str | None
    created_at: str | None


class ContactOut(BaseModel):
    """What is sealed of an organisation."""

    contact: str | None


class MergeIn(ReasonIn):
    """The record that goes into this one."""

    other_id: ObjectId


def _out(organisation: Organisation) -> OrganisationOut:
    shown = {name: getattr(organisation, name) for name in service.FIELDS if name != "contact"}
    return OrganisationOut(
        id=organisation.id,
        **shown,
        has_contact=organisation.contact is not None,
        version=organisation.version,
        gone_at=at(organisation.gone_us),
        merged_into_id=organisation.merged_into_id,
        created_at=at(organisation.created_us),
    )


async def _mine(
    session: AsyncSession, asker: Asker, organisation_id: str, action: Any, *, lock: bool = False
) -> Organisation:
    organisation = await one(session, Organisation, organisation_id, lock=lock)
    allow(asker, action, service.place_of(organisation))
    return organisation


@router.get(
    "", response_model=Page[OrganisationOut], summary="List organisations",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_organisations(
    request: Request,
    asker: _Reader,
    unit: UnitCode | None = None,
    kind: OrganisationKind | None = None,
    parent: ObjectId | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[OrganisationOut]:
    """In alphabetical order; the filters combine."""
    query = select(Organisation).where(
        Organisation.gone_us.is_(None),
        *within_place(asker.reach, Organisation.unit_code, Organisation.id),
    )
    async with rooms(request).database.read() as session:
        chosen = await chosen_by(
            session, "organisations", {"unit": unit, "kind": kind, "parent": parent}
        )
        key = [Organisation.sort_key, Organisation.id]
        listed = await page(session, query.where(*chosen), key, limit=limit, cursor=cursor)
    return Page(items=[_out(row) for row in listed.rows], next=listed.next)


@router.get(
    "/{organisation_id}", response_model=OrganisationOut, summary="One organisation",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_organisation(
    organisation_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> OrganisationOut:
    """With its ETag."""
    async with rooms(request).database.read() as session:
        organisation = await _mine(session, asker, organisation_id, "organisation.read")
    tag(response, organisation)
    return _out(organisation)


@router.post(
    "", status_code=201, response_model=OrganisationOut, summary="Enter an organisation",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_organisation(
    body: OrganisationFields, request: Request, response: Response, asker: _Writer
) -> OrganisationOut:
    """What another one has already (name, register number) is refused, and which."""
    city = rooms(request)
    allow(asker, "organisation.write", Place(unit_code=body.unit_code))
    async with city.database.write() as session:
        organisation = await service.create_organisation(
            session, act_of(request, asker), city.keyring, body.model_dump()
        )
    tag(response, organisation)
    return _out(organisation)


@router.patch(
    "/{organisation_id}", response_model=OrganisationOut, summary="Change an organisation",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def patch_organisation(
    organisation_id: ObjectId,
    body: OrganisationPatch,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> OrganisationOut:
    """Only the fields sent change."""
    city = rooms(request)
    fields = body.model_dump(exclude_unset=True)
    async with city.database.write() as session:
        organisation = await _mine(
            session, asker, organisation_id, "organisation.write", lock=True
        )  # fmt: skip
        shown = {name: value for name, value in fields.items() if name != "contact"}
        await matched(session, organisation, if_match, shown)
        act = act_of(request, asker)
        await service.change_organisation(session, act, city.keyring, organisation, fields)
        allow(asker, "organisation.write", service.place_of(organisation))
    tag(response, organisation)
    return _out(organisation)


@router.post(
    "/{organisation_id}/open", response_model=ContactOut, summary="Read who answers there",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def open_organisation(organisation_id: ObjectId, request: Request, asker: _Opener) -> ContactOut:
    """Who read it is recorded first."""
    city = rooms(request)
    async with city.database.write() as session:
        organisation = await _mine(session, asker, organisation_id, "organisation.open")
        contact = service.open_contact(city.keyring, organisation)
        fields = {"fields": ["contact"]}
        await editing.note(session, act_of(request, asker), organisation, "open", fields)
    return ContactOut(contact=contact)


@router.post(
    "/{organisation_id}/merge", response_model=OrganisationOut, summary="Merge another record into it",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def merge_organisation(
    organisation_id: ObjectId,
    body: MergeIn,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> OrganisationOut:
    """What hangs on the other hangs on this one afterwards. Both keep their history."""
    async with rooms(request).database.write() as session:
        kept = await _mine(session, asker, organisation_id, "organisation.write", lock=True)
        gone = await _mine(session, asker, body.other_id, "organisation.write", lock=True)
        await matched(session, kept, if_match, body.model_dump())
        await service.merge_organisations(session, act_of(request, asker, body.reason), kept, gone)
    tag(response, kept)
    return _out(kept)


async def _place(_session: AsyncSession, organisation: Organisation) -> Place:
    return service.place_of(organisation)


add_endings(router, Organisation, "organisation.write", _place, service.check_ending)
