"""The second factor: time-based one-time codes (RFC 6238) and recovery codes.

A secret counts once a first code has confirmed it. Each code is taken once: the step of the newest one
is kept, and older steps are refused with it. Recovery codes are stored as hashes and shown once.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

import pyotp
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S, Clock
from registry import audit
from registry.accounts.models import RecoveryCode, SecondFactor
from registry.db import Database
from registry.models import Person
from registry.rights import Actor
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch

PURPOSE: Final = "second_factor.secret"
ISSUER: Final = "Utaa"
#: RFC 6238's usual step. A phone's clock may be one step off, either way.
STEP_S: Final = 30
_DRIFT_STEPS: Final = 1
RECOVERY_CODES: Final = 10
#: 50 bits each: with the throttle of sign-ins nobody guesses one.
_RECOVERY_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_RECOVERY_LENGTH: Final = 10
_DIGITS: Final = re.compile(r"[0-9]{6}")


class WrongCode(ValueError):
    """The code is wrong, too old or was used already (which of them is not said)."""

    def __init__(self) -> None:
        super().__init__("the code is wrong, too old or was used already")


@dataclass(frozen=True)
class Enrolment:
    """A new secret, shown this once: as text, and as the ``otpauth:`` address for a QR code."""

    secret: str
    uri: str

    def __repr__(self) -> str:
        return "Enrolment(…)"


class SecondFactors:
    """Enrolling, confirming and removing, over one database."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock

    async def begin(self, person_id: str) -> Enrolment:
        """A new secret, to be confirmed. Raises ``Conflict`` where one counts, ``NoSuch``."""
        secret = pyotp.random_base32()
        async with self._database.write() as session:
            person = await session.get(Person, person_id)
            if person is None:
                raise NoSuch("person", person_id)
            factor = await session.get(SecondFactor, person_id)
            if factor is not None and factor.confirmed_us is not None:
                raise Conflict("code", "a second factor is set up; remove it first")
            if factor is not None:
                await session.delete(factor)
                await session.flush()
            sealed = self._keyring.seal(secret, PURPOSE)
            now_us = self._clock.now_us()
            session.add(
                SecondFactor(person_id=person_id, secret=sealed, created_us=now_us, last_step=0)
            )
            uri = pyotp.TOTP(secret).provisioning_uri(name=person.login, issuer_name=ISSUER)
        return Enrolment(secret, uri)

    async def confirm(self, actor: Actor, code: str, *, origin: str = "") -> list[str]:
        """The factor counts from now on. Returns the recovery codes. Raises ``WrongCode``."""
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            factor = await session.get(SecondFactor, actor.id, with_for_update=True)
            if factor is None or factor.confirmed_us is not None:
                raise NoSuch("second factor", actor.id)
            if not self._take(factor, code, now_us):
                raise WrongCode
            factor.confirmed_us = now_us
            codes = await _new_recovery_codes(session, actor.id, now_us)
            await self._enter(session, actor, "factor.confirm", actor.id, now_us, origin)
        return codes

    async def renew_codes(self, actor: Actor, code: str, *, origin: str = "") -> list[str]:
        """New recovery codes; the old ones stop working. Raises ``WrongCode``."""
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            if not await self.passes(session, actor.id, code, now_us):
                raise WrongCode
            codes = await _new_recovery_codes(session, actor.id, now_us)
            await self._enter(session, actor, "factor.codes", actor.id, now_us, origin)
        return codes

    async def drop_own(self, actor: Actor, code: str, *, origin: str = "") -> None:
        """One's own factor counts no longer; it takes a code of it. Raises ``WrongCode``."""
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            if not await self.passes(session, actor.id, code, now_us):
                raise WrongCode
            await _forget(session, actor.id)
            await self._enter(session, actor, "factor.drop", actor.id, now_us, origin)

    async def remove(self, person_id: str, *, by: Actor, reason: str, origin: str = "") -> None:
        """An administrator removes a lost one, and says why. Raises ``NoSuch``, ``ReasonMissing``."""
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            if await session.get(SecondFactor, person_id) is None:
                raise NoSuch("second factor", person_id)
            await _forget(session, person_id)
            await self._enter(session, by, "factor.remove", person_id, now_us, origin, reason)

    async def codes_left(self, person_id: str) -> int:
        """How many recovery codes are unused."""
        async with self._database.read() as session:
            left = select(func.count()).where(
                RecoveryCode.person_id == person_id, RecoveryCode.used_us.is_(None)
            )
            return await session.scalar(left) or 0

    async def passes(self, session: AsyncSession, person_id: str, code: str, now_us: int) -> bool:
        """Whether the code is good now; it is used up by that, inside the caller's transaction."""
        factor = await session.get(SecondFactor, person_id, with_for_update=True)
        if factor is None or factor.confirmed_us is None:
            return False
        if self._take(factor, code, now_us):
            return True
        found = await session.get(RecoveryCode, _hash(person_id, code), with_for_update=True)
        if found is None or found.person_id != person_id or found.used_us is not None:
            return False
        found.used_us = now_us
        return True

    def _take(self, factor: SecondFactor, code: str, now_us: int) -> bool:
        plain = code.replace(" ", "")
        if not _DIGITS.fullmatch(plain):
            return False
        totp = pyotp.TOTP(self._keyring.open(factor.secret, PURPOSE))
        step = now_us // (STEP_S * US_PER_S)
        for each in range(step - _DRIFT_STEPS, step + _DRIFT_STEPS + 1):
            if each > factor.last_step and pyotp.utils.strings_equal(totp.generate_otp(each), plain):
                factor.last_step = each
                return True
        return False

    async def _enter(
        self, session: AsyncSession, by: Actor, action: str, person_id: str, now_us: int, origin: str,
        reason: str | None = None,
    ) -> None:  # fmt: skip
        await audit.append(
            session, actor=by, origin=origin, action=action, object_kind="person",
            object_id=person_id, now_us=now_us, reason=reason,
        )  # fmt: skip


async def _new_recovery_codes(session: AsyncSession, person_id: str, now_us: int) -> list[str]:
    await session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person_id))
    codes = [
        "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_LENGTH))
        for _ in range(RECOVERY_CODES)
    ]
    session.add_all(
        RecoveryCode(code_hash=_hash(person_id, code), person_id=person_id, created_us=now_us)
        for code in codes
    )
    return [f"{code[:5]}-{code[5:]}" for code in codes]


async def _forget(session: AsyncSession, person_id: str) -> None:
    await session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person_id))
    await session.execute(delete(SecondFactor).where(SecondFactor.person_id == person_id))


def _hash(person_id: str, code: str) -> str:
    plain = code.replace("-", "").replace(" ", "").upper()
    return hashlib.sha256(f"recovery\0{person_id}\0{plain}".encode()).hexdigest()
