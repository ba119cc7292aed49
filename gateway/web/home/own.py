"""``/home/file``: everything the city holds on this home, for the family itself."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from gateway.personal import service
from gateway.personal.paper import zip_of
from gateway.web.home.frame import Family, act_at_home, household_of, session_of
from gateway.web.page import city_of
from registry.identity import Throttled
from registry.requests import opendoor

router = APIRouter(prefix="/home", tags=["pages"], include_in_schema=False)
#: A file reads the whole past of a home; nobody needs it more often.
_FILES = opendoor.Allowance("home file", 5, 500)


@router.post("/file")
async def own_file(request: Request, asker: Family) -> Response:
    """A ZIP to keep. That it was made is in the audit."""
    city, act = city_of(request), act_at_home(request, asker)
    home_id = session_of(request).household_id
    try:
        async with city.database.write() as session:
            await opendoor.count(session, city.keyring, _FILES, home_id, act.now_us)
    except Throttled:
        return RedirectResponse("/home/contacts?problem=often", 303)
    async with city.database.write() as session:
        household = await household_of(session, request, session_of(request))
        held = await service.file_of(session, city.keyring, act, "household", home_id)
    return Response(
        zip_of(held, household.language),
        media_type="application/zip",
        headers={
            "Content-Disposition": 'attachment; filename="utaa.zip"', "Cache-Control": "no-store",
        },
    )  # fmt: skip
