"""Planned work on the fibre plant, and services with their lives."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from gateway.api.common import ObjectId, Wanted, at
from gateway.api.fibre import current, refused
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.fibre import works
from gateway.problems import documented, wrong_field
from registry import audit
from registry.fibre import service_life
from registry.fibre.impact import risks_of
from registry.fibre.models import FibreService, FibreWork
from registry.fibre.store import load_losses
from registry.fibre.values import PlantError, ServiceStatus
from registry.sites import NoSuch

router = api_router("/fibre", tags=["fibre"])
_Reader = Annotated[Asker, Depends(need("fibre.read"))]
_Writer = Annotated[Asker, Depends(need("fibre.write"))]
_Announcer = Annotated[Asker, Depends(need("fibre.work"))]
TimeUs = Annotated[int, Field(ge=0, le=2**53)]
Element = Annotated[str, Field(min_length=3, max_length=140)]
Title = Annotated[str, Field(min_length=1, max_length=200)]


class WorkIn(Wanted):
    """Work on these elements at that time."""

    title: Title
    elements: Annotated[list[Element], Field(min_length=1, max_length=100)]
    starts_us: TimeUs
    ends_us: TimeUs


class WorkOut(BaseModel):
    id: str
    title: str
    elements: list[str]
    starts_at: str | None
    ends_at: str | None
    status: str
    announced_at: str | None
    #: who was told by this step
    told: int | None = None
    cameras: int | None = None
    homes: int | None = None


def _out(work: FibreWork, **more: int) -> WorkOut:
    return WorkOut(
        id=work.id, title=work.title, elements=work.elements, starts_at=at(work.starts_us),
        ends_at=at(work.ends_us), status=work.status, announced_at=at(work.announced_us), **more,
    )  # fmt: skip


async def _work(session: AsyncSession, work_id: str) -> FibreWork:
    work = await session.get(FibreWork, work_id, with_for_update=True)
    if work is None:
        raise NoSuch("work", work_id)
    return work


@router.get(
    "/works", response_model=list[WorkOut], summary="Planned works", responses=documented(401, 403)
)
async def get_works(request: Request, asker: _Reader) -> list[WorkOut]:
    """The latest first."""
    async with rooms(request).database.read() as session:
        rows = await session.scalars(select(FibreWork).order_by(FibreWork.starts_us.desc()).limit(500))
        return [_out(work) for work in rows]


@router.post(
    "/works", status_code=201, response_model=WorkOut, summary="Plan work",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_work(body: WorkIn, request: Request, asker: _Writer) -> WorkOut:
    """Nobody is told yet."""
    if body.ends_us <= body.starts_us:
        raise wrong_field("body.ends_us", "expected a time after starts_us")
    city = rooms(request)
    try:
        risks_of((await current(request)).network, body.elements)
        async with city.database.write() as session:
            work = FibreWork(
                **body.model_dump(), id=new_id(), status="planned", created_us=city.clock.now_us()
            )
            session.add(work)
            await session.flush()
            await audit.append(
                session, actor=asker.actor, origin=asker.origin, action="fibre.work_plan",
                object_kind="fibre_work", object_id=work.id, now_us=city.clock.now_us(),
                after=body.model_dump(),
            )  # fmt: skip
            return _out(work)
    except PlantError as error:
        raise refused(error) from None


class OfficeOut(BaseModel):
    """An organisation behind the work."""

    id: str
    name: str
    connection: bool = Field(description="its own connection is cut")
    services: list[str] = Field(description="services of it that lead through")
    addresses: list[str] = Field(description="masked; none: it is not told, its contact has none")


class AffectedOut(BaseModel):
    """Who is affected, and who would be told."""

    cameras: int
    sites: int
    homes: int
    homes_told: int
    organisations: list[OfficeOut]


@router.get(
    "/works/{work_id}/affected", response_model=AffectedOut, summary="Who would be told",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_affected(work_id: ObjectId, request: Request, asker: _Announcer) -> AffectedOut:
    """Before it is announced: nobody is told by looking."""
    city, kept = rooms(request), await current(request)
    try:
        async with city.database.read() as session:
            work = await session.get(FibreWork, work_id)
            if work is None:
                raise NoSuch("work", work_id)
            found = await works.preview(session, kept, work, city.keyring)
    except PlantError as error:
        raise refused(error) from None
    return AffectedOut(
        cameras=len(found.affected.of_kind("camera")), sites=len(found.affected.of_kind("site")),
        homes=found.homes, homes_told=found.homes_told,
        organisations=[
            OfficeOut(
                id=one.id, name=one.name, connection=one.connection, services=one.services,
                addresses=one.ways,
            )
            for one in found.offices
        ],
    )  # fmt: skip


@router.post(
    "/works/{work_id}/announce", response_model=WorkOut, summary="Tell whom it affects",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def announce(work_id: ObjectId, request: Request, asker: _Announcer) -> WorkOut:
    """The first contact of each home, and organisations, by day; its faults will wake nobody."""
    city, kept = rooms(request), await current(request)
    try:
        async with city.database.write() as session:
            work = await _work(session, work_id)
            affected, told = await works.announce(
                session, kept, work, actor=asker.actor,
                origin=asker.origin, now_us=city.clock.now_us(), policy=city.policy,
                keyring=city.keyring,
            )  # fmt: skip
            out = _out(work, told=told, cameras=len(affected.of_kind("camera")), homes=affected.homes)
    except PlantError as error:
        raise refused(error) from None
    city.wake_alerts()
    return out


@router.post(
    "/works/{work_id}/done", response_model=WorkOut, summary="The work is over",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def done(work_id: ObjectId, request: Request, asker: _Announcer) -> WorkOut:
    """What it took and is still lost is a fault like any other from now on."""
    return await _finish(work_id, "done", request, asker)


@router.post(
    "/works/{work_id}/cancel", response_model=WorkOut, summary="The work does not take place",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def cancel(work_id: ObjectId, request: Request, asker: _Announcer) -> WorkOut:
    return await _finish(work_id, "cancelled", request, asker)


async def _finish(work_id: str, status: str, request: Request, asker: Asker) -> WorkOut:
    city = rooms(request)
    try:
        async with city.database.write() as session:
            work = await _work(session, work_id)
            await works.finish(
                session, work, status, actor=asker.actor, origin=asker.origin,
                now_us=city.clock.now_us(), policy=city.policy,
            )  # fmt: skip
            return _out(work)
    except PlantError as error:
        raise refused(error) from None


class ServiceIn(Wanted):
    """Light from A to Z."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    a_end: Annotated[str, Field(min_length=5, max_length=140)]
    z_end: Annotated[str, Field(min_length=5, max_length=140)]
    wavelength_nm: Annotated[int, Field(ge=1000, le=1700)] = 1550
    target_loss_db: Annotated[float, Field(gt=0, le=60)] = 28.0
    measured_loss_db: Annotated[float | None, Field(ge=0, le=60)] = None
    monthly_cost_mnt: Annotated[int | None, Field(ge=0, le=2**53)] = None
    provider_id: Annotated[str | None, Field(max_length=64)] = None
    organisation_id: Annotated[str | None, Field(max_length=64)] = None


@router.get("/services", summary="Services", responses=documented(401, 403))
async def get_services(request: Request, asker: _Reader) -> list[dict[str, Any]]:
    """With what each one's loss is and may be."""
    async with rooms(request).database.read() as session:
        rows = await session.scalars(select(FibreService).order_by(FibreService.id).limit(5000))
        margin_db = (await load_losses(session)).of("margin_db")
        return [service_life.plain(row, margin_db) for row in rows]


@router.post(
    "/services", status_code=201, summary="Enter a service",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_service(body: ServiceIn, request: Request, asker: _Writer) -> dict[str, Any]:
    """Traced from A to Z; the hops are kept with it."""
    city, kept = rooms(request), await current(request)
    try:
        async with city.database.write() as session:
            made = await service_life.enter(
                session, kept, body.model_dump(), actor=asker.actor,
                origin=asker.origin, now_us=city.clock.now_us(),
            )  # fmt: skip
            return service_life.plain(made, kept.losses.of("margin_db"))
    except PlantError as error:
        raise refused(error) from None


class ServiceStep(Wanted):
    status: ServiceStatus
    measured_loss_db: Annotated[float | None, Field(ge=0, le=60)] = None


@router.post(
    "/services/{service_id}/status", summary="A step of its life",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_step(
    service_id: ObjectId, body: ServiceStep, request: Request, asker: _Writer
) -> dict[str, Any]:
    """planned → active ↔ faulty → ended; its hops are traced anew."""
    city, kept = rooms(request), await current(request)
    try:
        async with city.database.write() as session:
            made = await service_life.step(
                session, kept, service_id, body.status,
                body.measured_loss_db, actor=asker.actor, origin=asker.origin,
                now_us=city.clock.now_us(),
            )  # fmt: skip
            return service_life.plain(made, kept.losses.of("margin_db"))
    except PlantError as error:
        raise refused(error) from None
