"""``/detectors/<id>``: where a label leads to. What it is, its life, its last values."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.api.common import ObjectId
from gateway.api.records import one
from gateway.door import Asker, allow, need, rooms
from gateway.models import LatestReading
from gateway.web.guard import PageRoute
from gateway.web.page import page_of
from registry.cameras.life import steps_of
from registry.models import Detector, DetectorModel, Household, Site
from registry.rights import may
from registry.sites import place_of_detector
from registry.stays import stays_of

router = APIRouter(prefix="/detectors", tags=["pages"], include_in_schema=False, route_class=PageRoute)


@router.get("/{detector_id}")
async def record_page(
    detector_id: ObjectId,
    request: Request,
    asker: Annotated[Asker, Depends(need("detector.read", by_object=True))],
) -> Response:
    """The record. A home is named by its label; its address stays sealed."""
    city = rooms(request)
    async with city.database.read() as session:
        place = await place_of_detector(session, detector_id)
        allow(asker, "detector.read", place)
        detector = await one(session, Detector, detector_id)
        steps = await steps_of(session, "detector", detector_id)
        stays = await stays_of(session, detector_id)
        home = await session.get(Household, detector.household_id or "")
        site = await session.get(Site, detector.site_id)
        model = await session.get(DetectorModel, detector.model_id or "")
        latest = None
        if may(asker.actor, "reading.read", place):
            latest = await session.get(LatestReading, detector_id)
    return page_of(
        "officer/detector.html", request, asker, detector=detector, steps=steps, stays=stays,
        home=home, site=site, model=model, latest=latest, now_us=city.clock.now_us(),
    )  # fmt: skip
