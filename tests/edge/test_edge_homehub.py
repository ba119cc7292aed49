"""A home hub sees every registered detector and the site; nothing of it comes back as a detector."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest

from edge.outputs import HomeHub
from edge.sources import RawMessage, build
from edge.wire.identity import detector_id
from edge.wire.messages import Alarm, DetectorSettings, DeviceFact
from tests.edge.conftest import AgentProcess, City
from tests.edge.test_edge_agent import started
from tests.servers import until

SITE = "site"


def ident(address: str) -> str:
    return detector_id(SITE, "native", address)


def hub(*addresses: str, only: list[str] | None = None, **facts: Any) -> HomeHub:
    listed = {
        ident(one): DetectorSettings(detector=ident(one), source="native", address=one)
        for one in addresses
    }
    known = {
        ident(one): DeviceFact(detector=ident(one), source="native", address=one, **fact)
        for one, fact in facts.items()
    }
    made = HomeHub(SITE, "homeassistant", only)
    made.configure(listed, known.get)
    return made


def alarm(address: str, kind: Any, **rest: Any) -> Alarm:
    return Alarm(
        id=f"{address}-{kind}", kind=kind, detector=ident(address), raised_us=1, revision=1, reason="",
        **rest,
    )  # fmt: skip


def states(orders: list[Any]) -> dict[str, dict[str, str]]:
    return {
        order.topic.split("/")[-2]: json.loads(order.payload)
        for order in orders
        if order.topic.endswith("/state")
    }


def test_every_device_class_is_announced_once_and_retained() -> None:
    home = hub("attic")
    orders = home.orders([])
    configs = [json.loads(order.payload) for order in orders if order.topic.endswith("/config")]
    assert all(order.retain for order in orders)
    of_attic = {c["device_class"] for c in configs if c["device"]["name"] == "attic"}
    assert of_attic == {"smoke", "carbon_monoxide", "tamper", "battery", "connectivity", "problem"}
    of_site = {c["device_class"] for c in configs if c["device"]["name"] == SITE}
    assert of_site == {"smoke", "carbon_monoxide", "problem"}
    assert len({c["unique_id"] for c in configs}) == 9
    assert home.orders([]) == []


def test_states_follow_the_sites_own_judgement_and_leave_tests_out() -> None:
    home = hub("attic", "cellar")
    home.orders([])
    said = states(home.orders([alarm("attic", "smoke"), alarm("cellar", "lost")]))
    assert said[ident("attic")]["smoke"] == "ON"
    assert said[ident("attic")]["connectivity"] == "ON"
    assert said[ident("cellar")]["connectivity"] == "OFF"
    assert said[SITE] == {"smoke": "ON", "carbon_monoxide": "OFF", "problem": "ON"}
    said = states(home.orders([alarm("attic", "co", test=True)]))
    assert said[SITE] == {"smoke": "OFF", "carbon_monoxide": "OFF", "problem": "OFF"}
    assert said[ident("attic")]["carbon_monoxide"] == "OFF"


def test_a_detector_is_shown_with_what_it_senses_and_only_where_it_may_be() -> None:
    home = hub("attic", "cellar", only=["attic"], attic={"senses": ("co_ppm",), "maker": "Acme"})
    configs = [json.loads(o.payload) for o in home.orders([]) if o.topic.endswith("/config")]
    shown = {c["device_class"] for c in configs if c["device"]["name"] == "attic"}
    assert shown == {"carbon_monoxide", "tamper", "battery", "connectivity", "problem"}
    assert not [c for c in configs if c["device"]["name"] == "cellar"]
    assert {c["device"].get("manufacturer") for c in configs} == {"Acme", "Utaa"}


def test_a_detector_that_is_registered_no_more_is_taken_away() -> None:
    home = hub("attic")
    home.orders([])
    home.configure({}, lambda _: None)
    gone = home.orders([])
    assert {order.payload for order in gone} == {b""}
    assert len(gone) == 7


def test_nothing_of_it_comes_back_through_any_source() -> None:
    home = hub("attic")
    orders = home.orders([]) + home.orders([alarm("attic", "smoke")])
    source = build("homeassistant", SITE)
    for order in orders:
        decoded = source.decode(RawMessage(order.topic, order.payload, False, 1_800_000_000_000_000))
        assert (decoded.readings, decoded.facts) == ([], [])


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[dict[str, bytes]]:
    """What is last said on each topic."""
    said: dict[str, bytes] = {}

    async def listen(client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):  # it is closed while it listens
            async for message in client.messages:
                said[message.topic.value] = bytes(message.payload)

    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("homeassistant/#")
        await client.subscribe("utaa/v1/home/#")
        task = asyncio.create_task(listen(client), name="hub")
        yield said
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=1)


@pytest.mark.servers
async def test_a_hub_on_a_real_broker_sees_fire_and_the_agents_end(
    agent: AgentProcess, city: City
) -> None:
    agent_states = f"utaa/v1/home/{city.site}"
    async with listening(agent.port) as said:
        sources = json.dumps([{"name": "native"}, {"name": "homeassistant"}])
        await started(
            agent, city, UTAA_EDGE_HOME_HUB__PREFIX="homeassistant", UTAA_EDGE_SOURCES=sources
        )
        await city.configure(2, ["kitchen"])
        kitchen = city.detector("kitchen")
        state = f"{agent_states}/{kitchen}/state"
        await until(lambda: state in said, "the detector's state")
        assert said[f"{agent_states}/{city.site}/status"] == b"online"
        await city.say("kitchen", smoke_alarm=True)
        await until(lambda: json.loads(said[state]).get("smoke") == "ON", "fire at the hub")
        await city.say("kitchen", smoke_alarm=False)
        await until(lambda: json.loads(said[state])["smoke"] == "OFF", "and its end")
        assert {event.device for event in city.events.values()} == {
            None
        }  # no detector of its own making
        refused = city.heartbeats[-1].counters.get("refused", {}) if city.heartbeats else {}
        assert refused == {}
        agent.kill()
        await until(lambda: said[f"{agent_states}/{city.site}/status"] == b"offline", "its will", 60)


async def test_without_the_setting_no_hub_is_told_anything(agent: AgentProcess, city: City) -> None:
    async with listening(agent.port) as said:
        await started(agent, city)
        await city.configure(2, ["kitchen"])
        await city.say("kitchen", smoke_alarm=True)
        await until(lambda: city.alarms("raise", "smoke"), "the alarm")
        assert said == {}
