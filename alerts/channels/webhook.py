"""Signed webhooks (Standard Webhooks), and any address that an Apprise API server knows.

A webhook's address is JSON: ``{"url": "https://…", "secret": "whsec_…"}``. It is a stranger's wish
where our server shall send a request, so the same care is taken as with push services.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import socket
from urllib.parse import urlsplit

import msgspec

from alerts.channels.base import Message, Outcome
from alerts.channels.http import Answer, judge, new_client, post
from alerts.settings import AppriseSettings, WebhookSettings
from edge.wire.clock import US_PER_S, rfc3339

_SECRET_PREFIX = "whsec_"  # noqa: S105  # the standard's prefix, no secret
#: A signature is believed this long before and after its time.
TOLERANCE_S = 300


class SignatureError(Exception):
    """A signed message does not hold. ``reason``: missing, too_old or forged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Target(msgspec.Struct, frozen=True):
    url: str
    secret: str


def key_of(secret: str) -> bytes:
    """The key of ``whsec_…`` (base 64). Raises ``ValueError``."""
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("expected a secret such as whsec_…") from None
    if not 16 <= len(key) <= 64:
        raise ValueError("expected a secret of 16 to 64 bytes")
    return key


def sign(key: bytes, message_id: str, time_s: int, body: bytes) -> str:
    """``v1,…`` over id, time and body."""
    signed = b".".join((message_id.encode(), str(time_s).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def verify(key: bytes, headers: dict[str, str], body: bytes, now_us: int) -> str:
    """The message's id, if it is signed with the key and fresh. Raises ``SignatureError``."""
    given = {name.lower(): value for name, value in headers.items()}
    message_id, signatures = given.get("webhook-id", ""), given.get("webhook-signature", "")
    stamp = given.get("webhook-timestamp", "")
    if not message_id or not signatures or not (stamp.isascii() and stamp.isdigit()):
        raise SignatureError("missing")
    if len(stamp) > 15 or abs(int(stamp) - now_us // US_PER_S) > TOLERANCE_S:
        raise SignatureError("too_old")
    wanted = sign(key, message_id, int(stamp), body)
    good = [hmac.compare_digest(wanted.encode(), each.encode()) for each in signatures.split()]
    if not any(good):
        raise SignatureError("forged")
    return message_id


class WebhookChannel:
    """POSTs each message as JSON to the contact's own server."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings) -> None:
        self.concurrency = settings.concurrency
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._client = new_client(
            settings.timeout_s, settings.concurrency, guarded=not settings.allow_private
        )

    async def send(self, message: Message) -> Outcome:
        """Sign and POST; the id is the delivery's own, so that a receiver sees a repetition."""
        try:
            target = msgspec.json.decode(message.address, type=_Target)
            key, url = key_of(target.secret), urlsplit(target.url)
            port = url.port or 443
        except (msgspec.DecodeError, ValueError):
            return Outcome("refused", "address_invalid")
        if not url.hostname or (url.scheme != "https" and not self._settings.allow_private):
            return Outcome("refused", "address_invalid")
        try:
            if not await self._may_reach(url.hostname, port):
                return Outcome("refused", "address_invalid", "not a public server")
        except (TimeoutError, socket.gaierror):
            return Outcome("retry", "connection_failed")
        body = _payload(message)
        time_s = message.sent_us // US_PER_S
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.delivery_id,
            "webhook-timestamp": str(time_s),
            "webhook-signature": sign(key, message.delivery_id, time_s, body),
        }
        answer = await post(self._client, target.url, body, headers)
        if not isinstance(answer, Answer):
            return answer
        outcome = judge(answer, target.url, target.secret)
        if answer.status == 410:
            return Outcome("refused", "address_dead", "HTTP 410")
        return outcome._replace(provider_id=None, evidence=f"HTTP {answer.status}")

    async def _may_reach(self, host: str, port: int) -> bool:
        if self._settings.allow_private:
            return True
        async with asyncio.timeout(self.timeout_s):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return all(ipaddress.ip_address(entry[4][0]).is_global for entry in found)

    async def close(self) -> None:
        await self._client.aclose()


def _payload(message: Message) -> bytes:
    return msgspec.json.encode(
        {
            "type": f"alert.{message.kind}",
            "timestamp": rfc3339(message.sent_us),
            "data": {
                "incident": message.incident_id, "urgent": message.urgent, "rung": message.rung,
                "language": message.language, "subject": message.subject, "text": message.short,
                "link": message.link,
            },
        }
    )  # fmt: skip


class AppriseChannel:
    """Hands messages to an Apprise API server of the city's, which knows a hundred services more."""

    name = "apprise"

    def __init__(self, settings: AppriseSettings) -> None:
        self.concurrency = settings.concurrency
        self.timeout_s = settings.timeout_s
        self._url = settings.url.rstrip("/") + "/notify"
        self._client = new_client(settings.timeout_s, settings.concurrency)

    async def send(self, message: Message) -> Outcome:
        """One stateless notification; 424 is Apprise's word for "not all were reached"."""
        scheme, separator, rest = message.address.partition("://")
        if not (scheme and separator and rest):
            return Outcome("refused", "address_invalid")
        fields = {
            "urls": message.address, "title": message.subject, "body": message.short,
            "type": "failure" if message.urgent else "info",
        }  # fmt: skip
        headers = {"Content-Type": "application/json"}
        answer = await post(self._client, self._url, msgspec.json.encode(fields), headers)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 424:
            return Outcome("refused", "policy_refused", "HTTP 424")
        return judge(answer, message.address)

    async def close(self) -> None:
        await self._client.aclose()
