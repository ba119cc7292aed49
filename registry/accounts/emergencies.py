"""Emergency access: a role for some minutes, with a reason, audited, told to administrators.

It is for the night when the one who may is not there. Whoever takes a role cannot give roles with it:
an administrator's is not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from edge.wire.clock import US_PER_S, Clock
from registry import audit
from registry.accounts.models import EmergencyAccess
from registry.db import Database
from registry.models import Person
from registry.rights import Actor, Role
from registry.sites import Conflict, NoSuch

#: Roles that can be taken.
EMERGENCY_ROLES: Final[tuple[Role, ...]] = ("duty", "registrar", "technician")
MAX_MINUTES: Final = 120
_MIN_REASON: Final = 10
_MINUTE_US: Final = 60 * US_PER_S
_SHOWN: Final = 500


@dataclass(frozen=True)
class Emergency:
    """Who took which role, why, from when to when."""

    id: str
    person_id: str
    login: str
    role: str
    reason: str
    started_us: int
    ends_us: int


class Emergencies:
    """Taking a role for some minutes, and giving it back."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(
        self, by: Actor, role: str, minutes: int, reason: str, *, origin: str = ""
    ) -> Emergency:
        """The role from now on. Raises ``Conflict`` that says what was expected, ``NoSuch``."""
        why = reason.strip()
        if role not in EMERGENCY_ROLES:
            raise Conflict("role", f"expected one of {', '.join(EMERGENCY_ROLES)}")
        if not 1 <= minutes <= MAX_MINUTES:
            raise Conflict("minutes", f"expected 1 to {MAX_MINUTES} minutes")
        if len(why) < _MIN_REASON:
            raise Conflict("reason", f"expected a sentence of {_MIN_REASON} characters or more")
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            person = await session.get(Person, by.id)
            if person is None:
                raise NoSuch("person", by.id)
            row = EmergencyAccess(
                person_id=by.id, role=role, reason=why[:500], started_us=now_us,
                ends_us=now_us + minutes * _MINUTE_US,
            )  # fmt: skip
            session.add(row)
            await session.flush()
            await audit.append(
                session, actor=by, origin=origin, action="emergency.take", object_kind="person",
                object_id=by.id, now_us=now_us, after={"role": role, "minutes": minutes}, reason=why,
            )  # fmt: skip
            return _of(row, person.login)

    async def end(self, by: Actor, emergency_id: str, *, origin: str = "") -> None:
        """It ends now. Raises ``NoSuch``."""
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            row = await session.get(EmergencyAccess, emergency_id, with_for_update=True)
            if row is None:
                raise NoSuch("emergency", emergency_id)
            row.ends_us = min(row.ends_us, now_us)
            await audit.append(
                session, actor=by, origin=origin, action="emergency.end", object_kind="person",
                object_id=row.person_id, now_us=now_us,
            )  # fmt: skip

    async def newest(self, *, running: bool = False) -> list[Emergency]:
        """Who took what lately, the newest first; or only what runs now."""
        wanted = (
            select(EmergencyAccess, Person.login)
            .join(Person, EmergencyAccess.person_id == Person.id)
            .order_by(EmergencyAccess.started_us.desc(), EmergencyAccess.id)
            .limit(_SHOWN)
        )
        if running:
            wanted = wanted.where(EmergencyAccess.ends_us > self._clock.now_us())
        async with self._database.read() as session:
            return [_of(row, login) for row, login in await session.execute(wanted)]


def _of(row: EmergencyAccess, login: str) -> Emergency:
    return Emergency(row.id, row.person_id, login, row.role, row.reason, row.started_us, row.ends_us)
