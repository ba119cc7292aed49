"""``/a/<token>``: the page behind the link in a message. It works on any phone, without signing in.

Looking at it changes nothing, because a preview looks too; only the button's POST answers. What it
shows is no more than the message said.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from alerts.acknowledge import TokenError, acknowledge_by_token, verify
from alerts.incidents import IncidentError
from alerts.models import Incident
from gateway.door import Asker, need
from gateway.web.page import city_of, page_of, words_of
from registry.models import Household, Site

router = APIRouter(tags=["pages"], include_in_schema=False)
Anybody = Annotated[Asker, Depends(need("page.read"))]

_HAZARDS = {
    "fire": "Fire",
    "co": "Carbon monoxide",
    "exposure": "CO exposure",
    "site": "Site",
    "test": "Test",
    "drill": "Test",
}
_GONE = 410


@router.get("/a/{token}")
async def look(request: Request, token: str, asker: Anybody) -> Response:
    """What the message was about, and the button."""
    city = city_of(request)
    try:
        claim = verify(city.keyring, token, city.clock.now_us())
    except TokenError as error:
        return _refused(request, asker, error)
    async with city.database.read() as session:
        incident = await session.get(Incident, claim.incident_id)
        if incident is None:
            return _refused(request, asker, TokenError("malformed"))
        household = await session.get(Household, incident.household_id or "")
        site = await session.get(Site, incident.site_id)
    words = words_of(request)
    values: dict[str, Any] = {
        "hazard": words(_HAZARDS.get(incident.hazard, "Trouble")),
        "where": household.label if household else (site.title if site else incident.site_id),
        "raised_us": incident.raised_us,
        "now_us": city.clock.now_us(),
        "acknowledged": incident.acknowledged_us is not None or incident.state == "resolved",
        "over": incident.state in ("all_clear", "resolved"),
        "urgent": incident.alarm_class == "alarm",
        "problem": None,
    }
    return page_of("acknowledge.html", request, asker, plain=True, **values)


@router.post("/a/{token}")
async def answer(request: Request, token: str, asker: Anybody) -> Response:
    """Somebody has it."""
    city = city_of(request)
    try:
        async with city.database.write() as session:
            incident_id, _first = await acknowledge_by_token(
                session, city.keyring, token, city.clock.now_us(), policy=city.policy
            )
    except TokenError as error:
        return _refused(request, asker, error)
    except IncidentError:
        return RedirectResponse(request.url.path, 303)  # it is over; the page says so
    city.hub.publish("incident", {"incident": incident_id})
    city.wake_alerts()
    return RedirectResponse(request.url.path, 303)


def _refused(request: Request, asker: Asker, error: TokenError) -> Response:
    words = words_of(request)
    text = (
        words("It is too old. If there is danger, call 101.")
        if error.reason == "expired"
        else words("It is not complete. Open the message again and press its link.")
    )
    return page_of("acknowledge.html", request, asker, plain=True, status=_GONE, problem=text)
