"""What people wish: consent, verified channels, quiet hours, holidays; and what they answer.

Consent is a row for every yes and no, with the text's version and the time; the newest one holds. A
channel is verified by a code that was sent to it, or by an answer that came from it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import acknowledge, consent, incidents, reports
from alerts.models import Consent, Delivery, Incident, Notification
from alerts.policy import DEFAULT_POLICY, Policy
from alerts.texts import Catalogues, load_catalogues
from edge.wire.clock import US_PER_S
from registry.households import CHANNEL_ADDRESS
from registry.models import Contact, ContactChannel
from registry.sealed import Keyring

#: The consent text that is shown now; a changed text gets another version.
CONSENT_TEXT_VERSION = consent.current()
How = Literal["link", "page", "office", "import", "messenger"]
CODE_LIFE_S = 3600
#: The texts of codes; read once.
CATALOGUES = load_catalogues()
_CODE_DIGITS = 6
#: Five wrong guesses end a code; six digits then cannot be guessed.
_MAX_GUESSES = 5
#: What a person may answer to an alarm on a channel that takes answers.
_YES = ("1", "ok", "за", "тийм", "yes", "авлаа")


class WishError(Exception):
    """A wish that cannot be met. ``reason``: unknown_channel, unknown_contact, wrong_hours,
    no_code, wrong_code or code_expired."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def give_consent(
    session: AsyncSession, channel_id: str, how: How, now_us: int,
    *, text_version: str = CONSENT_TEXT_VERSION,
) -> None:  # fmt: skip
    """The person agrees to be told on this channel. Raises ``WishError``."""
    channel = await _channel(session, channel_id)
    channel.withdrawn_us = None
    session.add(
        Consent(channel_id=channel_id, given=True, text_version=text_version, how=how, at_us=now_us)
    )
    await session.flush()


async def withdraw_consent(session: AsyncSession, channel_id: str, how: How, now_us: int) -> None:
    """The person takes it back; nothing more is planned for this channel. Raises ``WishError``."""
    channel = await _channel(session, channel_id)
    channel.withdrawn_us = now_us
    session.add(
        Consent(
            channel_id=channel_id, given=False, text_version=CONSENT_TEXT_VERSION, how=how, at_us=now_us
        )
    )
    await session.flush()


async def mute(session: AsyncSession, channel_id: str, now_us: int | None) -> bool:
    """Nothing that can wait goes there any more (None: again); fire and CO still do.

    Returns whether that is news. Raises ``WishError``.
    """
    channel = await _channel(session, channel_id)
    if (channel.muted_us is None) == (now_us is None):
        return False
    channel.muted_us = now_us
    await session.flush()
    return True


async def language_of(session: AsyncSession, channel_id: str) -> str:
    """In which language to speak on that channel. Raises ``WishError``."""
    return (await _contact(session, (await _channel(session, channel_id)).contact_id)).language


async def consents_of(session: AsyncSession, channel_id: str) -> list[Consent]:
    """Every yes and no for a channel, in order."""
    rows = await session.scalars(
        select(Consent).where(Consent.channel_id == channel_id).order_by(Consent.id)
    )
    return list(rows)


async def set_quiet_hours(
    session: AsyncSession, contact_id: str, hours: tuple[int, int] | None
) -> None:
    """Local hours without troubles; None for no wish. Alarms are told at any hour."""
    contact = await _contact(session, contact_id)
    if hours is not None and not (all(0 <= h <= 23 for h in hours) and hours[0] != hours[1]):
        raise WishError("wrong_hours")
    contact.quiet_from_h, contact.quiet_until_h = hours if hours is not None else (None, None)
    await session.flush()


async def set_away(session: AsyncSession, contact_id: str, until_us: int | None) -> None:
    """On holiday until then: what can wait goes to the next contact."""
    (await _contact(session, contact_id)).away_until_us = until_us
    await session.flush()


class CodeMessage(NamedTuple):
    """A code on its way: what to send, on which channel, to where. Shows nothing of it."""

    channel: str
    address: str
    language: str
    subject: str
    body: str
    short: str

    def __repr__(self) -> str:
        return f"CodeMessage({self.channel}, …)"


async def new_code(
    session: AsyncSession, keyring: Keyring, catalogues: Catalogues, channel_id: str, now_us: int
) -> CodeMessage:
    """A fresh code for the channel, to be sent to its address. Only a hash is kept."""
    channel = await _channel(session, channel_id)
    contact = await _contact(session, channel.contact_id)
    code = f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"
    channel.code_hash = f"0:{_hash(keyring, channel_id, code)[:48]}"
    channel.code_until_us = now_us + CODE_LIFE_S * US_PER_S
    await session.flush()
    say = catalogues.get(contact.language).text
    return CodeMessage(
        channel.channel, keyring.open(channel.address, CHANNEL_ADDRESS), contact.language,
        say("verify.subject", code=code), say("verify.body", code=code), say("verify.short", code=code),
    )  # fmt: skip


async def verify_code(
    session: AsyncSession, keyring: Keyring, channel_id: str, code: str, now_us: int
) -> bool:
    """Whether the code is right; then the channel is verified. Raises ``WishError``.

    A wrong guess is counted, so commit also when this says False.
    """
    channel = await _channel(session, channel_id)
    if channel.code_hash is None or channel.code_until_us is None:
        raise WishError("no_code")
    if now_us > channel.code_until_us:
        raise WishError("code_expired")
    guesses, _, wanted = channel.code_hash.partition(":")
    given = _hash(keyring, channel_id, code.strip())[:48]
    if not hmac.compare_digest(wanted, given):
        tried = int(guesses) + 1
        channel.code_hash = f"{tried}:{wanted}" if tried < _MAX_GUESSES else None
        await session.flush()
        return False
    channel.code_hash = channel.code_until_us = None
    channel.verified_us = now_us
    channel.dead_us = channel.dead_reason = None
    await session.flush()
    return True


def _hash(keyring: Keyring, channel_id: str, code: str) -> str:
    return hashlib.sha256(keyring.fingerprint(f"{channel_id}.{code}", "alerts.code")).hexdigest()


async def _channel(session: AsyncSession, channel_id: str) -> ContactChannel:
    found = await session.get(ContactChannel, channel_id, with_for_update=True)
    if found is None:
        raise WishError("unknown_channel")
    return found


async def _contact(session: AsyncSession, contact_id: str) -> Contact:
    found = await session.get(Contact, contact_id, with_for_update=True)
    if found is None:
        raise WishError("unknown_contact")
    return found


# ---- what Messenger's webhook says --------------------------------------------------------------


class MessengerSignatureError(Exception):
    """A webhook that is not signed with the app's secret."""


class _Heard(NamedTuple):
    sender: str
    event: dict[str, Any]


async def take_messenger(
    session: AsyncSession, keyring: Keyring, app_secret: str, signature: str, body: bytes, now_us: int,
    *, policy: Policy = DEFAULT_POLICY,
) -> int:  # fmt: skip
    """Fold a webhook of the page: deliveries, reads, answers, opt-ins. How many were of use.

    Raises ``MessengerSignatureError``; what is signed but not understood is passed over.
    """
    wanted = "sha256=" + hmac.digest(app_secret.encode(), body, hashlib.sha256).hex()
    if not app_secret or not hmac.compare_digest(wanted.encode(), signature.encode()):
        raise MessengerSignatureError
    used = 0
    for heard in _events(body):
        used += await _take_one(session, keyring, heard, now_us, policy)
    return used


def _events(body: bytes) -> list[_Heard]:
    try:
        entries = msgspec.json.decode(body, type=dict[str, Any]).get("entry", [])
        found = [
            _Heard(event["sender"]["id"], event)
            for entry in entries
            for event in entry.get("messaging", [])
        ]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return []
    return [each for each in found if isinstance(each.sender, str)]


async def _take_one(
    session: AsyncSession, keyring: Keyring, heard: _Heard, now_us: int, policy: Policy
) -> bool:
    event = heard.event
    if isinstance(delivered := event.get("delivery"), dict):
        ids = [
            await reports.by_provider_id(session, "messenger", str(mid))
            for mid in delivered.get("mids", [])[:100]
        ]
        for delivery_id in filter(None, ids):
            await reports.apply(session, delivery_id, "delivered", "mid", now_us, policy=policy)
        return any(ids)
    channel = await _by_address(session, keyring, heard.sender)
    if isinstance(optin := event.get("referral") or event.get("optin"), dict):
        return await _opt_in(session, keyring, heard.sender, str(optin.get("ref", "")), now_us)
    if channel is None:
        return False
    if "read" in event:
        return await _last_seen(session, channel, now_us, policy)
    message = event.get("message")
    if not isinstance(message, dict) or message.get("is_echo"):
        return False
    channel.heard_us = now_us
    channel.verified_us = channel.verified_us or now_us
    text = str(message.get("text", "")).strip().lower().rstrip(".!")
    if text in _YES:
        await _answered(session, channel, now_us, policy)
    await session.flush()
    return True


async def _by_address(session: AsyncSession, keyring: Keyring, address: str) -> ContactChannel | None:
    fingerprint = keyring.fingerprint(address, CHANNEL_ADDRESS).hex()
    found: ContactChannel | None = await session.scalar(
        select(ContactChannel)
        .where(ContactChannel.channel == "messenger", ContactChannel.address_fingerprint == fingerprint)
        .limit(1)
    )
    return found


async def _opt_in(session: AsyncSession, keyring: Keyring, sender: str, ref: str, now_us: int) -> bool:
    """A person came by the link that the page showed: ``ref`` is a signed contact id."""
    try:
        contact_id = reports.opened(keyring, ref)
    except reports.ReportError:
        return False
    contact = await session.get(Contact, contact_id)
    if contact is None or await _by_address(session, keyring, sender) is not None:
        return False
    channel = ContactChannel(
        contact_id=contact_id, channel="messenger", address=keyring.seal(sender, CHANNEL_ADDRESS),
        address_fingerprint=keyring.fingerprint(sender, CHANNEL_ADDRESS).hex(),
        verified_us=now_us, heard_us=now_us,
    )  # fmt: skip
    session.add(channel)
    await session.flush()
    await give_consent(session, channel.id, "messenger", now_us)
    return True


async def _last_seen(
    session: AsyncSession, channel: ContactChannel, now_us: int, policy: Policy
) -> bool:
    ids = await session.scalars(
        select(Delivery.id).where(
            Delivery.channel_id == channel.id, Delivery.state.in_(("accepted", "delivered"))
        )
    )
    for delivery_id in ids.all():
        await reports.apply(session, delivery_id, "seen", "read", now_us, policy=policy)
    return True


async def _answered(
    session: AsyncSession, channel: ContactChannel, now_us: int, policy: Policy
) -> None:
    """An answer acknowledges what the person was last told of, if that is still open."""
    incident_id = await session.scalar(
        select(Incident.id)
        .join(Notification, Notification.incident_id == Incident.id)
        .where(Notification.contact_id == channel.contact_id, Incident.state == "opened")
        .order_by(Notification.created_us.desc())
        .limit(1)
    )
    person = await _contact(session, channel.contact_id)
    if incident_id is not None:
        await incidents.acknowledge(
            session, incident_id, acknowledge.who_of(person), now_us, by_contact=person.id,
            policy=policy,
        )  # fmt: skip
