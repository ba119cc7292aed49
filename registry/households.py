"""Households and the people to be told for them.

An address, a contact's name and a channel's address are sealed: ``open_household`` is the one
function that reads them, its caller must hold ``household.open`` and the opening is recorded.
Everybody else sees ``masked`` forms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import phonenumbers
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from registry.models import Contact, ContactChannel, Detector, Household, Site
from registry.sealed import Keyring, Sealed
from registry.sites import SERVING, Conflict, NoSuch, touch_site

#: Purposes the sealed columns are sealed for.
ADDRESS: Final = "household.address"
CONTACT_NAME: Final = "contact.name"
CHANNEL_ADDRESS: Final = "contact_channel.address"
LANGUAGES: Final = ("mn", "en")
#: RFC 5321 4.5.3.1: a path is at most 256 octets with its angle brackets.
_MAX_EMAIL: Final = 254
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)
#: The push services' addresses are a few hundred characters.
_MAX_PUSH: Final = 4000


@dataclass(frozen=True)
class ChannelEntry:
    """One way to reach somebody, readable. ``id`` is known once it is stored."""

    channel: str
    address: str
    id: str | None = None

    def __repr__(self) -> str:
        return f"ChannelEntry({self.channel}, …)"


@dataclass(frozen=True)
class ContactEntry:
    """Somebody to be told, readable."""

    name: str
    language: str = "mn"
    channels: tuple[ChannelEntry, ...] = ()
    id: str | None = None
    #: resident or neighbour; None leaves what is stored, and makes a resident
    role: str | None = None

    def __repr__(self) -> str:
        return f"ContactEntry(…, {len(self.channels)} channels)"


@dataclass(frozen=True)
class OpenHousehold:
    """The readable form of what is sealed of a household."""

    address: str | None
    contacts: tuple[ContactEntry, ...] = field(default=(), repr=False)


def normal_email(text: str) -> str:
    """The address in its one form. Raises ``ValueError`` that says what was expected."""
    address = text.strip()
    if len(address) > _MAX_EMAIL or not _EMAIL.fullmatch(address) or ".." in address:
        raise ValueError("expected an e-mail address such as kontakt@example.org")
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def normal_push(text: str) -> str:
    """A browser's push subscription (JSON) in its one form. Raises ``ValueError``."""
    expected = "expected a push subscription: JSON with endpoint (https) and keys p256dh and auth"
    try:
        subscription: Any = json.loads(text)
        endpoint, keys = subscription["endpoint"], subscription["keys"]
        wanted = {"endpoint": endpoint, "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(expected) from None
    values = (endpoint, keys["p256dh"], keys["auth"])
    if not all(isinstance(value, str) and value for value in values) or len(text) > _MAX_PUSH:
        raise ValueError(expected)
    if not endpoint.startswith(("https://", "http://localhost", "http://127.0.0.1")):
        raise ValueError(expected)
    return json.dumps(wanted, sort_keys=True, separators=(",", ":"))


def normal_number(text: str) -> str:
    """A telephone number as ``+976…``. Raises ``ValueError``."""
    try:
        number = phonenumbers.parse(text, "MN")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise ValueError("expected a telephone number such as 9911 2233")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normal_name(text: str) -> str:
    """What a service calls the person: one word. Raises ``ValueError``."""
    name = text.strip()
    if not name or len(name) > _MAX_EMAIL or not name.isprintable() or " " in name:
        raise ValueError("expected the person's name in that service: one word")
    return name


def normal_webhook(text: str) -> str:
    """``{"url": …, "secret": …}`` in its one form. Raises ``ValueError``."""
    try:
        given: Any = json.loads(text)
        wanted = {"url": given["url"], "secret": given["secret"]}
        good = wanted["url"].startswith("https://") and wanted["secret"].startswith("whsec_")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        good = False
    if not good or len(text) > _MAX_PUSH:
        raise ValueError("expected a webhook: JSON with url (https) and secret (whsec_…)")
    return json.dumps(wanted, sort_keys=True, separators=(",", ":"))


def normal_service(text: str) -> str:
    """An address of a service, such as ``slack://…``. Raises ``ValueError``."""
    scheme, separator, rest = text.strip().partition("://")
    if not (scheme.isalnum() and separator and rest) or len(text) > _MAX_PUSH:
        raise ValueError("expected a service's address such as slack://…")
    return text.strip()


#: The channels a contact can have, and how an address of each is brought into its one form.
CHANNELS: Final[dict[str, Callable[[str], str]]] = {
    "email": normal_email, "webpush": normal_push, "sms": normal_number, "voice": normal_number,
    "messenger": normal_name, "national_email": normal_name, "emongolia": normal_name,
    "webhook": normal_webhook, "apprise": normal_service,
}  # fmt: skip


def normal_address(channel: str, address: str) -> str:
    """The channel's address in its one form. Raises ``ValueError`` that says what was expected."""
    if channel not in CHANNELS:
        raise ValueError(f"{channel!r} is no channel; expected one of {', '.join(CHANNELS)}")
    return CHANNELS[channel](address)


def masked(channel: str, address: str) -> str:
    """An address for a list: enough to tell two apart, too little to write to."""
    if channel == "email":
        local, _, domain = address.rpartition("@")
        return f"{local[:1]}…@{domain[:1]}…"
    if channel == "webpush":
        return "…"
    return f"…{address[-2:]}"


async def household_of(session: AsyncSession, detector_id: str) -> Household | None:
    """The household a detector protects; None if it is nobody's (yet)."""
    return await session.scalar(
        select(Household)
        .join(Detector, Detector.household_id == Household.id)
        .where(Detector.id == detector_id, Detector.status.in_(SERVING))
    )


async def contacts_of(
    session: AsyncSession, household_id: str
) -> list[tuple[Contact, list[ContactChannel]]]:
    """A household's contacts in their order, each with its living channels; all still sealed."""
    contacts = (
        await session.scalars(
            select(Contact)
            .where(Contact.household_id == household_id, Contact.gone_us.is_(None))
            .order_by(Contact.position, Contact.id)
        )
    ).all()
    channels = await channels_of(session, [contact.id for contact in contacts])
    return [(contact, channels.get(contact.id, [])) for contact in contacts]


async def channels_of(
    session: AsyncSession, contact_ids: Sequence[str]
) -> dict[str, list[ContactChannel]]:
    """The channels of these contacts, by contact; the dead ones too, so that the office sees them."""
    result: dict[str, list[ContactChannel]] = {}
    if contact_ids:
        rows = await session.scalars(
            select(ContactChannel)
            .where(ContactChannel.contact_id.in_(contact_ids), ContactChannel.withdrawn_us.is_(None))
            .order_by(ContactChannel.channel, ContactChannel.id)
        )
        for row in rows:
            result.setdefault(row.contact_id, []).append(row)
    return result


def seal_address(keyring: Keyring, address: str | None) -> Sealed | None:
    """A household's address as its column takes it."""
    return keyring.seal(address, ADDRESS) if address else None


async def create_household(session: AsyncSession, household: Household) -> Household:
    """A new household. Raises ``NoSuch`` (site) or ``Conflict`` (its label is taken)."""
    if await session.get(Site, household.site_id) is None:
        raise NoSuch("site", household.site_id)
    taken = await session.scalar(select(Household.id).where(Household.label == household.label))
    if taken is not None:
        raise Conflict("label", f"a household is called {household.label!r} already")
    session.add(household)
    await session.flush()
    return household


async def change_household(session: AsyncSession, household: Household, **changes: object) -> None:
    """Change a household's fields. Raises ``Conflict`` (label taken; it has detectors at its site)."""
    label = changes.get("label", household.label)
    twin = await session.scalar(
        select(Household.id).where(Household.label == label, Household.id != household.id)
    )
    if twin is not None:
        raise Conflict("label", f"a household is called {label!r} already")
    site_id = changes.get("site_id", household.site_id)
    if site_id != household.site_id:
        await _check_move(session, household, str(site_id))
    for name, value in changes.items():
        setattr(household, name, value)
    await session.flush()
    await touch_site(session, household.site_id)


async def _check_move(session: AsyncSession, household: Household, site_id: str) -> None:
    if await session.get(Site, site_id) is None:
        raise NoSuch("site", site_id)
    hanging = await session.scalar(
        select(Detector.id).where(Detector.household_id == household.id).limit(1)
    )
    if hanging is not None:
        raise Conflict("site_id", "its detectors hang on another site; move or retire them first")


async def replace_contacts(
    session: AsyncSession,
    keyring: Keyring,
    household_id: str,
    wanted: Sequence[ContactEntry],
    *,
    now_us: int,
) -> bool:
    """Make the household's contacts exactly these, in this order. Returns whether anything changed.

    A contact that stays (same id, else same name) keeps its id and its channels theirs. One that goes
    is kept out of sight, because what was sent to it stays true and may still be under way. An
    address that was given up as dead and is entered again lives again. Raises ``ValueError`` for an
    address that is none.
    """
    return await _Contacts(session, keyring, household_id).become(wanted, gone_us=now_us)


async def merge_contacts(
    session: AsyncSession, keyring: Keyring, household_id: str, wanted: Sequence[ContactEntry]
) -> bool:
    """Add what is missing and change what differs; remove nobody. Returns whether anything changed."""
    return await _Contacts(session, keyring, household_id).become(wanted, gone_us=None)


class _Contacts:
    """One household's contacts on their way from what is stored to what is wanted."""

    def __init__(self, session: AsyncSession, keyring: Keyring, household_id: str) -> None:
        self._session = session
        self._keyring = keyring
        self._household_id = household_id
        self._changed = False

    async def become(self, wanted: Sequence[ContactEntry], *, gone_us: int | None) -> bool:
        """``gone_us``: whoever is not wanted goes at this time; None: nobody goes."""
        stored = list(
            await self._session.scalars(
                select(Contact)
                .where(Contact.household_id == self._household_id, Contact.gone_us.is_(None))
                .order_by(Contact.position, Contact.id)
            )
        )
        names = {contact.id: self._keyring.open(contact.name, CONTACT_NAME) for contact in stored}
        left = {contact.id: contact for contact in stored}
        for position, entry in enumerate(wanted, 1):
            contact = _twin(entry, left, names)
            if contact is None:
                contact = self._add(entry, position)
                await self._session.flush()
            else:
                del left[contact.id]
                self._change(contact, entry, position, names[contact.id])
            await self._become_channels(contact, entry, gone_us)
        if gone_us is not None and left:
            await self._session.execute(
                update(Contact).where(Contact.id.in_(left)).values(gone_us=gone_us)
            )
            self._changed = True
        await self._session.flush()
        await self._count_edit()
        return self._changed

    async def _count_edit(self) -> None:
        """Its contacts are part of the household: another version of them is one of it."""
        home = await self._session.get(Household, self._household_id) if self._changed else None
        if home is not None:
            home.version += 1
            await self._session.flush()

    def _add(self, entry: ContactEntry, position: int) -> Contact:
        contact = Contact(
            household_id=self._household_id,
            name=self._keyring.seal(entry.name, CONTACT_NAME),
            language=entry.language,
            position=position,
            role=entry.role or "resident",
        )
        self._session.add(contact)
        self._changed = True
        return contact

    def _change(self, contact: Contact, entry: ContactEntry, position: int, name: str) -> None:
        if name != entry.name:
            contact.name = self._keyring.seal(entry.name, CONTACT_NAME)
            self._changed = True
        if entry.role not in (None, contact.role):
            contact.role = entry.role or contact.role
            self._changed = True
        if (contact.language, contact.position) != (entry.language, position):
            contact.language, contact.position = entry.language, position
            self._changed = True

    async def _become_channels(
        self, contact: Contact, entry: ContactEntry, gone_us: int | None
    ) -> None:
        stored = {
            (channel.channel, channel.address_fingerprint): channel
            for channel in await self._session.scalars(
                select(ContactChannel).where(ContactChannel.contact_id == contact.id)
            )
        }
        for wanted in entry.channels:
            address = normal_address(wanted.channel, wanted.address)
            fingerprint = self._keyring.fingerprint(address, CHANNEL_ADDRESS).hex()
            known = stored.pop((wanted.channel, fingerprint), None)
            if known is not None:
                if known.dead_us is not None or known.withdrawn_us is not None:
                    known.dead_us = known.dead_reason = known.withdrawn_us = None
                    self._changed = True
                continue
            self._session.add(
                ContactChannel(
                    contact_id=contact.id,
                    channel=wanted.channel,
                    address=self._keyring.seal(address, CHANNEL_ADDRESS),
                    address_fingerprint=fingerprint,
                )
            )
            self._changed = True
        for channel in stored.values():
            if gone_us is not None and channel.withdrawn_us is None:
                channel.withdrawn_us = gone_us
                self._changed = True


def _twin(entry: ContactEntry, left: dict[str, Contact], names: dict[str, str]) -> Contact | None:
    if entry.id is not None:
        return left.get(entry.id)
    return next((contact for contact in left.values() if names[contact.id] == entry.name), None)


async def open_household(
    session: AsyncSession, keyring: Keyring, household: Household
) -> OpenHousehold:
    """The household's sealed fields, readable. The caller has checked the right and records it."""
    contacts = []
    for contact, channels in await contacts_of(session, household.id):
        entries = tuple(
            ChannelEntry(row.channel, keyring.open(row.address, CHANNEL_ADDRESS), row.id)
            for row in channels
        )
        name = keyring.open(contact.name, CONTACT_NAME)
        contacts.append(ContactEntry(name, contact.language, entries, contact.id, contact.role))
    address = keyring.open(household.address, ADDRESS) if household.address else None
    return OpenHousehold(address, tuple(contacts))


async def add_on_duty(
    session: AsyncSession, keyring: Keyring, role: str, unit_code: str | None, entry: ContactEntry
) -> Contact:
    """Somebody on duty for a unit and what lies in it (``duty``), or at the city's desk (``desk``).

    Raises ``ValueError`` for an address or a role that is none.
    """
    if role not in ("duty", "desk") or (role == "duty" and not unit_code):
        raise ValueError("expected the role desk, or duty with the code of a unit")
    contact = Contact(
        household_id=None, role=role, unit_code=unit_code, language=entry.language, position=1,
        name=keyring.seal(entry.name, CONTACT_NAME),
    )  # fmt: skip
    session.add(contact)
    await session.flush()
    for wanted in entry.channels:
        address = normal_address(wanted.channel, wanted.address)
        session.add(
            ContactChannel(
                contact_id=contact.id, channel=wanted.channel,
                address=keyring.seal(address, CHANNEL_ADDRESS),
                address_fingerprint=keyring.fingerprint(address, CHANNEL_ADDRESS).hex(),
            )
        )  # fmt: skip
    await session.flush()
    return contact
