"""Organisations as people to be told: the e-mail addresses in their contact, on the channels there are.

An organisation's contact is a sealed text that a clerk wrote. The addresses in it become channels of
one contact of the role ``organisation`` with an id of its own, made when it is first told of something
and brought up to date each time; one that no longer stands there is dead.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience
from alerts.audience import Person
from registry.households import CHANNEL_ADDRESS, CONTACT_NAME, normal_address
from registry.models import Contact, ContactChannel, Organisation
from registry.organisations import open_contact
from registry.sealed import Keyring

ROLE: Final = "organisation"
#: Addresses of one organisation that are written to.
MAX_ADDRESSES: Final = 3
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_OURS: Final = uuid.UUID("5b1f7a52-6d0e-4f0c-9c1e-0b7f8d1f6a11")


def addresses_of(keyring: Keyring, organisation: Organisation) -> list[str]:
    """The e-mail addresses in its contact, each once, in their order."""
    found: dict[str, None] = {}
    for match in _EMAIL.findall(open_contact(keyring, organisation) or ""):
        try:
            found.setdefault(normal_address("email", match))
        except ValueError:
            continue
    return list(found)[:MAX_ADDRESSES]


def contact_id(organisation_id: str) -> str:
    """The one contact of an organisation."""
    return uuid.uuid5(_OURS, organisation_id).hex


async def people(
    session: AsyncSession, keyring: Keyring, organisations: Iterable[Organisation], now_us: int
) -> list[Person]:
    """Those that can be told of what can wait, in their order; their contacts are made if need be."""
    ids = []
    for organisation in organisations:
        addresses = addresses_of(keyring, organisation)
        own = contact_id(organisation.id)
        known = await session.get(Contact, own)
        if known is None and not addresses:
            continue
        name = keyring.seal(organisation.name, CONTACT_NAME)
        if known is None:
            session.add(
                Contact(
                    id=own, household_id=None, role=ROLE, language="mn", position=1, name=name
                )
            )  # fmt: skip
            await session.flush()
        await _channels(session, keyring, own, addresses, now_us)
        ids.append(own)
    await session.flush()
    return [
        Person(contact, wanted)
        for contact, ways in await audience.among(session, ids)
        if (wanted := [way for way in ways if way.muted_us is None])
    ]


async def _channels(
    session: AsyncSession, keyring: Keyring, own: str, addresses: list[str], now_us: int
) -> None:
    wanted = {keyring.fingerprint(one, CHANNEL_ADDRESS).hex(): one for one in addresses}
    rows = await session.scalars(select(ContactChannel).where(ContactChannel.contact_id == own))
    for row in rows.all():
        if row.address_fingerprint not in wanted:
            row.dead_us = row.dead_us or now_us
        elif wanted.pop(row.address_fingerprint) and row.dead_us is not None:
            row.dead_us = None  # it stands there again
    for fingerprint, address in wanted.items():
        session.add(
            ContactChannel(
                contact_id=own, channel="email", address_fingerprint=fingerprint,
                address=keyring.seal(address, CHANNEL_ADDRESS),
            )
        )  # fmt: skip
    await session.flush()
