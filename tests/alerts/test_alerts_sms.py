"""SMS: counted as the telephone counts, sent by a gateway that answers as Kannel does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.channels.base import Message
from alerts.channels.sms import SmsChannel, judge, number_of, size_of
from alerts.settings import SmsSettings
from alerts.texts import LANGUAGES, Facts, compose, load_catalogues
from tests.alerts.city import ADDRESS, NIGHT_US


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("gsm7", 0, 1)),
        ("a" * 160, ("gsm7", 160, 1)),
        ("a" * 161, ("gsm7", 161, 2)),
        ("a" * 306, ("gsm7", 306, 2)),
        ("a" * 307, ("gsm7", 307, 3)),
        ("€" * 80, ("gsm7", 160, 1)),
        ("€" * 81, ("gsm7", 162, 2)),
        ("а" * 70, ("ucs2", 70, 1)),
        ("а" * 71, ("ucs2", 71, 2)),
        ("ө" * 134, ("ucs2", 134, 2)),
        ("ү" * 135, ("ucs2", 135, 3)),
        ("🔥" * 35, ("ucs2", 70, 1)),
        ("🔥" * 67, ("ucs2", 134, 3)),
    ],
)
def test_a_text_is_counted_as_the_telephone_counts(text: str, expected: tuple[str, int, int]) -> None:
    assert size_of(text) == expected


@given(text=st.text(max_size=400))
def test_the_parts_always_hold_the_text(text: str) -> None:
    size = size_of(text)
    alone, each = (160, 153) if size.coding == "gsm7" else (70, 67)
    assert size.units <= (alone if size.parts == 1 else size.parts * each)


def test_every_alarm_is_one_sms_in_each_language() -> None:
    for language in LANGUAGES:
        for kind in ("fire", "co", "all_clear", "history"):
            facts = Facts(message=kind, hazard="fire", since_us=NIGHT_US, where=ADDRESS)
            assert size_of(compose(load_catalogues().get(language), facts).short).parts == 1


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("99112233", "+97699112233"),
        ("9911-2233", "+97699112233"),
        ("+976 9911 2233", "+97699112233"),
        ("12", None),
        ("bat@example.mn", None),
        ("", None),
    ],
)
def test_a_number_is_read_as_people_write_it(typed: str, number: str | None) -> None:
    assert number_of(typed) == number


class Gateway:
    """Answers ``sendsms`` on a real socket."""

    def __init__(self) -> None:
        self.answer = (202, "0: Accepted for delivery")
        self.asked: list[dict[str, str]] = []
        self.die = False
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/cgi-bin/sendsms"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        query = urlsplit(head.split()[1].decode()).query
        self.asked.append({name: values[0] for name, values in parse_qs(query).items()})
        if not self.die:
            status, text = self.answer
            body = text.encode()
            writer.write(
                b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(body), body)
            )
            await writer.drain()
        writer.close()


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    await gateway.start()
    yield gateway
    await gateway.stop()


async def send(url: str, **fields: Any) -> Any:
    given = {
        "delivery_id": "d1", "incident_id": "i1", "channel": "sms", "address": "99112233",
        "kind": "fire", "language": "mn", "subject": "", "body": "", "short": "ГАЛ! Гадаа гар.",
        "sent_us": 1, "urgent": True, "ttl_s": 60,
    }  # fmt: skip
    channel = SmsChannel(SmsSettings(url=url, user="utaa", timeout_s=1), password="s3cret")
    try:
        return await channel.send(Message(**(given | fields)))
    finally:
        await channel.close()


async def test_a_fire_goes_out_in_cyrillic_and_urgent(gateway: Gateway) -> None:
    outcome = await send(gateway.url)
    assert outcome.kind == "accepted"
    asked = gateway.asked[0]
    assert (asked["to"], asked["text"], asked["coding"]) == ("+97699112233", "ГАЛ! Гадаа гар.", "2")
    assert asked["priority"] == "3"


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (202, "accepted", "accepted"),
        (200, "retry", "unreadable_answer"),
        (403, "retry", "auth_refused"),
        (400, "refused", "policy_refused"),
        (404, "refused", "policy_refused"),
        (429, "retry", "throttled"),
        (503, "retry", "server_error"),
    ],
)
def test_every_answer_has_its_next_step(status: int, kind: str, reason: str) -> None:
    outcome = judge(status, "")
    assert (outcome.kind, outcome.reason) == (kind, reason)


async def test_evidence_shows_neither_number_nor_password(gateway: Gateway) -> None:
    gateway.answer = (400, "cannot route +97699112233 for s3cret")
    outcome = await send(gateway.url)
    assert "9911" not in outcome.evidence
    assert "s3cret" not in outcome.evidence


async def test_a_lost_answer_is_unknown_and_no_gateway_is_a_retry(gateway: Gateway) -> None:
    gateway.die = True
    assert (await send(gateway.url)).kind == "unknown"
    assert (await send("http://127.0.0.1:1/")).reason == "connection_failed"
    assert (await send(gateway.url, address="nobody")).reason == "address_invalid"
