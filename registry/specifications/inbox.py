"""What waits for somebody, overdue first; and whether a printed code is genuine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act
from registry.codes import folded
from registry.rights import may_somewhere
from registry.sealed import Keyring
from registry.specifications.content import content_hash
from registry.specifications.models import Specification
from registry.specifications.service import attachments_of, code_for
from registry.specifications.workflow import EDITABLE

#: The longest list of what waits: more than anybody works off in a day.
MAX_WAITING = 200


@dataclass(frozen=True)
class Proof:
    """What anybody may know of a printed document. ``genuine``: it is still what was approved."""

    number: str
    title: str
    state: str
    approved_us: int
    content_sha256: str
    genuine: bool


async def waiting(
    session: AsyncSession, act: Act, *inside: ColumnElement[bool]
) -> Sequence[Specification]:
    """What waits for this actor: their own drafts and returned ones; for who decides, what was
    submitted by others, and what they took into review. Overdue first, then by day, undated last.

    ``inside``: conditions that keep the list within their area.
    """
    mine = and_(Specification.author_id == act.actor.id, Specification.state.in_(EDITABLE))
    in_hand = and_(Specification.reviewer_id == act.actor.id, Specification.state == "review")
    conditions: list[ColumnElement[bool]] = [mine, in_hand]
    if may_somewhere(act.actor, "specification.decide"):
        conditions.append(and_(Specification.state == "submitted", *inside))
    undated = case((Specification.decide_by.is_(None), 1), else_=0)
    query = select(Specification).where(or_(*conditions))
    ordered = query.order_by(undated, Specification.decide_by, Specification.number)
    rows = (await session.scalars(ordered.limit(MAX_WAITING))).all()
    # their own submission waits for somebody else
    return [row for row in rows if row.state != "submitted" or act.actor.id not in row.author_ids]


def overdue(row: Specification, act: Act) -> bool:
    """Whether somebody should have acted before today."""
    open_still = row.state not in ("approved", "rejected", "superseded")
    return open_still and row.decide_by is not None and row.decide_by < act.today


async def proof_of(session: AsyncSession, keyring: Keyring, code: str) -> Proof | None:
    """What stands behind a printed code, however it was typed; None: nothing of ours."""
    row = await session.scalar(select(Specification).where(Specification.code == folded(code)))
    if row is None or row.decided_us is None or row.content_sha256 is None:
        return None
    now = content_hash(row, await attachments_of(session, row.id))
    genuine = now == row.content_sha256 and code_for(keyring, row.number, now) == row.code
    return Proof(row.number, row.title, row.state, row.decided_us, row.content_sha256, genuine)
