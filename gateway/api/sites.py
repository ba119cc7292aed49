"""Sites: one edge agent each, and what it is told."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Latitude,
    Limit,
    Longitude,
    Page,
    SiteId,
    UnitCode,
    Wanted,
    at,
    decode_cursor,
    page_of,
    within,
)
from gateway.api.records import act_of, matched, one, tag
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.models import SiteState
from gateway.problems import documented
from registry import editing
from registry.cameras.watched import full_config
from registry.models import Site
from registry.rights import Place
from registry.sites import create_site, place_of_site, touch_site

router = api_router("/sites", tags=["sites"])
_Reader = Annotated[Asker, Depends(need("site.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("site.write", by_object=True))]


class SiteFields(Wanted):
    """What a clerk says of a site."""

    title: Annotated[str, Field(max_length=200)] = ""
    unit_code: UnitCode | None = None
    lat: Latitude | None = None
    lon: Longitude | None = None
    alarm_settings: dict[str, Any] = Field(default_factory=dict, description="for all its detectors")
    output_settings: dict[str, Any] = Field(
        default_factory=dict, description="sirens and other outputs"
    )


class SiteIn(SiteFields):
    """A new site."""

    id: SiteId


class SiteOut(BaseModel):
    """A site and its last word."""

    id: str
    title: str
    unit_code: str | None
    lat: float | None
    lon: float | None
    alarm_settings: dict[str, Any]
    output_settings: dict[str, Any]
    config_version: int
    created_at: str | None
    state: str | None = Field(default=None, description="online, offline, silent; none: never heard")
    heard_at: str | None = None


_EDITABLE = tuple(SiteFields.model_fields)


def _editable(site: Site) -> dict[str, Any]:
    return {name: getattr(site, name) for name in _EDITABLE}


def _out(site: Site, state: SiteState | None) -> SiteOut:
    return SiteOut(
        id=site.id,
        **_editable(site),
        config_version=site.config_version,
        created_at=at(site.created_us),
        state=state.state if state else None,
        heard_at=at(state.heard_us) if state else None,
    )


@router.get("", response_model=Page[SiteOut], summary="List sites", responses=documented(401, 403, 422))
async def list_sites(
    request: Request,
    asker: _Reader,
    unit: UnitCode | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SiteOut]:
    """By id; with `unit` only those in that district or khoroo."""
    query = select(Site, SiteState).outerjoin(SiteState, SiteState.site_id == Site.id)
    query = query.where(*within(asker.reach, Site.unit_code))
    if unit is not None:
        query = query.where(Site.unit_code.startswith(unit, autoescape=True))
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(Site.id > key[0])
    async with rooms(request).database.read() as session:
        rows = list(await session.execute(query.order_by(Site.id).limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (row[0].id,))
    return Page(items=[_out(site, state) for site, state in page], next=following)


@router.get(
    "/{site_id}", response_model=SiteOut, summary="One site", responses=documented(401, 403, 404, 422)
)
async def get_site(site_id: SiteId, request: Request, response: Response, asker: _Reader) -> SiteOut:
    """With its ETag, for a later change."""
    async with rooms(request).database.read() as session:
        allow(asker, "site.read", await place_of_site(session, site_id))
        site = await one(session, Site, site_id)
        state = await session.get(SiteState, site_id)
    tag(response, site)
    return _out(site, state)


@router.post(
    "", status_code=201, response_model=SiteOut, summary="Register a site",
    responses=documented(401, 403, 409, 422),
)  # fmt: skip
async def post_site(body: SiteIn, request: Request, response: Response, asker: _Writer) -> SiteOut:
    """The id is its name in topics, and stays."""
    allow(asker, "site.write", Place(unit_code=body.unit_code))
    now_us = rooms(request).clock.now_us()
    async with rooms(request).database.write() as session:
        new = Site(**body.model_dump(), config_version=1, created_us=now_us)
        site = await create_site(session, new)
        await editing.create(session, act_of(request, asker), site)
    tag(response, site)
    return _out(site, None)


@router.patch(
    "/{site_id}", response_model=SiteOut, summary="Change a site",
    responses=documented(401, 403, 404, 412, 422, 428),
)  # fmt: skip
async def patch_site(
    site_id: SiteId,
    body: SiteFields,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> SiteOut:
    """Only the fields sent change; the site is told."""
    wanted = body.model_dump(exclude_unset=True)
    async with rooms(request).database.write() as session:
        site = await one(session, Site, site_id, lock=True)
        allow(asker, "site.write", Place(unit_code=site.unit_code))
        allow(asker, "site.write", Place(unit_code=wanted.get("unit_code", site.unit_code)))
        await matched(session, site, if_match, wanted)
        if await editing.change(session, act_of(request, asker), site, wanted):
            await touch_site(session, site_id)
        state = await session.get(SiteState, site_id)
    rooms(request).wake_configs()
    tag(response, site)
    return _out(site, state)


@router.get(
    "/{site_id}/config", summary="What the site is told", responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_config(site_id: SiteId, request: Request, asker: _Reader) -> dict[str, Any]:
    """The settings message as it goes to the site's `config` topic, without its cameras' passwords."""
    async with rooms(request).database.read() as session:
        allow(asker, "site.read", await place_of_site(session, site_id))
        config = await full_config(session, None, site_id)
    return dict(msgspec.to_builtins(config))
