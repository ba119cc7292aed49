"""Channels behind our own HTTP contract: the national e-mail, e-Mongolia's push, voice calls.

None of these has a public API text, so the city's integrator builds a small adapter that speaks this
contract (docs/alerts.md), and each simulator enforces it. ``POST <url>/messages`` with a bearer key and
``Idempotency-Key``; 202 with the provider's ``id``. What becomes of the message later is told to us
by a signed report (``alerts.reports``).
"""

from __future__ import annotations

from typing import Any

import msgspec

from alerts.channels.base import Message, Outcome
from alerts.channels.http import Answer, judge, new_client, post
from alerts.channels.sms import number_of
from alerts.settings import ContractSettings
from edge.wire.clock import US_PER_S, rfc3339

#: Spoken so often, and acknowledged by this key.
VOICE_TIMES, VOICE_KEY = 2, "1"


class ContractChannel:
    """One adapter of the city's."""

    def __init__(self, name: str, settings: ContractSettings, *, key: str = "") -> None:
        self.name = name
        self.concurrency = settings.concurrency
        self.timeout_s = settings.timeout_s
        self._url = settings.url.rstrip("/") + "/messages"
        self._key = key
        self._client = new_client(settings.timeout_s, settings.concurrency)

    async def send(self, message: Message) -> Outcome:
        """Hand it over once; the same key makes a repetition harmless to the adapter."""
        recipient = number_of(message.address) if self.name == "voice" else message.address.strip()
        if not recipient:
            return Outcome("refused", "address_invalid")
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": message.delivery_id,
        }
        content = msgspec.json.encode(self._body(message, recipient))
        answer = await post(self._client, self._url, content, headers)
        if not isinstance(answer, Answer):
            return answer
        return judge(answer, self._key, recipient, message.address)

    def _body(self, message: Message, recipient: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": message.delivery_id, "to": recipient, "kind": message.kind,
            "urgent": message.urgent, "language": message.language,
            "expires": rfc3339(message.sent_us + message.ttl_s * US_PER_S),
        }  # fmt: skip
        if self.name == "voice":
            said = {"say": [message.short] * VOICE_TIMES, "acknowledge_key": VOICE_KEY}
        elif self.name == "emongolia":
            said = {"title": message.subject, "text": message.short, "link": message.link}
        else:
            said = {"subject": message.subject, "text": message.body}
        return body | said

    async def close(self) -> None:
        await self._client.aclose()
