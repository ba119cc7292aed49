"""Where a site serves its read-only page on its own network, and links to it with today's keys."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.localkey import day_of, key_for
from registry import acts
from registry.acts import Act
from registry.fieldwork.models import LocalPage
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch

_PURPOSE: Final = "local_page.secret"
#: Plain HTTP: the site has no certificate a phone would believe.
_ADDRESS: Final = re.compile(r"http://(\[[0-9a-f:]+\]|[a-z0-9.-]{1,100}):[0-9]{1,5}")
#: Links a phone carries: today and the two days after, for work without signal.
DAYS: Final = 3


@dataclass(frozen=True)
class LocalLink:
    """A link to a detector's page at its site, and the day (number since 1970, UTC) it is for."""

    day: int
    url: str


async def set_up(session: AsyncSession, keyring: Keyring, act: Act, site_id: str, address: str) -> str:
    """A new secret for a site's page at this address; it is told once. The old one opens nothing.

    Raises ``Conflict`` (the address is none).
    """
    if not _ADDRESS.fullmatch(address):
        raise Conflict("address", "expected such as http://192.168.1.20:8088")
    secret = secrets.token_urlsafe(32)
    kept = await session.get(LocalPage, site_id)
    if kept is None:
        kept = LocalPage(site_id=site_id)
        session.add(kept)
    kept.address, kept.made_us = address, act.now_us
    kept.secret = keyring.seal(secret, _PURPOSE)
    await session.flush()
    await acts.record(session, act, "site.local_page", "site", site_id, after={"address": address})
    return secret


async def take_down(session: AsyncSession, act: Act, site_id: str) -> None:
    """No links any more. Raises ``NoSuch``."""
    kept = await session.get(LocalPage, site_id)
    if kept is None:
        raise NoSuch("local page", site_id)
    await session.delete(kept)
    await session.flush()
    await acts.record(session, act, "site.local_page", "site", site_id, after={"address": None})


def links(page: LocalPage, keyring: Keyring, detector_id: str, now_us: int) -> list[LocalLink]:
    """The links to a detector's page, today's first."""
    secret = keyring.open(page.secret, _PURPOSE)
    today = day_of(now_us)
    return [
        LocalLink(day, f"{page.address}/{detector_id}/{key_for(secret, detector_id, day)}")
        for day in range(today, today + DAYS)
    ]
