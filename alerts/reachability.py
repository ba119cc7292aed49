"""Who can be reached: per channel, contact and household, with the reason; and whom nobody can reach.

A channel is reachable when it was verified or something was delivered, seen or answered there within
``FRESH_S``; doubtful when it is untested, stale, or its last message failed; unreachable when its
address is dead or its consent was taken back. A contact stands as its best channel, a household as
its best contact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from sqlalchemy import false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import Delivery, Notification
from edge.wire.clock import US_PER_S
from registry.models import Contact, ContactChannel, Household, Site

Standing = Literal["reachable", "doubtful", "unreachable"]
_ORDER: tuple[Standing, ...] = ("reachable", "doubtful", "unreachable")
#: A proof is believed for a quarter and some days: each quarter brings a test alert.
FRESH_S = 100 * 24 * 3600
#: A list that somebody works through is read in pages of this.
MAX_HOUSEHOLDS = 1000


class ChannelReach(NamedTuple):
    """One channel of one contact."""

    channel_id: str
    contact_id: str
    channel: str
    standing: Standing
    reason: str


class HouseholdReach(NamedTuple):
    """A household as its best contact, with the reason of that."""

    household_id: str
    label: str
    unit_code: str | None
    standing: Standing
    reason: str


class _Known(NamedTuple):
    proven_us: int | None
    failed_us: int | None
    #: when the last quarterly test was taken by the provider
    tested_us: int | None = None


def judge(channel: ContactChannel, known: _Known, now_us: int) -> tuple[Standing, str]:
    """How a channel stands, and why. Pure."""
    if channel.withdrawn_us is not None:
        return "unreachable", "consent_withdrawn"
    if channel.dead_us is not None:
        return "unreachable", channel.dead_reason or "address_dead"
    proofs = (channel.verified_us, channel.heard_us, known.proven_us)
    proven_us = max((moment for moment in proofs if moment is not None), default=None)
    if known.failed_us is not None and (proven_us is None or known.failed_us > proven_us):
        return "doubtful", "last_message_failed"
    unproven = proven_us is None or now_us - proven_us > FRESH_S * US_PER_S
    if unproven and known.tested_us is not None and now_us - known.tested_us <= FRESH_S * US_PER_S:
        return "doubtful", "test_not_answered"
    if proven_us is None:
        return "doubtful", "tests_not_wanted" if channel.muted_us is not None else "never_tested"
    if now_us - proven_us > FRESH_S * US_PER_S:
        return "doubtful", "not_tested_this_quarter"
    return "reachable", "proven"


async def of_households(
    session: AsyncSession, now_us: int, *, unit_code: str = "", within: Sequence[str] | None = None,
    limit: int = MAX_HOUSEHOLDS,
) -> list[HouseholdReach]:  # fmt: skip
    """The households of a khoroo (all, without a code), the worst first.

    ``within``: only those in units whose codes begin so (None: everywhere).
    """
    place = func.coalesce(Household.unit_code, Site.unit_code)
    query = select(Household, place).join(Site, Site.id == Household.site_id).order_by(Household.label)
    if unit_code:
        query = query.where(place.startswith(unit_code, autoescape=True))
    if within is not None:
        inside = (place.startswith(code, autoescape=True) for code in within)
        query = query.where(or_(false(), *inside))
    rows = await session.execute(query.limit(limit))
    homes: list[tuple[Household, str | None]] = [(row[0], row[1]) for row in rows]
    best: dict[str, tuple[Standing, str]] = {}
    for household_id, reach in await _channels(session, [home.id for home, _ in homes], now_us):
        found = (reach.standing, reach.reason)
        known = best.get(household_id)
        if known is None or _ORDER.index(found[0]) < _ORDER.index(known[0]):
            best[household_id] = found
    none: tuple[Standing, str] = ("unreachable", "no_channel")
    result = [
        HouseholdReach(home.id, home.label, unit, *best.get(home.id, none)) for home, unit in homes
    ]
    return sorted(result, key=lambda reach: (-_ORDER.index(reach.standing), reach.label))


async def of_household(session: AsyncSession, household_id: str, now_us: int) -> list[ChannelReach]:
    """Every channel of a household's contacts."""
    return [reach for _, reach in await _channels(session, [household_id], now_us)]


async def of_channel(session: AsyncSession, channel_id: str, now_us: int) -> ChannelReach:
    """One channel, whoever it is of."""
    channel = await session.get_one(ContactChannel, channel_id)
    known = (await _known(session, [channel_id])).get(channel_id, _Known(None, None))
    return ChannelReach(channel_id, channel.contact_id, channel.channel, *judge(channel, known, now_us))


def best(channels: Sequence[ChannelReach]) -> tuple[Standing, str]:
    """How somebody stands who has these channels: as the best of them. Pure."""
    found = min(channels, key=lambda one: _ORDER.index(one.standing), default=None)
    return (found.standing, found.reason) if found is not None else ("unreachable", "no_channel")


async def _channels(
    session: AsyncSession, household_ids: Iterable[str], now_us: int
) -> list[tuple[str, ChannelReach]]:
    rows = (
        await session.execute(
            select(Contact.household_id, ContactChannel)
            .join(ContactChannel, ContactChannel.contact_id == Contact.id)
            .where(
                Contact.household_id.in_(list(household_ids)),
                Contact.role == "resident",
                Contact.gone_us.is_(None),
            )
            .order_by(Contact.position, ContactChannel.id)
        )
    ).all()
    known = await _known(session, [channel.id for _, channel in rows])
    result = []
    for household_id, channel in rows:
        standing, reason = judge(channel, known.get(channel.id, _Known(None, None)), now_us)
        reach = ChannelReach(channel.id, channel.contact_id, channel.channel, standing, reason)
        result.append((household_id or "", reach))
    return result


async def _known(session: AsyncSession, channel_ids: list[str]) -> dict[str, _Known]:
    """What the deliveries prove: an acceptance proves nothing, a delivery and more do."""
    proven_us = func.max(func.coalesce(Delivery.seen_us, Delivery.delivered_us))
    failed_us = func.max(Delivery.queued_us).filter(Delivery.state.in_(("refused", "dead")))
    tested_us = func.max(Delivery.accepted_us).filter(Notification.message == "drill")
    rows = await session.execute(
        select(Delivery.channel_id, proven_us, failed_us, tested_us)
        .join(Notification, Delivery.notification_id == Notification.id)
        .where(Delivery.channel_id.in_(channel_ids))
        .group_by(Delivery.channel_id)
    )
    return {row[0]: _Known(*row[1:]) for row in rows}
