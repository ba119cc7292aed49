"""What a step of a life asks for before it may be taken, and whether it is there.

A step names proofs (given with it) and facts (columns of the record that must be filled by then). All
that is missing or wrong is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

_MAX_TEXT: Final = 300


@dataclass(frozen=True)
class Proof:
    """One thing given with a step: a day that has been, a text, a yes, or one of some words."""

    kind: Literal["day", "text", "yes", "word"]
    words: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """How to say what it must be."""
        return {
            "day": "a day that has been, as 2026-11-21",
            "text": f"a text of at most {_MAX_TEXT} characters",
            "yes": "true: without it the step may not be taken",
            "word": f"one of {', '.join(self.words)}",
        }[self.kind]

    def holds(self, value: Any, today: date) -> bool:
        """Whether a value is such a thing."""
        if self.kind == "yes":
            return value is True
        if not isinstance(value, str) or not value.strip() or len(value) > _MAX_TEXT:
            return False
        if self.kind == "day":
            try:
                return date.fromisoformat(value) <= today
            except ValueError:
                return False
        return self.kind == "text" or value in self.words


class Incomplete(Exception):
    """The step asks for more. ``missing``: what was expected, by the name of each field."""

    def __init__(self, missing: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: expected {what}" for name, what in missing.items()))
        self.missing = dict(missing)


@dataclass(frozen=True)
class Asked:
    """What a step asks for: proofs by name, and columns of the record that must hold something."""

    proofs: Mapping[str, Proof]
    facts: Mapping[str, str]

    def check(self, record: Any, given: Mapping[str, Any], today: date) -> dict[str, Any]:
        """The proofs that were given. Raises ``Incomplete`` that names all that is missing."""
        missing = {
            f"evidence.{name}": proof.expected
            for name, proof in self.proofs.items()
            if not proof.holds(given.get(name), today)
        }
        for name in given.keys() - self.proofs.keys():
            missing[f"evidence.{name}"] = f"nothing of that name; only {', '.join(self.proofs)}"
        for name, expected in self.facts.items():
            if getattr(record, name) in (None, "", False):
                missing[name] = expected
        if missing:
            raise Incomplete(missing)
        return dict(given)
