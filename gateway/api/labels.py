"""Labels with QR codes: a sheet for a paper, what an id stands for, taking one out of use."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from gateway.api.common import ObjectId, Wanted, at
from gateway.api.files import PDF, file_response
from gateway.api.records import act_of
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented, wrong_field
from registry.labels import service
from registry.labels.papers import DEFAULT_PAPER, PAPERS
from registry.labels.sheet import sheet, sheet_data
from registry.sites import NoSuch

router = api_router("/labels", tags=["labels"])
_Reader = Annotated[Asker, Depends(need("label.read", by_object=True))]
_Printer = Annotated[Asker, Depends(need("label.print"))]
_Paper = Annotated[str, Field(pattern=f"^({'|'.join(PAPERS).replace('.', '[.]')})$")]


class SheetIn(Wanted):
    """Which records, on which paper."""

    kind: Literal["camera", "detector"]
    ids: Annotated[list[ObjectId], Field(min_length=1, max_length=service.MAX_LABELS)]
    paper: _Paper = DEFAULT_PAPER
    skip: Annotated[int, Field(ge=0, le=100, description="labels already taken off the sheet")] = 0
    owner: Annotated[str, Field(max_length=60, description="whose it is, as printed")] = ""


class LabelOut(BaseModel):
    """What a label stands for."""

    id: str
    kind: str
    object_id: str
    created_at: str | None
    void_at: str | None


class PaperOut(BaseModel):
    """A label paper."""

    name: str
    columns: int
    rows: int
    width_mm: float
    height_mm: float


class PapersOut(BaseModel):
    """The papers that can be printed on."""

    items: list[PaperOut]


@router.get("/papers", response_model=PapersOut, summary="Label papers", responses=documented(401, 403))
async def list_papers(asker: _Reader) -> PapersOut:
    """Sizes in mm, on A4."""
    return PapersOut(
        items=[
            PaperOut(
                name=name, columns=paper.columns, rows=paper.rows,
                width_mm=paper.width_mm, height_mm=paper.height_mm,
            )
            for name, paper in PAPERS.items()
        ]
    )  # fmt: skip


@router.post(
    "/sheet", summary="Print labels", response_class=Response,
    responses={**documented(401, 403, 404, 409, 422), **PDF},
)  # fmt: skip
async def post_sheet(body: SheetIn, request: Request, asker: _Printer) -> Response:
    """A PDF; records without a label get one, the others keep theirs."""
    city = rooms(request)
    act = act_of(request, asker)
    base_url = city.doors.public_url or str(request.base_url)
    async with city.database.write() as session:
        labels = await service.ensure_labels(session, act, body.kind, body.ids)
    try:
        data = sheet_data(labels, paper=body.paper, base_url=base_url, owner=body.owner, skip=body.skip)
    except ValueError as error:
        raise wrong_field("body", str(error)) from None
    content = await asyncio.to_thread(sheet, data, at_us=act.now_us)
    return file_response(content, "application/pdf", f"labels-{body.kind}.pdf", inline=True)


@router.get(
    "/{label_id}", response_model=LabelOut, summary="What a label stands for",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_label(label_id: ObjectId, request: Request, asker: _Reader) -> LabelOut:
    """However it was typed; a void or mistyped one is none."""
    async with rooms(request).database.read() as session:
        label = await service.resolve(session, label_id)
        if label is None:
            raise NoSuch("label", label_id)
        allow(asker, "label.read", await service.place_of(session, label))
    return LabelOut(
        id=label.id, kind=label.object_kind, object_id=label.object_id,
        created_at=at(label.created_us), void_at=at(label.void_us),
    )  # fmt: skip


@router.post(
    "/{label_id}/void", status_code=204, summary="Take a label out of use",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_void(label_id: ObjectId, request: Request, asker: _Printer) -> None:
    """It was lost or copied; its record may get another."""
    async with rooms(request).database.write() as session:
        await service.void(session, act_of(request, asker), label_id)
