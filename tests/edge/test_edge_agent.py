"""The agent as a process, against a real broker and a city that answers."""

from __future__ import annotations

import asyncio
import subprocess
import time
from typing import Any

from edge.alarms import Settings, initial, step
from edge.spool import inspect
from edge.wire import topics
from edge.wire.clock import EARLIEST_US, US_PER_S, ScaledClock
from edge.wire.identity import new_id
from edge.wire.messages import Command, encode
from edge.wire.readings import Reading
from tests.edge.conftest import AgentProcess, City
from tests.servers import until


async def started(agent: AgentProcess, city: City, **environment: str) -> None:
    """Start and wait until it listens to both brokers."""
    seen = len(city.snapshots)
    logged = agent.log().count("intake.connected") if agent.process else 0
    agent.start(**environment)
    await until(lambda: len(city.snapshots) > seen, "a snapshot")
    await until(lambda: agent.log().count("intake.connected") > logged, "it listens to the site")


async def test_a_reading_and_an_alarm_reach_the_city(agent: AgentProcess, city: City) -> None:
    await started(agent, city)
    await city.say("kitchen", co_ppm=4.5)
    await city.say("kitchen", smoke_alarm=True)
    await until(lambda: len(city.readings()) == 2, "two readings")
    await until(lambda: city.alarms("raise", "smoke"), "the alarm")
    [event] = city.alarms("raise", "smoke")
    assert event.alarm is not None
    assert event.alarm.detector == city.detector("kitchen")
    assert event.alarm.revision == 1
    assert event.age_ms is not None
    assert event.age_ms < 20_000
    assert [reading.co_ppm for reading in city.readings()] == [4.5, None]
    await city.say("kitchen", smoke_alarm=False)
    await until(lambda: city.alarms("clear", "smoke"), "it clears")
    [clear] = city.alarms("clear", "smoke")
    assert clear.alarm is not None
    assert clear.alarm.id == event.alarm.id
    assert clear.alarm.revision > 1
    assert clear.alarm.cleared_us is not None
    assert agent.terminate() == 0


async def test_the_snapshot_comes_before_every_event_of_a_connection(
    agent: AgentProcess, city: City
) -> None:
    city.answers = False
    await started(agent, city)
    await city.say("kitchen", smoke_alarm=True)
    await until(lambda: city.alarms("raise", "smoke"), "the alarm")
    agent.kill()
    city.arrivals.clear()
    city.answers = True
    await started(agent, city)
    await until(lambda: any(a[0] == "events" for a in city.arrivals), "the events again")
    assert city.arrivals[0][0] == "snapshot"
    [alarm] = city.snapshots[-1].active
    assert alarm.kind == "smoke"
    assert city.snapshots[-1].age_ms[alarm.id] >= 0


async def test_a_killed_agent_loses_no_acknowledged_message(agent: AgentProcess, city: City) -> None:
    await started(agent, city)
    total = 600
    for number in range(total):
        await city.say(f"d{number % 7}", time=1_790_000_000 + number, co_ppm=number % 10)
        if number in (150, 300, 450):
            agent.kill()
            agent.start()
    await until(
        lambda: len({(r.detector, r.time_us) for r in city.readings()}) == total,
        "every reading", 40,
    )  # fmt: skip
    assert len(city.readings()) == total


def seconds_until_alarm(co_ppm: float) -> float:
    """How long a steady concentration takes to raise, by the pure decision."""
    state = initial(Settings(), EARLIEST_US)
    for second in range(0, 24 * 3600, 5):
        now_us = EARLIEST_US + second * US_PER_S
        outcome = step(state, Reading(detector="d", time_us=now_us, co_ppm=co_ppm), now_us)
        if any(change.kind == "co" for change in outcome.changes):
            return second
        state = outcome.state
    raise AssertionError("it never alarms")


async def test_an_exposure_goes_on_after_a_crash(agent: AgentProcess, city: City) -> None:
    factor = 120.0
    needed_s = seconds_until_alarm(90)
    scaled = ScaledClock(time.time(), 1_790_000_000.0, factor)
    clock = scaled.as_text()
    await started(agent, city, UTAA_CLOCK=clock)

    async def expose(until_s: float) -> None:
        end_s = time.monotonic() + until_s / factor
        while time.monotonic() < end_s and not city.alarms("raise", "co"):
            await city.say("ger", co_ppm=90)
            await asyncio.sleep(0.1)

    await expose(needed_s * 0.6)
    agent.kill()
    assert not city.alarms("raise", "co")
    await started(agent, city, UTAA_CLOCK=clock)
    back_us = scaled.now_us()
    await expose(needed_s * 1.5)
    [event] = await until(lambda: city.alarms("raise", "co"), "the CO alarm")
    assert event.alarm is not None
    first_us = min(r.time_us for r in city.readings())
    assert (event.alarm.raised_us - first_us) / US_PER_S > needed_s * 0.95
    # less than half of the dose was missing; one begun anew would need all of it
    assert (event.alarm.raised_us - back_us) / US_PER_S < needed_s * 0.8


async def test_lost_acknowledgements_are_asked_for_again(agent: AgentProcess, city: City) -> None:
    city.lose = 3
    await started(agent, city)
    await city.say("kitchen", smoke_alarm=True)
    await until(lambda: city.alarms("raise", "smoke"), "the alarm")
    await until(
        lambda: inspect(agent.data)["queued_events"] == 0 and inspect(agent.data)["queued_frames"] == 0,
        "everything is acknowledged in the end", 40,
    )  # fmt: skip
    last = inspect(agent.data)["last_event"]
    assert sorted(seq for _, seq in city.events) == list(range(1, last + 1))


async def test_another_store_is_sent_what_the_former_one_had(agent: AgentProcess, city: City) -> None:
    await started(agent, city)
    await city.say("kitchen", co_ppm=1.0, smoke_alarm=True)
    await until(lambda: city.frames and city.alarms("raise", "smoke"), "both lanes")
    await until(lambda: inspect(agent.data)["queued_frames"] == 0, "acknowledged")
    city.events.clear()
    city.frames.clear()
    city.store = "store-2"
    await city.say("kitchen", co_ppm=2.0)
    await until(lambda: len(city.readings()) == 2, "the old reading too")
    await until(lambda: city.alarms("raise", "smoke"), "the old alarm too")
    await until(lambda: inspect(agent.data)["store"] == "store-2", "the store is remembered")


async def test_a_retained_alarm_raises_nothing(agent: AgentProcess, city: City) -> None:
    await city.say("attic", retain=True, smoke_alarm=True, model="X1")
    await started(agent, city)
    await city.say("kitchen", co_ppm=1.0)
    await until(lambda: city.readings(), "a live reading")
    await until(lambda: any(e.device for e in city.events.values()), "the device is told")
    assert {r.detector for r in city.readings()} == {city.detector("kitchen")}
    assert not city.alarms("raise", "smoke")
    models = {e.device.model for e in city.events.values() if e.device}
    assert "X1" in models


async def test_the_same_reading_again_is_kept_once_and_counted(agent: AgentProcess, city: City) -> None:
    await started(agent, city)
    for value in (1.0, 1.0, 2.0):
        await city.say("kitchen", time=1_790_000_000, co_ppm=value)
    await until(lambda: len(city.readings()) == 2, "two readings")
    times = sorted((r.time_us, r.co_ppm) for r in city.readings())
    assert times == [(1_790_000_000_000_000, 1.0), (1_790_000_000_000_001, 2.0)]
    await until(
        lambda: any(h.counters.get("repaired", {}).get("duplicate") == 1 for h in city.heartbeats),
        "the heartbeat counts it",
    )


async def test_a_second_agent_in_the_same_folder_is_refused(agent: AgentProcess, city: City) -> None:
    await started(agent, city)
    second = AgentProcess(agent.site, agent.port, agent.data)
    process = second.start()
    assert process.wait(20) == 3
    [line] = [line for line in agent.log().splitlines() if line.startswith("utaa:")]
    assert "in use by another agent" in line
    assert "Traceback" not in agent.log()


async def test_a_damaged_spool_is_set_aside_and_reported(agent: AgentProcess, city: City) -> None:
    await started(agent, city)
    await city.say("kitchen", co_ppm=1.0)
    await until(lambda: city.readings(), "a reading")
    agent.terminate()
    [old_epoch] = {epoch for epoch, _ in city.frames}
    spool = agent.data / "spool.db"
    raw = bytearray(spool.read_bytes())
    raw[4096:12288] = b"\xa5" * 8192
    spool.write_bytes(raw)
    await started(agent, city)
    await until(lambda: "spool_reset" in city.notes(), "the note")
    found = inspect(agent.data)
    assert found["epoch"] != old_epoch
    assert len(found["set_aside"]) == 1


async def test_refused_payloads_are_counted_and_kept_as_samples(
    agent: AgentProcess, city: City
) -> None:
    await started(agent, city)
    for number in range(30):
        await city.publish(topics.detector_topic("x", "reading"), f"{{broken {number}".encode() * 40)
    await until(
        lambda: any(h.counters.get("refused", {}).get("not_json") == 30 for h in city.heartbeats),
        "the heartbeat counts them",
    )
    samples = inspect(agent.data)["bad_samples"]
    assert len(samples) == 20
    assert samples[-1]["reason"] == "not_json"
    assert samples[-1]["head"].startswith("{broken 29")
    assert len(samples[-1]["head"]) == 200


async def test_settings_are_kept_refused_and_reported(agent: AgentProcess, city: City) -> None:
    await city.configure(7, ["kitchen"], outputs={"sirens": ["hall"]})
    await started(agent, city)
    await until(lambda: any(h.config_version == 7 for h in city.heartbeats), "version 7")
    topic = topics.site_topic(city.site, "config")
    await city.publish(topic, b"")
    await city.configure(8, [], alarms={"no_such_setting": 1})
    await until(lambda: city.heartbeats[-1].config_error, "the refusal")
    assert "no_such_setting" in (city.heartbeats[-1].config_error or "")
    assert city.heartbeats[-1].config_version == 7
    assert agent.terminate() == 0
    await city.publish(topic, b"", retain=True)
    city.heartbeats.clear()
    await started(agent, city)
    await until(lambda: city.heartbeats, "a heartbeat")
    assert city.heartbeats[-1].config_version == 7


async def test_sirens_sound_without_the_city_and_stop(agent: AgentProcess, city: City) -> None:
    await city.configure(1, ["kitchen"], outputs={"sirens": ["hall", "yard"]})
    await started(agent, city)
    await until(lambda: any(h.config_version == 1 for h in city.heartbeats), "settings")
    city.answers = False
    city.sirens.clear()
    await city.say("kitchen", smoke_alarm=True)
    await until(lambda: len(city.sirens) == 2, "both are told")
    assert {(address, order["state"]) for address, order in city.sirens} == {
        ("hall", "on"), ("yard", "on"),
    }  # fmt: skip
    city.sirens.clear()
    await city.say("kitchen", smoke_alarm=False)
    await until(lambda: len(city.sirens) == 2, "both are told to stop")
    assert {order["state"] for _, order in city.sirens} == {"off"}


async def test_a_command_works_once_and_not_after_its_time(agent: AgentProcess, city: City) -> None:
    await city.configure(1, ["kitchen"], outputs={"sirens": ["hall"]})
    await started(agent, city)
    await until(lambda: any(h.config_version == 1 for h in city.heartbeats), "settings")
    await city.say("kitchen", smoke_alarm=True)
    await until(lambda: any(order["state"] == "on" for _, order in city.sirens), "the siren")
    [event] = await until(lambda: city.alarms("raise", "smoke"), "the alarm")
    assert event.alarm is not None
    now_us = event.at_us
    silence = Command(
        site=city.site, id=new_id(), issued_us=now_us, expires_us=now_us + 60_000_000,
        action="silence", target=event.alarm.id,
    )  # fmt: skip
    late = Command(
        site=city.site, id=new_id(), issued_us=now_us - 120_000_000, expires_us=now_us - 60_000_000,
        action="silence", target=event.alarm.id,
    )  # fmt: skip
    topic = topics.site_topic(city.site, "command")
    for command in (silence, silence, late):
        await city.publish(topic, encode(command))
    await until(lambda: len(city.results) == 2, "two results")
    assert [result["ok"] for result in city.results] == [True, False]
    assert "expired" in city.results[1]["detail"]
    await until(lambda: city.sirens[-1][1]["state"] == "off", "it is silent")


async def test_the_status_is_retained_and_a_killed_agent_is_offline(
    agent: AgentProcess, city: City
) -> None:
    await started(agent, city)
    await until(lambda: city.statuses and city.statuses[-1]["state"] == "online", "online")
    agent.kill()
    await until(lambda: city.statuses[-1]["state"] == "offline", "the last will")
    await started(agent, city)
    await until(lambda: city.statuses[-1]["state"] == "online", "online again")
    assert agent.terminate() == 0
    await until(lambda: city.statuses[-1]["state"] == "offline", "it says so itself")


def test_a_wrong_setting_is_one_line(agent: AgentProcess) -> None:
    process = agent.start("--quota-mb", "1")
    assert process.wait(20) == 2
    assert agent.log().startswith("utaa: command line: quota_mb:")
    assert len(agent.log().splitlines()) == 1
    agent.process = subprocess.Popen(["true"])


async def test_a_broker_that_forgets_everything_loses_nothing(
    agent: AgentProcess, city: City, broker: Any
) -> None:
    await started(agent, city)
    await city.say("kitchen", co_ppm=1.0)
    await until(lambda: city.readings(), "the first reading")
    city.answers = False
    await city.say("kitchen", smoke_alarm=True)
    await until(lambda: city.alarms("raise", "smoke"), "the alarm, unanswered")
    await broker.stop()
    await until(lambda: city.client is None, "the city notices")
    city.events.clear()
    city.answers = True
    snapshots, listening = len(city.snapshots), agent.log().count("intake.connected")
    await broker.start()
    await until(lambda: len(city.snapshots) > snapshots, "a snapshot on the new connection")
    await until(lambda: city.alarms("raise", "smoke"), "the alarm again")
    await until(lambda: agent.log().count("intake.connected") > listening, "it listens again")
    await city.say("kitchen", co_ppm=2.0)
    await until(lambda: 2.0 in {r.co_ppm for r in city.readings()}, "a reading after it")
    await until(lambda: inspect(agent.data)["queued_events"] == 0, "all is acknowledged")


async def test_a_terminated_agent_keeps_what_it_took(agent: AgentProcess, city: City) -> None:
    city.answers = False
    await started(agent, city)
    for number in range(200):
        await city.say("kitchen", time=1_790_000_000 + number, co_ppm=1.0)
    assert agent.terminate() == 0
    city.frames.clear()
    city.answers = True
    await started(agent, city)
    await until(lambda: len(city.readings()) == 200, "all of them")
