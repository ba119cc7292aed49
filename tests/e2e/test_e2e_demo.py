"""``utaa demo`` as a user runs it: one JSON object that accounts for every reading."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
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
            [*COMMAND, "--json", "--keep", "k"], stdout=subprocess.PIPE, stderr=said,
            env=_environment(), text=True, cwd=tmp_path,
            # a run in the background of a shell would hand down that Ctrl-C is not heard
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60 + DEADLINE_S
            while "the mailbox" not in (tmp_path / "said").read_text():
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
            _sign_in((tmp_path / "said").read_text())
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                process.kill()
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert json.loads(output)["lost"] == 0
    assert (tmp_path / "k" / "city").is_dir()
    again = _refused(tmp_path, "--keep", "k")
    assert "k holds an earlier demo" in again
    assert "--keep" in again


def _sign_in(said: str) -> None:
    """With the name and password that were printed, which may acknowledge."""
    page = re.search(r"the page +(\S+)", said)
    account = re.search(r"sign in +as (\S+) with (\S+)", said)
    assert page and account, said
    body = {"login": account[1], "password": account[2]}
    answer = httpx.post(f"{page[1]}api/v1/session", json=body, trust_env=False)
    assert answer.status_code < 300, answer.text
    me = httpx.get(f"{page[1]}api/v1/me", cookies=answer.cookies, trust_env=False)
    assert "incident.acknowledge" in me.text, me.text


def _refused(folder: Path, *words: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "demo", "--embedded", *words], capture_output=True,
        text=True, timeout=60, env=_environment(), cwd=folder, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr


@pytest.mark.parametrize("port", ["taken", "99999"])
def test_a_port_that_cannot_be_had_is_one_line_before_anything_starts(
    port: str, tmp_path: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        asked = str(other.getsockname()[1]) if port == "taken" else port
        assert re.search(f"{asked}.*", _refused(tmp_path, "--port", asked, "--keep", "k"))
    assert not (tmp_path / "k" / "brokers").exists()
