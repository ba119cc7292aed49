"""Who is on duty for a unit, or at the city's desk. Lists are masked."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field, model_validator

from gateway.api.common import Language, ObjectId, Text, UnitCode, Wanted, within
from gateway.api.households import MAX_CHANNELS, ChannelIn, ChannelOut, channel_out
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry import audit
from registry.households import ChannelEntry, ContactEntry, add_on_duty, channels_of
from registry.models import Contact
from registry.on_duty import check_role, find_on_duty, on_duty, take_off_duty
from registry.rights import Place

router = api_router("/duty", tags=["duty"])
Reader = Annotated[Asker, Depends(need("household.read", by_object=True))]
Writer = Annotated[Asker, Depends(need("household.write", by_object=True))]


class DutyIn(Wanted):
    """Somebody to be told for a place, or for the whole city."""

    role: Literal["duty", "desk"]
    unit_code: UnitCode | None = None
    name: Annotated[str, Field(min_length=1, max_length=200, repr=False)]
    language: Language = "mn"
    channels: Annotated[list[ChannelIn], Field(min_length=1, max_length=MAX_CHANNELS)]

    @model_validator(mode="after")
    def _somewhere(self) -> DutyIn:
        check_role(self.role, self.unit_code)
        return self


class DutyOut(BaseModel):
    """Somebody on duty, without a name."""

    id: str
    role: str
    unit_code: str | None
    language: str
    channels: list[ChannelOut]


@router.get(
    "", response_model=list[DutyOut], summary="Who is on duty", responses=documented(401, 403, 422)
)
async def list_on_duty(request: Request, asker: Reader, unit: UnitCode | None = None) -> list[DutyOut]:
    """By unit; `unit`: of this unit and those in it."""
    city = rooms(request)
    conditions = within(asker.reach, Contact.unit_code)
    if unit is not None:
        conditions.append(Contact.unit_code.startswith(unit, autoescape=True))
    async with city.database.read() as session:
        found = await on_duty(session, *conditions)
    return [
        DutyOut(
            id=contact.id, role=contact.role, unit_code=contact.unit_code,
            language=contact.language,
            channels=[channel_out(row, city.keyring) for row in channels],
        )
        for contact, channels in found
    ]  # fmt: skip


@router.post(
    "", status_code=201, response_model=DutyOut, summary="Enter somebody on duty",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def post_on_duty(body: DutyIn, request: Request, asker: Writer) -> DutyOut:
    """Told of what nobody at home has answered: for a unit and all in it, or at the desk."""
    city = rooms(request)
    allow(asker, "household.write", Place(unit_code=body.unit_code))
    ways = tuple(ChannelEntry(way.channel, way.address) for way in body.channels)
    async with city.database.write() as session:
        entry = ContactEntry(body.name, body.language, ways)
        contact = await add_on_duty(session, city.keyring, body.role, body.unit_code, entry)
        channels = (await channels_of(session, [contact.id])).get(contact.id, [])
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="duty.create",
            object_kind="contact", object_id=contact.id, now_us=city.clock.now_us(),
            after={"role": body.role, "unit_code": body.unit_code, "channels": len(channels)},
        )  # fmt: skip
    return DutyOut(
        id=contact.id, role=contact.role, unit_code=contact.unit_code, language=contact.language,
        channels=[channel_out(row, city.keyring) for row in channels],
    )  # fmt: skip


@router.delete(
    "/{contact_id}", status_code=204, summary="Take somebody off duty",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def delete_on_duty(
    contact_id: ObjectId, request: Request, asker: Writer, reason: Text = ""
) -> Response:
    """Nothing more goes there; what was sent stays in the stories. `reason` is recorded."""
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        contact = await find_on_duty(session, contact_id)
        allow(asker, "household.write", Place(unit_code=contact.unit_code))
        await take_off_duty(session, contact, now_us)
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="duty.remove",
            object_kind="contact", object_id=contact_id, now_us=now_us,
            before={"role": contact.role, "unit_code": contact.unit_code}, reason=reason,
        )  # fmt: skip
    return Response(status_code=204)
