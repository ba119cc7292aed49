"""What goes into a decision beside a reading, and what comes out of it."""

from __future__ import annotations

import msgspec

from edge.wire.messages import AlarmKind, Numbers, Transition


class Tick(msgspec.Struct, frozen=True):
    """Time has passed and nothing was heard: deadlines, doses and confirmations go on."""


class Presence(msgspec.Struct, frozen=True):
    """The device's own network says whether it is there (a last will, an availability topic)."""

    online: bool


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One transition of one alarm of one detector.

    ``reason`` is a sentence for a person; ``values`` are the numbers behind it and ``peak`` the
    extremes since the raise, by a name that carries the unit. ``test``: this alarm is a test, and
    stays one everywhere downstream; a test that turns real is cleared and raised anew.
    """

    kind: AlarmKind
    transition: Transition
    at_us: int
    reason: str
    values: Numbers = {}
    peak: Numbers = {}
    test: bool = False
    #: the cameras that it stands for, when many are lost at once
    members: list[str] = []
