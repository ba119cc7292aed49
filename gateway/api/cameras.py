"""Cameras: lists, records, steps of their life, what they see, and changes of many at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Latitude,
    Limit,
    Longitude,
    ObjectId,
    Page,
    SiteId,
    Text,
    UnitCode,
    Wanted,
    at,
    within_place,
)
from gateway.api.records import (
    At,
    Reason,
    ReasonIn,
    act_of,
    add_endings,
    matched,
    one,
    page,
    tag,
    time_of,
)
from gateway.api.router import api_router
from gateway.api.search import Box, Corners, Words, narrowed
from gateway.door import Asker, allow, need, rooms
from gateway.problems import ProblemError, documented
from registry import editing, history
from registry.cameras import bulk
from registry.cameras.life import STEPS, CameraState, CameraStep, steps_of, take_step
from registry.cameras.models import Camera
from registry.cameras.service import (
    FIELDS,
    change_camera,
    create_camera,
    merge_cameras,
    normal_fields,
    open_stream,
    place_of,
)
from registry.cameras.twins import check_held, find_held, find_near
from registry.models import LifeStep
from registry.rights import Place
from registry.sites import Conflict, NoSuch, place_of_site

router = api_router("/cameras", tags=["cameras"])
_Reader = Annotated[Asker, Depends(need("camera.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("camera.write", by_object=True))]
_Opener = Annotated[Asker, Depends(need("camera.open", by_object=True))]
_Short = Annotated[str, Field(max_length=100)]
_Long = Annotated[str, Field(max_length=300)]
Azimuth = Annotated[
    float, Field(ge=0, lt=360, allow_inf_nan=False, description="degrees clockwise from north")
]
Funding = Literal["state_budget", "local_budget", "donor", "bank", "private", "other"]
#: Longest retention that is recorded: ten years.
_MAX_RETENTION_H = 24 * 3653


class CameraFields(Wanted):
    """What people say of a camera; its state follows from the steps of its life."""

    name: Annotated[str, Field(max_length=200)] = ""
    model_id: ObjectId | None = Field(default=None, description="of the catalogue")
    maker: Annotated[_Short, Field(description="unset: the model's")] = ""
    serial: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    mac: Annotated[str, Field(max_length=30, examples=["3c:ef:8c:01:02:03"])] | None = None
    network: Annotated[str, Field(max_length=64, description="in which the IP is unique")] = ""
    ip: Annotated[str, Field(max_length=45, examples=["10.16.4.21"])] | None = None
    place: Annotated[str, Field(max_length=200)] = ""
    lat: Latitude | None = None
    lon: Longitude | None = None
    unit_code: UnitCode | None = None
    organisation_id: ObjectId | None = None
    indoor: bool = False
    zone: Literal[
        "street", "crossing", "parking", "entrance", "yard", "school", "building", "other"
    ] | None = None  # fmt: skip
    mount: Literal["pole", "wall", "ceiling", "roof", "gantry", "other"] | None = None
    height_m: Annotated[float, Field(gt=0, le=200, allow_inf_nan=False)] | None = None
    azimuth_deg: Azimuth | None = None
    tilt_deg: (
        Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, description="down from level")]
        | None
    ) = None
    hfov_deg: (
        Annotated[float, Field(gt=0, le=360, allow_inf_nan=False, description="as it is set")] | None
    ) = None
    purpose: _Long = ""
    legal_basis: _Long = ""
    notice_sign: bool | None = None
    privacy_masks: list[Any] = Field(
        default_factory=list, description="polygons of [x, y], each 0 to 1 from the upper left"
    )
    retention_h: Annotated[int, Field(ge=1, le=_MAX_RETENTION_H)] | None = Field(
        default=None, description="hours; below 720 with a waiver"
    )
    retention_waiver: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    recorder: _Short = ""
    switch_port: _Short = ""
    specification_id: ObjectId | None = None
    funding_source: Funding | None = None
    stream_address: Annotated[str | None, Field(max_length=500, repr=False)] = Field(
        default=None, description="a user and password in it are sealed apart"
    )
    stream_secret: Annotated[str | None, Field(max_length=200, repr=False)] = Field(
        default=None, description="`user:password`; never shown again but by `open`"
    )
    site_id: SiteId | None = Field(default=None, description="whose agent watches it")
    stream_codec: Literal["h264", "hevc", "mjpeg", "mpeg4", "av1"] | None = Field(
        default=None, description="what the stream should be; unset is not compared"
    )
    stream_width: Annotated[int, Field(ge=16, le=20_000)] | None = None
    stream_height: Annotated[int, Field(ge=16, le=20_000)] | None = None
    stream_rate_fps: Annotated[float, Field(gt=0, le=240, allow_inf_nan=False)] | None = None
    probe_interval_s: Annotated[int, Field(ge=5, le=3600)] | None = Field(
        default=None, description="unset: as its site does with all"
    )
    note: Annotated[str, Field(max_length=1000)] = ""


Number = Annotated[str, Field(min_length=1, max_length=50, examples=["DK-0128"])]


class CameraIn(CameraFields):
    """A new camera."""

    number: Number


class CameraPatch(CameraFields):
    """Only the fields sent change."""

    number: Number = ""


class CameraOut(BaseModel):
    """A camera as everybody in the office sees it."""

    id: str
    number: str
    name: str
    model_id: str | None
    maker: str
    serial: str | None
    mac: str | None
    network: str
    ip: str | None
    place: str
    lat: float | None
    lon: float | None
    unit_code: str | None
    organisation_id: str | None
    indoor: bool
    zone: str | None
    mount: str | None
    height_m: float | None
    azimuth_deg: float | None
    tilt_deg: float | None
    hfov_deg: float | None
    purpose: str
    legal_basis: str
    notice_sign: bool | None
    privacy_masks: list[Any]
    retention_h: int | None
    retention_waiver: str | None
    recorder: str
    switch_port: str
    specification_id: str | None
    funding_source: str | None
    stream_address: str | None
    has_stream_secret: bool
    site_id: str | None
    stream_codec: str | None
    stream_width: int | None
    stream_height: int | None
    stream_rate_fps: float | None
    probe_interval_s: int | None
    note: str
    state: CameraState
    version: int
    retired_at: str | None
    gone_at: str | None = Field(description="removed or merged then; in no list any more")
    merged_into_id: str | None
    created_at: str | None


class StreamOut(BaseModel):
    """What is sealed of a camera."""

    stream_address: str | None
    stream_secret: str | None


class StepIn(Wanted):
    """A step's proofs, by their names; `reason` where the step asks for it."""

    evidence: dict[str, Any] = Field(default_factory=dict)
    reason: Annotated[str, Field(max_length=500)] | None = None


class StepOut(BaseModel):
    """A step that was taken."""

    from_state: str | None
    to_state: str
    at: str | None
    actor: str
    evidence: dict[str, Any]
    reason: str | None


class LifeOut(BaseModel):
    """A life so far, and which steps lead on."""

    state: str
    steps: list[StepOut]
    next: list[str]


class HeldOut(BaseModel):
    """A record that has a number which must be unique."""

    field: str
    id: str
    number: str


class CandidateOut(BaseModel):
    """A camera near it that looks the same way."""

    id: str
    number: str
    name: str
    distance_m: float
    turn_deg: float | None


class CheckOut(BaseModel):
    """Whether a camera is in the register already: for certain, or perhaps."""

    held: list[HeldOut]
    near: list[CandidateOut]


class MergeIn(ReasonIn):
    """The record that goes into this one."""

    other_id: ObjectId


class BulkIn(Wanted):
    """The same change for many; without `confirm` it is only shown."""

    ids: Annotated[list[ObjectId], Field(min_length=1, max_length=bulk.MAX_BULK)]
    set: CameraPatch
    reason: Reason | None = None
    confirm: Annotated[str, Field(max_length=64)] | None = None


class ShownOut(BaseModel):
    """What would change of one camera, or why it may not."""

    camera_id: str
    number: str
    version: int
    before: dict[str, Any]
    after: dict[str, Any]
    problem: str | None


class BulkOut(BaseModel):
    """A preview, or what was done."""

    cameras: list[ShownOut]
    changes: int
    problems: int
    confirm: str = Field(description="send it to do exactly this")
    applied: bool
    batch_id: str | None = Field(default=None, description="the audit's entries of it have this")


def out(camera_id: str, created_us: int | None, values: dict[str, Any]) -> CameraOut:
    """A camera from its values, today's or those of another day."""
    shown = {name: values[name] for name in FIELDS if name != "stream_secret"}
    return CameraOut(
        **shown,
        id=camera_id,
        has_stream_secret=values["stream_secret"] is not None,
        state=values["state"],
        version=values["version"],
        retired_at=at(values["retired_us"]),
        gone_at=at(values["gone_us"]),
        merged_into_id=values["merged_into_id"],
        created_at=at(created_us),
    )


def _now(camera: Camera) -> CameraOut:
    return out(camera.id, camera.created_us, editing.values_of(camera))


async def _mine(
    session: AsyncSession, asker: Asker, camera_id: str, action: Any, *, lock: bool = False
) -> Camera:
    camera = await one(session, Camera, camera_id, lock=lock)
    allow(asker, action, place_of(camera))
    return camera


def chosen(
    asker: Asker,
    *,
    unit: str | None = None,
    organisation: str | None = None,
    state: str | None = None,
    model: str | None = None,
    number: str | None = None,
) -> Select[Any]:
    """The cameras in lists that these filters leave, inside the asker's reach."""
    query = select(Camera).where(
        # a sum, or SQLite takes the partial index of serial numbers for it and sorts all cameras
        (Camera.gone_us + 0).is_(None),
        *within_place(asker.reach, Camera.unit_code, Camera.organisation_id),
    )
    exact = (
        (Camera.organisation_id, organisation), (Camera.state, state), (Camera.model_id, model),
    )  # fmt: skip
    query = query.where(*(column == value for column, value in exact if value is not None))
    if unit is not None:
        # codes are digits: what begins with this one lies between; LIKE would use no index
        query = query.where(Camera.unit_code.between(unit, f"{unit}99999999"))
    if number is not None:
        begins = Camera.number.startswith(number, autoescape=True)
        query = query.where(Camera.number >= number, begins)
    return query


@router.get(
    "", response_model=Page[CameraOut], summary="List cameras", responses=documented(401, 403, 422)
)
async def list_cameras(
    request: Request,
    asker: _Reader,
    unit: UnitCode | None = None,
    organisation: ObjectId | None = None,
    state: CameraState | None = None,
    model: ObjectId | None = None,
    number: Text | None = None,
    q: Words | None = None,
    bbox: Box | None = None,
    polygon: Corners | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Any:
    """By number, in the alphabet's order; the filters combine (`number`: how it begins)."""
    query = chosen(asker, unit=unit, organisation=organisation, state=state, model=model, number=number)
    async with rooms(request).database.read() as session:
        found = await narrowed(session, Camera, q=q, bbox=bbox, polygon=polygon)
        key = [Camera.sort_key, Camera.id]
        listed = await page(session, query.where(*found), key, limit=limit, cursor=cursor)
    found_page = Page[CameraOut](items=[_now(row) for row in listed.rows], next=listed.next)
    # written once: the framework would check and copy each of the thousands of values again
    return Response(found_page.model_dump_json(), media_type="application/json")


@router.post(
    "", status_code=201, response_model=CameraOut, summary="Enter a camera",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_camera(
    body: CameraIn, request: Request, response: Response, asker: _Writer
) -> CameraOut:
    """Planned. What another camera has already (serial, MAC, IP, number) is refused, and which."""
    city = rooms(request)
    allow(asker, "camera.write", Place(body.unit_code, body.organisation_id))
    async with city.database.write() as session:
        await allow_site(session, asker, body.site_id)
        camera = await create_camera(session, act_of(request, asker), city.keyring, body.model_dump())
    city.wake_configs()
    tag(response, camera)
    return _now(camera)


@router.post(
    "/check", response_model=CheckOut, summary="Whether a camera is known already",
    responses=documented(401, 403, 409, 422),
)  # fmt: skip
async def check_camera(
    body: CameraPatch, request: Request, _asker: _Writer, own: ObjectId | None = None
) -> CheckOut:
    """Before saving: who has its numbers, and who hangs within 3 m and looks within 15°."""
    city = rooms(request)
    fields = normal_fields(city.keyring, body.model_dump())
    async with city.database.read() as session:
        held = await find_held(session, fields, own)
        near = await find_near(session, fields, own)
    return CheckOut(
        held=[HeldOut(field=row.field, id=row.holder_id, number=row.holder) for row in held],
        near=[CandidateOut(**vars(row)) for row in near],
    )


@router.post(
    "/bulk", response_model=BulkOut, summary="Change many cameras at once",
    responses=documented(401, 403, 404, 409, 412, 422),
)  # fmt: skip
async def bulk_cameras(body: BulkIn, request: Request, asker: _Writer) -> BulkOut:
    """Without `confirm` a preview; with the preview's `confirm` exactly that, all or none."""
    city = rooms(request)
    fields = body.set.model_dump(exclude_unset=True)
    act = act_of(request, asker, body.reason)
    async with city.database.write() as session:
        for camera_id in body.ids:
            camera = await _mine(session, asker, camera_id, "camera.write")
            allow(asker, "camera.write", _place_after(camera, fields))
        await allow_site(session, asker, fields.get("site_id"))
        if body.confirm is None:
            cameras = [await one(session, Camera, ident) for ident in sorted(set(body.ids))]
            shown, batch = await bulk.preview(session, city.keyring, cameras, fields), None
        else:
            try:
                shown, batch = await bulk.apply(
                    session, act, city.keyring, body.ids, fields, body.confirm
                )
            except bulk.NotAsShown as error:
                raise ProblemError(412, "changed-meanwhile", "Not as shown", str(error)) from None
    return BulkOut(
        cameras=[ShownOut(**vars(row)) for row in shown.cameras],
        changes=shown.changes,
        problems=shown.problems,
        confirm=shown.confirm,
        applied=batch is not None,
        batch_id=batch,
    )


def _place_after(camera: Camera, fields: dict[str, Any]) -> Place:
    return Place(
        fields.get("unit_code", camera.unit_code),
        fields.get("organisation_id", camera.organisation_id),
    )


@router.get(
    "/{camera_id}", response_model=CameraOut, summary="One camera",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_camera(
    camera_id: ObjectId, request: Request, response: Response, asker: _Reader, at: At = None
) -> CameraOut:
    """With its ETag; with `at` as it was then."""
    async with rooms(request).database.read() as session:
        camera = await _mine(session, asker, camera_id, "camera.read")
        if at is not None:
            then = await history.as_of(session, camera, time_of(at))
            if then is None:
                raise NoSuch("camera at that time", camera_id)
            return out(camera.id, camera.created_us, then)
    tag(response, camera)
    return _now(camera)


@router.patch(
    "/{camera_id}", response_model=CameraOut, summary="Change a camera",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def patch_camera(
    camera_id: ObjectId,
    body: CameraPatch,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> CameraOut:
    """Only the fields sent change."""
    city = rooms(request)
    fields = body.model_dump(exclude_unset=True)
    async with city.database.write() as session:
        camera = await _mine(session, asker, camera_id, "camera.write", lock=True)
        allow(asker, "camera.write", _place_after(camera, fields))
        if fields.get("site_id") != camera.site_id:
            await allow_site(session, asker, fields.get("site_id"))
        await matched(session, camera, if_match, _masked(fields))
        await change_camera(session, act_of(request, asker), city.keyring, camera, fields)
    city.wake_configs()
    tag(response, camera)
    return _now(camera)


async def allow_site(session: AsyncSession, asker: Asker, site_id: str | None) -> None:
    """A site is told the cameras' passwords: only who answers for its place gives it one."""
    if site_id is not None:
        allow(asker, "camera.write", await place_of_site(session, site_id))


def _masked(fields: dict[str, Any]) -> dict[str, Any]:
    """What was sent, fit to be shown again: nothing of the stream, which may hold a password."""
    return {name: value for name, value in fields.items() if not name.startswith("stream_")}


@router.post(
    "/{camera_id}/open", response_model=StreamOut, summary="Read the stream's user and password",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def open_camera(camera_id: ObjectId, request: Request, asker: _Opener) -> StreamOut:
    """Who read it is recorded first."""
    city = rooms(request)
    async with city.database.write() as session:
        camera = await _mine(session, asker, camera_id, "camera.open")
        secret = open_stream(city.keyring, camera)
        fields = {"fields": ["stream_secret"]}
        await editing.note(session, act_of(request, asker), camera, "open", fields)
    return StreamOut(stream_address=camera.stream_address, stream_secret=secret)


@router.get(
    "/{camera_id}/life", response_model=LifeOut, summary="A camera's life",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_life(camera_id: ObjectId, request: Request, asker: _Reader) -> LifeOut:
    """The steps it took, with their proofs, and those that lead on."""
    async with rooms(request).database.read() as session:
        camera = await _mine(session, asker, camera_id, "camera.read")
        steps = await steps_of(session, "camera", camera_id)
    return life_of(
        camera.state, steps, [n for n, step in STEPS.items() if camera.state in step.origins]
    )


def life_of(state: str, steps: list[LifeStep], following: list[Any]) -> LifeOut:
    """A record's life as the API tells it."""
    told = [
        StepOut(
            from_state=step.from_state, to_state=step.to_state, at=at(step.at_us), actor=step.actor,
            evidence=step.evidence, reason=step.reason,
        )
        for step in steps
    ]  # fmt: skip
    return LifeOut(state=state, steps=told, next=following)


@router.post(
    "/{camera_id}/steps/{step}", response_model=CameraOut, summary="Take a step of its life",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def post_step(
    camera_id: ObjectId,
    step: CameraStep,
    body: StepIn,
    request: Request,
    response: Response,
    asker: _Reader,
    if_match: IfMatch = None,
) -> CameraOut:
    """Each step has its own right and proofs; what is missing is named all at once."""
    async with rooms(request).database.write() as session:
        camera = await _mine(session, asker, camera_id, STEPS[step].right, lock=True)
        await matched(session, camera, if_match, {"step": step})
        act = act_of(request, asker, body.reason)
        await take_step(session, act, camera, step, body.evidence)
    tag(response, camera)
    return _now(camera)


@router.post(
    "/{camera_id}/merge", response_model=CameraOut, summary="Merge another record into this one",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def post_merge(
    camera_id: ObjectId,
    body: MergeIn,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> CameraOut:
    """This one takes what it lacks; the other leaves every list. Both keep their history."""
    async with rooms(request).database.write() as session:
        kept = await _mine(session, asker, camera_id, "camera.write", lock=True)
        gone = await _mine(session, asker, body.other_id, "camera.write", lock=True)
        await matched(session, kept, if_match, body.model_dump())
        await merge_cameras(session, act_of(request, asker, body.reason), kept, gone)
    tag(response, kept)
    return _now(kept)


async def _place(_session: AsyncSession, camera: Camera) -> Place:
    return place_of(camera)


async def _check_ending(session: AsyncSession, camera: Camera, way: str) -> None:
    """One that was mounted is retired, not removed; one comes back if nobody has its numbers."""
    if way == "remove" and camera.state != "planned":
        raise Conflict("state", f"it is {camera.state}: retire it, or merge it into another")
    if way == "restore":
        await check_held(session, {name: getattr(camera, name) for name in FIELDS}, camera.id)


add_endings(router, Camera, "camera.write", _place, _check_ending)
