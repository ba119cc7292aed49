"""What providers tell later: delivered, seen, sent back, answered by a key.

An SMS gateway calls ``<report_url>/<token>?status=…`` (Kannel's numbers); an adapter of our HTTP
contract posts a signed report (Standard Webhooks). A token is signed for one delivery and carries
nothing else. A failure after the acceptance climbs the ladder as a refusal does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Literal

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import acknowledge, incidents, ladder
from alerts.channels.webhook import key_of, verify
from alerts.models import Delivery, IncidentEntry, Notification
from alerts.policy import DEFAULT_POLICY, Policy
from registry.households import CHANNEL_ADDRESS
from registry.models import Contact, ContactChannel
from registry.sealed import Keyring

Event = Literal["delivered", "seen", "failed", "acknowledged"]
#: Kannel's delivery reports; 4 and 8 say that it waits or has been handed on.
_KANNEL: dict[int, Event] = {1: "delivered", 2: "failed", 16: "failed"}
_PURPOSE = "alerts.report"
_SIGNATURE_BYTES = 16
_MAX_TOKEN_CHARACTERS = 120
#: What each state may become by a report: never backwards.
_RANK = {"sending": 0, "unknown": 0, "accepted": 1, "delivered": 2, "seen": 3}


class ReportError(Exception):
    """A report that is none. ``reason``: forged, unknown_delivery or unreadable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Report(msgspec.Struct, frozen=True):
    id: str
    event: Event
    detail: str = ""


def token(keyring: Keyring, about: str) -> str:
    """A name for a delivery (or a channel) that nobody else can make."""
    digest = hashlib.sha256(keyring.fingerprint(about, _PURPOSE)).digest()[:_SIGNATURE_BYTES]
    return f"{about}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode('ascii')}"


def opened(keyring: Keyring, given: str) -> str:
    """What the token is about. Raises ``ReportError``."""
    about = given.rpartition(".")[0]
    if len(given) > _MAX_TOKEN_CHARACTERS or not given.isascii():
        raise ReportError("forged")
    if not hmac.compare_digest(token(keyring, about), given):
        raise ReportError("forged")
    return about


async def take_sms(
    session: AsyncSession, keyring: Keyring, given: str, status: int, now_us: int,
    *, policy: Policy = DEFAULT_POLICY,
) -> bool:  # fmt: skip
    """A delivery report of a Kannel-like gateway. Raises ``ReportError``."""
    delivery_id = opened(keyring, given)
    event = _KANNEL.get(status)
    if event is None:
        return False
    return await apply(session, delivery_id, event, f"report {status}", now_us, policy=policy)


async def take_signed(
    session: AsyncSession, key: bytes, channel: str, headers: Mapping[str, str], body: bytes,
    now_us: int, *, policy: Policy = DEFAULT_POLICY,
) -> bool:  # fmt: skip
    """A report of an adapter on one of its own deliveries.

    Raises ``SignatureError`` and ``ReportError``.
    """
    verify(key, dict(headers), body, now_us)
    report = _read(body)
    found = await session.scalar(select(Delivery.channel).where(Delivery.id == report.id))
    if found != channel:
        raise ReportError("unknown_delivery")
    return await apply(session, report.id, report.event, "signed report", now_us, policy=policy)


async def take_from_receiver(
    session: AsyncSession, keyring: Keyring, headers: Mapping[str, str], body: bytes, now_us: int,
    *, policy: Policy = DEFAULT_POLICY,
) -> bool:  # fmt: skip
    """A report of a contact's own server, signed with the secret of that contact's webhook.

    Raises ``SignatureError`` and ``ReportError``.
    """
    report = _read(body)
    address = await session.scalar(
        select(ContactChannel.address)
        .join(Delivery, Delivery.channel_id == ContactChannel.id)
        .where(Delivery.id == report.id, Delivery.channel == "webhook")
    )
    if address is None:
        raise ReportError("unknown_delivery")
    try:
        key = key_of(json.loads(keyring.open(address, CHANNEL_ADDRESS))["secret"])
    except (ValueError, KeyError, TypeError):
        raise ReportError("unknown_delivery") from None
    return await take_signed(session, key, "webhook", headers, body, now_us, policy=policy)


def _read(body: bytes) -> _Report:
    try:
        return msgspec.json.decode(body, type=_Report)
    except msgspec.DecodeError:
        raise ReportError("unreadable") from None


async def apply(
    session: AsyncSession, delivery_id: str, event: Event, evidence: str, now_us: int,
    *, reason: str = "undelivered", policy: Policy = DEFAULT_POLICY,
) -> bool:  # fmt: skip
    """Write down what a provider says later; whether it was news. Raises ``ReportError``."""
    delivery = await session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
    if delivery is None:
        raise ReportError("unknown_delivery")
    if event == "failed":
        return await _failed(session, delivery, reason, evidence, now_us, policy)
    state = "seen" if event == "acknowledged" else event
    if _RANK.get(delivery.state, 9) >= _RANK[state]:
        news = False
    else:
        delivery.state, news = state, True
        if state == "seen":
            delivery.seen_us = now_us
        else:
            delivery.delivered_us = now_us
    await _note(session, delivery, "reported_" + event, evidence, now_us)
    if event == "acknowledged":
        await _acknowledged(session, delivery, now_us, policy)
    await session.flush()
    return news


async def _failed(
    session: AsyncSession, delivery: Delivery, reason: str, evidence: str, now_us: int, policy: Policy
) -> bool:
    if delivery.state not in ("accepted", "unknown"):
        return False
    delivery.state, delivery.reason = "refused", reason
    await _note(session, delivery, "reported_failed", evidence, now_us)
    await session.flush()
    await ladder.after_failure(session, [delivery.id], now_us, policy)
    return True


async def _note(
    session: AsyncSession, delivery: Delivery, what: str, evidence: str, now_us: int
) -> None:
    found = await session.execute(
        select(Notification, Contact)
        .join(Contact, Notification.contact_id == Contact.id)
        .where(Notification.id == delivery.notification_id)
    )
    notification, person = found.one()
    detail = {"channel": delivery.channel, "rung": notification.rung, "evidence": evidence}
    session.add(
        IncidentEntry(
            incident_id=notification.incident_id, at_us=now_us, what=what,
            actor=acknowledge.who_of(person), detail=detail,
        )
    )  # fmt: skip


async def _acknowledged(session: AsyncSession, delivery: Delivery, now_us: int, policy: Policy) -> None:
    row = await session.execute(
        select(Notification.incident_id, Contact)
        .join(Contact, Notification.contact_id == Contact.id)
        .where(Notification.id == delivery.notification_id)
    )
    incident_id, person = row.one()
    await incidents.acknowledge(
        session, incident_id, acknowledge.who_of(person), now_us, by_contact=person.id, policy=policy
    )


async def by_provider_id(session: AsyncSession, channel: str, provider_id: str) -> str | None:
    """The delivery that the provider calls so."""
    found: str | None = await session.scalar(
        select(Delivery.id).where(Delivery.provider_id == provider_id, Delivery.channel == channel)
    )
    return found
