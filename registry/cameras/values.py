"""A camera's fields, each in its one form. All raise ``ValueError``: expected …"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from edge.wire.addresses import may_be_a_device

FORMS: Final = ("fixed", "dome", "ptz", "fisheye", "multi")
MOUNTS: Final = ("pole", "wall", "ceiling", "roof", "gantry", "other")
ZONES: Final = ("street", "crossing", "parking", "entrance", "yard", "school", "building", "other")
_MAC_DIGITS: Final = re.compile(r"[0-9a-f]{12}")
_MAC_JOINERS: Final = re.compile(r"[:.\s-]")
#: Polygons of one picture, corners of one polygon.
MAX_MASKS: Final = 20
MAX_CORNERS: Final = 20


def normal_mac(text: str) -> str:
    """``AA-BB-CC-DD-EE-FF``, ``aabb.ccdd.eeff`` and the like as ``aa:bb:cc:dd:ee:ff``."""
    digits = _MAC_JOINERS.sub("", text.strip().lower())
    if not _MAC_DIGITS.fullmatch(digits) or digits in ("0" * 12, "f" * 12):
        raise ValueError("expected a MAC address such as 3c:ef:8c:01:02:03")
    return ":".join(digits[start : start + 2] for start in range(0, 12, 2))


def normal_ip(text: str) -> str:
    """An IPv4 or IPv6 address of one device."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ValueError("expected an IP address such as 10.16.4.21") from None
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        raise ValueError("expected the IP address of one device")
    return str(address)


def split_stream(text: str) -> tuple[str, str | None]:
    """A stream's address without user and password, and ``user:password`` if it had them."""
    expected = "expected a stream's address such as rtsp://10.16.4.21/stream1"
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in ("rtsp", "rtsps", "http", "https") or not host or " " in text.strip():
        raise ValueError(expected)
    if not may_be_a_device(host):
        raise ValueError(f"{expected}, and not on this machine or in a network of its own making")
    secret, at, _ = parts.netloc.rpartition("@")
    shown = f"[{host}]" if ":" in host else host
    address = parts._replace(netloc=f"{shown}:{port}" if port else shown).geturl()
    return address, secret if at and secret else None


def check_masks(masks: Sequence[Any]) -> list[list[list[float]]]:
    """Polygons in parts of the picture."""
    expected = f"expected at most {MAX_MASKS} polygons of 3 to {MAX_CORNERS} [x, y], each 0 to 1"
    if len(masks) > MAX_MASKS:
        raise ValueError(expected)
    return [_check_mask(mask, expected) for mask in masks]


def _check_mask(mask: Any, expected: str) -> list[list[float]]:
    if not isinstance(mask, list) or not 3 <= len(mask) <= MAX_CORNERS:
        raise ValueError(expected)
    for corner in mask:
        numbers = isinstance(corner, list) and len(corner) == 2 and all(map(_is_part, corner))
        if not numbers:
            raise ValueError(expected)
    return [[float(x), float(y)] for x, y in mask]


def _is_part(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
