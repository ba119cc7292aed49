"""One device that says far too much: it is thinned, told of once, and nobody else waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.agent.floods import CALM, MOST, SLOT_US, WINDOW_US, Floods
from edge.wire.readings import Reading
from edge.wire.topics import detector_topic
from tests.edge.conftest import AgentProcess, City
from tests.edge.test_edge_core import House
from tests.servers import until

WINDOW = timedelta(microseconds=WINDOW_US)
SLOT = timedelta(microseconds=SLOT_US)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.configure("mad", "other")
    for each in ("mad", "other"):
        house.say(each, smoke_alarm=False)
    house.wait(WINDOW)
    house.commit()
    return house


def _flood(house: House, words: int = MOST + 500, **values: Any) -> None:
    for number in range(words):
        house.say("mad", temperature_c=20 + number % 7, **({"smoke_alarm": False} | values))


def _told(house: House) -> list[tuple[str, str]]:
    return [each for each in house.commit() if each[1] != "device"]


def test_a_flood_is_thinned_counted_and_told_once(house: House) -> None:
    _flood(house)
    dropped = house.core.counters["readings"]["flood_dropped"]
    assert dropped >= 490
    assert len(house.core.batch.readings) <= MOST + 1
    assert _told(house) == [("raise", "fault")]
    _flood(house)
    assert house.core.counters["readings"]["flood_dropped"] == dropped + MOST + 500
    assert _told(house) == []
    assert house.core.counters["readings"]["floods"] == 1


def test_the_first_word_of_fire_in_a_flood_is_always_heard(house: House) -> None:
    _flood(house)
    house.say("mad", smoke_alarm=True)
    house.say("mad", smoke_alarm=False)
    assert house.core.urgent
    assert ("raise", "smoke") in _told(house)


def test_a_device_that_alternates_without_end_is_one_alarm_until_it_is_calm(house: House) -> None:
    for _ in range(MOST):
        house.say("mad", smoke_alarm=True)
        house.wait(timedelta(milliseconds=1))
        house.say("mad", smoke_alarm=False)
        house.wait(timedelta(milliseconds=1))
    told = _told(house)
    assert 1 <= told.count(("raise", "smoke")) <= MOST // 100 + 1
    house.wait(WINDOW)
    house.wait(WINDOW)
    after = _told(house)
    assert ("clear", "fault") in after
    assert not house.core.alarms(), "its last word was that all is well"


def test_others_are_heard_as_ever_while_one_floods(house: House) -> None:
    _flood(house)
    house.commit()
    for number in range(50):
        house.say("other", temperature_c=20 + number)
    assert len(house.core.batch.readings) == 50
    house.say("other", smoke_alarm=True)
    assert _told(house) == [("raise", "smoke")]


def test_what_a_broker_delivers_again_is_no_flood(house: House) -> None:
    for number in range(2 * MOST):
        house.say("mad", redelivered=True, time=1_790_000_000 - number, temperature_c=20)
    assert len(house.core.batch.readings) == 2 * MOST
    assert _told(house) == []


def test_the_trouble_of_a_flood_does_not_outlive_a_restart(house: House) -> None:
    _flood(house)
    house.commit()
    house.reopen()
    assert ("clear", "fault") in _told(house)


def test_a_flood_lets_one_reading_in_a_slot_through_and_ends_after_a_quiet_window() -> None:
    floods = Floods()
    one = Reading(detector="d", time_us=1)
    for _ in range(MOST):
        assert not floods.says("d", 0)
    assert floods.says("d", 0)
    assert not floods.says("e", 0)
    assert floods.begun == ["d"]
    assert not floods.passes(one, SLOT_US - 1, alarming=False, news=False)
    assert floods.passes(one, SLOT_US, alarming=False, news=False)
    assert not floods.passes(one, 9 * SLOT_US, alarming=True, news=False)
    assert floods.passes(one, SLOT_US, alarming=True, news=True)
    assert floods.wake_us == WINDOW_US
    assert floods.ended(WINDOW_US) == [], "it said too much within this window"
    for _ in range(CALM - 1):
        floods.says("d", WINDOW_US + 1)
    assert [each.detector for each in floods.ended(2 * WINDOW_US)] == ["d"]
    assert floods.wake_us is None


class Flooder:
    """A device that publishes as fast as the broker takes it."""

    def __init__(self, port: int) -> None:
        self.sent = 0
        self._ended = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.02):  # some thousands a second, and the tests beside it live
            for _ in range(80):
                self._client.publish(
                    detector_topic("mad", "reading"), b'{"temperature_c": %d}' % (self.sent % 40), qos=1
                )
                self.sent += 1

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._client.loop_stop()
        self._client.disconnect()


@pytest.fixture
def flooder(broker: Any) -> Iterator[Flooder]:
    flooder = Flooder(broker.port)
    yield flooder
    flooder.end()


@pytest.mark.servers
async def test_a_flood_at_a_real_broker_delays_nobody_elses_alarm(
    agent: AgentProcess, city: City, flooder: Flooder
) -> None:
    agent.start()
    faults = lambda: city.alarms("raise", "fault")  # noqa: E731 - a name for what is awaited
    await until(faults, "the flood is told of", 30)
    for room in ("kitchen", "attic"):
        await city.say(room, smoke_alarm=True)
        await until(
            lambda room=room: any(
                event.alarm and event.alarm.detector == city.detector(room)
                for event in city.alarms("raise", "smoke")
            ),
            f"the alarm of the {room}, while the other floods",
        )  # fmt: skip
    before = flooder.sent
    await until(lambda: flooder.sent > before, "it still floods")
    assert [event.alarm.detector for event in faults() if event.alarm] == [city.detector("mad")]
    assert flooder.sent > 2 * MOST
    kept = sum(reading.detector == city.detector("mad") for reading in city.readings())
    assert kept < flooder.sent
