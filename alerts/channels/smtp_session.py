"""Mails over one SMTP connection that a client library has opened, encrypted and logged in on.

One mail costs two round trips where the server takes commands together (PIPELINING, RFC 2920): sender,
recipient and DATA in one write, then the mail. Where it does not, the same words go one by one. It is
known at every moment whether the mail itself was handed over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

import aiosmtplib

#: More than this of an answer is none that any server gives.
_MAX_ANSWER_BYTES = 64 * 1024
_GO_ON, _DONE, _CLOSING = 354, 250, 421


class Reply(NamedTuple):
    """A server's answer, its lines joined."""

    code: int
    text: str


class Refused(Exception):
    """The server said no. ``reusable``: the connection can carry the next mail as it is."""

    def __init__(self, reply: Reply, *, after_data: bool, reusable: bool) -> None:
        super().__init__(f"{reply.code} {reply.text}")
        self.reply = reply
        self.after_data = after_data
        self.reusable = reusable


class Lost(Exception):
    """The connection ended."""


class SmtpSession(asyncio.Protocol):
    """Takes over the connection of ``client``; one mail at a time."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        transport = client.transport
        assert isinstance(transport, asyncio.Transport)
        self._client = client  # holds the TLS context and what else the connection needs
        self._transport = transport
        self._pipelining = client.supports_extension("pipelining")
        self._sizes = client.supports_extension("size")
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = transport.is_closing()
        #: whether the server may have the present mail
        self.handed_over = False
        transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return not (self._lost or self._transport.is_closing())

    async def deliver(self, sender: str, recipient: str, mail: bytes) -> Reply:
        """The server's word that it has the mail (CRLF line ends). Raises ``Refused`` or ``Lost``."""
        self.handed_over = False
        self._replies.clear()
        size = f" SIZE={len(mail)}" if self._sizes else ""
        words = (
            f"MAIL FROM:<{sender}>{size}\r\n".encode("ascii"),
            f"RCPT TO:<{recipient}>\r\n".encode("ascii"),
            b"DATA\r\n",
        )
        answers = await (self._together(words) if self._pipelining else self._one_by_one(words))
        refusal = next((answer for answer in answers if answer.code >= 400), None)
        if refusal is not None:
            if answers[-1].code == _GO_ON:  # it waits for a mail that nobody is to get
                await self._ask(b".\r\n")
            reset = refusal.code != _CLOSING and (await self._ask(b"RSET\r\n")).code == _DONE
            at_data = len(answers) == len(words) and refusal is answers[-1]
            raise Refused(refusal, after_data=at_data, reusable=reset)
        self.handed_over = True
        ended = await self._ask(mail.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        if ended.code != _DONE:
            raise Refused(ended, after_data=True, reusable=ended.code != _CLOSING)
        return ended

    async def quit(self) -> None:
        """Say good-bye. Raises ``Lost``."""
        await self._ask(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        self._transport.close()

    async def _together(self, words: tuple[bytes, ...]) -> list[Reply]:
        self._write(b"".join(words))
        return [await self._reply() for _ in words]

    async def _one_by_one(self, words: tuple[bytes, ...]) -> list[Reply]:
        answers: list[Reply] = []
        for word in words:
            answers.append(await self._ask(word))
            if answers[-1].code >= 400:
                break
        return answers

    async def _ask(self, word: bytes) -> Reply:
        self._write(word)
        return await self._reply()

    def _write(self, data: bytes) -> None:
        if not self.usable:
            raise Lost
        self._transport.write(data)

    async def _reply(self) -> Reply:
        while not self._replies:
            if self._lost:
                raise Lost
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._replies.popleft()

    # -- asyncio's side -----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            self._take(bytes(line))
        if len(self._buffer) + sum(map(len, self._lines)) > _MAX_ANSWER_BYTES:
            self._transport.abort()
        self._wake()

    def _take(self, line: bytes) -> None:
        self._lines.append(line[4:].decode("utf-8", "replace").strip())
        if line[3:4] == b"-":
            return
        code = int(line[:3]) if line[:3].isdigit() else 0
        self._replies.append(Reply(code, "\n".join(self._lines)))
        self._lines = []

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
