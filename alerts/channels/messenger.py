"""Facebook Messenger's Send API.

Within 24 hours after the person's last message a text may be sent; outside only a pre-approved utility
template. Message tags for events are refused with error 100, and ``HUMAN_AGENT`` is not for programs,
so neither is ever sent. What the API refuses goes to the next rung; nothing is tried twice.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alerts.channels.base import Message, Outcome
from alerts.channels.evidence import scrub
from alerts.channels.http import AUTH_RETRY_S, Answer, judge, new_client, post
from alerts.settings import MessengerSettings
from edge.wire.clock import US_PER_S

WINDOW_S = 24 * 3600
#: A clock of ours that runs behind must not send a text into a closed window.
_MARGIN_S = 300
_MAX_TEXT = 2000
_THROTTLED = (4, 17, 32, 341, 613, 80006)
_TOKEN_ENDED = (102, 190)
_NO_SUCH_PERSON = (551, 2018001)


class MessengerChannel:
    """Sends as one page."""

    name = "messenger"

    def __init__(self, settings: MessengerSettings, *, token: str) -> None:
        self.concurrency = settings.concurrency
        self.timeout_s = settings.timeout_s
        self._url = settings.url.rstrip("/") + "/me/messages"
        self._templates = settings.templates
        self._token = token
        self._client = new_client(settings.timeout_s, settings.concurrency)

    async def send(self, message: Message) -> Outcome:
        """A text inside the window, a utility template outside of it."""
        if not message.address.isdigit():
            return Outcome("refused", "address_invalid")
        said = self._said(message)
        if said is None:
            return Outcome("refused", "policy_refused", "window closed and no template")
        body = {"recipient": {"id": message.address}} | said
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        answer = await post(self._client, self._url, msgspec.json.encode(body), headers)
        return self._outcome(answer, message) if isinstance(answer, Answer) else answer

    def _said(self, message: Message) -> dict[str, Any] | None:
        open_us = (WINDOW_S - _MARGIN_S) * US_PER_S
        if message.heard_us is not None and message.sent_us - message.heard_us < open_us:
            text = f"{message.short}\n{message.link}".strip()
            return {"messaging_type": "RESPONSE", "message": {"text": text[:_MAX_TEXT]}}
        template = self._templates.get(message.kind)
        if template is None:
            return None
        parameters = [{"type": "text", "text": message.short}]
        if message.link:
            parameters.append({"type": "text", "text": message.link})
        return {
            "messaging_type": "UTILITY",
            "message": {
                "template": {
                    "name": template,
                    "language": {"code": message.language},
                    "components": [{"type": "body", "parameters": parameters}],
                }
            },
        }

    def _outcome(self, answer: Answer, message: Message) -> Outcome:
        if answer.status == 200:
            named = answer.fields.get("message_id")
            known = named if isinstance(named, str) else None
            return Outcome("accepted", "accepted", "HTTP 200", provider_id=known)
        error = answer.fields.get("error")
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            return judge(answer, self._token, message.address)
        code = error["code"]
        evidence = scrub(f"HTTP {answer.status} error {code}", self._token, message.address)
        if code in _TOKEN_ENDED:
            return Outcome("retry", "auth_refused", evidence, AUTH_RETRY_S)
        if code in _THROTTLED:
            return Outcome("retry", "throttled", evidence, answer.retry_after_s)
        if code in _NO_SUCH_PERSON:
            return Outcome("refused", "address_unknown", evidence)
        if answer.status >= 500 or code in (1, 2):
            return Outcome("retry", "server_error", evidence)
        return Outcome("refused", "policy_refused", evidence)

    async def close(self) -> None:
        await self._client.aclose()
