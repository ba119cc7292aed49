"""Signed links: one tap says "I have it", without signing in.

A token names one incident and one notification, expires, and is signed with a key of its own derived
from the city's key ring; it carries no address and no name. Showing the page must not acknowledge (a
link preview fetches it too): the page has a button, and only its POST calls ``acknowledge_by_token``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents
from alerts.models import Delivery, Notification
from alerts.policy import DEFAULT_POLICY, Policy
from edge.wire.clock import US_PER_S
from registry.models import Contact
from registry.sealed import Keyring

#: A link is of use while its incident is fresh; after that the desk is asked.
LINK_LIFE_S = 7 * 24 * 3600
#: 128 bits; shorter links survive an SMS.
_SIGNATURE_BYTES = 16
_PURPOSE = "alerts.acknowledge"
#: No token of ours is longer; longer ones are not even looked at.
_MAX_TOKEN_CHARACTERS = 200


class TokenError(Exception):
    """The link does not hold. ``reason``: malformed, forged or expired."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Claim(NamedTuple):
    """What a link says."""

    incident_id: str
    notification_id: str
    expires_us: int


def issue(keyring: Keyring, incident_id: str, notification_id: str, now_us: int) -> str:
    """A token for one notification; the same ids give the same token within the same second."""
    expires_s = now_us // US_PER_S + LINK_LIFE_S
    said = f"{incident_id}.{notification_id}.{expires_s:x}"
    return f"{said}.{_signature(keyring, said)}"


def verify(keyring: Keyring, token: str, now_us: int) -> Claim:
    """What the token says, if it is ours and still holds. Raises ``TokenError``."""
    parts = token.split(".")
    if len(token) > _MAX_TOKEN_CHARACTERS or len(parts) != 4 or not token.isascii():
        raise TokenError("malformed")
    said = token.rpartition(".")[0]
    if not hmac.compare_digest(parts[3], _signature(keyring, said)):
        raise TokenError("forged")
    expires_us = int(parts[2], 16) * US_PER_S
    if now_us > expires_us:
        raise TokenError("expired")
    return Claim(parts[0], parts[1], expires_us)


def _signature(keyring: Keyring, said: str) -> str:
    digest = hashlib.sha256(keyring.fingerprint(said, _PURPOSE)).digest()[:_SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


async def acknowledge_by_token(
    session: AsyncSession, keyring: Keyring, token: str, now_us: int, *, policy: Policy = DEFAULT_POLICY
) -> tuple[str, bool]:
    """Acknowledge for the person whom the link was sent to.

    Returns the incident's id and whether this was the first acknowledgement. The delivery that
    carried the link was evidently seen, and says so. Raises ``TokenError``, ``IncidentError``.
    """
    claim = verify(keyring, token, now_us)
    person = await session.scalar(
        select(Contact)
        .join(Notification, Notification.contact_id == Contact.id)
        .where(Notification.id == claim.notification_id, Notification.incident_id == claim.incident_id)
    )
    first = await incidents.acknowledge(
        session, claim.incident_id, who_of(person), now_us, by_contact=person.id if person else None,
        policy=policy,
    )  # fmt: skip
    deliveries = await session.scalars(
        select(Delivery).where(
            Delivery.notification_id == claim.notification_id,
            Delivery.state.in_(("accepted", "delivered")),
        )
    )
    seen = list(deliveries)
    if len(seen) == 1:  # with several channels nobody knows which one was read
        seen[0].state, seen[0].seen_us = "seen", now_us
    await session.flush()
    return claim.incident_id, first


def who_of(person: Contact | None) -> str:
    """How a person appears in stories: by role and place in the order, never by name."""
    if person is None:
        return "contact"
    word = "contact" if person.role == "resident" else person.role
    return f"{word} {person.position}"


def link(public_url: str, token: str) -> str:
    """Where the button is; empty while the city has no public address."""
    return f"{public_url.rstrip('/')}/a/{token}" if public_url else ""
