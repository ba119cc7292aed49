"""Short codes that people read, type and scan: 32 characters that are not taken for one another."""

from __future__ import annotations

from typing import Final

#: Crockford's base 32: no I, L, O, U.
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LIKE: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})


def folded(text: str) -> str:
    """The code as it was made, however it was typed (small letters, dashes, O for 0, I for 1)."""
    return text.upper().translate(_LIKE)


def encoded(content: bytes, length: int) -> str:
    """The first ``5 * length`` bits as a code."""
    number = int.from_bytes(content, "big") >> (len(content) * 8 - 5 * length)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def grouped(code: str, size: int = 5) -> str:
    """The code in groups, for the eye: ``ABCDE-FGHJK``."""
    return "-".join(code[start : start + size] for start in range(0, len(code), size))


def check_character(code: str) -> str:
    """The check (Luhn modulo 32): finds every mistyped character and all swaps but 0 with Z."""
    total = 0
    for position, character in enumerate(reversed(code)):
        value = ALPHABET.index(character) * (2 if position % 2 == 0 else 1)
        total += value // 32 + value % 32
    return ALPHABET[-total % 32]


def has_good_check(code: str) -> bool:
    """Whether a folded code's last character is the check of the rest."""
    return len(code) > 1 and set(code) <= set(ALPHABET) and check_character(code[:-1]) == code[-1]
