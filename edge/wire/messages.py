"""Messages between a site and the city, as JSON: event, snapshot, acknowledgement and the rest.

Every message has ``v`` (1). Times are µs UTC (``…_us``); durations carry their unit. Unknown fields
are ignored, so that an older program reads a newer one's messages; unknown versions are refused.

Who owns what: the edge mints an alarm's id at the raise and owns ``kind``, ``raised_us``,
``cleared_us``, ``peak`` and ``revision``; the city owns acknowledgement, assignment, resolution and
abandonment and never writes the edge's fields. The highest revision of an alarm wins, so any order
of arrival ends the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from edge.wire.errors import WireError
from edge.wire.identity import SITE_PATTERN

VERSION = 1
#: No JSON message of ours is larger: above it is an attack or a bug.
MAX_MESSAGE_BYTES = 4 << 20
#: Alarms in one part of a snapshot at most: a few kB, so that an alarm never waits long behind one,
#: neither on a thin line nor in the city's transaction (some ms for each).
SNAPSHOT_PART_ALARMS = 10

AlarmClass = Literal["alarm", "supervisory", "trouble"]
AlarmKind = Literal[
    # alarm
    "smoke", "co", "heat",
    # supervisory
    "co_exposure", "test",
    # trouble
    "low_battery", "tamper", "fault", "end_of_life", "needs_cleaning", "lost", "never_seen",
    "siren_fault", "camera_offline", "camera_fault",
]  # fmt: skip
CLASS_OF: dict[AlarmKind, AlarmClass] = {
    "smoke": "alarm",
    "co": "alarm",
    "heat": "alarm",
    "co_exposure": "supervisory",
    "test": "supervisory",
    "low_battery": "trouble",
    "tamper": "trouble",
    "fault": "trouble",
    "end_of_life": "trouble",
    "needs_cleaning": "trouble",
    "lost": "trouble",
    "never_seen": "trouble",
    "siren_fault": "trouble",
    "camera_offline": "trouble",
    "camera_fault": "trouble",
}
Transition = Literal["raise", "update", "clear"]
Lane = Literal["events", "frames"]

#: Python's ``$`` alone would let a line feed follow.
SiteName = Annotated[str, msgspec.Meta(pattern=SITE_PATTERN + r"(?!\n)")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Seq = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
TimeUs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
#: Numbers behind a decision, by a name that carries the unit.
Numbers = dict[str, float]
Label = Annotated[str, msgspec.Meta(max_length=100)]
Thumbnail = Annotated[bytes, msgspec.Meta(max_length=12_000)]


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as its edge knows it. Active while ``cleared_us`` is None."""

    id: Id
    kind: AlarmKind
    detector: Id
    raised_us: TimeUs
    revision: Annotated[int, msgspec.Meta(ge=1)]
    reason: Annotated[str, msgspec.Meta(max_length=500)]
    cleared_us: TimeUs | None = None
    #: the extreme value seen, by quantity
    peak: Numbers = {}
    values: Numbers = {}
    #: a test of the detector: a test everywhere downstream
    test: bool = False
    #: the cameras that one alarm stands for, when a site's network loses many at once
    members: Annotated[list[Id], msgspec.Meta(max_length=5000)] = []

    @property
    def alarm_class(self) -> AlarmClass:
        return CLASS_OF[self.kind]


class DeviceFact(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a device beside its readings; fields that are None say nothing.

    ``source`` and ``address`` are how its own protocol names it; ``detector`` is the opaque id.
    """

    detector: Id
    source: str
    address: str
    online: bool | None = None
    maker: str | None = None
    model: str | None = None
    firmware: str | None = None
    name: str | None = None
    #: how often the device reports by itself, where it says so
    report_interval_s: float | None = None
    #: a bridge is the way to detectors, a siren only sounds: neither is a detector
    role: Literal["detector", "bridge", "siren"] = "detector"
    #: it can be told to sound for the alarm of another
    sounder: bool | None = None
    #: quantities and flags (lower case) that it can state, where it or its protocol says so
    senses: tuple[str, ...] | None = None
    #: lost after this silence, by what is known of its model
    proposed_deadline_s: float | None = None


class CameraFact(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a camera: separate facts (None: not known), and one word for all of them.

    ``camera`` is an opaque id like a detector's; ``address`` never holds credentials. ``reason`` and
    ``evidence`` are what the last change rests on.
    """

    camera: Id
    address: Annotated[str, msgspec.Meta(max_length=200)]
    summary: Literal["ok", "degraded", "faulty", "unknown", "maintenance"]
    reachable: bool | None = None
    #: pictures come
    advancing: bool | None = None
    #: and are not the same again and again
    changing: bool | None = None
    well_exposed: bool | None = None
    in_focus: bool | None = None
    #: neither turned away nor covered
    in_place: bool | None = None
    as_registered: bool | None = None
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    evidence: Numbers = {}
    #: what it says of itself, where it was asked (ONVIF)
    maker: Label | None = None
    model: Label | None = None
    firmware: Label | None = None
    serial: Label | None = None
    #: two thumbnails, JPEG: a good picture of the same light, and the one that was judged
    reference: Thumbnail | None = None
    picture: Thumbnail | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A transition, on the events lane. Exactly one of ``alarm``, ``device``, ``note``, ``camera``.

    Key: (site, epoch, lane "events", seq). ``age_ms`` is the event's age at sending by the edge's
    monotonic clock (None: unknown, it lived through a reboot); live or history is judged by it.
    ``at_us`` is the edge's wall clock at the transition, ``clock_synced`` whether to believe it.
    """

    site: SiteName
    epoch: Id
    seq: Seq
    at_us: TimeUs
    transition: Transition
    alarm: Alarm | None = None
    device: DeviceFact | None = None
    camera: CameraFact | None = None
    #: something about the site itself: ``spool_reset``, ``thinned``, ``mains_lost``, ``mains_back``, …
    note: str | None = None
    note_values: dict[str, Any] = {}
    age_ms: int | None = None
    clock_synced: bool = True
    v: int = VERSION


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All active alarms of a site, sent first on every connect, acknowledged by ``nonce``.

    Under an epoch the city has not seen it closes every open alarm of older epochs it omits.
    ``last_seq`` is the newest event it includes.

    A long one goes in ``parts``, the alarms of the highest class first, each with a nonce of its own.
    What a part lists is listed, whatever becomes of the rest; the whole counts, and closes what it
    omits, only with its last part, which is sent when the city has acknowledged all the others.
    ``after_store`` of that last part is the store that has acknowledged them: another store does not
    know them, takes the last part for one of the others, and its answer has the site begin anew.
    """

    site: SiteName
    epoch: Id
    nonce: Id
    at_us: TimeUs
    last_seq: Annotated[int, msgspec.Meta(ge=0)]
    active: list[Alarm]
    #: per alarm id, its age at sending in ms by the monotonic clock (absent: unknown)
    age_ms: dict[str, int] = {}
    part: Annotated[int, msgspec.Meta(ge=1)] = 1
    parts: Annotated[int, msgspec.Meta(ge=1)] = 1
    after_store: Id | None = None
    v: int = VERSION

    def completes(self, store: str | None) -> bool:
        """Whether ``store``, which takes it, now has the whole snapshot."""
        return self.part >= self.parts and (self.after_store is None or self.after_store == store)


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The city keeps this message aside, with its reason; the edge need not send it again."""

    seq: Seq
    reason: str


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """The end-to-end acknowledgement: what the city has durably stored.

    ``seqs`` are inclusive ranges. ``store`` is the id of the city's store: when it changes, the city
    was restored from a backup and the edge sends again what it still has.
    """

    site: SiteName
    epoch: Id
    store: Id
    lane: Lane
    seqs: list[tuple[Seq, Seq]] = []
    rejected: list[Rejected] = []
    #: set instead of ``seqs`` when a snapshot is acknowledged
    snapshot: str | None = None
    #: with a snapshot: the newest event of the epoch that the city has met. If the site has no such
    #: event, its spool was restored from an older copy, and it begins a new epoch
    newest_event: Annotated[int, msgspec.Meta(ge=0)] | None = None
    v: int = VERSION


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A site's pulse, every 30 s: who it is, how far behind, what it could not understand."""

    site: SiteName
    epoch: Id
    boot: Id
    at_us: TimeUs
    uptime_s: float
    clock_synced: bool
    config_version: int
    detectors: int
    queued_events: int
    queued_readings: int
    spool_bytes: int
    #: since the agent started: refused payloads by reason, repaired readings by reason, and more
    counters: dict[str, dict[str, int]] = {}
    software: str = ""
    #: why the last configuration was refused, if it was
    config_error: str | None = None
    v: int = VERSION


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Retained: ``online`` when the link connects, ``offline`` as its last will."""

    site: SiteName
    state: Literal["online", "offline"]
    boot: Id
    v: int = VERSION


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry tells a site of one of its detectors."""

    detector: Id
    source: str
    address: str
    model: str | None = None
    #: raise ``lost`` after this silence; None: the model's or the source's default
    deadline_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    #: settings of the alarms that differ from the model's (names of ``edge.alarms.Settings``)
    alarms: dict[str, Any] = {}
    registered_us: TimeUs = 0


class CameraSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry tells a site of one of its cameras, over the site's own topic alone.

    ``address``: rtsp(s):// or http(s):// without user and password. What is None is not compared.
    """

    camera: Id
    address: Annotated[str, msgspec.Meta(max_length=500)]
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    rate_fps: float | None = None
    serial: Label | None = None
    #: somebody works on it: nothing is told
    maintenance: bool = False
    #: ``user:password`` of the stream; in no log, and in nothing that is shown
    secret: Annotated[str, msgspec.Meta(max_length=400)] | None = None
    #: between probes; None: as for all of the site
    interval_s: Annotated[float, msgspec.Meta(ge=5, le=3600)] | None = None

    def __repr__(self) -> str:
        return f"CameraSettings(camera={self.camera!r})"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A site's settings, retained. ``version`` grows; the heartbeat says which one it has."""

    site: SiteName
    version: Annotated[int, msgspec.Meta(ge=1)]
    detectors: list[DetectorSettings] = []
    alarms: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    cameras: list[CameraSettings] = []
    v: int = VERSION


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An order to a site. Its id works once; it expires 60 s after ``issued_us``."""

    site: SiteName
    id: Id
    issued_us: TimeUs
    expires_us: TimeUs
    action: Literal["silence", "test", "self_test", "end_test"]
    target: str
    arguments: dict[str, Any] = {}
    v: int = VERSION


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command."""

    site: SiteName
    id: Id
    ok: bool
    detail: str = ""
    v: int = VERSION


Message = TypeVar("Message", Event, Snapshot, Ack, Heartbeat, Status, Config, Command, CommandResult)


class _Version(msgspec.Struct):
    v: int = VERSION


def encode(message: Any) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(message)


def decode(payload: bytes, kind: type[Message]) -> Message:
    """The message in the payload.

    Raises ``WireError``: too_large, truncated, not_json, unknown_version, missing_field, wrong_type.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise WireError("too_large", f"{len(payload)} bytes; at most {MAX_MESSAGE_BYTES}")
    try:
        version = msgspec.json.decode(payload, type=_Version).v
        if version != VERSION:
            raise WireError("unknown_version", f"version {version}; expected {VERSION}")
        return msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError as error:
        reason = "missing_field" if "missing required" in str(error) else "wrong_type"
        raise WireError(reason, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "truncated" if "truncated" in str(error) else "not_json"
        raise WireError(reason, str(error)) from None


def ranges(seqs: list[int]) -> list[tuple[int, int]]:
    """Inclusive ranges of sequence numbers, for an acknowledgement: [3,1,2,7] → [(1,3),(7,7)]."""
    result: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if result and seq == result[-1][1] + 1:
            result[-1] = (result[-1][0], seq)
        else:
            result.append((seq, seq))
    return result
