"""What a commanded test mode covers. Pure.

A mode is kept by its target and its end. The plain target is a detector's id: whatever that detector
raises is a test. ``own_word(detector)`` covers less: its own word that it sounds (its button, its
self-test) is a test, and what its channels *measure* is real. So a fire that comes while somebody tries
a detector pages as any other.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from edge.alarms import State, causes
from edge.wire.messages import CLASS_OF, AlarmKind

#: An id has no blank, so no detector is called so.
_OWN_WORD: Final = "own word of "
#: What is measured, by the alarm it raises.
_LEVELS: Final[dict[AlarmKind, int]] = {
    "smoke": causes.SMOKE_LEVEL,
    "co": causes.CO_DOSE,
    "heat": causes.HEAT_LEVEL,
}


def own_word(detector: str) -> str:
    """The target of the mode that covers a detector's own word alone."""
    return _OWN_WORD + detector


def detector_of(target: str) -> str:
    """The detector that a target is about."""
    return target.removeprefix(_OWN_WORD)


def covers(tests: Container[str], detector: str, kind: AlarmKind, state: State | None) -> bool:
    """Whether an alarm of this kind is a test now."""
    if detector in tests:
        return True
    if own_word(detector) not in tests or CLASS_OF[kind] != "alarm":
        return False
    return state is None or not state.causes & _LEVELS.get(kind, 0)
