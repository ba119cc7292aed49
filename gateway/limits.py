"""Limits of the HTTP door: who came through which proxy, how often, how long a request may take.

Cast: ``Proxies`` (believes X-Forwarded-* from named addresses alone), ``RateLimit`` (a bucket for each
address and credential), ``Patience`` (a body arrives in time). All are plain ASGI around the app.

An acknowledgement never waits: its addresses are outside every rate limit. It changes little, once, and
somebody's home may burn.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import problems
from registry.outward import Network

#: A second's worth of requests somebody may send on and on, and how many at once: an address is a
#: whole office behind one router, a credential is one person or one machine.
ADDRESS_PER_S: Final = 200.0
PERSON_PER_S: Final = 50.0
#: A burst is this many seconds' worth.
_BURST_S: Final = 10.0
#: Buckets kept; the longest unused make room. A flood from more addresses is a firewall's work.
_MAX_BUCKETS: Final = 20_000
#: Never limited: taking an alarm and what one does with it, by link or at the desk; and probes.
NEVER_LIMITED: Final = re.compile(r"/a/.*|(/api/v1)?/incidents/[^/]+/[a-z-]+|/healthz|/readyz")
#: A body's next piece arrives within this time, and a whole one within the other.
PIECE_S: Final = 20.0
BODY_S: Final = 300.0


@dataclass(frozen=True)
class Limits:
    """How often one address and one credential may ask, and whose word about a visitor counts."""

    address_per_s: float = ADDRESS_PER_S
    person_per_s: float = PERSON_PER_S
    proxies: tuple[Network, ...] = ()


class Proxies:
    """The visitor's own address and scheme, as a trusted proxy says them; nobody else is believed."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network] = ()) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = (scope.get("client") or ("", 0))[0]
        if scope["type"] == "http" and self._trusts(peer):
            headers = Headers(scope=scope)
            address = self._visitor(headers.getlist("x-forwarded-for"))
            scheme = headers.get("x-forwarded-proto", "").strip().lower()
            scope = dict(scope)
            if address is not None:
                scope["client"] = (address, 0)
            if scheme in ("http", "https"):
                scope["scheme"] = scheme
        await self._app(scope, receive, send)

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in each for each in self._trusted if each.version == found.version)

    def _visitor(self, said: list[str]) -> str | None:
        """The last address in the chain that no proxy of ours wrote of itself."""
        chain = [part.strip() for line in said for part in line.split(",")]
        for each in reversed(chain):
            try:
                ipaddress.ip_address(each)
            except ValueError:
                return None
            if not self._trusts(each):
                return each
        return None


@dataclass
class _Bucket:
    left: float
    at_s: float


class Buckets:
    """Token buckets by key, the longest unused dropped first."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._kept: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """0: taken; else how long until the next one is."""
        bucket = self._kept.pop(key, None) or _Bucket(self._burst, now_s)
        gained = max(0.0, now_s - bucket.at_s) * self._per_s
        bucket.left, bucket.at_s = min(self._burst, bucket.left + gained), now_s
        self._kept[key] = bucket
        while len(self._kept) > _MAX_BUCKETS:
            self._kept.popitem(last=False)
        if bucket.left < 1.0:
            return (1.0 - bucket.left) / self._per_s
        bucket.left -= 1.0
        return 0.0


class RateLimit:
    """Refuses with 429 whoever asks too often, by address and by credential."""

    def __init__(
        self, app: ASGIApp, limits: Limits, monotonic_s: Callable[[], float] | None = None
    ) -> None:
        self._app = app
        self._now_s = monotonic_s or (lambda: asyncio.get_running_loop().time())
        self._addresses = Buckets(limits.address_per_s, limits.address_per_s * _BURST_S)
        self._people = Buckets(limits.person_per_s, limits.person_per_s * _BURST_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or NEVER_LIMITED.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        now_s = self._now_s()
        wait_s = self._addresses.wait_s((scope.get("client") or ("", 0))[0], now_s)
        if not wait_s and (who := _credential(scope)):
            wait_s = self._people.wait_s(who, now_s)
        if wait_s:
            await problems.response_of(_too_often(wait_s))(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Patience:
    """A body that trickles in is given up: its sender holds a place and memory of ours."""

    def __init__(self, app: ASGIApp, piece_s: float = PIECE_S, body_s: float = BODY_S) -> None:
        self._app = app
        self._piece_s, self._body_s = piece_s, body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        whole, end_s = False, asyncio.get_running_loop().time() + self._body_s

        async def receiving() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            left_s = max(0.0, end_s - asyncio.get_running_loop().time())
            try:
                async with asyncio.timeout(min(self._piece_s, left_s)):
                    message = await receive()
            except TimeoutError:
                return {"type": "http.disconnect"}
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, receiving, send)


def _credential(scope: Scope) -> str | None:
    """A name for the credential that is sent; a wrong one is a bucket of its own, and the address's."""
    headers = Headers(scope=scope)
    sent = headers.get("authorization") or headers.get("cookie")
    return hashlib.sha256(sent.encode()).hexdigest() if sent else None


def _too_often(wait_s: float) -> problems.ProblemError:
    return problems.ProblemError(
        429, "too-many-requests", "Too many requests", "ask less often",
        headers={"Retry-After": str(max(1, round(wait_s + 0.5)))},
    )  # fmt: skip
