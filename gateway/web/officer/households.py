"""``/households``: the homes as a list, and one home with its detectors and, masked, who is told.

Names and addresses are sealed. Opening them is a step of its own, which the audit keeps.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.common import Cursor, ObjectId, UnitCode, within
from gateway.api.households import MAX_CONTACTS, ContactIn, OpenOut, channel_out, open_one
from gateway.api.records import act_of, page
from gateway.api.search import Words, narrowed
from gateway.door import Asker, allow, need, rooms
from gateway.web.forms import checked, typed
from gateway.web.guard import PageRoute
from gateway.web.officer.lists import address, known_units, logins
from gateway.web.page import page_of, words_of
from registry import audit, history
from registry.households import (
    ChannelEntry,
    ContactEntry,
    contacts_of,
    normal_address,
    open_household,
    replace_contacts,
)
from registry.models import Detector, Household, Site
from registry.residents.service import reached_by
from registry.rights import Place, may, may_somewhere
from registry.sites import NoSuch

router = APIRouter(prefix="/households", tags=["pages"], include_in_schema=False, route_class=PageRoute)
_Reader = Annotated[Asker, Depends(need("household.read", by_object=True))]
_Opener = Annotated[Asker, Depends(need("household.open", by_object=True))]
_Writer = Annotated[Asker, Depends(need("household.write", by_object=True))]
ROWS: Final = 50
_FILTERS: Final = ("q", "unit")
#: Lines of the past on the page; the rest is in the audit.
_SHOWN: Final = 20
#: What an officer can enter by hand; a browser's push address comes from the family's own page.
CHANNELS: Final = ("sms", "voice", "email", "messenger", "national_email", "emongolia")


@router.get("")
async def list_page(
    request: Request, asker: _Reader, q: Words | None = None, unit: UnitCode | None = None,
    cursor: Cursor = None,
) -> Response:  # fmt: skip
    """By label; the filter is in the address."""
    filters = {name: request.query_params.get(name, "") for name in _FILTERS}
    lies_in = func.coalesce(Household.unit_code, Site.unit_code)
    query = select(Household).join(Site, Household.site_id == Site.id)
    query = query.where(Household.gone_us.is_(None), *within(asker.reach, lies_in))
    if unit is not None:
        query = query.where(lies_in.startswith(unit, autoescape=True))
    places = await known_units(request, words_of(request))
    async with rooms(request).database.read() as session:
        query = query.where(*await narrowed(session, Household, q=q, bbox=None, polygon=None))
        listed = await page(session, query, [Household.label, Household.id], limit=ROWS, cursor=cursor)
        count = select(Detector.household_id, func.count()).group_by(Detector.household_id)
        ids = [row.id for row in listed.rows]
        hung = await session.execute(count.where(Detector.household_id.in_(ids)))
        detectors = {row[0]: row[1] for row in hung}
    return page_of(
        "officer/households.html", request, asker, rows=listed.rows, filters=filters, units=places,
        names=dict(places), detectors=detectors,
        next=address("/households", filters, cursor=listed.next) if listed.next else None,
        first=address("/households", filters) if cursor else None,
        may_import=may_somewhere(asker.actor, "import.write"),
    )  # fmt: skip


@router.get("/{household_id}")
async def record_page(household_id: ObjectId, request: Request, asker: _Reader) -> Response:
    """The record, masked."""
    return await _show(request, asker, household_id)


@router.post("/{household_id}/open")
async def opened_page(household_id: ObjectId, request: Request, asker: _Opener) -> Response:
    """The record with its sealed fields; who looked is recorded first."""
    opened = await open_one(household_id, request, asker)
    return await _show(request, asker, household_id, opened=opened)


@router.post("/{household_id}/contacts")
async def add_contact(household_id: ObjectId, request: Request, asker: _Writer) -> Response:
    """One more to be told, behind those who are there."""
    form, words = await typed(request), words_of(request)
    way = {"channel": form.get("channel", ""), "address": form.get("address", "")}
    person = {name: form.get(name) or None for name in ("name", "language", "role")}
    wanted, problems = checked(ContactIn, {**person, "channels": []}, words)
    if form.get("channel") not in CHANNELS or not _is_address(**way):
        problems["address"] = words("problem address")
    city = rooms(request)
    alike: list[str] = []
    if wanted is not None and not problems:
        async with city.database.write() as session:
            household = await _one(session, household_id, lock=True)
            allow(asker, "household.write", await _place_of(session, household))
            alike = await _homes_reached(session, request, asker, household_id, way["address"])
            if not alike or form.get("sure") == "yes":
                entry = ContactEntry(
                    wanted.name, wanted.language, (ChannelEntry(**way),), None, wanted.role
                )
                await _add(session, request, asker, household, entry)
                return RedirectResponse(f"/households/{household_id}", 303)
    return await _show(
        request, asker, household_id, status=422, problems=problems, values=form, alike=alike
    )


def _is_address(channel: str, address: str) -> bool:
    try:
        normal_address(channel, address)
    except ValueError:
        return False
    return True


async def _homes_reached(
    session: AsyncSession, request: Request, asker: Asker, household_id: str, address: str
) -> list[str]:
    """Labels of the other homes whose family this address reaches already, as far as one may see."""
    found = await reached_by(session, rooms(request).keyring, address)
    ids = {contact.household_id for contact, _ in found} - {household_id, None}
    homes = await session.scalars(select(Household).where(Household.id.in_(ids)))
    seen = [
        (home.label, may(asker.actor, "household.read", await _place_of(session, home)))
        for home in homes
    ]
    return sorted(label if visible else "—" for label, visible in seen)


async def _add(
    session: AsyncSession, request: Request, asker: Asker, household: Household, entry: ContactEntry
) -> None:
    keyring, act = rooms(request).keyring, act_of(request, asker)
    known = (await open_household(session, keyring, household)).contacts
    wanted = [*known, entry][:MAX_CONTACTS]
    await replace_contacts(session, keyring, household.id, wanted, now_us=act.now_us)
    await audit.append(
        session, actor=act.actor, origin=act.origin, action="household.contacts",
        object_kind="household", object_id=household.id, now_us=act.now_us,
        before={"contacts": len(known)}, after={"contacts": len(wanted)},
    )  # fmt: skip


async def _one(session: AsyncSession, household_id: str, *, lock: bool = False) -> Household:
    household = await session.get(Household, household_id, with_for_update=lock or None)
    if household is None:
        raise NoSuch("household", household_id)
    return household


async def _place_of(session: AsyncSession, household: Household) -> Place:
    site = await session.get(Site, household.site_id)
    return Place(unit_code=household.unit_code or (site.unit_code if site else None))


async def _show(
    request: Request, asker: Asker, household_id: str, *, status: int = 200,
    opened: OpenOut | None = None, problems: dict[str, str] | None = None,
    values: dict[str, str] | None = None, alike: list[str] | None = None,
) -> Response:  # fmt: skip
    city, words = rooms(request), words_of(request)
    places = dict(await known_units(request, words))
    async with city.database.read() as session:
        household = await _one(session, household_id)
        place = await _place_of(session, household)
        allow(asker, "household.read", place)
        people = [
            {"contact": contact, "ways": [channel_out(way, city.keyring) for way in ways]}
            for contact, ways in await contacts_of(session, household_id)
        ]
        detectors = await _detectors(session, household_id)
        past = await history.entries_of(session, "household", household_id, limit=_SHOWN)
        names = await logins(session, {entry.actor for entry in past})
        site = await session.get(Site, household.site_id)
    return page_of(
        "officer/household.html", request, asker, status=status, household=household, people=people,
        detectors=detectors, past=past, names=names, site=site,
        unit=places.get(place.unit_code or "", place.unit_code), opened=opened,
        may_open=may(asker.actor, "household.open", place),
        may_write=may(asker.actor, "household.write", place), channels=CHANNELS,
        who=may(asker.actor, "audit.read"), problems=problems or {}, values=values or {},
        alike=alike or [], now_us=city.clock.now_us(),
    )  # fmt: skip


async def _detectors(session: AsyncSession, household_id: str) -> list[Any]:
    query = select(Detector).where(Detector.household_id == household_id)
    return list(await session.scalars(query.order_by(Detector.place, Detector.id)))
