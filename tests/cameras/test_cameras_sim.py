"""``utaa sim camera`` as a process: serves, changes on command, refuses what it does not know."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

_COMMAND = [
    sys.executable,
    "-m",
    "utaa.cli",
    "sim",
    "camera",
    "--port",
    "0",
    "--size",
    "320x240",
    "--count",
    "2",
]


async def test_faults_come_and_go_on_command(ask: Callable[..., Any]) -> None:
    process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None and process.stdout is not None
        ready = json.loads(process.stdout.readline())
        url = f"rtsp://127.0.0.1:{ready['port']}/cam2"
        assert (ready["cameras"], (await ask(url)).outcome) == (2, "reachable")
        process.stdin.write("cam2 unknown_path\n")
        process.stdin.flush()
        outcomes = {(await ask(url)).outcome for _ in range(3)}
        assert "unknown_path" in outcomes
    finally:
        process.kill()
        process.wait()


def test_without_a_terminal_it_serves_all_the_same() -> None:
    process = subprocess.Popen(_COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_an_unknown_fault_is_one_line() -> None:
    done = subprocess.run([*_COMMAND, "--fault", "ghost"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert done.stderr == "utaa: --fault: ghost: unknown; see utaa sim camera --faults\n"
