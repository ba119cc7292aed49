"""``utaa demo`` as a user runs it: one JSON object that accounts for every reading."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import DEADLINE_S

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]
COMMAND = [sys.executable, "-m", "utaa.cli", "demo", "--port", "0"]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("UTAA_")}


@pytest.mark.parametrize("embedded", [False, True], ids=["installed-servers", "embedded"])
def test_the_demo_ends_by_itself_and_nothing_is_lost(embedded: bool) -> None:
    words = [*COMMAND, "--seconds", "45", "--json", *(["--embedded"] if embedded else [])]
    run = subprocess.run(
        words, capture_output=True, text=True, timeout=200, env=_environment(), check=False
    )
    assert run.returncode == 0, run.stderr
    account = json.loads(run.stdout)
    assert account["detectors"] == 19
    assert account["readings_published"] > 100
    assert account["readings_stored"] == account["readings_published"]
    assert (account["lost"], account["doubled"]) == (0, 0)
    assert account["alarms_raised"] >= 3  # the fire, a low battery, a tamper
    assert account["incidents_opened"] >= 3
    assert account["notifications_accepted"] >= 1
    assert 0 < account["breach_to_accept_ms"]["p50"] <= account["breach_to_accept_ms"]["p99"] < 5000
    assert "the mailbox   http://127.0.0.1:" in run.stderr
    if embedded:
        assert (account["broker"], account["reading_store"]) == ("the embedded broker", "SQLite")


def test_ctrl_c_ends_the_demo_cleanly_with_its_account(tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [*COMMAND, "--embedded", "--json"], stdout=subprocess.PIPE, stderr=said,
            env=_environment(), text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60 + DEADLINE_S
        while "the page" not in (tmp_path / "said").read_text():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert json.loads(output)["lost"] == 0
