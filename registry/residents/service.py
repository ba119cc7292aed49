"""Links to a household's page, the browsers it was opened on, and whom a link may be sent to.

In the caller's write transaction. A link opens one browser, once; whoever only looks at it (a preview)
uses nothing up. Tokens leave here once and are kept as hashes.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from registry.acts import Act, record
from registry.households import CHANNEL_ADDRESS, normal_address
from registry.models import Contact, ContactChannel, Household
from registry.requests.opendoor import Allowance
from registry.residents.models import HomeLink, HomeSession
from registry.sealed import Keyring

_DAY_US: Final = 24 * 3600 * US_PER_S
#: A link that somebody asked for is used at once; one on paper lies on a table first.
ASKED_LIFE_US: Final = 3600 * US_PER_S
PAPER_LIFE_US: Final = 14 * _DAY_US
#: A browser stays at home until nobody has looked for this long.
IDLE_US: Final = 90 * _DAY_US
#: A look is written down at most this often: a look is not a write.
_TOUCH_US: Final = _DAY_US
#: Browsers of one household; the one unused for longest makes room.
MAX_SESSIONS: Final = 20
#: Messages one question may cause: a number may stand with several contacts.
MAX_SENT: Final = 3
_TOKEN_BYTES: Final = 24
#: No token of ours is longer; longer ones are not even looked up.
_MAX_TOKEN: Final = 64
#: Asking for links: what one origin, and the whole city, may ask in an hour.
ASK: Final = Allowance("home", 10, 2_000)
#: Channels that a link can be sent on, in the order they are tried for what was typed.
_SENT_ON: Final = ("email", "sms")


class LinkSpent(Exception):
    """The link was used, is too old, or never was; which of them is not said."""


@dataclass(frozen=True)
class Opened:
    """A browser that has come home: ``token`` is for its cookie."""

    token: str
    session: HomeSession

    def __repr__(self) -> str:
        return "Opened(…)"


async def new_link(
    session: AsyncSession, act: Act, household_id: str, life_us: int, contact_id: str | None = None
) -> str:
    """A link's token, this once. Without a contact it is the household's first one's."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    if contact_id is None:
        contact_id = await _first_contact(session, household_id)
    await session.execute(delete(HomeLink).where(HomeLink.expires_us <= act.now_us))
    session.add(
        HomeLink(
            token_hash=_hash(token), household_id=household_id, contact_id=contact_id,
            created_us=act.now_us, expires_us=act.now_us + life_us,
        )
    )  # fmt: skip
    await session.flush()
    await record(session, act, "home.link", "household", household_id)
    return token


async def look(session: AsyncSession, token: str, now_us: int) -> HomeLink:
    """The link, if it still opens something; nothing is used up. Raises ``LinkSpent``."""
    link = await session.get(HomeLink, _hash(token)) if len(token) <= _MAX_TOKEN else None
    if link is None or link.used_us is not None or link.expires_us <= now_us:
        raise LinkSpent
    return link


async def come_home(session: AsyncSession, act: Act, token: str) -> Opened:
    """Use the link up; a new session of its household. Raises ``LinkSpent``."""
    link = await look(session, token, act.now_us)
    # two who press at once: the database lets one of them through
    used = await session.execute(
        update(HomeLink)
        .where(HomeLink.token_hash == link.token_hash, HomeLink.used_us.is_(None))
        .values(used_us=act.now_us)
    )
    assert isinstance(used, CursorResult)
    if used.rowcount != 1:
        raise LinkSpent
    await _make_room(session, link.household_id, act.now_us)
    cookie = secrets.token_urlsafe(_TOKEN_BYTES)
    home = HomeSession(
        token_hash=_hash(cookie), household_id=link.household_id, contact_id=link.contact_id,
        csrf=secrets.token_urlsafe(_TOKEN_BYTES), created_us=act.now_us, used_us=act.now_us,
        expires_us=act.now_us + IDLE_US,
    )  # fmt: skip
    session.add(home)
    await session.flush()
    await record(session, act, "home.open", "household", link.household_id)
    return Opened(cookie, home)


async def known(session: AsyncSession, cookie: str, now_us: int) -> HomeSession | None:
    """Which household's browser this is; None if unknown, ended, or the household is gone."""
    if len(cookie) > _MAX_TOKEN:
        return None
    return await session.scalar(
        select(HomeSession)
        .join(Household, Household.id == HomeSession.household_id)
        .where(
            HomeSession.token_hash == _hash(cookie),
            HomeSession.expires_us > now_us,
            Household.gone_us.is_(None),
        )
    )


def needs_touch(home: HomeSession, now_us: int) -> bool:
    """Whether its last look lies so far back that the new one is written down."""
    return now_us - home.used_us >= _TOUCH_US


async def touch(session: AsyncSession, home: HomeSession, now_us: int) -> None:
    """It was used; it holds for another while."""
    await session.execute(
        update(HomeSession)
        .where(HomeSession.token_hash == home.token_hash)
        .values(used_us=now_us, expires_us=now_us + IDLE_US)
    )


async def leave(session: AsyncSession, act: Act, home: HomeSession) -> None:
    """This browser is not at home any more."""
    await session.execute(delete(HomeSession).where(HomeSession.token_hash == home.token_hash))
    await record(session, act, "home.close", "household", home.household_id)


async def close_all(
    session: AsyncSession, act: Act, household_id: str, *, but: HomeSession | None = None
) -> int:
    """Every browser and every unused link of the household ends; how many browsers there were."""
    spared = but.token_hash if but else ""
    ended = await session.execute(
        delete(HomeSession).where(
            HomeSession.household_id == household_id, HomeSession.token_hash != spared
        )
    )
    await session.execute(delete(HomeLink).where(HomeLink.household_id == household_id))
    assert isinstance(ended, CursorResult)
    await record(
        session, act, "home.close_all", "household", household_id, after={"ended": ended.rowcount}
    )
    return ended.rowcount


async def count(session: AsyncSession, household_id: str, now_us: int) -> int:
    """Browsers that are at home there now."""
    return (
        await session.scalar(
            select(func.count())
            .select_from(HomeSession)
            .where(HomeSession.household_id == household_id, HomeSession.expires_us > now_us)
        )
        or 0
    )


async def reached_by(
    session: AsyncSession, keyring: Keyring, typed: str
) -> list[tuple[Contact, ContactChannel]]:
    """Residents whose e-mail address or number this is; at most ``MAX_SENT``. Nobody for nonsense."""
    fingerprints = []
    for channel in _SENT_ON:
        try:
            address = normal_address(channel, typed)
        except ValueError:
            continue
        fingerprints.append(keyring.fingerprint(address, CHANNEL_ADDRESS).hex())
    if not fingerprints:
        return []
    rows = await session.execute(
        select(Contact, ContactChannel)
        .join(ContactChannel, ContactChannel.contact_id == Contact.id)
        .join(Household, Household.id == Contact.household_id)
        .where(
            ContactChannel.address_fingerprint.in_(fingerprints),
            ContactChannel.channel.in_(_SENT_ON),
            ContactChannel.withdrawn_us.is_(None),
            ContactChannel.dead_us.is_(None),
            Contact.gone_us.is_(None),
            Contact.role == "resident",
            Household.gone_us.is_(None),
        )
        .order_by(Contact.id)
        .limit(MAX_SENT)
    )
    return [(contact, channel) for contact, channel in rows]


async def _first_contact(session: AsyncSession, household_id: str) -> str | None:
    found: str | None = await session.scalar(
        select(Contact.id)
        .where(
            Contact.household_id == household_id, Contact.gone_us.is_(None), Contact.role == "resident"
        )
        .order_by(Contact.position, Contact.id)
        .limit(1)
    )
    return found


async def _make_room(session: AsyncSession, household_id: str, now_us: int) -> None:
    await session.execute(delete(HomeSession).where(HomeSession.expires_us <= now_us))
    oldest = await session.scalars(
        select(HomeSession.token_hash)
        .where(HomeSession.household_id == household_id)
        .order_by(HomeSession.used_us.desc())
        .offset(MAX_SESSIONS - 1)
    )
    await session.execute(delete(HomeSession).where(HomeSession.token_hash.in_(list(oldest))))


def _hash(token: str) -> str:
    """SHA-256 is enough for a secret of 192 bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
