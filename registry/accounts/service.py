"""A person's own account, and what an administrator may do with another's.

A password, roles or being active that change end the person's sessions: whoever sat there with the old
ones has to sign in again. The session that changes its own password goes on under a new token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import Clock
from registry import audit
from registry.accounts.failures import Keys, count_failure, failure_key, forget_failures
from registry.accounts.models import RoleRule
from registry.db import Database
from registry.identity import Identity, SignedIn, WrongCredentials, check_login, token_id
from registry.models import LoginSession, Person, RoleGrant
from registry.rights import Actor, Role, check_roles
from registry.sites import Conflict, NoSuch
from registry.throttle import LOGIN_ALLOWANCE

#: Sessions shown of one person; each lives a day at most.
_MAX_SESSIONS: Final = 200
_RULER: Final[Role] = "administrator"


@dataclass(frozen=True)
class SessionLine:
    """A signed-in browser: a public id that opens nothing, and when and where it was used."""

    id: str
    created_us: int
    used_us: int
    expires_us: int
    origin: str


class Accounts:
    """Sessions, passwords, roles and being active, over one database."""

    def __init__(self, database: Database, clock: Clock, identity: Identity) -> None:
        self._database = database
        self._clock = clock
        self._identity = identity

    async def sessions_of(self, person_id: str) -> list[SessionLine]:
        """The person's sessions, the newest first."""
        wanted = (
            select(LoginSession)
            .where(LoginSession.person_id == person_id, LoginSession.expires_us > self._clock.now_us())
            .order_by(LoginSession.created_us.desc(), LoginSession.token_hash)
            .limit(_MAX_SESSIONS)
        )
        async with self._database.read() as session:
            return [
                SessionLine(
                    token_id(row.token_hash), row.created_us, row.used_us, row.expires_us, row.origin
                )
                for row in await session.scalars(wanted)
            ]

    async def end_session(self, person_id: str, short_id: str, *, by: Actor, origin: str = "") -> None:
        """One session of theirs ends now. Raises ``NoSuch``."""
        async with self._database.write() as session:
            gone = await session.execute(
                delete(LoginSession)
                .where(
                    LoginSession.person_id == person_id,
                    func.substr(LoginSession.token_hash, 1, len(token_id("0" * 64))) == short_id,
                )
                .returning(LoginSession.token_hash)
            )
            if not gone.scalars().all():
                raise NoSuch("session", short_id)
            await self._enter(session, by, origin, "session.revoke", person_id, after={"id": short_id})

    async def end_sessions(
        self, person_id: str, *, by: Actor, origin: str = "", keep: str | None = None
    ) -> int:
        """All their sessions end now, but the one of the public id ``keep``. Returns how many."""
        async with self._database.write() as session:
            ended = await _end(session, person_id, keep)
            await self._enter(session, by, origin, "session.revoke", person_id, after={"ended": ended})
        return ended

    async def change_password(
        self, by: Actor, old: str, new: str, *, origin: str = "", token: str | None = None
    ) -> SignedIn:
        """A new password for oneself; all sessions end, and one new one begins.

        Raises ``WrongCredentials`` (the old one is wrong), ``Throttled``, ``WeakPassword``.
        """
        async with self._database.read() as session:
            person = await session.get(Person, by.id)
        if person is None:
            raise NoSuch("person", by.id)
        keys: Keys = {failure_key("password", person.id): LOGIN_ALLOWANCE}
        await count_failure(self._database, self._clock, keys)
        passwords = self._identity.passwords
        if len(old) > 256 or not await passwords.verify(old, person.password_hash):
            raise WrongCredentials
        await passwords.check(new, person.login)
        password_hash = await passwords.hash(new)
        async with self._database.write() as session:
            await session.execute(
                update(Person).where(Person.id == by.id).values(password_hash=password_hash)
            )
            await forget_failures(session, keys)
            await _end(session, by.id)
            await self._enter(session, by, origin, "person.password", by.id)
        return await self._identity.open_session(by.id, origin=origin, old_token=token)

    async def set_password(
        self, person_id: str, new: str, *, by: Actor, reason: str, origin: str = ""
    ) -> None:
        """An administrator's first password for somebody who lost theirs; their sessions end."""
        person = await self._person(person_id)
        await self._identity.passwords.check(new, person.login)
        password_hash = await self._identity.passwords.hash(new)
        async with self._database.write() as session:
            await session.execute(
                update(Person).where(Person.id == person_id).values(password_hash=password_hash)
            )
            await _end(session, person_id)
            await self._enter(session, by, origin, "password.replace", person_id, reason=reason)

    async def set_roles(
        self, person_id: str, roles: Sequence[str], *, by: Actor, origin: str = ""
    ) -> None:
        """Their roles are these, everywhere; their sessions end.

        Raises ``NoSuch``, ``ValueError`` (no such role), ``Conflict`` (the last administrator).
        """
        checked = check_roles(roles)
        async with self._database.write() as session:
            if await session.get(Person, person_id, with_for_update=True) is None:
                raise NoSuch("person", person_id)
            if _RULER not in checked:
                await _keep_one_ruler(session, person_id)
            wanted = select(RoleGrant.role).where(RoleGrant.person_id == person_id)
            before = sorted(set(await session.scalars(wanted)))
            await session.execute(delete(RoleGrant).where(RoleGrant.person_id == person_id))
            session.add_all(RoleGrant(person_id=person_id, role=role) for role in checked)
            await _end(session, person_id)
            await self._enter(
                session, by, origin, "person.roles", person_id, before={"roles": before},
                after={"roles": sorted(checked)},
            )  # fmt: skip

    async def retire(self, person_id: str, *, by: Actor, reason: str, origin: str = "") -> None:
        """They sign in no more; what they did stays theirs. Raises as ``set_roles``."""
        async with self._database.write() as session:
            person = await session.get(Person, person_id, with_for_update=True)
            if person is None:
                raise NoSuch("person", person_id)
            await _keep_one_ruler(session, person_id)
            person.active = False
            await _end(session, person_id)
            await self._enter(session, by, origin, "person.retire", person_id, reason=reason)

    async def restore(self, person_id: str, *, by: Actor, reason: str, origin: str = "") -> None:
        """They may sign in again."""
        async with self._database.write() as session:
            person = await session.get(Person, person_id, with_for_update=True)
            if person is None:
                raise NoSuch("person", person_id)
            person.active = True
            await self._enter(session, by, origin, "person.restore", person_id, reason=reason)

    async def rules(self) -> dict[str, bool]:
        """Role → whether it asks for a second factor."""
        async with self._database.read() as session:
            return {row.role: row.second_factor for row in await session.scalars(select(RoleRule))}

    async def set_rule(self, role: str, second_factor: bool, *, by: Actor, origin: str = "") -> None:
        """From now on this role asks for a second factor, or no longer. Raises ``ValueError``."""
        (checked,) = check_roles([role])
        async with self._database.write() as session:
            await session.merge(RoleRule(role=checked, second_factor=second_factor))
            await audit.append(
                session, actor=by, origin=origin, action="role.rule", object_kind="role",
                object_id=checked, now_us=self._clock.now_us(), after={"second_factor": second_factor},
            )  # fmt: skip

    async def find(self, login: str) -> str:
        """The id of the person with this login. Raises ``NoSuch``, ``BadLogin``."""
        async with self._database.read() as session:
            found = await session.scalar(select(Person.id).where(Person.login == check_login(login)))
        if found is None:
            raise NoSuch("person", login)
        return found

    async def _person(self, person_id: str) -> Person:
        async with self._database.read() as session:
            person = await session.get(Person, person_id)
        if person is None:
            raise NoSuch("person", person_id)
        return person

    async def _enter(
        self, session: AsyncSession, by: Actor, origin: str, action: str, person_id: str, *,
        before: dict[str, object] | None = None, after: dict[str, object] | None = None,
        reason: str | None = None,
    ) -> None:  # fmt: skip
        await audit.append(
            session, actor=by, origin=origin, action=action, object_kind="person",
            object_id=person_id, now_us=self._clock.now_us(), before=before, after=after,
            reason=reason,
        )  # fmt: skip


async def _end(session: AsyncSession, person_id: str, keep: str | None = None) -> int:
    gone = delete(LoginSession).where(LoginSession.person_id == person_id)
    if keep is not None:
        gone = gone.where(func.substr(LoginSession.token_hash, 1, len(keep)) != keep)
    return len((await session.execute(gone.returning(LoginSession.token_hash))).scalars().all())


async def _keep_one_ruler(session: AsyncSession, person_id: str) -> None:
    """Raises ``Conflict`` where nobody else is an administrator."""
    others = (
        select(func.count())
        .select_from(RoleGrant)
        .join(Person, RoleGrant.person_id == Person.id)
        .where(
            RoleGrant.role == _RULER, RoleGrant.unit_code.is_(None),
            RoleGrant.organisation_id.is_(None), Person.active.is_(True), Person.id != person_id,
        )
    )  # fmt: skip
    mine = select(RoleGrant.id).where(RoleGrant.person_id == person_id, RoleGrant.role == _RULER)
    if await session.scalar(mine.limit(1)) is not None and not await session.scalar(others):
        raise Conflict("roles", "nobody else is an administrator; make another one first")
