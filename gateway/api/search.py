"""Search through the register in any spelling, and people's saved lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import ObjectId, Wanted, at
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import documented, wrong_field
from registry.search.find import (
    KINDS,
    box_of,
    in_box,
    in_polygon,
    matching,
    polygon_of,
    search,
)
from registry.search.lists import BadFilter, filtered
from registry.search.models import SavedView
from registry.search.views import forget, keep, view, views_of

router = api_router("/search", tags=["search"])
views = api_router("/views", tags=["search"])
_Searcher = Annotated[Asker, Depends(need("search.read", by_object=True))]
_Keeper = Annotated[Asker, Depends(need("view.write", by_object=True))]
_KIND = "|".join(KINDS)
#: Filters that lists share.
Words = Annotated[
    str,
    Query(
        max_length=200, pattern=r"^[^\x00]*$", description="words in any spelling", examples=["оргоо"]
    ),
]  # fmt: skip
Box = Annotated[
    str,
    Query(
        max_length=120, description="west,south,east,north in degrees",
        examples=["106.8,47.85,107,48"],
    ),
]  # fmt: skip
Corners = Annotated[
    str,
    Query(
        max_length=20_000, description="corners in degrees: lon lat,lon lat,…",
        examples=["106.8 47.85,107 47.85,107 48"],
    ),
]  # fmt: skip


async def narrowed(
    session: AsyncSession, table: Any, *, q: str | None, bbox: str | None, polygon: str | None
) -> list[ColumnElement[bool]]:
    """The conditions of the shared filters. Raises ``ProblemError``."""
    conditions: list[ColumnElement[bool]] = []
    if q is not None and q.strip():
        conditions += await matching(session, table, q)
    try:
        where = "query.bbox"
        if bbox is not None:
            conditions += in_box(table, box_of(bbox))
        where = "query.polygon"
        if polygon is not None:
            conditions += await in_polygon(session, table, polygon_of(polygon))
    except ValueError as error:
        raise wrong_field(where, str(error)) from None
    return conditions


async def chosen_by(
    session: AsyncSession, listed: str, given: Mapping[str, str | None]
) -> list[ColumnElement[bool]]:
    """The conditions of a list's filters that were sent. Raises ``ProblemError``."""
    sent = {name: value for name, value in given.items() if value is not None}
    try:
        return await filtered(session, listed, sent)
    except BadFilter as error:
        raise wrong_field(f"query.{error.name}", error.detail) from None


class HitOut(BaseModel):
    """A record that was found."""

    kind: str
    id: str
    title: str
    detail: str


class FoundOut(BaseModel):
    """What was found, by kind, each in the alphabet's order."""

    items: list[HitOut]


class ViewIn(Wanted):
    """A list to keep: which one, and its query parameters."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,39}$", examples=["cameras"])]
    filters: Annotated[
        dict[str, Annotated[str, Field(max_length=2000)]],
        Field(max_length=30, examples=[{"state": "faulty", "unit": "1116"}]),
    ]
    shared: bool = False


class ViewOut(BaseModel):
    """A saved list. Its address is `/api/v1/views/{id}`; whoever opens it sees what they may."""

    id: str
    name: str
    kind: str
    filters: dict[str, Any]
    shared: bool
    own: bool
    created_at: str | None


def _out(row: SavedView, asker: Asker) -> ViewOut:
    return ViewOut(
        id=row.id, name=row.name, kind=row.kind, filters=row.filters, shared=row.shared,
        own=row.owner == asker.actor.id, created_at=at(row.created_us),
    )  # fmt: skip


@router.get("", response_model=FoundOut, summary="Search", responses=documented(401, 403, 422))
async def get_search(
    request: Request,
    asker: _Searcher,
    q: Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$", examples=["оргоо"])],
    kind: Annotated[
        list[Annotated[str, Query(pattern=f"^({_KIND})$")]] | None, Query(max_length=10)
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="of each kind")] = 20,
) -> FoundOut:
    """Every word must be there, at the beginning of one: case, Ө/Ү, Latin look-alikes do not matter."""
    try:
        async with rooms(request).database.read() as session:
            hits = await search(session, asker.actor, q, kinds=kind or (), limit=limit)
    except ValueError as error:
        raise wrong_field("query.kind", str(error)) from None
    return FoundOut(items=[HitOut(**vars(hit)) for hit in hits])


@views.get("", response_model=list[ViewOut], summary="My saved lists", responses=documented(401, 403))
async def list_views(request: Request, asker: _Keeper) -> list[ViewOut]:
    async with rooms(request).database.read() as session:
        return [_out(row, asker) for row in await views_of(session, asker.actor)]


@views.post(
    "", status_code=201, response_model=ViewOut, summary="Keep a list",
    responses=documented(401, 403, 409, 422),
)  # fmt: skip
async def post_view(body: ViewIn, request: Request, asker: _Keeper) -> ViewOut:
    """Again under the same name replaces it."""
    city = rooms(request)
    async with city.database.write() as session:
        row = await keep(
            session, asker.actor, body.name, body.kind, body.filters, shared=body.shared,
            now_us=city.clock.now_us(),
        )  # fmt: skip
    return _out(row, asker)


@views.get(
    "/{view_id}", response_model=ViewOut, summary="A saved list",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_view(view_id: ObjectId, request: Request, asker: _Keeper) -> ViewOut:
    """One's own, or a shared one."""
    async with rooms(request).database.read() as session:
        return _out(await view(session, asker.actor, view_id), asker)


@views.delete(
    "/{view_id}", status_code=204, summary="Forget a saved list",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def delete_view(view_id: ObjectId, request: Request, asker: _Keeper) -> Response:
    async with rooms(request).database.write() as session:
        await forget(session, asker.actor, view_id)
    return Response(status_code=204)
