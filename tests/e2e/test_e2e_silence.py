"""Silencing a siren from the city's page: bounded, and never over a new alarm."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiomqtt
import pytest

from edge.wire.topics import detector_topic, siren_topic
from tests.e2e.house import SITE, house
from tests.servers import SmtpServer, until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


async def test_the_desk_silences_a_siren_and_a_new_alarm_sounds_all_the_same(
    tmp_path: Path, smtp: SmtpServer
) -> None:
    async with house(tmp_path, smtp) as home:
        tag = await home.api.etag(f"/sites/{SITE}")
        await home.api.patch(f"/sites/{SITE}", {"output_settings": {"sirens": ["horn"]}}, tag)
        heard: list[str] = []
        listens = asyncio.Event()
        broker = home.box.site_brokers[SITE]

        async def listen() -> None:
            async with aiomqtt.Client(broker.host, broker.port) as client:
                await client.subscribe(siren_topic("horn", "command"))
                listens.set()  # an order is said once and repeated only after a minute
                async for message in client.messages:
                    heard.append(json.loads(bytes(message.payload))["state"])

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen(), name="siren")
            await listens.wait()
            await home.publish(detector_topic("smoke-1", "reading"), json.dumps({"smoke_alarm": True}))
            incident = (await until(home.incidents, "an incident"))[0]

            async def sounding() -> bool:
                if not heard:  # until the site has its new settings
                    reading = json.dumps({"smoke_alarm": True})
                    await home.publish(detector_topic("smoke-1", "reading"), reading)
                return heard[-1:] == ["on"]

            await until(sounding, "the siren sounds")
            answer = await home.api.post(f"/incidents/{incident['id']}/silence", {"for_s": 300})
            assert answer == {"alarms": 1}
            await until(lambda: heard[-1] == "off", "the siren is quiet")
            await home.publish(detector_topic("co-1", "reading"), json.dumps({"co_alarm": True}))
            await until(lambda: heard[-1] == "on", "a new alarm sounds all the same")
            listening.cancel()
