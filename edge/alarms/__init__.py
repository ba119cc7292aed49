"""Alarms: the judgement at the edge. Pure: no I/O, no clock, no logging.

Cast: ``Settings`` says how one detector is judged; ``State`` is all that is remembered of it; an
event (a ``Reading``, a ``Tick``, a ``Presence``, new ``Settings``) goes through ``step``, and an
``Outcome`` comes out: the new state, the ``Change``s (raise, update, clear), and when to wake.
``encode_state`` and ``decode_state`` carry the state through a restart, so that a dose goes on.

    state = initial(settings, now_us)
    state, changes, wake_us = step(state, reading, now_us)
"""

from edge.alarms.decide import Input, Outcome, initial, step
from edge.alarms.settings import DEFAULT_DEADLINE_S, Settings
from edge.alarms.state import MAX_STATE_BYTES, State, decode_state, encode_state
from edge.alarms.types import Change, Presence, Tick

__all__ = [
    "DEFAULT_DEADLINE_S", "MAX_STATE_BYTES", "Change", "Input", "Outcome", "Presence", "Settings",
    "State", "Tick", "decode_state", "encode_state", "initial", "step",
]  # fmt: skip
