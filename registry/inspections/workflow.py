"""The life of a finding as a literal table: open → fix_submitted → verified."""

from __future__ import annotations

from typing import Final, Literal, get_args

from registry.rights import Actor
from registry.steps import Step, StepRefused, step_of

State = Literal["open", "fix_submitted", "verified"]
Move = Literal["fix", "verify", "reopen"]
Severity = Literal["low", "medium", "high", "critical"]
STATES: Final[tuple[State, ...]] = get_args(State)
MOVES: Final[tuple[Move, ...]] = get_args(Move)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

TABLE: Final[dict[Move, Step]] = {
    "fix": Step(frozenset({"open"}), "fix_submitted", "finding.fix"),
    "verify": Step(frozenset({"fix_submitted"}), "verified", "finding.verify"),
    "reopen": Step(frozenset({"fix_submitted"}), "open", "finding.verify"),
}
#: Days until a finding is due when nobody says otherwise: defaults of ours, edited per finding.
DUE_DAYS: Final[dict[Severity, int]] = {"critical": 3, "high": 14, "medium": 30, "low": 90}


def check_move(move: Move, state: str, actor: Actor, fixed_by: str | None) -> Step:
    """The step, if this actor may take it now; their right was checked before.

    Nobody judges their own fix, and a judgement is a person's. Raises ``StepRefused``.
    """
    step = step_of(TABLE, move, state)
    if move == "fix":
        return step
    if actor.kind != "staff":
        raise StepRefused("not_a_person", f"{move}: expected a person who is signed in, not a token")
    if actor.id == fixed_by:
        raise StepRefused("same_person", f"{move}: expected somebody other than who submitted the fix")
    return step
