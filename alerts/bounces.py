"""Bounces taken in (RFC 3464): a mail that was accepted and comes back.

The mail server hands every mail to our sender address to ``utaa alerts bounce``. A report is believed
only where it names a Message-ID of ours that we did send; a failed one (5.x.x) counts as refused, marks
the address dead where it says that there is no such address, and climbs the ladder.
"""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import Message as MailMessage
from typing import NamedTuple

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import reports
from alerts.models import Delivery
from alerts.policy import DEFAULT_POLICY, Policy
from registry.models import ContactChannel

#: Reports are some kilobytes and may hold the mail; ours are small.
MAX_BOUNCE_BYTES = 1 << 20
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_OUR_ID = re.compile(r"<([0-9A-Za-z_-]{1,64})@[^<>\s]{1,255}>")
#: RFC 3463: bad destination mailbox, system or syntax; mailbox moved; disabled.
_NO_SUCH_ADDRESS = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")


class Bounce(NamedTuple):
    """What one report says of one delivery of ours."""

    delivery_id: str
    #: failed | delayed | delivered | relayed | expanded
    action: str
    status: str


def read_bounce(mail: bytes) -> Bounce | None:
    """The report in a mail; None if it is none of ours."""
    if len(mail) > MAX_BOUNCE_BYTES:
        return None
    whole = message_from_bytes(mail, policy=policy.compat32)
    if whole.get_content_type() != "multipart/report":
        return None
    action = status = delivery_id = ""
    for part in whole.walk():
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            for block in _blocks(part):
                action = action or str(block.get("Action", "")).strip().lower()
                status = status or _found(_STATUS, str(block.get("Status", "")))
        elif kind in ("message/rfc822", "text/rfc822-headers"):
            delivery_id = delivery_id or _message_id(part)
    return Bounce(delivery_id, action, status) if delivery_id and action and status else None


def _blocks(part: MailMessage) -> list[MailMessage]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, MailMessage)] if isinstance(
        payload, list
    ) else []  # fmt: skip


def _message_id(part: MailMessage) -> str:
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], MailMessage):
        inner = payload[0]
    else:
        inner = message_from_bytes(str(payload).encode("utf-8", "replace"), policy=policy.compat32)
    found = _OUR_ID.search(str(inner.get("Message-ID", "")))
    return found.group(1) if found else ""


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group(0) if match else ""


async def take_in(
    session: AsyncSession, mail: bytes, now_us: int, *, policy: Policy = DEFAULT_POLICY
) -> bool:
    """Fold a mail that came back; whether it was news."""
    bounce = read_bounce(mail)
    if bounce is None:
        return False
    delivery = await session.get(Delivery, bounce.delivery_id)
    if delivery is None or delivery.channel != "email":
        return False
    evidence = f"{bounce.action} {bounce.status}"
    if bounce.action == "delivered" and bounce.status.startswith("2"):
        return await reports.apply(session, delivery.id, "delivered", evidence, now_us, policy=policy)
    if bounce.action != "failed":
        return False
    if bounce.status in _NO_SUCH_ADDRESS and delivery.state in ("accepted", "unknown"):
        await session.execute(
            update(ContactChannel)
            .where(ContactChannel.id == delivery.channel_id, ContactChannel.dead_us.is_(None))
            .values(dead_us=now_us, dead_reason="bounced")
        )
    return await reports.apply(
        session, delivery.id, "failed", evidence, now_us, reason="bounced", policy=policy
    )
