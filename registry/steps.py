"""Steps of a record's life as a literal table, and how one is refused.

A table maps an action to a ``Step``: from which states it leads where, and which right it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from registry.rights import Action

#: wrong_state: not from there; same_person: two different people are needed; not_a_person: a machine
#: may not; not_yours: somebody else's work; incomplete: something is missing first.
Reason = Literal["wrong_state", "same_person", "not_a_person", "not_yours", "incomplete"]
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Step:
    """From any of these states to that one, for whoever holds the right."""

    origins: frozenset[str]
    goal: str
    right: Action


class StepRefused(Exception):
    """The step is not taken. ``reason`` is closed; the text says what was expected."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason: Reason = reason


def step_of(table: Mapping[Name, Step], action: Name, state: str) -> Step:
    """The step this action takes from this state. Raises ``StepRefused``."""
    step = table[action]
    if state not in step.origins:
        expected = " or ".join(sorted(step.origins))
        raise StepRefused("wrong_state", f"{action} needs the state {expected}; it is {state}")
    return step


def actions_from(table: Mapping[Name, Step], state: str) -> tuple[Name, ...]:
    """The actions that lead on from this state."""
    return tuple(name for name, step in table.items() if state in step.origins)
