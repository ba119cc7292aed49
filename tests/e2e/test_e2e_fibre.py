"""A trench is cut in the simulator: one incident names it, the cameras and the homes; mended, over."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.wire.clock import SystemClock
from firmware_sim.link import Broker
from firmware_sim.publish import publish
from firmware_sim.streets import CUT_TOPIC, Streets
from registry.db import Database
from registry.identity import Identity
from tests.servers import missing, until
from utaa import demo_fibre
from utaa.onebox import OneBox, Plan
from utaa.readback import Api
from utaa.servers import Mosquitto

pytestmark = pytest.mark.servers
#: The whole way from the excavator to the desk.
_WITHIN_S = 60.0


async def _api(box: OneBox) -> Api:
    database = Database(box.database_url)
    try:
        identity = Identity(database, SystemClock())
        roles = ("administrator", "registrar", "duty")
        return Api(box.url, await identity.new_token("test", roles, days=1))
    finally:
        await database.close()


async def _open_incidents(api: Api) -> list[dict[str, Any]]:
    items = [item async for item in api.items("/incidents")]
    return [item for item in items if item["state"] in ("opened", "acknowledged")]


async def _cut_is_told(api: Api) -> bool:
    found = await _open_incidents(api)
    return any(item["subject_kind"] == "fibre" for item in found)


async def _states(api: Api) -> dict[str, str | None]:
    return {site["id"]: site["state"] async for site in api.items("/sites")}


@pytest.mark.timeout(180)
async def test_a_cut_trench_is_one_incident_that_names_cameras_and_homes(tmp_path: Path) -> None:
    if not Mosquitto.installed():
        missing("mosquitto")
    plan = Plan(folder=tmp_path, sites=(), influx=False, smtp_port=0, broker_per_site=False)
    async with OneBox(plan) as box:
        await box.start_gateway()
        api = await _api(box)
        await demo_fibre.register(api)
        broker = Broker(box.city_broker.host, box.city_broker.port)
        streets = asyncio.create_task(Streets(demo_fibre.plan(), broker, SystemClock()).run())
        try:
            await _watched(api)
            began = time.monotonic()
            await asyncio.to_thread(_cut, broker)
            await until(lambda: _cut_is_told(api), "the cut is told", deadline_s=_WITHIN_S)
            assert time.monotonic() - began < _WITHIN_S
            await until(lambda: _complete(api), "all that fell with it belongs to it", deadline_s=30)
            (told,) = await _open_incidents(api)
            assert told["summary"] == "T-2 (8 камер, 5 айл)"
            outage = (await api.get("/fibre/outages"))[0]
            assert outage["cause"] == demo_fibre.TRENCH
            assert outage["confidence"] > 0.9
            assert (outage["cameras"], outage["sites"], outage["homes"]) == (8, 1, demo_fibre.HOMES)
            await publish(
                broker, CUT_TOPIC, json.dumps({"do": "mend", "elements": [demo_fibre.TRENCH]})
            )
            await until(lambda: _over(api), "mending closes all", deadline_s=_WITHIN_S)
        finally:
            streets.cancel()
            await asyncio.gather(streets, return_exceptions=True)
            await api.close()


async def _watched(api: Api) -> None:
    async def heard() -> bool:
        states = await _states(api)
        health = [item async for item in api.items("/camera-health")]
        both = all(states[site] == "online" for site in (demo_fibre.WATCH, demo_fibre.SCHOOL))
        return both and len(health) == 16

    await until(heard, "the streets are watched", deadline_s=30)


async def _complete(api: Api) -> bool:
    """Every trouble of the cut is in the one incident: no other is open."""
    found = await _open_incidents(api)
    outages = await api.get("/fibre/outages")
    counts = [(each["cameras"], each["sites"]) for each in outages]
    return [item["subject_kind"] for item in found] == ["fibre"] and counts == [(8, 1)]


async def _over(api: Api) -> bool:
    return not await _open_incidents(api) and not await api.get("/fibre/outages")


def _cut(broker: Broker) -> None:
    """As somebody at a console does it."""
    subprocess.run(
        [sys.executable, "-m", "utaa.cli", "sim", "cut", demo_fibre.TRENCH, "--broker", str(broker)],
        check=True, timeout=60, capture_output=True,
    )  # fmt: skip
