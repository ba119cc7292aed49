"""``/cameras``: the cameras as a list and a map that stay in step; every filter is in the address."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from gateway.api.cameras import chosen
from gateway.api.common import Cursor, ObjectId, UnitCode
from gateway.api.records import page
from gateway.api.search import Box, Words, narrowed
from gateway.door import Asker, need, rooms
from gateway.web.forms import typed
from gateway.web.guard import PageRoute
from gateway.web.kept import kept
from gateway.web.officer.lists import address, known_units, organisations, tiles, view_on
from gateway.web.page import page_of, words_of
from registry.cameras.life import STATES, CameraState
from registry.cameras.models import Camera
from registry.rights import may_somewhere
from registry.search.views import forget, keep, views_of

router = APIRouter(prefix="/cameras", tags=["pages"], include_in_schema=False, route_class=PageRoute)
Reader = Annotated[Asker, Depends(need("camera.read", by_object=True))]
_Keeper = Annotated[Asker, Depends(need("view.write", by_object=True))]
#: Rows of a page, and how far they are counted: beyond it "more than" says enough.
ROWS: Final = 50
COUNTED: Final = 1_000
#: A list's extent is reckoned anew after this long; a map opens on it.
_EXTENT_S: Final = 60.0
#: A saved list belongs to this one.
_KIND: Final = "cameras"
_FILTERS: Final = ("q", "state", "unit", "organisation", "bbox")
#: What a row shows; a camera has five times as many columns.
_SHOWN: Final = (
    Camera.id, Camera.number, Camera.name, Camera.place, Camera.state, Camera.unit_code, Camera.lat,
    Camera.lon, Camera.sort_key,
)  # fmt: skip


@router.get("")
async def list_page(
    request: Request,
    asker: Reader,
    q: Words | None = None,
    state: Annotated[CameraState | None, Query()] = None,
    unit: UnitCode | None = None,
    organisation: ObjectId | None = None,
    bbox: Box | None = None,
    cursor: Cursor = None,
) -> Response:
    """The page; asked by htmx, only the list."""
    filters = {name: request.query_params.get(name, "") for name in _FILTERS}
    query = chosen(asker, unit=unit, organisation=organisation, state=state)
    words = words_of(request)
    places = await known_units(request, words)
    async with rooms(request).database.read() as session:
        query = query.where(*await narrowed(session, Camera, q=q, bbox=bbox, polygon=None))
        shown = query.options(load_only(*_SHOWN))
        listed = await page(session, shown, [Camera.sort_key, Camera.id], limit=ROWS, cursor=cursor)
        count = await _counted(session, query)
        whole = "HX-Request" not in request.headers
        around = await _around(session, request, asker, query, filters, bbox) if whole else {}
    return page_of(
        "officer/cameras.html" if whole else "officer/cameras_list.html", request, asker,
        rows=listed.rows, count=count, counted=COUNTED, filters=filters, states=STATES,
        next=address("/cameras", filters, cursor=listed.next) if listed.next else None,
        first=address("/cameras", filters) if cursor else None,
        names=dict(places),
        without={name: address("/cameras", filters, **{name: ""}) for name in _FILTERS},
        map_words={state: words.of("camera state", state) for state in STATES},
        features=address("/map/cameras", {n: v for n, v in filters.items() if n not in ("q", "bbox")}),
        may_write=may_somewhere(asker.actor, "camera.write"), units=places,
        may_export=may_somewhere(asker.actor, "register.export"), **around,
    )  # fmt: skip


async def _counted(session: AsyncSession, query: Select[Any]) -> int:
    some = query.with_only_columns(Camera.id).limit(COUNTED + 1).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


async def _around(
    session: AsyncSession, request: Request, asker: Asker, query: Select[Any],
    filters: dict[str, str], bbox: str | None,
) -> dict[str, Any]:  # fmt: skip
    views = await views_of(session, asker.actor) if may_somewhere(asker.actor, "view.write") else []
    return {
        "organisations": await organisations(session),
        "views": [(row, address("/cameras", row.filters)) for row in views if row.kind == _KIND],
        "view": _view_of_box(bbox) or await _extent(session, request, asker, query, filters),
        **tiles(request),
    }


def _view_of_box(bbox: str | None) -> str:
    if bbox is None:
        return ""
    west, south, east, north = (float(part) for part in bbox.split(","))
    return view_on(west, south, east, north)


async def _extent(
    session: AsyncSession, request: Request, asker: Asker, query: Select[Any], filters: dict[str, str]
) -> str:
    """Where the listed cameras lie; kept for a while, since it is over all of them."""
    columns = (func.min(Camera.lon), func.min(Camera.lat), func.max(Camera.lon), func.max(Camera.lat))

    async def read() -> str:
        found = (await session.execute(query.with_only_columns(*columns))).one()
        corners = [float(edge) for edge in found if edge is not None]
        return view_on(*corners) if len(corners) == len(columns) else ""

    return await kept(request).get(("extent", asker.reach, *filters.values()), _EXTENT_S, read)


@router.post("/views")
async def keep_view(request: Request, asker: _Keeper) -> Response:
    """This list, under a name."""
    city, form = rooms(request), await typed(request)
    filters = {name: form[name][:2000] for name in _FILTERS if form.get(name)}
    if name := form.get("name", "")[:100]:
        async with city.database.write() as session:
            await keep(
                session, asker.actor, name, _KIND, filters, shared=False, now_us=city.clock.now_us()
            )
    return RedirectResponse(address("/cameras", filters), 303)


@router.post("/views/{view_id}/forget")
async def forget_view(view_id: ObjectId, request: Request, asker: _Keeper) -> Response:
    """It is not wanted any more."""
    async with rooms(request).database.write() as session:
        await forget(session, asker.actor, view_id)
    return RedirectResponse("/cameras", 303)
