"""Inspections and findings: hold, note, mend, verify; what is overdue; what the register suggests."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
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
from gateway.api.records import act_of, matched, one, tag
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry import editing
from registry.cameras.models import Camera
from registry.inspections import service, suggest
from registry.inspections.models import Finding, Inspection
from registry.inspections.workflow import TABLE, Move, Severity, State
from registry.rights import Place

router = api_router(tags=["inspections"])
_Reader = Annotated[Asker, Depends(need("inspection.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("inspection.write", by_object=True))]
_Fixer = Annotated[Asker, Depends(need("finding.fix", by_object=True))]
_Verifier = Annotated[Asker, Depends(need("finding.verify", by_object=True))]
_Kind = Literal["camera", "server", "software", "rack", "detector", "household", "site", "organisation"]
_Text = Annotated[str, Field(min_length=1, max_length=4000)]


class InspectionIn(Wanted):
    """An inspection that was held."""

    title: Annotated[str, Field(min_length=1, max_length=300)]
    held_on: date
    organisation_id: ObjectId | None = None
    unit_code: UnitCode | None = None
    conclusion: Annotated[str, Field(max_length=10_000)] = ""


class InspectionPatch(InspectionIn):
    """Only the fields sent change."""

    title: Annotated[str, Field(min_length=1, max_length=300)] = "-"
    held_on: date = date(2000, 1, 1)


class InspectionOut(BaseModel):
    """An inspection."""

    id: str
    number: str
    title: str
    held_on: date
    organisation_id: str | None
    unit_code: str | None
    inspector_id: str
    conclusion: str
    version: int


class FindingIn(Wanted):
    """What is wrong, with which record. Without `due_on` it is due by its severity."""

    object_kind: _Kind
    object_id: ObjectId
    inspection_id: ObjectId | None = None
    rule: Annotated[str | None, Field(pattern=f"^({suggest.ANALOGUE}|{suggest.SHORT_RETENTION})$")] = (
        None
    )
    severity: Severity
    text: _Text
    organisation_id: ObjectId | None = None
    due_on: date | None = None


class FindingPatch(Wanted):
    """Only the fields sent change."""

    severity: Severity = "low"
    text: _Text = "-"
    organisation_id: ObjectId | None = None
    due_on: date = date(2000, 1, 1)


class MoveIn(Wanted):
    """What was done, or why it is not enough."""

    text: Annotated[str, Field(max_length=4000)] = ""


class FindingOut(BaseModel):
    """A finding."""

    id: str
    inspection_id: str | None
    object_kind: str
    object_id: str
    rule: str | None
    severity: Severity
    text: str
    organisation_id: str | None
    unit_code: str | None
    due_on: date
    overdue: bool
    state: State
    found_by: str
    fix: str | None
    fixed_by: str | None
    fixed_at: str | None
    refusal: str | None
    verified_by: str | None
    verified_at: str | None
    version: int


class SuggestionOut(BaseModel):
    """What the register finds wrong; post it as a finding to accept it."""

    rule: str
    object_kind: str
    object_id: str
    name: str
    severity: Severity
    text: str
    unit_code: str | None
    organisation_id: str | None


class Suggestions(BaseModel):
    """By the camera's number."""

    items: list[SuggestionOut]


_INSPECTION = (
    "id", "number", "title", "held_on", "organisation_id", "unit_code", "inspector_id", "conclusion",
    "version",
)  # fmt: skip
_FINDING = (
    "id", "inspection_id", "object_kind", "object_id", "rule", "severity", "text", "organisation_id",
    "unit_code", "due_on", "state", "found_by", "fix", "fixed_by", "refusal", "verified_by", "version",
)  # fmt: skip


def _inspection(row: Inspection) -> InspectionOut:
    return InspectionOut(**{name: getattr(row, name) for name in _INSPECTION})


def _finding(row: Finding, today: date) -> FindingOut:
    return FindingOut(
        **{name: getattr(row, name) for name in _FINDING},
        overdue=row.state != "verified" and row.due_on < today,
        fixed_at=at(row.fixed_us),
        verified_at=at(row.verified_us),
    )


def _place(row: Any) -> Place:
    return Place(row.unit_code, row.organisation_id)


@router.get(
    "/inspections", response_model=Page[InspectionOut], summary="List inspections",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_inspections(
    request: Request, asker: _Reader, organisation: ObjectId | None = None,
    limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None,
) -> Page[InspectionOut]:  # fmt: skip
    """Newest number first."""
    query = select(Inspection).where(*within(asker.reach, Inspection.unit_code))
    if organisation is not None:
        query = query.where(Inspection.organisation_id == organisation)
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(Inspection.number < key[0])
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query.order_by(Inspection.number.desc()).limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (row.number,))
    return Page(items=[_inspection(row) for row in page], next=following)


@router.post(
    "/inspections", status_code=201, response_model=InspectionOut, summary="Enter an inspection",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_inspection(
    body: InspectionIn, request: Request, response: Response, asker: _Writer
) -> InspectionOut:
    """With the next number of the year; whoever enters it is the inspector."""
    async with rooms(request).database.write() as session:
        allow(asker, "inspection.write", _place(body))
        row = await service.hold(session, act_of(request, asker), body.model_dump())
    tag(response, row)
    return _inspection(row)


@router.get(
    "/inspections/{inspection_id}", response_model=InspectionOut, summary="One inspection",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_inspection(
    inspection_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> InspectionOut:
    """Its findings: `/findings?inspection=`."""
    async with rooms(request).database.read() as session:
        row = await one(session, Inspection, inspection_id)
    allow(asker, "inspection.read", _place(row))
    tag(response, row)
    return _inspection(row)


@router.patch(
    "/inspections/{inspection_id}", response_model=InspectionOut, summary="Change an inspection",
    responses=documented(401, 403, 404, 412, 422, 428),
)  # fmt: skip
async def patch_inspection(
    inspection_id: ObjectId, body: InspectionPatch, request: Request, response: Response,
    asker: _Writer, if_match: IfMatch = None,
) -> InspectionOut:  # fmt: skip
    """Only the fields sent change."""
    wanted = body.model_dump(exclude_unset=True)
    async with rooms(request).database.write() as session:
        row = await one(session, Inspection, inspection_id, lock=True)
        allow(asker, "inspection.write", _place(row))
        await matched(session, row, if_match, wanted)
        await service.check_organisation(session, wanted.get("organisation_id"))
        await editing.change(session, act_of(request, asker), row, wanted)
        allow(asker, "inspection.write", _place(row))
    tag(response, row)
    return _inspection(row)


@router.get(
    "/findings", response_model=Page[FindingOut], summary="List findings",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_findings(
    request: Request,
    asker: _Reader,
    state: State | None = None,
    severity: Severity | None = None,
    overdue: bool = False,
    object_kind: _Kind | None = None,
    object_id: ObjectId | None = None,
    inspection: ObjectId | None = None,
    organisation: ObjectId | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[FindingOut]:
    """By due day, the most overdue first."""
    today = act_of(request, asker).today
    query = select(Finding).where(*within(asker.reach, Finding.unit_code))
    wanted = {
        "state": state, "severity": severity, "object_kind": object_kind, "object_id": object_id,
        "inspection_id": inspection, "organisation_id": organisation,
    }  # fmt: skip
    for name, value in wanted.items():
        if value is not None:
            query = query.where(getattr(Finding, name) == value)
    if overdue:
        query = query.where(*service.overdue(today))
    if (key := decode_cursor(cursor, str, str)) is not None:
        day = _day(key[0])
        query = query.where((Finding.due_on > day) | ((Finding.due_on == day) & (Finding.id > key[1])))
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query.order_by(Finding.due_on, Finding.id).limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (str(row.due_on), row.id))
    return Page(items=[_finding(row, today) for row in page], next=following)


def _day(text: str) -> date:
    """A cursor's day; one that is none begins the list."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return date.min


@router.get(
    "/findings/suggested", response_model=Suggestions, summary="What the register suggests",
    responses=documented(401, 403),
)  # fmt: skip
async def list_suggestions(request: Request, asker: _Reader) -> Suggestions:
    """Analogue cameras, and recordings kept for less than 720 h without a waiver."""
    async with rooms(request).database.read() as session:
        found = await suggest.suggestions(session, *within(asker.reach, Camera.unit_code))
    return Suggestions(items=[SuggestionOut(**vars(suggestion)) for suggestion in found])


@router.post(
    "/findings", status_code=201, response_model=FindingOut, summary="Note a finding",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_finding(
    body: FindingIn, request: Request, response: Response, asker: _Writer
) -> FindingOut:
    """On a camera, server, software, rack, detector, household, site or organisation."""
    act = act_of(request, asker)
    async with rooms(request).database.write() as session:
        place = await service.place_of(session, body.object_kind, body.object_id)
        allow(asker, "inspection.write", place)
        row = await service.note(session, act, body.model_dump())
    tag(response, row)
    return _finding(row, act.today)


@router.get(
    "/findings/{finding_id}", response_model=FindingOut, summary="One finding",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_finding(
    finding_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> FindingOut:
    """With its ETag."""
    async with rooms(request).database.read() as session:
        row = await one(session, Finding, finding_id)
    allow(asker, "inspection.read", _place(row))
    tag(response, row)
    return _finding(row, act_of(request, asker).today)


@router.patch(
    "/findings/{finding_id}", response_model=FindingOut, summary="Change a finding",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def patch_finding(
    finding_id: ObjectId, body: FindingPatch, request: Request, response: Response, asker: _Writer,
    if_match: IfMatch = None,
) -> FindingOut:  # fmt: skip
    """Until it is verified."""
    act, wanted = act_of(request, asker), body.model_dump(exclude_unset=True)
    async with rooms(request).database.write() as session:
        row = await one(session, Finding, finding_id, lock=True)
        allow(asker, "inspection.write", _place(row))
        await matched(session, row, if_match, wanted)
        await service.change(session, act, row, wanted)
    tag(response, row)
    return _finding(row, act.today)


async def _move(
    finding_id: str, to: Move, text: str, request: Request, response: Response, asker: Asker,
    if_match: str | None,
) -> FindingOut:  # fmt: skip
    act = act_of(request, asker)
    async with rooms(request).database.write() as session:
        row = await one(session, Finding, finding_id, lock=True)
        allow(asker, TABLE[to].right, _place(row))
        await matched(session, row, if_match, {})
        await service.move(session, act, row, to, text)
    tag(response, row)
    return _finding(row, act.today)


@router.post(
    "/findings/{finding_id}/fix", response_model=FindingOut, summary="Submit a fix",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def fix(
    finding_id: ObjectId, body: MoveIn, request: Request, response: Response, asker: _Fixer,
    if_match: IfMatch = None,
) -> FindingOut:  # fmt: skip
    """open → fix_submitted, with what was done."""
    return await _move(finding_id, "fix", body.text, request, response, asker, if_match)


@router.post(
    "/findings/{finding_id}/verify", response_model=FindingOut, summary="Verify a fix",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def verify(
    finding_id: ObjectId, body: MoveIn, request: Request, response: Response, asker: _Verifier,
    if_match: IfMatch = None,
) -> FindingOut:  # fmt: skip
    """fix_submitted → verified, by another person than who submitted the fix."""
    return await _move(finding_id, "verify", body.text, request, response, asker, if_match)


@router.post(
    "/findings/{finding_id}/reopen", response_model=FindingOut, summary="Open it again",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def reopen(
    finding_id: ObjectId, body: MoveIn, request: Request, response: Response, asker: _Verifier,
    if_match: IfMatch = None,
) -> FindingOut:  # fmt: skip
    """fix_submitted → open, with why the fix is not enough; by another person."""
    return await _move(finding_id, "reopen", body.text, request, response, asker, if_match)
