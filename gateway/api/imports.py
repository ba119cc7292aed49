"""Imports: a file is uploaded, tried, put right cell by cell, applied and, if need be, undone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    Language,
    Limit,
    ObjectId,
    Page,
    Wanted,
    at,
    decode_cursor,
    encode_cursor,
)
from gateway.api.records import act_of
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import FieldError, ProblemError, documented
from registry.importing.bounds import FileRefused
from registry.importing.fields import Problem
from registry.importing.kinds import kind_named
from registry.importing.models import RegisterImport
from registry.importing.plan import Plan
from registry.importing.progress import reached
from registry.importing.readers import read_sheet
from registry.importing.service import (
    ImportRefused,
    Undone,
    drop,
    dry_run,
    get_import,
    known_for,
    set_choices,
    sheet_of,
    take,
    upload,
)
from registry.importing.texts import text_of
from registry.importing.undo import undo
from registry.rights import Forbidden, require

router = api_router("/imports", tags=["imports"])
_Reader = Annotated[Asker, Depends(need("import.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("import.write", by_object=True))]
KindName = Literal["cameras", "camera-models", "organisations", "households", "detectors"]
#: Problems and rows of one answer; a clerk repairs a screenful at a time.
_SHOWN: Final = 1_000
_MAX_REPAIRS: Final = 5_000
FileName = Annotated[
    str, Query(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/\\]+$", examples=["cameras.xlsx"])
]
#: A body that is a file.
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class ImportOut(BaseModel):
    """An import: its file, where it stands, and what it did."""

    id: str
    kind: str
    file: str
    sha256: str
    size_bytes: int
    state: str = Field(description="uploaded, applying, applied, undone, partly_undone or dropped")
    mode: str
    actor: str
    created_at: str | None
    applied_at: str | None
    undone_at: str | None
    counts: dict[str, int] = Field(description="rows: create, change, revive, unchanged, refuse")


class ProblemOut(BaseModel):
    """One cell (or row, or the file, row 0): what is wrong with it, and what it perhaps should be."""

    row: int
    column: str
    heading: str
    field: str
    code: str
    severity: str = Field(description="error: not taken; note: taken so; likely: perhaps a duplicate")
    message: str
    value: str | None = Field(description="what stands there; left out where it is personal")
    repair: Any = Field(default=None, description="send it in `repairs` under `place`")
    place: str = Field(examples=["D17"])


class RowOut(BaseModel):
    """What becomes of a row."""

    row: int
    does: str
    label: str


class TrialOut(BaseModel):
    """A dry run."""

    import_id: str
    holds: bool = Field(description="whether the whole file can be taken")
    counts: dict[str, int]
    headings: list[str]
    mapping: dict[str, str] = Field(description="heading → field")
    fields: dict[str, list[str]] = Field(description="field → what it is called")
    problems: list[ProblemOut]
    more_problems: int
    rows: list[RowOut]


class ChoicesIn(Wanted):
    """Headings matched by hand, and cells put right; what is sent replaces what was."""

    mapping: Annotated[dict[str, str | None], Field(max_length=200)] | None = None
    repairs: Annotated[dict[str, str | float | bool | None], Field(max_length=_MAX_REPAIRS)] | None = (
        Field(default=None, description="place (`D17`; `17:mac` of a map layer) → value")
    )


class ApplyIn(Wanted):
    """All of it or nothing, or the rows that hold."""

    mode: Literal["all", "rows"] = "all"


class UndoIn(Wanted):
    """Why, and whether to go on where some records must be left alone."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    confirmed: bool = False


class LaterOut(BaseModel):
    """An edit after the import."""

    at: str | None
    actor: str
    action: str


class KeptOut(BaseModel):
    """A record that is left as it is."""

    row: int
    kind: str
    id: str
    label: str
    reason: str = Field(description="changed_since, in_use or gone")
    later: list[LaterOut]


class UndoneOut(BaseModel):
    """What an undo did; `done` is false while it waits for `confirmed`."""

    done: bool
    undone: int
    kept: list[KeptOut]


class ProgressOut(BaseModel):
    """How far a running import is; `step` is empty while no process is at it."""

    state: str
    step: str
    done: int
    of: int


def _out(record: RegisterImport) -> ImportOut:
    return ImportOut(
        id=record.id, kind=record.kind, file=record.file_name, sha256=record.sha256,
        size_bytes=record.size_bytes, state=record.state, mode=record.mode, actor=record.actor,
        created_at=at(record.created_us), applied_at=at(record.applied_us),
        undone_at=at(record.undone_us), counts=record.counts,
    )  # fmt: skip


def _problem(problem: Problem, language: str) -> ProblemOut:
    return ProblemOut(
        row=problem.row, column=problem.column, heading=problem.heading, field=problem.field,
        code=problem.code, severity=problem.severity, message=problem.message(language),
        value=problem.value, repair=problem.repair,
        place=(
            f"{problem.column}{problem.row}" if problem.column else f"{problem.row}:{problem.heading}"
        ),
    )  # fmt: skip


def _trial(record: RegisterImport, plan: Plan, language: str) -> TrialOut:
    return TrialOut(
        import_id=record.id, holds=plan.holds, counts=plan.counts,
        headings=plan.parsed.sheet.headings, mapping=plan.parsed.mapping,
        fields={one.name: list(one.headings[:2]) for one in plan.kind.fields},
        problems=[_problem(one, language) for one in plan.parsed.problems[:_SHOWN]],
        more_problems=plan.parsed.more_problems + max(0, len(plan.parsed.problems) - _SHOWN),
        rows=[RowOut(row=one.row.number, does=one.does, label=one.label) for one in plan.rows[:_SHOWN]],
    )  # fmt: skip


def _refused(error: FileRefused, language: str) -> ProblemError:
    detail = text_of(language, error.code, **error.values)
    return ProblemError(422, "file-refused", "The file cannot be taken", detail)


def _mistakes(error: ImportRefused, language: str) -> ProblemError:
    told = [
        FieldError(field=one.place(), detail=one.message(language))
        for one in error.problems if one.severity == "error"
    ][:_SHOWN]  # fmt: skip
    return ProblemError(
        422, "import-refused", "The file holds mistakes; nothing was taken", str(error), told
    )


def _theirs(asker: Asker, record: RegisterImport) -> None:
    """A bounded asker sees their own imports alone: what others' files hold may lie elsewhere."""
    if record.actor != asker.actor.id and not asker.reach.everywhere:
        raise Forbidden("out_of_area", "import.read")


@router.post(
    "", status_code=201, response_model=ImportOut, summary="Upload a file",
    responses=documented(401, 403, 413, 422), openapi_extra=_BODY,
)  # fmt: skip
async def post_import(
    request: Request, asker: _Writer, kind: KindName, name: FileName, language: Language = "mn"
) -> ImportOut:
    """The body is the file itself: XLSX, CSV, GeoJSON or KML. Nothing is taken yet."""
    city = rooms(request)
    act = act_of(request, asker)
    known_for(kind_named(kind), city.keyring, act)
    content = await request.body()
    try:
        await asyncio.to_thread(read_sheet, content, name)
        async with city.database.write() as session:
            record = await upload(session, city.keyring, act, kind, name, content, checked=True)
    except FileRefused as error:
        raise _refused(error, language) from None
    return _out(record)


@router.get(
    "", response_model=Page[ImportOut], summary="List imports", responses=documented(401, 403, 422)
)
async def list_imports(
    request: Request, asker: _Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ImportOut]:
    """The newest first."""
    table = RegisterImport
    query = select(table)
    if not asker.reach.everywhere:
        query = query.where(table.actor == asker.actor.id)
    if (key := decode_cursor(cursor, int, str)) is not None:
        query = query.where(
            (table.created_us < key[0]) | ((table.created_us == key[0]) & (table.id > key[1]))
        )
    query = query.order_by(table.created_us.desc(), table.id).limit(limit + 1)
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query))
    following = (
        encode_cursor(rows[limit - 1].created_us, rows[limit - 1].id) if len(rows) > limit else None
    )
    return Page(items=[_out(row) for row in rows[:limit]], next=following)


@router.get(
    "/{import_id}", response_model=ImportOut, summary="One import",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_one(import_id: ObjectId, request: Request, asker: _Reader) -> ImportOut:
    async with rooms(request).database.read() as session:
        record = await get_import(session, import_id)
    _theirs(asker, record)
    return _out(record)


@router.post(
    "/{import_id}/dry-run", response_model=TrialOut, summary="Try it",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_dry_run(
    import_id: ObjectId, body: ChoicesIn, request: Request, asker: _Writer, language: Language = "mn"
) -> TrialOut:
    """What would become of each row, and every problem at its cell. Nothing is taken."""
    city = rooms(request)
    try:
        if body.model_fields_set:
            async with city.database.write() as session:
                record = await get_import(session, import_id, lock=True)
                _theirs(asker, record)
                set_choices(record, city.keyring, mapping=body.mapping, repairs=body.repairs)
        async with city.database.read() as session:
            record = await get_import(session, import_id)
            _theirs(asker, record)
            sheet = await asyncio.to_thread(sheet_of, record, city.keyring)
            plan = await dry_run(session, city.keyring, act_of(request, asker), record, sheet)
    except FileRefused as error:
        raise _refused(error, language) from None
    return _trial(record, plan, language)


@router.post(
    "/{import_id}/apply", response_model=ImportOut, summary="Take it",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_apply(
    import_id: ObjectId, body: ApplyIn, request: Request, asker: _Writer, language: Language = "mn"
) -> ImportOut:
    """With mode `all` one mistake leaves everything as it was."""
    city = rooms(request)
    try:
        async with city.database.read() as session:
            record = await get_import(session, import_id)
            _theirs(asker, record)
            sheet = await asyncio.to_thread(sheet_of, record, city.keyring)
        act = act_of(request, asker)
        record, _ = await take(city.database, city.keyring, act, import_id, sheet, mode=body.mode)
    except ImportRefused as error:
        raise _mistakes(error, language) from None
    except FileRefused as error:
        raise _refused(error, language) from None
    city.wake_configs()
    return _out(record)


@router.get(
    "/{import_id}/progress", response_model=ProgressOut, summary="How far it is",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_progress(import_id: ObjectId, request: Request, asker: _Reader) -> ProgressOut:
    """While a long file is taken, by whichever process; a short one is taken at once."""
    city = rooms(request)
    async with city.database.read() as session:
        record = await get_import(session, import_id)
    _theirs(asker, record)
    step, done, of = reached(record, city.clock.now_us()) or ("", 0, 0)
    return ProgressOut(state=record.state, step=step, done=done, of=of)


@router.post(
    "/{import_id}/undo", response_model=UndoneOut, summary="Take it back",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_undo(import_id: ObjectId, body: UndoIn, request: Request, asker: _Writer) -> UndoneOut:
    """What somebody changed since is named and left alone; then it waits for `confirmed`."""
    city = rooms(request)
    async with city.database.write() as session:
        record = await get_import(session, import_id, lock=True)
        _theirs(asker, record)
        kind = kind_named(record.kind)
        known_for(kind, city.keyring, act_of(request, asker))
        if record.actor != asker.actor.id:
            require(asker.actor, kind.action)
        act = act_of(request, asker, body.reason)
        found = await undo(session, act, record, confirmed=body.confirmed)
        done = record.undone_us == act.now_us
    city.wake_configs()
    return _undone(found, done)


def _undone(found: Undone, done: bool) -> UndoneOut:
    kept = [
        KeptOut(
            row=one.row, kind=one.object_kind, id=one.object_id, label=one.label, reason=one.reason,
            later=[LaterOut(at=at(when), actor=who, action=what) for when, who, what in one.later],
        )
        for one in found.kept[:_SHOWN]
    ]  # fmt: skip
    return UndoneOut(done=done, undone=found.undone, kept=kept)


@router.delete(
    "/{import_id}", status_code=204, summary="Forget an upload",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def delete_import(import_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """Only one that was not applied."""
    async with rooms(request).database.write() as session:
        record = await get_import(session, import_id, lock=True)
        _theirs(asker, record)
        await drop(session, record)
    return Response(status_code=204)
