"""Facts of cameras as they come in: the last ones of each camera, and the newest evidence."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.errors import WireError
from edge.wire.messages import Alarm, CameraFact, Event
from gateway.cameras.models import CameraEvidence, CameraHealth
from registry.sealed import Keyring, Sealed

#: Pieces of evidence kept of each camera; with two pictures of 12 kB each about 400 kB.
KEEP_EVIDENCE: Final = 12
#: A thumbnail is about 4 kB; one beyond this is left out.
MAX_PICTURE_BYTES: Final = 12_000
REFERENCE: Final = "camera_evidence.reference"
PICTURE: Final = "camera_evidence.picture"
FACTS: Final = (
    "reachable", "advancing", "changing", "well_exposed", "in_focus", "in_place", "as_registered",
)  # fmt: skip
_DEVICE: Final = ("maker", "model", "firmware", "serial")


async def apply_camera(session: AsyncSession, keyring: Keyring, event: Event) -> bool:
    """Keep what an event says of its camera; False if it is older than what is known, or a repeat.

    Raises ``WireError`` site_mismatch if the camera is another site's.
    """
    fact = event.camera
    assert fact is not None
    health = await session.get(CameraHealth, fact.camera, with_for_update=True)
    if health is not None and health.site_id != event.site:
        raise WireError("site_mismatch", f"camera {fact.camera} belongs to another site")
    if not await _keep_evidence(session, keyring, event, fact):
        return False
    if health is None:
        health = CameraHealth(camera_id=fact.camera, site_id=event.site, at_us=-1, device={})
        session.add(health)
    if event.at_us < health.at_us:
        return False
    health.address, health.summary, health.reason = fact.address, fact.summary, fact.reason
    health.facts = {name: value for name in FACTS if (value := getattr(fact, name)) is not None}
    health.evidence, health.at_us = dict(fact.evidence), event.at_us
    said = {name: value for name in _DEVICE if (value := getattr(fact, name)) is not None}
    health.device = {**health.device, **said}
    _set_reachable(health, fact.reachable, event.at_us)
    await session.flush()
    return True


async def apply_loss(session: AsyncSession, site_id: str, alarm: Alarm, at_us: int) -> None:
    """One alarm that stands for many cameras: each of them is lost, or back, since then."""
    back = alarm.cleared_us is not None
    for health in await _of(session, site_id, alarm.members):
        if at_us >= health.at_us:
            _set_reachable(health, back, alarm.cleared_us or alarm.raised_us)
            health.at_us, health.summary = at_us, "unknown" if back else "faulty"
            health.reason = alarm.reason
            health.facts = {**health.facts, "reachable": back}
    await session.flush()


async def _of(session: AsyncSession, site_id: str, cameras: Iterable[str]) -> list[CameraHealth]:
    found: list[CameraHealth] = []
    ids = sorted(set(cameras))
    for start in range(0, len(ids), 500):
        rows = await session.scalars(
            select(CameraHealth)
            .where(
                CameraHealth.site_id == site_id, CameraHealth.camera_id.in_(ids[start : start + 500])
            )
            .order_by(CameraHealth.camera_id)
            .with_for_update()
        )
        found += rows.all()
    return found


def _set_reachable(health: CameraHealth, reachable: bool | None, at_us: int) -> None:
    if reachable is not None and health.reachable is not reachable:
        health.reachable, health.reachable_since_us = reachable, at_us


async def _keep_evidence(
    session: AsyncSession, keyring: Keyring, event: Event, fact: CameraFact
) -> bool:
    key = (
        CameraEvidence.site_id == event.site,
        CameraEvidence.epoch == event.epoch,
        CameraEvidence.seq == event.seq,
    )
    if await session.scalar(select(CameraEvidence.id).where(*key)) is not None:
        return False
    session.add(
        CameraEvidence(
            camera_id=fact.camera, site_id=event.site, epoch=event.epoch, seq=event.seq,
            at_us=event.at_us, transition=event.transition, summary=fact.summary, reason=fact.reason,
            numbers=dict(fact.evidence), reference=_sealed(keyring, fact.reference, REFERENCE),
            picture=_sealed(keyring, fact.picture, PICTURE),
        )
    )  # fmt: skip
    await session.flush()
    kept = (
        select(CameraEvidence.id)
        .where(CameraEvidence.camera_id == fact.camera)
        .order_by(CameraEvidence.at_us.desc(), CameraEvidence.id.desc())
        .limit(KEEP_EVIDENCE)
    )
    ids = (await session.scalars(kept)).all()
    await session.execute(
        delete(CameraEvidence).where(
            CameraEvidence.camera_id == fact.camera, CameraEvidence.id.not_in(ids)
        )
    )
    return True


def _sealed(keyring: Keyring, picture: bytes | None, purpose: str) -> Sealed | None:
    if not picture or len(picture) > MAX_PICTURE_BYTES or picture[:3] != b"\xff\xd8\xff":
        return None
    return keyring.seal(base64.b64encode(picture).decode(), purpose)
