"""Ids for labels, and what one stands for."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act, record
from registry.cameras.models import Camera
from registry.codes import check_character, encoded, folded, has_good_check
from registry.labels.models import Label
from registry.models import Detector, Household, Site
from registry.rights import Place
from registry.sites import Conflict, NoSuch

#: 40 random bits in 8 characters and the check.
_RANDOM_BYTES: Final = 5
_CHARACTERS: Final = 8
#: What can carry a label.
KINDS: Final = ("camera", "detector")
#: Labels made at once: the biggest paper has 40, so 50 sheets.
MAX_LABELS: Final = 2000
#: Ids in one IN (…); below every database's limit of bound values.
_CHUNK: Final = 500


@dataclass(frozen=True)
class Labelled:
    """A label and what is printed beside its code: nothing that tells where somebody lives."""

    id: str
    kind: str
    object_id: str
    name: str


def new_label_id() -> str:
    """A random id with its check character."""
    code = encoded(secrets.token_bytes(_RANDOM_BYTES), _CHARACTERS)
    return code + check_character(code)


async def ensure_labels(
    session: AsyncSession, act: Act, kind: str, object_ids: Sequence[str]
) -> list[Labelled]:
    """The labels of these records, in this order; those that have none get one.

    Raises ``NoSuch`` and ``Conflict`` (a kind without labels, too many).
    """
    if kind not in KINDS:
        raise Conflict("kind", f"expected one of {', '.join(KINDS)}")
    wanted = list(dict.fromkeys(object_ids))
    if len(wanted) > MAX_LABELS:
        raise Conflict("ids", f"at most {MAX_LABELS} labels at once")
    names = await _names(session, kind, wanted)
    missing = next((object_id for object_id in wanted if object_id not in names), None)
    if missing is not None:
        raise NoSuch(kind, missing)
    there = await _living(session, kind, wanted)
    made = []
    for object_id in wanted:
        if object_id not in there:
            label = Label(
                id=new_label_id(), object_kind=kind, object_id=object_id, created_us=act.now_us
            )
            there[object_id] = label
            made.append(label)
    if made:
        session.add_all(made)
        await session.flush()
        await record(
            session, act, "label.create", kind, wanted[0] if len(wanted) == 1 else "(several)",
            after={"labels": len(made)},
        )  # fmt: skip
    return [Labelled(there[one].id, kind, one, names[one]) for one in wanted]


async def void(session: AsyncSession, act: Act, label_id: str) -> Label:
    """The label no longer leads anywhere; its record may get another. Raises ``NoSuch``."""
    label = await session.get(Label, folded(label_id), with_for_update=True)
    if label is None:
        raise NoSuch("label", folded(label_id)[:12])
    if label.void_us is None:
        label.void_us = act.now_us
        await session.flush()
        after = {"label": label.id}
        await record(session, act, "label.void", label.object_kind, label.object_id, after=after)
    return label


async def resolve(session: AsyncSession, label_id: str) -> Label | None:
    """The living label with this id, however it was typed; None for any other."""
    code = folded(label_id)
    if len(code) != _CHARACTERS + 1 or not has_good_check(code):
        return None
    label = await session.get(Label, code)
    return label if label is not None and label.void_us is None else None


async def place_of(session: AsyncSession, label: Label) -> Place:
    """Where the labelled record lies, for the rights."""
    if label.object_kind == "camera":
        camera = await session.get(Camera, label.object_id)
        return Place(camera.unit_code, camera.organisation_id) if camera else Place()
    row = (
        await session.execute(
            select(Household.unit_code, Site.unit_code)
            .select_from(Detector)
            .join(Site, Detector.site_id == Site.id)
            .outerjoin(Household, Detector.household_id == Household.id)
            .where(Detector.id == label.object_id)
        )
    ).first()
    return Place(row[0] or row[1]) if row else Place()


async def _living(session: AsyncSession, kind: str, ids: Sequence[str]) -> dict[str, Label]:
    found: dict[str, Label] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(Label).where(
            Label.object_kind == kind, Label.object_id.in_(ids[start : start + _CHUNK]),
            Label.void_us.is_(None),
        ).order_by(Label.created_us)  # fmt: skip
        found |= {label.object_id: label for label in await session.scalars(query)}
    return found


async def _names(session: AsyncSession, kind: str, ids: Sequence[str]) -> dict[str, str]:
    """What is printed small: a camera's number; of a detector nothing but its kind."""
    table: Any = Camera if kind == "camera" else Detector
    found: dict[str, str] = {}
    for start in range(0, len(ids), _CHUNK):
        rows = await session.scalars(select(table).where(table.id.in_(ids[start : start + _CHUNK])))
        found |= {row.id: row.number if kind == "camera" else "" for row in rows}
    return found
