"""``/requests``: anybody says something to the city, and reads the answer by the code they were given.

Without signing in and without JavaScript. The code travels in the body, so that no log has it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from gateway.api.records import act_of
from gateway.api.requests import RequestIn
from gateway.door import Asker, need, rooms
from gateway.web.forms import checked, filled, typed
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import units
from gateway.web.page import page_of, words_of
from registry.acts import Act
from registry.codes import grouped
from registry.requests import opendoor, service
from registry.requests.models import CityRequest
from registry.requests.workflow import KINDS, answer_days
from registry.sites import NoSuch
from registry.steps import StepRefused

router = APIRouter(prefix="/requests", tags=["pages"], include_in_schema=False, route_class=PageRoute)
_Anybody = Annotated[Asker, Depends(need("request.send"))]
SUBJECTS: Final = ("camera", "detector", "network", "service", "other")
_NAMES: Final = ("kind", "subject", "text", "name", "contact", "unit_code")


@router.get("")
async def form_page(request: Request, asker: _Anybody) -> Response:
    """The form, and the field for a code."""
    return await _form(request, asker, {})


async def _form(
    request: Request, asker: Asker, values: dict[str, str],
    problems: dict[str, str] | None = None, taken: dict[str, Any] | None = None,
) -> Response:  # fmt: skip
    words = words_of(request)
    async with rooms(request).database.read() as session:
        places = await units(session, words)
    return page_of(
        "officer/request_form.html", request, asker, plain=True, status=422 if problems else 200,
        values=values, problems=problems or {}, taken=taken, units=places,
        kinds=[(one, words.of("request kind", one)) for one in KINDS],
        subjects=[(one, words.of("request subject", one)) for one in SUBJECTS],
    )  # fmt: skip


async def _counted(request: Request, asker: Asker, door: opendoor.Allowance) -> None:
    city = rooms(request)
    async with city.database.write() as session:
        await opendoor.count(session, city.keyring, door, asker.origin, city.clock.now_us())


@router.post("")
async def say(request: Request, asker: _Anybody) -> Response:
    """Receive it; the code is shown this once."""
    city, values, words = rooms(request), await typed(request), words_of(request)
    fields = filled(values, _NAMES, ("text",))
    fields["subject"] = fields["subject"] or "other"
    wanted, problems = checked(RequestIn, fields, words)
    if wanted is None:
        return await _form(request, asker, values, problems)
    await _counted(request, asker, opendoor.SEND)
    act = Act(asker.actor, city.clock.now_us())  # where a resident wrote from is not kept
    said = service.Said(wanted.text, wanted.name, wanted.contact)
    kept = wanted.model_dump(include={"kind", "subject", "unit_code"}) | {"channel": "page"}
    async with city.database.write() as session:
        row, code = await service.receive(
            session, city.keyring, act, said, kept, answer_days(city.data_dir)
        )
    taken = {"number": row.number, "code": grouped(code, 4), "due_on": row.due_on}
    return await _form(request, asker, {}, taken=taken)


@router.post("/answer")
async def look_up(request: Request, asker: _Anybody) -> Response:
    """The answer, by the code; with a mark, how content the asker is."""
    city, form, words = rooms(request), await typed(request), words_of(request)
    code, mark = form.get("code", "")[:60], form.get("satisfaction", "")
    await _counted(request, asker, opendoor.LOOK)
    try:
        async with city.database.write() as session:
            row = await service.by_code(session, code, lock=True)
            if mark in ("1", "2", "3", "4", "5") and row.state == "answered":
                await service.rate(session, act_of(request, asker), row, int(mark))
            read = service.opened(city.keyring, row)
            body = await service.body_of(session, row)
    except (NoSuch, StepRefused):
        said = {"code": words("There is nothing with this code. Compare it letter by letter.")}
        return await _form(request, asker, {"code": code}, said)
    return _answer(request, asker, row, read.answer, body, code)


def _answer(
    request: Request, asker: Asker, row: CityRequest, answer: str | None, body: str | None, code: str
) -> Response:
    return page_of(
        "officer/request_answer.html", request, asker, plain=True, row=row, answer=answer, body=body,
        code=code, now_us=rooms(request).clock.now_us(),
    )  # fmt: skip
