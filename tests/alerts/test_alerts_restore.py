"""After a restore: what the lost city has told is not told again, and ladders wait for the sites."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from alerts.models import Delivery, Incident
from alerts.restore import SITES_ANSWER_S, after_restore
from edge.wire.clock import US_PER_S
from tests.alerts.city import Town


async def test_messages_of_long_ago_are_withdrawn_and_fresh_ones_are_not(town: Town) -> None:
    await town.alarm("old", "smoke")
    town.clock.advance(timedelta(minutes=10))
    await town.alarm("fresh", "co")
    async with town.database.write() as session:
        done = await after_restore(session, town.clock.now_us())
    states = {(one.state, one.reason) for one in await town.all(Delivery)}
    assert states == {("cancelled", "restored"), ("queued", None)}
    assert done.withdrawn == sum(one.reason == "restored" for one in await town.all(Delivery))


async def test_a_ladder_waits_until_the_sites_have_said_how_it_stands(town: Town) -> None:
    await town.alarm("a", "smoke")
    async with town.database.write() as session:
        await session.execute(update(Incident).values(next_rung_us=town.clock.now_us() + US_PER_S))
        done = await after_restore(session, town.clock.now_us())
    (incident,) = await town.all(Incident)
    assert incident.next_rung_us == town.clock.now_us() + SITES_ANSWER_S * US_PER_S
    assert done.postponed == 1
