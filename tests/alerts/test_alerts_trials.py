"""A technician's test alarm is told to nobody of the home; a real one is told, during it too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alerts.incidents import Applied
from alerts.models import Incident, Notification
from alerts.openings import Said, apply_alarms
from edge.wire.clock import US_PER_S
from edge.wire.identity import detector_id
from edge.wire.messages import Alarm
from registry.acts import Act
from registry.fieldwork import trials
from registry.fieldwork.models import Trial
from registry.models import Detector
from registry.rights import Actor
from registry.sites import Conflict
from tests.alerts.city import EPOCH, SITE, Town

HANDS = Actor("technician-1", "staff")
_COUNT = iter(range(10_000))


async def _try(town: Town, for_s: int = 180, actor: Actor = HANDS) -> str:
    async with town.database.write() as session:
        detector = await session.get_one(Detector, town.detector)
        act = Act(actor, town.clock.now_us())
        return (await trials.begin(session, act, detector, for_s)).id


async def _say(town: Town, *alarms: Alarm) -> list[Applied]:
    """What a site says, by the way of many at once."""
    said = [Said(SITE, EPOCH, alarm, "raise", 0, True) for alarm in alarms]
    async with town.database.write() as session:
        return await apply_alarms(session, said, now_us=town.clock.now_us(), policy=town.policy)


def _alarm(town: Town, kind: Any = "smoke", **fields: Any) -> Alarm:
    values = {"detector": town.detector, "raised_us": town.clock.now_us(), "revision": 1, **fields}
    return Alarm(id=f"alarm-{next(_COUNT)}", kind=kind, reason="own word", **values)


async def test_only_the_technician_learns_of_the_test_alarm(any_town: Town) -> None:
    trial_id = await _try(any_town)
    for word in (_alarm(any_town, test=True), _alarm(any_town, "test", test=True)):
        (applied,) = await _say(any_town, word)
        assert applied.changed and applied.notified == 0
    assert await any_town.told() == []
    assert "technician_alone" in await any_town.story()
    (trial,) = await any_town.all(Trial)
    assert (trial.id, trial.heard_us, trial.kind) == (trial_id, any_town.clock.now_us(), "smoke")


async def test_a_real_alarm_during_it_is_told_to_everybody(any_town: Town) -> None:
    async with any_town.database.write() as session:
        first = await session.get_one(Detector, any_town.detector)
        other = detector_id(SITE, "native", "other")
        session.add(
            Detector(
                id=other, site_id=SITE, source="native", address="other", status="in_service",
                household_id=first.household_id,
            )
        )  # fmt: skip
    await _try(any_town)
    await _say(any_town, _alarm(any_town, test=True))
    # another detector of the home; and what the tried one itself measures
    for detector, kind in ((other, "smoke"), (any_town.detector, "co")):
        (applied,) = await _say(any_town, _alarm(any_town, kind, detector=detector))
        assert applied.notified > 0
    assert {notification.message for notification in await any_town.all(Notification)} == {"fire", "co"}


async def test_a_test_that_turns_real_is_told(any_town: Town) -> None:
    await _try(any_town)
    word = _alarm(any_town, test=True)
    await _say(any_town, word)
    over = Alarm(
        id=word.id, kind="smoke", detector=word.detector, raised_us=word.raised_us, revision=2,
        reason="measured during the test", test=True, cleared_us=any_town.clock.now_us(),
    )  # fmt: skip
    await _say(any_town, over)
    (applied,) = await _say(any_town, _alarm(any_town))
    assert applied.notified > 0
    hazards = {incident.hazard: incident.state for incident in await any_town.all(Incident)}
    assert hazards == {"test": "all_clear", "fire": "opened"}


async def test_after_its_end_a_test_is_told_to_the_home_again(any_town: Town) -> None:
    await _try(any_town, for_s=60)
    any_town.clock.advance(timedelta(seconds=60, minutes=2))
    (applied,) = await _say(any_town, _alarm(any_town, test=True))
    assert applied.notified == 1
    assert [message for message, _, _ in await any_town.told()] == ["test"]


async def test_pressed_twice_it_stays_silent_and_late_words_still_belong_to_it(town: Town) -> None:
    await _try(town)
    raised_us = town.clock.now_us()
    word = _alarm(town, test=True)
    await _say(town, word)
    town.clock.advance(timedelta(seconds=20))
    await town.alarm(word.id, revision=2, transition="clear", raised_us=raised_us,
                     cleared_us=town.clock.now_us(), test=True)  # fmt: skip
    await _say(town, _alarm(town, test=True))  # the same incident burns again, still silently
    town.clock.advance(timedelta(hours=2))
    late = _alarm(town, "heat", test=True, raised_us=raised_us + 30 * US_PER_S)
    assert [applied.notified for applied in await _say(town, late)] == [0]
    assert await town.told() == []


async def test_two_technicians_do_not_share_a_detector_and_a_time_has_bounds(town: Town) -> None:
    await _try(town, for_s=86_400)
    (trial,) = await town.all(Trial)
    assert trial.until_us - trial.started_us == trials.MAX_TRIAL_S * US_PER_S
    with pytest.raises(Conflict):
        await _try(town, actor=Actor("technician-2", "staff"))
    again = await _try(town, for_s=1)
    running = {one.id: one for one in await town.all(Trial) if trials.runs(one, town.clock.now_us())}
    assert list(running) == [again]
    assert running[again].until_us - running[again].started_us == trials.MIN_TRIAL_S * US_PER_S
