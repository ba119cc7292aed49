"""A simulator with one camera per fault, and a prober, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from edge.cameras.outcome import Probed
from edge.cameras.prober import Prober
from edge.cameras.stream import Request
from firmware_sim.camera.film import Shape
from firmware_sim.camera.server import FAULTS, Camera, Server

SMALL = Shape(width=320, height=240, rate_fps=15, length_s=5)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Cameras: ok, locked (user watch, password pa:ss w@rd), and one named after each fault."""
    cameras = {name: Camera(SMALL, fault=name) for name in FAULTS}
    cameras["ok"] = Camera(SMALL)
    cameras["ok.mjpg"] = Camera(SMALL)
    cameras["locked"] = Camera(SMALL, user="watch", password="pa:ss w@rd")
    async with Server(cameras) as running:
        yield running


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    async with Prober(threads=8) as running:
        yield running


Ask = Callable[..., Coroutine[Any, Any, Probed]]


@pytest.fixture
def ask(prober: Prober) -> Ask:
    """Probe a URL with short patience."""

    async def probe(url: str, **more: Any) -> Probed:
        wanted = {"depth": "cheap", "watch_s": 1.5, "packet_s": 2.0, "total_s": 6.0, **more}
        return await prober.probe(Request(id=0, url=url, **wanted))

    return probe
