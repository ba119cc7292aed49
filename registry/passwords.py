"""Passwords: what is good enough, and hashing by Argon2id away from the event loop."""

from __future__ import annotations

import asyncio
from typing import Final

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from registry.accounts.breached import Breached

MIN_LENGTH: Final = 12
#: Argon2 takes any length; this bounds what a stranger can make us hash.
MAX_LENGTH: Final = 256
#: Fewer different characters than this is a pattern, not a password.
_MIN_DIFFERENT: Final = 5
#: Hashings at the same time: each takes 64 MiB and a core for some 50 ms.
_PARALLEL: Final = 2
#: Long enough to pass the length rule and still tried first by everybody. [M]
_COMMON: Final = frozenset(
    {
        "password1234", "passwordpassword", "password12345", "password123456", "123456789012",
        "1234567890123", "12345678901234", "123456123456", "qwertyuiop12", "qwertyuiop123",
        "qwertyqwerty", "qwerty123456", "1q2w3e4r5t6y", "1qaz2wsx3edc", "adminadmin12",
        "administrator", "administrator1", "administrator123", "admin1234567", "letmeinletmein",
        "iloveyou1234", "welcome12345", "welcome123456", "changeme1234", "changemenow1",
        "abcdefghijkl", "abcdefghijklm", "abcd12345678", "abc123abc123", "monkeymonkey",
        "dragondragon", "superman1234", "football1234", "baseball1234", "trustno1trustno1",
        "mongolia1234", "mongolmongol", "ulaanbaatar1", "ulaanbaatar12", "ulaanbaatar123",
        "ulaanbaatar2024", "ulaanbaatar2025", "ulaanbaatar2026", "darkhan12345", "chinggis1234",
        "chinggiskhaan", "smokedetector", "utaautaautaa",
        "нууцүгнууцүг", "нууцүг123456", "улаанбаатар1", "улаанбаатар123", "монголмонгол",
    }
)  # fmt: skip


class WeakPassword(ValueError):
    """The password is not good enough; the text says why and what would be."""


def check_password(password: str, login: str) -> None:
    """Raises ``WeakPassword``: too short, too long, the login, a pattern, or a common one."""
    folded = password.casefold()
    if len(password) < MIN_LENGTH:
        raise WeakPassword(f"the password has {len(password)} characters; at least {MIN_LENGTH}")
    if len(password) > MAX_LENGTH:
        raise WeakPassword(f"the password is longer than {MAX_LENGTH} characters")
    if login and login.casefold() in folded and len(folded) - len(login) < MIN_LENGTH:
        raise WeakPassword("the password contains the login; choose one that does not")
    if folded in _COMMON:
        raise WeakPassword("the password is one that everybody tries first; choose another")
    if len(set(folded)) < _MIN_DIFFERENT:
        raise WeakPassword(f"the password repeats itself; use {_MIN_DIFFERENT} different characters")


class Passwords:
    """Judging, hashing and checking, a few at a time, in threads."""

    def __init__(self, hasher: PasswordHash | None = None, *, breached: Breached | None = None) -> None:
        self._breached = breached
        self._hasher = hasher or PasswordHash((Argon2Hasher(),))
        self._turn = asyncio.Semaphore(_PARALLEL)
        self._decoy: str | None = None

    async def check(self, password: str, login: str) -> None:
        """As ``check_password``, and against the list of breached ones where there is one."""
        check_password(password, login)
        if self._breached is not None and await asyncio.to_thread(self._breached.has, password):
            raise WeakPassword("the password was in a breach, so guessers have it; choose another")

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one; without a stored hash False, after as much work."""
        async with self._turn:
            if self._decoy is None:
                self._decoy = await asyncio.to_thread(self._hasher.hash, "nobody's password")
            right = await asyncio.to_thread(self._verify, password, stored or self._decoy)
        return right and stored is not None

    def _verify(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(password, stored)
        except UnknownHashError:
            return False
