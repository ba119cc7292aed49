"""How often one origin may use a door that is open to everybody. Origins are kept as keyed hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from registry.identity import Throttled
from registry.requests.models import OpenDoorCount
from registry.sealed import Keyring

_WINDOW_US: Final = 3600 * US_PER_S
_PURPOSE: Final = "open_door_count.key"


@dataclass(frozen=True)
class Allowance:
    """Uses an hour: by one origin (a home, an office behind one address), and by all together."""

    door: str
    one: int
    all: int


#: What a person writes in an hour, and what the office could still read and the disk still holds.
SEND: Final = Allowance("send", 5, 600)
#: Looking up an answer: enough for a family, far too few to guess codes of 80 bits.
LOOK: Final = Allowance("look", 60, 20_000)


async def count(
    session: AsyncSession, keyring: Keyring, allowance: Allowance, origin: str, now_us: int
) -> None:
    """Count a use; the caller commits even when what follows fails. Raises ``Throttled``."""
    window_us = now_us - now_us % _WINDOW_US
    await session.execute(delete(OpenDoorCount).where(OpenDoorCount.window_us < window_us))
    for name, most in ((f"from {origin}", allowance.one), ("from all", allowance.all)):
        key = keyring.fingerprint(f"{allowance.door}\0{name}\0{window_us}", _PURPOSE).hex()
        if await _raised(session, key, window_us) > most:
            raise Throttled(-(-(window_us + _WINDOW_US - now_us) // US_PER_S))


async def _raised(session: AsyncSession, key: str, window_us: int) -> int:
    insert = pg_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    raised = (
        insert(OpenDoorCount)
        .values(key=key, window_us=window_us, used=1)
        .on_conflict_do_update(index_elements=["key"], set_={"used": OpenDoorCount.used + 1})
        .returning(OpenDoorCount.used)
    )
    return int((await session.execute(raised)).scalar_one())
