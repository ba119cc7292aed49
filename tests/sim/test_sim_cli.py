"""``utaa sim`` as people use it: as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.ledger import ReadingLine, read_ledger

Until = Callable[[Callable[[], object]], Awaitable[None]]


def sim(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("UTAA_")}
    return subprocess.run(
        [sys.executable, "-m", "firmware_sim", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean | environment,
    )


def test_the_shipped_scenarios_are_listed_and_check() -> None:
    listed = sim("scenarios")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["demo", "quiet", "trouble"]
    checked = sim("check", "demo")
    assert checked.returncode == 0
    assert checked.stdout.startswith("demo: 10 homes, 19 detectors")


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["check", "nope"], {}, "utaa: nope: no such scenario"),
        (["run", "nope"], {}, "utaa: nope: no such scenario"),
        (["run", "demo", "--broker", "127.0.0.1:x"], {}, "expected HOST:PORT"),
        (["run", "demo", "--broker", "127.0.0.1:1"], {}, "no broker answers"),
        (["run", "demo", "--speed", "-1"], {}, "utaa: --speed: is -1.0"),
        (["run", "demo", "--speed", "2"], {"UTAA_CLOCK": "1,1,2"}, "UTAA_CLOCK is set"),
        (["run", "demo"], {"UTAA_CLOCK": "soon"}, "expected three numbers"),
        (["replay", "none.csv", "--map", "co_ppm=CO", "--step", "1"], {}, "cannot be read"),
        (["replay", "none.csv", "--step", "1"], {}, "no column is mapped"),
        (["replay", "none.csv", "--map", "x=y", "--step", "1"], {}, "expected QUANTITY=COLUMN"),
        (["publish", "{co_ppm: 3}", "--address", "a"], {}, "put it into single quotes"),
        (["publish", "{}"], {}, "either --address or --topic"),
        (["publish", "{}", "--address", "a/b"], {}, "without / + #"),
        (["publish", "{}", "--address", "a", "--source", "frog"], {}, "one of native, zigbee2mqtt"),
        (["publish", "{}", "--address", "a", "--broker", "127.0.0.1:1"], {}, "no broker answers"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    done = sim(*arguments, **environment)
    assert done.returncode == (1 if "no broker" in expected or "HOST:PORT" in expected else 2)
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.servers
def test_a_run_prints_its_counts_and_names_its_clock(mosquitto: Any, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    done = sim(
        "run", "trouble", "--broker", str(mosquitto.broker), "--site", "home",
        "--ledger", str(path), "--seconds", "60", "--speed", "30",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "UTAA_CLOCK=" in done.stderr
    summary = json.loads(done.stdout)
    readings = [line for line in read_ledger(path) if isinstance(line, ReadingLine)]
    assert summary["published"] == len(readings) > 50
    assert summary["unacknowledged"] == 0
    assert summary["garbage"] > 0
    assert summary["redated"] == sum(line.redated for line in readings) > 0


@pytest.mark.servers
def test_a_table_is_replayed(mosquitto: Any, tmp_path: Path) -> None:
    table = tmp_path / "kitchen.csv"
    table.write_text("CO(ppm)\n1\n2\n3\n")
    path = tmp_path / "l.jsonl"
    done = sim(
        "replay", str(table), "--address", "kitchen-1", "--map", "co_ppm=CO(ppm)", "--step", "60",
        "--broker", str(mosquitto.broker), "--ledger", str(path), "--as-fast-as-possible",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    readings = [line for line in read_ledger(path) if isinstance(line, ReadingLine)]
    assert [line.values for line in readings] == [{"co_ppm": 1.0}, {"co_ppm": 2.0}, {"co_ppm": 3.0}]
    assert {line.address for line in readings} == {"kitchen-1"}


@pytest.mark.servers
@pytest.mark.parametrize(
    ("words", "topic"),
    [
        (("--address", "kitchen"), "utaa/v1/detector/kitchen/reading"),
        (("--address", "kitchen", "--source", "zigbee2mqtt"), "zigbee2mqtt/kitchen"),
        (("--topic", "any/thing"), "any/thing"),
    ],
)
async def test_one_message_by_hand_arrives(
    words: tuple[str, ...], topic: str, mosquitto: Any, listening: Any, until: Until
) -> None:
    async with listening("#") as ear:
        payload = '{"co_ppm": 3}'
        done = await asyncio.to_thread(
            sim, "publish", *words, payload, "--broker", str(mosquitto.broker)
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[0] == topic
        await until(lambda: ear.on(topic))
        assert ear.on(topic) == [payload.encode()]


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_a_run_cleanly(
    number: signal.Signals, mosquitto: Any, until: Until, tmp_path: Path
) -> None:
    path = tmp_path / "l.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware_sim", "run", "demo", "--broker", str(mosquitto.broker),
         "--ledger", str(path), "--speed", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        await until(lambda: path.exists() and path.stat().st_size > 1000)
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    summary = json.loads(out)
    readings = [line for line in read_ledger(path) if isinstance(line, ReadingLine)]
    assert summary["published"] == len(readings)
    assert summary["unacknowledged"] == 0
