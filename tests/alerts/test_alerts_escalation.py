"""The built-in ladder for fire and CO: who is told at once, after a minute, after three, and why."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import update

from alerts import acknowledge, incidents
from alerts.channels.base import Message, Outcome
from alerts.models import CapMessage, Delivery, IncidentEntry
from alerts.policy import DEFAULT_POLICY, Policy, Proof
from edge.wire.identity import detector_id
from registry.models import Contact, ContactChannel
from tests.alerts.city import MAILS, NIGHT_US, SITE, ScriptedChannel, Town
from tests.servers import until

NEIGHBOUR, DUTY, FAR_DUTY, DISTRICT, DESK = (
    f"{who}@example.mn" for who in ("neighbour", "duty", "far", "district", "desk")
)
REFUSED = Outcome("refused", "address_unknown", "550 5.1.1")


async def staffed(town: Town) -> Town:
    """A neighbour, the khoroo's duty, another khoroo's, the district's, and the city's desk."""
    await town.add_contact(NEIGHBOUR, role="neighbour", position=3)
    await town.add_contact(DUTY, role="duty", unit_code="111624")
    await town.add_contact(FAR_DUTY, role="duty", unit_code="111625")
    await town.add_contact(DISTRICT, role="duty", unit_code="1116")
    await town.add_contact(DESK, role="desk")
    return town


def by_rung(channel: ScriptedChannel) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for message in channel.sent:
        found.setdefault(message.rung, []).append(message.address)
    return {rung: sorted(addresses) for rung, addresses in found.items()}


@pytest.mark.parametrize("kind", ["smoke", "heat", "co"])
async def test_nobody_answers_then_neighbours_and_duty_then_the_desk_with_a_cap_message(
    any_town: Town, kind: str
) -> None:
    await staffed(any_town)
    await any_town.alarm(kind=kind)  # type: ignore[arg-type]
    channel = ScriptedChannel()
    worker = any_town.worker(channel)
    counts = []
    for _ in range(20):
        await worker.run_until_idle()
        counts.append(len(channel.sent))
        any_town.clock.advance(timedelta(seconds=10))
    assert by_rung(channel) == {0: sorted(MAILS), 1: sorted([*MAILS, NEIGHBOUR, DUTY]), 2: [DESK]}
    assert counts == [2] * 6 + [6] * 12 + [7] * 2
    ready = await any_town.all(CapMessage)
    assert [(row.number, row.msg_type, row.state) for row in ready] == [(1, "Alert", "opened")]


async def test_neighbours_and_duty_are_told_in_their_own_words(town: Town) -> None:
    await staffed(town)
    await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await worker.run_until_idle()
    town.clock.advance(timedelta(seconds=60))
    await worker.run_until_idle()
    words = {message.address: message for message in channel.sent if message.rung == 1}
    assert "ХӨРШИЙНД" in words[NEIGHBOUR].subject
    assert "хариу өгөөгүй" in words[DUTY].subject
    assert "ДАХИН" in words[MAILS[0]].subject
    assert all("ДАХИН" not in words[who].subject for who in (NEIGHBOUR, DUTY))


async def test_where_every_channel_of_a_home_is_refused_the_next_rung_follows_within_a_second(
    any_town: Town,
) -> None:
    await staffed(any_town)
    await any_town.alarm()
    channel = ScriptedChannel(REFUSED, REFUSED)
    await any_town.worker(channel).run_until_idle()  # the clock stands still: no rung by time
    assert by_rung(channel) == {0: sorted(MAILS), 1: sorted([NEIGHBOUR, DUTY])}
    reasons = [e.detail["reason"] for e in await any_town.all(IncidentEntry) if e.what == "planned"]
    assert reasons == ["at_once", "nobody_reached"]


async def test_a_home_without_a_living_channel_does_not_wait_a_minute(town: Town) -> None:
    await staffed(town)
    async with town.database.write() as session:
        await session.execute(
            update(ContactChannel)
            .where(ContactChannel.contact_id.in_(town.contacts[:2]))
            .values(dead_us=1, dead_reason="address_dead")
        )
    await town.alarm()
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert by_rung(channel) == {1: sorted([NEIGHBOUR, DUTY])}


async def test_one_contact_who_is_not_reached_is_told_again_while_the_other_has_been(
    town: Town,
) -> None:
    await staffed(town)
    await town.alarm()
    channel = ScriptedChannel(Outcome("unknown", "answer_lost"))
    await town.worker(channel).run_until_idle()
    first = channel.sent[0].address
    assert by_rung(channel) == {0: sorted(MAILS), 1: [first]}


async def test_a_climb_by_failure_is_not_repeated_when_its_time_comes(town: Town) -> None:
    await staffed(town)
    await town.alarm()
    channel = ScriptedChannel(REFUSED, REFUSED)
    worker = town.worker(channel)
    for _ in range(30):
        await worker.run_until_idle()
        town.clock.advance(timedelta(seconds=10))
    assert by_rung(channel) == {0: sorted(MAILS), 1: sorted([NEIGHBOUR, DUTY]), 2: [DESK]}


async def test_an_acknowledgement_is_told_to_the_others_by_first_name_and_to_nobody_else(
    any_town: Town,
) -> None:
    town = any_town
    await town.add_contact("third@example.mn", name="Дорж Сүхбат")
    applied = await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel, public_url="https://utaa.example")
    await worker.run_until_idle()
    link = next(m.link for m in channel.sent if m.address == "third@example.mn")
    async with town.database.write() as session:
        incident, first = await acknowledge.acknowledge_by_token(
            session, town.keyring, link.rpartition("/")[2], NIGHT_US
        )
    assert (incident, first) == (applied.incident_id, True)
    await worker.run_until_idle()
    told = [message for message in channel.sent if message.kind == "acknowledged"]
    assert sorted(message.address for message in told) == sorted(MAILS)
    assert all("Сүхбат 03:12 цагт" in message.body for message in told), "who and when"
    assert not any("Дорж" in message.body for message in told), "the first name only"
    assert not any(message.link for message in told)


async def test_the_duty_desk_is_named_as_such(town: Town) -> None:
    applied = await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await worker.run_until_idle()
    async with town.database.write() as session:
        await incidents.acknowledge(session, applied.incident_id or "", "person:duty", NIGHT_US)
    await worker.run_until_idle()
    told = [message for message in channel.sent if message.kind == "acknowledged"]
    assert len(told) == 2
    assert "Жижүүр" in told[0].body


async def test_the_all_clear_reaches_everybody_who_was_told(town: Town) -> None:
    await staffed(town)
    await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await worker.run_until_idle()
    town.clock.advance(timedelta(seconds=60))
    await worker.run_until_idle()
    await town.alarm(revision=2, cleared_us=NIGHT_US + 1, transition="clear")
    await worker.run_until_idle()
    over = sorted(message.address for message in channel.sent if message.kind == "all_clear")
    assert over == sorted([*MAILS, NEIGHBOUR, DUTY])


async def test_an_alarm_of_a_detector_nobody_registered_goes_to_the_duty_of_its_place(
    town: Town,
) -> None:
    await staffed(town)
    await town.alarm(detector=detector_id(SITE, "native", "nobody-knows-me"))
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert by_rung(channel) == {0: [DUTY]}


async def test_where_a_place_has_no_duty_the_desk_stands_in(town: Town) -> None:
    await town.add_contact(DESK, role="desk")
    await town.alarm(detector=detector_id(SITE, "native", "nobody-knows-me"))
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert [message.address for message in channel.sent] == [DESK]


@pytest.mark.parametrize(
    ("stops_at", "state", "climbs"),
    [
        ("acknowledged", "seen", True),
        ("seen", "seen", False),
        ("seen", "delivered", True),
        ("delivered", "seen", False),
        ("accepted", "accepted", False),
        ("delivered", "accepted", True),
    ],
)
async def test_the_policy_states_which_proof_stops_the_ladder(
    town: Town, stops_at: Proof, state: str, climbs: bool
) -> None:
    fire = msgspec.structs.replace(DEFAULT_POLICY.fire, stops_at=stops_at)
    town.policy = msgspec.structs.replace(DEFAULT_POLICY, fire=fire)
    await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await worker.run_until_idle()
    async with town.database.write() as session:
        await session.execute(update(Delivery).values(state=state))
    town.clock.advance(timedelta(seconds=61))
    await worker.run_until_idle()
    assert (len(channel.sent) > 2) == climbs
    assert ("ladder_stopped" in await town.story()) == (not climbs)


async def test_a_restart_in_the_middle_of_the_ladder_goes_on_from_its_step(any_town: Town) -> None:
    await staffed(any_town)
    await any_town.alarm()
    channel = ScriptedChannel()
    for _ in range(20):  # a new worker each time, as after a restart
        await any_town.worker(channel).run_until_idle()
        any_town.clock.advance(timedelta(seconds=10))
    assert by_rung(channel) == {0: sorted(MAILS), 1: sorted([*MAILS, NEIGHBOUR, DUTY]), 2: [DESK]}


async def test_the_second_rung_does_not_wait_for_a_channel_that_hangs(town: Town) -> None:
    import asyncio

    class Hangs(ScriptedChannel):
        async def send(self, message: Message) -> Outcome:
            await super().send(message)
            if message.rung == 0:
                await asyncio.Event().wait()
            return Outcome("accepted", "accepted")

    await staffed(town)
    await town.alarm()
    channel = Hangs(concurrency=20)
    worker = town.worker(channel)
    task = asyncio.create_task(worker.run())
    await until(lambda: len(channel.sent) == 2, "the first rung under way")
    town.clock.advance(timedelta(seconds=60))
    await until(lambda: len(channel.sent) == 6, "the second rung under way")
    worker.stop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_built_in_ladder_is_what_the_documents_say() -> None:
    policy: Policy = DEFAULT_POLICY
    for rule in (policy.fire, policy.co):
        assert [rung.timed_s for rung in rule.rungs] == [0, 60, 180]
        assert [rung.contacts for rung in rule.rungs] == ["all", "all", "none"]
        assert [rung.also for rung in rule.rungs] == [(), ("neighbours", "khoroo_duty"), ("desk",)]
        assert [rung.cap for rung in rule.rungs] == [False, False, True]
        assert all(rung.channels == "all" for rung in rule.rungs)
    assert policy.trouble.hours == (8, 20)
    assert policy.trouble.at_most_every_s == 24 * 3600


async def test_a_registered_duty_contact_is_told_and_a_wrong_one_is_refused(town: Town) -> None:
    from registry.households import ChannelEntry, ContactEntry, add_on_duty

    entry = ContactEntry("Жижүүр", channels=(ChannelEntry("sms", "9911 2233"),))
    async with town.database.write() as session:
        with pytest.raises(ValueError, match="expected the role"):
            await add_on_duty(session, town.keyring, "duty", None, entry)
        await add_on_duty(session, town.keyring, "duty", "1116", entry)
    await town.alarm(detector=detector_id(SITE, "native", "nobody-knows-me"))
    channel = ScriptedChannel(name="sms")
    await town.worker(channel).run_until_idle()
    assert [message.address for message in channel.sent] == ["+97699112233"]


async def test_a_contact_marked_as_neighbour_stays_one_when_the_list_is_sent_again(
    town: Town,
) -> None:
    from registry.households import ContactEntry, replace_contacts

    for role in ("neighbour", None):
        entries = [ContactEntry("Ах"), ContactEntry("Хөрш", role=role)]
        async with town.database.write() as session:
            await replace_contacts(
                session, town.keyring, town.household_id, entries, now_us=town.clock.now_us()
            )
    living = [c for c in await town.all(Contact) if c.gone_us is None]
    assert sorted(c.role for c in living) == ["neighbour", "resident"]
