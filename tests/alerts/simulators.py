"""Providers on real sockets that enforce their rules and can be made to misbehave.

``Provider.mode`` says how a provider behaves: accepts, slow, refuses, throttles, times_out (says
nothing), dies (closes in the middle of its answer). What it took is in ``taken``, as the provider's
own clients would see it. Every rule that is broken is answered as the real one would, and noted in
``broken_rules``.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from alerts.channels.webhook import key_of, verify

KEY = "adapter-k3y"
TOKEN = "page-t0ken"
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVg=="
Answer = tuple[int, dict[str, str], bytes]


class Provider(ABC):
    """A provider on a port of its own, and the ways it may misbehave."""

    def __init__(self) -> None:
        self.mode = "accepts"
        self.taken: list[dict[str, Any]] = []
        self.broken_rules: list[str] = []
        self.requests = 0
        self.slow_s = 0.3
        self.origin = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.close()

    @abstractmethod
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""


class HttpProvider(Provider):
    """One that speaks HTTP. Subclasses say what they accept."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while line := await reader.readline():
                method, path = line.decode().split()[:2]
                headers: dict[str, str] = {}
                while (header := (await reader.readline()).strip()) != b"":
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests += 1
                if not await self._answer(writer, method, path, headers, body):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the test is over, or the sender gave up
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> bool:
        if self.mode == "times_out":
            await asyncio.Event().wait()
        if self.mode == "dies":
            self.take(method, path, headers, body)
            writer.write(b"HTTP/1.1 20")
            await writer.drain()
            return False
        if self.mode == "slow":
            await asyncio.sleep(self.slow_s)
        status, extra, content = (
            self.take(method, path, headers, body)
            if self.mode in ("accepts", "slow")
            else self.misbehave()
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{lines}\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
        return True

    @abstractmethod
    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """What this provider answers when it behaves, by its own rules."""

    def misbehave(self) -> Answer:
        if self.mode == "throttles":
            return 429, {"Retry-After": "7"}, b"{}"
        return 404, {}, b'{"error": "unknown_recipient"}'

    def broken(self, rule: str, status: int = 400) -> Answer:
        self.broken_rules.append(rule)
        return status, {}, json.dumps({"error": rule}).encode()


class Adapter(HttpProvider):
    """Enforces our HTTP contract: key, idempotency, fields, and the fields of its kind."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._known: dict[str, bytes] = {}

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if (method, path) != ("POST", "/messages"):
            return self.broken("POST /messages", 404)
        if headers.get("authorization") != f"Bearer {KEY}":
            return self.broken("bearer key", 401)
        fields = json.loads(body)
        again = headers.get("idempotency-key", "")
        if not again or again != fields.get("id"):
            return self.broken("idempotency key is the message's id")
        wanted = {
            "national_email": {"subject", "text"},
            "emongolia": {"title", "text", "link"},
            "voice": {"say", "acknowledge_key"},
        }[self.name]
        common = {"id", "to", "kind", "urgent", "language", "expires"}
        if set(fields) != common | wanted:
            return self.broken("fields")
        if self.name == "voice" and (len(fields["say"]) != 2 or len(set(fields["say"])) != 1):
            return self.broken("spoken twice")
        if self.name == "voice" and not fields["to"].startswith("+976"):
            return self.broken("a number with its country")
        if again not in self._known:
            self._known[again] = body
            self.taken.append(fields)
        return 202, {}, json.dumps({"id": f"p-{again[:8]}"}).encode()


class Messenger(HttpProvider):
    """Enforces the Send API's rules of DOMAIN: the window, templates, no tags, no HUMAN_AGENT."""

    def __init__(self) -> None:
        super().__init__()
        #: person → whether the 24 hours after the last message still run
        self.window_open: dict[str, bool] = {}
        self.approved = {"utaa_fire"}

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if (method, path) != ("POST", "/me/messages"):
            return self._error(404, 100)
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return self._error(401, 190)
        fields = json.loads(body)
        if "tag" in fields or fields.get("messaging_type") == "MESSAGE_TAG":
            return self._error(400, 100)
        person = fields["recipient"]["id"]
        if person not in self.window_open:
            return self._error(400, 551)
        template = fields["message"].get("template")
        if template is None and not self.window_open[person]:
            return self._error(400, 10)
        if template is not None and (
            template["name"] not in self.approved or fields["messaging_type"] != "UTILITY"
        ):
            return self._error(400, 100)
        self.taken.append(fields)
        answer = {"recipient_id": person, "message_id": f"m_{len(self.taken)}"}
        return 200, {}, json.dumps(answer).encode()

    def _error(self, status: int, code: int) -> Answer:
        self.broken_rules.append(f"error {code}")
        return status, {}, json.dumps({"error": {"code": code, "message": "no"}}).encode()

    def misbehave(self) -> Answer:
        code = 613 if self.mode == "throttles" else 100
        extra = {"Retry-After": "7"} if self.mode == "throttles" else {}
        return 400, extra, json.dumps({"error": {"code": code, "message": "no"}}).encode()


class SmsGateway(HttpProvider):
    """Kannel's ``sendsms``."""

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        fields = dict(parse_qsl(urlsplit(path).query))
        if not {"username", "password", "to", "text"} <= set(fields):
            return self.broken("fields", 400)
        self.taken.append(fields)
        return 202, {}, b"0: Accepted for delivery"


class Receiver(HttpProvider):
    """A contact's own server: checks the signature as the standard says."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        super().__init__()
        self._now_us = now_us

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        verify(key_of(SECRET), headers, body, self._now_us())  # raises, the connection dies
        self.taken.append(json.loads(body))
        return 204, {}, b""


class Apprise(HttpProvider):
    """An Apprise API server's ``/notify``."""

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        fields = json.loads(body)
        if path != "/notify" or not {"urls", "title", "body", "type"} <= set(fields):
            return self.broken("fields", 400)
        self.taken.append(fields)
        return 200, {}, b"{}"


class Smtp(Provider):
    """A mail server with the same ways to misbehave, said in SMTP's words."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        recipient = ""
        try:
            writer.write(b"220 sim ESMTP\r\n")
            while line := await reader.readline():
                word = line[:4].upper()
                if word == b"RCPT":
                    recipient = line.decode().partition("<")[2].partition(">")[0]
                if word == b"RCPT" and self.mode in ("refuses", "throttles"):
                    refused = self.mode == "refuses"
                    writer.write(b"550 5.1.1 no\r\n" if refused else b"451 4.7.1 later\r\n")
                elif word == b"DATA":
                    writer.write(b"354 go\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    self.requests += 1
                    if self.mode == "times_out":
                        await asyncio.Event().wait()
                    self.taken.append({"to": recipient})
                    if self.mode == "dies":
                        return
                    await asyncio.sleep(self.slow_s if self.mode == "slow" else 0)
                    writer.write(b"250 2.0.0 ok\r\n")
                elif word == b"EHLO":
                    writer.write(b"250-sim\r\n250 SIZE 1000000\r\n")
                else:
                    writer.write(b"250 OK\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()
