"""Holding inspections, noting findings, mending and verifying; in the caller's write transaction."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act
from registry.cameras.models import Camera
from registry.inspections.models import Finding, Inspection
from registry.inspections.workflow import DUE_DAYS, Move, check_move
from registry.models import Detector, Household, Organisation, Site
from registry.numbering import next_number
from registry.rights import Place
from registry.servers.models import Rack, Server, Software
from registry.sites import NoSuch
from registry.steps import StepRefused

#: ``ХШ``: хяналт шалгалт.
SERIES: Final = "ХШ"
#: What a finding can be about.
OBJECTS: Final[dict[str, Any]] = {
    "camera": Camera, "server": Server, "software": Software, "rack": Rack, "detector": Detector,
    "household": Household, "site": Site, "organisation": Organisation,
}  # fmt: skip


async def hold(session: AsyncSession, act: Act, fields: dict[str, Any]) -> Inspection:
    """An inspection with the next number of its year. Raises ``NoSuch`` (organisation)."""
    await check_organisation(session, fields.get("organisation_id"))
    number = await next_number(session, SERIES, act.today.year)
    row = Inspection(**fields, number=str(number), inspector_id=act.actor.id, created_us=act.now_us)
    await editing.create(session, act, row)
    return row


async def note(session: AsyncSession, act: Act, fields: dict[str, Any]) -> Finding:
    """A finding on a record; without a day it is due by its severity. Raises ``NoSuch``."""
    place = await place_of(session, fields["object_kind"], fields["object_id"])
    held = fields.get("inspection_id")
    if held is not None and await session.get(Inspection, held) is None:
        raise NoSuch("inspection", held)
    await check_organisation(session, fields.get("organisation_id"))
    due_on = fields.pop("due_on", None) or due_day(act.today, fields["severity"])
    row = Finding(
        **{"organisation_id": place.organisation_id, **_given(fields)}, unit_code=place.unit_code,
        due_on=due_on, state="open", found_by=act.actor.id, created_us=act.now_us,
    )  # fmt: skip
    await editing.create(session, act, row)
    return row


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def due_day(today: date, severity: Any) -> date:
    """The day a finding of this severity is due when nobody says otherwise."""
    days: int = DUE_DAYS[severity]
    return today + timedelta(days=days)


async def change(session: AsyncSession, act: Act, row: Finding, wanted: dict[str, Any]) -> None:
    """Change severity, text, day or who answers, until it is verified. Raises ``StepRefused``."""
    if row.state == "verified":
        raise StepRefused("wrong_state", "a verified finding is not changed; note another")
    await check_organisation(session, wanted.get("organisation_id"))
    await editing.change(session, act, row, wanted)


async def move(session: AsyncSession, act: Act, row: Finding, to: Move, text: str) -> None:
    """Submit a fix, verify it, or open the finding again. Raises ``StepRefused``."""
    step = check_move(to, row.state, act.actor, row.fixed_by)
    if to in ("fix", "reopen") and not text:
        raise StepRefused("incomplete", f"{to}: expected a text that says what or why")
    wanted: dict[str, Any] = {"state": step.goal}
    if to == "fix":
        wanted |= {"fix": text, "fixed_by": act.actor.id, "fixed_us": act.now_us}
    elif to == "verify":
        wanted |= {"verified_by": act.actor.id, "verified_us": act.now_us}
    else:
        wanted["refusal"] = text
    await editing.change(session, act, row, wanted, verb=to)


def overdue(today: date) -> list[ColumnElement[bool]]:
    """The conditions of an overdue finding."""
    return [Finding.state != "verified", Finding.due_on < today]


async def place_of(session: AsyncSession, kind: str, object_id: str) -> Place:
    """Where the record of a finding lies. Raises ``NoSuch``."""
    row: Any = await session.get(OBJECTS[kind], object_id)
    if row is None:
        raise NoSuch(kind, object_id)
    if kind == "software":
        row = await session.get(Server, row.server_id)
    if kind == "organisation":
        return Place(row.unit_code, row.id)
    if kind in ("detector", "household"):
        home = row if kind == "household" else await session.get(Household, row.household_id or "")
        site = await session.get(Site, row.site_id)
        own = home.unit_code if home is not None else None
        return Place(own or (site.unit_code if site else None))
    return Place(row.unit_code, getattr(row, "organisation_id", None))


async def check_organisation(session: AsyncSession, organisation_id: str | None) -> None:
    """Raises ``NoSuch`` unless there is none named or it exists."""
    if organisation_id is not None and await session.get(Organisation, organisation_id) is None:
        raise NoSuch("organisation", organisation_id)
