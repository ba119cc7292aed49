"""Requests and replies over one bounded connection: the part that HTTP and RTSP share.

Cast: ``Address`` (a camera's URL taken apart; printed without its password), ``Talk`` (a connection on
which every read and write ends at one deadline), ``Reply``, ``answer_challenge`` (Basic and Digest).
A peer can neither hold us longer than the deadline nor make us keep more than the stated bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from edge.wire.addresses import Network, may_be_a_device, networks

#: Status line and headers together; real cameras send under 2 kB.
MAX_HEADER_BYTES: Final = 16 << 10
PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


def named_networks() -> tuple[Network, ...]:
    """Networks in which cameras may lie beyond the usual (``UTAA_CAMERA_NETWORKS``, with commas):
    127.0.0.0/8 for simulated ones. Raises ``ValueError`` that names the wrong one."""
    return networks([one for one in os.environ.get("UTAA_CAMERA_NETWORKS", "").split(",") if one])


class TalkError(Exception):
    """The conversation ended early. ``outcome`` is one of ``probe.Outcome``."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Address:
    """Where a camera is. ``repr`` and ``str`` never show the credentials."""

    scheme: str
    host: str
    port: int
    path: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises ``ValueError`` with a message that does not repeat the text."""
        try:
            parts = urlsplit(text.strip())
            port = parts.port
        except ValueError:
            raise ValueError("not a URL") from None
        if parts.scheme not in PORTS:
            raise ValueError("expected rtsp://, rtsps://, http:// or https://")
        if not parts.hostname or any(ord(c) < 33 for c in text.strip()):
            raise ValueError("no host in the URL, or blanks in it")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        user = unquote(parts.username) if parts.username is not None else None
        password = unquote(parts.password) if parts.password is not None else None
        return cls(
            parts.scheme, parts.hostname, port or PORTS[parts.scheme], path or "/", user, password
        )

    def __str__(self) -> str:
        """The URL without credentials; a query may hold a password, so only its presence is told."""
        path, asked, _ = self.path.partition("?")
        return f"{self.scheme}://{self._place}{path}{'?…' if asked else ''}"

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def plain(self) -> str:
        """The whole URL without user and password, for request lines."""
        return f"{self.scheme}://{self._place}{self.path}"

    @property
    def secret_url(self) -> str:
        """With credentials. For the library that opens the stream; never to be shown or logged."""
        if self.user is None:
            return self.plain
        who = quote(self.user, safe="") + ":" + quote(self.password or "", safe="")
        return f"{self.scheme}://{who}@{self._place}{self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply's head."""

    protocol: str
    status: int
    headers: Mapping[str, str]
    challenges: tuple[str, ...]


class Talk:
    """One connection, all of it within ``deadline`` (``time.monotonic``). Raises ``TalkError``."""

    def __init__(self, address: Address, deadline: float, connect_s: float) -> None:
        self._deadline = deadline
        self._buffer = b""
        try:
            self._socket = socket.create_connection(
                (address.host, address.port), timeout=min(connect_s, self.left())
            )
            #: where the connection went; what is opened next goes there too
            self.peer = str(self._socket.getpeername()[0])
            if not may_be_a_device(self.peer, named_networks()):
                self._socket.close()
                raise TalkError("bad_url")
            if address.scheme in ("https", "rtsps"):
                # cameras sign their own certificates; who it is, is decided by its identity instead
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                self._socket = context.wrap_socket(self._socket, server_hostname=address.host)
        except ssl.SSLError:
            raise TalkError("tls_failed") from None
        except OSError as error:
            raise TalkError(connect_outcome(error)) from None

    def left(self) -> float:
        """Seconds to the deadline. Raises ``TalkError`` when it has passed."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TalkError("timeout")
        return left

    def send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self.left())
            self._socket.sendall(data)
        except TimeoutError:
            raise TalkError("timeout") from None
        except OSError:
            raise TalkError("closed") from None

    def read_some(self, at_most: int = 65536) -> bytes:
        """What has come, at least one byte; empty at the end."""
        if self._buffer:
            data, self._buffer = self._buffer[:at_most], self._buffer[at_most:]
            return data
        try:
            self._socket.settimeout(self.left())
            return self._socket.recv(at_most)
        except TimeoutError:
            raise TalkError("timeout") from None
        except OSError:
            raise TalkError("closed") from None

    def read_reply(self) -> Reply:
        """The next reply's head; what follows it stays to be read."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.read_some()
            if not more:
                raise TalkError("closed" if not data else "not_understood")
            data += more
            head_size = len(data) if b"\r\n\r\n" not in data else data.index(b"\r\n\r\n")
            if head_size > MAX_HEADER_BYTES or not (
                b"RTSP".startswith(data[:4]) or b"HTTP".startswith(data[:4])
            ):
                raise TalkError("not_understood")
        head, _, self._buffer = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"(RTSP|HTTP)/\d\.\d (\d{3})(?: .*)?", lines[0])
        if match is None:
            raise TalkError("not_understood")
        pairs = [
            (k.strip().lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines[1:])
        ]
        asks = tuple(v for k, v in pairs if k == "www-authenticate")
        return Reply(match[1], int(match[2]), dict(pairs), asks)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect_outcome(error: OSError) -> str:
    """Why a connection did not come about."""
    if isinstance(error, socket.gaierror):
        return "unknown_host"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    return "no_route"


def answer_challenge(
    address: Address, method: str, uri: str, challenges: tuple[str, ...]
) -> str | None:
    """The Authorization header for these challenges; None if there is no user or no known scheme."""
    if address.user is None:
        return None
    for challenge in challenges:
        if challenge.lower().startswith("digest"):
            return _digest(address, method, uri, challenge)
    if any(c.lower().startswith("basic") for c in challenges):
        pair = f"{address.user}:{address.password or ''}".encode()
        return "Basic " + base64.b64encode(pair).decode()
    return None


def _digest(address: Address, method: str, uri: str, challenge: str) -> str:
    """RFC 2617 and 7616: MD5 or SHA-256, with ``qop=auth`` or without."""
    said = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge[6:]))
    algorithm = said.get("algorithm", "MD5").upper()
    name = "sha256" if algorithm.startswith("SHA-256") else "md5"

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = said.get("realm", ""), said.get("nonce", "")
    first = digest(f"{address.user}:{realm}:{address.password or ''}")
    second = digest(f"{method}:{uri}")
    parts = {"username": address.user or "", "realm": realm, "nonce": nonce, "uri": uri}
    qop = "auth" in said.get("qop", "").split(",") or "auth" in said.get("qop", "").split()
    if qop:
        count, own = "00000001", secrets.token_hex(8)
        response = digest(f"{first}:{nonce}:{count}:{own}:auth:{second}")
        tail = f', qop=auth, nc={count}, cnonce="{own}"'
    else:
        response, tail = digest(f"{first}:{nonce}:{second}"), ""
    if "opaque" in said:
        tail += f', opaque="{said["opaque"]}"'
    if "algorithm" in said:
        tail += f", algorithm={said['algorithm']}"
    head = ", ".join(f'{k}="{v}"' for k, v in parts.items())
    return f'Digest {head}, response="{response}"{tail}'
