"""``/specifications``: what waits for me, the list, the record with its steps, and its form."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from starlette.datastructures import UploadFile

from gateway.api.common import Cursor, ObjectId, decode_cursor, within
from gateway.api.common import page_of as cut
from gateway.api.records import act_of, matched
from gateway.api.specifications import SpecificationIn, place_of, store_of
from gateway.door import Asker, allow, need, rooms
from gateway.web.forms import checked, filled, typed
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import address, logins, organisations, units
from gateway.web.page import page_of, words_of
from registry.files import FileRefused
from registry.models import Organisation
from registry.rights import Actor, Place, may, may_somewhere
from registry.specifications import attachments, inbox, service
from registry.specifications.content import KINDS, template
from registry.specifications.models import Specification
from registry.specifications.workflow import (
    EDITABLE,
    NEED_REASON,
    STATES,
    TABLE,
    Move,
    State,
    check_move,
)
from registry.steps import StepRefused, actions_from
from registry.values import FUNDING_SOURCES

router = APIRouter(
    prefix="/specifications", tags=["pages"], include_in_schema=False, route_class=PageRoute
)
_Reader = Annotated[Asker, Depends(need("specification.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("specification.write", by_object=True))]
_Commenter = Annotated[Asker, Depends(need("specification.comment", by_object=True))]
ROWS: Final = 50
_NAMES: Final = (
    "kind", "title", "purpose", "budget_mnt", "funding_source", "organisation_id", "unit_code",
    "deliver_by", "decide_by",
)  # fmt: skip
#: Empty lines for requirements under those that are there.
_SPARE: Final = 3


@router.get("")
async def list_page(
    request: Request,
    asker: _Reader,
    state: Annotated[State | None, Query()] = None,
    cursor: Cursor = None,
) -> Response:
    """What waits for me, overdue first; then all, newest number first."""
    act = act_of(request, asker)
    inside = within(asker.reach, Specification.unit_code)
    query = select(Specification).where(*inside)
    if state is not None:
        query = query.where(Specification.state == state)
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(Specification.number < key[0])
    async with rooms(request).database.read() as session:
        waiting = await inbox.waiting(session, act, *inside)
        rows = list(await session.scalars(query.order_by(Specification.number.desc()).limit(ROWS + 1)))
        names = await logins(session, {row.author_id for row in [*rows, *waiting]})
    shown, following = cut(rows, ROWS, lambda row: (row.number,))
    filters = {"state": state or ""}
    return page_of(
        "officer/specifications.html", request, asker, waiting=waiting, rows=shown, names=names,
        late={row.id for row in [*waiting, *shown] if inbox.overdue(row, act)}, states=STATES,
        filters=filters, may_write=may_somewhere(asker.actor, "specification.write"),
        next=address("/specifications", filters, cursor=following) if following else None,
        first=address("/specifications", filters) if cursor else None,
    )  # fmt: skip


@router.get("/new")
async def new_form(request: Request, asker: _Writer) -> Response:
    """An empty form; the kind decides what requirements it begins with."""
    return await _form(request, asker, None, {"kind": request.query_params.get("kind", "")})


@router.post("/new")
async def create(request: Request, asker: _Writer) -> Response:
    """Begin a draft."""
    values = await typed(request)
    wanted, problems = _checked(request, values, with_requirements=False)
    if wanted is None:
        return await _form(request, asker, None, values, problems)
    allow(asker, "specification.write", Place(wanted.unit_code, wanted.organisation_id))
    async with rooms(request).database.write() as session:
        row = await service.draft(session, act_of(request, asker), wanted.model_dump())
    return RedirectResponse(f"/specifications/{row.id}/edit", 303)


def _checked(
    request: Request, values: dict[str, str], *, with_requirements: bool
) -> tuple[SpecificationIn | None, dict[str, str]]:
    fields = filled(values, _NAMES, ("title", "purpose"))
    if isinstance(fields["budget_mnt"], str):
        fields["budget_mnt"] = "".join(fields["budget_mnt"].split()).replace(",", "")
    if with_requirements:
        fields["requirements"] = requirements_of(values)
    return checked(SpecificationIn, fields, words_of(request))


def requirements_of(values: dict[str, str]) -> list[dict[str, str]]:
    """The numbered lines of the form; one without text is left out."""
    numbers = sorted(
        int(name[5:]) for name in values if name.startswith("text ") and name[5:].isdecimal()
    )
    return [
        {"heading": values.get(f"heading {n}", ""), "text": values[f"text {n}"],
         "source": values.get(f"source {n}", "")}
        for n in numbers if values[f"text {n}"]
    ]  # fmt: skip


@router.get("/{specification_id}")
async def record_page(specification_id: ObjectId, request: Request, asker: _Reader) -> Response:
    """The record."""
    return await _show(request, asker, specification_id)


async def _show(
    request: Request, asker: Asker, specification_id: str, *, problem: str = "", typed_text: str = "",
    status: int = 200,
) -> Response:  # fmt: skip
    act = act_of(request, asker)
    async with rooms(request).database.read() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.read", place_of(row))
        comments = await service.comments_of(session, row.id)
        files = await service.attachments_of(session, row.id)
        people = {row.author_id, row.reviewer_id or "", row.decided_by or ""}
        names = await logins(session, people | {one.by for one in comments})
        owner = await session.get(Organisation, row.organisation_id or "")
        unit = dict(await units(session, words_of(request))).get(row.unit_code or "", row.unit_code)
    place = place_of(row)
    return page_of(
        "officer/specification.html", request, asker, status=status, row=row, comments=comments,
        files=files, names=names, organisation=owner, unit=unit, late=inbox.overdue(row, act),
        now_us=act.now_us, moves=_moves(asker.actor, row), need_reason=NEED_REASON, problem=problem,
        typed_text=typed_text, states=[one for one in STATES if one not in ("rejected", "returned")],
        may_edit=row.state in EDITABLE and may(asker.actor, "specification.write", place),
        may_comment=may(asker.actor, "specification.comment", place),
        may_supersede=row.state == "approved" and may(asker.actor, "specification.write", place),
    )  # fmt: skip


def _moves(actor: Actor, row: Specification) -> list[Move]:
    """The steps that this visitor may take now: by right, by state, and by who wrote it."""
    found: list[Move] = []
    for name in actions_from(TABLE, row.state):
        if not may(actor, TABLE[name].right, place_of(row)):
            continue
        try:
            check_move(name, row.state, actor, frozenset(row.author_ids), row.reviewer_id)
        except StepRefused:
            continue
        found.append(name)
    return found


@router.post("/{specification_id}/move/{to}")
async def move(specification_id: ObjectId, to: Move, request: Request, asker: _Reader) -> Response:
    """A step of its life."""
    city, form, words = rooms(request), await typed(request), words_of(request)
    reason = form.get("reason", "")[:4000]
    try:
        async with city.database.write() as session:
            row = await service.find(session, specification_id, lock=True)
            allow(asker, TABLE[to].right, place_of(row))
            await matched(session, row, f'"{form.get("version", "")}"', {})
            await service.move(session, city.keyring, act_of(request, asker), row, to, reason)
    except StepRefused as error:
        said = words("Say why.") if to in NEED_REASON and not reason else ""
        said = said or words.of("refusal", error.reason.replace("_", "-"))
        return await _show(
            request, asker, specification_id, problem=said, typed_text=reason, status=422
        )
    return RedirectResponse(f"/specifications/{specification_id}", 303)


@router.post("/{specification_id}/comments")
async def comment(specification_id: ObjectId, request: Request, asker: _Commenter) -> Response:
    """Say something about it."""
    text = (await typed(request)).get("text", "")[:4000]
    async with rooms(request).database.write() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.comment", place_of(row))
        if text:
            await service.comment(session, act_of(request, asker), row, text)
    return RedirectResponse(f"/specifications/{specification_id}#comments", 303)


@router.post("/{specification_id}/supersede")
async def supersede(specification_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """Begin its successor."""
    async with rooms(request).database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        allow(asker, "specification.write", place_of(row))
        made = await service.supersede(session, act_of(request, asker), row)
    return RedirectResponse(f"/specifications/{made.id}/edit", 303)


@router.post("/{specification_id}/attachments")
async def attach(specification_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """A file; what it is, is decided by its content."""
    city, form = rooms(request), await request.form(max_files=1)
    file = form.get("file")
    async with city.database.read() as session:
        row = await service.find(session, specification_id)
        allow(asker, "specification.write", place_of(row))
        service.check_editable(row)
    if not isinstance(file, UploadFile) or not file.filename:
        said = words_of(request)("Choose a file.")
        return await _show(request, asker, specification_id, problem=said, status=422)
    try:
        stored = await asyncio.to_thread(store_of(city).put, await file.read())
    except FileRefused:
        said = words_of(request).of("refusal", "unsupported-media-type")
        return await _show(request, asker, specification_id, problem=said, status=415)
    name = file.filename.replace("\\", "/").rsplit("/", 1)[-1][:200]
    async with city.database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        await attachments.attach(session, act_of(request, asker), row, name, stored)
    return RedirectResponse(f"/specifications/{specification_id}#files", 303)


@router.get("/{specification_id}/edit")
async def edit_form(specification_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """The form of a draft or a returned one."""
    async with rooms(request).database.read() as session:
        row = await service.find(session, specification_id)
    allow(asker, "specification.write", place_of(row))
    service.check_editable(row)
    values = {name: _text(getattr(row, name)) for name in _NAMES}
    for number, one in enumerate(row.requirements, 1):
        values |= {f"{part} {number}": one.get(part, "") for part in ("heading", "text", "source")}
    return await _form(request, asker, row, values)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


@router.post("/{specification_id}/edit")
async def change(specification_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """Change it; whoever does cannot approve it."""
    values = await typed(request)
    wanted, problems = _checked(request, values, with_requirements=True)
    async with rooms(request).database.read() as session:
        row = await service.find(session, specification_id)
    allow(asker, "specification.write", place_of(row))
    if wanted is None:
        return await _form(request, asker, row, values, problems)
    async with rooms(request).database.write() as session:
        row = await service.find(session, specification_id, lock=True)
        fields = wanted.model_dump()
        await matched(session, row, f'"{values.get("version", "")}"', fields)
        await service.change(session, act_of(request, asker), row, fields)
        allow(asker, "specification.write", place_of(row))
    return RedirectResponse(f"/specifications/{specification_id}", 303)


async def _form(
    request: Request, asker: Asker, row: Specification | None, values: dict[str, str],
    problems: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    words = words_of(request)
    async with rooms(request).database.read() as session:
        bodies, places = await organisations(session), await units(session, words)
    lines = len([name for name in values if name.startswith("text ")])
    return page_of(
        "officer/specification_form.html", request, asker, status=422 if problems else 200, row=row,
        values=values, problems=problems or {}, organisations=bodies, units=places,
        kinds=[(one, words.of("specification kind", one)) for one in KINDS],
        funding=[(one, words.of("funding", one)) for one in FUNDING_SOURCES],
        lines=lines + _SPARE, begins=len(template(KINDS[0])),
        version=values.get("version") or (row.version if row is not None else None),
    )  # fmt: skip
