"""Alarms: the judgement at the edge. Pure: no I/O, no clock, no logging.

Cast: ``Settings`` says how one detector is judged; ``State`` is all that is remembered of it; an
event (a ``Reading``, a ``Tick``, a ``Presence``, new ``Settings``) goes through ``step``, and an
``Outcome`` comes out: the new state, the ``Change``s (raise, update, clear), and when to wake.
``encode_state`` and ``decode_state`` carry the state through a restart, so that a dose goes on.

    state = initial(settings, now_us)
    state, changes, wake_us = step(state, reading, now_us)

Inside: ``decide`` lets time pass and hears the event; ``co``, ``smoke``, ``heat`` and ``trouble`` keep
their part of the state and set bits of ``causes``; ``settle`` turns bits into alarms; ``words`` says
why. A time in which nobody could be heard counts against no device (``resumed``).
"""

from edge.alarms.decide import Input, Outcome, resumed, step
from edge.alarms.settings import DEFAULT_DEADLINE_S, Settings, deadline_from_interval_s
from edge.alarms.state import MAX_STATE_BYTES, State, decode_state, encode_state, initial
from edge.alarms.types import Change, Presence, Tick

__all__ = [
    "DEFAULT_DEADLINE_S", "MAX_STATE_BYTES", "Change", "Input", "Outcome", "Presence", "Settings",
    "State", "Tick", "deadline_from_interval_s", "decode_state", "encode_state", "initial", "resumed",
    "step",
]  # fmt: skip
