"""A camera's life as a literal table: from where, to where, by whom, and with what proof.

planned → installed → inspected → registered → active ↔ faulty → retired. One entered by mistake is
removed, not retired. Whoever recorded the mounting does not inspect it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import editing
from registry.acts import Act
from registry.cameras.models import Camera
from registry.evidence import Asked, Proof
from registry.models import LifeStep
from registry.steps import Step, StepRefused, step_of

CameraState = Literal[
    "planned", "installed", "inspected", "registered", "active", "faulty", "retired"
]  # fmt: skip
CameraStep = Literal["install", "inspect", "register", "activate", "break", "repair", "retire"]
STATES: Final[tuple[CameraState, ...]] = get_args(CameraState)
FAULTS: Final = ("no_picture", "no_power", "no_network", "damaged", "stolen", "other")

STEPS: Final[dict[CameraStep, Step]] = {
    "install": Step(frozenset({"planned"}), "installed", "camera.install"),
    "inspect": Step(frozenset({"installed"}), "inspected", "camera.inspect"),
    "register": Step(frozenset({"inspected"}), "registered", "camera.write"),
    "activate": Step(frozenset({"registered"}), "active", "camera.write"),
    "break": Step(frozenset({"active"}), "faulty", "camera.install"),
    "repair": Step(frozenset({"faulty"}), "active", "camera.install"),
    "retire": Step(frozenset({"active", "faulty"}), "retired", "camera.write"),
}

_DAY: Final = Proof("day")
_TEXT: Final = Proof("text")
_YES: Final = Proof("yes")
ASKED: Final[dict[CameraStep, Asked]] = {
    "install": Asked(
        {"installed_on": _DAY, "installed_by": _TEXT},
        {
            "model_id": "a model of the catalogue",
            "serial": "the serial number on its plate",
            "lat": "where it hangs, in degrees",
            "lon": "where it hangs, in degrees",
            "mount": "what it hangs on",
            "height_m": "its height above ground in metres",
            "azimuth_deg": "where it looks, in degrees clockwise from north",
        },
    ),
    "inspect": Asked(
        {"inspected_on": _DAY, "report": _TEXT, "picture_good": _YES, "masks_checked": _YES},
        {"notice_sign": "a sign that tells people of it", "tilt_deg": "its tilt in degrees"},
    ),
    "register": Asked(
        {"decided_on": _DAY, "decision": _TEXT},
        {
            "purpose": "what it is for",
            "legal_basis": "the law or decision that allows it",
            "organisation_id": "the organisation that answers for it",
            "unit_code": "the district or khoroo it stands in",
            "retention_h": "for how many hours its recordings are kept",
            "specification_id": "the technical specification it was built under",
        },
    ),
    "activate": Asked(
        {"recording_checked_on": _DAY},
        {"ip": "its address in the network", "recorder": "what records it"},
    ),
    "break": Asked({"found_on": _DAY, "fault": Proof("word", FAULTS)}, {}),
    "repair": Asked({"repaired_on": _DAY, "work": _TEXT}, {}),
    "retire": Asked({"removed_on": _DAY, "recordings": Proof("word", ("kept", "deleted"))}, {}),
}


async def take_step(
    session: AsyncSession, act: Act, camera: Camera, step: CameraStep, evidence: Mapping[str, Any]
) -> LifeStep:
    """Take one step. The caller has asked for ``STEPS[step].right``.

    Raises ``StepRefused`` (not from this state, or by the same person), ``Incomplete``, and
    ``audit.ReasonMissing`` for retire.
    """
    if camera.gone_us is not None:
        raise StepRefused("wrong_state", "it was removed; restore it first")
    goal = step_of(STEPS, step, camera.state).goal
    proofs = ASKED[step].check(camera, evidence, act.today)
    if step == "inspect":
        await _check_other_person(session, act, camera)
    origin = camera.state
    wanted = {"state": goal} | ({"retired_us": act.now_us} if goal == "retired" else {})
    await editing.change(session, act, camera, wanted, verb=step, note={"evidence": proofs})
    taken = LifeStep(
        object_kind="camera",
        object_id=camera.id,
        from_state=origin,
        to_state=goal,
        at_us=act.now_us,
        actor=act.actor.id,
        evidence=proofs,
        reason=act.reason,
    )
    session.add(taken)
    await session.flush()
    return taken


async def steps_of(session: AsyncSession, kind: str, object_id: str) -> list[LifeStep]:
    """A record's life so far, oldest step first."""
    query = select(LifeStep).where(LifeStep.object_id == object_id, LifeStep.object_kind == kind)
    return list(await session.scalars(query.order_by(LifeStep.at_us, LifeStep.id)))


async def _check_other_person(session: AsyncSession, act: Act, camera: Camera) -> None:
    mounted = [
        step for step in await steps_of(session, "camera", camera.id) if step.to_state == "installed"
    ]
    if mounted and mounted[-1].actor == act.actor.id:
        raise StepRefused("same_person", "whoever recorded its mounting does not inspect it")
