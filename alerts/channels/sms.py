"""SMS through an HTTP gateway that speaks Kannel's ``sendsms`` (Kannel itself, playSMS, Jasmin, …).

A fire is told in one part: Cyrillic travels as UCS-2, 70 characters in one SMS and 67 in each part of
a longer one. 202 means that the gateway took it, not that a telephone rang. In Mongolia an SMS is
one-way: nobody can acknowledge by answering it.
"""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple

import httpx
import phonenumbers

from alerts.channels.base import Message, Outcome
from alerts.channels.evidence import scrub
from alerts.channels.webpush import retry_after_s
from alerts.settings import SmsSettings

#: GSM 03.38 basic set and its extension, whose characters count twice.
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_TWICE = frozenset("^{}\\[~]|€\f")
#: (in one SMS, in each part of a longer one), in septets or UTF-16 units.
_LIMITS = {"gsm7": (160, 153), "ucs2": (70, 67)}
_REGION = "MN"
_AUTH_RETRY_S = 60.0


class Size(NamedTuple):
    """How a text travels: its coding, its length in units of that coding, and the SMS it takes."""

    coding: Literal["gsm7", "ucs2"]
    units: int
    parts: int


def size_of(text: str) -> Size:
    """Coding and number of parts of a text (3GPP TS 23.038, 23.040)."""
    if set(text) <= _GSM7 | _GSM7_TWICE:
        coding: Literal["gsm7", "ucs2"] = "gsm7"
        widths = [2 if character in _GSM7_TWICE else 1 for character in text]
    else:
        coding = "ucs2"
        widths = [2 if ord(character) > 0xFFFF else 1 for character in text]
    alone, each = _LIMITS[coding]
    units = sum(widths)
    if units <= alone:
        return Size(coding, units, 1)
    parts, filled = 1, 0
    for width in widths:  # a character of two units is never split between two parts
        if filled + width > each:
            parts, filled = parts + 1, 0
        filled += width
    return Size(coding, units, parts)


def number_of(address: str) -> str | None:
    """``+976…`` of what somebody typed; None if it is no telephone number."""
    try:
        number = phonenumbers.parse(address, _REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class SmsChannel:
    """Sends by one gateway."""

    name = "sms"

    def __init__(self, settings: SmsSettings, *, password: str = "") -> None:
        for library in ("httpx", "httpcore"):  # they log whole addresses: numbers and passwords
            logging.getLogger(library).setLevel(logging.WARNING)
        self.concurrency = settings.concurrency
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._password = password
        self._client = httpx.AsyncClient(timeout=settings.timeout_s, trust_env=False)

    async def send(self, message: Message) -> Outcome:
        """Hand the short form over to the gateway."""
        number = number_of(message.address)
        if number is None:
            return Outcome("refused", "address_invalid")
        fields = {
            "username": self._settings.user,
            "password": self._password,
            "to": number,
            "text": message.short,
            "charset": "UTF-8",
            "coding": "2" if size_of(message.short).coding == "ucs2" else "0",
            "priority": "3" if message.urgent else "0",
        }
        if self._settings.report_url:  # 1 delivered, 2 not delivered, 16 refused by the SMS centre
            report = f"{self._settings.report_url.rstrip('/')}/{message.report_token}?status=%d"
            fields |= {"dlr-mask": "19", "dlr-url": report}
        if self._settings.sender:
            fields["from"] = self._settings.sender
        try:
            answer = await self._client.get(self._settings.url, params=fields)
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            return Outcome("retry", "timeout")
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL):
            return Outcome("retry", "connection_failed")
        except httpx.HTTPError as error:
            return Outcome("unknown", "answer_lost", type(error).__name__)
        outcome = judge(answer.status_code, scrub(answer.text, number, number[1:], self._password))
        return outcome._replace(retry_after_s=outcome.retry_after_s or retry_after_s(
            answer.headers.get("Retry-After")))  # fmt: skip

    async def close(self) -> None:
        await self._client.aclose()


def judge(status: int, text: str) -> Outcome:
    """What the gateway's answer means (Kannel user's guide, sendsms responses)."""
    evidence = f"HTTP {status} {text}".strip()
    if status == 202:
        return Outcome("accepted", "accepted", evidence)
    if status in (401, 403):
        return Outcome("retry", "auth_refused", f"HTTP {status}", _AUTH_RETRY_S)
    if status == 429:
        return Outcome("retry", "throttled", evidence)
    if status >= 500:
        return Outcome("retry", "server_error", evidence)
    if status >= 400:
        return Outcome("refused", "policy_refused", evidence)
    return Outcome("retry", "unreadable_answer", evidence)
