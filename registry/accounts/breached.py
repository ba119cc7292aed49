"""Passwords that were in a breach: a sorted file of SHA-1 hashes, looked up where it lies.

The file is the list "ordered by hash" that Have I Been Pwned publishes: ``HASH`` or ``HASH:count`` a
line, hexadecimal, ascending. It may be tens of gigabytes: a look-up reads some forty lines.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, Final

_HASH_LENGTH: Final = 40
#: A line is a hash, a colon, a count and its end; a longer one is no such list.
_LONGEST_LINE: Final = 80


class BreachListError(ValueError):
    """The file is no such list; the text says which line and what was expected."""


class Breached:
    """The list in one file. Raises ``BreachListError`` or ``OSError`` when it is made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._hash_at(file, file.readline(_LONGEST_LINE))

    def has(self, password: str) -> bool:
        """Whether the list has this password. Raises ``OSError``, ``BreachListError``."""
        wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        with self._path.open("rb") as file:
            low, high = 0, file.seek(0, 2)
            while low < high:  # the first line that starts at or after ``low`` and is >= wanted
                middle = (low + high) // 2
                line = _line_from(file, middle)
                if line and self._hash_at(file, line) < wanted:
                    low = middle + 1
                else:
                    high = middle
            line = _line_from(file, low)
            return bool(line) and self._hash_at(file, line) == wanted

    def _hash_at(self, file: BinaryIO, line: bytes) -> bytes:
        found = line.strip().partition(b":")[0].upper()
        if len(found) != _HASH_LENGTH or found.strip(b"0123456789ABCDEF"):
            raise BreachListError(
                f"{self._path}, near byte {max(0, file.tell() - len(line))}: expected a SHA-1 hash "
                "a line, in ascending order"
            )
        return found


def _line_from(file: BinaryIO, place: int) -> bytes:
    """The first whole line that starts at or after this byte."""
    if place == 0:
        file.seek(0)
    else:
        file.seek(place - 1)
        file.readline(_LONGEST_LINE)
    return file.readline(_LONGEST_LINE)
