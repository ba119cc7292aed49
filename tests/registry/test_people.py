"""Passwords, throttling, the first administrator, tokens."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select

from edge.wire.clock import EARLIEST_US, ManualClock
from registry import audit
from registry.db import Database
from registry.identity import BadLogin, Identity, Throttled, WrongCredentials
from registry.models import ApiToken, LoginSession, Person, SetupCode
from registry.passwords import Passwords, WeakPassword, check_password
from registry.throttle import FORGET_US, LOGIN_ALLOWANCE, wait_us
from tests.made import make_tables

GOOD = "correct horse battery"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(EARLIEST_US)


@pytest.fixture
def people(database: Database, clock: ManualClock) -> Identity:
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    return Identity(database, clock, passwords=Passwords(cheap))


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short", "at least 12"),
        ("x" * 257, "longer than 256"),
        ("bat.office1234", "contains the login"),
        ("BAT.OFFICE", "at least 12"),
        ("Password1234", "everybody tries first"),
        ("ababababababab", "different characters"),
        ("Нууцүг123456", "everybody tries first"),
    ],
)
def test_a_weak_password_is_refused_and_says_why(password: str, says: str) -> None:
    with pytest.raises(WeakPassword, match=says):
        check_password(password, "bat.office")


@pytest.mark.parametrize("password", [GOOD, "зургаан морь уралдана", "x9!kfm2@qpzv"])
def test_a_good_password_passes(password: str) -> None:
    check_password(password, "bat.office")


async def test_a_password_is_hashed_by_argon2id_at_its_defaults() -> None:
    passwords = Passwords()
    stored = await passwords.hash(GOOD)
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(GOOD, stored)
    assert not await passwords.verify("another", stored)
    assert not await passwords.verify(GOOD, None)
    assert not await passwords.verify(GOOD, "plain text")


@given(st.integers(0, 1000), st.integers(-(10**12), 10**12))
def test_the_wait_never_exceeds_its_cap_and_ends(failures: int, since_us: int) -> None:
    wait = wait_us(failures, since_us, LOGIN_ALLOWANCE)
    assert -1 <= wait <= 900_000_000
    assert wait_us(failures, FORGET_US, LOGIN_ALLOWANCE) == -1
    if failures < LOGIN_ALLOWANCE and since_us < FORGET_US:
        assert wait == 0


def test_the_wait_doubles() -> None:
    waits = [wait_us(failures, 0, 5) // 1_000_000 for failures in range(4, 14)]
    assert waits == [0, 15, 30, 60, 120, 240, 480, 900, 900, 900]


async def test_the_setup_code_is_for_an_empty_city_once(people: Identity, database: Database) -> None:
    first = await people.ensure_setup_code()
    second = await people.ensure_setup_code()
    assert first and second and first != second
    async with database.read() as session:
        stored = (await session.scalars(select(SetupCode.code_hash))).all()
    assert len(stored) == 1 and second.replace("-", "") not in stored[0]
    with pytest.raises(WrongCredentials):
        await people.create_first_administrator(first, "boss", GOOD)
    assert await people.create_first_administrator(second.lower().replace("-", " "), "boss", GOOD)
    with pytest.raises(WrongCredentials):
        await people.create_first_administrator(second, "other", GOOD)
    assert await people.ensure_setup_code() is None


async def test_the_setup_code_ends_after_a_day(people: Identity, clock: ManualClock) -> None:
    code = await people.ensure_setup_code()
    clock.advance(timedelta(hours=24))
    with pytest.raises(WrongCredentials):
        await people.create_first_administrator(str(code), "boss", GOOD)


async def test_two_at_once_with_one_code_make_one_administrator(
    people: Identity, database: Database
) -> None:
    code = str(await people.ensure_setup_code())
    tries = (people.create_first_administrator(code, f"boss{n}", GOOD) for n in range(4))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 1
    async with database.read() as session:
        assert len((await session.scalars(select(Person))).all()) == 1


async def test_guesses_in_parallel_are_all_counted(people: Identity) -> None:
    await people.new_person("clerk", GOOD, ["duty"])
    guesses = (people.sign_in("clerk", f"guess {n} of many", origin=f"10.0.0.{n}") for n in range(20))
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(result, WrongCredentials) for result in results) == LOGIN_ALLOWANCE
    assert sum(isinstance(result, Throttled) for result in results) == 20 - LOGIN_ALLOWANCE


@pytest.mark.servers
async def test_guesses_in_parallel_are_all_counted_on_postgresql(
    postgres_url: str, clock: ManualClock
) -> None:
    database = Database(postgres_url)
    await make_tables(database)
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    people = Identity(database, clock, passwords=Passwords(cheap))
    guesses = (people.sign_in("nobody", f"guess {n} of many", origin="10.0.0.1") for n in range(12))
    results = await asyncio.gather(*guesses, return_exceptions=True)
    kinds = [type(result) for result in results]
    assert kinds.count(WrongCredentials) == LOGIN_ALLOWANCE
    assert kinds.count(Throttled) == 12 - LOGIN_ALLOWANCE
    await database.close()


async def test_one_account_of_ones_own_is_no_amnesty_for_an_address(people: Identity) -> None:
    await people.new_person("mine", GOOD, ["duty"])
    with pytest.raises(Throttled):
        for number in range(60):
            await people.sign_in("mine", GOOD, origin="10.0.0.1")
            with pytest.raises(WrongCredentials):
                await people.sign_in(f"victim{number}", "guess", origin="10.0.0.1")


async def test_no_secret_is_stored_readable(people: Identity, database: Database) -> None:
    await people.new_person("clerk", GOOD, ["duty"])
    session_token = (await people.sign_in("clerk", GOOD)).token
    token = await people.new_token("meter", ["duty"], 30)
    async with database.read() as session:
        rows = [
            *(await session.scalars(select(LoginSession.token_hash))),
            *(await session.scalars(select(ApiToken.token_hash))),
            *(await session.scalars(select(Person.password_hash))),
        ]
        assert (await audit.verify(session)).entries == 3
    for secret in (GOOD, session_token, token):
        assert all(secret not in str(row) for row in rows)


async def test_a_revoked_token_is_nobody(people: Identity) -> None:
    token = await people.new_token("meter", ["duty"], 30)
    known = await people.known_by_token(token)
    assert known is not None and known.actor.kind == "service"
    assert await people.revoke_token(known.actor.id.removeprefix("token:"))
    assert await people.known_by_token(token) is None
    assert not await people.revoke_token("0123456789ab")


@pytest.mark.parametrize("login", ["", "a", "Бат", "a b", "x" * 101, "-dash"])
async def test_a_login_that_is_none_is_refused(people: Identity, login: str) -> None:
    with pytest.raises(BadLogin):
        await people.new_person(login, GOOD, ["duty"])


async def test_a_login_is_taken_in_any_case(people: Identity) -> None:
    await people.new_person("clerk", GOOD, ["duty"])
    with pytest.raises(BadLogin, match="taken"):
        await people.new_person("Clerk", GOOD, ["duty"])
