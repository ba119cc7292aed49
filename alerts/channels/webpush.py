"""Web push (RFC 8030): encrypted for one browser (RFC 8291), signed by us (RFC 8292).

A subscription comes from a browser, so its address is a stranger's wish where our server shall send a
request. Therefore: https only, a public host only (each connection goes to the address judged for it,
``registry.outward``), one of ``allowed_hosts`` where there are any, no redirect is followed; of the
answer nothing but its status goes anywhere.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from alerts.channels.base import Message, Outcome
from alerts.channels.vapid import Vapid, b64url, from_b64url
from alerts.settings import WebPushSettings
from registry.outward import Guard, GuardedTransport, OutwardRefused

#: One record of aes128gcm; push services take 4096 bytes in all.
_RECORD_BYTES = 4096
_HEADER_BYTES = 16 + 4 + 1 + 65
_MAX_PLAIN_BYTES = _RECORD_BYTES - _HEADER_BYTES - 16 - 1
#: A push service that asks for more than this is asked again anyway.
_MAX_RETRY_AFTER_S = 3600.0


class _Keys(msgspec.Struct, frozen=True):
    p256dh: str
    auth: str


class _Subscription(msgspec.Struct, frozen=True):
    endpoint: str
    keys: _Keys


class Target(NamedTuple):
    """A subscription, checked."""

    endpoint: str
    origin: str
    host: str
    port: int
    public_key: bytes
    auth: bytes


def parse_subscription(text: str, *, allow_http: bool = False) -> Target:
    """The browser's subscription. Raises ``ValueError``, which does not show the address."""
    try:
        given = msgspec.json.decode(text, type=_Subscription)
        public_key, auth = from_b64url(given.keys.p256dh), from_b64url(given.keys.auth)
        url = urlsplit(given.endpoint)
        port = url.port or (443 if url.scheme == "https" else 80)
    except (msgspec.DecodeError, ValueError):
        raise ValueError("not a push subscription; expected endpoint, keys.p256dh, keys.auth") from None
    if url.scheme != "https" and not (allow_http and url.scheme == "http"):
        raise ValueError("the subscription's address is not https")
    if not url.hostname or url.username or url.password or not given.endpoint.isascii():
        raise ValueError("the subscription's address is none")
    if len(public_key) != 65 or public_key[0] != 4 or len(auth) != 16:
        raise ValueError("the subscription's keys have the wrong length")
    return Target(
        given.endpoint, f"{url.scheme}://{url.netloc}", url.hostname.lower(), port, public_key, auth
    )


class WebPushChannel:
    """Sends to the push service that each browser names."""

    name = "webpush"

    def __init__(self, settings: WebPushSettings, vapid: Vapid) -> None:
        self.concurrency = settings.concurrency
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._vapid = vapid
        for library in ("httpx", "httpcore"):  # they log whole addresses, which are capabilities
            logging.getLogger(library).setLevel(logging.WARNING)
        most = settings.concurrency
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
        inner = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
        self._client = httpx.AsyncClient(
            timeout=settings.timeout_s, follow_redirects=False, trust_env=False,
            transport=inner if settings.allow_private else GuardedTransport(Guard(), inner),
        )  # fmt: skip

    async def send(self, message: Message) -> Outcome:
        """Encrypt for the browser and hand over to its push service."""
        try:
            target = parse_subscription(message.address, allow_http=self._settings.allow_private)
            body = encrypt(push_payload(message), target.public_key, target.auth)
        except (ValueError, InvalidKey):
            return Outcome("refused", "address_invalid")
        try:
            if self._settings.allowed_hosts and target.host not in self._settings.allowed_hosts:
                raise OutwardRefused("private")
            answer = await self._client.post(
                target.endpoint, content=body, headers=self._headers(message, target)
            )
        except OutwardRefused as error:
            if error.reason == "unknown_host":
                return Outcome("retry", "connection_failed")
            return Outcome("refused", "address_invalid", "not a public push service")
        except (TimeoutError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return Outcome("retry", "timeout")
        except (socket.gaierror, httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL):
            return Outcome("retry", "connection_failed")
        except httpx.HTTPError as error:
            return Outcome("unknown", "answer_lost", type(error).__name__)
        return judge(answer.status_code, answer.headers.get("Retry-After"))

    async def close(self) -> None:
        await self._client.aclose()

    def _headers(self, message: Message, target: Target) -> dict[str, str]:
        return {
            "Authorization": self._vapid.authorization(target.origin),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(max(1, message.ttl_s)),
            "Urgency": "high" if message.urgent else "normal",
            "Topic": topic_of(message.incident_id),
        }


def push_payload(message: Message) -> bytes:
    """What the service worker of our page shows; short, so that it fits one record."""
    return msgspec.json.encode(
        {
            "v": 1,
            "kind": message.kind,
            "incident": message.incident_id,
            "title": message.subject,
            "body": message.short,
            "language": message.language,
            "urgent": message.urgent,
            "at_us": message.sent_us,
            "link": message.link,
        }
    )


def topic_of(incident_id: str) -> str:
    """A later message on the same incident replaces one that still waits (at most 32 characters)."""
    return b64url(hashlib.sha256(incident_id.encode()).digest()[:24])


def encrypt(plain: bytes, public_key: bytes, auth: bytes) -> bytes:
    """RFC 8291: one aes128gcm record for the browser. Raises ``ValueError`` for a bad key or size."""
    if len(plain) > _MAX_PLAIN_BYTES:
        raise ValueError(f"{len(plain)} bytes; at most {_MAX_PLAIN_BYTES}")
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    ours = ec.generate_private_key(ec.SECP256R1())
    our_point = ours.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    shared = ours.exchange(ec.ECDH(), theirs)
    secret = _hkdf(auth, shared, b"WebPush: info\0" + public_key + our_point, 32)
    salt = os.urandom(16)
    key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
    header = salt + _RECORD_BYTES.to_bytes(4, "big") + bytes((len(our_point),)) + our_point
    return header + AESGCM(key).encrypt(nonce, plain + b"\x02", None)


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def judge(status: int, retry_after: str | None) -> Outcome:
    """What a push service's status means (RFC 8030 5, 8.4)."""
    evidence = f"HTTP {status}"
    if status in (200, 201, 202):
        return Outcome("accepted", "accepted", evidence)
    if status in (404, 410):
        return Outcome("refused", "address_dead", evidence)
    if status == 413:
        return Outcome("refused", "too_large", evidence)
    wish_s = retry_after_s(retry_after)
    if status in (408, 425, 429):
        return Outcome("retry", "throttled", evidence, wish_s)
    if status >= 500:
        return Outcome("retry", "server_error", evidence, wish_s)
    if status >= 400:
        return Outcome("refused", "policy_refused", evidence)
    return Outcome("retry", "unreadable_answer", evidence)


def retry_after_s(header: str | None) -> float | None:
    """Seconds of a ``Retry-After`` (a number or an HTTP date); None if it says nothing readable."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), _MAX_RETRY_AFTER_S) if seconds == seconds else None
