"""A detector's life as a literal table, where it hung, and how one takes another's place.

planned → installed → commissioned → in service ↔ faulty → retired. One that was heard and is nobody's
yet (unregistered) may go into service at once, as may any before it: the city is told of what is there.
A faulty one is still listened to: what it says may be true.

Readings belong to the detector that made them, incidents to the household; ``registry.stays`` says
which detectors made a home's readings, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act
from registry.evidence import Asked, Proof
from registry.models import Detector, LifeStep
from registry.sites import Conflict, Registration, register_detectors, touch_site
from registry.stays import keep_stay
from registry.steps import Step, StepRefused, step_of

DetectorStatus = Literal[
    "unregistered", "planned", "installed", "commissioned", "in_service", "faulty", "retired"
]  # fmt: skip
DetectorStep = Literal[
    "plan", "install", "commission", "start", "break", "repair", "retire", "bring_back"
]  # fmt: skip
STATUSES: Final[tuple[DetectorStatus, ...]] = get_args(DetectorStatus)
FAULTS: Final = ("silent", "sensor", "battery", "damaged", "false_alarms", "other")
_RIGHT: Final = "detector.write"

STEPS: Final[dict[DetectorStep, Step]] = {
    "plan": Step(frozenset({"unregistered"}), "planned", _RIGHT),
    "install": Step(frozenset({"unregistered", "planned"}), "installed", _RIGHT),
    "commission": Step(frozenset({"installed"}), "commissioned", _RIGHT),
    "start": Step(
        frozenset({"unregistered", "planned", "installed", "commissioned"}), "in_service", _RIGHT
    ),
    "break": Step(frozenset({"in_service"}), "faulty", _RIGHT),
    "repair": Step(frozenset({"faulty"}), "in_service", _RIGHT),
    "retire": Step(frozenset(STATUSES) - {"retired"}, "retired", _RIGHT),
    "bring_back": Step(frozenset({"retired"}), "in_service", _RIGHT),
}
_DAY: Final = Proof("day")
ASKED: Final[dict[DetectorStep, Asked]] = {
    "plan": Asked({}, {}),
    "install": Asked({"installed_on": _DAY}, {}),
    "commission": Asked({"tested_on": _DAY, "alarm_heard": Proof("yes")}, {}),
    "start": Asked({}, {}),
    "break": Asked({"found_on": _DAY, "fault": Proof("word", FAULTS)}, {}),
    "repair": Asked({"repaired_on": _DAY, "work": Proof("text")}, {}),
    "retire": Asked({}, {}),
    "bring_back": Asked({}, {}),
}


def check_move(origin: str, goal: str) -> None:
    """Raises ``StepRefused`` unless one step without proofs leads from one status to the other."""
    for name, step in STEPS.items():
        if origin in step.origins and goal == step.goal and not ASKED[name].proofs:
            return
    raise StepRefused("wrong_state", f"no step without proofs leads from {origin} to {goal}")


async def take_step(
    session: AsyncSession,
    act: Act,
    detector: Detector,
    step: DetectorStep,
    evidence: Mapping[str, Any],
) -> LifeStep:
    """Take one step; its site is told. The caller has asked for the right.

    Raises ``StepRefused``, ``Incomplete``, ``audit.ReasonMissing`` (retire).
    """
    origin = detector.status
    goal = step_of(STEPS, step, origin).goal
    proofs = ASKED[step].check(detector, evidence, act.today)
    await editing.change(session, act, detector, {"status": goal}, verb=step, note={"evidence": proofs})
    if goal == "in_service":
        detector.registered_us = detector.registered_us or act.now_us
    await keep_stay(session, detector, act.now_us)
    await touch_site(session, detector.site_id)
    taken = LifeStep(
        object_kind="detector", object_id=detector.id, from_state=origin, to_state=goal,
        at_us=act.now_us, actor=act.actor.id, evidence=proofs, reason=act.reason,
    )  # fmt: skip
    session.add(taken)
    await session.flush()
    return taken


async def replace_detector(
    session: AsyncSession, act: Act, old: Detector, new: Registration
) -> Detector:
    """Another detector takes this one's home, place and settings; this one retires. Needs a reason.

    The home keeps its history: its incidents are its own, its readings are found through its stays.
    """
    if old.status not in ("in_service", "faulty", "commissioned", "installed"):
        raise StepRefused("wrong_state", f"replace needs a detector that hangs; it is {old.status}")
    if (new.source, new.address) == (old.source, old.address):
        raise Conflict("address", "expected another detector")
    household, place = old.household_id, old.place
    settings, model = old.alarm_settings, new.model_id or old.model_id
    wanted = Registration(new.source, new.address, household, model, place)
    (taking,) = await register_detectors(session, old.site_id, [wanted], now_us=act.now_us)
    if taking.alarm_settings != settings:
        taking.alarm_settings = settings
    await keep_stay(session, taking, act.now_us, replaces_id=old.id)
    note = {"replaces": old.id, "household_id": household, "place": place, "status": taking.status}
    await editing.note(session, act, taking, "replace", note)
    await take_step(session, act, old, "retire", {})
    return taking
