"""Mails over a kept connection to a server that takes commands together, and says no at any of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from alerts.channels.base import Outcome
from alerts.channels.email import EmailChannel
from alerts.settings import SmtpSettings
from tests.alerts.test_alerts_email import message


class Server:
    """SMTP with PIPELINING; ``no`` maps a command's first word to its answer."""

    def __init__(self, no: dict[str, str], *, hang_up_at: str = "") -> None:
        self.no, self.hang_up_at = no, hang_up_at
        self.port = self.connections = self.written = 0
        self.mails: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            word = line[:4].decode().strip().upper()
            if word == self.hang_up_at:
                break
            writer.write(self.no.get(word, self.says(word)).encode() + b"\r\n")
            if word == "DATA" and "DATA" not in self.no:
                mail = b""
                while not mail.endswith(b"\r\n.\r\n") and mail != b".\r\n":
                    mail += await reader.readline()
                if self.hang_up_at == ".":
                    break
                if len(mail) > 3:
                    self.mails.append(mail)
                writer.write((self.no.get(".") or "250 2.0.0 taken").encode() + b"\r\n")
        writer.close()

    def says(self, word: str) -> str:
        ehlo = "250-test\r\n250-PIPELINING\r\n250 SIZE 1000000"
        return {"EHLO": ehlo, "DATA": "354 go on", "QUIT": "221 bye"}.get(word, "250 ok")


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[EmailChannel]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    settings = SmtpSettings(port=port, security="none", timeout_s=5, from_address="utaa@example.mn")
    channel = EmailChannel(settings)
    try:
        yield channel
    finally:
        await channel.close()
        listening.close()


async def outcomes(server: Server, count: int = 2) -> list[Outcome]:
    async with running(server) as channel:
        return [await channel.send(message()) for _ in range(count)]


async def test_many_mails_share_a_connection_and_arrive_whole() -> None:
    server = Server({})
    async with running(server) as channel:
        sent = [await channel.send(message(delivery_id=f"d{n}")) for n in range(5)]
    assert [outcome.kind for outcome in sent] == ["accepted"] * 5
    assert server.connections == 1
    assert [f"<d{n}@example.mn>".encode() in mail for n, mail in enumerate(server.mails)] == [True] * 5


@pytest.mark.parametrize(
    ("no", "kind", "reason"),
    [
        ({"RCPT": "550 5.1.1 nobody"}, "refused", "address_unknown"),
        ({"RCPT": "550 5.1.1 nobody", "DATA": "503 no recipients"}, "refused", "address_unknown"),
        ({"RCPT": "450 4.2.1 later"}, "retry", "throttled"),
        ({"MAIL": "552 5.3.4 too large"}, "refused", "too_large"),
        ({"DATA": "451 4.3.0 no"}, "retry", "server_error"),
        ({".": "554 5.7.1 spam"}, "refused", "policy_refused"),
        ({".": "451 4.3.0 disk"}, "retry", "server_error"),
        ({"MAIL": "421 4.3.2 closing"}, "retry", "throttled"),
        ({".": "gibberish"}, "retry", "unreadable_answer"),
    ],
)
async def test_a_no_is_understood_and_the_next_mail_is_not_disturbed(
    no: dict[str, str], kind: str, reason: str
) -> None:
    server = Server(no)
    first = (await outcomes(server, 1))[0]
    assert (first.kind, first.reason) == (kind, reason)
    server.no = {"EHLO": server.says("EHLO")}
    async with running(server) as channel:
        server.no = no
        await channel.send(message())
        server.no = {}
        assert (await channel.send(message())).kind == "accepted"


@pytest.mark.parametrize(
    ("at", "kind", "reason"),
    [
        ("MAIL", "retry", "connection_failed"),
        ("DATA", "retry", "connection_failed"),
        (".", "unknown", "answer_lost"),
    ],
)
async def test_what_a_broken_connection_means_depends_on_whether_the_mail_was_handed_over(
    at: str, kind: str, reason: str
) -> None:
    first = (await outcomes(Server({}, hang_up_at=at), 1))[0]
    assert (first.kind, first.reason) == (kind, reason)
