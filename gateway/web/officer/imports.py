"""``/imports``: a file is taken up, tried as a table that is repaired in place, applied, undone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy import select
from starlette.datastructures import UploadFile

from gateway.api.common import ObjectId
from gateway.api.records import act_of
from gateway.door import Asker, need, rooms
from gateway.web.forms import typed
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import logins
from gateway.web.page import page_of, words_of
from registry.importing.bounds import FileRefused
from registry.importing.fields import Problem
from registry.importing.kinds import KINDS, kind_named
from registry.importing.models import RegisterImport
from registry.importing.plan import Plan
from registry.importing.progress import reached
from registry.importing.readers import Sheet, read_sheet
from registry.importing.service import (
    REPAIRS,
    ImportRefused,
    drop,
    dry_run,
    get_import,
    known_for,
    set_choices,
    sheet_of,
    upload,
)
from registry.importing.service import take as take_file
from registry.importing.texts import text_of
from registry.importing.undo import undo
from registry.rights import Forbidden, may_somewhere, require

router = APIRouter(prefix="/imports", tags=["pages"], include_in_schema=False, route_class=PageRoute)
#: What an import does → what is said of it.
_DOING: Final = {
    "read": "Rows read: {done} of {of}", "check": "Rows compared: {done} of {of}",
    "write": "Rows written: {done} of {of}",
}  # fmt: skip
_Reader = Annotated[Asker, Depends(need("import.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("import.write", by_object=True))]
#: Imports in the list, rows with a problem on one page: a screenful is repaired at a time.
_LISTED: Final = 50
_ROWS: Final = 40
_PREFIX: Final = "cell "
_MAPPED: Final = "map "


@dataclass(frozen=True)
class Cell:
    """A cell of the trial's table: what stands there and what is said of it."""

    heading: str
    place: str
    value: str
    problems: list[Problem]

    @property
    def worst(self) -> str:
        """error, likely, note, or nothing."""
        found = {problem.severity for problem in self.problems}
        return next((name for name in ("error", "likely", "note") if name in found), "")


@dataclass(frozen=True)
class Line:
    """A row of the trial's table. ``others``: about the row, or a cell that is not there."""

    number: int
    does: str
    label: str
    cells: list[Cell]
    others: list[Problem]


@router.get("")
async def list_page(request: Request, asker: _Reader) -> Response:
    """What was taken up, newest first; and the form for a file."""
    return await _list(request, asker)


async def _list(request: Request, asker: Asker, problem: str = "", kind: str = "") -> Response:
    query = select(RegisterImport).order_by(RegisterImport.created_us.desc(), RegisterImport.id)
    if not asker.reach.everywhere:
        query = query.where(RegisterImport.actor == asker.actor.id)
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query.limit(_LISTED)))
        names = await logins(session, {row.actor for row in rows})
    return page_of(
        "officer/imports.html", request, asker, status=422 if problem else 200, rows=rows, names=names,
        problem=problem, kind=kind, now_us=rooms(request).clock.now_us(),
        kinds=[name for name, one in KINDS.items() if may_somewhere(asker.actor, one.action)],
        may_write=may_somewhere(asker.actor, "import.write"),
    )  # fmt: skip


@router.post("")
async def take_up(request: Request, asker: _Writer) -> Response:
    """The file; nothing is taken yet."""
    city, words, act = rooms(request), words_of(request), act_of(request, asker)
    form = await request.form(max_files=1)
    file, kind = form.get("file"), str(form.get("kind", ""))
    if kind not in KINDS or not isinstance(file, UploadFile) or not file.filename:
        return await _list(request, asker, words("Choose a file and what is in it."), kind)
    known_for(kind_named(kind), city.keyring, act)
    content, name = await file.read(), file.filename.replace("\\", "/").rsplit("/", 1)[-1][:200]
    try:
        await asyncio.to_thread(read_sheet, content, name)
        async with city.database.write() as session:
            record = await upload(session, city.keyring, act, kind, name, content, checked=True)
    except FileRefused as error:
        said = text_of(words.language, error.code, **error.values)
        return await _list(request, asker, said, kind)
    return RedirectResponse(f"/imports/{record.id}", 303)


def _theirs(asker: Asker, record: RegisterImport) -> None:
    if record.actor != asker.actor.id and not asker.reach.everywhere:
        raise Forbidden("out_of_area", "import.read")


@router.get("/{import_id}")
async def trial_page(import_id: ObjectId, request: Request, asker: _Reader) -> Response:
    """The trial as a table; once applied, what it did."""
    return await _trial(import_id, request, asker)


async def _trial(
    import_id: str, request: Request, asker: Asker, *, problem: str = "", status: int = 200,
    kept: Any = None, reason: str = "",
) -> Response:  # fmt: skip
    city, words = rooms(request), words_of(request)
    plan = sheet = None
    async with city.database.read() as session:
        record = await get_import(session, import_id)
        _theirs(asker, record)
        names = await logins(session, {record.actor})
        may_write = may_somewhere(asker.actor, "import.write") and may_somewhere(
            asker.actor, kind_named(record.kind).action
        )
        if record.state == "uploaded" and may_write:
            try:
                sheet = await asyncio.to_thread(sheet_of, record, city.keyring)
                plan = await dry_run(session, city.keyring, act_of(request, asker), record, sheet)
            except FileRefused as error:
                problem = text_of(words.language, error.code, **error.values)
    start = _whole(request.query_params.get("from", "0"))
    lines = lines_of(plan, sheet) if plan is not None and sheet is not None else []
    return page_of(
        "officer/import.html", request, asker, status=status, record=record, plan=plan, names=names,
        lines=lines[start : start + _ROWS], total=len(lines), start=start, rows=_ROWS,
        file_problems=[one for one in plan.parsed.problems if not one.row] if plan else [],
        problem=problem, kept=kept, reason=reason, may_write=may_write,
        now_us=city.clock.now_us(), repaired=_repairs(record, city.keyring) if plan else {},
    )  # fmt: skip


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0


def _repairs(record: RegisterImport, keyring: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(keyring.open(record.repairs, REPAIRS)) if record.repairs else {}
    return found


def lines_of(plan: Plan, sheet: Sheet) -> list[Line]:
    """The rows about which something is said, mistakes first, with the cells they were read from."""
    by_row: dict[int, list[Problem]] = {}
    for problem in plan.parsed.problems:
        if problem.row:
            by_row.setdefault(problem.row, []).append(problem)
    does = {one.row.number: one for one in plan.rows}
    lines = []
    for row in sheet.rows:
        if row.number not in by_row:
            continue
        problems, planned = by_row[row.number], does.get(row.number)
        cells = [
            Cell(heading, _place(sheet, index, row.number, heading), _shown(row, index, plan, heading),
                 [one for one in problems if one.heading == heading])
            for index, heading in enumerate(sheet.headings)
        ]  # fmt: skip
        others = [one for one in problems if one.heading not in sheet.headings]
        lines.append(
            Line(row.number, planned.does if planned else "refuse",
                 planned.label if planned else "", cells, others)
        )  # fmt: skip
    wrong = {n for n, found in by_row.items() if any(one.severity == "error" for one in found)}
    return sorted(lines, key=lambda line: (line.number not in wrong, line.number))


def _place(sheet: Sheet, index: int, number: int, heading: str) -> str:
    letter = sheet.letter(index)
    return f"{letter}{number}" if letter else f"{number}:{heading}"


def _shown(row: Any, index: int, plan: Plan, heading: str) -> str:
    """What stands in a cell; what is somebody's own is shown to nobody again."""
    known = plan.parsed.fields.get(plan.parsed.mapping.get(heading, ""))
    if known is not None and known.personal:
        return "•••"
    value = row.cells[index] if index < len(row.cells) else None
    return "" if value is None else str(value)


@router.get("/{import_id}/progress")
async def progress(import_id: ObjectId, request: Request, asker: _Reader) -> Response:
    """How far it is, for a page that waits; empty while no process is at it."""
    city = rooms(request)
    async with city.database.read() as session:
        record = await get_import(session, import_id)
        _theirs(asker, record)
    if (far := reached(record, city.clock.now_us())) is None:
        return JSONResponse({})
    words, (what, done, of) = words_of(request), far
    text = words(_DOING[what], done=words.number(done, 0), of=words.number(of, 0))
    return JSONResponse({"text": text, "done": done, "of": of})


@router.post("/{import_id}/repair")
async def repair(import_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """Cells put right and headings matched, beside those before; then the trial anew."""
    city, form = rooms(request), await typed(request)
    if one := form.pop("take", ""):  # a suggestion: "place=value"
        place, _, value = one.partition("=")
        form[_PREFIX + place] = value
    cells = {name[len(_PREFIX) :]: value for name, value in form.items() if name.startswith(_PREFIX)}
    cells = {place: value for place, value in cells.items() if value != form.get(f"was {place}", "\0")}
    mapped = {name[len(_MAPPED) :]: v or None for name, v in form.items() if name.startswith(_MAPPED)}
    async with city.database.write() as session:
        record = await get_import(session, import_id, lock=True)
        _theirs(asker, record)
        repairs = {**_repairs(record, city.keyring), **cells}
        mapping = {**record.mapping, **mapped} if mapped else None
        set_choices(record, city.keyring, mapping=mapping, repairs=repairs)
    start = _whole(form.get("from", "0"))
    return RedirectResponse(f"/imports/{import_id}" + (f"?from={start}" if start else ""), 303)


@router.post("/{import_id}/apply")
async def take(import_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """All of it or nothing, or the rows that hold."""
    city, words, form = rooms(request), words_of(request), await typed(request)
    mode: Literal["all", "rows"] = "rows" if form.get("mode") == "rows" else "all"
    try:
        async with city.database.read() as session:
            record = await get_import(session, import_id)
            _theirs(asker, record)
            sheet = await asyncio.to_thread(sheet_of, record, city.keyring)
        act = act_of(request, asker)
        await take_file(city.database, city.keyring, act, import_id, sheet, mode=mode)
    except ImportRefused:
        said = words("The file still holds mistakes. Nothing was taken.")
        return await _trial(import_id, request, asker, problem=said, status=422)
    city.wake_configs()
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.post("/{import_id}/undo")
async def take_back(import_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """What somebody changed since is named first and left alone."""
    city, words, form = rooms(request), words_of(request), await typed(request)
    reason = form.get("reason", "")[:500]
    if not reason:
        said = words("Say why it is undone.")
        return await _trial(import_id, request, asker, problem=said, status=422)
    async with city.database.write() as session:
        record = await get_import(session, import_id, lock=True)
        _theirs(asker, record)
        kind, act = kind_named(record.kind), act_of(request, asker, reason)
        known_for(kind, city.keyring, act)
        if record.actor != asker.actor.id:
            require(asker.actor, kind.action)
        found = await undo(session, act, record, confirmed=form.get("confirmed") == "yes")
        done = record.undone_us == act.now_us
    if not done:
        return await _trial(import_id, request, asker, kept=found, reason=reason)
    city.wake_configs()
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.post("/{import_id}/forget")
async def forget(import_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """An upload that is not wanted."""
    async with rooms(request).database.write() as session:
        record = await get_import(session, import_id, lock=True)
        _theirs(asker, record)
        await drop(session, record)
    return RedirectResponse("/imports", 303)
