"""Outputs: what the site does by itself when there is a fire or carbon monoxide.

Cast: ``OutputSettings`` (which sirens), ``Sirens`` (decides what each siren is to be told, and when
again; pure).

On a real smoke, CO or heat alarm every siren of the site is told to sound, without asking the city,
and told again every minute while the alarm lasts, for a siren may have missed it or restarted. Each
order carries for how long it holds, so that a siren whose edge has died falls silent in the end.
When no alarm is left they are told to stop. A silenced alarm stays silent; the next one sounds.
"""

from edge.outputs.sirens import OutputSettings, SirenOrder, Sirens

__all__ = ["OutputSettings", "SirenOrder", "Sirens"]
