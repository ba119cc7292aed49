"""A detector's life: its steps, where it hung, and another taking its place."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.cameras import LifeOut, StepIn, life_of
from gateway.api.common import IfMatch, ObjectId, Wanted, at
from gateway.api.detectors import DetectorOut, detector_out
from gateway.api.records import Reason, act_of, matched, one, tag
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry.cameras.life import steps_of
from registry.detector_life import (
    STEPS,
    DetectorStep,
    replace_detector,
    take_step,
)
from registry.models import Detector, DetectorStay, Household
from registry.rights import Place
from registry.sites import Registration, place_of_detector, place_of_site
from registry.stays import stays_of, stays_of_household

router = api_router(tags=["detectors"])
_Reader = Annotated[Asker, Depends(need("detector.read", by_object=True))]
_HomeReader = Annotated[Asker, Depends(need("household.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("detector.write", by_object=True))]


class StayOut(BaseModel):
    """Where a detector hung, from when until when."""

    detector_id: str
    site_id: str
    household_id: str | None
    place: str
    since: str | None
    until: str | None = Field(description="none: it hangs there")
    replaces_id: str | None = Field(description="the detector whose place it took")


class StaysOut(BaseModel):
    """The newest first."""

    items: list[StayOut]


class DetectorLifeOut(LifeOut):
    """A detector's steps and places."""

    stays: list[StayOut]


class ReplaceIn(Wanted):
    """The detector that takes its place, as its own protocol names it; heard already or not."""

    source: Annotated[str, Field(min_length=1, max_length=40, examples=["native"])]
    address: Annotated[str, Field(min_length=1, max_length=200, examples=["0a12"])]
    model_id: ObjectId | None = Field(default=None, description="unset: as the one before")
    reason: Reason


def _stay(stay: DetectorStay) -> StayOut:
    return StayOut(
        detector_id=stay.detector_id, site_id=stay.site_id, household_id=stay.household_id,
        place=stay.place, since=at(stay.from_us), until=at(stay.until_us),
        replaces_id=stay.replaces_id,
    )  # fmt: skip


async def _mine(session: AsyncSession, asker: Asker, detector_id: str) -> Detector:
    allow(asker, "detector.write", await place_of_detector(session, detector_id))
    return await one(session, Detector, detector_id, lock=True)


@router.get(
    "/detectors/{detector_id}/life", response_model=DetectorLifeOut, summary="A detector's life",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_life(detector_id: ObjectId, request: Request, asker: _Reader) -> DetectorLifeOut:
    """The steps it took, those that lead on, and where it hung."""
    async with rooms(request).database.read() as session:
        allow(asker, "detector.read", await place_of_detector(session, detector_id))
        detector = await one(session, Detector, detector_id)
        steps = await steps_of(session, "detector", detector_id)
        stays = await stays_of(session, detector_id)
    following = [name for name, step in STEPS.items() if detector.status in step.origins]
    life = life_of(detector.status, steps, following)
    return DetectorLifeOut(**life.model_dump(), stays=[_stay(stay) for stay in stays])


@router.post(
    "/detectors/{detector_id}/steps/{step}", response_model=DetectorOut,
    summary="Take a step of a detector's life",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def post_step(
    detector_id: ObjectId,
    step: DetectorStep,
    body: StepIn,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> DetectorOut:
    """Each step has its own proofs; its site is told."""
    async with rooms(request).database.write() as session:
        detector = await _mine(session, asker, detector_id)
        await matched(session, detector, if_match, {"step": step})
        act = act_of(request, asker, body.reason)
        await take_step(session, act, detector, step, body.evidence)
    rooms(request).wake_configs()
    tag(response, detector)
    return detector_out(detector)


@router.post(
    "/detectors/{detector_id}/replace", response_model=DetectorOut,
    summary="Let another detector take its place",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def post_replace(
    detector_id: ObjectId,
    body: ReplaceIn,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> DetectorOut:
    """The home keeps its history; this one retires. The answer is the one that hangs there now."""
    async with rooms(request).database.write() as session:
        old = await _mine(session, asker, detector_id)
        await matched(session, old, if_match, {"source": body.source, "address": body.address})
        act = act_of(request, asker, body.reason)
        new = Registration(body.source, body.address, model_id=body.model_id)
        taking = await replace_detector(session, act, old, new)
    rooms(request).wake_configs()
    tag(response, taking)
    return detector_out(taking)


@router.get(
    "/households/{household_id}/stays", response_model=StaysOut, summary="Detectors a home has had",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_stays(household_id: ObjectId, request: Request, asker: _HomeReader) -> StaysOut:
    """Whose readings are the home's, and from when until when; the newest first."""
    async with rooms(request).database.read() as session:
        household = await one(session, Household, household_id)
        place = Place(unit_code=household.unit_code)
        if household.unit_code is None:
            place = await place_of_site(session, household.site_id)
        allow(asker, "household.read", place)
        stays = await stays_of_household(session, household_id)
    return StaysOut(items=[_stay(stay) for stay in stays])
