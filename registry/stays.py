"""Where detectors hung, from when until when: whose readings are a home's own."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.models import Detector, DetectorStay


async def keep_stay(
    session: AsyncSession,
    detector: Detector,
    now_us: int,
    *,
    replaces_id: str | None = None,
    created: bool = False,
) -> None:
    """Write down where the detector hangs from now on, if that is not what is written.

    ``created``: it was made just now, so that nothing can be written yet.
    """
    newest = None
    if not created:
        newest = await session.scalar(
            select(DetectorStay)
            .where(DetectorStay.detector_id == detector.id, DetectorStay.until_us.is_(None))
            .order_by(DetectorStay.from_us.desc())
            .limit(1)
        )
    hangs = detector.status not in ("unregistered", "planned", "retired")
    here = (detector.site_id, detector.household_id, detector.place)
    if newest is not None:
        if hangs and here == (newest.site_id, newest.household_id, newest.place):
            newest.replaces_id = replaces_id or newest.replaces_id
            return
        newest.until_us = now_us
    if hangs:
        session.add(
            DetectorStay(
                detector_id=detector.id, site_id=here[0], household_id=here[1], place=here[2],
                from_us=now_us, replaces_id=replaces_id,
            )
        )  # fmt: skip
    if not created:
        await session.flush()


async def stays_of(session: AsyncSession, detector_id: str) -> list[DetectorStay]:
    """Where a detector hung, the newest first."""
    query = select(DetectorStay).where(DetectorStay.detector_id == detector_id)
    return list(await session.scalars(query.order_by(DetectorStay.from_us.desc(), DetectorStay.id)))


async def stays_of_household(session: AsyncSession, household_id: str) -> list[DetectorStay]:
    """Which detectors hung in a home, the newest first: whose readings are the home's, and when."""
    query = select(DetectorStay).where(DetectorStay.household_id == household_id)
    return list(await session.scalars(query.order_by(DetectorStay.from_us.desc(), DetectorStay.id)))
