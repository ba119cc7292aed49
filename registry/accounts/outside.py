"""Who somebody is at an OpenID provider. Only an administrator says which person that is.

Whoever comes from a provider for the first time is shown a short code. An administrator who has made
sure who they are links the code to a person; nothing that the provider says of them (a mail, a name)
links by itself. A subject may be a register number, so only its keyed hash is kept.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S, Clock
from registry import audit
from registry.accounts.models import OutsideAccount
from registry.db import Database
from registry.models import Person
from registry.rights import ANYBODY, Actor
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch

_PURPOSE: Final = "outside_account.subject"
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH: Final = 8
#: Strangers wait this long for an administrator, and at most so many; the oldest make room.
WAITING_US: Final = 7 * 24 * 3600 * US_PER_S
MAX_WAITING: Final = 1000


@dataclass(frozen=True)
class Seen:
    """A visitor from a provider: their code, and the person they are, if somebody has said so."""

    code: str
    person_id: str | None


class OutsideAccounts:
    """Recognising visitors, and linking them."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock

    async def seen(self, provider: str, issuer: str, subject: str, *, origin: str = "") -> Seen:
        """Whom this provider's subject is linked to; a code where it is nobody yet."""
        key = self._keyring.fingerprint(f"{issuer}\0{subject}", _PURPOSE).hex()
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            row = await session.get(OutsideAccount, key)
            if row is None:
                await _make_room(session, now_us)
                code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
                row = OutsideAccount(subject_hash=key, provider=provider, code=code, created_us=now_us)
                session.add(row)
            if row.person_id is None:
                await audit.append(
                    session, actor=ANYBODY, origin=origin, action="session.unlinked",
                    object_kind="outside_account", object_id=row.code, now_us=now_us,
                )  # fmt: skip
            return Seen(row.code, row.person_id)

    async def link(self, code: str, person_id: str, *, by: Actor, origin: str = "") -> None:
        """From now on this visitor is that person. Raises ``NoSuch``, ``Conflict``."""
        async with self._database.write() as session:
            row = await self._row(session, code)
            if row.person_id is not None:
                raise Conflict("code", "this visitor is linked already; unlink first")
            if await session.get(Person, person_id) is None:
                raise NoSuch("person", person_id)
            row.person_id = person_id
            await audit.append(
                session, actor=by, origin=origin, action="outside_account.link",
                object_kind="person", object_id=person_id, now_us=self._clock.now_us(),
                after={"provider": row.provider, "code": row.code},
            )  # fmt: skip

    async def unlink(self, code: str, *, by: Actor, origin: str = "") -> None:
        """This visitor is nobody again, and forgotten. Raises ``NoSuch``."""
        async with self._database.write() as session:
            row = await self._row(session, code)
            person_id = row.person_id or ""
            await session.delete(row)
            await audit.append(
                session, actor=by, origin=origin, action="outside_account.unlink",
                object_kind="person", object_id=person_id, now_us=self._clock.now_us(),
                before={"provider": row.provider, "code": row.code},
            )  # fmt: skip

    async def _row(self, session: AsyncSession, code: str) -> OutsideAccount:
        wanted = select(OutsideAccount).where(OutsideAccount.code == code.strip().upper())
        row = await session.scalar(wanted.with_for_update())
        if row is None:
            raise NoSuch("visitor", code)
        return row


async def _make_room(session: AsyncSession, now_us: int) -> None:
    waiting = OutsideAccount.person_id.is_(None)
    await session.execute(
        delete(OutsideAccount).where(waiting, OutsideAccount.created_us < now_us - WAITING_US)
    )
    if (await session.scalar(select(func.count()).where(waiting)) or 0) >= MAX_WAITING:
        oldest = select(func.min(OutsideAccount.created_us)).where(waiting).scalar_subquery()
        await session.execute(
            delete(OutsideAccount).where(waiting, OutsideAccount.created_us == oldest)
        )
