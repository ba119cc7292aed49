"""Reachability, the breaker, the canary and the CAP feed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from sqlalchemy import update

from alerts import incidents, reachability, wishes
from alerts.canary import Canary
from alerts.cap import feed, read_cap, write_cap
from alerts.channels.base import Message, Outcome
from alerts.channels.limits import BREAK_AFTER, PAUSE_S, Limited
from alerts.models import CapMessage, Delivery
from alerts.settings import CanarySettings
from alerts.texts import load_catalogues
from edge.wire.clock import US_PER_S
from registry.models import ContactChannel
from tests.alerts.city import ADDRESS, ScriptedChannel, Town
from tests.alerts.simulators import Apprise
from tests.alerts.test_alerts_email import message

DOWN = Outcome("retry", "connection_failed")
DAY_S = 86_400


@pytest.mark.parametrize(
    ("fields", "known", "expected"),
    [
        ({}, (None, None), ("doubtful", "never_tested")),
        ({"verified_us": 1}, (None, None), ("doubtful", "not_tested_this_quarter")),
        ({"verified_us": -1}, (None, None), ("reachable", "proven")),
        ({"heard_us": -1}, (None, None), ("reachable", "proven")),
        ({}, (-1, None), ("reachable", "proven")),
        ({}, (-2, -1), ("doubtful", "last_message_failed")),
        ({}, (-1, -2), ("reachable", "proven")),
        ({"dead_us": 1, "dead_reason": "bounced"}, (-1, None), ("unreachable", "bounced")),
        ({"withdrawn_us": 1}, (-1, None), ("unreachable", "consent_withdrawn")),
    ],
)
def test_a_channel_stands_as_its_proofs_say(
    fields: dict[str, Any], known: tuple[int | None, int | None], expected: tuple[str, str]
) -> None:
    """Negative numbers are that many days before now; 1 is the beginning of time."""
    now_us = 400 * DAY_S * US_PER_S

    def at(value: object) -> Any:
        return now_us + value * DAY_S * US_PER_S if isinstance(value, int) and value < 0 else value

    channel = ContactChannel(**{name: at(value) for name, value in fields.items()})
    proofs = reachability._Known(at(known[0]), at(known[1]))
    assert reachability.judge(channel, proofs, now_us) == expected


async def test_the_list_of_a_khoroo_names_who_cannot_be_reached_and_why(any_town: Town) -> None:
    town = any_town
    now_us = town.clock.now_us()

    async def reach(code: str = "1116") -> list[tuple[str, str]]:
        async with town.database.read() as session:
            found = await reachability.of_households(session, now_us, unit_code=code)
        return [(each.standing, each.reason) for each in found]

    assert await reach() == [("doubtful", "never_tested")]
    assert await reach("1117") == []
    await town.alarm()
    await town.worker(ScriptedChannel()).run_until_idle()
    assert await reach() == [("doubtful", "never_tested")], "accepted is not delivered"
    async with town.database.write() as session:
        await session.execute(update(Delivery).values(state="seen", seen_us=now_us))
    assert await reach() == [("reachable", "proven")]
    async with town.database.write() as session:
        for channel in await town.all(ContactChannel):
            await wishes.withdraw_consent(session, channel.id, "link", now_us)
    assert await reach() == [("unreachable", "consent_withdrawn")]


async def test_a_provider_that_is_down_is_spared_and_tried_again_after_a_pause() -> None:
    now_s = 0.0
    inner = ScriptedChannel(*[DOWN] * (BREAK_AFTER + 1))
    limited = Limited(inner, now_s=lambda: now_s)
    for _ in range(BREAK_AFTER):
        assert (await limited.send(message())).reason == "connection_failed"
    spared = await limited.send(message())
    assert (spared.kind, spared.reason) == ("retry", "circuit_open")
    assert spared.retry_after_s == PAUSE_S[0]
    assert len(inner.sent) == BREAK_AFTER
    now_s = PAUSE_S[0]
    assert (await limited.send(message())).reason == "connection_failed"
    now_s += PAUSE_S[0]
    assert (await limited.send(message())).reason == "circuit_open", "the pause has doubled"
    now_s += PAUSE_S[0]
    assert (await limited.send(message())).kind == "accepted"
    assert not limited.is_open


async def test_one_bad_message_does_not_open_the_breaker() -> None:
    refusals = [Outcome("refused", "address_unknown")] * (3 * BREAK_AFTER)
    limited = Limited(ScriptedChannel(*refusals))
    for _ in refusals:
        await limited.send(message())
    assert not limited.is_open


async def test_an_open_breaker_moves_the_alarm_on_within_the_same_pass(town: Town) -> None:
    limited = Limited(ScriptedChannel(*[DOWN] * 99))
    for _ in range(BREAK_AFTER):
        await limited.send(message())
    await town.add_contact("n", channel="neighbour", role="neighbour")
    next_door = ScriptedChannel(name="neighbour")
    await town.alarm()
    await town.worker(limited, next_door).run_until_idle()
    assert len(next_door.sent) == 1


async def test_a_rate_is_kept() -> None:
    import time

    limited = Limited(ScriptedChannel(), rate_per_s=50)
    begin = time.monotonic()
    for _ in range(6):
        await limited.send(message())
    assert time.monotonic() - begin >= 5 / 50


async def test_the_canary_shows_a_failing_provider_within_three_minutes_and_stops_the_heartbeat(
    town: Town,
) -> None:
    class Answers(ScriptedChannel):
        outcome = Outcome("accepted", "accepted")

        async def send(self, message: Message) -> Outcome:
            self.sent.append(message)
            return self.outcome

    switch = Apprise()
    await switch.start()
    free, dear = Answers(name="email"), Answers(name="sms")
    settings = CanarySettings(
        addresses={"email": "canary@example.mn", "sms": "99000000"}, every_s={"sms": 3600},
        heartbeat_url=switch.origin + "/beat",
    )  # fmt: skip
    shown: list[tuple[str, bool]] = []
    canary = Canary(
        {"email": free, "sms": dear}, town.clock, settings,
        on_change=lambda health: shown.append((health.channel, health.failing)),
    )  # fmt: skip
    for _ in range(10):
        assert await canary.round()
        town.clock.advance(timedelta(minutes=1))
    assert (len(free.sent), len(dear.sent), switch.requests) == (10, 1, 10)
    free.outcome = Outcome("unknown", "answer_lost")
    waited_min = 0
    while not shown and waited_min < 10:
        await canary.round()
        town.clock.advance(timedelta(minutes=1))
        waited_min += 1
    assert shown == [("email", True)]
    assert waited_min <= 3
    before = switch.requests
    assert not await canary.round()
    assert switch.requests == before
    free.outcome = Outcome("accepted", "accepted")
    town.clock.advance(timedelta(minutes=1))
    assert await canary.round()
    assert shown[-1] == ("email", False)
    await switch.stop()


async def test_cap_messages_refer_to_each_other_and_the_feed_names_them_without_an_address(
    town: Town, shared_data: Path
) -> None:
    applied = await town.alarm()
    worker = town.worker(ScriptedChannel())
    for seconds in (0, 60, 120):
        town.clock.advance(timedelta(seconds=seconds))
        await worker.run_until_idle()
    await town.alarm(revision=2, cleared_us=town.clock.now_us(), transition="clear")
    town.clock.advance(timedelta(minutes=1))
    async with town.database.write() as session:
        await incidents.resolve(
            session, applied.incident_id or "", "fault", "person:duty", town.clock.now_us()
        )
    rows = sorted(await town.all(CapMessage), key=lambda row: row.number)
    assert [row.msg_type for row in rows] == ["Alert", "Update", "Cancel"]
    async with town.database.read() as session:
        alerts = [
            await feed.cap_message(session, town.keyring, load_catalogues(), row.id, "utaa@example.mn")
            for row in rows
        ]
        entries = await feed.newest(session)
    read = [read_cap(write_cap(alert)) for alert in alerts if alert is not None]
    assert [alert.msg_type for alert in read] == ["Alert", "Update", "Cancel"]
    for number, alert in enumerate(read):
        named = [reference.identifier for reference in alert.references]
        assert named == [earlier.identifier for earlier in read[:number]]
        assert [reference.sent_us for reference in alert.references] == [
            earlier.sent_us for earlier in read[:number]
        ]
    assert [alert.infos[0].urgency for alert in read] == ["Immediate", "Past", "Past"]
    assert read[0].infos[0].areas[0].description == ADDRESS
    xml = feed.atom_feed(entries, public_url="https://utaa.example/", now_us=town.clock.now_us())
    assert ADDRESS not in xml.decode()
    atom = "{http://www.w3.org/2005/Atom}"
    root = fromstring(xml)
    links = [entry.find(f"{atom}link").get("href") for entry in root.findall(f"{atom}entry")]  # type: ignore[union-attr]
    assert links == [f"https://utaa.example/cap/{row.id}" for row in reversed(rows)]
