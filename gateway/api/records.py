"""What routes of editable records share: pages by a key, versions as ETags, both versions in a 412.

A ``Versioned`` record's ETag is its version in quotes. ``matched`` compares what an editor sends back;
where somebody was faster the problem shows the version they read, the one that is, and what they
sent. ``add_endings`` gives a kind of record its ways out of the lists and back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from edge.wire.clock import US_PER_S
from gateway.api.common import IfMatch, ObjectId, Wanted, at, decode_cursor, encode_cursor
from gateway.door import Asker, allow, need, rooms
from gateway.problems import ProblemError, documented, wrong_field
from registry import editing, history
from registry.acts import Act
from registry.editing import ChangedMeanwhile, kind_of
from registry.numbering import LOCAL_OFFSET_US
from registry.records import Versioned
from registry.rights import Action, Place
from registry.sites import NoSuch

Row = TypeVar("Row", bound=Versioned)
At = Annotated[
    str | None,
    Query(
        max_length=40,
        pattern=r"^[0-9T:.+Z-]*$",
        description="as it was then: a day (its end) or an RFC 3339 time",
        examples=["2026-11-21"],
    ),
]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="why; it goes to the audit")]
#: More digits than any version has.
_LONG: Final = 10
_DAY_US: Final = 24 * 3600 * US_PER_S


class ReasonIn(Wanted):
    """Why something is taken away or brought back."""

    reason: Reason


@dataclass(frozen=True)
class Listed:
    """A page of rows and the cursor behind it."""

    rows: list[Any]
    next: str | None


async def page(
    session: AsyncSession,
    query: Select[Any],
    key: Sequence[InstrumentedAttribute[Any]],
    *,
    limit: int,
    cursor: str | None,
) -> Listed:
    """The page of a query in the order of ``key``: text columns that together name a row."""
    if (start := decode_cursor(cursor, *(str for _ in key))) is not None:
        query = query.where(_after(key, start))
    rows = list(await session.scalars(query.order_by(*key).limit(limit + 1)))
    if len(rows) <= limit:
        return Listed(rows, None)
    rows = rows[:limit]
    return Listed(rows, encode_cursor(*(getattr(rows[-1], column.key) for column in key)))


def _after(key: Sequence[InstrumentedAttribute[Any]], start: Sequence[Any]) -> Any:
    """(a, b) > (x, y) in a form every database answers from an index."""
    column, *others = key
    if not others:
        return column > start[0]
    return (column >= start[0]) & ((column > start[0]) | _after(others, start[1:]))


async def one(session: AsyncSession, table: type[Row], object_id: str, *, lock: bool = False) -> Row:
    """The record. Raises ``NoSuch``."""
    record = await session.get(table, object_id, with_for_update=lock or None)
    if record is None:
        raise NoSuch(kind_of(table).replace("_", " "), object_id)
    return record


def act_of(request: Request, asker: Asker, reason: str | None = None) -> Act:
    """Who does it, from where, when and why."""
    return Act(asker.actor, rooms(request).clock.now_us(), asker.origin, reason)


def tag(response: Response, record: Versioned) -> None:
    """Send the record's ETag."""
    response.headers["ETag"] = f'"{record.version}"'


async def matched(
    session: AsyncSession,
    record: Any,
    if_match: str | None,
    wanted: Mapping[str, Any] | None = None,
) -> None:
    """Raises ``ProblemError`` 428 without If-Match, ``ChangedMeanwhile`` if it is not the newest."""
    if if_match is None:
        raise ProblemError(428, "precondition-required", "Send If-Match with the ETag of what you read")
    tags = [part.strip() for part in if_match.split(",")]
    if "*" in tags or f'"{record.version}"' in tags:
        return
    expected = _version_of(tags[0])
    seen = await history.at_version(session, record, expected)
    raise ChangedMeanwhile(record, expected, wanted, seen)


def _version_of(etag: str) -> int:
    """What is no version of ours matches none."""
    text = etag.removeprefix("W/").strip('"')
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _LONG else 0


def time_of(text: str) -> int:
    """µs UTC of ``?at=``; a day means its end in the office's time. Raises ``ProblemError``."""
    try:
        if len(text) <= 10:
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return int(day.timestamp()) * US_PER_S - LOCAL_OFFSET_US + _DAY_US - 1
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return int(moment.timestamp() * US_PER_S)
    except (ValueError, OverflowError):
        raise wrong_field(
            "query.at", "expected a day as 2026-11-21 or a time as 2026-11-21T08:00:00Z"
        ) from None


class Ended(BaseModel):
    """A record that was taken out of the lists, or brought back."""

    id: str
    version: int
    gone_at: str | None = Field(description="removed then; none: it is in the lists")


def add_endings(
    router: APIRouter,
    table: type[Any],
    action: Action,
    place: Callable[[AsyncSession, Any], Awaitable[Place]],
    check: Callable[[AsyncSession, Any, str], Awaitable[None]],
) -> None:
    """Routes ``/{id}/remove`` and ``/{id}/restore`` of a kind of ``Removable`` record.

    ``check`` raises where the rules of its kind refuse ``remove`` or ``restore``.
    """
    asked = Depends(need(action, by_object=True))
    responses = documented(401, 403, 404, 409, 412, 422, 428)

    async def end(
        way: str, object_id: str, body: ReasonIn, request: Request, asker: Asker, tag: str | None
    ) -> Ended:
        async with rooms(request).database.write() as session:
            record = await one(session, table, object_id, lock=True)
            allow(asker, action, await place(session, record))
            await matched(session, record, tag, {})
            await check(session, record, way)
            act = act_of(request, asker, body.reason)
            await (editing.remove if way == "remove" else editing.restore)(session, act, record)
        return Ended(id=str(record.id), version=record.version, gone_at=at(record.gone_us))

    @router.post(
        "/{object_id}/remove", response_model=Ended, responses=responses,
        summary="Remove what was entered by mistake",
        operation_id=f"remove_{table.__tablename__}",
    )  # fmt: skip
    async def remove(
        object_id: ObjectId,
        body: ReasonIn,
        request: Request,
        asker: Asker = asked,
        if_match: IfMatch = None,
    ) -> Ended:
        """Out of every list; it stays readable with its history."""
        return await end("remove", object_id, body, request, asker, if_match)

    @router.post(
        "/{object_id}/restore", response_model=Ended, responses=responses,
        summary="Bring back what was removed",
        operation_id=f"restore_{table.__tablename__}",
    )  # fmt: skip
    async def restore(
        object_id: ObjectId,
        body: ReasonIn,
        request: Request,
        asker: Asker = asked,
        if_match: IfMatch = None,
    ) -> Ended:
        """Unless something else has its place by now."""
        return await end("restore", object_id, body, request, asker, if_match)
