"""Reaching people: verified channels, tests, what they wish, and who cannot be reached.

A code or a test goes out on the channel itself; only the person who gets the code can say it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import drills, reachability, wishes
from alerts.verification import send_code
from edge.wire.clock import us_from_datetime
from gateway.api.common import ObjectId, UnitCode, Wanted, at
from gateway.api.router import api_router
from gateway.door import Asker, Rooms, allow, need, rooms
from gateway.problems import ProblemError, documented, wrong_field
from registry import audit
from registry.models import Contact, ContactChannel, Household, Site
from registry.rights import Action, Place
from registry.sites import NoSuch

router = api_router(tags=["reaching people"])
Reader = Annotated[Asker, Depends(need("household.read", by_object=True))]
Writer = Annotated[Asker, Depends(need("household.write", by_object=True))]
_Hour = Annotated[int, Field(ge=0, le=23)]


class SentOut(BaseModel):
    """What became of the code's message; the code itself is nowhere but there."""

    outcome: str = Field(examples=["accepted"])
    reason: str
    expires_at: str | None


class CodeIn(Wanted):
    """The code that the person has read out or typed in."""

    code: Annotated[str, Field(min_length=1, max_length=20, repr=False, examples=["123456"])]


class VerifiedOut(BaseModel):
    """Whether the code was right."""

    verified: bool


class TestOut(BaseModel):
    """The test's own incident; its story shows what became of it."""

    incident: str


class ConsentIn(Wanted):
    """The person's yes or no for this channel, to the text of this version."""

    given: bool
    text_version: Annotated[str, Field(min_length=1, max_length=40)] = wishes.CONSENT_TEXT_VERSION


class MuteIn(Wanted):
    """Whether only fire and CO go there."""

    muted: bool


class WishesIn(Wanted):
    """What a contact wishes for what can wait; alarms know neither."""

    quiet_from_h: _Hour | None = None
    quiet_until_h: _Hour | None = None
    away_until: AwareDatetime | None = None


class ChannelReachOut(BaseModel):
    """One channel of one contact."""

    channel_id: str
    contact_id: str
    channel: str
    standing: str = Field(examples=["reachable"])
    reason: str


class ReachOut(BaseModel):
    """A household as its best contact."""

    household_id: str
    label: str
    unit_code: str | None
    standing: str = Field(examples=["doubtful"])
    reason: str = Field(examples=["never_tested"])


class HouseholdReachOut(ReachOut):
    """With every channel of its contacts."""

    channels: list[ChannelReachOut]


def _wish(error: wishes.WishError) -> ProblemError:
    if error.reason in ("unknown_channel", "unknown_contact"):
        return ProblemError(404, "not-found", "Not found")
    if error.reason == "wrong_hours":
        return wrong_field("body.quiet_from_h", "expected two different hours from 0 to 23")
    return ProblemError(409, error.reason.replace("_", "-"), "Ask for a new code")


async def _channel(
    session: AsyncSession, asker: Asker, channel_id: str, action: Action
) -> tuple[ContactChannel, Contact]:
    channel = await session.get(ContactChannel, channel_id, with_for_update=True)
    if channel is None or channel.withdrawn_us is not None:
        raise NoSuch("channel", channel_id)
    contact = await session.get_one(Contact, channel.contact_id)
    allow(asker, action, await _place(session, contact))
    return channel, contact


async def _place(session: AsyncSession, contact: Contact) -> Place:
    if contact.household_id is None:
        return Place(unit_code=contact.unit_code)
    home = await session.get_one(Household, contact.household_id)
    site = await session.get(Site, home.site_id)
    return Place(unit_code=home.unit_code or (site.unit_code if site else None))


async def _note(
    session: AsyncSession, city: Rooms, asker: Asker, action: str, kind: str, object_id: str,
    after: dict[str, object] | None = None,
) -> None:  # fmt: skip
    await audit.append(
        session, actor=asker.actor, origin=asker.origin, action=action, object_kind=kind,
        object_id=object_id, now_us=city.clock.now_us(), after=after,
    )  # fmt: skip


@router.post(
    "/channels/{channel_id}/code", response_model=SentOut, summary="Send a code to verify it",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_code(channel_id: ObjectId, request: Request, asker: Writer) -> SentOut:
    """Six digits, for an hour, five guesses; an earlier code holds no longer."""
    city = rooms(request)
    async with city.database.write() as session:
        await _channel(session, asker, channel_id, "household.write")
        message = await wishes.new_code(
            session, city.keyring, wishes.CATALOGUES, channel_id, city.clock.now_us()
        )
        await _note(session, city, asker, "channel.code", "contact_channel", channel_id)
    outcome = await send_code(city.doors.channels, message, city.clock.now_us())
    until_us = city.clock.now_us() + wishes.CODE_LIFE_S * 1_000_000
    return SentOut(outcome=outcome.kind, reason=outcome.reason, expires_at=at(until_us))


@router.post(
    "/channels/{channel_id}/verify", response_model=VerifiedOut, summary="Check the code",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def post_verify(
    channel_id: ObjectId, body: CodeIn, request: Request, asker: Writer
) -> VerifiedOut:
    """A right one verifies the channel. 409: there is none, it is too old, or guessed too often."""
    city = rooms(request)
    async with city.database.write() as session:
        await _channel(session, asker, channel_id, "household.write")
        try:
            good = await wishes.verify_code(
                session, city.keyring, channel_id, body.code, city.clock.now_us()
            )
        except wishes.WishError as error:
            raise _wish(error) from None
        if good:
            await _note(session, city, asker, "channel.verify", "contact_channel", channel_id)
    return VerifiedOut(verified=good)


@router.post(
    "/channels/{channel_id}/test", response_model=TestOut, status_code=202,
    summary="Send a test message", responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_test(channel_id: ObjectId, request: Request, asker: Writer) -> TestOut:
    """The same as the quarterly one, now. Answered by its link, it proves the channel."""
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        channel, contact = await _channel(session, asker, channel_id, "household.write")
        incident = await drills.test_channel(session, contact, channel, now_us, now_us)
        await _note(session, city, asker, "channel.test", "contact_channel", channel_id)
    city.wake_alerts()
    return TestOut(incident=incident)


@router.put(
    "/channels/{channel_id}/consent", response_model=ChannelReachOut, summary="Record a yes or no",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def put_consent(
    channel_id: ObjectId, body: ConsentIn, request: Request, asker: Writer
) -> ChannelReachOut:
    """With the text's version and the time. After a no nothing is planned for the channel."""
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        channel = await session.get(ContactChannel, channel_id)
        if channel is None:
            raise NoSuch("channel", channel_id)
        contact = await session.get_one(Contact, channel.contact_id)
        allow(asker, "household.write", await _place(session, contact))
        if body.given:
            await wishes.give_consent(
                session, channel_id, "office", now_us, text_version=body.text_version
            )
        else:
            await wishes.withdraw_consent(session, channel_id, "office", now_us)
        word = "channel.consent" if body.given else "channel.withdraw"
        await _note(
            session, city, asker, word, "contact_channel", channel_id,
            {"text_version": body.text_version},
        )  # fmt: skip
        found = await reachability.of_channel(session, channel_id, now_us)
    return ChannelReachOut(**found._asdict())


@router.put(
    "/channels/{channel_id}/mute", response_model=MuteIn, summary="Only fire and CO, or everything",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def put_mute(channel_id: ObjectId, body: MuteIn, request: Request, asker: Writer) -> MuteIn:
    """As one click on a mail's unsubscribe link does, or the other way."""
    city = rooms(request)
    async with city.database.write() as session:
        await _channel(session, asker, channel_id, "household.write")
        if await wishes.mute(session, channel_id, city.clock.now_us() if body.muted else None):
            word = "channel.mute" if body.muted else "channel.unmute"
            await _note(session, city, asker, word, "contact_channel", channel_id)
    return body


@router.put(
    "/contacts/{contact_id}/wishes", response_model=WishesIn, summary="Quiet hours and holidays",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def put_wishes(contact_id: ObjectId, body: WishesIn, request: Request, asker: Writer) -> WishesIn:
    """For troubles and tests only. Both hours or none."""
    city = rooms(request)
    hours = (body.quiet_from_h, body.quiet_until_h)
    async with city.database.write() as session:
        contact = await session.get(Contact, contact_id)
        if contact is None or contact.gone_us is not None:
            raise NoSuch("contact", contact_id)
        allow(asker, "household.write", await _place(session, contact))
        try:
            if hours[0] is None or hours[1] is None:
                if hours != (None, None):
                    raise wishes.WishError("wrong_hours")
                await wishes.set_quiet_hours(session, contact_id, None)
            else:
                await wishes.set_quiet_hours(session, contact_id, (hours[0], hours[1]))
        except wishes.WishError as error:
            raise _wish(error) from None
        await wishes.set_away(session, contact_id, _time_us(body.away_until))
        await _note(session, city, asker, "contact.wishes", "contact", contact_id)
    return body


def _time_us(moment: datetime | None) -> int | None:
    return None if moment is None else us_from_datetime(moment)


@router.get(
    "/reach", response_model=list[ReachOut], summary="Who can be reached, the worst first",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def list_reach(request: Request, asker: Reader, unit: UnitCode | None = None) -> list[ReachOut]:
    """Households of a khoroo (`unit`), at most 1,000: reachable, doubtful, unreachable, and why."""
    city = rooms(request)
    allowed = asker.reach.unit_codes
    async with city.database.read() as session:
        found = await reachability.of_households(
            session, city.clock.now_us(), unit_code=unit or "",
            within=None if asker.reach.everywhere else allowed,
        )  # fmt: skip
    return [ReachOut(**one._asdict()) for one in found]


@router.get(
    "/households/{household_id}/reach", response_model=HouseholdReachOut,
    summary="How one household can be reached", responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_reach(household_id: ObjectId, request: Request, asker: Reader) -> HouseholdReachOut:
    """Each channel of each contact with its standing and the reason."""
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        home = await session.get(Household, household_id)
        if home is None:
            raise NoSuch("household", household_id)
        site = await session.get(Site, home.site_id)
        unit_code = home.unit_code or (site.unit_code if site else None)
        allow(asker, "household.read", Place(unit_code=unit_code))
        channels = await reachability.of_household(session, household_id, now_us)
    standing, reason = reachability.best(channels)
    return HouseholdReachOut(
        household_id=household_id, label=home.label, unit_code=unit_code, standing=standing,
        reason=reason, channels=[ChannelReachOut(**one._asdict()) for one in channels],
    )  # fmt: skip
