"""Who somebody is: passwords, sessions, API tokens, and the first administrator.

Cast: ``Identity`` (the service over one database and clock), ``SignedIn`` (what a browser gets),
``Known`` (whom a session or token speaks for). Only hashes of sessions, tokens and codes are stored.

A sign-in's journey: the failure is counted *before* the password is checked (so guesses in parallel
are counted too), the hash is compared in a thread, then the counter is cleared and a new session
written; the browser's old session ends.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S, Clock
from edge.wire.identity import new_id
from registry import audit
from registry.accounts.factors import SecondFactors
from registry.accounts.failures import (
    Keys,
    count_failure,
    failure_key,
    forget_failures,
    uncount_failure,
)
from registry.accounts.failures import Throttled as Throttled  # whoever signs people in meets it
from registry.accounts.standing import grants_of, has_factor
from registry.db import Database
from registry.models import ApiToken, LoginSession, Person, RoleGrant, SetupCode
from registry.passwords import Passwords
from registry.rights import ANYBODY, SYSTEM, Actor, Grant, Role, check_roles
from registry.sealed import Keyring, KeyringError
from registry.throttle import LOGIN_ALLOWANCE, ORIGIN_ALLOWANCE

#: A session ends after this long without a request, and after this long in any case.
IDLE_US: Final = 8 * 3600 * US_PER_S
ABSOLUTE_US: Final = 24 * 3600 * US_PER_S
#: A session's last use is written down at most this often: a request is not a write.
_TOUCH_US: Final = 60 * US_PER_S
SETUP_CODE_US: Final = 24 * 3600 * US_PER_S
#: An API token lives at most this long.
MAX_TOKEN_DAYS: Final = 366
_DAY_US: Final = 24 * 3600 * US_PER_S
_TOKEN_BYTES: Final = 32
TOKEN_PREFIX: Final = "utaa_"  # noqa: S105  # says what it is to a secret scanner
#: 32 characters that cannot be taken for one another when read from a console.
_CODE_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_GROUPS, _CODE_GROUP_LENGTH = 4, 4
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{1,99}")
#: The first administrator of an empty city does every office's work until there are others.
_FIRST_ROLES: Final[tuple[Role, ...]] = ("administrator", "registrar", "duty")


class WrongCredentials(Exception):
    """No such login and password (which of the two is not said), or a used or expired code."""


class SecondFactorNeeded(Exception):
    """The password is right; a code of the second factor is wanted with it."""


class BadLogin(ValueError):
    """The login is none or is taken; the text says which."""


@dataclass(frozen=True)
class SignedIn:
    """A new session: the token is for the cookie, ``csrf`` for the page's unsafe requests."""

    token: str
    csrf: str
    person_id: str
    expires_us: int

    def __repr__(self) -> str:
        return f"SignedIn({self.person_id})"


@dataclass(frozen=True)
class Known:
    """Whom a session or a token speaks for. ``csrf`` is None for a token: it needs none."""

    actor: Actor
    login: str
    language: str
    expires_us: int
    csrf: str | None = None


class Identity:
    """Everything about who somebody is, over one database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        passwords: Passwords | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        """Without a key ring nobody who has a second factor can sign in."""
        self._database = database
        self._clock = clock
        self._passwords = passwords or Passwords()
        self._factors = SecondFactors(database, keyring, clock) if keyring else None

    @property
    def passwords(self) -> Passwords:
        """How passwords are judged and hashed here."""
        return self._passwords

    # --- the first administrator ---------------------------------------------------------------

    async def ensure_setup_code(self) -> str | None:
        """A new one-time code if nobody exists yet, else None. Codes made before stop working."""
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            await session.execute(delete(SetupCode))
            if await session.scalar(select(func.count()).select_from(Person)):
                return None
            code = _new_code()
            session.add(
                SetupCode(
                    code_hash=_hash(_plain_code(code)),
                    created_us=now_us,
                    expires_us=now_us + SETUP_CODE_US,
                )
            )
        return code

    async def create_first_administrator(
        self, code: str, login: str, password: str, *, origin: str = ""
    ) -> str:
        """The first person, by the code from the console. Returns their id.

        Raises ``WrongCredentials``, ``Throttled``, ``BadLogin``, ``WeakPassword``.
        """
        login = check_login(login)
        await self._passwords.check(password, login)
        keys: Keys = {failure_key("setup", origin): ORIGIN_ALLOWANCE}
        await count_failure(self._database, self._clock, keys)
        password_hash = await self._passwords.hash(password)
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            found = await session.get(SetupCode, _hash(_plain_code(code)), with_for_update=True)
            people = await session.scalar(select(func.count()).select_from(Person))
            if found is None or found.used_us is not None or found.expires_us <= now_us or people:
                raise WrongCredentials
            found.used_us = now_us
            person = await self._add_person(session, login, password_hash, _FIRST_ROLES, now_us)
            await forget_failures(session, keys)
            await audit.append(
                session, actor=Actor(person.id, "staff"), origin=origin, action="person.create",
                object_kind="person", object_id=person.id, now_us=now_us,
                after={"roles": list(_FIRST_ROLES), "by": "setup code"},
            )  # fmt: skip
        return person.id

    # --- people ---------------------------------------------------------------------------------

    async def new_person(
        self, login: str, password: str, roles: Sequence[str], *, by: Actor = SYSTEM, origin: str = ""
    ) -> str:
        """A person who can sign in. Returns their id. Raises ``BadLogin``, ``ValueError``."""
        login = check_login(login)
        checked = check_roles(roles)
        await self._passwords.check(password, login)
        password_hash = await self._passwords.hash(password)
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            person = await self._add_person(session, login, password_hash, checked, now_us)
            await audit.append(
                session, actor=by, origin=origin, action="person.create", object_kind="person",
                object_id=person.id, now_us=now_us, after={"roles": list(checked)},
            )  # fmt: skip
        return person.id

    async def _add_person(
        self, session: AsyncSession, login: str, password_hash: str, roles: Sequence[Role], now_us: int
    ) -> Person:
        if await session.scalar(select(Person.id).where(Person.login == login)) is not None:
            raise BadLogin(f"the login {login!r} is taken")
        person = Person(
            id=new_id(), login=login, password_hash=password_hash, created_us=now_us, active=True
        )
        session.add(person)
        await session.flush()
        session.add_all(RoleGrant(person_id=person.id, role=role) for role in roles)
        await session.flush()
        return person

    # --- sessions -------------------------------------------------------------------------------

    async def sign_in(
        self,
        login: str,
        password: str,
        *,
        code: str | None = None,
        origin: str = "",
        old_token: str | None = None,
    ) -> SignedIn:
        """A new session. ``code``: of the second factor, or a recovery code.

        Raises ``WrongCredentials``, ``SecondFactorNeeded`` or ``Throttled``.
        """
        login = login.strip().casefold()
        keys: Keys = {
            failure_key("login", login): LOGIN_ALLOWANCE,
            failure_key("origin", origin): ORIGIN_ALLOWANCE,
        }
        await count_failure(self._database, self._clock, keys)
        async with self._database.read() as session:
            person = await session.scalar(
                select(Person).where(Person.login == login, Person.active.is_(True))
            )
        stored = person.password_hash if person else None
        right = len(password) <= 256 and await self._passwords.verify(password, stored)
        if not right or person is None:
            await self._record_refusal(login, origin)
            raise WrongCredentials
        return await self._second_step(person, keys, code, origin, old_token)

    async def sign_in_by_provider(
        self, person_id: str, *, code: str | None, trusted: bool, origin: str, old_token: str | None
    ) -> SignedIn:
        """A new session for somebody whom a provider has named.

        ``trusted``: the provider asks for a second factor itself, so we do not. Raises as ``sign_in``.
        """
        async with self._database.read() as session:
            person = await session.get(Person, person_id)
        if person is None or not person.active:
            raise WrongCredentials
        keys: Keys = {
            failure_key("login", person.login): LOGIN_ALLOWANCE,
            failure_key("origin", origin): ORIGIN_ALLOWANCE,
        }
        await count_failure(self._database, self._clock, keys)
        if trusted:
            return await self._open_session(person, keys, origin, old_token)
        return await self._second_step(person, keys, code, origin, old_token)

    async def _second_step(
        self, person: Person, keys: Keys, code: str | None, origin: str, old_token: str | None
    ) -> SignedIn:
        """The session, after the second factor where the person has one."""
        async with self._database.write() as session:
            wanted = await has_factor(session, person.id)
            if wanted and not code:  # no guess; those before it stay counted
                await uncount_failure(session, list(keys))
            elif wanted and self._factors is None:
                raise KeyringError("a second factor cannot be checked without the key ring")
            passed = not wanted or (
                code is not None
                and self._factors is not None
                and await self._factors.passes(session, person.id, code, self._clock.now_us())
            )
        if passed:
            return await self._open_session(person, keys, origin, old_token)
        if not code:
            raise SecondFactorNeeded
        await self._record_refusal(person.login, origin)
        raise WrongCredentials

    async def open_session(
        self, person_id: str, *, origin: str, old_token: str | None = None
    ) -> SignedIn:
        """A new session in the place of the old one, for somebody whose right to it just grew.

        Raises ``WrongCredentials`` where they are no longer active.
        """
        async with self._database.read() as session:
            person = await session.get(Person, person_id)
        if person is None or not person.active:
            raise WrongCredentials
        return await self._open_session(person, {}, origin, old_token)

    async def _record_refusal(self, login: str, origin: str) -> None:
        async with self._database.write() as session:
            await audit.append(
                session, actor=ANYBODY, origin=origin, action="session.refused",
                object_kind="login", object_id=failure_key("login", login)[:16],
                now_us=self._clock.now_us(),
            )  # fmt: skip

    async def _open_session(
        self, person: Person, keys: Keys, origin: str, old_token: str | None
    ) -> SignedIn:
        now_us = self._clock.now_us()
        token, csrf = secrets.token_urlsafe(_TOKEN_BYTES), secrets.token_urlsafe(_TOKEN_BYTES)
        async with self._database.write() as session:
            await forget_failures(session, keys)
            await session.execute(delete(LoginSession).where(LoginSession.expires_us <= now_us))
            if old_token:
                old = delete(LoginSession).where(LoginSession.token_hash == _hash(old_token))
                await session.execute(old)
            session.add(
                LoginSession(
                    token_hash=_hash(token), person_id=person.id, csrf=csrf, origin=origin[:100],
                    created_us=now_us, used_us=now_us, expires_us=now_us + ABSOLUTE_US,
                )
            )  # fmt: skip
            await audit.append(
                session, actor=Actor(person.id, "staff"), origin=origin, action="session.open",
                object_kind="person", object_id=person.id, now_us=now_us,
            )  # fmt: skip
        return SignedIn(token, csrf, person.id, now_us + ABSOLUTE_US)

    async def known_by_session(self, token: str) -> Known | None:
        """Whom a browser's cookie speaks for; None if it is unknown, idle too long or over."""
        now_us = self._clock.now_us()
        async with self._database.read() as session:
            row = (
                await session.execute(
                    select(LoginSession, Person)
                    .join(Person, LoginSession.person_id == Person.id)
                    .where(LoginSession.token_hash == _hash(token), Person.active.is_(True))
                )
            ).first()
            if row is None:
                return None
            login_session, person = row
            if now_us >= min(login_session.expires_us, login_session.used_us + IDLE_US):
                return None
            actor = Actor(person.id, "staff", await grants_of(session, person.id, now_us))
        if now_us - login_session.used_us >= _TOUCH_US:
            await self._touch(login_session.token_hash, now_us)
        return Known(actor, person.login, person.language, login_session.expires_us, login_session.csrf)

    async def _touch(self, token_hash: str, now_us: int) -> None:
        async with self._database.write() as session:
            stored = await session.get(LoginSession, token_hash)
            if stored is not None:
                stored.used_us = max(stored.used_us, now_us)

    async def sign_out(self, token: str, *, actor: Actor, origin: str = "") -> None:
        """The session ends now."""
        async with self._database.write() as session:
            await session.execute(delete(LoginSession).where(LoginSession.token_hash == _hash(token)))
            await audit.append(
                session, actor=actor, origin=origin, action="session.close", object_kind="person",
                object_id=actor.id, now_us=self._clock.now_us(),
            )  # fmt: skip

    # --- API tokens -----------------------------------------------------------------------------

    async def new_token(
        self,
        name: str,
        roles: Sequence[str],
        days: int,
        *,
        unit_code: str | None = None,
        organisation_id: str | None = None,
        by: Actor = SYSTEM,
        origin: str = "",
    ) -> str:
        """A machine's key, shown once; perhaps for one unit or organisation alone.

        Raises ``ValueError`` that says what was expected.
        """
        checked = check_roles(roles)
        if not checked:
            raise ValueError("a token needs at least one role")
        if not 1 <= days <= MAX_TOKEN_DAYS:
            raise ValueError(f"a token lives 1 to {MAX_TOKEN_DAYS} days, not {days}")
        if not 1 <= len(name) <= 100:
            raise ValueError("a token's name has 1 to 100 characters")
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            session.add(
                ApiToken(
                    token_hash=_hash(token), name=name, roles=list(checked), unit_code=unit_code,
                    organisation_id=organisation_id, created_us=now_us,
                    expires_us=now_us + days * _DAY_US,
                )
            )  # fmt: skip
            await audit.append(
                session, actor=by, origin=origin, action="token.create", object_kind="token",
                object_id=token_id(_hash(token)), now_us=now_us,
                after={
                    "name": name, "roles": list(checked), "days": days, "unit_code": unit_code,
                    "organisation_id": organisation_id,
                },
            )  # fmt: skip
        return token

    async def known_by_token(self, token: str) -> Known | None:
        """Whom a machine's key speaks for; None if unknown, expired or revoked."""
        async with self._database.read() as session:
            found = await session.get(ApiToken, _hash(token))
        now_us = self._clock.now_us()
        if found is None or found.revoked_us is not None or found.expires_us <= now_us:
            return None
        grants = tuple(
            Grant(role, found.unit_code, found.organisation_id) for role in check_roles(found.roles)
        )
        actor = Actor(f"token:{token_id(found.token_hash)}", "service", grants)
        return Known(actor, found.name, "mn", found.expires_us)

    async def revoke_token(self, short_id: str, *, by: Actor = SYSTEM, origin: str = "") -> bool:
        """The token with this public id stops working. False if there is none."""
        now_us = self._clock.now_us()
        async with self._database.write() as session:
            found = await session.scalar(
                select(ApiToken).where(func.substr(ApiToken.token_hash, 1, 12) == short_id)
            )
            if found is None:
                return False
            if found.revoked_us is None:
                found.revoked_us = now_us
                await audit.append(
                    session, actor=by, origin=origin, action="token.revoke", object_kind="token",
                    object_id=short_id, now_us=now_us,
                )  # fmt: skip
        return True


def check_login(login: str) -> str:
    """The login in its one form. Raises ``BadLogin`` that says what was expected."""
    folded = login.strip().casefold()
    if not _LOGIN.fullmatch(folded):
        raise BadLogin("a login has 2 to 100 characters: a-z, 0-9, '.', '_', '@', '-'")
    return folded


def same_secret(left: str, right: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(left.encode(), right.encode())


def token_id(token_hash: str) -> str:
    """What a token is called in lists and the audit: says nothing of the token."""
    return token_hash[:12]


def id_of_token(token: str) -> str:
    """What this token is called in lists and the audit."""
    return token_id(_hash(token))


def _hash(secret: str) -> str:
    """SHA-256 is enough for a secret of 160 bits and more; a password takes Argon2id."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _new_code() -> str:
    groups = (
        "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_GROUP_LENGTH))
        for _ in range(_CODE_GROUPS)
    )
    return "-".join(groups)


def _plain_code(code: str) -> str:
    return code.replace("-", "").replace(" ", "").upper()
