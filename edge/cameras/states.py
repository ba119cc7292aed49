"""What is known of a camera, as separate facts; persistence before an alarm; clearing by itself.

``step(state, observation, settings) → (state, changes)``: pure, no clock, no I/O. An ``Observation`` is
what one probe, one look or one heard message says; a fact that it does not mention stays as it was.
A fact counts as bad after it was bad for ``hold_s`` **and** in ``times`` observations in a row, and as
good again after ``clear_times`` good ones, so that a reboot or a lorry before the lens makes no noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from edge.cameras.outcome import Probed, Registered, differences

Fact = Literal[
    "reachable", "advancing", "changing", "well_exposed", "in_focus", "in_place", "as_registered"
]
FACTS: Final[tuple[Fact, ...]] = (
    "reachable", "advancing", "changing", "well_exposed", "in_focus", "in_place", "as_registered",
)  # fmt: skip
Summary = Literal["ok", "degraded", "faulty", "unknown", "maintenance"]

#: What a verdict on a picture says about the facts. Noise and lost colour make a picture degraded.
_BAD_BY_VERDICT: Final[dict[str, Fact]] = {
    "dark": "well_exposed", "over_exposed": "well_exposed", "covered": "in_place", "moved": "in_place",
    "defocused": "in_focus", "noisy": "as_registered", "colour_lost": "as_registered",
    "frozen": "changing",
}  # fmt: skip
LOOKED_AT: Final[tuple[Fact, ...]] = ("well_exposed", "in_focus", "in_place")
#: The camera is there and answers; what is wrong concerns its stream.
_STREAM_OUTCOMES: Final = frozenset({"no_packets", "stalled", "undecodable", "no_video", "too_large"})
#: Facts whose loss makes a camera useless; the rest degrade it.
_FAULTY: Final[frozenset[Fact]] = frozenset(
    {"reachable", "advancing", "changing", "in_place", "well_exposed"}
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something must be bad before it is an alarm, and how often good to clear it."""

    hold_s: float
    times: int
    clear_times: int = 1


#: A camera is probed each 24 s, and each 1.5 s while in doubt; a probe of a dead one takes up to 6 s.
#: So it is told within 24 + 6 + 1.5 + 6 s that it is lost. Pictures are looked at each 14 s while in
#: doubt: 24 + 3 · 14 s and the looks themselves. A reboot of 90 s opens an incident and closes it
#: again; people are told of troubles after 15 minutes only, so it makes no noise.
DEFAULT_PATIENCE: Final[dict[Fact, Patience]] = {
    "reachable": Patience(6.0, 2),
    "advancing": Patience(6.0, 2),
    "changing": Patience(30.0, 3, 2),
    "well_exposed": Patience(40.0, 4, 2),
    "in_focus": Patience(40.0, 4, 2),
    "in_place": Patience(40.0, 4, 2),
    "as_registered": Patience(60.0, 4, 2),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one camera. ``scale``: every wait times this; ``offline_hold_s``: lost for so long before it
    is an alarm, where even the incident of a reboot is not wanted.
    """

    patience: Mapping[Fact, Patience] = field(default_factory=lambda: DEFAULT_PATIENCE)
    registered: Registered = field(default_factory=Registered)
    scale: float = 1.0
    offline_hold_s: float = 0.0

    def patience_of(self, fact: Fact) -> Patience:
        """How long this fact must be bad."""
        known = self.patience[fact]
        hold_s = known.hold_s * self.scale
        if fact == "reachable":
            hold_s = max(hold_s, self.offline_hold_s)
        return replace(known, hold_s=hold_s)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look says: a fact is good, bad, or absent."""

    at_us: int
    facts: Mapping[Fact, bool]
    reason: str
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """One fact's history, as far as it matters."""

    good: bool | None = None
    doubt_since_us: int | None = None
    doubts: int = 0
    relief: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Everything known of a camera; ``in_doubt`` asks for an early next look."""

    facts: Mapping[Fact, Standing] = field(default_factory=dict)
    maintenance: bool = False
    last_us: int = 0

    @property
    def in_doubt(self) -> bool:
        return any((s.doubts and s.good is not False) or s.relief for s in self.facts.values())

    def doubts(self, *facts: Fact) -> bool:
        """Whether one of these is on its way to turn, or is bad."""
        return any(
            (s := self.facts.get(fact)) is not None and bool(s.doubts or s.relief or s.good is False)
            for fact in facts
        )

    def turning(self, *facts: Fact) -> bool:
        """Whether one of these is on its way to turn."""
        return any(
            (s := self.facts.get(fact)) is not None and bool(s.doubts or s.relief) for fact in facts
        )

    @property
    def bad(self) -> tuple[Fact, ...]:
        """Facts that are bad, in their order."""
        return tuple(f for f in FACTS if (s := self.facts.get(f)) is not None and s.good is False)

    @property
    def summary(self) -> Summary:
        if self.maintenance:
            return "maintenance"
        bad = {fact for fact, s in self.facts.items() if s.good is False}
        if bad & _FAULTY:
            return "faulty"
        if bad:
            return "degraded"
        known = self.facts.get("reachable")
        return "ok" if known is not None and known.good else "unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """A fact that turned. ``kind`` is the alarm's on the wire."""

    fact: Fact
    transition: Literal["raise", "clear"]
    at_us: int
    reason: str
    evidence: Mapping[str, float]

    @property
    def kind(self) -> Literal["camera_offline", "camera_fault"]:
        return "camera_offline" if self.fact == "reachable" else "camera_fault"


def step(state: State, seen: Observation, settings: Settings) -> tuple[State, list[Change]]:
    """The next state, and what turned. Observations older than the last are ignored."""
    if seen.at_us < state.last_us:
        return state, []
    facts = dict(state.facts)
    changes: list[Change] = []
    for fact, good in seen.facts.items():
        standing = facts.get(fact, Standing())
        after = _turn(standing, good, seen, settings.patience_of(fact))
        facts[fact] = after
        if state.maintenance or after.good == standing.good:
            continue
        if after.good is False:
            changes.append(Change(fact, "raise", seen.at_us, seen.reason, seen.evidence))
        elif standing.good is False:
            changes.append(Change(fact, "clear", seen.at_us, seen.reason, seen.evidence))
    return replace(state, facts=facts, last_us=seen.at_us), changes


def _turn(standing: Standing, good: bool, seen: Observation, patience: Patience) -> Standing:
    if good:
        relief = standing.relief + 1 if standing.good is False else 0
        if standing.good is False and relief < patience.clear_times:
            return replace(standing, relief=relief)
        return Standing(good=True)
    if standing.good is False:
        return replace(standing, relief=0, reason=seen.reason)
    since = seen.at_us if standing.doubt_since_us is None else standing.doubt_since_us
    doubts = standing.doubts + 1
    if doubts >= patience.times and seen.at_us - since >= patience.hold_s * 1e6:
        return Standing(good=False, reason=seen.reason)
    return replace(standing, doubt_since_us=since, doubts=doubts, reason=seen.reason)


def maintenance(state: State, on: bool) -> State:
    """Somebody works on the camera: nothing turns into an alarm; afterwards all is asked anew."""
    return State(maintenance=on, last_us=state.last_us) if on != state.maintenance else state


def from_probe(
    probed: Probed,
    registered: Registered,
    at_us: int,
    *,
    repeated: bool = False,
    findings: Sequence[str] = (),
) -> Observation:
    """What a probe says. ``repeated``: its keyframes are those of the probe before; ``findings``: what
    else is known not to be as registered.
    """
    there = probed.outcome == "reachable" or probed.outcome in _STREAM_OUTCOMES
    facts: dict[Fact, bool] = {"reachable": there}
    reason: str = probed.outcome
    if there:
        facts["advancing"] = probed.outcome == "reachable"
    if probed.outcome == "reachable":
        wrong = differences(probed, registered)
        if findings:
            reason = "; ".join(findings)
        if wrong:
            reason = f"not as registered: {', '.join(wrong)}"
        # a short probe measures no rate: it may say that something is wrong, not that all is well
        if wrong or findings or measured(probed, registered):
            facts["as_registered"] = not (wrong or findings)
        if repeated:
            facts["changing"], reason = False, "the same compressed picture again and again"
    numbers = {
        "rate_fps": probed.rate_fps, "bitrate_kbps": probed.bitrate_kbps,
        "first_picture_s": probed.first_picture_s,
        "corrupt": float(probed.corrupt), "missing": float(probed.missing),
        "time_back": float(probed.time_back),
    }  # fmt: skip
    return Observation(at_us, facts, reason, {k: v for k, v in numbers.items() if v is not None})


def measured(probed: Probed, registered: Registered) -> bool:
    """Whether the probe saw everything that is registered of the stream."""
    return probed.rate_fps is not None or not (registered.rate_fps or registered.bitrate_kbps)


def from_verdict(
    verdict: str, confidence: float, evidence: Mapping[str, float], at_us: int, *, film: bool = False
) -> Observation:
    """What the judge says of a picture, or of a film. ``unknown`` says nothing."""
    if verdict == "unknown":
        return Observation(at_us, {}, "unknown")
    facts: dict[Fact, bool] = dict.fromkeys(LOOKED_AT, True)
    if film:
        facts["changing"] = True
    bad = _BAD_BY_VERDICT.get(verdict)
    if bad is not None:
        # the other facts cannot be seen on a bad picture: they stay as they were
        facts = {bad: False}
    return Observation(at_us, facts, f"{verdict} ({confidence:.2f})", evidence)
