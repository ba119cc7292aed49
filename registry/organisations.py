"""Organisations: who answers for something. Raises ``NoSuch``, ``Conflict``, ``Held``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act
from registry.cameras.models import Camera
from registry.cameras.twins import Held
from registry.models import Organisation, Person, RoleGrant
from registry.rights import Place
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch

OrganisationKind = Literal[
    "city", "district", "khoroo", "aimag", "soum", "school", "kindergarten", "hospital", "police",
    "emergency", "utility", "contractor", "company", "other",
]  # fmt: skip
KINDS: Final[tuple[OrganisationKind, ...]] = get_args(OrganisationKind)
CONTACT: Final = "organisation.contact"
FIELDS: Final = (
    "name", "short_name", "kind", "register_number", "parent_id", "unit_code", "lat", "lon", "note",
    "contact",
)  # fmt: skip
#: A legal entity's number has seven digits; a citizen's begins with two letters and never comes here.
_REGISTER_NUMBER: Final = re.compile(r"[0-9]{7}")
#: Parents above parents: deeper is a circle or a mistake.
_MAX_DEPTH: Final = 10


def place_of(organisation: Organisation) -> Place:
    """Where it lies, for a question of rights: in its unit, and with itself."""
    return Place(unit_code=organisation.unit_code, organisation_id=organisation.id)


async def create_organisation(
    session: AsyncSession, act: Act, keyring: Keyring, fields: Mapping[str, Any]
) -> Organisation:
    """A new organisation; ``contact`` readable."""
    normal = _normal(keyring, fields)
    await _check(session, normal, None)
    organisation = Organisation(
        **{"short_name": "", "kind": "other", "note": ""} | normal, created_us=act.now_us
    )
    await editing.create(session, act, organisation)
    return organisation


async def change_organisation(
    session: AsyncSession,
    act: Act,
    keyring: Keyring,
    organisation: Organisation,
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    """Change some of ``FIELDS``; returns what differed."""
    if organisation.gone_us is not None:
        raise Conflict("id", "it was removed; restore it first")
    normal = _normal(keyring, fields)
    await _check(session, normal, organisation.id)
    return await editing.change(session, act, organisation, normal)


def open_contact(keyring: Keyring, organisation: Organisation) -> str | None:
    """Who answers there. The caller has checked the right and records the reading."""
    return keyring.open(organisation.contact, CONTACT) if organisation.contact else None


async def check_ending(session: AsyncSession, organisation: Organisation, way: str) -> None:
    """One that something hangs on is not removed; one comes back if its number is free."""
    if way == "restore":
        number = {"register_number": organisation.register_number}
        await _check(session, number, organisation.id)
        return
    hanging = (
        ("camera", select(Camera.id).where(Camera.organisation_id == organisation.id)
                   .where(Camera.gone_us.is_(None))),
        ("person", select(Person.id).where(Person.organisation_id == organisation.id)),
        ("role", select(RoleGrant.id).where(RoleGrant.organisation_id == organisation.id)),
        ("organisation", select(Organisation.id).where(Organisation.parent_id == organisation.id)
                         .where(Organisation.gone_us.is_(None))),
    )  # fmt: skip
    for kind, question in hanging:
        if await session.scalar(question.limit(1)) is not None:
            raise Conflict("id", f"a {kind} hangs on it; move it first, or merge it into another")


async def merge_organisations(
    session: AsyncSession, act: Act, kept: Organisation, gone: Organisation
) -> None:
    """Two records of one organisation: all that hangs on ``gone`` hangs on ``kept`` afterwards.

    Both keep their history. Needs a reason.
    """
    if kept.id == gone.id or gone.gone_us is not None or kept.gone_us is not None:
        raise Conflict("other_id", "expected another organisation that is not removed")
    await editing.change(
        session, act, gone, {"gone_us": act.now_us, "merged_into_id": kept.id}, verb="merge"
    )
    cameras = await session.scalars(select(Camera).where(Camera.organisation_id == gone.id))
    for camera in cameras:
        await editing.change(session, act, camera, {"organisation_id": kept.id})
    for table in (Person, RoleGrant):
        await session.execute(
            update(table).where(table.organisation_id == gone.id).values(organisation_id=kept.id)
        )
    for below in await session.scalars(select(Organisation).where(Organisation.parent_id == gone.id)):
        parent = None if below.id == kept.id else kept.id
        await editing.change(session, act, below, {"parent_id": parent})
    lent = {
        name: getattr(gone, name)
        for name in FIELDS
        if name not in ("name", "parent_id") and getattr(kept, name) in (None, "")
        and getattr(gone, name) not in (None, "")
    }  # fmt: skip
    note = {"merged": gone.id}
    if not await editing.change(session, act, kept, lent, verb="merge", note=note):
        await editing.note(session, act, kept, "merge", note)


def _normal(keyring: Keyring, fields: Mapping[str, Any]) -> dict[str, Any]:
    normal = dict(fields)
    number = fields.get("register_number")
    if number is not None and not _REGISTER_NUMBER.fullmatch(number):
        raise Conflict("register_number", "expected the seven digits of a legal entity")
    if isinstance(contact := fields.get("contact"), str):
        normal["contact"] = keyring.seal(contact, CONTACT) if contact else None
    return normal


async def _check(session: AsyncSession, fields: Mapping[str, Any], own_id: str | None) -> None:
    unique: tuple[tuple[str, Any, list[Any]], ...] = (
        ("name", Organisation.name, []),
        ("register_number", Organisation.register_number, [Organisation.gone_us.is_(None)]),
    )
    for field, column, more in unique:
        value = fields.get(field)
        if value is None:
            continue
        query = select(Organisation).where(column == value, Organisation.id != (own_id or ""), *more)
        holder = await session.scalar(query.limit(1))
        if holder is not None:
            removed = " (removed; restore it)" if holder.gone_us is not None else ""
            text = f"organisation {holder.name!r} has this {field} already{removed}"
            raise Held(field, text, "organisation", holder.id, holder.name)
    if fields.get("parent_id") is not None:
        await _check_parent(session, fields["parent_id"], own_id)


async def _check_parent(session: AsyncSession, parent_id: str, own_id: str | None) -> None:
    above: str | None = parent_id
    for _ in range(_MAX_DEPTH):
        if above is None:
            return
        if above == own_id:
            raise Conflict("parent_id", "an organisation does not belong to itself")
        parent = await session.get(Organisation, above)
        if parent is None or parent.gone_us is not None:
            raise NoSuch("organisation", above)
        above = parent.parent_id
    raise Conflict("parent_id", f"expected at most {_MAX_DEPTH} organisations one above another")
