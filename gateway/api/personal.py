"""Everything held on a home or a person as a file; erasing it; what consent says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import consent
from gateway.api.common import Language, ObjectId, Wanted
from gateway.api.records import Reason, ReasonIn, act_of
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.personal import service
from gateway.personal.paper import zip_of
from gateway.problems import documented, wrong_field
from registry.models import Contact, Household, Site
from registry.personal.subject import Kind
from registry.rights import EVERYWHERE, Place
from registry.sites import NoSuch

router = api_router(tags=["personal data"])
_Reader = Annotated[Asker, Depends(need("resident.export", by_object=True))]
_Eraser = Annotated[Asker, Depends(need("resident.erase", by_object=True))]
_Signed = Annotated[Asker, Depends(need("me.read"))]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "the file", "content": {"application/json": {}, "application/zip": {}}}
}


class EraseIn(Wanted):
    """Why, and the id once more: an erasure cannot be undone."""

    reason: Reason
    confirm: Annotated[str, Field(max_length=64, description="the id of what is erased")] = ""
    dry_run: bool = Field(default=False, description="only say what would be erased")


class ErasureOut(BaseModel):
    """What was taken out, or would be."""

    dry_run: bool
    homes: int
    people: int
    channels: int
    requests: int
    incidents: int
    audit_entries: int


class ConsentText(BaseModel):
    """A text people have agreed to; one that was shown never changes."""

    version: str
    current: bool
    mn: str
    en: str


async def _place(session: AsyncSession, kind: Kind, own_id: str) -> Place:
    """Where the home lies, or the home of the person. Raises ``NoSuch``."""
    home_id: str | None = own_id
    if kind == "contact":
        contact = await session.get(Contact, own_id)
        if contact is None:
            raise NoSuch(kind, own_id)
        if contact.household_id is None:
            return Place(unit_code=contact.unit_code) if contact.unit_code else EVERYWHERE
        home_id = contact.household_id
    home = await session.get(Household, home_id)
    if home is None:
        raise NoSuch(kind, own_id)
    site = await session.get(Site, home.site_id)
    return Place(unit_code=home.unit_code or (site.unit_code if site else None))


async def _file(
    kind: Kind, own_id: str, request: Request, asker: Asker, body: ReasonIn, form: str, language: str
) -> Response:
    city = rooms(request)
    async with city.database.write() as session:
        allow(asker, "resident.export", await _place(session, kind, own_id))
        act = act_of(request, asker, body.reason)
        held = await service.file_of(session, city.keyring, act, kind, own_id)
    if form == "json":
        return JSONResponse(held)
    name = f'attachment; filename="{kind}.zip"'
    return Response(
        zip_of(held, language), media_type="application/zip", headers={"Content-Disposition": name}
    )


async def _erase(kind: Kind, own_id: str, request: Request, asker: Asker, body: EraseIn) -> ErasureOut:
    city = rooms(request)
    async with city.database.read() as session:
        allow(asker, "resident.erase", await _place(session, kind, own_id))
    if not body.dry_run and body.confirm != own_id:
        raise wrong_field("body.confirm", "expected the id again: an erasure cannot be undone")
    act = act_of(request, asker, body.reason)
    done = await service.erase(city.database, city.keyring, act, kind, own_id, dry_run=body.dry_run)
    return ErasureOut(**{name: getattr(done, name) for name in ErasureOut.model_fields})


@router.post(
    "/households/{household_id}/file", response_class=Response,
    summary="Everything held on a household",
    responses={**_FILE, **documented(401, 403, 404, 422)},
)  # fmt: skip
async def household_file(
    household_id: ObjectId, body: ReasonIn, request: Request, asker: _Reader,
    form: Literal["zip", "json"] = "zip", language: Language = "mn",
) -> Response:  # fmt: skip
    """For the family. Who made it is recorded first."""
    return await _file("household", household_id, request, asker, body, form, language)


@router.post(
    "/contacts/{contact_id}/file", response_class=Response, summary="Everything held on a contact",
    responses={**_FILE, **documented(401, 403, 404, 422)},
)  # fmt: skip
async def contact_file(
    contact_id: ObjectId, body: ReasonIn, request: Request, asker: _Reader,
    form: Literal["zip", "json"] = "zip", language: Language = "mn",
) -> Response:  # fmt: skip
    """For that person. Who made it is recorded first."""
    return await _file("contact", contact_id, request, asker, body, form, language)


@router.post(
    "/households/{household_id}/erase", response_model=ErasureOut, summary="Erase a household",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def erase_household(
    household_id: ObjectId, body: EraseIn, request: Request, asker: _Eraser
) -> ErasureOut:
    """Its people, addresses, place, requests; not while an incident is open or detectors hang there."""
    return await _erase("household", household_id, request, asker, body)


@router.post(
    "/contacts/{contact_id}/erase", response_model=ErasureOut, summary="Erase a contact",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def erase_contact(
    contact_id: ObjectId, body: EraseIn, request: Request, asker: _Eraser
) -> ErasureOut:
    """Name, addresses, requests; not while an incident of their home is open."""
    return await _erase("contact", contact_id, request, asker, body)


@router.get(
    "/consent-texts", response_model=list[ConsentText], summary="What people agree to, by version",
    responses=documented(401, 403),
)  # fmt: skip
async def consent_texts(_asker: _Signed) -> list[ConsentText]:
    """The oldest first."""
    return [
        ConsentText(
            version=version, current=version == consent.current(),
            mn=consent.text_of(version, "mn") or "", en=consent.text_of(version, "en") or "",
        )
        for version in consent.texts()
    ]  # fmt: skip
