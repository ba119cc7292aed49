"""Where our own requests may go: public addresses, and private networks that the settings name.

An address that somebody typed (a webhook, a camera, a provider) is a wish that *our* server sends a
request. So a name is resolved here, every address it has is judged, and the connection goes to the very
address that was judged: a name that says something else a moment later changes nothing. Redirects are
not followed, the environment's proxies are not believed.

Cast: ``Guard`` (judges), ``GuardedTransport`` (httpx's way out, judged at each connection).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

import httpx

from edge.wire.addresses import Address, Network, lies_in, networks, unwrapped

__all__ = ["Address", "Guard", "GuardedTransport", "Network", "OutwardRefused", "client", "networks",
           "of_operator"]  # fmt: skip

_PORTS: Final = {"http": 80, "https": 443}
_RESOLVE_S: Final = 5.0
#: A cloud's metadata service is never meant, whatever network is named.
_NEVER: Final = tuple(
    ipaddress.ip_network(each)
    for each in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "0.0.0.0/8", "224.0.0.0/4", "ff00::/8")
)


class OutwardRefused(ValueError):
    """An address we do not send anything to. ``reason``: scheme, no_host, unknown_host or private."""

    def __init__(self, reason: str) -> None:
        said = {
            "scheme": "expected https (http only inside a network the settings name)",
            "no_host": "expected an address with a host",
            "unknown_host": "the host's name is not known",
            "private": "it lies in a private network that the settings do not name (outward_networks)",
        }
        super().__init__(said[reason])
        self.reason = reason


class Guard:
    """Judges addresses. ``named``: private networks that may be reached all the same."""

    def __init__(self, named: Sequence[Network] = ()) -> None:
        self._named = tuple(named)

    def allows(self, address: Address) -> bool:
        """Whether something may be sent there."""
        plain = unwrapped(address)
        if lies_in(plain, _NEVER):
            return False
        return plain.is_global or self.named(plain)

    def named(self, address: Address) -> bool:
        """Whether it lies in a network that the settings name."""
        return lies_in(address, self._named)

    async def resolve(self, host: str, port: int) -> list[str]:
        """The host's addresses, all of them allowed. Raises ``OutwardRefused``."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise OutwardRefused("unknown_host") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses or not all(self.allows(_plain(each)) for each in addresses):
            raise OutwardRefused("private")
        return addresses

    async def check(self, url: str) -> str:
        """The address to connect to for this URL. Raises ``OutwardRefused``."""
        try:
            parts = httpx.URL(url)
        except httpx.InvalidURL:
            raise OutwardRefused("no_host") from None
        if parts.scheme not in _PORTS:
            raise OutwardRefused("scheme")
        if not parts.host:
            raise OutwardRefused("no_host")
        first = (await self.resolve(parts.host, parts.port or _PORTS[parts.scheme]))[0]
        if parts.scheme == "http" and not self.named(_plain(first)):
            raise OutwardRefused("scheme")
        return first


def of_operator() -> Guard:
    """For an address that the machine's own operator set: inner networks too, a metadata service never,
    and http only inside."""
    return Guard(networks(["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                           "100.64.0.0/10", "fc00::/7"]))  # fmt: skip


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends a request to the address that was judged, under the name that was asked for."""

    def __init__(self, guard: Guard, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._guard = guard
        self._inner = inner or httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises ``OutwardRefused`` where the request may not go."""
        address = await self._guard.check(str(request.url))
        host = request.url.host
        request.headers.setdefault("Host", request.url.netloc.decode("ascii"))
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def client(guard: Guard, timeout_s: float) -> httpx.AsyncClient:
    """A client for addresses that others chose: judged, no redirects, no proxies."""
    return httpx.AsyncClient(
        transport=GuardedTransport(guard), timeout=timeout_s, follow_redirects=False, trust_env=False
    )


def _plain(address: str) -> Address:
    return ipaddress.ip_address(address.partition("%")[0])
