"""What goes into the spool and what comes out of it: flat values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edge.wire.messages import CLASS_OF, Alarm, CameraFact, DeviceFact, Transition
from edge.wire.readings import Reading

#: Classes in the order of sending; a note or a device fact comes after every alarm.
RANK_OF_CLASS = {"alarm": 0, "supervisory": 1, "trouble": 2}
RANK_OF_OTHERS = 3


class SpoolFull(Exception):
    """The disk takes no more. Nothing of the batch was written; it may be committed again later.

    ``eased``: the room held back was given up, so the next try has room without anything given up.
    """

    def __init__(self, message: str, *, eased: bool = False) -> None:
        super().__init__(message)
        self.eased = eased


class SpoolFailed(Exception):
    """The disk does not do what it is asked, and it is neither full nor is the file broken."""


class SpoolDamaged(Exception):
    """The spool's file is broken. The next start sets it aside and goes on under a new epoch."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event before it has a sequence. ``mono_us``: the moment by the monotonic clock of ``boot``."""

    transition: Transition
    at_us: int
    mono_us: int
    synced: bool = True
    alarm: Alarm | None = None
    device: DeviceFact | None = None
    camera: CameraFact | None = None
    note: str | None = None
    note_values: dict[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """Its place in the order of sending, smallest first."""
        return RANK_OF_OTHERS if self.alarm is None else RANK_OF_CLASS[CLASS_OF[self.alarm.kind]]

    @property
    def raised_us(self) -> int:
        """The raise it belongs to; newest raises are sent first within a class."""
        return self.at_us if self.alarm is None else self.alarm.raised_us


@dataclass(frozen=True, kw_only=True)
class ActiveAlarm:
    """An alarm that is not cleared, with the moment of its raise by the monotonic clock."""

    alarm: Alarm
    mono_us: int
    boot: str
    synced: bool = True


@dataclass(frozen=True, kw_only=True)
class BadSample:
    """A payload that was refused. ``head``: its first bytes."""

    at_us: int
    topic: str
    reason: str
    detail: str
    head: bytes


@dataclass
class Batch:
    """What one transaction takes. Empty ones are allowed: they seal a frame that is due."""

    readings: list[Reading] = field(default_factory=list)
    #: readings from before the clock was set; their time is µs of this boot's monotonic clock
    undated: list[Reading] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    #: alarm states by detector; None forgets the detector
    states: dict[str, bytes | None] = field(default_factory=dict)
    #: active alarms by (detector, kind); None: it is over
    active: dict[tuple[str, str], ActiveAlarm | None] = field(default_factory=dict)
    #: what is known of devices; None forgets the device
    devices: dict[str, DeviceFact | None] = field(default_factory=dict)
    samples: list[BadSample] = field(default_factory=list)
    #: ids of used commands and when they expire
    commands: dict[str, int] = field(default_factory=dict)
    #: test modes by target and their end; None: over
    tests: dict[str, int | None] = field(default_factory=dict)
    #: the agent's alarm time, so that it never goes back; 0: leave as it is
    alarm_now_us: int = 0
    mono_us: int = 0
    #: the wall clock while it can be believed; 0: it cannot
    wall_us: int = 0
    #: alarms that sirens are silent about, and until when (alarm time); None: leave as they are
    silenced: dict[str, int] | None = None
    #: the agent's counters, for a look from outside; None: leave as they are
    counters: dict[str, dict[str, int]] | None = None

    def is_empty(self) -> bool:
        """Whether there is nothing to write but perhaps the time."""
        return not (
            self.readings or self.undated or self.drafts or self.states or self.active or self.devices
            or self.samples or self.commands or self.tests or self.counters
            or self.silenced is not None
        )  # fmt: skip


class PendingEvent(NamedTuple):
    """An event that the city does not have yet. ``body``: the ``Event`` as JSON, without its age."""

    seq: int
    rank: int
    at_us: int
    mono_us: int
    boot: str
    synced: bool
    body: bytes


class PendingFrame(NamedTuple):
    """A frame that the city does not have yet. ``body``: as it goes over the wire."""

    seq: int
    readings: int
    body: bytes


class Written(NamedTuple):
    """What a commit made ready for sending."""

    events: int
    frames: int


class Queued(NamedTuple):
    """How far behind the city is."""

    events: int
    readings: int
    bytes: int


@dataclass
class Settled:
    """What a list of acknowledgements settled."""

    events: list[tuple[int, int]] = field(default_factory=list)
    frames: list[tuple[int, int]] = field(default_factory=list)
    snapshots: set[str] = field(default_factory=set)
    rejected: dict[str, int] = field(default_factory=dict)
    #: the city answers from another store: what was acknowledged is pending again
    store_changed: bool = False
    #: the city has newer events of this epoch than the spool: it was restored from an older copy
    overtaken: bool = False


@dataclass
class Room:
    """What making room cost."""

    dropped_acked: int = 0
    thinned_readings: int = 0
    dropped_readings: int = 0

    @property
    def lost_readings(self) -> int:
        return self.thinned_readings + self.dropped_readings
