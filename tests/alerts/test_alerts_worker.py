"""The worker: nothing forgotten, nothing doubled, whatever breaks."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.channels.base import Message, Outcome
from alerts.models import Delivery, Incident
from alerts.queue import BACK_OFF, Queue, wait_s
from alerts.settings import WorkerSettings
from edge.wire.clock import ScaledClock
from tests.alerts.city import DAY_US, MAILS, ScriptedChannel, Town
from tests.servers import until

RETRY = Outcome("retry", "connection_failed")


async def test_two_workers_at_once_send_each_delivery_once(any_town: Town) -> None:
    for number in range(20):
        await any_town.add_contact(f"c{number}@example.mn")
    await any_town.alarm()
    channels = [ScriptedChannel(concurrency=3) for _ in range(3)]
    await asyncio.gather(*(any_town.worker(channel).run_until_idle() for channel in channels))
    sent = Counter(message.address for channel in channels for message in channel.sent)
    assert len(sent) == 22
    assert set(sent.values()) == {1}
    assert await any_town.states() == ["accepted"] * 22


async def test_a_fire_goes_before_a_trouble_that_was_there_first(town: Town) -> None:
    town.clock.set_wall(DAY_US)
    await town.alarm("t1", "low_battery")
    town.clock.advance(timedelta(hours=1))
    await town.alarm("f1", "smoke")
    channel = ScriptedChannel(concurrency=1)
    await town.worker(channel).run_until_idle()
    assert [message.kind for message in channel.sent] == ["fire", "fire", "trouble"]


async def test_no_more_sends_run_at_once_than_the_channel_allows(town: Town) -> None:
    class Counting(ScriptedChannel):
        now = most = 0

        async def send(self, message: Message) -> Outcome:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            return await super().send(message)

    for number in range(20):
        await town.add_contact(f"c{number}@example.mn")
    await town.alarm()
    channel = Counting(concurrency=3)
    await town.worker(channel).run_until_idle()
    assert len(channel.sent) == 22
    assert channel.most == 3


async def test_a_channel_that_fails_is_tried_again_later_and_then_accepted(town: Town) -> None:
    await town.alarm()
    channel = ScriptedChannel(RETRY, RETRY)
    worker = town.worker(channel)
    await worker.run_until_idle()
    assert await town.states() == ["queued", "queued"]
    assert {d.reason for d in await town.all(Delivery)} == {"connection_failed"}
    town.clock.advance(timedelta(seconds=2))
    await worker.run_until_idle()
    assert await town.states() == ["accepted", "accepted"]
    assert await town.attempts() == [
        (1, "retry", "connection_failed"), (1, "retry", "connection_failed"),
        (2, "accepted", "accepted"), (2, "accepted", "accepted"),
    ]  # fmt: skip


async def test_a_delivery_that_fails_for_too_long_is_dead_and_the_next_rung_tries_anew(
    town: Town,
) -> None:
    await town.alarm()
    channel = ScriptedChannel(*[RETRY] * 1000)
    worker = town.worker(channel)
    for _ in range(400):
        await worker.run_until_idle()
        town.clock.advance(timedelta(seconds=15))
    assert await town.states() == ["dead"] * 4
    assert await town.told() == [("fire", 1, 0)] * 2 + [("fire", 1, 1)] * 2
    assert (await town.story()).count("not_reached") == 2


async def test_a_refused_address_is_not_tried_again_and_the_story_says_who_was_not_reached(
    town: Town,
) -> None:
    await town.alarm()
    refusal = Outcome("refused", "address_unknown", "550 5.1.1")
    channel = ScriptedChannel(refusal, refusal)
    await town.worker(channel).run_until_idle()
    assert len(channel.sent) == 2
    assert await town.states() == ["refused", "refused"]
    assert "nobody_to_tell" in await town.story()


async def test_a_worker_that_dies_between_send_and_record_leaves_an_unknown_and_the_ladder_goes_on(
    any_town: Town,
) -> None:
    """The first worker sends and is killed before it records; the second must not send the same."""

    class Killed(ScriptedChannel):
        async def send(self, message: Message) -> Outcome:
            await super().send(message)
            await asyncio.Event().wait()
            raise AssertionError

    await any_town.alarm()
    dying = Killed()
    worker = any_town.worker(dying)
    task = asyncio.create_task(worker.run())
    await until(lambda: len(dying.sent) == 2, "two sends under way")
    worker._record = _nothing  # type: ignore[method-assign]  # as after SIGKILL: nothing is written
    worker._settings = WorkerSettings(grace_s=0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await any_town.states() == ["sending", "sending"]
    assert {outcome for _, outcome, _ in await any_town.attempts()} == {None}

    survivor = ScriptedChannel()
    await any_town.worker(survivor).run_until_idle()
    assert survivor.sent == []  # the lease holds

    any_town.clock.advance(timedelta(seconds=61))
    await any_town.worker(survivor).run_until_idle()
    assert await any_town.states() == ["accepted", "accepted", "unknown", "unknown"]
    assert (1, "unknown", "worker_lost") in await any_town.attempts()
    # for that rung nothing was doubled; the people were told once more by the next one
    assert await any_town.told() == [("fire", 1, 0)] * 2 + [("fire", 1, 1)] * 2
    assert all("ДАХИН" in message.subject for message in survivor.sent)
    first = {message.delivery_id for message in dying.sent}
    assert not first & {message.delivery_id for message in survivor.sent}


async def _nothing() -> None:
    """What a dead worker records."""


@pytest.mark.parametrize("step", ["claim", "letters", "record"])
async def test_a_database_that_fails_at_any_step_forgets_nothing(
    town: Town, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    import alerts.worker as module

    failures = 2

    def failing(original):  # type: ignore[no-untyped-def]
        async def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal failures
            result = await original(*args, **kwargs)
            if failures:
                failures -= 1
                raise OperationalError("statement", {}, Exception("disk"))
            return result

        return call

    if step == "claim":
        monkeypatch.setattr(Queue, "claim", failing(Queue.claim))
    elif step == "letters":
        monkeypatch.setattr(module, "write_letters", failing(module.write_letters))
    else:
        monkeypatch.setattr(Queue, "record", failing(Queue.record))
    await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel)
    task = asyncio.create_task(worker.run())
    await until(lambda: _settled(town, 2), "both accepted")
    worker.stop()
    await task
    assert Counter(m.address for m in channel.sent) == dict.fromkeys(MAILS, 1)


async def _settled(town: Town, count: int) -> bool:
    return await town.states() == ["accepted"] * count


async def test_stopping_finishes_what_is_under_way(town: Town) -> None:
    release = asyncio.Event()

    class Slow(ScriptedChannel):
        async def send(self, message: Message) -> Outcome:
            outcome = await super().send(message)
            await release.wait()
            return outcome

    await town.alarm()
    channel = Slow()
    worker = town.worker(channel)
    task = asyncio.create_task(worker.run())
    await until(lambda: len(channel.sent) == 2, "sends under way")
    worker.stop()
    release.set()
    await task
    assert await town.states() == ["accepted", "accepted"]


async def test_a_channel_that_raises_is_a_bug_that_costs_one_delivery_and_no_worker(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    await town.alarm()
    channel = ScriptedChannel(RuntimeError(f"cannot send to {MAILS[0]} with token s3cret"))
    await town.worker(channel).run_until_idle()
    states = await town.states()
    assert states == ["accepted", "accepted", "unknown"]
    printed = capsys.readouterr()
    assert "example.mn" not in printed.out + printed.err
    assert "s3cret" not in printed.out + printed.err


async def test_a_channel_that_is_not_set_up_is_refused_where_somebody_sees_it(town: Town) -> None:
    await town.add_contact("99112233", channel="sms")
    await town.alarm()
    await town.worker(ScriptedChannel()).run_until_idle()
    by_channel = {d.channel: (d.state, d.reason) for d in await town.all(Delivery)}
    assert by_channel["sms"] == ("refused", "not_configured")
    assert by_channel["email"] == ("accepted", "accepted")


async def test_an_address_whose_key_is_gone_waits_for_the_key(town: Town) -> None:
    from registry.sealed import Keyring

    await town.alarm()
    good, town.keyring = town.keyring, Keyring({"k999": b"\2" * 32})
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert await town.states() == ["queued", "queued"]
    assert {d.reason for d in await town.all(Delivery)} == {"address_sealed"}
    town.keyring = good
    town.clock.advance(timedelta(seconds=5))
    await town.worker(channel).run_until_idle()
    assert await town.states() == ["accepted", "accepted"]


async def test_a_late_answer_turns_an_unknown_into_accepted(town: Town) -> None:
    await town.alarm()
    queue = Queue("slow", factor=1, lease_s=1, skip_locked=False)
    async with town.database.write() as session:
        leases = await queue.claim(session, "email", 1, town.clock.now_us())
    town.clock.advance(timedelta(seconds=5))
    async with town.database.write() as session:
        assert await queue.expire(session, town.clock.now_us()) == [leases[0].delivery_id]
    async with town.database.write() as session:
        state = await queue.record(
            session, leases[0], Outcome("accepted", "accepted"), town.clock.now_us()
        )
    assert state == "accepted"


async def test_on_a_fast_clock_leases_and_pauses_stay_real(town: Town) -> None:
    import time

    factor = 600.0
    fast = ScaledClock(time.time(), town.clock.now_us() / 1e6, factor)
    await town.alarm()
    channel = ScriptedChannel(RETRY)
    await town.worker(channel, clock=fast, settings=WorkerSettings(poll_s=0.01)).run_until_idle()
    waiting = [d for d in await town.all(Delivery) if d.state == "queued"]
    assert len(waiting) == 1
    pause_s = (waiting[0].due_us - fast.now_us()) / 1e6
    assert pause_s > 0.2 * factor  # half a real second at least, minus what this test took


@given(
    priority=st.sampled_from(sorted(BACK_OFF)),
    attempts=st.integers(1, 10_000),
    wish=st.none() | st.floats(0, 1e9),
    chance=st.floats(0, 0.999),
)
def test_a_pause_is_never_zero_and_never_beyond_giving_up(
    priority: int, attempts: int, wish: float | None, chance: float
) -> None:
    pause = wait_s(priority, attempts, wish, chance)
    plan = BACK_OFF[priority]
    assert plan.first_s / 2 <= pause <= max(plan.most_s, plan.give_up_s / 4)


async def test_changes_are_announced_once_they_are_on_record(town: Town) -> None:
    changed: list[str] = []
    await town.alarm()
    await town.worker(ScriptedChannel(), on_change=changed.append).run_until_idle()
    assert set(changed) == {incident.id for incident in await town.all(Incident)}


async def test_one_message_that_cannot_be_written_stops_no_other(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    import alerts.letters as module

    original = module.compose
    broken = iter([True])

    def compose(*args, **kwargs):  # type: ignore[no-untyped-def]
        if next(broken, False):
            raise KeyError(MAILS[0])
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "compose", compose)
    await town.alarm()
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert (1, "refused", "unwritable") in await town.attempts()
    assert len({message.address for message in channel.sent}) == 2, "told by the next rung"


async def test_a_pass_that_fails_by_a_fault_of_ours_is_tried_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Queue.look
    faults = iter([True])

    async def look(self, session, now_us):  # type: ignore[no-untyped-def]
        if next(faults, False):
            raise RuntimeError("a bug")
        return await original(self, session, now_us)

    monkeypatch.setattr(Queue, "look", look)
    await town.alarm()
    worker = town.worker(ScriptedChannel())
    task = asyncio.create_task(worker.run())
    await until(lambda: _settled(town, 2), "both accepted")
    worker.stop()
    await task
