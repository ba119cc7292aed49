"""Whom something is about: a home with its people, or one person, and everything tied to them by id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.households import CHANNEL_ADDRESS, normal_address
from registry.models import AuditEntry, Contact, ContactChannel, Household
from registry.requests.models import CityRequest
from registry.residents.models import HomeRequest
from registry.sealed import Keyring, KeyringError
from registry.sites import NoSuch

Kind = Literal["household", "contact"]
#: Requests opened at a time to see whether they name one of the subject's addresses.
_PAGE: Final = 500
_CHUNK: Final = 500


@dataclass(frozen=True)
class Subject:
    """Ids alone; the first of ``household_ids`` is the home asked for, others were merged into it."""

    kind: Kind
    id: str
    household_ids: tuple[str, ...]
    contact_ids: tuple[str, ...]
    channel_ids: tuple[str, ...]
    request_ids: tuple[str, ...]

    @property
    def erased_homes(self) -> tuple[str, ...]:
        """The homes that an erasure empties: none where one person leaves a home others live in."""
        return self.household_ids if self.kind == "household" else ()

    def objects(self) -> Iterator[tuple[str, str]]:
        """(kind, id) of what the audit may tell of."""
        for kind, ids in (
            ("household", self.erased_homes), ("contact", self.contact_ids),
            ("contact_channel", self.channel_ids), ("city_request", self.request_ids),
        ):  # fmt: skip
            for own_id in ids:
                yield kind, own_id


async def subject_of(session: AsyncSession, keyring: Keyring, kind: Kind, own_id: str) -> Subject:
    """Raises ``NoSuch``."""
    who: ColumnElement[bool]
    if kind == "household":
        homes = await _homes(session, own_id)
        who = Contact.household_id.in_(homes)
    else:
        contact = await session.get(Contact, own_id)
        if contact is None:
            raise NoSuch("contact", own_id)
        homes = () if contact.household_id is None else (contact.household_id,)
        who = Contact.id == own_id
    contacts = list(await session.scalars(select(Contact.id).where(who).order_by(Contact.id)))
    channels = list(
        await session.scalars(
            select(ContactChannel)
            .where(ContactChannel.contact_id.in_(contacts))
            .order_by(ContactChannel.id)
        )
    )
    requests = await _named_in(session, keyring, channels)
    if kind == "household":
        linked = select(HomeRequest.request_id).where(HomeRequest.household_id.in_(homes))
        requests |= set(await session.scalars(linked))
    return Subject(
        kind, own_id, homes, tuple(contacts), tuple(row.id for row in channels), tuple(sorted(requests))
    )


async def _homes(session: AsyncSession, own_id: str) -> tuple[str, ...]:
    if await session.get(Household, own_id) is None:
        raise NoSuch("household", own_id)
    merged = select(Household.id).where(Household.merged_into_id == own_id).order_by(Household.id)
    return (own_id, *await session.scalars(merged))


async def _named_in(
    session: AsyncSession, keyring: Keyring, channels: Sequence[ContactChannel]
) -> set[str]:
    """Requests whose asker left one of these addresses. What is sealed is opened to be compared."""
    wanted = {address for row in channels if (address := opened(keyring, row.address, CHANNEL_ADDRESS))}
    found: set[str] = set()
    last = ""
    while wanted:
        query = select(CityRequest.id, CityRequest.contact).where(
            CityRequest.contact.is_not(None), CityRequest.id > last
        )
        page = (await session.execute(query.order_by(CityRequest.id).limit(_PAGE))).all()
        for own_id, sealed in page:
            if sealed is not None and _forms(opened(keyring, sealed, "city_request.contact")) & wanted:
                found.add(own_id)
        if len(page) < _PAGE:
            break
        last = page[-1][0]
    return found


def _forms(typed: str) -> set[str]:
    """What somebody typed as an address, in the forms it may be stored in."""
    forms = {typed}
    for channel in ("email", "sms"):
        try:
            forms.add(normal_address(channel, typed))
        except ValueError:
            continue
    return forms


def opened(keyring: Keyring, sealed: Any, purpose: str) -> str:
    """The text; empty for none, and for one whose key is gone."""
    try:
        return keyring.open(sealed, purpose) if sealed is not None else ""
    except KeyringError:
        return ""


async def audit_ids(
    session: AsyncSession, subject: Subject, more: Sequence[tuple[str, str]]
) -> list[int]:
    """Entries of the audit about the subject or by it, and about ``more`` (kind, id)."""
    by_kind: dict[str, list[str]] = {}
    for kind, own_id in (*subject.objects(), *more):
        by_kind.setdefault(kind, []).append(own_id)
    found: set[int] = set()
    for kind, ids in by_kind.items():
        for start in range(0, len(ids), _CHUNK):
            about = (
                AuditEntry.object_kind == kind,
                AuditEntry.object_id.in_(ids[start : start + _CHUNK]),
            )
            found |= set(await session.scalars(select(AuditEntry.id).where(*about)))
    actors = [AuditEntry.actor == f"home:{own_id}" for own_id in subject.erased_homes]
    if actors:
        found |= set(await session.scalars(select(AuditEntry.id).where(or_(*actors))))
    return sorted(found)
