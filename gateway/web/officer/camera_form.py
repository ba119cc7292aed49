"""``/cameras/new`` and ``/cameras/<id>/edit``: a form that keeps what was typed.

A mistake is shown at its field. Whoever has a number already is named with a link. What hangs at the
same place and looks the same way, or is called alike, is shown before it is saved; saying that it is
another camera saves it. Where somebody was faster, both versions are shown beside what was typed.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.cameras import CameraIn, Funding, allow_site
from gateway.api.common import ObjectId
from gateway.api.records import act_of, matched, one
from gateway.door import Asker, allow, need, rooms
from gateway.web.forms import checked, filled, typed
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import organisations, units
from gateway.web.page import page_of, words_of
from gateway.web.words import Words
from registry.cameras.models import Camera, CameraModel
from registry.cameras.service import change_camera, create_camera, normal_fields, place_of
from registry.cameras.twins import find_held, find_near
from registry.duplicates.likeness import NAME_ALIKE, ratio
from registry.editing import ChangedMeanwhile, plain, values_of
from registry.models import Site
from registry.rights import Place
from registry.search.find import matching
from registry.sites import Conflict
from registry.specifications.models import Specification

router = APIRouter(prefix="/cameras", tags=["pages"], include_in_schema=False, route_class=PageRoute)
_Writer = Annotated[Asker, Depends(need("camera.write", by_object=True))]
ZONES: Final = (
    "street", "crossing", "parking", "entrance", "yard", "school", "building", "other",
)  # fmt: skip
CODECS: Final = ("h264", "hevc", "mjpeg", "mpeg4", "av1")
MOUNTS: Final = ("pole", "wall", "ceiling", "roof", "gantry", "other")
#: The form in the order of the work: what it is, where it hangs, how it looks, the law, the network.
GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("what", ("number", "name", "model_id", "maker", "serial")),
    ("where", ("place", "unit_code", "organisation_id", "lat", "lon", "zone", "indoor")),
    ("view", ("mount", "height_m", "azimuth_deg", "tilt_deg", "hfov_deg")),
    ("law", ("purpose", "legal_basis", "notice_sign", "retention_h", "retention_waiver",
             "specification_id", "funding_source")),
    ("net", ("network", "ip", "mac", "recorder", "switch_port", "stream_address")),
    ("watch", ("site_id", "stream_codec", "stream_width", "stream_height", "stream_rate_fps",
               "probe_interval_s")),
    ("more", ("note",)),
)  # fmt: skip
NAMES: Final = tuple(name for _, names in GROUPS for name in names)
_TEXTS: Final = (
    "number", "name", "maker", "network", "place", "purpose", "legal_basis", "recorder", "switch_port",
    "note",
)  # fmt: skip
_NUMBERS: Final = (
    "lat", "lon", "height_m", "azimuth_deg", "tilt_deg", "hfov_deg", "stream_rate_fps",
)  # fmt: skip
_YES_NO: Final = ("yes", "no")
#: Makes and specifications of a choice, and cameras alike that are named.
_MAX_CHOICES: Final = 1_000
_MAX_ALIKE: Final = 5
_LOOKED_AT: Final = 50


@router.get("/new")
async def new_form(request: Request, asker: _Writer) -> Response:
    """An empty form."""
    values = {name: request.query_params.get(name, "") for name in ("lat", "lon", "unit_code")}
    return await _form(request, asker, None, values)


@router.get("/{camera_id}/edit")
async def edit_form(camera_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """The form with what is recorded."""
    async with rooms(request).database.read() as session:
        camera = await one(session, Camera, camera_id)
    allow(asker, "camera.write", place_of(camera))
    return await _form(request, asker, camera, shown(camera))


def shown(camera: Camera) -> dict[str, str]:
    """A camera's fields as the form has them."""
    values: dict[str, str] = {}
    for name in NAMES:
        value = getattr(camera, name)
        if name in ("indoor", "notice_sign"):
            values[name] = "" if value is None else _YES_NO[0 if value else 1]
        else:
            values[name] = "" if value is None else str(value)
    return values


def fields_of(values: dict[str, str]) -> dict[str, Any]:
    """What was typed, as the API's model takes it."""
    fields = filled(values, NAMES, _TEXTS)
    for name in _NUMBERS:
        if isinstance(fields[name], str):
            fields[name] = fields[name].replace(",", ".")
    fields["indoor"] = values.get("indoor") == "yes"
    fields["notice_sign"] = {"yes": True, "no": False}.get(values.get("notice_sign", ""))
    return fields


@router.post("/new")
async def create(request: Request, asker: _Writer) -> Response:
    """Enter it, unless something is wrong or it is perhaps known already."""
    values, city = await typed(request), rooms(request)
    wanted, problems, alike = await _judged(request, values, None)
    if wanted is None or alike:
        return await _form(request, asker, None, values, problems, alike)
    allow(asker, "camera.write", Place(wanted.unit_code, wanted.organisation_id))
    try:
        async with city.database.write() as session:
            await allow_site(session, asker, wanted.site_id)
            act = act_of(request, asker)
            camera = await create_camera(session, act, city.keyring, wanted.model_dump())
    except Conflict as error:
        return await _form(request, asker, None, values, _refused(words_of(request), error))
    return RedirectResponse(f"/cameras/{camera.id}", 303)


@router.post("/{camera_id}/edit")
async def change(camera_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """Change what was changed."""
    values, city = await typed(request), rooms(request)
    async with city.database.read() as session:
        camera = await one(session, Camera, camera_id)
    allow(asker, "camera.write", place_of(camera))
    wanted, problems, alike = await _judged(request, values, camera)
    if wanted is None or alike:
        return await _form(request, asker, camera, values, problems, alike)
    fields = {name: getattr(wanted, name) for name in NAMES}
    allow(asker, "camera.write", Place(wanted.unit_code, wanted.organisation_id))
    try:
        async with city.database.write() as session:
            camera = await one(session, Camera, camera_id, lock=True)
            allow(asker, "camera.write", place_of(camera))
            if wanted.site_id != camera.site_id:
                await allow_site(session, asker, wanted.site_id)
            await matched(session, camera, f'"{values.get("version", "")}"', _masked(fields))
            await change_camera(session, act_of(request, asker), city.keyring, camera, fields)
    except ChangedMeanwhile as error:
        async with city.database.read() as session:
            camera = await one(session, Camera, camera_id)
        return await _form(request, asker, camera, values, {}, conflict=_versions(error, fields))
    except Conflict as error:
        return await _form(request, asker, camera, values, _refused(words_of(request), error))
    return RedirectResponse(f"/cameras/{camera_id}", 303)


def _masked(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not name.startswith("stream_")}


def _versions(error: ChangedMeanwhile, fields: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
    """(field, as it was read, as it is now, as typed) of what differs."""
    now, seen, mine = values_of(error.record), error.seen or {}, plain(_masked(fields))
    return [
        (name, seen.get(name), now.get(name), mine.get(name))
        for name in NAMES
        if name in mine and (seen.get(name) != now.get(name) or mine[name] != now.get(name))
    ]


def _refused(words: Words, error: Conflict) -> dict[str, str]:
    return {error.field: words("This is taken or does not fit what is recorded.")}


async def _judged(
    request: Request, values: dict[str, str], camera: Camera | None
) -> tuple[CameraIn | None, dict[str, str], list[dict[str, Any]]]:
    """The camera as typed, the problems of its fields, and cameras that it perhaps is."""
    city, words = rooms(request), words_of(request)
    wanted, problems = checked(CameraIn, fields_of(values), words)
    if wanted is None:
        return None, problems, []
    own = camera.id if camera is not None else None
    try:
        fields = normal_fields(city.keyring, wanted.model_dump())
    except Conflict as error:
        return None, {error.field: words("This does not fit here.")}, []
    async with city.database.read() as session:
        held = await find_held(session, fields, own)
        alike = [] if held or values.get("sure") else await _alike(session, fields, own, camera)
    for row in held:
        problems[row.field] = words("Camera {number} has this already.", number=row.holder)
    return (None if problems else wanted), problems, alike


async def _alike(
    session: AsyncSession, fields: dict[str, Any], own: str | None, before: Camera | None
) -> list[dict[str, Any]]:
    """Near and looking the same way, or numbered alike. An edit asks only about what it changed."""
    found: list[dict[str, Any]] = []
    moved = ("lat", "lon", "azimuth_deg")
    if before is None or any(getattr(before, name) != fields.get(name) for name in moved):
        for near in await find_near(session, fields, own):
            found.append({"why": "near", "id": near.id, "number": near.number, "name": near.name,
                          "distance_m": near.distance_m})  # fmt: skip
    number = str(fields["number"])
    if before is None or before.number != number:
        query = select(Camera.id, Camera.number, Camera.name).where(Camera.gone_us.is_(None))
        query = query.where(*await matching(session, Camera, number)).limit(_LOOKED_AT)
        for row in await session.execute(query):
            known = row.id == own or any(row.id == one["id"] for one in found)
            if not known and ratio(row.number, number) >= NAME_ALIKE:
                found.append({"why": "alike", "id": row.id, "number": row.number, "name": row.name})
    return found[:_MAX_ALIKE]


async def _form(
    request: Request, asker: Asker, camera: Camera | None, values: dict[str, str],
    problems: dict[str, str] | None = None, alike: list[dict[str, Any]] | None = None,
    conflict: list[tuple[str, Any, Any, Any]] | None = None,
) -> Response:  # fmt: skip
    words = words_of(request)
    async with rooms(request).database.read() as session:
        choices = await _choices(session, words)
    wrong = bool(problems or alike or conflict)
    return page_of(
        "officer/camera_form.html", request, asker, status=(409 if conflict else 422) if wrong else 200,
        camera=camera, values=values, problems=problems or {}, alike=alike or [],
        conflict=conflict or [], groups=GROUPS, choices=choices,
        version=camera.version if camera is not None and (conflict or "version" not in values)
        else values.get("version"),
    )  # fmt: skip


async def _choices(session: AsyncSession, words: Words) -> dict[str, list[tuple[str, str]]]:
    makes = select(CameraModel.id, CameraModel.maker, CameraModel.name)
    makes = makes.where(CameraModel.gone_us.is_(None)).order_by(CameraModel.maker, CameraModel.name)
    sites = select(Site.id, Site.title).where(Site.gone_us.is_(None)).order_by(Site.sort_key, Site.id)
    papers = select(Specification.id, Specification.number, Specification.title)
    papers = papers.order_by(Specification.number.desc()).limit(_MAX_CHOICES)
    yes_no = [(one, words.of("answer", one)) for one in _YES_NO]
    return {
        "model_id": [
            (row.id, f"{row.maker} {row.name}")
            for row in await session.execute(makes.limit(_MAX_CHOICES))
        ],
        "specification_id": [
            (row.id, f"{row.number} {row.title}") for row in await session.execute(papers)
        ],
        "unit_code": await units(session, words),
        "organisation_id": await organisations(session),
        "site_id": [
            (row.id, f"{row.title} ({row.id})" if row.title else row.id)
            for row in await session.execute(sites.limit(_MAX_CHOICES))
        ],
        "stream_codec": [(one, one.upper()) for one in CODECS],
        "zone": [(one, words.of("zone", one)) for one in ZONES],
        "mount": [(one, words.of("mount", one)) for one in MOUNTS],
        "funding_source": [(one, words.of("funding", one)) for one in get_args(Funding)],
        "notice_sign": yes_no,
        "indoor": yes_no,
    }
