"""Camera health: what each camera shows, and what that rests on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Request, Response
from pydantic import BaseModel, Field

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    ObjectId,
    Page,
    SiteId,
    at,
    decode_cursor,
    page_of,
    within,
)
from gateway.api.records import act_of
from gateway.api.router import api_router
from gateway.cameras import reading
from gateway.cameras.models import CameraEvidence, CameraHealth
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry.acts import record

router = api_router("/camera-health", tags=["camera health"])
_Reader = Annotated[Asker, Depends(need("camera.health.read", by_object=True))]
_Looker = Annotated[Asker, Depends(need("camera.evidence.read", by_object=True))]
Summary = Literal["ok", "degraded", "faulty", "unknown", "maintenance"]
EvidenceId = Annotated[int, Path(ge=1, le=2**53)]


class CameraHealthOut(BaseModel):
    """The last word on a camera. A fact that is absent is not known."""

    camera_id: str
    site_id: str
    address: str = Field(description="without user and password")
    summary: str = Field(examples=["ok"])
    facts: dict[str, bool] = Field(examples=[{"reachable": True, "in_place": False}])
    reachable_since: str | None = Field(description="since when it is reachable, or is not")
    reason: str
    evidence: dict[str, float]
    device: dict[str, str] = Field(description="what it says of itself: maker, model, firmware, serial")
    changed_at: str | None


class EvidenceOut(BaseModel):
    """A change of a camera's facts; the pictures have addresses of their own."""

    id: int
    at: str | None
    transition: str
    summary: str
    reason: str
    numbers: dict[str, float]
    has_picture: bool
    has_reference: bool


def _out(health: CameraHealth) -> CameraHealthOut:
    return CameraHealthOut(
        camera_id=health.camera_id, site_id=health.site_id, address=health.address,
        summary=health.summary, facts=health.facts, reason=health.reason, evidence=health.evidence,
        reachable_since=at(health.reachable_since_us), device=health.device,
        changed_at=at(health.at_us),
    )  # fmt: skip


def _evidence(row: CameraEvidence) -> EvidenceOut:
    numbers: dict[str, Any] = row.numbers
    return EvidenceOut(
        id=row.id, at=at(row.at_us), transition=row.transition, summary=row.summary,
        reason=row.reason, numbers=numbers, has_picture=row.picture is not None,
        has_reference=row.reference is not None,
    )  # fmt: skip


@router.get(
    "", response_model=Page[CameraHealthOut], summary="Cameras and how they are",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_health(
    request: Request,
    asker: _Reader,
    site: SiteId | None = None,
    summary: Summary | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[CameraHealthOut]:
    """By id; with `site` or `summary` only those."""
    query = reading.listed().where(*within(asker.reach, reading.UNIT))
    if site is not None:
        query = query.where(CameraHealth.site_id == site)
    if summary is not None:
        query = query.where(CameraHealth.summary == summary)
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(CameraHealth.camera_id > key[0])
    async with rooms(request).database.read() as session:
        rows = list(await session.scalars(query.limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (row.camera_id,))
    return Page(items=[_out(row) for row in page], next=following)


@router.get(
    "/{camera_id}", response_model=CameraHealthOut, summary="How one camera is",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_health(camera_id: ObjectId, request: Request, asker: _Reader) -> CameraHealthOut:
    """Its facts, and what the last change rests on."""
    async with rooms(request).database.read() as session:
        allow(asker, "camera.health.read", await reading.place_of(session, camera_id))
        return _out(await reading.health_of(session, camera_id))


@router.get(
    "/{camera_id}/evidence", response_model=list[EvidenceOut], summary="What was seen of it",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def list_evidence(camera_id: ObjectId, request: Request, asker: _Reader) -> list[EvidenceOut]:
    """The newest changes first; a bounded number is kept."""
    async with rooms(request).database.read() as session:
        allow(asker, "camera.health.read", await reading.place_of(session, camera_id))
        return [_evidence(row) for row in await reading.evidence_of(session, camera_id)]


@router.get(
    "/{camera_id}/evidence/{evidence_id}/{which}", summary="A small picture of a change",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **documented(401, 403, 404, 422)},
)  # fmt: skip
async def get_picture(
    camera_id: ObjectId,
    evidence_id: EvidenceId,
    which: Literal["picture", "reference"],
    request: Request,
    asker: _Looker,
) -> Response:
    """`picture` was judged, `reference` is a good one of the same light; at most 160 pixels wide.

    A street with people in it: who looked is recorded.
    """
    city = rooms(request)
    async with city.database.write() as session:
        allow(asker, "camera.evidence.read", await reading.place_of(session, camera_id))
        jpeg = await reading.picture_of(session, city.keyring, camera_id, evidence_id, which)
        seen = {"evidence": evidence_id, "which": which}
        await record(session, act_of(request, asker), "camera.look", "camera", camera_id, after=seen)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})
