"""The life of a specification as a literal table.

draft → submitted → review → returned / rejected / approved → superseded. ``superseded`` has no action
of its own: it comes with the approval of the successor.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from registry.rights import Actor
from registry.steps import Step, StepRefused, step_of

State = Literal["draft", "submitted", "review", "returned", "rejected", "approved", "superseded"]
Move = Literal["submit", "take", "return", "reject", "approve"]
STATES: Final[tuple[State, ...]] = get_args(State)
MOVES: Final[tuple[Move, ...]] = get_args(Move)

TABLE: Final[dict[Move, Step]] = {
    "submit": Step(frozenset({"draft", "returned"}), "submitted", "specification.write"),
    "take": Step(frozenset({"submitted"}), "review", "specification.decide"),
    "return": Step(frozenset({"review"}), "returned", "specification.decide"),
    "reject": Step(frozenset({"review"}), "rejected", "specification.decide"),
    "approve": Step(frozenset({"review"}), "approved", "specification.decide"),
}
#: In these its content can be changed.
EDITABLE: Final = frozenset({"draft", "returned"})
#: Moves that must say why.
NEED_REASON: Final = frozenset({"return", "reject"})


def check_move(
    move: Move, state: str, actor: Actor, author_ids: frozenset[str], reviewer_id: str | None
) -> Step:
    """The step, if this actor may take it now; their right was checked before.

    Whoever wrote any of it decides nothing about it; a decision is a person's own, not a machine's;
    only who took it into review decides. Raises ``StepRefused``.
    """
    step = step_of(TABLE, move, state)
    if move == "submit":
        return step
    if actor.kind != "staff":
        raise StepRefused("not_a_person", f"{move}: expected a person who is signed in, not a token")
    if actor.id in author_ids:
        raise StepRefused("same_person", f"{move}: expected somebody who wrote none of it")
    if move != "take" and actor.id != reviewer_id:
        raise StepRefused("not_yours", f"{move}: expected the person who took it into review")
    return step
