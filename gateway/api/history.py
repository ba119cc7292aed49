"""The past: what was changed of a record, how it was on a day, and the audit as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Request
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    ObjectId,
    Page,
    Text,
    at,
    decode_cursor,
    page_of,
)
from gateway.api.records import At, one, time_of
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry import history, organisations
from registry.cameras import service as cameras
from registry.cameras.models import Camera, CameraModel
from registry.models import AuditEntry, Detector, DetectorModel, Household, Organisation, Site
from registry.rights import EVERYWHERE, Action, Place, may
from registry.sites import NoSuch, place_of_detector, place_of_site

router = api_router(tags=["history"])
_Reader = Annotated[Asker, Depends(need("me.read", by_object=True))]
_Auditor = Annotated[Asker, Depends(need("audit.read"))]
KindName = Literal[
    "camera", "camera_model", "organisation", "household", "site", "detector", "model"
]  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    table: type[Any]
    action: Action
    place: Callable[[AsyncSession, Any], Awaitable[Place]]


async def _everywhere(_session: AsyncSession, _record: Any) -> Place:
    return EVERYWHERE


async def _of_camera(_session: AsyncSession, record: Any) -> Place:
    return cameras.place_of(record)


async def _of_organisation(_session: AsyncSession, record: Any) -> Place:
    return organisations.place_of(record)


async def _of_household(session: AsyncSession, record: Any) -> Place:
    if record.unit_code is None:
        return await place_of_site(session, record.site_id)
    return Place(unit_code=record.unit_code)


async def _of_site(session: AsyncSession, record: Any) -> Place:
    return await place_of_site(session, record.id)


async def _of_detector(session: AsyncSession, record: Any) -> Place:
    return await place_of_detector(session, record.id)


_KINDS: Final[dict[str, _Kind]] = {
    "camera": _Kind(Camera, "camera.read", _of_camera),
    "camera_model": _Kind(CameraModel, "model.read", _everywhere),
    "organisation": _Kind(Organisation, "organisation.read", _of_organisation),
    "household": _Kind(Household, "household.read", _of_household),
    "site": _Kind(Site, "site.read", _of_site),
    "detector": _Kind(Detector, "detector.read", _of_detector),
    "model": _Kind(DetectorModel, "model.read", _everywhere),
}


class EntryOut(BaseModel):
    """An entry of the audit. Sealed values are masked; who and from where is for those who audit."""

    id: int
    at: str | None
    actor: str | None
    origin: str | None
    action: str
    object_kind: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    batch_id: str | None
    hash: str


class AsOfOut(BaseModel):
    """What people edit of a record as it was then; sealed values masked."""

    kind: str
    id: str
    at: str | None = Field(description="the moment that was asked for")
    values: dict[str, Any]


def _out(entry: AuditEntry, *, who: bool) -> EntryOut:
    return EntryOut(
        id=entry.id,
        at=at(entry.at_us),
        actor=entry.actor if who else None,
        origin=entry.origin if who else None,
        action=entry.action,
        object_kind=entry.object_kind,
        object_id=entry.object_id,
        before=entry.before,
        after=entry.after,
        reason=entry.reason,
        batch_id=entry.batch_id,
        hash=entry.hash,
    )


async def _record(session: AsyncSession, asker: Asker, kind: str, object_id: str) -> Any:
    known = _KINDS[kind]
    record = await one(session, known.table, object_id)
    allow(asker, known.action, await known.place(session, record))
    return record


@router.get(
    "/history/{kind}/{object_id}", response_model=Page[EntryOut], summary="A record's history",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_history(
    kind: KindName,
    object_id: ObjectId,
    request: Request,
    asker: _Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[EntryOut]:
    """Newest first, for whoever may read the record."""
    key = decode_cursor(cursor, int)
    async with rooms(request).database.read() as session:
        await _record(session, asker, kind, object_id)
        rows = await history.entries_of(
            session, kind, object_id, before_id=key[0] if key else None, limit=limit + 1
        )
    kept, following = page_of(rows, limit, lambda row: (row.id,))
    who = may(asker.actor, "audit.read")
    return Page(items=[_out(row, who=who) for row in kept], next=following)


@router.get(
    "/history/{kind}/{object_id}/as-of", response_model=AsOfOut, summary="A record as it was",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_as_of(
    kind: KindName, object_id: ObjectId, request: Request, asker: _Reader, at: At = None
) -> AsOfOut:
    """On a day (its end) or at a time; without `at` as it is now."""
    city = rooms(request)
    time_us = city.clock.now_us() if at is None else time_of(at)
    async with city.database.read() as session:
        record = await _record(session, asker, kind, object_id)
        values = await history.as_of(session, record, time_us)
    if values is None:
        raise NoSuch(f"{kind} at that time", object_id)
    return AsOfOut(kind=kind, id=object_id, at=_rfc3339(time_us), values=values)


_rfc3339 = at


@router.get(
    "/audit", response_model=Page[EntryOut], summary="The audit", responses=documented(401, 403, 422)
)
async def list_audit(
    request: Request,
    _asker: _Auditor,
    actor: Text | None = None,
    action: Text | None = None,
    kind: Text | None = None,
    object_id: Text | None = None,
    batch: Text | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[EntryOut]:
    """Newest first; the filters combine."""
    exact = (
        (AuditEntry.actor, actor), (AuditEntry.action, action), (AuditEntry.object_kind, kind),
        (AuditEntry.object_id, object_id), (AuditEntry.batch_id, batch),
    )  # fmt: skip
    query = select(AuditEntry).where(*(column == value for column, value in exact if value is not None))
    if (key := decode_cursor(cursor, int)) is not None:
        query = query.where(AuditEntry.id < key[0])
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit + 1)))
    kept, following = page_of(rows, limit, lambda row: (row.id,))
    return Page(items=[_out(row, who=True) for row in kept], next=following)
