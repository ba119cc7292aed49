"""Complaints, suggestions and requests: said by anybody, answered by the office.

Three routes are open to everybody: say something, read the answer by the code, say how content one is.
The code travels in the body, so no log of addresses has it.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import func, select

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Limit,
    ObjectId,
    Page,
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
from gateway.problems import documented
from registry.acts import Act, day_of
from registry.codes import grouped
from registry.requests import opendoor, service
from registry.requests.models import CityRequest
from registry.requests.workflow import Channel, Kind, State, Subject, answer_days
from registry.rights import Place, may

router = api_router("/requests", tags=["requests"])
_Anybody = Annotated[Asker, Depends(need("request.send"))]
_Reader = Annotated[Asker, Depends(need("request.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("request.write", by_object=True))]
_Opener = Annotated[Asker, Depends(need("request.open", by_object=True))]
_Code = Annotated[
    str, Field(min_length=1, max_length=60, repr=False, description="as it was given", examples=["…"])
]


class RequestIn(Wanted):
    """What somebody says. A name and a way to reach them are theirs to give or not."""

    kind: Kind
    subject: Subject = "other"
    text: Annotated[str, Field(min_length=1, max_length=4000, repr=False)]
    name: Annotated[str | None, Field(max_length=200, repr=False)] = None
    contact: Annotated[str | None, Field(max_length=200, repr=False)] = None
    unit_code: UnitCode | None = None
    channel: Channel = Field(default="page", description="others than `page` are for the office")


class Taken(BaseModel):
    """It was received."""

    number: str
    code: str = Field(description="shown this once: with it the answer is read")
    due_on: date


class CodeIn(Wanted):
    """The code that was given."""

    code: _Code


class RatingIn(CodeIn):
    """How content the asker is."""

    satisfaction: Annotated[int, Field(ge=1, le=5)]


class AnswerOut(BaseModel):
    """What the holder of the code may know."""

    number: str
    kind: Kind
    state: State
    received_at: str | None
    due_on: date
    handed_to: str | None
    answer: str | None
    answered_at: str | None
    satisfaction: int | None


class RequestOut(BaseModel):
    """A request as everybody in the office sees it: nothing that was said."""

    id: str
    number: str
    kind: Kind
    subject: Subject
    channel: Channel
    unit_code: str | None
    state: State
    received_at: str | None
    due_on: date
    overdue: bool
    organisation_id: str | None
    answered_at: str | None
    answered_late: bool
    satisfaction: int | None
    version: int


class HandIn(Wanted):
    """Which body answers for it."""

    organisation_id: ObjectId


class TextIn(Wanted):
    """The answer."""

    text: Annotated[str, Field(min_length=1, max_length=8000, repr=False)]


class OpenedOut(BaseModel):
    """What was said, by whom, and the answer."""

    text: str
    name: str | None
    contact: str | None
    answer: str | None


class Summary(BaseModel):
    """How the office does: counts by state, and the asker's satisfaction."""

    by_state: dict[str, int]
    overdue: int
    answered_late: int
    rated: int
    satisfaction_mean: float | None


_NAMES = (
    "id", "number", "kind", "subject", "channel", "unit_code", "state", "due_on", "organisation_id",
    "satisfaction", "version",
)  # fmt: skip


def _late(answered_us: int | None, due_on: date) -> bool:
    return answered_us is not None and day_of(answered_us) > due_on


def _out(row: CityRequest, act: Act) -> RequestOut:
    return RequestOut(
        **{name: getattr(row, name) for name in _NAMES},
        overdue=row.state in ("received", "handed") and row.due_on < act.today,
        received_at=at(row.received_us),
        answered_at=at(row.answered_us),
        answered_late=_late(row.answered_us, row.due_on),
    )


def _place(row: Any) -> Place:
    return Place(row.unit_code, row.organisation_id)


async def _counted(request: Request, asker: Asker, door: opendoor.Allowance, act: Act) -> None:
    """A use by somebody of the office is not counted; any other is, even if it then fails."""
    if may(asker.actor, "request.write"):
        return
    city = rooms(request)
    async with city.database.write() as session:
        await opendoor.count(session, city.keyring, door, asker.origin, act.now_us)


@router.post(
    "", status_code=201, response_model=Taken, summary="Say something to the city",
    responses=documented(401, 403, 422, 429),
)  # fmt: skip
async def post_request(body: RequestIn, request: Request, asker: _Anybody) -> Taken:
    """Without signing in; a few times an hour. Keep the code: it is shown this once."""
    city, act = rooms(request), act_of(request, asker)
    await _counted(request, asker, opendoor.SEND, act)
    fields = body.model_dump(include={"kind", "subject", "unit_code", "channel"})
    if not may(asker.actor, "request.write"):
        fields["channel"] = "page"
        act = Act(asker.actor, act.now_us)  # the audit does not keep where a resident wrote from
    said = service.Said(body.text, body.name, body.contact)
    async with city.database.write() as session:
        row, code = await service.receive(
            session, city.keyring, act, said, fields, answer_days(city.data_dir)
        )
    return Taken(number=row.number, code=grouped(code, 4), due_on=row.due_on)


async def _answer_of(session: Any, request: Request, row: CityRequest) -> AnswerOut:
    read = service.opened(rooms(request).keyring, row)
    body = await service.body_of(session, row)
    return AnswerOut(
        **{name: getattr(row, name) for name in ("number", "kind", "state", "due_on", "satisfaction")},
        received_at=at(row.received_us),
        handed_to=body,
        answer=read.answer,
        answered_at=at(row.answered_us),
    )


@router.post(
    "/answer", response_model=AnswerOut, summary="Read the answer",
    responses=documented(401, 403, 404, 422, 429),
)  # fmt: skip
async def read_answer(body: CodeIn, request: Request, asker: _Anybody) -> AnswerOut:
    """By the code; nothing of what was said is repeated."""
    await _counted(request, asker, opendoor.LOOK, act_of(request, asker))
    async with rooms(request).database.read() as session:
        return await _answer_of(session, request, await service.by_code(session, body.code))


@router.post(
    "/rating", response_model=AnswerOut, summary="Say how content one is",
    responses=documented(401, 403, 404, 409, 422, 429),
)  # fmt: skip
async def post_rating(body: RatingIn, request: Request, asker: _Anybody) -> AnswerOut:
    """1 to 5, once, by whoever holds the code."""
    act = act_of(request, asker)
    await _counted(request, asker, opendoor.LOOK, act)
    async with rooms(request).database.write() as session:
        row = await service.by_code(session, body.code, lock=True)
        await service.rate(session, act, row, body.satisfaction)
        return await _answer_of(session, request, row)


@router.get(
    "", response_model=Page[RequestOut], summary="List requests", responses=documented(401, 403, 422)
)
async def list_requests(
    request: Request,
    asker: _Reader,
    state: State | None = None,
    kind: Kind | None = None,
    overdue: bool = False,
    unit: UnitCode | None = None,
    organisation: ObjectId | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RequestOut]:
    """Oldest number first: what waits longest."""
    act = act_of(request, asker)
    query = select(CityRequest).where(*within(asker.reach, CityRequest.unit_code))
    for name, value in {"state": state, "kind": kind, "organisation_id": organisation}.items():
        if value is not None:
            query = query.where(getattr(CityRequest, name) == value)
    if unit is not None:
        query = query.where(CityRequest.unit_code.startswith(unit, autoescape=True))
    if overdue:
        query = query.where(*service.overdue(act))
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(CityRequest.number > key[0])
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query.order_by(CityRequest.number).limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (row.number,))
    return Page(items=[_out(row, act) for row in page], next=following)


@router.get(
    "/summary", response_model=Summary, summary="How requests are answered",
    responses=documented(401, 403),
)  # fmt: skip
async def get_summary(request: Request, asker: _Reader) -> Summary:
    """Counts and the mean satisfaction, inside one's area."""
    act, inside = act_of(request, asker), within(asker.reach, CityRequest.unit_code)
    counted = select(CityRequest.state, func.count()).where(*inside).group_by(CityRequest.state)
    rated = select(func.count(), func.avg(CityRequest.satisfaction)).where(
        *inside, CityRequest.satisfaction.is_not(None)
    )
    answered = select(CityRequest.answered_us, CityRequest.due_on).where(
        *inside, CityRequest.answered_us.is_not(None)
    )
    async with rooms(request).database.read() as session:
        by_state = {row[0]: row[1] for row in await session.execute(counted)}
        overdue = await session.scalar(select(func.count()).where(*inside, *service.overdue(act)))
        ratings, mean = (await session.execute(rated)).one()
        late = sum(_late(*row) for row in await session.execute(answered))
    return Summary(
        by_state=by_state, overdue=overdue or 0, answered_late=late, rated=ratings,
        satisfaction_mean=round(float(mean), 2) if mean is not None else None,
    )  # fmt: skip


@router.get(
    "/{request_id}", response_model=RequestOut, summary="One request",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_request(
    request_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> RequestOut:
    """Without what was said; with its ETag."""
    async with rooms(request).database.read() as session:
        row = await one(session, CityRequest, request_id)
    allow(asker, "request.read", _place(row))
    tag(response, row)
    return _out(row, act_of(request, asker))


@router.post(
    "/{request_id}/open", response_model=OpenedOut, summary="Read what was said",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_open(request_id: ObjectId, request: Request, asker: _Opener) -> OpenedOut:
    """Who read it is recorded first."""
    city = rooms(request)
    async with city.database.write() as session:
        row = await one(session, CityRequest, request_id)
        allow(asker, "request.open", _place(row))
        read = await service.open_request(session, city.keyring, act_of(request, asker), row)
    return OpenedOut(text=read.text, name=read.name, contact=read.contact, answer=read.answer)


@router.post(
    "/{request_id}/hand", response_model=RequestOut, summary="Hand it over",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def post_hand(
    request_id: ObjectId, body: HandIn, request: Request, response: Response, asker: _Writer,
    if_match: IfMatch = None,
) -> RequestOut:  # fmt: skip
    """To the body that answers for it; it can be handed on."""
    act = act_of(request, asker)
    async with rooms(request).database.write() as session:
        row = await one(session, CityRequest, request_id, lock=True)
        allow(asker, "request.write", _place(row))
        await matched(session, row, if_match, body.model_dump())
        await service.hand(session, act, row, body.organisation_id)
    tag(response, row)
    return _out(row, act)


@router.post(
    "/{request_id}/answer", response_model=RequestOut, summary="Answer it",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def post_answer(
    request_id: ObjectId, body: TextIn, request: Request, response: Response, asker: _Writer,
    if_match: IfMatch = None,
) -> RequestOut:  # fmt: skip
    """Sealed; the asker reads it by the code."""
    city, act = rooms(request), act_of(request, asker)
    async with city.database.write() as session:
        row = await one(session, CityRequest, request_id, lock=True)
        allow(asker, "request.write", _place(row))
        await matched(session, row, if_match, {})
        await service.answer(session, city.keyring, act, row, body.text)
    tag(response, row)
    return _out(row, act)
