"""The probe against a server that is not ours: GStreamer's, with digest passwords."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = Path(__file__).with_name("gst_server.py")
_PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    try:
        process = subprocess.Popen(
            [_PYTHON, str(_SCRIPT)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except FileNotFoundError:
        pytest.skip(f"{_PYTHON} is not installed")
    assert process.stdout is not None
    told = process.stdout.readline().strip()
    if not told:
        process.wait(10)
        pytest.skip("not installed: gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-ugly")
    yield told
    process.kill()
    process.wait()


async def test_another_server_is_reached_with_its_password(port: str, ask: Callable[..., Any]) -> None:
    found = await ask(
        f"rtsp://watch:secret@127.0.0.1:{port}/ball", depth="full", watch_s=2.0, total_s=10
    )

    assert (found.outcome, found.codec, found.width, found.height) == ("reachable", "h264", 320, 240)
    assert found.rate_fps == pytest.approx(15, rel=0.1)
    assert (found.missing, found.time_back) == (0, 0)


@pytest.mark.parametrize(
    ("who", "path", "outcome"),
    [("watch:wrong@", "ball", "wrong_password"), ("", "ball", "wrong_password"),
     ("watch:secret@", "nothing", "unknown_path")],
)  # fmt: skip
async def test_another_servers_refusals_are_understood(
    port: str, ask: Callable[..., Any], who: str, path: str, outcome: str
) -> None:
    assert (await ask(f"rtsp://{who}127.0.0.1:{port}/{path}")).outcome == outcome


def test_the_server_is_no_code_of_ours() -> None:
    assert "firmware_sim" not in _SCRIPT.read_text() and sys.executable != _PYTHON
