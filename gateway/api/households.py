"""Households and their contacts. Lists and records are masked; one route opens, and is recorded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Language,
    Latitude,
    Limit,
    Longitude,
    ObjectId,
    Page,
    SiteId,
    Text,
    UnitCode,
    Wanted,
    at,
    decode_cursor,
    differences,
    page_of,
    within,
)
from gateway.api.records import matched, tag
from gateway.api.router import api_router
from gateway.api.search import chosen_by
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry import audit
from registry.households import (
    CHANNEL_ADDRESS,
    CHANNELS,
    ChannelEntry,
    ContactEntry,
    change_household,
    contacts_of,
    create_household,
    masked,
    normal_address,
    open_household,
    replace_contacts,
    seal_address,
)
from registry.models import Contact, ContactChannel, Household, Site
from registry.rights import Place
from registry.sealed import Keyring
from registry.sites import NoSuch

router = api_router("/households", tags=["households"])
_Reader = Annotated[Asker, Depends(need("household.read", by_object=True))]
_Writer = Annotated[Asker, Depends(need("household.write", by_object=True))]
_Opener = Annotated[Asker, Depends(need("household.open", by_object=True))]
#: Contacts of one household, channels of one contact: a page's worth, not a phone book.
MAX_CONTACTS = 20
MAX_CHANNELS = 10


class ChannelIn(Wanted):
    """One way to reach a contact."""

    channel: Annotated[str, Field(examples=["email"], description=f"one of {', '.join(CHANNELS)}")]
    address: Annotated[str, Field(max_length=4000, repr=False, examples=["kontakt@example.org"])]

    @model_validator(mode="after")
    def _reachable(self) -> ChannelIn:
        self.address = normal_address(self.channel, self.address)
        return self


class ContactIn(Wanted):
    """Somebody to be told. With `id` it is the contact that is there already."""

    id: ObjectId | None = None
    name: Annotated[str, Field(min_length=1, max_length=200, repr=False)]
    language: Language = "mn"
    role: Literal["resident", "neighbour"] | None = Field(
        default=None,
        description="a neighbour is told when nobody at home has answered; left out: as it was",
    )
    channels: Annotated[list[ChannelIn], Field(max_length=MAX_CHANNELS, default_factory=list)]


class HouseholdFields(Wanted):
    """What a clerk says of a household."""

    label: Annotated[str, Field(min_length=1, max_length=100, examples=["SKhD-32-0012"])]
    site_id: SiteId
    unit_code: UnitCode | None = None
    address: Annotated[str | None, Field(max_length=500, repr=False)] = None
    lat: Latitude | None = None
    lon: Longitude | None = None
    language: Language = "mn"


class HouseholdIn(HouseholdFields):
    """A new household, with its contacts."""

    contacts: Annotated[list[ContactIn], Field(max_length=MAX_CONTACTS, default_factory=list)]


class HouseholdPatch(HouseholdFields):
    """Only the fields sent change."""

    label: Annotated[str, Field(min_length=1, max_length=100)] = ""
    site_id: SiteId = ""


class ChannelOut(BaseModel):
    """A channel, its address masked."""

    id: str
    channel: str
    masked: str
    dead_reason: str | None = Field(
        default=None,
        description="why nothing is sent there any more; enter the address again to revive it",
    )
    verified_at: str | None = None
    muted: bool = Field(default=False, description="only fire and CO go there")


class ContactOut(BaseModel):
    """A contact without a name."""

    id: str
    position: int
    role: str = Field(examples=["resident"])
    language: str
    channels: list[ChannelOut]


class HouseholdOut(BaseModel):
    """A household as everybody in the office sees it."""

    id: str
    label: str
    site_id: str
    unit_code: str | None
    lat: float | None
    lon: float | None
    language: str
    has_address: bool
    created_at: str | None


class HouseholdFull(HouseholdOut):
    """With its contacts, masked."""

    contacts: list[ContactOut]


class OpenChannel(BaseModel):
    """A channel, readable."""

    id: str | None
    channel: str
    address: str


class OpenContact(BaseModel):
    """A contact, readable."""

    id: str | None
    name: str
    role: str = "resident"
    language: str
    channels: list[OpenChannel]


class OpenOut(BaseModel):
    """What is sealed of a household."""

    address: str | None
    contacts: list[OpenContact]


_PLAIN = ("label", "site_id", "unit_code", "lat", "lon", "language")
_Contacts = list[tuple[Contact, list[ContactChannel]]]


def _plain(household: Household) -> dict[str, Any]:
    return {name: getattr(household, name) for name in _PLAIN}


def _out(household: Household) -> HouseholdOut:
    return HouseholdOut(
        id=household.id,
        **_plain(household),
        has_address=household.address is not None,
        created_at=at(household.created_us),
    )


def channel_out(row: ContactChannel, keyring: Keyring) -> ChannelOut:
    """A channel as everybody in the office sees it."""
    return ChannelOut(
        id=row.id,
        channel=row.channel,
        masked=masked(row.channel, keyring.open(row.address, CHANNEL_ADDRESS)),
        dead_reason=row.dead_reason if row.dead_us is not None else None,
        verified_at=at(row.verified_us),
        muted=row.muted_us is not None,
    )


def _full(household: Household, contacts: _Contacts, keyring: Keyring) -> HouseholdFull:
    people = [
        ContactOut(
            id=row.id, position=row.position, role=row.role, language=row.language,
            channels=[channel_out(way, keyring) for way in ways],
        )
        for row, ways in contacts
    ]  # fmt: skip
    return HouseholdFull(**_out(household).model_dump(), contacts=people)


def _entries(contacts: list[ContactIn]) -> list[ContactEntry]:
    return [
        ContactEntry(
            contact.name,
            contact.language,
            tuple(ChannelEntry(way.channel, way.address) for way in contact.channels),
            contact.id,
            contact.role,
        )
        for contact in contacts
    ]


async def _one(session: AsyncSession, household_id: str, *, lock: bool = False) -> Household:
    household = await session.get(Household, household_id, with_for_update=lock or None)
    if household is None:
        raise NoSuch("household", household_id)
    return household


async def _place(session: AsyncSession, site_id: str, unit_code: str | None) -> Place:
    if unit_code is None:
        unit_code = await session.scalar(select(Site.unit_code).where(Site.id == site_id))
    return Place(unit_code=unit_code)


async def _place_of(session: AsyncSession, household: Household) -> Place:
    return await _place(session, household.site_id, household.unit_code)


@router.get(
    "", response_model=Page[HouseholdOut], summary="List households",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_households(
    request: Request,
    asker: _Reader,
    site: SiteId | None = None,
    unit: UnitCode | None = None,
    label: Text | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[HouseholdOut]:
    """By label (`label`: how it begins); no personal field."""
    lies_in = func.coalesce(Household.unit_code, Site.unit_code)
    query = select(Household).join(Site, Household.site_id == Site.id)
    query = query.where(*within(asker.reach, lies_in))
    if (key := decode_cursor(cursor, str)) is not None:
        query = query.where(Household.label > key[0])
    given = {"site": site, "unit": unit, "label": label}
    async with rooms(request).database.read() as session:
        query = query.where(*await chosen_by(session, "households", given))
        rows = list(await session.scalars(query.order_by(Household.label).limit(limit + 1)))
    page, following = page_of(rows, limit, lambda row: (row.label,))
    return Page(items=[_out(row) for row in page], next=following)


@router.get(
    "/{household_id}", response_model=HouseholdFull, summary="One household, masked",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_household(
    household_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> HouseholdFull:
    """Contacts without names, addresses masked; with its ETag."""
    async with rooms(request).database.read() as session:
        household = await _one(session, household_id)
        allow(asker, "household.read", await _place_of(session, household))
        contacts = await contacts_of(session, household_id)
    tag(response, household)
    return _full(household, contacts, rooms(request).keyring)


@router.post(
    "/{household_id}/open", response_model=OpenOut, summary="Read the sealed fields",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def open_one(household_id: ObjectId, request: Request, asker: _Opener) -> OpenOut:
    """The address, names and addresses of the contacts. Who read them is recorded first."""
    city = rooms(request)
    async with city.database.write() as session:
        household = await _one(session, household_id)
        allow(asker, "household.open", await _place_of(session, household))
        opened = await open_household(session, city.keyring, household)
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="household.open",
            object_kind="household", object_id=household_id, now_us=city.clock.now_us(),
        )  # fmt: skip
    return OpenOut(
        address=opened.address,
        contacts=[
            OpenContact(
                id=contact.id,
                name=contact.name,
                role=contact.role or "resident",
                language=contact.language,
                channels=[
                    OpenChannel(id=way.id, channel=way.channel, address=way.address)
                    for way in contact.channels
                ],
            )
            for contact in opened.contacts
        ],
    )


@router.post(
    "", status_code=201, response_model=HouseholdFull, summary="Register a household",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_household(
    body: HouseholdIn, request: Request, response: Response, asker: _Writer
) -> HouseholdFull:
    """With its contacts; the address and the contacts are sealed before they are stored."""
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        allow(asker, "household.write", await _place(session, body.site_id, body.unit_code))
        fields = body.model_dump(include=set(_PLAIN))
        address = seal_address(city.keyring, body.address)
        new = Household(**fields, address=address, created_us=now_us)
        household = await create_household(session, new)
        await replace_contacts(
            session, city.keyring, household.id, _entries(body.contacts), now_us=city.clock.now_us()
        )
        contacts = await contacts_of(session, household.id)
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="household.create",
            object_kind="household", object_id=household.id, now_us=now_us,
            after={**_plain(household), "contacts": len(contacts), "version": household.version},
        )  # fmt: skip
    tag(response, household)
    return _full(household, contacts, city.keyring)


@router.patch(
    "/{household_id}", response_model=HouseholdFull, summary="Change a household",
    responses=documented(401, 403, 404, 409, 412, 422, 428),
)  # fmt: skip
async def patch_household(
    household_id: ObjectId,
    body: HouseholdPatch,
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> HouseholdFull:
    """Only the fields sent change."""
    city = rooms(request)
    wanted = body.model_dump(exclude_unset=True)
    async with city.database.write() as session:
        household = await _one(session, household_id, lock=True)
        allow(asker, "household.write", await _place_of(session, household))
        contacts = await contacts_of(session, household_id)
        shown = {name: value for name, value in wanted.items() if name in _PLAIN}
        await matched(session, household, if_match, shown)
        sealed = {}
        if "address" in wanted:
            sealed = {"address": seal_address(city.keyring, wanted.pop("address"))}
        version = household.version
        before, after = differences(_plain(household), wanted)
        await change_household(session, household, **after, **sealed)
        allow(asker, "household.write", await _place_of(session, household))
        veiled = dict.fromkeys(sealed, audit.SEALED)
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="household.change",
            object_kind="household", object_id=household_id, now_us=city.clock.now_us(),
            before={**before, **veiled, "version": version},
            after={**after, **veiled, "version": household.version},
        )  # fmt: skip
    city.wake_configs()
    tag(response, household)
    return _full(household, contacts, city.keyring)


@router.put(
    "/{household_id}/contacts", response_model=HouseholdFull, summary="Set its contacts",
    responses=documented(401, 403, 404, 412, 422, 428),
)  # fmt: skip
async def put_contacts(
    household_id: ObjectId,
    body: Annotated[list[ContactIn], Field(max_length=MAX_CONTACTS)],
    request: Request,
    response: Response,
    asker: _Writer,
    if_match: IfMatch = None,
) -> HouseholdFull:
    """Exactly these, in this order. Contacts that stay keep their ids and what was sent to them."""
    city = rooms(request)
    async with city.database.write() as session:
        household = await _one(session, household_id, lock=True)
        allow(asker, "household.write", await _place_of(session, household))
        await matched(session, household, if_match)
        version = household.version
        now_us = city.clock.now_us()
        entries = _entries(body)
        if await replace_contacts(session, city.keyring, household_id, entries, now_us=now_us):
            await audit.append(
                session, actor=asker.actor, origin=asker.origin, action="household.contacts",
                object_kind="household", object_id=household_id, now_us=city.clock.now_us(),
                before={"version": version},
                after={"contacts": len(body), "version": household.version},
            )  # fmt: skip
        contacts = await contacts_of(session, household_id)
    tag(response, household)
    return _full(household, contacts, city.keyring)
