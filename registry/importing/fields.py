"""What a column may be called and what its cells must hold, as data.

Cast: ``Field`` (a column of a kind), ``Wrong`` (a cell that cannot be read: a closed code, the values
of its sentence, and a repair where one suggests itself), ``Problem`` (a ``Wrong`` at its place in the
file).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from registry.importing.texts import text_of

#: error: the row cannot be taken; note: it is taken, as the sentence says; likely: a possible
#: duplicate.
Severity = Literal["error", "note", "likely"]
#: What a cell may hold as a reader gives it.
Cell = Any


class Wrong(ValueError):
    """A cell that cannot be read."""

    def __init__(self, code: str, repair: Any = None, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.repair = repair
        self.values = values


@dataclass(frozen=True)
class Taken:
    """A cell that was read, with something the clerk should know: ``code`` of the sentence."""

    value: Any
    code: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """A column. ``headings``: what people call it; the first Mongolian, the second English one is
    shown.
    """

    name: str
    headings: tuple[str, ...]
    parse: Callable[[Cell], Any]
    required: bool = False
    #: somebody's own: problems do not repeat its value
    personal: bool = False


@dataclass(frozen=True)
class Problem:
    """Something about one cell, or about a row (no column), or about the file (row 0)."""

    row: int
    column: str
    heading: str
    field: str
    code: str
    value: str | None = None
    repair: Any = None
    severity: Severity = "error"
    values: dict[str, Any] = dataclasses.field(default_factory=dict)

    def message(self, language: str) -> str:
        """One sentence: what was expected, or what was understood."""
        return text_of(language, self.code, **self.values)

    def place(self) -> str:
        """``D17 (MAC)``: as the spreadsheet shows it."""
        if not self.row:
            return "the file"
        at = f"{self.column}{self.row}" if self.column else f"row {self.row}"
        return f"{at} ({self.heading})" if self.heading else at

    def __str__(self) -> str:
        found = f"; found {self.value!r}" if self.value else ""
        repair = f"; perhaps {self.repair!r}" if self.repair is not None else ""
        return f"{self.place()}: {self.message('en')}{found}{repair}"


def letter_of(index: int) -> str:
    """A spreadsheet's letters of a column: 0 → A, 27 → AB."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
