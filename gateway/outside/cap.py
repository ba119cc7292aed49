"""``/cap``: the messages for dispatch, as an Atom feed and one by one.

A message holds the opened address of a home. Reading one is recorded; the feed names none.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from alerts.cap.feed import atom_feed, cap_message, newest
from alerts.cap.write import write_cap
from alerts.models import CapMessage, Incident
from alerts.texts import load_catalogues
from gateway.api.common import within
from gateway.door import Asker, allow, need, rooms
from registry import audit
from registry.rights import Place
from registry.sites import NoSuch

router = APIRouter(tags=["cap"])
Reader = Annotated[Asker, Depends(need("cap.read", by_object=True))]
ATOM_TYPE = "application/atom+xml"
CAP_TYPE = "application/cap+xml"
_CATALOGUES = load_catalogues()


@router.get("/cap", summary="Feed of CAP 1.2 messages", response_class=Response)
async def feed(request: Request, asker: Reader) -> Response:
    """The newest ones, without any address; each entry links to its message."""
    city = rooms(request)
    async with city.database.read() as session:
        entries = await newest(session, *within(asker.reach, Incident.unit_code))
    public_url = city.doors.public_url or str(request.base_url)
    body = atom_feed(entries, public_url=public_url, now_us=city.clock.now_us())
    return Response(body, media_type=ATOM_TYPE, headers={"Cache-Control": "no-store"})


@router.get("/cap/{message_id}", summary="One CAP 1.2 message", response_class=Response)
async def message(
    message_id: Annotated[str, Path(max_length=64)], request: Request, asker: Reader
) -> Response:
    """The XML, valid by the OASIS schema; who read it is recorded first."""
    city = rooms(request)
    async with city.database.write() as session:
        row = await session.get(CapMessage, message_id)
        incident = await session.get(Incident, row.incident_id) if row is not None else None
        if row is None or incident is None:
            raise NoSuch("CAP message", message_id)
        allow(asker, "cap.read", Place(unit_code=incident.unit_code))
        alert = await cap_message(session, city.keyring, _CATALOGUES, message_id, city.doors.cap_sender)
        assert alert is not None  # its row is there
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="cap.open",
            object_kind="incident", object_id=incident.id, now_us=city.clock.now_us(),
            after={"number": row.number},
        )  # fmt: skip
    return Response(write_cap(alert), media_type=CAP_TYPE, headers={"Cache-Control": "no-store"})
