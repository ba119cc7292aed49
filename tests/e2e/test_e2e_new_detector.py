"""A detector of a make nobody knows: listened to, described in one file, accepted once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.house import SITE, House, house
from tests.servers import SmtpServer, until

pytestmark = [pytest.mark.timeout(180), pytest.mark.servers]

TOPIC = "acme/kitchen/gas"
QUIET = {"gas": {"co": 4.5}, "smoke": False, "battery": 87, "uptime": 12}


def _utaa(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UTAA_")}
    return subprocess.run(
        [sys.executable, "-m", "utaa.cli", *words], capture_output=True, text=True, timeout=60,
        env={**clean, **env}, check=False,
    )  # fmt: skip


async def _listened(home: House, file: Path) -> subprocess.CompletedProcess[str]:
    """``listen`` while the device says what it says, over and over."""
    broker = home.box.site_brokers[SITE]
    words = ("--broker", f"{broker.host}:{broker.port}", "--seconds", "5", "--write", str(file))
    listening = asyncio.create_task(asyncio.to_thread(_utaa, "edge", "listen", *words))
    while not listening.done():
        await home.publish(TOPIC, json.dumps(QUIET))
        await asyncio.sleep(0.2)
    return await listening


async def test_a_new_detector_comes_in_by_listen_one_file_and_one_acceptance(
    tmp_path: Path, smtp: SmtpServer
) -> None:
    edge_env: dict[str, str] = {}
    async with house(tmp_path, smtp, edge_env=edge_env) as home:
        file = tmp_path / "gas.toml"
        heard = await _listened(home, file)
        assert heard.returncode == 0, heard.stderr
        assert f"{TOPIC}: nobody" in heard.stdout
        assert 'topic = "acme/{address}/gas"' in file.read_text()

        tried = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "utaa.cli", "edge", "decode", "--source", "generic",
             "--options", str(file), "--topic", TOPIC],
            input=json.dumps(QUIET), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        said = json.loads(tried.stdout)
        assert (said["address"], said["co_ppm"], said["smoke_alarm"], said["battery_pct"]) == (
            "kitchen", 4.5, False, 87,
        )  # fmt: skip

        await home.box.stop_room(f"edge-{SITE}")
        sources = [{"name": "native"}, {"name": "generic", "options_file": str(file)}]
        home.box.plan.edge_env["UTAA_EDGE_SOURCES"] = json.dumps(sources)  # type: ignore[index]
        await home.start_edge()

        async def is_listed() -> bool:
            await home.publish(TOPIC, json.dumps(QUIET))
            return "kitchen" in await home.detectors()

        await until(is_listed, "it is among the unregistered")
        row = (await home.detectors())["kitchen"]
        assert row["status"] == "unregistered"
        assert set(row["proposed"]["senses"]) == {"smoke_alarm", "co_ppm", "battery_pct"}

        accepted = await asyncio.to_thread(
            _utaa, "registry", "accept", "--site", SITE, "--all", "--household", "GER-1",
            UTAA_REGISTRY_DATABASE_URL=home.box.database_url,
            UTAA_REGISTRY_DATA_DIR=str(home.box.gateway_data),
        )  # fmt: skip
        assert accepted.returncode == 0, accepted.stderr
        assert "kitchen" in accepted.stdout
        assert (await home.detectors())["kitchen"]["status"] == "in_service"

        await home.publish(TOPIC, json.dumps(QUIET | {"smoke": True}))

        async def burns() -> bool:
            return any(item["hazard"] == "fire" for item in await home.incidents())

        await until(burns, "its fire is its home's incident")
