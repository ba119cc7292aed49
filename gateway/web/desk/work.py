"""``/desk``: the list and the map that stay fresh, and one incident with all that can be done to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sse_starlette import EventSourceResponse

from alerts import explain
from alerts.incidents import IncidentError
from alerts.policy import CAUSES
from alerts.taking import MAX_NOTE
from gateway import desk
from gateway.api.camera_maps import GEOJSON, box_of
from gateway.door import Asker, allow, need
from gateway.web.desk import view
from gateway.web.desk.lines import told
from gateway.web.maps import Box
from gateway.web.page import city_of, page_of, words_of
from registry.rights import may

router = APIRouter(prefix="/desk", tags=["pages"], include_in_schema=False)
Reader = Annotated[Asker, Depends(need("incident.read", by_object=True))]
Taker = Annotated[Asker, Depends(need("incident.acknowledge", by_object=True))]
Closer = Annotated[Asker, Depends(need("incident.resolve", by_object=True))]
_PING_S: Final = 15
_TOPICS: Final = frozenset({"incident", "site"})
Cause = Literal["real_fire", "cooking", "test", "fault", "unknown"]


def chosen(
    alarm_class: Annotated[Literal["", "alarm", "supervisory", "trouble"], Query(alias="class")] = "",
    unit: Annotated[str, Query(max_length=20)] = "",
    whose: Literal["", "mine", "unanswered", "nobodys"] = "",
) -> view.Filter:
    """The filter as the address says it, so that it can be shared."""
    return view.Filter(alarm_class, unit.strip(), whose)


Chosen = Annotated[view.Filter, Depends(chosen)]


@router.get("")
async def home(request: Request, asker: Reader, wanted: Chosen) -> Response:
    """The desk."""
    values = await _listed(request, asker, wanted)
    return page_of(
        "desk/desk.html", request, asker, **values, wanted=wanted, query=request.url.query,
        tiles=city_of(request).settings.tile_url or "",
        tiles_attribution=city_of(request).settings.tile_attribution,
    )  # fmt: skip


@router.get("/list")
async def fragment(request: Request, asker: Reader, wanted: Chosen) -> Response:
    """The list alone, for a page that is open."""
    return page_of("desk/list.html", request, asker, **await _listed(request, asker, wanted))


@router.get("/wall")
async def wall(request: Request, asker: Reader, wanted: Chosen) -> Response:
    """For a screen on a wall: large, without anything to press, fresh by itself."""
    values = await _listed(request, asker, wanted)
    return page_of("desk/wall.html", request, asker, query=request.url.query, **values)


@router.get("/wall/list")
async def wall_fragment(request: Request, asker: Reader, wanted: Chosen) -> Response:
    """The wall's changing part."""
    return page_of("desk/wall_list.html", request, asker, **await _listed(request, asker, wanted))


async def _listed(request: Request, asker: Asker, wanted: view.Filter) -> dict[str, Any]:
    city = city_of(request)
    async with city.database.read() as session:
        cards, total = await view.listed(session, asker.reach, wanted, asker.actor.id)
    return {
        "cards": cards, "total": total, "now_us": city.clock.now_us(),
        "danger": sum(card.incident.alarm_class == "alarm" for card in cards),
    }  # fmt: skip


@router.get("/map")
async def features(
    request: Request, asker: Reader, wanted: Chosen, bbox: Box,
    zoom: Annotated[int, Query(ge=0, le=24)] = 12,
) -> Response:  # fmt: skip
    """Open incidents in the rectangle, as GeoJSON for the map."""
    west, south, east, north = box_of(bbox)
    words = words_of(request)
    async with city_of(request).database.read() as session:
        rows = await view.mapped(session, asker.reach, wanted, asker.actor.id)
    found = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [round(lon, 6), round(lat, 6)]},
            "properties": {
                "title": words.of("hazard", row.hazard),
                "text": words.of("incident", row.state),
                "state": "alarm" if row.alarm_class == "alarm" else "trouble",
                "glyph": "!" if row.alarm_class == "alarm" else "▲",
                "address": f"/desk/incidents/{row.id}",
            },
        }
        for row, lat, lon in rows
        if west <= lon <= east and south <= lat <= north
    ]
    body = {"type": "FeatureCollection", "zoom": zoom, "features": found}
    return Response(msgspec.json.encode(body), media_type=GEOJSON)


@router.get("/changes")
async def changes(request: Request, _asker: Reader) -> Response:
    """Says *that* something changed; after a break from where it broke, or a ``gap``."""
    hub, last = city_of(request).hub, request.headers.get("Last-Event-ID")

    async def ticks() -> AsyncIterator[dict[str, str]]:
        with hub.subscribe(_TOPICS, last_event_id=last) as watcher:
            async for event in watcher.events():
                kind = "gap" if event.topic == "gap" else "changed"
                yield {"event": kind, "data": event.topic, "id": event.id}

    return EventSourceResponse(ticks(), ping=_PING_S)


@router.get("/incidents/{incident_id}")
async def incident(request: Request, incident_id: str, asker: Reader, problem: str = "") -> Response:
    """One incident: where, who has it, who was told, what hangs on it, what can be done."""
    city = city_of(request)
    words = words_of(request)
    async with city.database.read() as session:
        row = await desk.load(session, incident_id)
        allow(asker, "incident.read", desk.place_of(row))
        (card,) = await view.cards(session, [row])
        lines = await explain.timeline(session, row.id)
        names = await view.logins(session, lines)
        people = await view.takers(session)
        cut = await view.cut_of(session, row)
    now_us = city.clock.now_us()
    return page_of(
        "desk/incident.html", request, asker, card=card, it=row, people=people, cut=cut,
        problem=problem[:20], max_note=MAX_NOTE, causes=CAUSES, now_us=now_us,
        lines=[(words.moment(line.at_us, now_us), *told(words, line, names)) for line in lines],
        may_act=may(asker.actor, "incident.acknowledge", desk.place_of(row)),
        etag=f"{row.version}-{row.state}",
    )  # fmt: skip


@router.post("/incidents/{incident_id}/acknowledge")
async def acknowledge(request: Request, incident_id: str, asker: Taker) -> Response:
    """The desk has it."""
    await desk.acknowledge(city_of(request), asker, incident_id)
    return _to(incident_id)


@router.post("/incidents/{incident_id}/assign")
async def assign(
    request: Request, incident_id: str, asker: Taker, person: Annotated[str, Form(max_length=64)] = ""
) -> Response:
    """Somebody takes it; nobody, if none is named."""
    try:
        await desk.assign(city_of(request), asker, incident_id, person or None)
    except IncidentError:
        return _to(incident_id, "over")
    return _to(incident_id)


@router.post("/incidents/{incident_id}/note")
async def note(
    request: Request, incident_id: str, asker: Taker,
    text: Annotated[str, Form(max_length=MAX_NOTE)] = "",
) -> Response:  # fmt: skip
    """A remark in the story."""
    if not text.strip():
        return _to(incident_id, "note")
    await desk.note(city_of(request), asker, incident_id, text)
    return _to(incident_id)


@router.post("/incidents/{incident_id}/silence")
async def silence(request: Request, incident_id: str, asker: Taker) -> Response:
    """Its sirens are quiet for a while, unless something new begins."""
    try:
        await desk.silence(city_of(request), asker, incident_id, desk.MAX_SILENCE_S)
    except desk.SiteOutOfReach:
        return _to(incident_id, "silence")
    return _to(incident_id)


@router.post("/incidents/{incident_id}/resolve")
async def resolve(
    request: Request, incident_id: str, asker: Closer, seen: Annotated[str, Form(max_length=60)],
    cause: Annotated[Cause | None, Form()] = None, sure: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """It is over, for this cause; confirmed, and only as it was when the page was read."""
    if cause is None or not sure:
        return _to(incident_id, "cause")

    class Changed(Exception):
        pass

    def check(row: Any) -> None:
        if f"{row.version}-{row.state}" != seen:
            raise Changed

    try:
        await desk.resolve(city_of(request), asker, incident_id, cause, check)
    except Changed:
        return _to(incident_id, "changed")
    except IncidentError:
        return _to(incident_id, "over")
    return RedirectResponse("/desk", 303)


def _to(incident_id: str, problem: str = "") -> Response:
    query = f"?problem={problem}" if problem else ""
    return RedirectResponse(f"/desk/incidents/{incident_id}{query}", 303)
