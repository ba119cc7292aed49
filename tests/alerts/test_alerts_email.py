"""The e-mail channel against a real mail server, whatever that server does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from alerts.channels.base import REASONS, Message, Outcome
from alerts.channels.email import EmailChannel, build_mime, is_address
from alerts.channels.evidence import scrub
from alerts.settings import SmtpSettings
from tests.alerts.city import MAILS, mail_settings
from tests.servers import SmtpServer

MakeServer = Callable[..., Coroutine[Any, Any, SmtpServer]]


def message(address: str = MAILS[0], **fields: object) -> Message:
    given = {
        "delivery_id": "d1", "incident_id": "i1", "channel": "email", "address": address,
        "kind": "fire", "language": "mn", "subject": "ГАЛ! Толгойт 12", "body": "Бүгд гадаа гар.\n",
        "short": "", "sent_us": 1_769_800_320_000_000, "urgent": True, "ttl_s": 60,
    }  # fmt: skip
    return Message(**(given | fields))  # type: ignore[arg-type]


async def send(settings: SmtpSettings, *messages: Message, password: str = "") -> list[Outcome]:
    channel = EmailChannel(settings, password=password)
    try:
        return [await channel.send(each) for each in messages or (message(),)]
    finally:
        await channel.close()


async def test_one_connection_serves_many_mails(smtp: SmtpServer) -> None:
    channel = EmailChannel(mail_settings(smtp))
    await channel.send(message())
    kept = list(channel._idle)
    await channel.send(message())
    assert channel._idle == kept
    assert len(smtp.mails) == 2
    await channel.close()


async def test_it_signs_in_and_never_over_a_plain_connection(smtp_server: MakeServer) -> None:
    server = await smtp_server(auth=("utaa", "s3cret"))
    outcomes = await send(mail_settings(server, user="utaa"), password="s3cret")
    assert outcomes[0].kind == "accepted"
    assert (server.mails[0].login, server.mails[0].secure) == ("utaa", True)


async def test_a_wrong_password_waits_for_the_operator_and_is_not_shown(
    smtp_server: MakeServer,
) -> None:
    server = await smtp_server(auth=("utaa", "right"))
    outcome = (await send(mail_settings(server, user="utaa"), password="wr0ng"))[0]
    assert (outcome.kind, outcome.reason) == ("retry", "auth_refused")
    assert (outcome.retry_after_s or 0) >= 30
    assert "wr0ng" not in repr(outcome)


async def test_a_server_without_tls_gets_no_mail_unless_plain_was_asked_for(
    smtp_server: MakeServer,
) -> None:
    server = await smtp_server(starttls=False)
    strict = SmtpSettings(host=server.host, port=server.port, from_address="utaa@example.mn")
    assert (await send(strict))[0].reason == "tls_failed"
    assert server.mails == []
    assert (await send(mail_settings(server)))[0].kind == "accepted"


async def test_a_certificate_nobody_vouches_for_is_not_believed(smtp: SmtpServer) -> None:
    distrustful = mail_settings(smtp).model_copy(update={"ca_file": None})
    outcome = (await send(distrustful))[0]
    assert (outcome.kind, outcome.reason) == ("retry", "tls_failed")
    assert smtp.mails == []


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        ("550 5.1.1 no such user", "refused", "address_unknown"),
        ("553 mailbox name not allowed", "refused", "address_unknown"),
        ("550 5.7.1 relaying denied", "refused", "policy_refused"),
        ("552 5.2.3 too large", "refused", "too_large"),
        ("450 4.2.0 greylisted", "retry", "throttled"),
        ("451 4.7.1 try later", "retry", "throttled"),
        ("451 4.3.0 local error", "retry", "server_error"),
    ],
)
async def test_each_reply_to_the_recipient_has_its_next_step(
    smtp: SmtpServer, reply: str, kind: str, reason: str
) -> None:
    smtp.refuse[MAILS[0]] = reply
    outcomes = await send(mail_settings(smtp), message(), message(MAILS[1]))
    assert (outcomes[0].kind, outcomes[0].reason) == (kind, reason)
    assert outcomes[1].kind == "accepted", "the connection serves the next mail"


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        ("554 5.7.1 looks like spam", "refused", "policy_refused"),
        ("552 5.3.4 too large", "refused", "too_large"),
        ("451 4.3.0 disk full", "retry", "server_error"),
    ],
)
async def test_each_reply_to_the_content_has_its_next_step(
    smtp: SmtpServer, reply: str, kind: str, reason: str
) -> None:
    smtp.data_reply = reply
    outcome = (await send(mail_settings(smtp)))[0]
    assert (outcome.kind, outcome.reason) == (kind, reason)


async def test_a_server_that_nobody_runs_is_a_retry() -> None:
    outcome = (await send(SmtpSettings(host="127.0.0.1", port=1, security="none")))[0]
    assert (outcome.kind, outcome.reason) == ("retry", "connection_failed")


async def test_a_server_that_says_nothing_is_given_up_in_time(smtp_server: MakeServer) -> None:
    server = await smtp_server(hang=True, starttls=False)
    outcome = (await send(mail_settings(server, timeout_s=0.2)))[0]
    assert (outcome.kind, outcome.reason) == ("retry", "timeout")


async def test_an_answer_that_comes_too_late_after_the_content_is_unknown(smtp: SmtpServer) -> None:
    smtp.delay_s = 1.0
    outcome = (await send(mail_settings(smtp, timeout_s=0.3)))[0]
    assert (outcome.kind, outcome.reason) == ("unknown", "answer_lost")


async def test_a_kept_connection_that_went_stale_is_replaced_unseen(smtp: SmtpServer) -> None:
    channel = EmailChannel(mail_settings(smtp))
    assert (await channel.send(message())).kind == "accepted"
    assert channel._idle[0].usable
    channel._idle[0]._transport.abort()
    await asyncio.sleep(0)
    assert (await channel.send(message())).kind == "accepted"
    assert len(smtp.mails) == 2
    await channel.close()


@pytest.mark.parametrize(
    "address",
    ["", "bat", "@example.mn", "bat@", "a@b@c", "bat@example.mn\r\nRCPT TO:<x@y>", "bat example@x.mn",
     "<bat@example.mn>", "bat@example.mn,other@example.mn", "бат@example.mn", "a" * 300 + "@x.mn"],
)  # fmt: skip
async def test_what_is_no_address_never_reaches_the_server(smtp: SmtpServer, address: str) -> None:
    assert not is_address(address)
    outcome = (await send(mail_settings(smtp), message(address)))[0]
    assert (outcome.kind, outcome.reason) == ("refused", "address_invalid")
    assert smtp.attempts == 0


async def test_a_line_break_in_the_subject_makes_no_header(smtp: SmtpServer) -> None:
    await send(mail_settings(smtp), message(subject="ГАЛ!\r\nBcc: other@example.mn"))
    mail = smtp.mails[0]
    assert mail.message["Bcc"] is None
    assert mail.recipients == [MAILS[0]]


def test_cyrillic_date_and_identity_are_written_as_the_standards_say() -> None:
    settings = SmtpSettings(from_address="utaa@example.mn")
    raw = build_mime(message(), settings.sender)
    assert raw.isascii()
    text = raw.decode()
    assert "Message-ID: <d1@example.mn>" in text
    assert "Date: Sat, 31 Jan 2026 03:12:00 +0800" in text
    assert "Auto-Submitted: auto-generated" in text
    assert "Importance: high" in text
    assert build_mime(message(), settings.sender) == raw, "a repetition is recognised as such"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 5.1.1 <bat@example.mn> User unknown", "550 5.1.1 … User unknown"),
        (
            "550 the owner Батбаяр Dorj moved, call +976 9911 2233 or 991 122 33",
            "550 the … moved, … or …",
        ),
        ("250 2.0.0 Ok: queued as 4F2A1", "250 2.0.0 Ok: queued as …"),
        ("552 5.2.2 mailbox full https://push.example/x?t=1", "552 5.2.2 mailbox full …"),
        ("HTTP 400 error 190", "HTTP 400 error 190"),
        ("3: Queued for later delivery s3cret\nline two", "3: Queued for later delivery … line …"),
    ],
)
def test_evidence_is_codes_and_words_that_say_nothing_of_a_person(said: str, kept: str) -> None:
    assert scrub(said, "s3cret") == kept


def test_evidence_is_short_and_a_secret_goes_even_where_it_is_a_word() -> None:
    assert (
        scrub("535 authentication failed for mailbox", "mailbox") == "535 authentication failed for …"
    )
    assert len(scrub("full " * 1000)) <= 200


def test_a_message_shows_neither_address_nor_words() -> None:
    assert "bat@" not in repr(message())
    assert "ГАЛ" not in repr(message())


def test_every_reason_used_by_the_channels_is_in_the_closed_set() -> None:
    import re
    from pathlib import Path

    import alerts.channels as package

    folder = Path(package.__path__[0])
    used = {
        match
        for path in folder.glob("*.py")
        for match in re.findall(r'Outcome\(\s*"\w+",\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert used
    assert used <= set(REASONS)
