"""A push service on a real socket: checks VAPID, decrypts for its browsers, answers like a real one.

Decryption is done by another implementation (http_ece) than the one under test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from dataclasses import dataclass, field
from typing import Any

import http_ece
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Browser:
    """One subscription with the keys that only the browser has."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey
    auth: bytes
    received: list[dict[str, Any]] = field(default_factory=list)
    gone: bool = False

    @property
    def subscription(self) -> str:
        point = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return json.dumps(
            {
                "endpoint": self.endpoint,
                "expirationTime": None,
                "keys": {"p256dh": _b64(point), "auth": _b64(self.auth)},
            }
        )


class PushService:
    """``status`` makes it answer so instead; ``die`` cuts the connection after reading."""

    def __init__(self) -> None:
        self.browsers: dict[str, Browser] = {}
        self.headers: list[dict[str, str]] = []
        self.status: int | None = None
        self.retry_after: str | None = None
        self.die = False
        self.delay_s = 0.0
        self.requests = 0
        self._server: asyncio.Server | None = None
        self.origin = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    def subscribe(self) -> Browser:
        token = os.urandom(12).hex()
        browser = Browser(
            f"{self.origin}/push/{token}", ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        )
        self.browsers[f"/push/{token}"] = browser
        return browser

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.split()[1].decode()
                headers: dict[str, str] = {}
                while (header := (await reader.readline()).strip()) != b"":
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests += 1
                await asyncio.sleep(self.delay_s)
                if self.die:
                    return
                status = self._judge(path, headers, body)
                extra = f"Retry-After: {self.retry_after}\r\n" if self.retry_after else ""
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n"
                    f"Location: {self.origin}/message/secret\r\n{extra}\r\n".encode()
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the test is over, or the sender gave up
        finally:
            writer.close()

    def _judge(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if self.status is not None:
            return self.status
        browser = self.browsers.get(path)
        if browser is None:
            return 404
        if browser.gone:
            return 410
        if "ttl" not in headers or headers.get("content-encoding") != "aes128gcm":
            return 400
        if len(headers.get("topic", "")) > 32 or len(body) > 4096:
            return 400
        if not self._vapid_holds(headers.get("authorization", "")):
            return 401
        plain = http_ece.decrypt(body, private_key=browser.key, auth_secret=browser.auth)
        self.headers.append(headers)
        browser.received.append(json.loads(plain))
        return 201

    def _vapid_holds(self, header: str) -> bool:
        scheme, _, rest = header.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        signed, _, signature = parts["t"].rpartition(".")
        claims = json.loads(_raw(signed.split(".")[1]))
        raw = _raw(signature)
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _raw(parts["k"]))
        key.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))  # raises, the connection dies
        ahead_s = claims["exp"] - time.time()
        return (
            scheme == "vapid"
            and claims["aud"] == self.origin
            and 0 < ahead_s <= 24 * 3600
            and claims["sub"].startswith("mailto:")
        )
