"""The house warns its people although the city is gone: real processes, real brokers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from edge.wire.identity import detector_id
from edge.wire.topics import detector_topic, siren_topic
from tests.e2e.house import SITE, House, house
from tests.servers import SmtpServer, until
from utaa.bench.sirens import SIRENS, Sounders, one_fire, sounders

pytestmark = [pytest.mark.timeout(180), pytest.mark.servers]

#: What is promised, from the detector's message to the last that sounds.
PROMISED_S = 1.0
FIRES = 20


@asynccontextmanager
async def warned(tmp_path: Path, smtp: SmtpServer) -> AsyncIterator[tuple[House, Sounders]]:
    """A house with two sirens and a neighbour, ``co-1``, whose detector has a sounder."""
    async with house(tmp_path, smtp, outputs={"sirens": list(SIRENS)}) as home:
        broker = home.box.site_brokers[SITE]
        async with sounders(broker.host, broker.port, neighbours=("co-1",)) as heard:
            sounder = json.dumps({"sounder": True, "co_ppm": 0})
            await home.publish(detector_topic("co-1", "reading"), sounder)
            await until(
                lambda: heard.sounding.get("co-1") is False, "the neighbour hears from the edge"
            )
            yield home, heard


async def test_sirens_and_a_neighbour_sound_within_a_second_although_the_city_is_gone(
    tmp_path: Path, smtp: SmtpServer
) -> None:
    async with warned(tmp_path, smtp) as (home, heard):
        await home.box.city_broker.stop()
        await home.box.stop_room("gateway")
        broker = home.box.site_brokers[SITE]
        async with aiomqtt.Client(broker.host, broker.port) as client:
            # fires of several homes: ten within ten seconds from one detector are a flood
            took = [await one_fire(heard, client, f"smoke-{n % 8}") for n in range(FIRES)]
            assert max(took) <= PROMISED_S
            await client.publish(detector_topic("smoke-1", "reading"), '{"co_alarm":true}', qos=1)
            await until(lambda: heard.all_are(True), "all sound for CO")
            assert set(heard.pattern.values()) == {"T4"}
            await client.publish(detector_topic("smoke-1", "reading"), '{"smoke_alarm":true}', qos=1)
            await until(lambda: set(heard.pattern.values()) == {"T3"}, "fire has the word over CO")


async def test_a_button_silences_what_sounds_and_never_the_next_alarm(
    tmp_path: Path, smtp: SmtpServer
) -> None:
    async with warned(tmp_path, smtp) as (home, heard):
        await home.box.city_broker.stop()
        await home.publish(detector_topic("smoke-1", "reading"), '{"smoke_alarm":true}')
        await until(lambda: heard.all_are(True), "all sound")
        await home.publish(siren_topic("hall", "state"), '{"state":"off","button":true}')
        await until(lambda: heard.all_are(False), "silence, by a siren's button")
        await home.publish(detector_topic("co-1", "reading"), '{"co_alarm":true}')
        await until(lambda: heard.all_are(True), "the next alarm sounds")
        await home.publish(detector_topic("co-1", "reading"), '{"co_alarm":true,"muted":true}')
        await until(lambda: heard.all_are(False), "silence, by the detector's own button")
        await home.publish(detector_topic("co-1", "reading"), '{"smoke_alarm":true}')
        await until(lambda: heard.all_are(True), "its next alarm sounds")


async def test_a_siren_that_does_not_answer_becomes_trouble_in_the_city(
    tmp_path: Path, smtp: SmtpServer
) -> None:
    async with warned(tmp_path, smtp) as (home, _heard):
        hall = detector_id(SITE, "siren", "hall")

        before = {item["id"] for item in await home.incidents()}

        async def new() -> list[str]:
            return [item["hazard"] for item in await home.incidents() if item["id"] not in before]

        await home.publish(siren_topic("hall", "state"), "offline")
        hazards = await until(new, "the city hears of the siren")
        assert hazards == ["trouble"]
        assert hall not in json.dumps(await home.detectors())
