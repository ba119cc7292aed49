"""The quarterly test, how the channels fare, and the mailbox of what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from alerts import drills, health, mailbox, reachability, wishes
from alerts.canary import Canary
from alerts.channels.base import Outcome
from alerts.doors import Doors
from alerts.models import Delivery, Incident
from alerts.policy import DEFAULT_POLICY, ULAANBAATAR
from alerts.settings import AlertSettings, CanarySettings
from edge.wire.clock import datetime_from_us
from gateway.metrics import Metrics
from gateway.upkeep import Upkeep
from registry.models import Contact, ContactChannel
from tests.alerts.city import DAY_US, MAILS, NIGHT_US, ScriptedChannel, Town
from tests.alerts.doors import ORIGIN, House, house_of
from tests.alerts.test_alerts_proof import bounce

DOWN = Outcome("retry", "connection_failed")


async def _plan(town: Town) -> int:
    async with town.database.write() as session:
        return await drills.plan_due(session, town.clock.now_us(), DEFAULT_POLICY)


async def _quarter(town: Town, worker: Any, days: int = 91) -> list[int]:
    """So many days, looked at at noon; how many contacts were taken up on each."""
    taken = []
    for _ in range(days):
        taken.append(await _plan(town))
        await worker.run_until_idle()
        town.clock.advance(timedelta(days=1))
    return taken


@pytest.fixture
async def house(town: Town) -> AsyncIterator[House]:
    async with house_of(town, Doors(public_url=ORIGIN)) as found:
        yield found


async def test_each_contact_gets_one_test_a_quarter_spread_over_days(town: Town) -> None:
    town.clock.set_wall(DAY_US)
    for number in range(8):
        await town.add_contact(f"n{number}@example.mn", position=number + 3)
    mails = ScriptedChannel()
    worker = town.worker(mails, public_url=ORIGIN)
    taken = await _quarter(town, worker)
    assert sum(taken) == len(town.contacts) and max(taken) == 1
    assert len({m.address for m in mails.sent}) == len(mails.sent) == len(town.contacts)
    assert {m.kind for m in mails.sent} == {"drill"}
    assert not any(m.urgent for m in mails.sent)
    assert all(m.unsubscribe and "Аюул байхгүй" in m.body for m in mails.sent)
    assert sum(await _quarter(town, worker)) == len(town.contacts), "and again in the next one"
    assert await town.told() == [("drill", 1, 0)] * 2 * len(town.contacts)


async def test_nobody_is_tested_at_night_nor_against_their_wish(town: Town) -> None:
    town.clock.set_wall(NIGHT_US)
    assert await _plan(town) == 0
    town.clock.set_wall(DAY_US)
    names = ("muted", "away", "quiet")
    muted, away, quiet = [await town.add_contact(f"{name}@example.mn") for name in names]
    async with town.database.write() as session:
        [channel] = [c for c in await town.all(ContactChannel) if c.contact_id == muted]
        await wishes.mute(session, channel.id, 1)
        await wishes.set_away(session, away, DAY_US + 365 * 86_400 * 1_000_000)
        await wishes.set_quiet_hours(session, quiet, (9, 15))
    mails = ScriptedChannel()
    await _quarter(town, town.worker(mails), 30)
    told = [m.address for m in mails.sent]
    assert sorted(told) == sorted([*MAILS, "quiet@example.mn"])
    due = {d.due_us for d in await town.all(Delivery)}
    hours = {datetime_from_us(one).astimezone(ULAANBAATAR).hour for one in due}
    assert hours == {10, 15}


async def test_an_answered_test_proves_the_channel_and_an_unanswered_one_casts_doubt(
    house: House,
) -> None:
    town = house.town
    town.clock.set_wall(DAY_US)
    mails = ScriptedChannel()
    await _quarter(town, town.worker(mails, public_url=ORIGIN), 2)
    first, second = mails.sent
    page = await house.client.get(first.link)
    assert page.status_code == 200 and "<button" in page.text
    assert (await house.client.post(first.link)).status_code == 303
    async with town.database.read() as session:
        found = await reachability.of_household(session, town.household_id, town.clock.now_us())
    assert sorted((one.standing, one.reason) for one in found) == [
        ("doubtful", "test_not_answered"), ("reachable", "proven"),
    ]  # fmt: skip
    # a test is nowhere among what burns
    assert {one.open_key for one in await town.all(Incident)} == {None}
    assert mails.sent == [first, second], "nobody else is told who answered a test"
    town.clock.advance(timedelta(days=15))
    async with town.database.write() as session:
        assert await drills.forget_old(session, town.clock.now_us()) == 1


@given(st.integers(0, 2_000_000), st.integers(0, 50_000))
def test_all_are_tested_within_the_days_of_one_round(contacts: int, today: int) -> None:
    share = drills.share_of_today(contacts, today)
    assert share >= 0
    assert drills.share_of_today(contacts, 0) * drills.SPREAD_DAYS >= contacts


# ---- the channels' health ------------------------------------------------------------------------


async def _states(town: Town) -> list[tuple[str, bool, str, str]]:
    async with town.database.read() as session:
        found = await health.channels(session, town.clock.now_us())
    return [(one.channel, one.failing, one.reason, one.by) for one in found]


async def test_a_dead_provider_shows_within_three_minutes_and_its_return_too(town: Town) -> None:
    clock = town.clock
    channel = ScriptedChannel(*[Outcome("accepted", "accepted")] * 2, *[DOWN] * 3)
    lost = ScriptedChannel(*[Outcome("unknown", "answer_lost")] * 9, name="sms")
    settings = CanarySettings(addresses={"email": "canary@example.mn", "sms": "+97699000000"})
    canary = Canary({"email": channel, "sms": lost}, clock, settings)

    async def minute() -> None:
        for _ in range(4):
            await canary.round()
            async with town.database.write() as session:
                await health.keep(session, canary.health(), clock.now_us())
            clock.advance(timedelta(seconds=15))

    await minute()
    assert await _states(town) == [
        ("email", False, "accepted", "canary"), ("sms", False, "answer_lost", "canary"),
    ]  # fmt: skip
    await minute()
    await minute()
    assert await _states(town) == [
        ("email", True, "connection_failed", "canary"), ("sms", True, "answer_lost", "canary"),
    ]  # fmt: skip
    for _ in range(4):
        await minute()
    assert ("email", False, "accepted", "canary") in await _states(town)
    clock.advance(timedelta(minutes=4))  # the process that sent canaries is gone
    assert ("email", True, "canary_stopped", "canary") in await _states(town)


async def test_without_a_canary_messages_that_wait_say_so(town: Town) -> None:
    channel = ScriptedChannel(*[DOWN] * 2)
    await town.alarm()
    await town.worker(channel).run_until_idle()
    assert await _states(town) == [("email", True, "connection_failed", "messages")]
    async with town.database.read() as session:
        [state] = await health.channels(session, town.clock.now_us())
    assert state.waiting == 2
    town.clock.advance(timedelta(seconds=31))
    await town.worker(channel).run_until_idle()
    assert await _states(town) == []


class _Upkept:
    """A gateway's upkeep over a town."""

    def __init__(self, town: Town, settings: AlertSettings, **channels: Any) -> None:
        self.metrics = Metrics()
        worker = town.worker(*channels.values())
        city: Any = SimpleNamespace(
            database=town.database, clock=town.clock, metrics=self.metrics, policy=DEFAULT_POLICY,
            doors=Doors(channels=channels), wake_alerts=lambda: None,
        )  # fmt: skip
        self.upkeep = Upkeep(city, worker, settings)


async def test_the_gateway_shows_a_failing_channel_in_its_metrics_and_on_the_first_page(
    house: House,
) -> None:
    town = house.town
    canary = {"addresses": {"email": "canary@example.mn"}}
    settings = AlertSettings(canary=canary)  # type: ignore[arg-type]
    kept = _Upkept(town, settings, email=ScriptedChannel(*[DOWN] * 9))
    assert set(kept.upkeep.tasks()) == {"canary", "drills"}
    await kept.upkeep._canary.round()
    await kept.upkeep.keep_health()
    assert b'utaa_channel_failing{channel="email"} 1.0' in kept.metrics.text()
    await house.people.new_person("duty.one", "correct horse battery", ["duty"])
    form = {"login": "duty.one", "password": "correct horse battery", "next": "/"}
    await house.client.post("/signin", data=form)
    page = await house.client.get("/")
    assert "Имэйл: мэдэгдэл одоо явахгүй байна" in page.text


async def test_of_several_processes_one_plans_the_tests(town: Town) -> None:
    town.clock.set_wall(DAY_US)
    first, second = (_Upkept(town, AlertSettings()).upkeep for _ in range(2))
    assert await first.drill() == 1
    town.clock.advance(timedelta(days=1))
    assert await first.drill() == 1
    async with town.database.write() as session:
        await session.execute(update(Contact).values(drilled_us=None))
    assert await second.drill() == 0, "the other one holds it"


# ---- bounces ---------------------------------------------------------------------------------


async def test_a_bounce_in_the_maildir_counts_and_is_put_away(town: Town, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    mails = ScriptedChannel()
    await town.alarm()
    await town.worker(mails).run_until_idle()
    (new / "1.a").write_bytes(bounce(mails.sent[0].delivery_id))
    (new / "2.b").write_bytes("Сайн байна уу".encode())

    async def take() -> int:
        return await mailbox.take_in_all(tmp_path, town.database, town.clock, DEFAULT_POLICY)

    assert await take() == 1
    assert await town.states() == ["accepted", "refused"]
    assert sorted(path.name for path in (tmp_path / "cur").iterdir()) == ["1.a:2,S", "2.b:2,S"]
    assert await take() == 0
    assert await mailbox.take_in_all(tmp_path / "no", town.database, town.clock, DEFAULT_POLICY) == 0
