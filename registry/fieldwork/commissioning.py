"""Putting a detector into service on the spot: what is checked, and the steps it then takes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from registry import editing
from registry.acts import Act, day_of
from registry.detector_life import DetectorStep, take_step
from registry.evidence import Incomplete
from registry.fieldwork.models import Commissioning, FieldPicture, Trial
from registry.files import FileRefused
from registry.models import Detector
from registry.sealed import Keyring
from registry.sites import Conflict, NoSuch
from registry.steps import StepRefused

Signal = Literal["good", "weak"]
Battery = Literal["good", "low", "mains"]
#: A phone's clock is believed so far back; older work is dated then.
_OLDEST_US: Final = 60 * 86_400 * US_PER_S
#: A picture after the phone has made it small.
MAX_PICTURE_BYTES: Final = 400_000
PICTURE_PURPOSE: Final = "field_picture.content"
_JPEG: Final = b"\xff\xd8\xff"
#: From which status the way into service begins with which step.
_WAY: Final[dict[str, tuple[DetectorStep, ...]]] = {
    "unregistered": ("install", "commission", "start"),
    "planned": ("install", "commission", "start"),
    "installed": ("commission", "start"),
    "commissioned": ("start",),
    "in_service": (),
}


@dataclass(frozen=True)
class Checks:
    """What was looked at on the spot. ``picture_refused``: the family wants none."""

    place: str
    signal: str
    battery: str
    siren_heard: bool
    household_confirmed: bool
    picture_id: str | None = None
    picture_refused: bool = False

    def missing(self) -> dict[str, str]:
        """What is not done, by name. Pure."""
        found = {}
        if not self.place.strip():
            found["checks.place"] = "where it hangs, such as the bedroom"
        if self.signal not in get_args(Signal):
            found["checks.signal"] = "good or weak"
        if self.battery not in get_args(Battery):
            found["checks.battery"] = "good, low or mains"
        if not self.siren_heard:
            found["checks.siren_heard"] = "true: the alarm was heard on the spot"
        if not self.household_confirmed:
            found["checks.household_confirmed"] = "true: the family knows what to do"
        if self.picture_id is None and not self.picture_refused:
            found["checks.picture_id"] = "a picture, or that the family wants none"
        return found

    def plain(self) -> dict[str, Any]:
        """For the record."""
        return {
            "place": self.place.strip(), "signal": self.signal, "battery": self.battery,
            "siren_heard": self.siren_heard, "household_confirmed": self.household_confirmed,
            "picture": "refused" if self.picture_id is None else "taken",
        }  # fmt: skip


async def commission(
    session: AsyncSession, act: Act, detector: Detector, checks: Checks, done_us: int
) -> Commissioning:
    """Into service with its checks; one that serves already keeps them as a further visit.

    Raises ``Incomplete``, ``StepRefused`` (faulty or retired), ``NoSuch`` (the picture).
    """
    if missing := checks.missing():
        raise Incomplete(missing)
    if detector.status not in _WAY:
        raise StepRefused("wrong_state", f"a detector that is {detector.status} is not commissioned")
    done_us = max(min(done_us, act.now_us), act.now_us - _OLDEST_US)
    day = day_of(done_us).isoformat()
    if checks.picture_id is not None:
        await _own_picture(session, act, checks.picture_id, detector)
    await editing.change(session, act, detector, {"place": checks.place.strip()})
    proofs: dict[str, dict[str, Any]] = {
        "install": {"installed_on": day}, "commission": {"tested_on": day, "alarm_heard": True},
    }  # fmt: skip
    for number, step in enumerate(_WAY[detector.status]):
        after = replace(act, now_us=act.now_us + number)  # a life is read in the order of its times
        await take_step(session, after, detector, step, proofs.get(step, {}))
    trial = await session.scalar(
        select(Trial.id)
        .where(Trial.detector_id == detector.id, Trial.heard_us.is_not(None))
        .order_by(Trial.started_us.desc())
        .limit(1)
    )
    made = Commissioning(
        detector_id=detector.id, actor=act.actor.id, done_us=done_us, received_us=act.now_us,
        checks=checks.plain(), picture_id=checks.picture_id, trial_id=trial,
    )  # fmt: skip
    session.add(made)
    await session.flush()
    await editing.note(session, act, detector, "checked", {"checks": checks.plain()})
    return made


async def newest(session: AsyncSession, detector_id: str) -> Commissioning | None:
    """The last visit that put it, or found it, in service."""
    query = select(Commissioning).where(Commissioning.detector_id == detector_id)
    found: Commissioning | None = await session.scalar(
        query.order_by(Commissioning.received_us.desc(), Commissioning.id).limit(1)
    )
    return found


async def keep_picture(
    session: AsyncSession, keyring: Keyring, act: Act, picture_id: str, content: bytes
) -> FieldPicture:
    """Keep a picture under the id its phone gave it; again is the same.

    Raises ``FileRefused`` (no JPEG, too large) and ``Conflict`` (another picture has that id).
    """
    if not content.startswith(_JPEG) or len(content) > MAX_PICTURE_BYTES:
        raise FileRefused(f"expected a JPEG of at most {MAX_PICTURE_BYTES} bytes")
    sha256 = hashlib.sha256(content).hexdigest()
    known = await session.get(FieldPicture, picture_id)
    if known is not None:
        if known.sha256 != sha256 or known.actor != act.actor.id:
            raise Conflict("picture", "another picture has this id")
        return known
    picture = FieldPicture(
        id=picture_id, actor=act.actor.id, sha256=sha256, size_bytes=len(content),
        content=keyring.seal(base64.b64encode(content).decode(), PICTURE_PURPOSE),
        received_us=act.now_us,
    )  # fmt: skip
    session.add(picture)
    await session.flush()
    return picture


def content_of(picture: FieldPicture, keyring: Keyring) -> bytes:
    """The JPEG."""
    return base64.b64decode(keyring.open(picture.content, PICTURE_PURPOSE))


async def _own_picture(session: AsyncSession, act: Act, picture_id: str, detector: Detector) -> None:
    picture = await session.get(FieldPicture, picture_id)
    if picture is None or picture.actor != act.actor.id:
        raise NoSuch("picture", picture_id)
    if picture.detector_id not in (None, detector.id):
        raise Conflict("picture", "it is of another detector")
    picture.detector_id = detector.id
