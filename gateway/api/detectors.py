"""Detectors: those heard and nobody's yet, those in service, those retired."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Limit,
    ObjectId,
    Page,
    SiteId,
    Text,
    Wanted,
    at,
    decode_cursor,
    differences,
    page_of,
    within,
)
from gateway.api.records import matched, tag
from gateway.api.router import api_router
from gateway.api.search import chosen_by
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry import audit
from registry.detector_life import DetectorStatus, check_move
from registry.models import Detector, Household, Site
from registry.proposals import Choice, accept_heard
from registry.sites import (
    NoSuch,
    Registration,
    change_detector,
    place_of_detector,
    place_of_site,
    register_detectors,
)
from registry.stays import keep_stay

router = api_router("/detectors", tags=["detectors"])
_Reader = Annotated[Asker, Depends(need("detector.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("detector.write", by_object=True))]
#: Detectors registered by one request; a bigger register comes by import.
MAX_BULK = 500


class AcceptIn(Wanted):
    """Whose a detector is and what it is."""

    household_id: ObjectId | None = Field(default=None, description="none: the site's own")
    model_id: ObjectId | None = None
    place: Annotated[str, Field(max_length=100, examples=["stove"])] = ""


class RegistrationIn(AcceptIn):
    """A detector by how its own protocol names it; heard already or not."""

    source: Annotated[str, Field(min_length=1, max_length=40, examples=["native"])]
    address: Annotated[str, Field(min_length=1, max_length=200, examples=["0a12"])]


class RegistrationsIn(Wanted):
    """Detectors of one site."""

    site_id: SiteId
    detectors: Annotated[list[RegistrationIn], Field(min_length=1, max_length=MAX_BULK)]


class DetectorPatch(AcceptIn):
    """Only the fields sent change."""

    status: DetectorStatus = "in_service"
    alarm_settings: dict[str, Any] = Field(
        default_factory=dict, description="what differs from the model's"
    )


class AcceptManyIn(Wanted):
    """Which of a site's unregistered detectors: some ids, all of a source, or all."""

    site_id: SiteId
    ids: Annotated[list[ObjectId], Field(max_length=MAX_BULK)] = Field(default_factory=list)
    source: Annotated[str, Field(max_length=40)] | None = None
    all: bool = False
    household_id: ObjectId | None = Field(default=None, description="none: the site's own")


class ProposedOut(BaseModel):
    """What a detector's protocol proposes; acceptance makes it the detector's model."""

    senses: list[str] = []
    deadline_s: float | None = Field(default=None, description="lost after this silence")


class DetectorOut(BaseModel):
    """A detector; `maker`, `model_name`, `firmware`, `online` are what it says of itself."""

    id: str
    site_id: str
    source: str
    address: str
    status: DetectorStatus
    household_id: str | None
    model_id: str | None
    place: str
    alarm_settings: dict[str, Any]
    maker: str | None
    model_name: str | None
    firmware: str | None
    online: bool | None
    proposed: ProposedOut | None
    first_seen_at: str | None
    registered_at: str | None


class DetectorsOut(BaseModel):
    """What was registered, in the order it was sent."""

    items: list[DetectorOut]


_EDITABLE = ("household_id", "model_id", "place", "status", "alarm_settings")
_SAID = (
    "id", "site_id", "source", "address", "maker", "model_name", "firmware", "online", "proposed",
)  # fmt: skip


def _editable(detector: Detector) -> dict[str, Any]:
    return {name: getattr(detector, name) for name in _EDITABLE}


def detector_out(detector: Detector) -> DetectorOut:
    return DetectorOut(
        **{name: getattr(detector, name) for name in _SAID},
        **_editable(detector),
        first_seen_at=at(detector.first_seen_us),
        registered_at=at(detector.registered_us),
    )


async def _one(session: AsyncSession, detector_id: str, *, lock: bool = False) -> Detector:
    detector = await session.get(Detector, detector_id, with_for_update=lock or None)
    if detector is None:
        raise NoSuch("detector", detector_id)
    return detector


@router.get(
    "", response_model=Page[DetectorOut], summary="List detectors", responses=documented(401, 403, 422)
)
async def list_detectors(
    request: Request,
    asker: _Reader,
    status: DetectorStatus | None = None,
    site: SiteId | None = None,
    source: Text | None = None,
    address: Text | None = None,
    household: ObjectId | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[DetectorOut]:
    """By id; the filters combine. `status=unregistered`: heard, and waiting for somebody."""
    query = (
        select(Detector)
        .join(Site, Detector.site_id == Site.id)
        .outerjoin(Household, Detector.household_id == Household.id)
        .where(*within(asker.reach, func.coalesce(Household.unit_code, Site.unit_code)))
    )
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(Detector.id > key[0])
    given = {
        "status": status,
        "site": site,
        "source": source,
        "address": address,
        "household": household,
    }
    async with rooms(request).database.read() as session:
        query = query.where(*await chosen_by(session, "detectors", given))
        rows = list(await session.scalars(query.order_by(Detector.id).limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (row.id,))
    return Page(items=[detector_out(row) for row in page], next=following)


@router.get(
    "/{detector_id}", response_model=DetectorOut, summary="One detector",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_detector(
    detector_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> DetectorOut:
    """With its ETag."""
    async with rooms(request).database.read() as session:
        allow(asker, "detector.read", await place_of_detector(session, detector_id))
        detector = await _one(session, detector_id)
    tag(response, detector)
    return detector_out(detector)


@router.post(
    "", response_model=DetectorsOut, summary="Register detectors",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_detectors(body: RegistrationsIn, request: Request, asker: _Writer) -> DetectorsOut:
    """All or none, heard already or not; sending it again changes nothing. Their site is told."""
    wanted = [Registration(**entry.model_dump()) for entry in body.detectors]
    return DetectorsOut(items=await _register(request, asker, body.site_id, wanted))


@router.post(
    "/accept", response_model=DetectorsOut, summary="Accept heard detectors in bulk",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def accept_many(body: AcceptManyIn, request: Request, asker: _Writer) -> DetectorsOut:
    """Each with the profile that its protocol proposes. All or none; their site is told."""
    city = rooms(request)
    now_us = city.clock.now_us()
    choice = Choice(ids=body.ids, source=body.source, everything=body.all)
    async with city.database.write() as session:
        allow(asker, "detector.write", await place_of_site(session, body.site_id))
        detectors = await accept_heard(
            session, body.site_id, choice, household_id=body.household_id, now_us=now_us
        )
        await _note_registered(session, asker, detectors, now_us)
    city.wake_configs()
    return DetectorsOut(items=[detector_out(detector) for detector in detectors])


@router.post(
    "/{detector_id}/accept", response_model=DetectorOut, summary="Accept a heard detector",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def accept_detector(
    detector_id: ObjectId, body: AcceptIn, request: Request, asker: _Writer
) -> DetectorOut:
    """Into a household, or as its site's own."""
    async with rooms(request).database.read() as session:
        allow(asker, "detector.write", await place_of_detector(session, detector_id))
        detector = await _one(session, detector_id)
    wanted = Registration(detector.source, detector.address, **body.model_dump())
    (out,) = await _register(request, asker, detector.site_id, [wanted])
    return out


async def _register(
    request: Request, asker: Asker, site_id: str, wanted: list[Registration]
) -> list[DetectorOut]:
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        allow(asker, "detector.write", await place_of_site(session, site_id))
        detectors = await register_detectors(session, site_id, wanted, now_us=now_us)
        await _note_registered(session, asker, detectors, now_us)
    city.wake_configs()
    return [detector_out(detector) for detector in detectors]


async def _note_registered(
    session: AsyncSession, asker: Asker, detectors: list[Detector], now_us: int
) -> None:
    for detector in detectors:
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="detector.register",
            object_kind="detector", object_id=detector.id, now_us=now_us,
            after=_editable(detector),
        )  # fmt: skip


@router.patch(
    "/{detector_id}", response_model=DetectorOut, summary="Change a detector",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def patch_detector(
    detector_id: ObjectId,
    body: DetectorPatch,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> DetectorOut:
    """Only the fields sent change; its site is told."""
    city = rooms(request)
    async with city.database.write() as session:
        allow(asker, "detector.write", await place_of_detector(session, detector_id))
        detector = await _one(session, detector_id, lock=True)
        wanted = body.model_dump(exclude_unset=True)
        await matched(session, detector, if_match, wanted)
        before, after = differences(_editable(detector), wanted)
        if after:
            if "status" in after:
                check_move(detector.status, after["status"])
            versions = {"version": detector.version}, {"version": detector.version + 1}
            await change_detector(session, detector, **after)
            await keep_stay(session, detector, city.clock.now_us())
            await audit.append(
                session, actor=asker.actor, origin=asker.origin, action="detector.change",
                object_kind="detector", object_id=detector_id, now_us=city.clock.now_us(),
                before=before | versions[0], after=after | versions[1],
            )  # fmt: skip
    city.wake_configs()
    tag(response, detector)
    return detector_out(detector)
