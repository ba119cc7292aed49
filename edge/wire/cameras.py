"""What the agent and its camera watch say to each other, over a pipe between two processes.

The agent writes one ``Watch``, and another when its cameras change; the watch writes ``CameraReport``s.
Each is one line of JSON. Passwords come only this way and by the watch's own file, never in arguments.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edge.wire.messages import CameraFact, CameraSettings, Numbers, Transition


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What to watch. ``settings``: ``edge.settings.CameraWatchSettings`` as plain values."""

    site: str
    data_dir: str
    settings: dict[str, Any]
    cameras: list[CameraSettings] = []
    #: the site's broker, for what others say: ``edge.settings.BrokerSettings`` as plain values
    broker: dict[str, Any] | None = None


class CameraAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm of a camera as it stands now; saying it again changes nothing."""

    detector: str
    kind: Literal["camera_offline", "camera_fault"]
    transition: Literal["raise", "clear"]
    reason: str
    values: Numbers = {}
    members: list[str] = []


class CameraReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line from the watch to the agent."""

    #: ids of all cameras that are watched now: what is on no list any more has no alarm
    roster: list[str] | None = None
    alarms: list[CameraAlarm] = []
    fact: CameraFact | None = None
    transition: Transition = "update"
    #: for the heartbeat: cameras, probes, looks, restarts, …
    counters: dict[str, int] | None = None
    #: why cameras are not watched, one line
    problem: str | None = None
