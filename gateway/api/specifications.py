"""Technical specifications: draft, change, attach, comment, take the steps, print."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

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
from gateway.api.files import PDF, Mnt, file_response
from gateway.api.records import act_of, matched, tag
from gateway.api.router import api_router
from gateway.door import Asker, Rooms, allow, need, rooms
from gateway.problems import documented
from registry.files import EXPECTED, FileStore
from registry.printing.typeset import pdf
from registry.rights import Place
from registry.specifications import attachments, inbox, service
from registry.specifications.content import MAX_REQUIREMENTS, Kind, template
from registry.specifications.document import document_data
from registry.specifications.models import (
    Specification,
    SpecificationAttachment,
    SpecificationComment,
)
from registry.specifications.workflow import TABLE, Move, State
from registry.steps import actions_from
from registry.values import FUNDING_SOURCES

router = api_router("/specifications", tags=["specifications"])
_Reader = Annotated[Asker, Depends(need("specification.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("specification.write", by_object=True))]
_Commenter = Annotated[Asker, Depends(need("specification.comment", by_object=True))]
_Decider = Annotated[Asker, Depends(need("specification.decide", by_object=True))]
_Funding = Annotated[str, Field(pattern=f"^({'|'.join(FUNDING_SOURCES)})$", examples=["local_budget"])]
_Text = Annotated[str, Field(max_length=10_000)]


class Requirement(Wanted):
    """One numbered requirement."""

    heading: Annotated[str, Field(max_length=200)] = ""
    text: Annotated[str, Field(min_length=1, max_length=4000)]
    source: Annotated[str, Field(max_length=200, description="the standard it is from")] = ""


_Requirements = Annotated[list[Requirement], Field(max_length=MAX_REQUIREMENTS)]


class SpecificationIn(Wanted):
    """A new draft. Without `requirements` it begins with those usual for its kind."""

    kind: Kind
    title: Annotated[str, Field(min_length=1, max_length=300)]
    purpose: _Text = ""
    requirements: _Requirements | None = None
    budget_mnt: Mnt | None = None
    funding_source: _Funding | None = None
    organisation_id: ObjectId | None = None
    unit_code: UnitCode | None = None
    deliver_by: date | None = None
    decide_by: date | None = None


class SpecificationPatch(SpecificationIn):
    """Only the fields sent change."""

    kind: Kind = "camera"
    title: Annotated[str, Field(min_length=1, max_length=300)] = "-"
    requirements: _Requirements = Field(default_factory=list)


class MoveIn(Wanted):
    """Why; returning and rejecting need it."""

    reason: Annotated[str, Field(max_length=4000)] = ""


class CommentIn(Wanted):
    """What to say."""

    text: Annotated[str, Field(min_length=1, max_length=4000)]


class SpecificationOut(BaseModel):
    """A specification in a list."""

    id: str
    number: str
    kind: Kind
    title: str
    state: State
    budget_mnt: int | None
    funding_source: str | None
    organisation_id: str | None
    unit_code: str | None
    deliver_by: date | None
    decide_by: date | None
    overdue: bool
    author_id: str
    reviewer_id: str | None
    supersedes_id: str | None
    version: int
    created_at: str | None
    submitted_at: str | None
    decided_at: str | None


class AttachmentOut(BaseModel):
    """A file."""

    id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    added_by: str
    added_at: str | None


class CommentOut(BaseModel):
    """What somebody said, and the step it explains if any."""

    id: str
    by: str
    at: str | None
    action: str | None
    text: str


class SpecificationFull(SpecificationOut):
    """With its content."""

    purpose: str
    requirements: list[Requirement]
    decided_by: str | None
    content_sha256: str | None
    code: str | None = Field(description="printed on the approved document; `/v/<code>` vouches for it")
    attachments: list[AttachmentOut]
    comments: list[CommentOut]
    moves: list[Move] = Field(description="steps that lead on from its state")


class Templates(BaseModel):
    """What a draft of a kind begins with."""

    requirements: list[Requirement]


class Waiting(BaseModel):
    """What waits for whoever asks, overdue first."""

    items: list[SpecificationOut]


_IN_LISTS = (
    "id", "number", "kind", "title", "state", "budget_mnt", "funding_source", "organisation_id",
    "unit_code", "deliver_by", "decide_by", "author_id", "reviewer_id", "supersedes_id", "version",
)  # fmt: skip


def _plain(row: Specification, overdue: bool) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _IN_LISTS},
        "overdue": overdue,
        "created_at": at(row.created_us),
        "submitted_at": at(row.submitted_us),
        "decided_at": at(row.decided_us),
    }


def _file_out(file: SpecificationAttachment) -> AttachmentOut:
    names = ("id", "name", "media_type", "size_bytes", "sha256", "added_by")
    return AttachmentOut(**{name: getattr(file, name) for name in names}, added_at=at(file.added_us))


def _comment_out(said: SpecificationComment) -> CommentOut:
    return CommentOut(id=said.id, by=said.by, at=at(said.at_us), action=said.action, text=said.text)


async def _full(session: Any, request: Request, asker: Asker, row: Specification) -> SpecificationFull:
    return SpecificationFull(
        **_plain(row, inbox.overdue(row, act_of(request, asker))),
        purpose=row.purpose,
        requirements=[Requirement(**one) for one in row.requirements],
        decided_by=row.decided_by,
        content_sha256=row.content_sha256,
        code=row.code,
        attachments=[_file_out(file) for file in await service.attachments_of(session, row.id)],
        comments=[_comment_out(said) for said in await service.comments_of(session, row.id)],
        moves=list(actions_from(TABLE, row.state)),
    )


def _place(unit_code: str | None, organisation_id: str | None) -> Place:
    return Place(unit_code=unit_code, organisation_id=organisation_id)


def place_of(row: Specification) -> Place:
    """Where it lies, for the rights."""
    return _place(row.unit_code, row.organisation_id)


def store_of(city: Rooms) -> FileStore:
    """Where attached files lie."""
    return FileStore(city.data_dir / "files")


@router.get(
    "", response_model=Page[SpecificationOut], summary="List specifications",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_specifications(
    request: Request,
    asker: _Reader,
    kind: Kind | None = None,
    state: State | None = None,
    unit: UnitCode | None = None,
    organisation: ObjectId | None = None,
    year: Annotated[int | None, Query(ge=2000, le=2999)] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SpecificationOut]:
    """Newest number first."""
    query = select(Specification).where(*within(asker.reach, Specification.unit_code))
    wanted = {"kind": kind, "state": state, "organisation_id": organisation}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(getattr(Specification, name) == value)
    if unit is not None:
        query = query.where(Specification.unit_code.startswith(unit, autoescape=True))
    if year is not None:
        query = query.where(Specification.number.startswith(f"{service.SERIES}-{year}-"))
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(Specification.number < key[0])
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query.order_by(Specification.number.desc()).limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (row.number,))
    act = act_of(request, asker)
    items = [SpecificationOut(**_plain(row, inbox.overdue(row, act))) for row in page]
    return Page(items=items, next=following)


@router.get(
    "/inbox", response_model=Waiting, summary="What waits for me", responses=documented(401, 403)
)
async def get_inbox(request: Request, asker: _Reader) -> Waiting:
    """My drafts and returned ones; if I decide: what others submitted and what I took into review."""
    act = act_of(request, asker)
    async with rooms(request).database.read() as session:
        rows = await inbox.waiting(session, act, *within(asker.reach, Specification.unit_code))
    return Waiting(items=[SpecificationOut(**_plain(row, inbox.overdue(row, act))) for row in rows])


@router.get(
    "/templates/{kind}", response_model=Templates, summary="Usual requirements of a kind",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def get_template(kind: Kind, asker: _Reader) -> Templates:
    """Facts with their source, and starting points without one; all of them can be edited."""
    return Templates(requirements=[Requirement(**row) for row in template(kind)])


@router.post(
    "", status_code=201, response_model=SpecificationFull, summary="Begin a draft",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_specification(
    body: SpecificationIn, request: Request, response: Response, asker: _Writer
) -> SpecificationFull:
    """With the next number of the year."""
    async with rooms(request).database.write() as session:
        allow(asker, "specification.write", _place(body.unit_code, body.organisation_id))
        row = await service.draft(session, act_of(request, asker), body.model_dump())
        full = await _full(session, request, asker, row)
    tag(response, row)
    return full


@router.get(
    "/{specification_id}", response_model=SpecificationFull, summary="One specification",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_specification(
    specification_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> SpecificationFull:
    """With its files and comments, and its ETag."""
    async with rooms(request).database.read() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.read", place_of(row))
        full = await _full(session, request, asker, row)
    tag(response, row)
    return full


@router.patch(
    "/{specification_id}", response_model=SpecificationFull, summary="Change a draft",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def patch_specification(
    specification_id: ObjectId,
    body: SpecificationPatch,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> SpecificationFull:
    """Only the fields sent change; whoever changes it cannot approve it."""
    wanted = body.model_dump(exclude_unset=True)
    async with rooms(request).database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        allow(asker, "specification.write", place_of(row))
        await matched(session, row, if_match, wanted)
        await service.change(session, act_of(request, asker), row, wanted)
        allow(asker, "specification.write", place_of(row))
        full = await _full(session, request, asker, row)
    tag(response, row)
    return full


async def _move(
    specification_id: str, to: Move, reason: str, request: Request, response: Response,
    asker: Asker, if_match: str | None,
) -> SpecificationFull:  # fmt: skip
    city = rooms(request)
    async with city.database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        allow(asker, TABLE[to].right, place_of(row))
        await matched(session, row, if_match, {})
        await service.move(session, city.keyring, act_of(request, asker), row, to, reason)
        full = await _full(session, request, asker, row)
    tag(response, row)
    return full


@router.post(
    "/{specification_id}/submit", response_model=SpecificationFull, summary="Submit it",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def submit(
    specification_id: ObjectId, request: Request, response: Response, asker: _Writer,
    if_match: IfMatch = None,
) -> SpecificationFull:  # fmt: skip
    """draft or returned → submitted."""
    return await _move(specification_id, "submit", "", request, response, asker, if_match)


@router.post(
    "/{specification_id}/take", response_model=SpecificationFull, summary="Take it into review",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def take(
    specification_id: ObjectId, request: Request, response: Response, asker: _Decider,
    if_match: IfMatch = None,
) -> SpecificationFull:  # fmt: skip
    """submitted → review, by somebody who wrote none of it."""
    return await _move(specification_id, "take", "", request, response, asker, if_match)


@router.post(
    "/{specification_id}/return", response_model=SpecificationFull, summary="Return it",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def return_it(
    specification_id: ObjectId, body: MoveIn, request: Request, response: Response, asker: _Decider,
    if_match: IfMatch = None,
) -> SpecificationFull:  # fmt: skip
    """review → returned, with a reason."""
    return await _move(specification_id, "return", body.reason, request, response, asker, if_match)


@router.post(
    "/{specification_id}/reject", response_model=SpecificationFull, summary="Reject it",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def reject(
    specification_id: ObjectId, body: MoveIn, request: Request, response: Response, asker: _Decider,
    if_match: IfMatch = None,
) -> SpecificationFull:  # fmt: skip
    """review → rejected, with a reason."""
    return await _move(specification_id, "reject", body.reason, request, response, asker, if_match)


@router.post(
    "/{specification_id}/approve", response_model=SpecificationFull, summary="Approve it",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def approve(
    specification_id: ObjectId, body: MoveIn, request: Request, response: Response, asker: _Decider,
    if_match: IfMatch = None,
) -> SpecificationFull:  # fmt: skip
    """review → approved, for good; the one it takes the place of is superseded."""
    return await _move(specification_id, "approve", body.reason, request, response, asker, if_match)


@router.post(
    "/{specification_id}/supersede", status_code=201, response_model=SpecificationFull,
    summary="Begin its successor", responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def supersede(
    specification_id: ObjectId, request: Request, response: Response, asker: _Writer
) -> SpecificationFull:
    """A new draft with its content and its own number; the old one holds until that is approved."""
    async with rooms(request).database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        allow(asker, "specification.write", place_of(row))
        made = await service.supersede(session, act_of(request, asker), row)
        full = await _full(session, request, asker, made)
    tag(response, made)
    return full


@router.post(
    "/{specification_id}/comments", status_code=201, response_model=CommentOut, summary="Comment on it",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_comment(
    specification_id: ObjectId, body: CommentIn, request: Request, asker: _Commenter
) -> CommentOut:
    """In any state; comments stay."""
    async with rooms(request).database.write() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.comment", place_of(row))
        said = await service.comment(session, act_of(request, asker), row, body.text)
    return _comment_out(said)


@router.post(
    "/{specification_id}/attachments", status_code=201, response_model=AttachmentOut,
    summary="Attach a file", responses=documented(401, 403, 404, 409, 413, 415, 422),
    description=f"The body is the file itself, at most 20 MiB: {EXPECTED}. What it is, is decided by "
    "its content, not by its name.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)  # fmt: skip
async def post_attachment(
    specification_id: ObjectId,
    request: Request,
    asker: _Writer,
    name: Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")],
) -> AttachmentOut:
    """Only a draft or a returned one takes files."""
    city = rooms(request)
    async with city.database.read() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.write", place_of(row))
        service.check_editable(row)
    stored = await asyncio.to_thread(store_of(city).put, await request.body())
    async with city.database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        file = await attachments.attach(session, act_of(request, asker), row, name, stored)
    return _file_out(file)


@router.get(
    "/{specification_id}/attachments/{attachment_id}", summary="Read a file", response_class=Response,
    responses={
        **documented(401, 403, 404, 422),
        200: {"description": "OK", "content": {"application/octet-stream": {}}},
    },
)  # fmt: skip
async def get_attachment(
    specification_id: ObjectId, attachment_id: ObjectId, request: Request, asker: _Reader
) -> Response:
    """As it was attached; to be saved, not shown."""
    city = rooms(request)
    async with city.database.read() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.read", place_of(row))
        file = await attachments.attachment(session, row, attachment_id)
    content = await asyncio.to_thread(store_of(city).get, file.sha256)
    return file_response(content, file.media_type, file.name)


@router.delete(
    "/{specification_id}/attachments/{attachment_id}", status_code=204, summary="Take a file off",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def delete_attachment(
    specification_id: ObjectId, attachment_id: ObjectId, request: Request, asker: _Writer
) -> None:
    """From a draft or a returned one; the audit keeps its name and hash."""
    async with rooms(request).database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        allow(asker, "specification.write", place_of(row))
        await attachments.detach(session, act_of(request, asker), row, attachment_id)


@router.get(
    "/{specification_id}/document", summary="Print it", response_class=Response,
    responses={**documented(401, 403, 404, 422), **PDF},
)  # fmt: skip
async def get_document(specification_id: ObjectId, request: Request, asker: _Reader) -> Response:
    """A PDF in Mongolian; an approved one carries a code and a QR that anybody can check."""
    city = rooms(request)
    async with city.database.read() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.read", place_of(row))
        base_url = city.doors.public_url or str(request.base_url)
        data = await document_data(session, row, base_url=base_url)
    content = await asyncio.to_thread(
        pdf, "specification", data, at_us=row.decided_us or row.updated_us or row.created_us
    )
    return file_response(content, "application/pdf", f"{row.number}.pdf", inline=True)
