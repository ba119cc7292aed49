"""How the channels fare, for whoever asks: from the canary's rows, and from messages that wait.

A channel fails when its last canary was not taken, or when a message on it waits for another try
because of its provider. Both show within three minutes, from any process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.canary import Health
from alerts.models import ChannelHealth, Delivery
from edge.wire.clock import US_PER_S

#: A canary's row that is older says that no canary runs, not that the channel is well.
STALE_S = 180.0
#: A row that is older still is of a canary that was switched off.
_FORGOTTEN_S = 24 * 3600.0
#: Reasons that are the provider's, not one message's.
PROVIDERS_OWN = (
    "connection_failed", "timeout", "tls_failed", "auth_refused", "throttled", "server_error",
    "unreadable_answer", "circuit_open",
)  # fmt: skip


class ChannelState(NamedTuple):
    """One channel as it is known now."""

    channel: str
    failing: bool
    reason: str
    #: who says so
    by: Literal["canary", "messages"]
    last_good_us: int | None
    #: messages that wait for another try
    waiting: int


async def keep(session: AsyncSession, healths: Iterable[Health], now_us: int) -> None:
    """Write down what the canary of this process found."""
    for health in healths:
        await session.merge(
            ChannelHealth(
                channel=health.channel, failing=health.failing, reason=health.reason,
                last_good_us=health.last_good_us, checked_us=now_us,
            )
        )  # fmt: skip


async def channels(session: AsyncSession, now_us: int) -> list[ChannelState]:
    """Every channel of which anything is known, the failing ones first."""
    waiting = {
        str(row.channel): (int(row.waiting), str(row.reason))
        for row in await session.execute(
            select(
                Delivery.channel,
                func.count().label("waiting"),
                func.max(Delivery.reason).label("reason"),
            )
            .where(
                Delivery.state == "queued",
                Delivery.attempts > 0,
                Delivery.reason.in_(PROVIDERS_OWN),
            )
            .group_by(Delivery.channel)
        )
    }
    known: dict[str, ChannelState] = {}
    for row in await session.scalars(select(ChannelHealth)):
        age_s = (now_us - row.checked_us) / US_PER_S
        if age_s > _FORGOTTEN_S:
            continue
        stale = age_s > STALE_S
        known[row.channel] = ChannelState(
            row.channel, row.failing or stale, "canary_stopped" if stale else row.reason, "canary",
            row.last_good_us, 0,
        )  # fmt: skip
    for channel, (count, reason) in waiting.items():
        found = known.get(channel)
        if found is not None and found.failing:
            known[channel] = found._replace(waiting=count)
        else:
            good_us = found.last_good_us if found else None
            known[channel] = ChannelState(channel, True, reason, "messages", good_us, count)
    return sorted(known.values(), key=lambda state: (not state.failing, state.channel))
