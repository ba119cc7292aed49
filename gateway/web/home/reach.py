"""``/home/contacts``: who is told and how; codes, tests, consent, quiet hours, holidays, push messages.

A family sees its own contacts by name and its addresses masked. Each change is the function the office
uses, said to come from the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import consent, drills, wishes
from alerts.models import Delivery, Notification
from alerts.verification import send_code
from edge.wire.clock import us_from_datetime
from gateway.city import City
from gateway.door import home_of
from gateway.web.home.frame import (
    Anybody,
    Family,
    act_at_home,
    home_page,
    household_of,
    session_of,
    to_the_door,
)
from gateway.web.page import city_of, words_of
from gateway.web.words import ZONE
from registry.acts import Act, record
from registry.households import (
    CHANNEL_ADDRESS,
    CONTACT_NAME,
    contacts_of,
    masked,
    normal_address,
)
from registry.identity import Throttled
from registry.models import Contact, ContactChannel
from registry.requests import opendoor
from registry.residents import service as residents
from registry.residents.models import HomeSession
from registry.sealed import Keyring
from registry.sites import NoSuch

router = APIRouter(prefix="/home", tags=["pages"], include_in_schema=False)
_BACK: Final = "/home/contacts"
#: What a family can enter itself; the others need the office or the service.
OWN_CHANNELS: Final = ("sms", "voice", "email")
_MAX_CHANNELS: Final = 10
_MAX_AWAY_DAYS: Final = 60
#: Codes and tests that one home can cause in an hour: each is a message that costs something.
_MESSAGES: Final = opendoor.Allowance("home messages", 10, 5_000)
Hour = Annotated[str, Form(pattern=r"^([01]?[0-9]|2[0-3])?$")]


@dataclass(frozen=True)
class Way:
    """A channel as its family sees it."""

    channel: ContactChannel
    masked: str
    #: what became of the newest test: queued, accepted, delivered, seen, refused …
    tested: str | None
    tested_us: int | None


@dataclass(frozen=True)
class Told:
    """A contact, by name, and the ways to reach them."""

    contact: Contact
    name: str
    ways: list[Way]
    mine: bool


@router.get("/contacts")
async def contacts(request: Request, asker: Anybody, done: str = "", problem: str = "") -> Response:
    """Who is told, in which order, and how."""
    if home_of(request) is None:
        return to_the_door()
    return await _shown(request, asker, done=done[:20], problem=problem[:20])


async def _shown(
    request: Request, asker: Anybody, *, done: str = "", problem: str = "", status: int = 200,
    typed: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    city, at_home = city_of(request), session_of(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        household = await household_of(session, request, at_home)
        people = await _people(session, city.keyring, at_home)
        browsers = await residents.count(session, household.id, now_us)
    return home_page(
        "contacts.html", request, asker, status=status, section="contacts", people=people,
        browsers=browsers, done=done, problem=problem, now_us=now_us,
        typed=typed or {"contact": "", "channel": "", "address": ""},
        here_push=_pushed_here(people), own_channels=OWN_CHANNELS,
        push=bool(city.doors.push_public_key),
        today=datetime.fromtimestamp(now_us / 1e6, ZONE).date(),
        agrees=partial(consent.text_of, consent.current(), words_of(request).language),
        away_until={one.contact.id: _day(one.contact.away_until_us, now_us) for one in people},
    )  # fmt: skip


async def _people(session: AsyncSession, keyring: Keyring, at_home: HomeSession) -> list[Told]:
    rows = await contacts_of(session, at_home.household_id)
    tests = await _tests(session, [way.id for _, ways in rows for way in ways])
    return [
        Told(
            contact,
            keyring.open(contact.name, CONTACT_NAME),
            [
                Way(
                    way, masked(way.channel, keyring.open(way.address, CHANNEL_ADDRESS)),
                    *tests.get(way.id, (None, None)),
                )
                for way in ways
            ],
            contact.id == at_home.contact_id,
        )
        for contact, ways in rows
    ]  # fmt: skip


def _pushed_here(people: list[Told]) -> str | None:
    """The contact whom this browser's push messages belong to: its own, else the first."""
    mine = [one.contact.id for one in people if one.mine]
    return next(iter(mine or [one.contact.id for one in people]), None)


async def _tests(
    session: AsyncSession, channel_ids: list[str]
) -> dict[str, tuple[str | None, int | None]]:
    rows = await session.execute(
        select(Delivery.channel_id, Delivery.state, Delivery.queued_us)
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(Delivery.channel_id.in_(channel_ids), Notification.message == "drill")
        .order_by(Delivery.queued_us)
    )
    return {channel_id: (state, queued_us) for channel_id, state, queued_us in rows}


def _day(time_us: int | None, now_us: int) -> str:
    if time_us is None or time_us <= now_us:
        return ""
    return datetime.fromtimestamp(time_us / 1e6, ZONE).date().isoformat()


@router.post("/channels/{channel_id}/code")
async def send(request: Request, channel_id: str, asker: Family) -> Response:
    """A code to the channel, so that we know it is theirs."""
    city, act = city_of(request), act_at_home(request, asker)
    if not await _counted(city, request, act):
        return _back(problem="often")
    async with city.database.write() as session:
        await _own_channel(session, request, channel_id)
        code = await wishes.new_code(session, city.keyring, wishes.CATALOGUES, channel_id, act.now_us)
        await record(session, act, "channel.code", "contact_channel", channel_id)
    outcome = await send_code(city.doors.channels, code, act.now_us)
    return _back(done="code") if outcome.kind == "accepted" else _back(problem="not_sent")


@router.post("/channels/{channel_id}/verify")
async def verify(
    request: Request, channel_id: str, asker: Family, code: Annotated[str, Form(max_length=20)] = ""
) -> Response:
    """The code that came."""
    city, act = city_of(request), act_at_home(request, asker)
    async with city.database.write() as session:
        await _own_channel(session, request, channel_id)
        try:
            good = await wishes.verify_code(session, city.keyring, channel_id, code, act.now_us)
        except wishes.WishError as error:
            return _back(problem="code_expired" if error.reason == "code_expired" else "no_code")
        if good:
            await record(session, act, "channel.verify", "contact_channel", channel_id)
    return _back(done="verified") if good else _back(problem="wrong_code")


@router.post("/channels/{channel_id}/test")
async def test(request: Request, channel_id: str, asker: Family) -> Response:
    """A test message there, now."""
    city, act = city_of(request), act_at_home(request, asker)
    if not await _counted(city, request, act):
        return _back(problem="often")
    async with city.database.write() as session:
        channel, contact = await _own_channel(session, request, channel_id)
        await drills.test_channel(session, contact, channel, act.now_us, act.now_us)
        await record(session, act, "channel.test", "contact_channel", channel_id)
    city.wake_alerts()
    return _back(done="tested")


@router.post("/channels/{channel_id}/mute")
async def mute(
    request: Request, channel_id: str, asker: Family, muted: Annotated[bool, Form()]
) -> Response:
    """Only fire and CO, or everything."""
    city, act = city_of(request), act_at_home(request, asker)
    async with city.database.write() as session:
        await _own_channel(session, request, channel_id)
        if await wishes.mute(session, channel_id, act.now_us if muted else None):
            word = "channel.mute" if muted else "channel.unmute"
            await record(session, act, word, "contact_channel", channel_id)
    return _back(done="saved")


@router.post("/channels/{channel_id}/withdraw")
async def withdraw(request: Request, channel_id: str, asker: Family) -> Response:
    """Nothing goes there any more."""
    city, act = city_of(request), act_at_home(request, asker)
    async with city.database.write() as session:
        await _own_channel(session, request, channel_id)
        await wishes.withdraw_consent(session, channel_id, "page", act.now_us)
        await record(session, act, "channel.withdraw", "contact_channel", channel_id)
    return _back(done="withdrawn")


@router.post("/contacts/{contact_id}/channels")
async def add(
    request: Request, contact_id: str, asker: Family,
    channel: Annotated[Literal["sms", "voice", "email", "webpush"], Form()],
    address: Annotated[str, Form(max_length=4000)] = "",
    agreed: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """One more way to reach somebody, with their consent; entered again it lives again."""
    city, act = city_of(request), act_at_home(request, asker)
    typed = {"contact": contact_id, "channel": channel, "address": address}
    if not agreed:
        return await _shown(request, asker, problem="consent", status=422, typed=typed)
    try:
        normal = normal_address(channel, address)
    except ValueError:
        shown = {} if channel == "webpush" else typed
        return await _shown(request, asker, problem="address", status=422, typed=shown)
    async with city.database.write() as session:
        contact = await _own_contact(session, request, contact_id)
        row = await _entered(session, city.keyring, contact, channel, normal)
        if row is None:
            return _back(problem="many")
        await wishes.give_consent(session, row.id, "page", act.now_us)
        if channel == "webpush":  # a browser that could subscribe shows what we send it
            row.verified_us = act.now_us
        after = {"channel": channel}
        await record(session, act, "channel.consent", "contact_channel", row.id, after=after)
    return _back(done="push" if channel == "webpush" else "added")


@router.post("/contacts/{contact_id}/wishes")
async def wish(
    request: Request, contact_id: str, asker: Family,
    quiet_from: Hour = "", quiet_until: Hour = "",
    away_until: Annotated[str, Form(max_length=10)] = "",
) -> Response:  # fmt: skip
    """Quiet hours and holidays, for what can wait; fire and CO know neither."""
    city, act = city_of(request), act_at_home(request, asker)
    until_us = _end_of(away_until, act.now_us)
    one_sided = bool(quiet_from) != bool(quiet_until)
    if one_sided or (quiet_from and int(quiet_from) == int(quiet_until)) or until_us == 0:
        return _back(problem="wishes")
    hours = (int(quiet_from), int(quiet_until)) if quiet_from else None
    async with city.database.write() as session:
        await _own_contact(session, request, contact_id)
        await wishes.set_quiet_hours(session, contact_id, hours)
        await wishes.set_away(session, contact_id, until_us)
        await record(session, act, "contact.wishes", "contact", contact_id)
    return _back(done="saved")


def _end_of(day: str, now_us: int) -> int | None:
    """The end of that day (µs); None for no day, 0 for one that is past, too far or none."""
    if not day:
        return None
    try:
        end = datetime.combine(date.fromisoformat(day), time(), ZONE) + timedelta(days=1)
    except (ValueError, OverflowError):
        return 0
    end_us = us_from_datetime(end)
    days = (end_us - now_us) / (24 * 3600 * 1e6)
    return end_us if 0 < days <= _MAX_AWAY_DAYS + 1 else 0


async def _entered(
    session: AsyncSession, keyring: Keyring, contact: Contact, channel: str, address: str
) -> ContactChannel | None:
    """The channel, new or known; None if the contact has too many."""
    fingerprint = keyring.fingerprint(address, CHANNEL_ADDRESS).hex()
    held = list(
        await session.scalars(select(ContactChannel).where(ContactChannel.contact_id == contact.id))
    )
    for row in held:
        if (row.channel, row.address_fingerprint) == (channel, fingerprint):
            row.dead_us = row.dead_reason = None
            return row
    if sum(row.withdrawn_us is None for row in held) >= _MAX_CHANNELS:
        return None
    row = ContactChannel(
        contact_id=contact.id, channel=channel, address=keyring.seal(address, CHANNEL_ADDRESS),
        address_fingerprint=fingerprint,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    return row


async def _own_contact(session: AsyncSession, request: Request, contact_id: str) -> Contact:
    contact = await session.get(Contact, contact_id)
    home = session_of(request).household_id
    if contact is None or contact.household_id != home or contact.gone_us is not None:
        raise NoSuch("contact", contact_id)
    return contact


async def _own_channel(
    session: AsyncSession, request: Request, channel_id: str
) -> tuple[ContactChannel, Contact]:
    channel = await session.get(ContactChannel, channel_id, with_for_update=True)
    if channel is None or channel.withdrawn_us is not None:
        raise NoSuch("channel", channel_id)
    return channel, await _own_contact(session, request, channel.contact_id)


async def _counted(city: City, request: Request, act: Act) -> bool:
    """Whether this home may cause one more message in this hour."""
    home = session_of(request).household_id
    try:
        async with city.database.write() as session:
            await opendoor.count(session, city.keyring, _MESSAGES, home, act.now_us)
    except Throttled:
        return False
    return True


def _back(**said: Any) -> Response:
    name, value = next(iter(said.items()))
    return RedirectResponse(f"{_BACK}?{name}={value}", 303)
