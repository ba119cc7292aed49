"""The catalogue of cameras' makes: sensor, lens, light, ONVIF profiles."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import DEFAULT_LIMIT, Cursor, IfMatch, Limit, Page, Text, Wanted, at
from gateway.api.models import ModelId
from gateway.api.records import act_of, add_endings, matched, one, page, tag
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import documented
from registry import editing
from registry.cameras.models import Camera, CameraModel
from registry.rights import EVERYWHERE, Place
from registry.sites import Conflict

router = api_router("/camera-models", tags=["cameras"])
_Reader = Annotated[Asker, Depends(need("model.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("model.write"))]
_Pixels = Annotated[int, Field(ge=1, le=100_000)]
_Millimetres = Annotated[float, Field(gt=0, le=2000, allow_inf_nan=False)]
_Degrees = Annotated[float, Field(gt=0, le=360, allow_inf_nan=False)]


class CameraModelFields(Wanted):
    """What is known of a make."""

    maker: Annotated[str, Field(min_length=1, max_length=100)]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    form: Literal["fixed", "dome", "ptz", "fisheye", "multi"] = "fixed"
    analogue: bool = False
    sensor_width_px: _Pixels | None = None
    sensor_height_px: _Pixels | None = None
    focal_min_mm: _Millimetres | None = None
    focal_max_mm: _Millimetres | None = None
    hfov_min_deg: _Degrees | None = Field(default=None, description="at the longest focal length")
    hfov_max_deg: _Degrees | None = Field(default=None, description="at the shortest focal length")
    ir_range_m: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = Field(
        default=None, description="reach of its own infrared light; 0: it has none"
    )
    onvif_profiles: Annotated[
        list[Literal["S", "G", "C", "A", "Q", "T", "M", "D"]], Field(max_length=8)
    ] = Field(default_factory=list)
    source_note: Annotated[str, Field(max_length=300, description="where this is known from")] = ""

    @model_validator(mode="after")
    def _ordered(self) -> CameraModelFields:
        for low, high in (("focal_min_mm", "focal_max_mm"), ("hfov_min_deg", "hfov_max_deg")):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ValueError(f"expected {low} to be at most {high}")
        return self


class CameraModelIn(CameraModelFields):
    """A new make."""

    id: ModelId


class CameraModelPatch(CameraModelFields):
    """Only the fields sent change."""

    maker: Annotated[str, Field(min_length=1, max_length=100)] = "-"
    name: Annotated[str, Field(min_length=1, max_length=100)] = "-"


class CameraModelOut(BaseModel):
    """A make."""

    id: str
    maker: str
    name: str
    form: str
    analogue: bool
    sensor_width_px: int | None
    sensor_height_px: int | None
    focal_min_mm: float | None
    focal_max_mm: float | None
    hfov_min_deg: float | None
    hfov_max_deg: float | None
    ir_range_m: float | None
    onvif_profiles: list[str]
    source_note: str
    version: int
    gone_at: str | None


_FIELDS = tuple(CameraModelFields.model_fields)


def _out(model: CameraModel) -> CameraModelOut:
    fields = {name: getattr(model, name) for name in _FIELDS}
    return CameraModelOut(id=model.id, **fields, version=model.version, gone_at=at(model.gone_us))


@router.get(
    "", response_model=Page[CameraModelOut], summary="List camera models",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_camera_models(
    request: Request,
    _asker: _Reader,
    maker: Text | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[CameraModelOut]:
    """By maker and name."""
    query = select(CameraModel).where(CameraModel.gone_us.is_(None))
    if maker is not None:
        query = query.where(CameraModel.maker == maker)
    async with rooms(request).database.read() as session:
        key = [CameraModel.maker, CameraModel.name]
        listed = await page(session, query, key, limit=limit, cursor=cursor)
    return Page(items=[_out(row) for row in listed.rows], next=listed.next)


@router.get(
    "/{model_id}", response_model=CameraModelOut, summary="One camera model",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_camera_model(
    model_id: ModelId, request: Request, response: Response, _asker: _Reader
) -> CameraModelOut:
    """With its ETag."""
    async with rooms(request).database.read() as session:
        model = await one(session, CameraModel, model_id)
    tag(response, model)
    return _out(model)


@router.post(
    "", status_code=201, response_model=CameraModelOut, summary="Add a camera model",
    responses=documented(401, 403, 409, 422),
)  # fmt: skip
async def post_camera_model(
    body: CameraModelIn, request: Request, response: Response, asker: _Writer
) -> CameraModelOut:
    """The id is what cameras of it refer to, and stays."""
    act = act_of(request, asker)
    async with rooms(request).database.write() as session:
        if await session.get(CameraModel, body.id) is not None:
            raise Conflict("id", f"camera model {body.id!r} exists already")
        await _check_name(session, body.maker, body.name, None)
        model = CameraModel(**body.model_dump(), created_us=act.now_us)
        await editing.create(session, act, model)
    tag(response, model)
    return _out(model)


async def _check_name(session: AsyncSession, maker: str, name: str, own_id: str | None) -> None:
    twin = await session.scalar(
        select(CameraModel.id).where(CameraModel.maker == maker, CameraModel.name == name)
    )
    if twin not in (None, own_id):
        raise Conflict("name", f"camera model {twin!r} of this maker has this name")


@router.patch(
    "/{model_id}", response_model=CameraModelOut, summary="Change a camera model",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def patch_camera_model(
    model_id: ModelId,
    body: CameraModelPatch,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> CameraModelOut:
    """Only the fields sent change; what its cameras see follows from it."""
    wanted: dict[str, Any] = body.model_dump(exclude_unset=True)
    async with rooms(request).database.write() as session:
        model = await one(session, CameraModel, model_id, lock=True)
        await matched(session, model, if_match, wanted)
        maker, name = wanted.get("maker", model.maker), wanted.get("name", model.name)
        await _check_name(session, maker, name, model_id)
        await editing.change(session, act_of(request, asker), model, wanted)
    tag(response, model)
    return _out(model)


async def _place(_session: AsyncSession, _model: CameraModel) -> Place:
    return EVERYWHERE


async def _check_ending(session: AsyncSession, model: CameraModel, way: str) -> None:
    used = select(Camera.number).where(Camera.model_id == model.id, Camera.gone_us.is_(None))
    if way == "remove" and (number := await session.scalar(used.limit(1))) is not None:
        raise Conflict("id", f"camera {number!r} is of this model")


add_endings(router, CameraModel, "model.write", _place, _check_ending)
