"""Drafting, changing, commenting and deciding. Each call is part of the caller's write transaction.

The caller has checked the right where the record lies (``registry.rights``); what depends on the
record itself (its state, who wrote it) is checked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act, record
from registry.codes import encoded
from registry.models import Organisation
from registry.numbering import next_number
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch
from registry.specifications.content import content_hash, template
from registry.specifications.models import (
    Specification,
    SpecificationAttachment,
    SpecificationComment,
)
from registry.specifications.workflow import EDITABLE, NEED_REASON, Move, check_move
from registry.steps import StepRefused

#: ``ТД``: техникийн даалгавар.
SERIES: Final = "ТД"
#: 50 bits of an HMAC: to find a code that fits a forgery one would have to ask the city 2^49 times.
_CODE_CHARACTERS: Final = 10
_CODE_PURPOSE: Final = "specification.code"
#: What a draft that takes another's place begins with.
_INHERITED: Final = (
    "kind", "title", "purpose", "requirements", "budget_mnt", "funding_source", "organisation_id",
    "unit_code",
)  # fmt: skip
#: Comments of one specification.
MAX_COMMENTS: Final = 500


async def find(session: AsyncSession, specification_id: str, *, lock: bool = False) -> Specification:
    """The specification, by id. Raises ``NoSuch``."""
    row = await session.get(Specification, specification_id, with_for_update=lock or None)
    if row is None:
        raise NoSuch("specification", specification_id)
    return row


async def draft(
    session: AsyncSession, act: Act, fields: dict[str, Any], *, supersedes_id: str | None = None
) -> Specification:
    """A new draft with the next number of its year; without requirements, those usual for its kind.

    Raises ``NoSuch`` (organisation).
    """
    await _check_organisation(session, fields.get("organisation_id"))
    if fields.get("requirements") is None:
        fields = {**fields, "requirements": template(fields["kind"])}
    number = await next_number(session, SERIES, act.today.year)
    row = Specification(
        **fields, number=str(number), state="draft", author_id=act.actor.id,
        author_ids=[act.actor.id], supersedes_id=supersedes_id, created_us=act.now_us,
    )  # fmt: skip
    await editing.create(session, act, row)
    return row


async def change(
    session: AsyncSession, act: Act, row: Specification, wanted: dict[str, Any]
) -> Specification:
    """Change a draft or a returned one. Raises ``StepRefused`` in any other state."""
    check_editable(row)
    if "organisation_id" in wanted:
        await _check_organisation(session, wanted["organisation_id"])
    if await editing.change(session, act, row, wanted):
        touched(row, act)
    return row


async def comment(
    session: AsyncSession, act: Act, row: Specification, text: str, *, action: str | None = None
) -> SpecificationComment:
    """Say something about it, in any state. Raises ``Conflict`` when there are too many."""
    said = await session.scalar(
        select(func.count()).where(SpecificationComment.specification_id == row.id)
    )
    if (said or 0) >= MAX_COMMENTS:
        raise Conflict("text", f"at most {MAX_COMMENTS} comments")
    made = SpecificationComment(
        specification_id=row.id, by=act.actor.id, at_us=act.now_us, action=action, text=text
    )
    session.add(made)
    await session.flush()
    if action is None:
        await record(
            session, act, "specification.comment", "specification", row.id, after={"comment": made.id}
        )
    return made


async def move(
    session: AsyncSession, keyring: Keyring, act: Act, row: Specification, to: Move, reason: str = ""
) -> Specification:
    """Take a step of its life. Raises ``StepRefused``; returning and rejecting need a reason."""
    step = check_move(to, row.state, act.actor, frozenset(row.author_ids), row.reviewer_id)
    if to in NEED_REASON and not reason:
        raise StepRefused("incomplete", f"{to}: expected a reason")
    if to == "submit" and not (row.requirements and row.title):
        raise StepRefused("incomplete", "submit: expected a title and at least one requirement")
    wanted: dict[str, Any] = {"state": step.goal}
    if to == "submit":
        wanted |= {"submitted_us": act.now_us, "reviewer_id": None}
    elif to == "take":
        wanted["reviewer_id"] = act.actor.id
    else:
        wanted |= {"decided_us": act.now_us, "decided_by": act.actor.id}
    if to == "approve":
        wanted |= await _approval(session, keyring, act, row)
    await editing.change(session, act, row, wanted, verb=to)
    if reason:
        await comment(session, act, row, reason, action=to)
    return row


async def supersede(session: AsyncSession, act: Act, row: Specification) -> Specification:
    """A new draft that is to take the place of an approved one. Raises ``StepRefused``."""
    if row.state != "approved":
        raise StepRefused("wrong_state", f"supersede needs the state approved; it is {row.state}")
    under_way = await session.scalar(
        select(Specification.number).where(
            Specification.supersedes_id == row.id, Specification.state.not_in(["rejected"])
        )
    )
    if under_way is not None:
        raise StepRefused("wrong_state", f"{under_way} is already to take its place")
    fields = {name: getattr(row, name) for name in _INHERITED}
    return await draft(session, act, fields, supersedes_id=row.id)


async def _approval(
    session: AsyncSession, keyring: Keyring, act: Act, row: Specification
) -> dict[str, Any]:
    """The hash of what is approved and its code; the one it takes the place of ends."""
    sha256 = content_hash(row, await attachments_of(session, row.id))
    if row.supersedes_id is not None:
        old = await find(session, row.supersedes_id, lock=True)
        if old.state != "approved":
            raise StepRefused("wrong_state", f"{old.number} is {old.state} and cannot be superseded")
        await editing.change(session, act, old, {"state": "superseded"}, verb="supersede")
    return {"content_sha256": sha256, "code": code_for(keyring, row.number, sha256)}


def code_for(keyring: Keyring, number: str, sha256: str) -> str:
    """The code printed on an approved document: only this city's key makes it."""
    return encoded(keyring.fingerprint(f"{number}\0{sha256}", _CODE_PURPOSE), _CODE_CHARACTERS)


async def attachments_of(
    session: AsyncSession, specification_id: str
) -> Sequence[SpecificationAttachment]:
    """Its files, in the order they were added."""
    query = select(SpecificationAttachment).where(
        SpecificationAttachment.specification_id == specification_id
    )
    ordered = query.order_by(SpecificationAttachment.added_us, SpecificationAttachment.id)
    return (await session.scalars(ordered)).all()


async def comments_of(session: AsyncSession, specification_id: str) -> Sequence[SpecificationComment]:
    """What was said of it, oldest first."""
    query = select(SpecificationComment).where(
        SpecificationComment.specification_id == specification_id
    )
    ordered = query.order_by(SpecificationComment.at_us, SpecificationComment.id).limit(MAX_COMMENTS)
    return (await session.scalars(ordered)).all()


def touched(row: Specification, act: Act) -> None:
    """Whoever changes the content is an author from now on."""
    if act.actor.id not in row.author_ids:
        row.author_ids = [*row.author_ids, act.actor.id]
    row.updated_us = act.now_us


def check_editable(row: Specification) -> None:
    """Raises ``StepRefused`` once it was submitted and not returned."""
    if row.state not in EDITABLE:
        raise StepRefused(
            "wrong_state", f"only a draft or a returned one can be changed; {row.number} is {row.state}"
        )


async def _check_organisation(session: AsyncSession, organisation_id: str | None) -> None:
    if organisation_id is not None and await session.get(Organisation, organisation_id) is None:
        raise NoSuch("organisation", organisation_id)
