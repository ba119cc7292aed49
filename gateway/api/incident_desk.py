"""What the desk adds to an incident: who takes it, and notes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import Field

from alerts.taking import MAX_NOTE
from gateway import desk
from gateway.api.common import ObjectId, Wanted, set_etag
from gateway.api.incidents import IncidentOut, etag_of, incident_out
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import documented

router = api_router("/incidents", tags=["incidents"])
_Taker = Annotated[Asker, Depends(need("incident.acknowledge", by_object=True))]


class AssignIn(Wanted):
    """To whom; null: to nobody again."""

    person_id: ObjectId | None


class NoteIn(Wanted):
    """A remark for whoever reads the story; no names of residents."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_NOTE)]


@router.post(
    "/{incident_id}/assign", response_model=IncidentOut, summary="Give it to somebody",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_assign(
    incident_id: ObjectId, body: AssignIn, request: Request, response: Response, asker: _Taker
) -> IncidentOut:
    """Whoever has it now appears on the desk's list."""
    incident = await desk.assign(rooms(request), asker, incident_id, body.person_id)
    set_etag(response, etag_of(incident))
    return incident_out(incident)


@router.post(
    "/{incident_id}/note", response_model=IncidentOut, summary="Write a note",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_note(
    incident_id: ObjectId, body: NoteIn, request: Request, response: Response, asker: _Taker
) -> IncidentOut:
    """A line of its story."""
    incident = await desk.note(rooms(request), asker, incident_id, body.text)
    set_etag(response, etag_of(incident))
    return incident_out(incident)
