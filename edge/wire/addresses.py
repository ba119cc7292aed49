"""Addresses that nobody means when they write down where a device is. Pure.

``registry.outward`` judges with it where the city's own requests go, ``edge.cameras.talk`` where a site
looks for a camera: a device lies in a private network, but neither on the machine itself nor where a
cloud keeps its keys.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The machine itself, what only the next cable knows, a cloud's metadata, everybody and nobody.
_NO_DEVICE: Final = tuple(
    ipaddress.ip_network(each)
    for each in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128",
                 "::1/128", "fe80::/10", "fd00:ec2::/32", "ff00::/8")
)  # fmt: skip
#: Names that mean the machine itself, whoever is asked.
_SELF: Final = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4), else the address."""
    return getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address


def lies_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks holds it."""
    return any(address in each for each in networks if each.version == address.version)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The named networks. Raises ``ValueError`` that names the wrong one."""
    found = []
    for each in texts:
        try:
            found.append(ipaddress.ip_network(each))
        except ValueError:
            raise ValueError(f"{each!r} is no network; expected 10.20.0.0/16") from None
    return tuple(found)


def may_be_a_device(host: str, named: Sequence[Network] = ()) -> bool:
    """Whether a device may be at this host: an address, or a name (judged again when it has one).

    ``named``: networks in which one may lie all the same.
    """
    plain = host.strip("[]").partition("%")[0].rstrip(".").lower()
    try:
        address = unwrapped(ipaddress.ip_address(plain))
    except ValueError:
        return not (plain in _SELF or plain.endswith(".localhost") or _is_a_number(plain))
    return lies_in(address, named) or not lies_in(address, _NO_DEVICE)


def _is_a_number(host: str) -> bool:
    """127.1, 2130706433 and 0x7f.1 are addresses to a resolver, and to no person."""
    last = host.rpartition(".")[2]
    return last.isdecimal() or last.startswith("0x")
