"""The fibre plant: read, traced, changed by lists of operations, asked who loses what."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from gateway.api.common import Wanted, at, set_etag
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import FieldError, ProblemError, documented
from registry.fibre import answers, geojson, whole
from registry.fibre.budget import shipped_losses
from registry.fibre.models import FibreAnomaly, FibreOutage
from registry.fibre.operations import AnyOperation, ChangesRefused, operations_of
from registry.fibre.services import (
    ChangedMeanwhile,
    Compiled,
    PlantKeeper,
    changes_after,
    set_loss,
)
from registry.fibre.sor import SorError
from registry.fibre.values import PlantError
from registry.printing.typeset import pdf

router = api_router("/fibre", tags=["fibre"])
_Reader = Annotated[Asker, Depends(need("fibre.read"))]
_Writer = Annotated[Asker, Depends(need("fibre.write"))]
_Read = Annotated[
    str | None,
    Header(alias="If-Match", description="the plant's ETag that you read; 412 once it is another"),
]
Key = Annotated[str, Query(min_length=5, max_length=140, pattern=r"^[^\x00]+$", examples=["C12/47/A"])]
Name = Annotated[str, Query(min_length=1, max_length=140, pattern=r"^[^\x00]+$")]
Elements = Annotated[
    list[Annotated[str, Field(min_length=3, max_length=140, pattern=r"^[^\x00]+$")]],
    Query(min_length=1, max_length=100, description="such as `trench:T1`, `cable:C1`, `node:N1`"),
]
Format = Literal["geojson", "xlsx", "ofds"]
Wavelength = Annotated[Literal[1310, 1490, 1550], Query()]
_TYPES = {
    "geojson": "application/geo+json", "ofds": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip
#: Problems listed in one answer.
_MAX_PROBLEMS = 200


def keeper_of(request: Request) -> PlantKeeper:
    """The plant in this process's memory."""
    state = request.app.state
    if not hasattr(state, "plant_keeper"):
        state.plant_keeper = PlantKeeper()
    keeper: PlantKeeper = state.plant_keeper
    return keeper


async def current(request: Request) -> Compiled:
    """The plant as it is now."""
    return await keeper_of(request).current(rooms(request).database)


async def compiled(request: Request, _session: object = None) -> Compiled:
    """The plant as it is now; read apart from the session that asks."""
    return await current(request)


def refused(error: PlantError) -> ProblemError:
    """404 for what is not there, 409 for a step that does not follow, 422 for the rest."""
    status = {"unknown": 404, "bad_life": 409, "in_use": 409, "name_taken": 409}
    word = error.reason.replace("_", "-")
    return ProblemError(status.get(error.reason, 422), word, "The plant refuses it", str(error))


def _changes(error: ChangesRefused) -> ProblemError:
    errors = [
        FieldError(field=f"operations.{each.place}", detail=f"{each.reason}: {each.detail}"[:400])
        for each in error.problems[:_MAX_PROBLEMS]
    ]
    return ProblemError(
        422, "changes-refused", "Nothing was taken", f"{len(error.problems)} problems", errors
    )


class ChangesIn(Wanted):
    """Operations in the order in which they refer to each other; all of them or none."""

    operations: list[dict[str, Any]] = Field(min_length=1, max_length=5000)
    dry_run: bool = False


class ChangesOut(BaseModel):
    """What became of them."""

    taken: int
    dry_run: bool
    version: int
    notes: list[str] = []


@router.post(
    "/changes", response_model=ChangesOut, summary="Change the plant",
    responses=documented(401, 403, 412, 422),
)  # fmt: skip
async def post_changes(
    body: ChangesIn, request: Request, response: Response, asker: _Writer, if_match: _Read = None
) -> ChangesOut:
    """`do` names the operation: node, route, cable, equipment, joint, part, endpoint, …"""
    try:
        operations = operations_of(body.operations)
        done = await _take(request, asker, operations, body.dry_run, [], if_match)
    except ChangesRefused as error:
        raise _changes(error) from None
    set_etag(response, f'"{done.version}"')
    return done


def _versions(if_match: str | None) -> list[int] | None:
    """The plant's versions that somebody read; None: whichever it is. What is none matches none."""
    tags = [tag.strip().strip('"') for tag in if_match.split(",")] if if_match is not None else ["*"]
    if "*" in tags:
        return None
    return [int(tag) if tag.isascii() and tag.isdecimal() and len(tag) < 16 else -1 for tag in tags]


async def _take(
    request: Request, asker: Asker, operations: list[AnyOperation], dry_run: bool, notes: list[str],
    if_match: str | None,
) -> ChangesOut:  # fmt: skip
    city, read_at = rooms(request), _versions(if_match)
    try:
        done = await keeper_of(request).change(
            city.database, operations, actor=asker.actor, origin=asker.origin,
            now_us=city.clock.now_us(), dry_run=dry_run, read_at=read_at,
        )  # fmt: skip
    except ChangedMeanwhile as error:
        seen = max(read_at or [0])
        async with city.database.read() as session:
            others = await changes_after(session, seen, error.version)
        told = [
            {"at": at(one.at_us), "actor": one.actor, "changes": [list(what) for what in one.what]}
            for one in others
        ]
        raise ProblemError(
            412, "changed-meanwhile", "Somebody changed the plant meanwhile",
            "look at what the others did, and send your change with the new ETag",
            headers={"ETag": f'"{error.version}"'},
            more={"seen": {"version": seen}, "current": {"version": error.version, "others": told},
                  "yours": {"operations": len(operations)}},
        ) from None  # fmt: skip
    return ChangesOut(taken=len(operations), dry_run=dry_run, version=done.version, notes=notes[:500])


@router.post(
    "/imports/{format}", response_model=ChangesOut, summary="Import a file",
    responses=documented(401, 403, 412, 413, 422),
)  # fmt: skip
async def post_import(
    format: Format, request: Request, asker: _Writer, dry_run: bool = True, if_match: _Read = None
) -> ChangesOut:
    """The file as the body. What is there already stays; `dry_run` first, which is the default."""
    content = await request.body()
    kept = await current(request)
    try:
        said, notes = await asyncio.to_thread(_read, format, content, kept)
        if not said:
            return ChangesOut(taken=0, dry_run=dry_run, version=kept.version, notes=notes[:500])
        return await _take(request, asker, operations_of(said), dry_run, notes, if_match)
    except ChangesRefused as error:
        raise _changes(error) from None


def _read(format: Format, content: bytes, kept: Compiled) -> tuple[list[dict[str, Any]], list[str]]:
    if format == "xlsx":
        return whole.read_workbook(content), []
    read = geojson.read_features if format == "geojson" else geojson.read_ofds
    return read(content, kept.plant)


@router.get(
    "/exports/{format}", response_class=Response, summary="Export the plant",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def get_export(format: Format, request: Request, asker: _Reader) -> Response:
    """GeoJSON and XLSX can be imported again; Open Fibre Data Standard 0.3 has no strands."""
    kept = await current(request)
    content = await asyncio.to_thread(_export, format, kept)
    return Response(content, media_type=_TYPES[format], headers={"ETag": f'"{kept.version}"'})


def _export(format: Format, kept: Compiled) -> bytes:
    if format == "xlsx":
        return whole.workbook(kept.plant)
    if format == "geojson":
        return json.dumps(geojson.features(kept.plant)).encode()
    return json.dumps(geojson.ofds(kept.plant, name="Utaa", publisher="Utaa")).encode()


@router.get(
    "/trace", summary="Trace a strand or port both ways", responses=documented(401, 403, 404, 422)
)
async def get_trace(
    request: Request,
    asker: _Reader,
    end: Key,
    to: Annotated[str | None, Query(min_length=5, max_length=140, pattern=r"^[^\x00]+$")] = None,
    wavelength_nm: Wavelength = 1310,
    target_db: Annotated[float | None, Query(gt=0, le=60)] = None,
    format: Literal["json", "svg"] = "json",
) -> Response:
    """Every hop with colours, lengths and loss, and the loss budget; `svg` is a drawing."""
    kept = await current(request)
    try:
        if format == "svg":
            drawing = answers.drawing(kept, end, to, wavelength_nm)
            return Response(drawing, media_type="image/svg+xml")
        said = answers.trace(kept, end, to, wavelength_nm, target_db)
    except PlantError as error:
        raise refused(error) from None
    return Response(json.dumps(said, ensure_ascii=False), media_type="application/json")


@router.get("/impact", summary="Who loses the connection", responses=documented(401, 403, 404, 422))
async def get_impact(request: Request, asker: _Reader, element: Elements) -> dict[str, Any]:
    """Organisations, cameras, sites and homes behind these elements, the most critical first."""
    kept = await current(request)
    try:
        return answers.impact(kept, element)
    except PlantError as error:
        raise refused(error) from None


@router.get("/redundancy", summary="Who hangs on a single way", responses=documented(401, 403, 422))
async def get_redundancy(
    request: Request,
    asker: _Reader,
    kind: Literal["organisation", "camera", "site", "pop"] = "organisation",
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
) -> dict[str, Any]:
    """With the trenches and nodes that alone take somebody; shared trenches count as one."""
    kept = await current(request)
    return await asyncio.to_thread(answers.redundancy, kept, kind, limit)


@router.get(
    "/second-way", summary="The shortest route to a second way",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def get_second_way(request: Request, asker: _Reader, subject: Name) -> dict[str, Any]:
    """`subject` as in redundancy, such as `organisation:school-7`."""
    kept = await current(request)
    try:
        return await asyncio.to_thread(answers.second_way, kept, subject)
    except PlantError as error:
        raise refused(error) from None


class LostIn(Wanted):
    """Who is lost, for a question by hand; live losses are located by themselves."""

    lost: list[str] = Field(min_length=1, max_length=100_000, examples=[["camera:c1", "site:s1"]])
    unknown: list[str] = Field(default_factory=list, max_length=100_000)


@router.post("/locate", summary="Where is the cut?", responses=documented(401, 403, 404, 422))
async def post_locate(body: LostIn, request: Request, asker: _Reader) -> dict[str, Any]:
    """Sections of the plant that explain the losses, each with a confidence and a point."""
    kept = await current(request)
    try:
        return await asyncio.to_thread(answers.locate, kept, body.lost, body.unknown)
    except PlantError as error:
        raise refused(error) from None


@router.post(
    "/otdr",
    summary="An OTDR trace as a point on the map",
    responses=documented(401, 403, 404, 413, 422),
)
async def post_otdr(
    request: Request,
    asker: _Reader,
    end: Key,
    distance_m: Annotated[float | None, Query(ge=0, le=500_000)] = None,
) -> dict[str, Any]:
    """A SOR file as the body, or `distance_m` and an empty one; slack and helix are taken off."""
    content = await request.body()
    kept = await current(request)
    try:
        return await asyncio.to_thread(answers.otdr, kept, end, content, distance_m)
    except SorError as error:
        raise ProblemError(422, "no-sor-file", "The file cannot be read", str(error)) from None
    except PlantError as error:
        raise refused(error) from None


@router.get(
    "/free-way", summary="A free way from node to node", responses=documented(401, 403, 404, 422)
)
async def get_free_way(
    request: Request, asker: _Reader, a: Name, b: Name, wavelength_nm: Wavelength = 1310
) -> dict[str, Any]:
    """Strands that nothing is joined to, and what light would lose on them."""
    kept = await current(request)
    try:
        return answers.free_way(kept, a, b, wavelength_nm)
    except PlantError as error:
        raise refused(error) from None


@router.get(
    "/nodes/{node}/splice-plan",
    summary="A node's splice plan",
    responses=documented(401, 403, 404, 422),
)
async def get_splice_plan(
    node: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]+$")],
    request: Request,
    asker: _Reader,
    format: Literal["json", "pdf"] = "json",
) -> Response:
    """Cables, trays and joints with colours, as built; `pdf` is for the van."""
    kept = await current(request)
    try:
        plan = answers.splice_plan(kept, node)
    except PlantError as error:
        raise refused(error) from None
    if format == "pdf":
        now_us = rooms(request).clock.now_us()
        paper = await asyncio.to_thread(pdf, "splice_plan", plan, at_us=now_us)
        return Response(paper, media_type="application/pdf")
    return Response(json.dumps(plan, ensure_ascii=False), media_type="application/json")


@router.get("/anomalies", summary="What in the plant cannot be", responses=documented(401, 403))
async def get_anomalies(request: Request, asker: _Reader) -> list[dict[str, Any]]:
    """Loops, dangling ends and too many connections, as long as they are there."""
    query = select(FibreAnomaly).where(FibreAnomaly.cleared_us.is_(None)).order_by(FibreAnomaly.at)
    async with rooms(request).database.read() as session:
        rows = (await session.scalars(query.limit(5000))).all()
    return [
        {"kind": row.kind, "at": row.at, "detail": row.detail, "found_at": at(row.found_us)}
        for row in rows
    ]


@router.get("/outages", summary="Cuts that were located", responses=documented(401, 403, 422))
async def get_outages(request: Request, asker: _Reader, open: bool = True) -> list[dict[str, Any]]:
    """The newest first, each with its cause, its confidence and whom it took."""
    query = select(FibreOutage).order_by(FibreOutage.opened_us.desc()).limit(200)
    if open:
        query = query.where(FibreOutage.closed_us.is_(None))
    async with rooms(request).database.read() as session:
        rows = (await session.scalars(query)).all()
    return [
        {
            "id": row.id, "cause": row.cause, "confidence": row.confidence,
            "incident": row.incident_id, "work": row.work_id, "opened_at": at(row.opened_us),
            "closed_at": at(row.closed_us), **row.findings,
        }
        for row in rows
    ]  # fmt: skip


@router.get("/losses", summary="Losses the city reckons with", responses=documented(401, 403))
async def get_losses(request: Request, asker: _Reader) -> list[dict[str, Any]]:
    """Each with its source."""
    kept = await current(request)
    both = {**shipped_losses(), **kept.losses.own}
    return [{"name": name, **each._asdict()} for name, each in both.items()]


class LossIn(Wanted):
    """A figure of the city's own."""

    value: Annotated[float, Field(ge=0, le=60)]
    source: Annotated[str, Field(min_length=1, max_length=300)]


@router.put(
    "/losses/{name}", status_code=204, summary="Change a loss", responses=documented(401, 403, 404, 422)
)
async def put_loss(
    name: Annotated[str, Field(max_length=40)], body: LossIn, request: Request, asker: _Writer
) -> None:
    """With the source of the new figure."""
    city = rooms(request)
    try:
        async with city.database.write() as session:
            await set_loss(
                session, name, body.value, body.source, actor=asker.actor, origin=asker.origin,
                now_us=city.clock.now_us(),
            )  # fmt: skip
    except PlantError as error:
        raise refused(error) from None


@router.get("/summary", summary="How much there is", responses=documented(401, 403))
async def get_summary(request: Request, response: Response, asker: _Reader) -> dict[str, Any]:
    """Counts, and the plant's version, which is its ETag."""
    kept = await current(request)
    set_etag(response, f'"{kept.version}"')
    return asdict(answers.summary(kept))
