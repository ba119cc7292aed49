"""Opaque ids.

A detector's id is derived from where it hangs and how its own protocol names it, so that edge and
city agree without asking each other, a site cannot speak for another site's detector, and a name a
family gave its detector never leaves the home in a key, a tag or a log.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid

#: What a site may be called: it is an MQTT topic level and a file name.
SITE_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
_SITE = re.compile(SITE_PATTERN)


def check_site(site: str) -> str:
    """The site's name itself, if it is one. Raises ``ValueError`` that says what was expected."""
    if not _SITE.fullmatch(site):
        raise ValueError(
            f"{site!r} is no site name; expected lower-case letters, digits and '-', at most 63"
        )
    return site


def detector_id(site: str, source: str, address: str) -> str:
    """``d`` and 20 characters of base 32: 96 bits of BLAKE2b over site, source and address."""
    digest = hashlib.blake2b(
        "\0".join((site, source, address)).encode(), digest_size=12, person=b"utaa.detector"
    ).digest()
    return "d" + base64.b32encode(digest).decode().rstrip("=").lower()


def cameras_id(site: str) -> str:
    """What a loss of many cameras at once is an alarm of: the site's cameras as one thing."""
    return detector_id(site, "cameras", "network")


def new_id() -> str:
    """A random id for an alarm, an epoch, a store, a boot: 32 hexadecimal digits."""
    return uuid.uuid4().hex
