"""Accounts beyond name and password: second factors, sessions, breached passwords, emergencies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select

from edge.wire.clock import EARLIEST_US, US_PER_S, ManualClock
from registry.accounts.breached import Breached, BreachListError
from registry.accounts.emergencies import Emergencies
from registry.accounts.factors import RECOVERY_CODES, SecondFactors, WrongCode
from registry.accounts.models import RecoveryCode, SecondFactor
from registry.accounts.service import Accounts
from registry.audit import ReasonMissing
from registry.db import Database
from registry.identity import Identity, SecondFactorNeeded, Throttled, WrongCredentials
from registry.models import AuditEntry
from registry.passwords import Passwords, WeakPassword
from registry.rights import Actor, may_somewhere
from registry.sealed import Keyring, KeyringError
from registry.sites import Conflict, NoSuch

GOOD = "correct horse battery"
OTHER = "a staple of another horse"


@dataclass
class House:
    """One person, and the services about them."""

    database: Database
    clock: ManualClock
    keyring: Keyring
    people: Identity
    accounts: Accounts
    factors: SecondFactors
    person: Actor

    def code(self, secret: str) -> str:
        return pyotp.TOTP(secret).generate_otp(self.clock.now_us() // (30 * US_PER_S))

    async def enrolled(self) -> tuple[str, list[str]]:
        """The secret and the recovery codes; the next code is a fresh one."""
        secret = (await self.factors.begin(self.person.id)).secret
        codes = await self.factors.confirm(self.person, self.code(secret))
        self.clock.advance(timedelta(seconds=60))
        return secret, codes

    async def actions(self) -> list[str]:
        async with self.database.read() as session:
            return list(await session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


@pytest.fixture
async def house(database: Database) -> House:
    clock, keyring = ManualClock(EARLIEST_US), Keyring({"k001": b"k" * 32})
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    people = Identity(database, clock, passwords=Passwords(cheap), keyring=keyring)
    person = await people.new_person("bat.office", GOOD, ["duty", "administrator"])
    return House(
        database, clock, keyring, people, Accounts(database, clock, people),
        SecondFactors(database, keyring, clock), Actor(person, "staff"),
    )  # fmt: skip


async def test_a_confirmed_second_factor_is_asked_for_and_each_code_is_taken_once(
    house: House,
) -> None:
    begun = await house.factors.begin(house.person.id)
    assert "secret=" + begun.secret in begun.uri
    assert begun.secret not in repr(begun)
    await house.people.sign_in("bat.office", GOOD)  # not confirmed: not asked for
    with pytest.raises(WrongCode):
        await house.factors.confirm(house.person, "000000")
    await house.factors.confirm(house.person, house.code(begun.secret))
    with pytest.raises(SecondFactorNeeded):
        await house.people.sign_in("bat.office", GOOD)
    with pytest.raises(WrongCredentials):  # the confirming code was its one use
        await house.people.sign_in("bat.office", GOOD, code=house.code(begun.secret))
    house.clock.advance(timedelta(seconds=30))
    code = house.code(begun.secret)
    await house.people.sign_in("bat.office", GOOD, code=code)
    with pytest.raises(WrongCredentials):
        await house.people.sign_in("bat.office", GOOD, code=code)


async def test_a_wrong_password_with_a_right_code_leaves_the_code(house: House) -> None:
    secret, _ = await house.enrolled()
    code = house.code(secret)
    with pytest.raises(WrongCredentials):
        await house.people.sign_in("bat.office", OTHER)
    with pytest.raises(WrongCredentials):
        await house.people.sign_in("bat.office", OTHER, code=code)
    assert await house.people.sign_in("bat.office", GOOD, code=code)


async def test_guessing_codes_with_the_right_password_is_throttled(house: House) -> None:
    await house.enrolled()
    tried = 0
    with pytest.raises(Throttled):
        for _ in range(20):
            with pytest.raises(SecondFactorNeeded):  # asks without a code: no amnesty
                await house.people.sign_in("bat.office", GOOD)
            with pytest.raises(WrongCredentials):
                await house.people.sign_in("bat.office", GOOD, code="000000")
            tried += 1
    assert tried <= 5


@pytest.mark.parametrize(("drift_s", "passes"), [(-60, False), (-30, True), (30, True), (60, False)])
async def test_a_phone_may_be_one_step_off(house: House, drift_s: int, passes: bool) -> None:
    secret, _ = await house.enrolled()
    house.clock.advance(timedelta(seconds=300))
    step = house.clock.now_us() // (30 * US_PER_S)
    code = pyotp.TOTP(secret).generate_otp(step + drift_s // 30)
    if passes:
        assert await house.people.sign_in("bat.office", GOOD, code=code)
    else:
        with pytest.raises(WrongCredentials):
            await house.people.sign_in("bat.office", GOOD, code=code)


async def test_a_recovery_code_opens_once_and_is_stored_as_a_hash(house: House) -> None:
    secret, codes = await house.enrolled()
    assert len(set(codes)) == RECOVERY_CODES
    async with house.database.read() as session:
        stored = " ".join(await session.scalars(select(RecoveryCode.code_hash)))
        factor = (await session.scalars(select(SecondFactor))).one()
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)
    assert secret.encode() not in factor.secret.blob
    assert await house.people.sign_in("bat.office", GOOD, code=codes[3].lower())
    with pytest.raises(WrongCredentials):
        await house.people.sign_in("bat.office", GOOD, code=codes[3])
    assert await house.factors.codes_left(house.person.id) == RECOVERY_CODES - 1
    fresh = await house.factors.renew_codes(house.person, house.code(secret))
    with pytest.raises(WrongCredentials):
        await house.people.sign_in("bat.office", GOOD, code=codes[4])
    assert await house.people.sign_in("bat.office", GOOD, code=fresh[0])


async def test_without_the_key_ring_a_second_factor_is_no_open_door(house: House) -> None:
    secret, _ = await house.enrolled()
    blind = Identity(house.database, house.clock, passwords=house.people.passwords)
    with pytest.raises(KeyringError):
        await blind.sign_in("bat.office", GOOD, code=house.code(secret))


async def test_a_lost_factor_is_removed_by_an_administrator_with_a_reason(house: House) -> None:
    await house.enrolled()
    with pytest.raises(Conflict, match="remove it first"):
        await house.factors.begin(house.person.id)
    boss = Actor("boss", "staff")
    with pytest.raises(ReasonMissing):
        await house.factors.remove(house.person.id, by=boss, reason=" ")
    await house.factors.remove(house.person.id, by=boss, reason="lost their phone")
    assert await house.people.sign_in("bat.office", GOOD)
    with pytest.raises(NoSuch):
        await house.factors.remove(house.person.id, by=boss, reason="again")


async def test_a_role_that_asks_for_a_factor_waits_until_there_is_one(house: House) -> None:
    session = await house.people.sign_in("bat.office", GOOD)
    await house.accounts.set_rule("duty", True, by=house.person)
    known = await house.people.known_by_session(session.token)
    assert known is not None
    assert [grant.role for grant in known.actor.grants] == ["newcomer"]
    assert may_somewhere(known.actor, "me.write")
    assert not may_somewhere(known.actor, "incident.read")
    secret = (await house.factors.begin(house.person.id)).secret
    await house.factors.confirm(house.person, house.code(secret))
    known = await house.people.known_by_session(session.token)
    assert known is not None
    assert may_somewhere(known.actor, "incident.acknowledge")


async def test_sessions_are_listed_and_ended_one_by_one_and_all(house: House) -> None:
    first = await house.people.sign_in("bat.office", GOOD, origin="192.0.2.1")
    house.clock.advance(timedelta(seconds=1))
    second = await house.people.sign_in("bat.office", GOOD, origin="192.0.2.2")
    lines = await house.accounts.sessions_of(house.person.id)
    assert [line.origin for line in lines] == ["192.0.2.2", "192.0.2.1"]
    await house.accounts.end_session(house.person.id, lines[1].id, by=house.person)
    assert await house.people.known_by_session(first.token) is None
    assert await house.people.known_by_session(second.token)
    with pytest.raises(NoSuch):  # nobody ends a session by another's name
        await house.accounts.end_session("somebody else", lines[0].id, by=house.person)
    third = await house.people.sign_in("bat.office", GOOD)
    keep = (await house.accounts.sessions_of(house.person.id))[0].id
    await house.accounts.end_sessions(house.person.id, by=house.person, keep=keep)
    assert [line.id for line in await house.accounts.sessions_of(house.person.id)] == [keep]
    await house.accounts.end_sessions(house.person.id, by=house.person)
    assert await house.people.known_by_session(third.token) is None


async def test_a_new_password_needs_the_old_one_and_ends_the_other_sessions(house: House) -> None:
    mine = await house.people.sign_in("bat.office", GOOD)
    thief = await house.people.sign_in("bat.office", GOOD)
    with pytest.raises(WrongCredentials):
        await house.accounts.change_password(house.person, OTHER, OTHER)
    with pytest.raises(WeakPassword):
        await house.accounts.change_password(house.person, GOOD, "short")
    made = await house.accounts.change_password(house.person, GOOD, OTHER, token=mine.token)
    assert await house.people.known_by_session(mine.token) is None
    assert await house.people.known_by_session(thief.token) is None
    assert await house.people.known_by_session(made.token)
    assert await house.people.sign_in("bat.office", OTHER)
    with pytest.raises(WrongCredentials):
        await house.people.sign_in("bat.office", GOOD)


async def test_new_roles_end_sessions_and_the_last_administrator_stays(house: House) -> None:
    with pytest.raises(Conflict, match="nobody else"):
        await house.accounts.set_roles(house.person.id, ["duty"], by=house.person)
    with pytest.raises(Conflict, match="nobody else"):
        await house.accounts.retire(house.person.id, by=house.person, reason="left")
    other = await house.people.new_person("oyu.office", GOOD, ["administrator"])
    session = await house.people.sign_in("bat.office", GOOD)
    await house.accounts.set_roles(house.person.id, ["duty"], by=Actor(other, "staff"))
    assert await house.people.known_by_session(session.token) is None
    session = await house.people.sign_in("bat.office", GOOD)
    known = await house.people.known_by_session(session.token)
    assert known is not None
    assert [grant.role for grant in known.actor.grants] == ["duty"]


async def test_a_retired_person_is_out_at_once_and_may_be_let_in_again(house: House) -> None:
    boss = Actor(await house.people.new_person("oyu.office", GOOD, ["administrator"]), "staff")
    session = await house.people.sign_in("bat.office", GOOD)
    await house.accounts.retire(house.person.id, by=boss, reason="left the office")
    assert await house.people.known_by_session(session.token) is None
    with pytest.raises(WrongCredentials):
        await house.people.sign_in("bat.office", GOOD)
    await house.accounts.restore(house.person.id, by=boss, reason="came back")
    assert await house.people.sign_in("bat.office", GOOD)


async def test_a_token_of_one_unit_reaches_nothing_else(house: House) -> None:
    token = await house.people.new_token("horoo", ["duty"], 1, unit_code="111663")
    known = await house.people.known_by_token(token)
    assert known is not None
    assert [(g.role, g.unit_code) for g in known.actor.grants] == [("duty", "111663")]
    assert all(grant.bounded for grant in known.actor.grants)


async def test_an_emergency_lasts_its_minutes_is_audited_and_gives_no_administrator(
    house: House,
) -> None:
    person = Actor(await house.people.new_person("dorj.office", GOOD, ["approver"]), "staff")
    emergencies = Emergencies(house.database, house.clock)
    session = await house.people.sign_in("dorj.office", GOOD)
    for role, minutes, reason in [
        ("administrator", 5, "the desk is empty"), ("duty", 0, "the desk is empty"),
        ("duty", 121, "the desk is empty"), ("duty", 5, "  why  "),
    ]:  # fmt: skip
        with pytest.raises(Conflict):
            await emergencies.take(person, role, minutes, reason)
    await emergencies.take(person, "duty", 5, "the desk is empty and a home burns")

    async def may() -> bool:
        known = await house.people.known_by_session(session.token)
        assert known is not None
        return may_somewhere(known.actor, "incident.acknowledge")

    assert await may()
    house.clock.advance(timedelta(minutes=5))
    assert not await may()
    taken = await emergencies.take(person, "duty", 60, "the desk is empty and a home burns")
    assert await may()
    await emergencies.end(house.person, taken.id)
    assert not await may()
    assert [row.login for row in await emergencies.newest()] == ["dorj.office"] * 2
    assert await emergencies.newest(running=True) == []
    actions = await house.actions()
    assert actions.count("emergency.take") == 2
    assert actions.count("emergency.end") == 1


async def test_every_step_of_an_account_is_in_the_audit(house: House) -> None:
    secret, _ = await house.enrolled()
    await house.factors.renew_codes(house.person, house.code(secret))
    house.clock.advance(timedelta(seconds=60))
    await house.factors.drop_own(house.person, house.code(secret))
    await house.accounts.change_password(house.person, GOOD, OTHER)
    await house.accounts.set_rule("duty", True, by=house.person)
    assert {"factor.confirm", "factor.codes", "factor.drop", "person.password", "role.rule"} <= set(
        await house.actions()
    )


def _listed(passwords: list[str], line: Callable[[str], str], end: str) -> bytes:
    hashes = sorted(
        hashlib.sha1(word.encode(), usedforsecurity=False).hexdigest().upper() for word in passwords
    )
    return "".join(line(each) + end for each in hashes).encode()


@given(
    st.lists(st.text(max_size=8), min_size=1, max_size=40, unique=True),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([0, 1, 2_147_483_647]),
)
def test_exactly_the_listed_passwords_are_found(words: list[str], end: str, count: int) -> None:
    import tempfile

    half = words[: len(words) // 2 + 1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        path.write_bytes(_listed(half, lambda h: f"{h}:{count}" if count else h, end))
        breached = Breached(path)
        assert [word for word in words if breached.has(word)] == half


async def test_a_breached_password_is_refused_where_a_list_is_given(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "list").write_bytes(_listed([OTHER, "x", "y"], lambda h: f"{h}:7", "\r\n"))
    careful = Passwords(breached=Breached(tmp_path / "list"))
    with pytest.raises(WeakPassword, match="breach"):
        await careful.check(OTHER, "bat")
    await careful.check(GOOD, "bat")


@pytest.mark.parametrize("content", [b"", b"password1\n", b"ab\n", b"\x00" * 200])
def test_a_list_that_is_none_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(BreachListError, match="expected a SHA-1 hash"):
        Breached(tmp_path / "list")
