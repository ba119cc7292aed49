"""What the API shows of camera health; each camera's place decides who may see it."""

from __future__ import annotations

import base64
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.cameras.hearing import PICTURE, REFERENCE
from gateway.cameras.models import CameraEvidence, CameraHealth
from registry.cameras.models import Camera
from registry.models import Site
from registry.rights import Place
from registry.sealed import Keyring
from registry.sites import NoSuch

#: The camera's own unit, else its site's.
UNIT: ColumnElement[str | None] = func.coalesce(Camera.unit_code, Site.unit_code)


def listed() -> Select[CameraHealth]:
    """All cameras' health, joined with what says where they are; by id."""
    return (
        select(CameraHealth)
        .outerjoin(Site, Site.id == CameraHealth.site_id)
        .outerjoin(Camera, Camera.id == CameraHealth.camera_id)
        .order_by(CameraHealth.camera_id)
    )


async def place_of(session: AsyncSession, camera_id: str) -> Place:
    """Where a camera is. Raises ``NoSuch`` for one that no site has told of."""
    query = (
        select(UNIT, Camera.organisation_id)
        .select_from(CameraHealth)
        .outerjoin(Site, Site.id == CameraHealth.site_id)
        .outerjoin(Camera, Camera.id == CameraHealth.camera_id)
        .where(CameraHealth.camera_id == camera_id)
    )
    found = (await session.execute(query)).first()
    if found is None:
        raise NoSuch("camera", camera_id)
    return Place(unit_code=found[0], organisation_id=found[1])


async def health_of(session: AsyncSession, camera_id: str) -> CameraHealth:
    """Raises ``NoSuch``."""
    health = await session.get(CameraHealth, camera_id)
    if health is None:
        raise NoSuch("camera", camera_id)
    return health


async def evidence_of(session: AsyncSession, camera_id: str) -> list[CameraEvidence]:
    """The newest first."""
    rows = await session.scalars(
        select(CameraEvidence)
        .where(CameraEvidence.camera_id == camera_id)
        .order_by(CameraEvidence.at_us.desc(), CameraEvidence.id.desc())
    )
    return list(rows)


async def picture_of(
    session: AsyncSession, keyring: Keyring, camera_id: str, evidence_id: int,
    which: Literal["picture", "reference"],
) -> bytes:  # fmt: skip
    """A thumbnail, JPEG. Raises ``NoSuch``."""
    row: Any = await session.scalar(
        select(CameraEvidence).where(
            CameraEvidence.id == evidence_id, CameraEvidence.camera_id == camera_id
        )
    )
    sealed = getattr(row, which, None)
    if sealed is None:
        raise NoSuch(which, str(evidence_id))
    return base64.b64decode(keyring.open(sealed, PICTURE if which == "picture" else REFERENCE))
