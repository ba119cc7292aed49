"""Why a detector is on a technician's worklist, and how urgent that is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

Urgency = Literal["now", "soon", "passing"]
URGENCIES: Final[tuple[Urgency, ...]] = get_args(Urgency)
#: now: the home may be unwatched; soon: within days; passing: when somebody is there anyway. In the
#: order in which one reason goes before another.
REASONS: Final[dict[str, Urgency]] = {
    "lost": "now", "fault": "now", "faulty": "now", "siren_fault": "now", "never_seen": "now",
    "end_of_life": "soon", "low_battery": "soon", "tamper": "soon", "reach_unreachable": "soon",
    "installed": "soon", "unregistered": "soon", "planned": "passing", "commissioned": "passing",
    "needs_cleaning": "passing", "reach_doubtful": "passing",
}  # fmt: skip
#: Troubles of alarms that a technician goes to.
TROUBLES: Final = (
    "lost", "fault", "siren_fault", "never_seen", "end_of_life", "low_battery", "tamper",
    "needs_cleaning",
)  # fmt: skip
#: Statuses that wait for a technician.
WAITING: Final = ("faulty", "installed", "unregistered", "planned", "commissioned")
_PLACE: Final = {code: number for number, code in enumerate(REASONS)}


@dataclass(frozen=True)
class Reason:
    """One reason (a key of ``REASONS``) and since when, if that is known (µs UTC)."""

    code: str
    since_us: int | None


def in_order(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The gravest first, each once."""
    found: dict[str, Reason] = {}
    for reason in reasons:
        known = found.get(reason.code)
        if known is None or (reason.since_us or 0) < (known.since_us or 0):
            found[reason.code] = reason
    return tuple(sorted(found.values(), key=lambda reason: _PLACE[reason.code]))


def urgency_of(reasons: Iterable[Reason]) -> Urgency:
    """The most urgent of them; ``passing`` without any."""
    return min((REASONS[reason.code] for reason in reasons), key=URGENCIES.index, default="passing")


def rank(reasons: Iterable[Reason]) -> tuple[int, int, int]:
    """Sorts a worklist: urgency, then the gravest reason, then the longest waiting."""
    ordered = in_order(reasons)
    if not ordered:
        return (len(URGENCIES), len(_PLACE), 0)
    first = ordered[0]
    return (URGENCIES.index(urgency_of(ordered)), _PLACE[first.code], first.since_us or 0)
