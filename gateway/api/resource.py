"""The five routes of a plain record: list, read, enter, change, remove.

``add`` makes them for one table from its models and rules. A record whose life has steps has a module
of its own; these are for what is simply kept: racks, servers, licences, software, costs.
"""
# Annotations are evaluated here: FastAPI reads the models of each resource from them.

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from gateway.api.common import DEFAULT_LIMIT, Cursor, IfMatch, Limit, ObjectId, Page, UnitCode, within
from gateway.api.records import ReasonIn, act_of, matched, one, page, tag
from gateway.door import Asker, Rooms, allow, need, rooms
from gateway.problems import documented
from registry import editing
from registry.rights import Action, Place

Fields = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """One kind of plain record.

    ``check(session, row or None, fields)`` raises ``NoSuch`` or ``Conflict`` for what contradicts the
    register; ``place(session, row)`` says where a record lies; ``show(row)`` makes what is answered;
    ``seal(city, fields)`` turns readable secrets into sealed ones. ``filters``: query names to columns.
    """

    path: str
    noun: str
    table: Any
    body: type[BaseModel]
    patch: type[BaseModel]
    out: type[BaseModel]
    read: Action
    write: Action
    order: Sequence[InstrumentedAttribute[Any]]
    check: Callable[[AsyncSession, Any, Fields], Awaitable[None]]
    place: Callable[[AsyncSession, Any], Awaitable[Place]]
    show: Callable[[Any], BaseModel]
    inside: Sequence[InstrumentedAttribute[Any]] = ()
    seal: Callable[[Rooms, Fields], Fields] = lambda _city, fields: fields


def add(router: APIRouter, it: Resource) -> None:
    """Add its routes."""
    _add_list(router, it)
    _add_read(router, it)
    _add_enter(router, it)
    _add_change(router, it)
    _add_remove(router, it)


def _add_list(router: APIRouter, it: Resource) -> None:
    reader = Annotated[Asker, Depends(need(it.read, by_object=True))]
    listed_type: Any = Page[it.out]  # type: ignore[name-defined]
    has_unit = hasattr(it.table, "unit_code")

    @router.get(
        it.path, response_model=listed_type, summary=f"List {it.noun}s",
        responses=documented(401, 403, 422), name=f"list_{it.noun}s",
    )  # fmt: skip
    async def list_records(
        request: Request,
        asker: reader,
        organisation: ObjectId | None = None,
        unit: UnitCode | None = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Any:
        """In the order of their names; `organisation`, `unit`: whose, and where."""
        conditions: list[ColumnElement[bool]] = [it.table.gone_us.is_(None)]
        conditions += within(asker.reach, *it.inside)
        if organisation is not None and hasattr(it.table, "organisation_id"):
            conditions.append(it.table.organisation_id == organisation)
        if unit is not None and has_unit:
            conditions.append(it.table.unit_code.startswith(unit, autoescape=True))
        query = select(it.table).where(*conditions)
        async with rooms(request).database.read() as session:
            listed = await page(session, query, it.order, limit=limit, cursor=cursor)
        return {"items": [it.show(row) for row in listed.rows], "next": listed.next}


def _add_read(router: APIRouter, it: Resource) -> None:
    reader = Annotated[Asker, Depends(need(it.read, by_object=True))]

    @router.get(
        it.path + "/{record_id}", response_model=it.out, summary=f"One {it.noun}",
        responses=documented(401, 403, 404, 422), name=f"get_{it.noun}",
    )  # fmt: skip
    async def get_record(
        record_id: ObjectId,
        request: Request,
        response: Response,
        asker: reader,
    ) -> Any:
        """With its ETag; one that was removed says when."""
        async with rooms(request).database.read() as session:
            row = await one(session, it.table, record_id)
            allow(asker, it.read, await it.place(session, row))
        tag(response, row)
        return it.show(row)


def _add_enter(router: APIRouter, it: Resource) -> None:
    writer = Annotated[Asker, Depends(need(it.write, by_object=True))]
    body_type = it.body

    @router.post(
        it.path, status_code=201, response_model=it.out, summary=f"Enter a {it.noun}",
        responses=documented(401, 403, 404, 409, 422), name=f"post_{it.noun}",
    )  # fmt: skip
    async def post_record(
        body: body_type,  # type: ignore[valid-type]
        request: Request,
        response: Response,
        asker: writer,
    ) -> Any:
        """A new one."""
        city, act = rooms(request), act_of(request, asker)
        fields = it.seal(city, body.model_dump())  # type: ignore[attr-defined]
        async with city.database.write() as session:
            row = it.table(**fields, created_us=act.now_us)
            await it.check(session, None, fields)
            allow(asker, it.write, await it.place(session, row))
            await editing.create(session, act, row)
        tag(response, row)
        return it.show(row)


def _add_change(router: APIRouter, it: Resource) -> None:
    writer = Annotated[Asker, Depends(need(it.write, by_object=True))]
    patch_type = it.patch

    @router.patch(
        it.path + "/{record_id}", response_model=it.out, summary=f"Change a {it.noun}",
        responses=documented(401, 403, 404, 409, 412, 422, 428), name=f"patch_{it.noun}",
    )  # fmt: skip
    async def patch_record(
        record_id: ObjectId,
        body: patch_type,  # type: ignore[valid-type]
        request: Request,
        response: Response,
        asker: writer,
        if_match: IfMatch = None,
    ) -> Any:
        """Only the fields sent change."""
        city = rooms(request)
        fields = it.seal(city, body.model_dump(exclude_unset=True))  # type: ignore[attr-defined]
        async with city.database.write() as session:
            row = await one(session, it.table, record_id, lock=True)
            allow(asker, it.write, await it.place(session, row))
            await matched(session, row, if_match, fields)
            await it.check(session, row, fields)
            await editing.change(session, act_of(request, asker), row, fields)
            allow(asker, it.write, await it.place(session, row))
        tag(response, row)
        return it.show(row)


def _add_remove(router: APIRouter, it: Resource) -> None:
    writer = Annotated[Asker, Depends(need(it.write, by_object=True))]

    @router.post(
        it.path + "/{record_id}/remove", response_model=it.out, summary=f"Remove a {it.noun}",
        responses=documented(401, 403, 404, 409, 412, 422, 428), name=f"remove_{it.noun}",
    )  # fmt: skip
    async def remove_record(
        record_id: ObjectId,
        body: ReasonIn,
        request: Request,
        response: Response,
        asker: writer,
        if_match: IfMatch = None,
    ) -> Any:
        """Out of every list, with a reason; it stays readable, with its history."""
        async with rooms(request).database.write() as session:
            row = await one(session, it.table, record_id, lock=True)
            allow(asker, it.write, await it.place(session, row))
            await matched(session, row, if_match, {})
            await editing.remove(session, act_of(request, asker, body.reason), row)
        tag(response, row)
        return it.show(row)
