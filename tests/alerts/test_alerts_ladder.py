"""The ladder by time: until somebody acknowledges, and no further."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from alerts import incidents
from alerts.policy import DEFAULT_POLICY, Policy, Rung
from tests.alerts.city import NIGHT_US, ScriptedChannel, Town


def laddered() -> Policy:
    rungs = (Rung(), Rung(after_s=60), Rung(after_s=180, contacts="first"))
    fire = msgspec.structs.replace(DEFAULT_POLICY.fire, rungs=rungs)
    return msgspec.structs.replace(DEFAULT_POLICY, fire=fire)


async def test_nobody_answers_and_each_rung_is_climbed_once_at_its_time(any_town: Town) -> None:
    any_town.policy = laddered()
    await any_town.alarm()
    channel = ScriptedChannel()
    worker = any_town.worker(channel)
    counts = []
    for _ in range(8):
        await worker.run_until_idle()
        counts.append(len(channel.sent))
        any_town.clock.advance(timedelta(seconds=30))
    assert counts == [2, 2, 4, 4, 4, 4, 5, 5]
    assert (await any_town.incident()).next_rung_us is None


async def test_an_acknowledgement_stops_the_ladder(any_town: Town) -> None:
    any_town.policy = laddered()
    applied = await any_town.alarm()
    channel = ScriptedChannel()
    worker = any_town.worker(channel)
    await worker.run_until_idle()
    async with any_town.database.write() as session:
        await incidents.acknowledge(session, applied.incident_id or "", "contact 1", NIGHT_US)
    any_town.clock.advance(timedelta(minutes=10))
    await worker.run_until_idle()
    assert [message.kind for message in channel.sent] == ["fire"] * 2 + ["acknowledged"] * 2


async def test_the_all_clear_stops_the_ladder(town: Town) -> None:
    town.policy = laddered()
    await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await worker.run_until_idle()
    await town.alarm(revision=2, cleared_us=NIGHT_US + 1, transition="clear")
    town.clock.advance(timedelta(minutes=10))
    await worker.run_until_idle()
    assert [message.kind for message in channel.sent] == ["fire"] * 2 + ["all_clear"] * 2


async def test_two_workers_climb_a_rung_once(any_town: Town) -> None:
    import asyncio

    any_town.policy = laddered()
    await any_town.alarm()
    channels = [ScriptedChannel(), ScriptedChannel()]
    workers = [any_town.worker(channel) for channel in channels]
    await asyncio.gather(*(worker.run_until_idle() for worker in workers))
    any_town.clock.advance(timedelta(seconds=60))
    await asyncio.gather(*(worker.run_until_idle() for worker in workers))
    assert sum(len(channel.sent) for channel in channels) == 4


async def test_a_worker_that_was_away_goes_on_from_the_step_where_the_ladder_stood(town: Town) -> None:
    town.policy = laddered()
    await town.alarm()
    first, second = ScriptedChannel(), ScriptedChannel()
    await town.worker(first).run_until_idle()
    town.clock.advance(timedelta(hours=1))
    worker = town.worker(second)
    await worker.run_until_idle()
    assert [message.subject[:6] for message in second.sent] == ["ДАХИН:"] * 2
    town.clock.advance(timedelta(seconds=120))
    await worker.run_until_idle()
    assert len(second.sent) == 3
