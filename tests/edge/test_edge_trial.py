"""A technician's test alarm at the site: its own word is a test, what is measured is real."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.wire.clock import US_PER_S
from tests.edge.test_edge_core import NOW_US, House, ident, obey, told

UNTIL_US = NOW_US + 180 * US_PER_S


@pytest.fixture
def trial(tmp_path: Path) -> House:
    """A home with two detectors and a siren; the attic's is being tried."""
    house = House(tmp_path)
    house.configure("attic", "hall")
    assert obey(house, "test", ident("attic"), until_us=UNTIL_US, only="own_word")[0]
    return house


def _alarms(house: House, address: str = "attic") -> list[tuple[str, bool, str]]:
    house.commit()
    said: list[Any] = [event for event in house.events() if event.alarm]
    return [
        (event.transition, event.alarm.get("test", False), event.alarm["reason"])
        for event in said
        if event.alarm["detector"] == ident(address)
    ]


def test_the_button_is_a_test_and_another_detector_of_the_home_is_real(trial: House) -> None:
    trial.say("attic", smoke_alarm=True)
    trial.say("hall", smoke_alarm=True)
    assert [said[:2] for said in _alarms(trial)] == [("raise", True)]
    assert [said[:2] for said in _alarms(trial, "hall")] == [("raise", False)]


def test_smoke_that_is_measured_during_the_trial_is_real(trial: House) -> None:
    for smoke_db_m in (0.01, 0.02, 0.01, 0.02, 0.01, 1.2, 1.5, 1.6, 1.7, 1.8, 1.9):
        trial.wait(timedelta(seconds=10))
        trial.say("attic", smoke_alarm=True, optical_density_db_m=smoke_db_m)
    assert trial.clock.now_us() < UNTIL_US
    said = _alarms(trial)
    assert said[0][:2] == ("raise", True)
    assert ("clear", True, "measured during the test") in said
    assert [one[1] for one in said if one[0] == "raise"] == [True, False]
    assert told(trial) == []  # no siren is registered; nothing else was told either


def test_it_ends_by_itself_also_over_a_restart_and_what_still_sounds_is_real(trial: House) -> None:
    trial.say("attic", smoke_alarm=True)
    trial.commit()
    trial.reopen()
    trial.wait(timedelta(seconds=179))
    assert [said[:2] for said in _alarms(trial)] == [("raise", True)]
    trial.wait(timedelta(seconds=2))
    assert [said[:2] for said in _alarms(trial)][-2:] == [("clear", True), ("raise", False)]
    assert trial.core.tests == {} == trial.spool.tests()


def test_the_technician_ends_it_and_troubles_were_never_covered(trial: House) -> None:
    trial.say("attic", battery_low=True, smoke_alarm=True)
    tests = {said[2]: said[1] for said in _alarms(trial)}
    assert sorted(tests.values()) == [False, True]
    trial.say("attic", battery_low=True, smoke_alarm=False)
    assert obey(trial, "end_test", ident("attic"))[0]
    trial.say("attic", battery_low=True, smoke_alarm=True)
    assert _alarms(trial)[-1][:2] == ("raise", False)


def test_a_mode_of_another_kind_is_refused(trial: House) -> None:
    assert not obey(trial, "test", ident("attic"), until_us=UNTIL_US, only="everything")[0]
