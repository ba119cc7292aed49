"""E-mail over SMTP: STARTTLS, TLS from the start, or (only when asked for) plain.

Connections are kept and used again. It is known whether the message was handed over when something
breaks: before its first byte it may be tried again, after it the outcome is unknown. The Message-ID is
the delivery's own, so that a repeated delivery is recognised as such.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from email.headerregistry import Address
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path

import aiosmtplib
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from alerts.channels.base import Message, Outcome
from alerts.channels.evidence import scrub
from alerts.channels.smtp_session import Lost, Refused, Reply, SmtpSession
from alerts.policy import ULAANBAATAR
from alerts.settings import SmtpSettings
from edge.wire.clock import US_PER_S, datetime_from_us

#: A refused log-in is an operator's work; there is no use in trying each second.
_AUTH_RETRY_S = 60.0
#: An encoded word is at most 75 characters (RFC 2047 2): 45 bytes before base64.
_WORD_BYTES = 45
#: A longer header would need folding; encoded words fold by themselves.
_PLAIN_HEADER = 60


class EmailChannel:
    """Sends by one SMTP server."""

    name = "email"

    def __init__(self, settings: SmtpSettings, *, password: str = "") -> None:
        self.concurrency = settings.concurrency
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._password = password
        self._idle: list[SmtpSession] = []

    async def send(self, message: Message) -> Outcome:
        """Send it over a kept connection; a kept one that has gone stale is replaced once."""
        if not is_address(message.address):
            return Outcome("refused", "address_invalid")
        try:
            payload = build_mime(message, self._settings.sender)
        except ValueError:
            return Outcome("refused", "address_invalid")
        while True:
            session = self._kept()
            kept = session is not None
            try:
                session = session or await self._connect()
            except Exception as error:
                return self._connect_outcome(error)
            outcome, stale = await self._send_on(session, message.address, payload)
            if not (kept and stale):
                return outcome

    def _kept(self) -> SmtpSession | None:
        while self._idle:
            session = self._idle.pop()
            if session.usable:
                return session
        return None

    async def close(self) -> None:
        """Say good-bye to the server on every kept connection."""
        while (session := self._kept()) is not None:
            try:
                await asyncio.wait_for(session.quit(), 1.0)
            except (Lost, OSError, TimeoutError):
                session.close()

    async def _connect(self) -> SmtpSession:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            timeout=settings.timeout_s,
            tls_context=_tls_context(settings.ca_file) if settings.security != "none" else None,
        )
        try:
            await client.connect()
            if settings.user:
                await client.login(settings.user, self._password)
            if client.is_ehlo_or_helo_needed:  # again after STARTTLS: the server forgot us
                await client.ehlo()
        except BaseException:
            client.close()
            raise
        return SmtpSession(client)

    def _connect_outcome(self, error: Exception) -> Outcome:
        evidence = scrub(str(error), self._password, self._settings.user)
        match error:
            case SMTPAuthenticationError():
                return Outcome("retry", "auth_refused", f"{error.code}", _AUTH_RETRY_S)
            case ssl.SSLError():
                return Outcome("retry", "tls_failed", type(error).__name__)
            case SMTPConnectResponseError():
                return Outcome("retry", "throttled" if error.code == 421 else "server_error", evidence)
            case SMTPTimeoutError() | TimeoutError():
                return Outcome("retry", "timeout")
            case SMTPConnectError() if isinstance(error.__cause__, ssl.SSLError):
                return Outcome("retry", "tls_failed", type(error.__cause__).__name__)
            case SMTPConnectError() | SMTPServerDisconnected() | OSError():
                return Outcome("retry", "connection_failed", type(error).__name__)
            case SMTPException() if "STARTTLS" in str(error).upper():
                return Outcome("retry", "tls_failed", evidence)
            case SMTPException():
                return Outcome("retry", "server_error", evidence)
        raise error

    async def _send_on(
        self, session: SmtpSession, address: str, payload: bytes
    ) -> tuple[Outcome, bool]:
        """The outcome, and whether the connection was found dead before anything was handed over."""
        usable = False
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await session.deliver(self._settings.sender_address, address, payload)
            usable = True
            evidence = scrub(f"{answer.code} {answer.text}", address)
            return Outcome("accepted", "accepted", evidence), False
        except Refused as refusal:
            usable = refusal.reusable
            return _refusal(refusal.reply, refusal.after_data, address), False
        except TimeoutError:
            return _lost(session.handed_over, "timeout"), False
        except (Lost, OSError):
            return _lost(session.handed_over, "connection_failed"), not session.handed_over
        finally:
            if usable:
                self._idle.append(session)
            else:
                session.close()


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


def _lost(handed_over: bool, reason: str) -> Outcome:
    return Outcome("unknown", "answer_lost") if handed_over else Outcome("retry", reason)


def _refusal(error: Reply, after_data: bool, address: str) -> Outcome:
    """A reply of 4xx may pass, 5xx will not (RFC 5321 4.2.1; enhanced codes RFC 3463)."""
    evidence = scrub(f"{error.code} {error.text}", address)
    enhanced = error.text.split(" ", 1)[0]
    if error.code < 400:
        return Outcome("retry", "unreadable_answer", evidence)
    if error.code < 500:
        throttled = error.code in (421, 450, 452) or enhanced.startswith("4.7.")
        return Outcome("retry", "throttled" if throttled else "server_error", evidence)
    if error.code == 552 or enhanced in ("5.3.4", "5.2.3"):
        return Outcome("refused", "too_large", evidence)
    if not after_data and (error.code in (550, 551, 553) and not enhanced.startswith("5.7.")):
        return Outcome("refused", "address_unknown", evidence)
    return Outcome("refused", "policy_refused", evidence)


def is_address(text: str) -> bool:
    """Whether the text can be an e-mail address: one ``@`` between two parts, nothing unprintable."""
    local, at, domain = text.rpartition("@")
    return (
        bool(local and at and domain)
        and len(text) <= 254
        and text.isascii()
        and text.isprintable()
        and not set(text) & set(' <>,;:\\"()[]')
        and "@" not in local
    )


def build_mime(message: Message, sender: Address) -> bytes:
    """The message as RFC 5322 bytes. Raises ``ValueError`` for an address that cannot be written.

    Put together by hand: the library's general way costs as much as the rest of sending.
    """
    if not is_address(message.address):
        raise ValueError("no e-mail address")
    fields = [
        ("From", _from_header(sender.display_name, sender.addr_spec)),
        ("To", message.address),
        ("Subject", encoded_words(" ".join(message.subject.split()))),
        ("Date", _date(message.sent_us // US_PER_S)),
        ("Message-ID", f"<{message.delivery_id}@{sender.domain}>"),
        ("Auto-Submitted", "auto-generated"),
        ("Content-Language", message.language),
        ("X-Utaa-Message", message.kind),
        ("X-Utaa-Rung", str(message.rung)),
        ("X-Utaa-Incident", message.incident_id),
    ]
    if message.urgent:
        fields += [("Importance", "high"), ("X-Priority", "1")]
    elif message.unsubscribe:
        fields.append(("List-Unsubscribe", f"<{message.unsubscribe}>"))
        fields.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    fields += [
        ("MIME-Version", "1.0"),
        ("Content-Type", 'text/plain; charset="utf-8"'),
        ("Content-Transfer-Encoding", "base64"),
    ]
    if any("\r" in value.replace("\r\n ", "") or "\n" in value.replace("\r\n ", "")
           for _, value in fields):  # fmt: skip
        raise ValueError("a line end in a header")
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    lines = base64.encodebytes(message.body.replace("\n", "\r\n").encode("utf-8"))
    return head.encode("ascii") + b"\r\n" + lines.replace(b"\n", b"\r\n")


@lru_cache(maxsize=64)
def _date(sent_s: int) -> str:
    return format_datetime(datetime_from_us(sent_s * US_PER_S).astimezone(ULAANBAATAR))


@lru_cache(maxsize=8)
def _from_header(name: str, address: str) -> str:
    if not name:
        return address
    plain = name.replace(" ", "").isalnum() and name.isascii()
    return f"{name if plain else _words(name)} <{address}>"


def encoded_words(text: str) -> str:
    """A header's text: as it is in ASCII, else in words of RFC 2047, each of whole characters."""
    if text.isascii() and text.isprintable() and "=?" not in text and len(text) <= _PLAIN_HEADER:
        return text
    return _words(text)


def _words(text: str) -> str:
    words, word = [], b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(word) + len(encoded) > _WORD_BYTES:
            words.append(word)
            word = b""
        word += encoded
    words.append(word)
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(each).decode('ascii')}?=" for each in words)
