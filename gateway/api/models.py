"""Detector models (what a make senses and how often it must be heard) and administrative units."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Limit,
    Page,
    Wanted,
)
from gateway.api.records import act_of, matched, one, page, tag
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import documented
from registry import editing
from registry.models import DetectorModel
from registry.sites import Conflict, touch_model

router = api_router("/models", tags=["models"])
_Reader = Annotated[Asker, Depends(need("model.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("model.write"))]
ModelId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", examples=["netvox-ra02a"])]
Sense = Literal["smoke", "co", "heat", "temperature", "humidity", "air"]
#: Longest deadline of a model: a device that may be silent for a month protects nobody.
MAX_DEADLINE_S = 31 * 24 * 3600


class ModelFields(Wanted):
    """What is known of a make."""

    maker: Annotated[str, Field(max_length=100)] = ""
    name: Annotated[str, Field(min_length=1, max_length=100)] = ""
    senses: Annotated[list[Sense], Field(max_length=10, default_factory=list)]
    deadline_s: Annotated[
        float, Field(gt=0, le=MAX_DEADLINE_S, description="lost after this silence")
    ] = 25 * 3600.0
    alarm_settings: dict[str, Any] = Field(default_factory=dict)
    source_note: Annotated[str, Field(max_length=300, description="where this is known from")] = ""


class ModelIn(ModelFields):
    """A new model."""

    id: ModelId
    name: Annotated[str, Field(min_length=1, max_length=100)]


class ModelOut(BaseModel):
    """A model."""

    id: str
    maker: str
    name: str
    senses: list[str]
    deadline_s: float
    alarm_settings: dict[str, Any]
    source_note: str


_EDITABLE = tuple(ModelFields.model_fields)


def _editable(model: DetectorModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in _EDITABLE}


def _out(model: DetectorModel) -> ModelOut:
    return ModelOut(id=model.id, **_editable(model))


@router.get(
    "", response_model=Page[ModelOut], summary="List models", responses=documented(401, 403, 422)
)
async def list_models(
    request: Request, _asker: _Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ModelOut]:
    """By id."""
    async with rooms(request).database.read() as session:
        listed = await page(
            session, select(DetectorModel), [DetectorModel.id], limit=limit, cursor=cursor
        )
    return Page(items=[_out(row) for row in listed.rows], next=listed.next)


@router.get(
    "/{model_id}", response_model=ModelOut, summary="One model",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_model(
    model_id: ModelId, request: Request, response: Response, _asker: _Reader
) -> ModelOut:
    """With its ETag."""
    async with rooms(request).database.read() as session:
        model = await one(session, DetectorModel, model_id)
    tag(response, model)
    return _out(model)


@router.post(
    "", status_code=201, response_model=ModelOut, summary="Add a model",
    responses=documented(401, 403, 409, 422),
)  # fmt: skip
async def post_model(body: ModelIn, request: Request, asker: _Writer) -> ModelOut:
    """The id is what detectors of it refer to, and stays."""
    city = rooms(request)
    async with city.database.write() as session:
        if await session.get(DetectorModel, body.id) is not None:
            raise Conflict("id", f"model {body.id!r} exists already")
        model = DetectorModel(**body.model_dump())
        await editing.create(session, act_of(request, asker), model)
    return _out(model)


@router.patch(
    "/{model_id}", response_model=ModelOut, summary="Change a model",
    responses=documented(401, 403, 404, 412, 422, 428),
)  # fmt: skip
async def patch_model(
    model_id: ModelId,
    body: ModelFields,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> ModelOut:
    """Every site with a detector of it is told."""
    city = rooms(request)
    async with city.database.write() as session:
        model = await one(session, DetectorModel, model_id, lock=True)
        wanted = body.model_dump(exclude_unset=True)
        await matched(session, model, if_match, wanted)
        if await editing.change(session, act_of(request, asker), model, wanted):
            await touch_model(session, model_id)
    city.wake_configs()
    tag(response, model)
    return _out(model)
