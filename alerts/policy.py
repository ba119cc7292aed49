"""Who is told when: the city's policy as data, and the pure decisions over it.

A ``Policy`` has one ``Rule`` per hazard. A rule says which text, how urgent, at what hours and whether
troubles are collected, and has a ladder of ``Rung``s. The decisions take the moment as an argument
and answer with a named reason; they read no clock and no database.
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec

from edge.wire.clock import US_PER_S, datetime_from_us, us_from_datetime
from edge.wire.messages import AlarmClass, AlarmKind

#: ``drill`` is our own: the test alert that each contact gets once a quarter.
Hazard = Literal["fire", "co", "exposure", "trouble", "site", "test", "drill"]
#: The texts there are (``alerts/texts``).
MessageKind = Literal[
    "fire",
    "co",
    "exposure",
    "trouble",
    "site",
    "test",
    "all_clear",
    "history",
    "acknowledged",
    "drill",
    "area_silent",
    "power_cut",
    "fibre_cut",
    "fibre_work",
    "fibre_work_office",
]
#: What can wait, and what a person may therefore do without: never fire or CO, nor what follows them.
CAN_WAIT: frozenset[str] = frozenset(
    {
        "trouble", "site", "test", "history", "drill", "area_silent", "power_cut", "fibre_work",
        "fibre_work_office",
    }
)  # fmt: skip
#: Who is told beside the household's own people.
Others = Literal["neighbours", "khoroo_duty", "desk"]
#: What must be known of a message before the ladder stops.
Proof = Literal["accepted", "delivered", "seen", "acknowledged"]
PROOFS: tuple[Proof, ...] = ("accepted", "delivered", "seen", "acknowledged")

#: Mongolia keeps one time: +08:00, no daylight saving.
ULAANBAATAR = timezone(timedelta(hours=8), "Asia/Ulaanbaatar")

#: An event older than this does not make an alarm live; only a snapshot that lists the alarm does.
LIVE_LIMIT_S = 300
#: A breach this soon after the all clear is the same incident burning again, not another one.
REOPEN_WITHIN_S = 600

HAZARD_OF: dict[AlarmKind, Hazard] = {
    "smoke": "fire", "heat": "fire", "co": "co", "co_exposure": "exposure", "test": "test",
    "low_battery": "trouble", "tamper": "trouble", "fault": "trouble", "end_of_life": "trouble",
    "needs_cleaning": "trouble", "lost": "trouble", "never_seen": "trouble", "siren_fault": "trouble",
    "camera_offline": "trouble", "camera_fault": "trouble",
}  # fmt: skip
CLASS_OF_HAZARD: dict[Hazard, AlarmClass] = {
    "fire": "alarm", "co": "alarm", "exposure": "supervisory", "test": "supervisory",
    "trouble": "trouble", "site": "trouble", "drill": "supervisory",
}  # fmt: skip
#: What a resolved incident turned out to be.
CAUSES = ("real_fire", "cooking", "test", "fault", "unknown")


HAZARDS: tuple[Hazard, ...] = get_args(Hazard)


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of the ladder: who is told, on what, this long after the incident opened."""

    #: on_failure: not by time, only for those whom the rung before did not reach
    after_s: float | Literal["on_failure"] = 0
    #: all: everybody of the household; first: the first in its order; none: only ``also``.
    #: Where there is no household, the duty of the place stands for it.
    contacts: Literal["all", "first", "none"] = "all"
    also: tuple[Others, ...] = ()
    #: make a CAP message ready for dispatch
    cap: bool = False
    #: all: every channel of a contact at once; one: the first that can be used
    channels: Literal["all", "one"] = "all"

    @property
    def timed_s(self) -> float | None:
        """Seconds after the opening; None where it is climbed by failure only."""
        return None if self.after_s == "on_failure" else self.after_s


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens for one hazard."""

    message: MessageKind
    #: smaller is sent sooner: 0 alarm, 1 supervisory, 2 trouble
    priority: int
    rungs: tuple[Rung, ...]
    #: only between these local hours; None: at once, at any hour
    hours: tuple[int, int] | None = None
    #: wait this long for more of the same before telling
    collect_s: float = 0
    #: after one message, the next one at the earliest this much later
    at_most_every_s: float = 0
    #: tell the same people when it is over
    tell_all_clear: bool = False
    #: tell them, in one message, of what was over before the city heard of it
    tell_history: bool = False
    #: tell those who were told who has it, once somebody has
    tell_acknowledged: bool = False
    #: the ladder by time stops at this proof of any of its messages, or a later one
    stops_at: Proof = "acknowledged"


class Together(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When homes burn together: so near each other, and beginning within so many seconds.

    Gers stand 10 to 20 m apart and burn down in minutes; 60 m reaches the next row.
    """

    within_m: Annotated[float, msgspec.Meta(gt=0, le=2000)] = 60.0
    within_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0


class Area(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the sites of one unit share a cause: at least so many, and this share of those watched."""

    at_least: Annotated[int, msgspec.Meta(ge=2)] = 3
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The city's rules, one per hazard; and what ties incidents together."""

    fire: Rule
    co: Rule
    exposure: Rule
    test: Rule
    trouble: Rule
    site: Rule
    drill: Rule
    together: Together = Together()
    area: Area = Area()

    def rule(self, hazard: str) -> Rule:
        """The rule of a hazard."""
        found: Rule = getattr(self, hazard)
        return found


#: Nobody says "I have it": again after a minute, and those next door; after three, the city's desk.
_ALARM_LADDER = (
    Rung(),
    Rung(after_s=60, also=("neighbours", "khoroo_duty")),
    Rung(after_s=180, contacts="none", also=("desk",), cap=True),
)
_ONE_CHANNEL = Rung(contacts="first", channels="one")
#: Local hours in which a person may be told of something that can wait.
_DAYTIME = (8, 20)

DEFAULT_POLICY = Policy(
    fire=Rule(
        message="fire", priority=0, rungs=_ALARM_LADDER, tell_all_clear=True, tell_history=True,
        tell_acknowledged=True,
    ),
    co=Rule(
        message="co", priority=0, rungs=_ALARM_LADDER, tell_all_clear=True, tell_history=True,
        tell_acknowledged=True,
    ),
    exposure=Rule(
        message="exposure", priority=1, rungs=(_ONE_CHANNEL,), hours=_DAYTIME, collect_s=60,
        at_most_every_s=6 * 3600,
    ),
    test=Rule(message="test", priority=1, rungs=(_ONE_CHANNEL,), hours=_DAYTIME),
    trouble=Rule(
        message="trouble", priority=2, rungs=(_ONE_CHANNEL,), hours=_DAYTIME, collect_s=900,
        at_most_every_s=24 * 3600,
    ),
    site=Rule(message="site", priority=2, rungs=(_ONE_CHANNEL,), hours=_DAYTIME, collect_s=900),
    drill=Rule(message="drill", priority=2, rungs=(Rung(),), hours=(10, 18)),
)  # fmt: skip


def next_timed_rung(rule: Rule, climbed: int) -> int | None:
    """The number of the next rung that is climbed by time; None if there is none."""
    for number in range(climbed + 1, len(rule.rungs)):
        if rule.rungs[number].timed_s is not None:
            return number
    return None


class Due(NamedTuple):
    """When to tell, and why then."""

    due_us: int
    reason: Literal["at_once", "collected", "after_the_last", "daytime"]


def due(rule: Rule, now_us: int, last_told_us: int | None) -> Due:
    """The moment a message of this rule may go out.

    ``last_told_us`` is when the same people were last told of the same hazard (None: never).
    """
    moment, reason = now_us, "at_once"
    if rule.collect_s:
        moment, reason = now_us + int(rule.collect_s * US_PER_S), "collected"
    if last_told_us is not None and rule.at_most_every_s:
        earliest = last_told_us + int(rule.at_most_every_s * US_PER_S)
        if earliest > moment:
            moment, reason = earliest, "after_the_last"
    if rule.hours is not None:
        inside = next_within(rule.hours, moment)
        if inside > moment:
            moment, reason = inside, "daytime"
    return Due(moment, reason)  # type: ignore[arg-type]  # one of the literals above


def next_within(hours: tuple[int, int], moment_us: int) -> int:
    """The moment itself if its local hour is in ``hours`` (end excluded), else their next beginning."""
    start, end = hours
    local = datetime_from_us(moment_us).astimezone(ULAANBAATAR)
    if start <= local.hour < end:
        return moment_us
    begin = local.replace(hour=start, minute=0, second=0, microsecond=0)
    if local.hour >= start:
        begin += timedelta(days=1)
    return us_from_datetime(begin)


class Standing(NamedTuple):
    """How an alarm stands when the city hears of it, and why."""

    live: bool
    reason: Literal["active", "over", "old_and_no_longer_listed", "old_and_not_confirmed"]


def standing(
    *, active: bool, age_ms: int | None, raised_us: int, listed: bool, snapshot_us: int | None
) -> Standing:
    """Live or history.

    ``listed``: it is the site's snapshot that says so, not an event. ``snapshot_us``: the site's time
    of its newest snapshot under the alarm's epoch (None: none yet). An alarm that is over is history.
    An active one is live if a snapshot lists it, however old it is, and if its event is young or of
    unknown age. An old event alone proves nothing: its clear may be on the way behind it, and an alarm
    that lasts is made live by the snapshot that lists it.
    """
    if not active:
        return Standing(False, "over")
    if listed or age_ms is None or age_ms <= LIVE_LIMIT_S * 1000:
        return Standing(True, "active")
    if snapshot_us is not None and raised_us <= snapshot_us:
        return Standing(False, "old_and_no_longer_listed")
    return Standing(False, "old_and_not_confirmed")


def hazard_of(kind: str, *, test: bool) -> Hazard:
    """The hazard of an alarm. A test is a test everywhere downstream."""
    return "test" if test else HAZARD_OF[kind]  # type: ignore[index]  # the wire's closed set


def outside_quiet_hours(quiet: tuple[int, int], hours: tuple[int, int] | None, moment_us: int) -> int:
    """The first moment from this one on that is outside ``quiet`` and, if given, inside ``hours``.

    ``quiet`` may cross midnight: (21, 9) is from nine in the evening to nine in the morning. Where
    nothing is left of the day, the household's wish yields to ``hours``.
    """
    start, end = quiet
    local = datetime_from_us(moment_us).astimezone(ULAANBAATAR)
    hour = local.replace(minute=0, second=0, microsecond=0)
    for ahead in range(25):
        at = hour + timedelta(hours=ahead)
        silent = start <= at.hour < end if start <= end else at.hour >= start or at.hour < end
        open_ = hours is None or hours[0] <= at.hour < hours[1]
        if open_ and not silent:
            return max(moment_us, us_from_datetime(at))
    return moment_us
