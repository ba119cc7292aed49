"""Outputs: what the site does by itself when there is a fire or carbon monoxide.

Cast: ``OutputSettings`` (which sirens, sounders and relays; when they are tested), ``Target`` (one of
them, and how it is told), ``Sirens`` (decides what each is to be told, and when again, and whether it
answers; pure), ``next_weekly_us`` (when the weekly test is due), ``homehub`` (what a hub is shown).

On a real smoke, CO or heat alarm every siren, relay and registered detector with a sounder is told to
sound, without asking the city: in the rhythm T3, or T4 when it is CO alone. It is told again every
minute while the alarm lasts, for a siren may have missed it or restarted; each order carries for how
long it holds, so that a siren whose edge has died falls silent in the end. When no alarm is left they
are told to stop. A silenced alarm stays silent for a bounded time; the next one sounds at once. A siren
that does not answer in time is a trouble of its own (``siren_fault``).
"""

from edge.outputs.homehub import HomeHub
from edge.outputs.settings import OutputSettings, Relay
from edge.outputs.sirens import MAX_SILENCE_S, Sirens, Target, Verdict
from edge.outputs.targets import (
    OUTPUTS_TARGET,
    SIREN_SOURCE,
    Outputs,
    SirenState,
    build_targets,
    decode_state,
)
from edge.outputs.weekly import next_weekly_us

__all__ = [
    "MAX_SILENCE_S",
    "OUTPUTS_TARGET",
    "SIREN_SOURCE",
    "HomeHub",
    "OutputSettings",
    "Outputs",
    "Relay",
    "SirenState",
    "Sirens",
    "Target",
    "Verdict",
    "build_targets",
    "decode_state",
    "next_weekly_us",
]
