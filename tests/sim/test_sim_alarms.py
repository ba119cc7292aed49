"""The shipped scenarios, without a broker, through the edge's own sources and alarms."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import pytest

from edge.alarms.replay import replay
from edge.alarms.settings import Settings
from edge.alarms.types import Change
from edge.sources.base import RawMessage
from edge.sources.native import NativeSource
from edge.sources.zigbee2mqtt import Zigbee2MqttSource
from edge.wire.clock import US_PER_S, SystemClock
from edge.wire.errors import WireError
from edge.wire.readings import Reading
from firmware_sim.fleet import Fleet
from firmware_sim.ledger import Ledger
from firmware_sim.link import Broker
from firmware_sim.scenario import load

START_US = 1_790_000_000 * US_PER_S


@lru_cache(maxsize=4)
def decided(name: str, seconds: float) -> dict[str, list[Change]]:
    """What the edge decides of each detector, by address."""
    fleet = Fleet(load(name), "home", Broker("nowhere", 1), SystemClock(), Ledger(None))
    sources = (NativeSource("home"), Zigbee2MqttSource("home"))
    readings: dict[str, list[Reading]] = defaultdict(list)
    for home in fleet.homes:
        while home.air.at_s < seconds:
            home.live_until(home.next_s())
            now_us = START_US + round(home.air.at_s * US_PER_S)
            for device in home.devices:
                for said in device.speak(home.air, START_US):
                    raw = RawMessage(
                        topic=said.topic, payload=said.payload, retained=False, received_us=now_us
                    )
                    try:
                        decoded = sources[said.topic.startswith("zigbee")].decode(raw)
                    except WireError:
                        assert said.aside == "garbage"
                    else:
                        readings[said.address] += decoded.readings
    return {address: list(replay(Settings(), heard)) for address, heard in readings.items()}


def raised(changes: dict[str, list[Change]]) -> dict[str, set[str]]:
    """Kinds raised, by address; tests apart."""
    kinds = {
        address: {each.kind for each in listed if each.transition == "raise" and not each.test}
        for address, listed in changes.items()
    }
    return {address: found for address, found in kinds.items() if found}


def test_nobody_is_alarmed_on_a_quiet_day() -> None:
    assert raised(decided("quiet", 3 * 3600.0)) == {}


def test_the_demo_raises_its_dangers_and_nothing_else() -> None:
    found = raised(decided("demo", 600.0))
    # strong CO also exceeds the WHO's means: a notice, no alarm
    dangers = {address: kinds - {"co_exposure"} for address, kinds in found.items()}
    assert "smoke" in dangers.pop("ger-001-smoke")
    dangers.pop("ger-001-co", None)  # a fire makes CO too
    assert dangers.pop("ger-004-co") == {"co"}
    assert "smoke" in dangers.pop("house-010-smoke")
    dangers.pop("house-010-co", None)
    assert {address: kinds for address, kinds in dangers.items() if kinds} == {
        "ger-007-smoke": {"low_battery"},
        "house-009-smoke": {"tamper"},
    }


def test_a_self_test_is_a_test_to_the_edge() -> None:
    changes = decided("demo", 60.0)["ger-003-combined"]
    assert changes
    assert all(each.test or each.kind == "test" for each in changes)


def test_the_fire_in_the_middle_of_trouble_comes_through() -> None:
    assert "smoke" in raised(decided("trouble", 120.0))["ger-006-smoke"]


@pytest.mark.parametrize("address", ["ger-001-smoke", "ger-004-co", "house-010-smoke"])
def test_a_danger_of_the_demo_is_over_when_the_air_is_clear(address: str) -> None:
    changes = decided("demo", 3600.0)[address]
    still = {each.kind for each in changes if each.transition == "raise"} - {
        each.kind for each in changes if each.transition == "clear"
    }
    assert not still & {"smoke", "co", "heat"}
