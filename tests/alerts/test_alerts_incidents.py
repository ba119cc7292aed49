"""Incidents: one story per household and hazard, whatever order its messages come in."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from alerts import incidents
from alerts.incidents import IncidentError
from alerts.models import AlarmRecord, Delivery, Incident
from alerts.records import OMITTED
from edge.wire.clock import US_PER_S
from edge.wire.identity import detector_id
from edge.wire.messages import Alarm
from tests.alerts.city import DAY_US, NIGHT_US, SITE, ScriptedChannel, Town

MINUTE_US = 60 * US_PER_S


def listed(town: Town, alarm_id: str = "a1", revision: int = 1, raised_us: int = NIGHT_US) -> Alarm:
    return Alarm(
        id=alarm_id, kind="smoke", detector=town.detector, raised_us=raised_us, revision=revision,
        reason="optical density",
    )  # fmt: skip


async def test_smoke_and_heat_of_one_home_are_one_fire_and_co_is_another(any_town: Town) -> None:
    first = await any_town.alarm("a1", "smoke")
    second = await any_town.alarm("a2", "heat")
    third = await any_town.alarm("a3", "co")
    assert (first.opened, second.opened, third.opened) == (True, False, True)
    assert first.incident_id == second.incident_id != third.incident_id
    assert second.notified == 0
    hazards = sorted(incident.hazard for incident in await any_town.all(Incident))
    assert hazards == ["co", "fire"]


async def test_a_repeated_event_changes_nothing(any_town: Town) -> None:
    first = await any_town.alarm()
    again = await any_town.alarm()
    assert again == (False, first.incident_id, False, 0)
    assert len(await any_town.told()) == 2


async def test_an_older_revision_that_comes_later_changes_nothing(town: Town) -> None:
    await town.alarm(
        revision=3, transition="clear", cleared_us=NIGHT_US + MINUTE_US, peak={"co_ppm": 9.0}
    )
    assert not (await town.alarm(revision=1)).changed
    record = await town.record("a1")
    assert (record.revision, record.cleared_us, record.peak) == (
        3, NIGHT_US + MINUTE_US, {"co_ppm": 9.0},
    )  # fmt: skip


async def test_a_clear_ends_the_incident_and_people_are_told_so(any_town: Town) -> None:
    await any_town.alarm()
    any_town.clock.advance(timedelta(minutes=3))
    await any_town.alarm(
        revision=2, raised_us=NIGHT_US, cleared_us=any_town.clock.now_us(), transition="clear"
    )
    incident = await any_town.incident()
    assert (incident.state, incident.open_key) == ("all_clear", None)
    assert incident.cleared_us == NIGHT_US + 3 * MINUTE_US
    assert await any_town.told() == [("all_clear", 1, 0)] * 2 + [("fire", 1, 0)] * 2


async def test_the_all_clear_never_overtakes_the_fire(town: Town) -> None:
    from alerts.channels.base import Outcome

    await town.alarm()
    await town.alarm(revision=2, cleared_us=NIGHT_US + 1, transition="clear")
    channel = ScriptedChannel(Outcome("retry", "throttled"), Outcome("retry", "throttled"))
    worker = town.worker(channel)
    await worker.run_until_idle()
    assert [message.kind for message in channel.sent] == ["fire", "fire"]
    town.clock.advance(timedelta(seconds=5))
    await worker.run_until_idle()
    assert [message.kind for message in channel.sent][2:] == ["fire", "fire", "all_clear", "all_clear"]


async def test_the_incident_lasts_until_its_last_alarm_is_over(town: Town) -> None:
    await town.alarm("a1")
    await town.alarm("a2", "heat")
    await town.alarm("a1", revision=2, cleared_us=NIGHT_US + 1, transition="clear")
    assert (await town.incident()).state == "opened"
    await town.alarm("a2", "heat", revision=2, cleared_us=NIGHT_US + 2, transition="clear")
    assert (await town.incident()).state == "all_clear"


async def test_a_breach_soon_after_the_all_clear_is_told_again_as_the_same_incident(
    any_town: Town,
) -> None:
    first = await any_town.alarm("a1")
    await any_town.alarm("a1", revision=2, cleared_us=NIGHT_US + MINUTE_US, transition="clear")
    any_town.clock.advance(timedelta(minutes=5))
    again = await any_town.alarm("a2")
    assert (again.incident_id, again.opened, again.notified) == (first.incident_id, False, 2)
    incident = await any_town.incident()
    assert (incident.state, incident.episode, incident.acknowledged_us) == ("opened", 2, None)
    assert ("fire", 2, 0) in await any_town.told()
    channel = ScriptedChannel()
    await any_town.worker(channel).run_until_idle()
    assert any(message.subject.startswith("ДАХИН: ГАЛ!") for message in channel.sent)


async def test_a_breach_long_after_the_all_clear_is_an_incident_of_its_own(town: Town) -> None:
    first = await town.alarm("a1")
    await town.alarm("a1", revision=2, cleared_us=NIGHT_US + MINUTE_US, transition="clear")
    town.clock.advance(timedelta(minutes=12))
    second = await town.alarm("a2")
    assert second.opened
    assert second.incident_id != first.incident_id


async def test_a_resolved_incident_stays_resolved_and_the_next_breach_opens_anew(town: Town) -> None:
    first = await town.alarm("a1")
    async with town.database.write() as session:
        await incidents.resolve(session, first.incident_id or "", "cooking", "duty", NIGHT_US + 1)
    second = await town.alarm("a2")
    assert second.opened
    old = await town.incident(first.incident_id)
    assert (old.state, old.cause) == ("resolved", "cooking")
    await town.alarm("a1", revision=2, cleared_us=NIGHT_US + 5, transition="clear")
    assert (await town.incident(first.incident_id)).state == "resolved"


async def test_an_acknowledgement_counts_once_and_blocks_no_next_raise(town: Town) -> None:
    first = await town.alarm("a1")
    async with town.database.write() as session:
        assert await incidents.acknowledge(session, first.incident_id or "", "first", NIGHT_US + 1)
        assert not await incidents.acknowledge(session, first.incident_id or "", "second", NIGHT_US + 2)
    incident = await town.incident()
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "first")
    await town.alarm("a1", revision=2, cleared_us=NIGHT_US + 3, transition="clear")
    again = await town.alarm("a2")
    assert again.notified == 2


@pytest.mark.parametrize("cause", ["", "arson", "REAL_FIRE"])
async def test_a_cause_outside_the_list_is_refused(town: Town, cause: str) -> None:
    applied = await town.alarm()
    async with town.database.write() as session:
        with pytest.raises(IncidentError) as caught:
            await incidents.resolve(session, applied.incident_id or "", cause, "duty", NIGHT_US)
    assert caught.value.reason == "unknown_cause"


async def test_what_does_not_exist_cannot_be_acknowledged(town: Town) -> None:
    async with town.database.write() as session:
        with pytest.raises(IncidentError) as caught:
            await incidents.acknowledge(session, "none", "duty", NIGHT_US)
    assert caught.value.reason == "unknown_incident"


# ---- live or history ----------------------------------------------------------------------------


async def test_an_alarm_that_was_over_before_it_came_is_told_once_as_history(any_town: Town) -> None:
    applied = await any_town.alarm(
        revision=2, raised_us=NIGHT_US - 60 * MINUTE_US, cleared_us=NIGHT_US - 50 * MINUTE_US,
        transition="clear", age_ms=50 * 60_000,
    )  # fmt: skip
    assert (applied.opened, applied.notified) == (True, 2)
    incident = await any_town.incident()
    assert (incident.state, incident.history, incident.open_key) == ("all_clear", True, None)
    assert await any_town.told() == [("history", 1, 0)] * 2
    # its raise, which comes later by another way, is older news
    assert not (await any_town.alarm(raised_us=NIGHT_US - 60 * MINUTE_US)).changed
    assert len(await any_town.told()) == 2


async def test_an_alarm_still_active_after_an_outage_is_live_with_its_beginning(town: Town) -> None:
    await town.snapshot(listed(town, raised_us=NIGHT_US - 120 * MINUTE_US))
    await town.alarm(raised_us=NIGHT_US - 120 * MINUTE_US, age_ms=120 * 60_000)
    assert await town.told() == [("fire", 1, 0)] * 2
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert "2026-01-31 01:12" in channel.sent[0].body


async def test_an_old_raise_that_the_sites_snapshot_no_longer_lists_is_history(town: Town) -> None:
    raised_us = NIGHT_US - 120 * MINUTE_US
    await town.snapshot()
    applied = await town.alarm(raised_us=raised_us, age_ms=120 * 60_000)
    assert applied.opened
    assert (await town.incident()).history
    await town.alarm(
        revision=2, raised_us=raised_us, cleared_us=raised_us + MINUTE_US, transition="clear"
    )
    assert await town.told() == [("history", 1, 0)] * 2
    assert (await town.incident()).cleared_us == raised_us + MINUTE_US


async def test_what_was_taken_for_history_and_lasts_after_all_is_told_as_live(town: Town) -> None:
    raised_us = NIGHT_US - 120 * MINUTE_US
    await town.snapshot()
    await town.alarm(raised_us=raised_us, age_ms=120 * 60_000)
    results = await town.snapshot(listed(town, raised_us=raised_us))
    assert [result.notified for result in results] == [2]
    incident = await town.incident()
    assert (incident.state, incident.history) == ("opened", False)
    assert ("fire", 2, 0) in await town.told()


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_backlog_that_overtakes_its_snapshot_wakes_nobody(
    any_town: Town, backwards: bool
) -> None:
    """Raised, updated and cleared while the city was away; several workers, so any order."""
    raised_us = NIGHT_US - 60 * MINUTE_US
    await any_town.snapshot(at_us=raised_us - MINUTE_US)
    said: list[dict[str, Any]] = [
        {"age_ms": 60 * 60_000},
        {"revision": 2, "transition": "update", "age_ms": 58 * 60_000},
    ]
    for words in reversed(said) if backwards else said:
        await any_town.alarm(raised_us=raised_us, **words)
        assert (await any_town.incident()).history
    await any_town.alarm(
        revision=3, raised_us=raised_us, cleared_us=raised_us + MINUTE_US, transition="clear",
        age_ms=55 * 60_000,
    )  # fmt: skip
    assert await any_town.told() == [("history", 1, 0)] * 2


async def test_an_old_raise_is_made_live_by_the_snapshot_of_its_epoch_that_lists_it(town: Town) -> None:
    raised_us = NIGHT_US - 60 * MINUTE_US
    await town.snapshot(epoch="another")
    await town.alarm(raised_us=raised_us, age_ms=60 * 60_000)
    assert (await town.incident()).history
    await town.snapshot(listed(town, raised_us=raised_us))
    incident = await town.incident()
    assert (incident.state, incident.history) == ("opened", False)


async def test_an_age_nobody_knows_and_active_is_live(town: Town) -> None:
    await town.alarm(raised_us=NIGHT_US - 600 * MINUTE_US, age_ms=None)
    assert await town.told() == [("fire", 1, 0)] * 2


@pytest.mark.parametrize("raised_us", [5, NIGHT_US + 400 * 24 * 3600 * US_PER_S])
async def test_a_clock_that_was_never_set_does_not_tell_people_nonsense(
    town: Town, raised_us: int
) -> None:
    await town.alarm(raised_us=raised_us, age_ms=90_000, clock_synced=False)
    assert (await town.incident()).raised_us == NIGHT_US - 90 * US_PER_S
    assert (await town.record("a1")).raised_us == raised_us


async def test_a_late_alarm_joins_the_incident_into_whose_life_its_raise_falls(town: Town) -> None:
    first = await town.alarm("a1")
    await town.alarm("a1", revision=2, cleared_us=NIGHT_US + 10 * MINUTE_US, transition="clear")
    town.clock.advance(timedelta(hours=3))
    second = await town.alarm("a2")
    late = await town.alarm(
        "a3", raised_us=NIGHT_US + 5 * MINUTE_US, cleared_us=NIGHT_US + 6 * MINUTE_US, revision=2,
        transition="clear",
    )  # fmt: skip
    assert second.incident_id != first.incident_id
    assert (late.incident_id, late.opened, late.notified) == (first.incident_id, False, 0)


# ---- sites, epochs, strangers -------------------------------------------------------------------


async def test_a_snapshot_under_a_new_epoch_closes_what_it_omits(any_town: Town) -> None:
    await any_town.alarm("a1")
    await any_town.alarm("a2", "co")
    any_town.clock.advance(timedelta(minutes=1))
    await any_town.snapshot(listed(any_town, "a1"), epoch="epoch-2", new_epoch=True)
    kept, closed = await any_town.record("a1"), await any_town.record("a2")
    assert kept.cleared_us is None
    assert (closed.cleared_us, closed.closed_reason) == (NIGHT_US + MINUTE_US, OMITTED)
    assert closed.reason == "optical density"
    states = {incident.hazard: incident.state for incident in await any_town.all(Incident)}
    assert states == {"fire": "opened", "co": "all_clear"}


async def test_the_same_epochs_snapshot_closes_nothing(town: Town) -> None:
    await town.alarm("a1")
    await town.snapshot(epoch="epoch-1")
    assert (await town.record("a1")).cleared_us is None


async def test_a_straggler_of_the_old_epoch_opens_nothing_live(town: Town) -> None:
    await town.alarm("a1", revision=1)
    town.clock.advance(timedelta(minutes=1))
    await town.snapshot(epoch="epoch-2", new_epoch=True)
    await town.alarm("a1", revision=2, transition="update")
    await town.alarm("a9", raised_us=NIGHT_US)
    for name in ("a1", "a9"):
        assert (await town.record(name)).closed_reason == OMITTED
    assert {incident.open_key for incident in await town.all(Incident)} == {None}
    real_us = NIGHT_US + 30 * US_PER_S
    await town.alarm("a1", revision=3, cleared_us=real_us, transition="clear")
    record = await town.record("a1")
    assert (record.cleared_us, record.closed_reason) == (real_us, None)


async def test_an_alarm_of_a_detector_nobody_registered_is_an_incident_of_its_site(town: Town) -> None:
    stranger = detector_id(SITE, "native", "unknown")
    applied = await town.alarm(detector=stranger)
    incident = await town.incident(applied.incident_id)
    assert (incident.subject_kind, incident.subject_id, incident.household_id) == ("site", SITE, None)
    assert applied.notified == 0
    assert "nobody_to_tell" in await town.story()


async def test_a_site_cannot_speak_of_another_sites_detector_or_alarm(town: Town) -> None:
    theirs = await town.alarm("a1")
    stolen = await town.alarm(
        "a1", revision=9, site="ger-2", cleared_us=NIGHT_US + 1, transition="clear"
    )
    assert stolen == (False, None, False, 0)
    assert (await town.record("a1")).cleared_us is None
    foreign = await town.alarm("b1", site="ger-2")
    assert foreign.incident_id != theirs.incident_id
    incident = await town.incident(foreign.incident_id)
    assert (incident.subject_kind, incident.household_id) == ("site", None)


async def test_a_test_is_never_told_as_a_fire(town: Town) -> None:
    town.clock.set_wall(DAY_US)
    await town.alarm("a1", test=True)
    assert {message for message, _, _ in await town.told()} == {"test"}
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert len(channel.sent) == 1
    assert channel.sent[0].subject.startswith("ТУРШИЛТ")
    assert "ГАЛ!" not in channel.sent[0].body
    assert not channel.sent[0].urgent


async def test_a_test_that_turns_out_to_be_real_becomes_a_fire(town: Town) -> None:
    await town.alarm("a1", test=True)
    applied = await town.alarm("a1", revision=2, transition="update", test=False)
    assert (applied.opened, applied.notified) == (True, 2)
    assert ("fire", 1, 0) in await town.told()
    by_hazard = {incident.hazard: incident.state for incident in await town.all(Incident)}
    assert by_hazard == {"test": "all_clear", "fire": "opened"}


async def test_a_fire_is_not_silenced_by_a_later_test_mark(town: Town) -> None:
    fire = await town.alarm("a1")
    await town.alarm("a1", revision=2, transition="update", test=True)
    assert (await town.incident(fire.incident_id)).state == "opened"


async def test_an_abandoned_alarm_ends_its_incident_and_comes_back_when_its_edge_does(
    town: Town,
) -> None:
    applied = await town.alarm("a1")
    async with town.database.write() as session:
        await incidents.abandon(session, "a1", "the house was moved", "duty", NIGHT_US + 1)
    assert (await town.incident()).state == "all_clear"
    assert (await town.record("a1")).cleared_us is None
    back = await town.alarm("a1", revision=2, transition="update")
    assert back.incident_id == applied.incident_id
    assert (await town.incident()).state == "opened"
    assert (await town.record("a1")).abandoned_us is None


# ---- troubles -----------------------------------------------------------------------------------


async def test_troubles_of_a_night_are_one_message_to_one_person_in_the_morning(town: Town) -> None:
    await town.alarm("t1", "low_battery")
    await town.alarm("t2", "tamper")
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await worker.run_until_idle()
    assert channel.sent == []
    town.clock.set_wall(DAY_US)
    await worker.run_until_idle()
    assert len(channel.sent) == 1
    assert "цэнэг бага (гал тогоо)" in channel.sent[0].body
    assert "салгасан" in channel.sent[0].body


async def test_a_trouble_that_is_over_before_the_morning_wakes_nobody(town: Town) -> None:
    await town.alarm("t1", "lost")
    await town.alarm("t1", "lost", revision=2, cleared_us=NIGHT_US + MINUTE_US, transition="clear")
    town.clock.set_wall(DAY_US)
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert channel.sent == []
    assert await town.states() == ["cancelled"]


async def test_a_trouble_that_comes_and_goes_is_told_once_a_day(town: Town) -> None:
    town.clock.set_wall(DAY_US)
    channel = ScriptedChannel()
    worker = town.worker(channel)
    for number in range(5):
        now_us = town.clock.now_us()
        await town.alarm(f"t{number}", "lost", raised_us=now_us)
        town.clock.advance(timedelta(minutes=40))
        await worker.run_until_idle()
        await town.alarm(
            f"t{number}", "lost", raised_us=now_us, revision=2, cleared_us=town.clock.now_us(),
            transition="clear",
        )  # fmt: skip
        town.clock.advance(timedelta(minutes=20))
    assert [message.kind for message in channel.sent] == ["trouble"]


async def test_another_trouble_of_a_long_one_is_told_with_it_the_next_day(town: Town) -> None:
    town.clock.set_wall(DAY_US)
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await town.alarm("t1", "low_battery")
    town.clock.advance(timedelta(hours=1))
    await worker.run_until_idle()
    await town.alarm("t2", "tamper")
    town.clock.advance(timedelta(hours=3))
    await worker.run_until_idle()
    assert len(channel.sent) == 1
    town.clock.advance(timedelta(hours=24))
    await worker.run_until_idle()
    assert len(channel.sent) == 2
    assert "цэнэг бага" in channel.sent[1].body


async def test_a_dead_site_is_one_incident_however_many_homes_hang_on_it(any_town: Town) -> None:
    async def say(what: str) -> incidents.Applied:
        async with any_town.database.write() as session:
            return await incidents.site_event(session, SITE, what, any_town.clock.now_us())

    first = await say("silent")
    assert first.opened
    assert not (await say("silent")).changed
    assert (await say("spool_reset")).incident_id == first.incident_id
    await say("back")
    incident = await any_town.incident()
    assert (incident.hazard, incident.state, incident.open_key) == ("site", "all_clear", None)
    assert not (await say("back")).changed


# ---- several workers at once --------------------------------------------------------------------


async def test_alarms_of_one_home_applied_at_once_by_many_workers_are_one_incident(
    any_town: Town,
) -> None:
    results = await asyncio.gather(*(any_town.alarm(f"a{number}") for number in range(12)))
    assert len({result.incident_id for result in results}) == 1
    assert sum(result.opened for result in results) == 1
    assert sum(result.notified for result in results) == 2
    assert len(await any_town.all(Delivery)) == 2


async def test_the_same_event_applied_at_once_by_many_workers_counts_once(any_town: Town) -> None:
    results = await asyncio.gather(*(any_town.alarm("a1") for _ in range(12)))
    assert sum(result.changed for result in results) == 1
    assert len(await any_town.all(AlarmRecord)) == 1
    assert len(await any_town.told()) == 2
