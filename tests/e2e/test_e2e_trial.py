"""A technician's test alarm, with real brokers, agent and mails: only a real alarm reaches the home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.wire.clock import SystemClock
from edge.wire.topics import detector_topic
from registry.db import Database
from registry.identity import Identity
from tests.e2e.house import House, house
from tests.servers import SmtpServer, until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


async def _hands(home: House) -> httpx.AsyncClient:
    database = Database(home.box.database_url)
    token = await Identity(database, SystemClock()).new_token("hands", ["technician"], days=1)
    await database.close()
    return httpx.AsyncClient(
        base_url=f"{home.box.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )


async def test_during_a_test_alarm_a_real_one_pages_the_household(
    tmp_path: Path, smtp: SmtpServer
) -> None:
    async with house(tmp_path, smtp) as home:
        hands = await _hands(home)
        tried = (await home.detectors())["smoke-1"]["id"]

        async def trial() -> Any:
            return (await hands.get(f"/field/detectors/{tried}")).json()["trial"]

        async def stands(state: str) -> bool:
            return bool((await trial())["state"] == state)

        begun = await hands.post(f"/field/detectors/{tried}/test", json={"for_s": 600})
        assert begun.status_code == 200, begun.text
        await until(lambda: stands("ready"), "the site has begun the test")
        await home.publish(detector_topic("smoke-1", "reading"), json.dumps({"smoke_alarm": True}))
        await until(lambda: stands("heard"), "the test alarm is at the city")
        await home.publish(detector_topic("co-1", "reading"), json.dumps({"co_alarm": True}))
        await smtp.wait_for(1)
        hazards = {incident["hazard"] for incident in await home.incidents()}
        assert hazards == {"test", "co"}
        assert len(smtp.mails) == 1  # of the CO alone: nobody was told of the test
        # the technician is done; what still sounds now is real
        await hands.post(f"/field/detectors/{tried}/test/end")
        await smtp.wait_for(2)
        hazards = {incident["hazard"] for incident in await home.incidents()}
        assert "fire" in hazards
        assert await stands("heard")
        await hands.aclose()
