"""``/cameras/<id>``: one camera with its life, health, what it sees, its fibre and its past."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from shapely.geometry import mapping
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import ObjectId
from gateway.api.fibre import compiled
from gateway.api.files import file_response
from gateway.api.records import act_of, matched, one
from gateway.cameras import reading
from gateway.cameras.models import CameraEvidence, CameraHealth
from gateway.door import Asker, allow, need, rooms
from gateway.web.forms import typed
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import logins, tiles, units
from gateway.web.page import page_of, words_of
from registry import history
from registry.cameras.life import ASKED, STATES, STEPS, CameraStep, steps_of, take_step
from registry.cameras.models import Camera, CameraModel
from registry.cameras.service import place_of, view_of
from registry.cameras.sight import distances, footprint
from registry.evidence import Asked, Incomplete
from registry.fibre import answers
from registry.fibre.services import Compiled
from registry.fibre.values import PlantError
from registry.labels.papers import DEFAULT_PAPER
from registry.labels.service import ensure_labels
from registry.labels.sheet import sheet, sheet_data
from registry.models import Organisation
from registry.rights import may, may_somewhere
from registry.specifications.models import Specification
from registry.steps import StepRefused

router = APIRouter(prefix="/cameras", tags=["pages"], include_in_schema=False, route_class=PageRoute)
_Reader = Annotated[Asker, Depends(need("camera.read", by_object=True))]
_Labeller = Annotated[Asker, Depends(need("label.print", by_object=True))]
#: Entries of the past and changes of health on the page; the rest is in the audit.
_SHOWN: Final = 20
#: Ports of a camera's equipment that are tried for its fibre.
_PORTS: Final = 8
_WAVELENGTH_NM: Final = 1310
_LEVELS: Final = ("monitor", "detect", "observe", "recognise", "identify")


@router.get("/{camera_id}")
async def record_page(camera_id: ObjectId, request: Request, asker: _Reader) -> Response:
    """The record."""
    return await show(request, asker, camera_id)


async def show(
    request: Request, asker: Asker, camera_id: str, *, status: int = 200, step: str = "",
    problems: dict[str, str] | None = None, values: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    """The page; with the problems of a step that was refused, and what was typed."""
    words = words_of(request)
    async with rooms(request).database.read() as session:
        camera = await one(session, Camera, camera_id)
        place = place_of(camera)
        allow(asker, "camera.read", place)
        model = await session.get(CameraModel, camera.model_id or "")
        steps = await steps_of(session, "camera", camera_id)
        past = await history.entries_of(session, "camera", camera_id, limit=_SHOWN)
        health, evidence = await _health(session, asker, camera)
        named: dict[str, Any] = {
            "organisation": await session.get(Organisation, camera.organisation_id or ""),
            "specification": await session.get(Specification, camera.specification_id or ""),
            "unit": dict(await units(session, words)).get(camera.unit_code or "", camera.unit_code),
        }
        people = {each.actor for each in steps} | {each.actor for each in past}
        names = await logins(session, people)
        kept = await compiled(request, session) if may_somewhere(asker.actor, "fibre.read") else None
    who = may(asker.actor, "audit.read")
    return page_of(
        "officer/camera.html", request, asker, status=status, camera=camera, model=model, **named,
        steps=steps, states=STATES, past=past, health=health, evidence=evidence, names=names, who=who,
        now_us=rooms(request).clock.now_us(), today=act_of(request, asker).today.isoformat(),
        asked=_open_steps(asker, camera), wrong_step=step, problems=problems or {}, values=values or {},
        may_write=may(asker.actor, "camera.write", place),
        may_label=may(asker.actor, "label.print", place),
        may_look=may(asker.actor, "camera.evidence.read", place),
        **_fibre(kept, camera),
        **_sight(camera, model), **tiles(request),
    )  # fmt: skip


def _open_steps(asker: Asker, camera: Camera) -> dict[str, Asked]:
    """The steps that lead on from here and are this visitor's to take."""
    return {
        name: ASKED[name]
        for name, step in STEPS.items()
        if camera.gone_us is None
        and camera.state in step.origins
        and may(asker.actor, step.right, place_of(camera))
    }


async def _health(
    session: AsyncSession, asker: Asker, camera: Camera
) -> tuple[CameraHealth | None, list[CameraEvidence]]:
    if not may(asker.actor, "camera.health.read", place_of(camera)):
        return None, []
    health = await session.get(CameraHealth, camera.id)
    found = await reading.evidence_of(session, camera.id) if health is not None else []
    return health, found[:_SHOWN]


def _sight(camera: Camera, model: CameraModel | None) -> dict[str, Any]:
    hfov = camera.hfov_deg or (model.hfov_max_deg if model else None)
    reach = None
    if model is not None and model.sensor_width_px is not None and hfov is not None:
        reach = distances(model.sensor_width_px, hfov)
    view = view_of(camera, model)
    ground = footprint(view, "detect") if view is not None else None
    return {
        "reach": [(level, reach[level]) for level in _LEVELS if level in reach] if reach else [],
        "footprint": json.dumps(mapping(ground)) if ground is not None else "",
        "hfov": hfov,
    }


def _fibre(kept: Compiled | None, camera: Camera) -> dict[str, Any]:
    """Where its fibre begins and its light's way; None: it has none, or it is not theirs to see."""
    end = end_of(kept, camera) if kept is not None else None
    trace = answers.trace(kept, end, None, _WAVELENGTH_NM, None) if kept and end else None
    return {"end": end, "trace": trace}


def end_of(kept: Compiled, camera: Camera) -> str | None:
    """The key of the port at which the camera's fibre begins; None: it hangs on none."""
    for endpoint in kept.plant.endpoints:
        if endpoint.kind == "camera" and endpoint.ref in (camera.id, camera.number):
            return _lit(kept, endpoint.equipment)
    return None


def _lit(kept: Compiled, equipment: str) -> str | None:
    for port in range(1, _PORTS + 1):
        for side in ("back", "front"):
            key = f"{equipment}/{port}/{side}"
            try:
                if len(answers.trace(kept, key, None, _WAVELENGTH_NM, None)["hops"]) > 1:
                    return key
            except PlantError:
                continue  # equipment without such a port, or without such a side
    return None


@router.post("/{camera_id}/steps/{step}")
async def take(camera_id: ObjectId, step: CameraStep, request: Request, asker: _Reader) -> Response:
    """A step of its life, with its proofs."""
    form, words = await typed(request), words_of(request)
    given: dict[str, Any] = {
        name: (form.get(name) == "yes") if proof.kind == "yes" else form.get(name, "")
        for name, proof in ASKED[step].proofs.items()
    }
    problems: dict[str, str] = {}
    try:
        async with rooms(request).database.write() as session:
            camera = await one(session, Camera, camera_id, lock=True)
            allow(asker, STEPS[step].right, place_of(camera))
            await matched(session, camera, f'"{form.get("version", "")}"', {"step": step})
            act = act_of(request, asker, form.get("reason") or None)
            if step == "retire" and act.reason is None:
                problems["reason"] = words("This is needed.")
            else:
                await take_step(session, act, camera, step, given)
    except Incomplete as error:
        for name in error.missing:
            problems[name.removeprefix("evidence.")] = words("This is needed.")
    except StepRefused as error:
        problems[""] = words.of("refusal", error.reason.replace("_", "-"))
    if problems:
        return await show(
            request, asker, camera_id, status=422, step=step, problems=problems, values=form
        )
    return RedirectResponse(f"/cameras/{camera_id}", 303)


@router.post("/{camera_id}/label")
async def label(camera_id: ObjectId, request: Request, asker: _Labeller) -> Response:
    """Its label as a sheet to print."""
    city, act = rooms(request), act_of(request, asker)
    async with city.database.write() as session:
        camera = await one(session, Camera, camera_id)
        allow(asker, "label.print", place_of(camera))
        labels = await ensure_labels(session, act, "camera", [camera_id])
    base_url = city.doors.public_url or str(request.base_url)
    data = sheet_data(labels, paper=DEFAULT_PAPER, base_url=base_url, owner="")
    content = await asyncio.to_thread(sheet, data, at_us=act.now_us)
    return file_response(content, "application/pdf", f"label-{camera.number}.pdf", inline=True)
