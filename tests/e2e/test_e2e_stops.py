"""Starting wrongly, stopping cleanly, and starting twice: one line that says what to do."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge.wire.identity import detector_id
from edge.wire.topics import detector_topic
from tests.e2e.house import SITE, house
from tests.servers import SmtpServer, until

pytestmark = pytest.mark.timeout(120)


def _utaa(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UTAA_")}
    return subprocess.run(
        [sys.executable, "-m", "utaa.cli", *words], capture_output=True, text=True, timeout=60,
        env={**clean, **env}, check=False,
    )  # fmt: skip


def _one_line(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode != 0
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("utaa: ")
    assert "Traceback" not in run.stdout
    return lines[0]


@pytest.mark.parametrize("room", ["gateway", "edge"])
def test_a_wrong_key_in_the_file_is_named_with_its_place(room: str, tmp_path: Path) -> None:
    file = tmp_path / "utaa.toml"
    file.write_text(f'[{room}]\nsite = "a"\ndata_dirr = "x"\n' if room == "edge" else
                    f'[{room}]\ndata_dirr = "x"\n')  # fmt: skip
    words = ("edge", "run") if room == "edge" else ("gateway", "serve")
    line = _one_line(_utaa(*words, "--config", str(file)))
    assert "data_dirr" in line
    assert str(file) in line
    assert "data_dir'" in line  # what was probably meant


def test_a_wrong_value_in_the_environment_is_named_with_what_was_expected(tmp_path: Path) -> None:
    line = _one_line(
        _utaa("gateway", "serve", UTAA_GATEWAY_PORT="eighty", UTAA_GATEWAY_DATA_DIR=str(tmp_path))
    )
    assert "UTAA_GATEWAY_PORT" in line
    assert "integer" in line


def test_an_unreachable_database_is_one_line_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://utaa:verysecret@127.0.0.1:1/utaa"
    words = ("--data-dir", str(tmp_path), "--database-url", url, "--port", "0")
    line = _one_line(_utaa("gateway", "serve", *words))
    assert "127.0.0.1:1" in line
    assert "verysecret" not in line


def test_a_taken_port_is_one_line_that_names_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = _one_line(_utaa("gateway", "serve", "--data-dir", str(tmp_path), "--port", port))
    assert port in line
    assert "--port" in line


@pytest.mark.servers
async def test_sigterm_ends_an_agent_cleanly_and_loses_nothing(
    tmp_path: Path, smtp: SmtpServer
) -> None:
    async with house(tmp_path, smtp) as home:
        edge = home.box.rooms[f"edge-{SITE}"]
        for number in range(200):
            if number == 100 and edge.pid:
                os.kill(edge.pid, signal.SIGTERM)
            await home.publish(detector_topic("co-1", "reading"), json.dumps({"co_ppm": number / 4}))
        await until(lambda: not edge.alive, "the agent to end")
        assert edge.returncode == 0
        await home.start_edge()
        path = f"/detectors/{detector_id(SITE, 'native', 'co-1')}/readings"

        async def all_there() -> bool:
            rows = (await home.api.get(path, limit=1000))["items"]
            return sorted(row["values"]["co_ppm"] for row in rows) == [n / 4 for n in range(200)]

        await until(all_there, "all 200 readings, each once")
        assert await home.box.stop_room("gateway") == 0


@pytest.mark.servers
async def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path, smtp: SmtpServer) -> None:
    async with house(tmp_path, smtp) as home:
        broker = home.box.city_broker
        second = await asyncio.to_thread(
            _utaa, "edge", "run", "--site", SITE, "--data", str(home.box.edge_data(SITE)),
            "--site-broker", f"{broker.host}:{broker.port}",
            "--city-broker", f"{broker.host}:{broker.port}",
        )  # fmt: skip
        line = _one_line(second)
        assert re.search(r"in use by another agent", line)
        assert await home.online()
