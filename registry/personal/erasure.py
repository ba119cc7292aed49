"""Taking a home or a person out of the register: names, addresses, places, what they said.

Rows stay, emptied, where others refer to them (who was told of a fire, which request was answered);
what only they needed is deleted. ``empty`` runs in the caller's transaction; the audit is redacted by
the caller before, in batches, so that an interrupted erasure is simply run again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act
from registry.households import CHANNEL_ADDRESS, CONTACT_NAME
from registry.importing.models import ImportRow, RegisterImport
from registry.inspections.models import Finding
from registry.models import Contact, ContactChannel, Detector, DetectorStay, Household
from registry.personal.subject import Subject
from registry.requests.models import CityRequest
from registry.residents.models import HomeLink, HomeRequest, HomeSession
from registry.sealed import Keyring
from registry.sites import SERVING, Conflict

#: What stands in a text about a home that others must still find in its place.
GONE_TEXT = "—"


@dataclass(frozen=True)
class Erased:
    """How many of each were emptied or deleted."""

    homes: int = 0
    people: int = 0
    channels: int = 0
    requests: int = 0
    links: int = 0
    others: int = 0


async def check_free(session: AsyncSession, subject: Subject) -> None:
    """Raises ``Conflict`` while detectors protect the home: their alarms would reach nobody."""
    if not subject.erased_homes:
        return
    hanging = await session.scalars(
        select(Detector.id)
        .where(Detector.household_id.in_(subject.erased_homes), Detector.status.in_(SERVING))
        .order_by(Detector.id)
    )
    if ids := list(hanging):
        raise Conflict(
            "id", f"{len(ids)} detectors protect this home ({ids[0]} …): move or retire them first"
        )


async def empty(session: AsyncSession, keyring: Keyring, act: Act, subject: Subject) -> Erased:
    """Raises ``Conflict``."""
    await check_free(session, subject)
    homes = await _empty_homes(session, act, subject)
    people = await _empty_people(session, keyring, act, subject)
    requests = await empty_requests(session, keyring, act, subject.request_ids)
    links = await _end_links(session, subject)
    return Erased(
        homes, people, len(subject.channel_ids), requests, links, await _empty_others(session, subject)
    )


async def _empty_homes(session: AsyncSession, act: Act, subject: Subject) -> int:
    wanted = select(Household).where(Household.id.in_(subject.erased_homes)).with_for_update()
    rows = list(await session.scalars(wanted))
    for home in rows:  # by the ORM: the words it was found by go with its label
        home.label = f"erased {home.id}"[:100]
        home.address = home.lat = home.lon = None
        home.gone_us = home.gone_us or act.now_us
        home.erased_us = home.erased_us or act.now_us
    await session.flush()
    return len(rows)


async def _empty_people(session: AsyncSession, keyring: Keyring, act: Act, subject: Subject) -> int:
    for channel in await session.scalars(
        select(ContactChannel).where(ContactChannel.id.in_(subject.channel_ids)).with_for_update()
    ):
        channel.address = keyring.seal("", CHANNEL_ADDRESS)
        channel.address_fingerprint = secrets.token_hex(32)  # unique, and of nothing
        channel.code_hash = channel.code_until_us = channel.dead_reason = None
        channel.heard_us = channel.muted_us = None
        channel.withdrawn_us = channel.withdrawn_us or act.now_us
    people = list(
        await session.scalars(
            select(Contact).where(Contact.id.in_(subject.contact_ids)).with_for_update()
        )
    )
    for person in people:
        person.name = keyring.seal("", CONTACT_NAME)
        person.quiet_from_h = person.quiet_until_h = person.away_until_us = None
        person.gone_us = person.gone_us or act.now_us
        person.erased_us = person.erased_us or act.now_us
    await session.flush()
    return len(people)


async def empty_requests(session: AsyncSession, keyring: Keyring, act: Act, ids: Sequence[str]) -> int:
    """What was said, by whom and the answer go; kind, place, state and days stay to be counted."""
    nothing = {
        "text": keyring.seal("", "city_request.text"), "name": None, "contact": None, "answer": None,
        "erased_us": act.now_us,
    }  # fmt: skip
    return await _count(session, update(CityRequest).where(CityRequest.id.in_(ids)).values(nothing))


async def _end_links(session: AsyncSession, subject: Subject) -> int:
    ended = 0
    for table in (HomeLink, HomeSession):
        theirs: Any = table.contact_id.in_(subject.contact_ids)
        ended += await _count(session, delete(table).where(theirs))
        homes: Any = table.household_id.in_(subject.erased_homes)
        ended += await _count(session, delete(table).where(homes))
    await session.execute(delete(HomeRequest).where(HomeRequest.household_id.in_(subject.erased_homes)))
    return ended


async def _empty_others(session: AsyncSession, subject: Subject) -> int:
    """What other records say of the home: places, findings, what imports replaced or still hold."""
    homes = subject.erased_homes
    if not homes:
        return 0
    changed = 0
    for table in (Detector, DetectorStay):
        where: Any = table.household_id.in_(homes)
        changed += await _count(session, update(table).where(where).values(place=""))
    changed += await _count(
        session,
        update(Finding)
        .where(Finding.object_kind == "household", Finding.object_id.in_(homes))
        .values(text=GONE_TEXT, fix=None, refusal=None),
    )
    rows = (ImportRow.object_kind == "household", ImportRow.object_id.in_(homes))
    imports = list(await session.scalars(select(ImportRow.import_id).where(*rows).distinct()))
    await session.execute(update(ImportRow).where(*rows).values(sealed_before=null()))
    changed += await _count(
        session,
        update(RegisterImport).where(RegisterImport.id.in_(imports)).values(content=None, repairs=None),
    )
    return changed


async def _count(session: AsyncSession, statement: Any) -> int:
    done = await session.execute(statement)
    assert isinstance(done, CursorResult)
    return int(done.rowcount)
