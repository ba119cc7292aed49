"""The rotating key of a site's local page: what city and site derive from one secret. Pure.

A key opens the page of one detector for one day (UTC) and its neighbours: a phone may carry tomorrow's
key into a valley without signal, and clocks may differ.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

_DAY_US: Final = 86_400 * 1_000_000
#: 80 bits in 16 characters: beyond guessing through a door that answers some requests a second.
_KEY_BYTES: Final = 10
#: A secret has at least so many characters.
MIN_SECRET: Final = 32


def day_of(time_us: int) -> int:
    """The day's number since 1970, UTC."""
    return time_us // _DAY_US


def key_for(secret: str, detector: str, day: int) -> str:
    """The key of a detector's page on a day: 16 small letters and digits."""
    mac = hmac.new(secret.encode(), f"utaa local page|{detector}|{day}".encode(), hashlib.sha256)
    return base64.b32encode(mac.digest()[:_KEY_BYTES]).decode().lower()


def opens(secret: str, detector: str, key: str, now_us: int) -> bool:
    """Whether the key opens this detector's page now; compared in constant time."""
    today = day_of(now_us)
    sent = key.encode("utf-8", "replace")
    fits = False
    for day in (today - 1, today, today + 1):
        fits |= hmac.compare_digest(key_for(secret, detector, day).encode(), sent)
    return fits
