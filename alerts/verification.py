"""Sending a verification code: at once, on the channel that it verifies, and never through the queue.

The code is in the message and nowhere else; the outcome is told to whoever asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from alerts.channels.base import Channel, Message, Outcome
from alerts.wishes import CODE_LIFE_S, CodeMessage
from edge.wire.identity import new_id


async def send_code(channels: Mapping[str, Channel], code: CodeMessage, now_us: int) -> Outcome:
    """Hand the code over; what became of it."""
    channel = channels.get(code.channel)
    if channel is None:
        return Outcome("refused", "not_configured")
    message = Message(
        delivery_id=new_id(), incident_id="code", channel=code.channel, address=code.address,
        kind="verify", language=code.language, subject=code.subject, body=code.body,
        short=code.short, sent_us=now_us, urgent=False, ttl_s=CODE_LIFE_S,
    )  # fmt: skip
    try:
        async with asyncio.timeout(channel.timeout_s):
            return await channel.send(message)
    except TimeoutError:
        return Outcome("unknown", "answer_lost")
