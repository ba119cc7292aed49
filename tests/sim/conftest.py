"""A real Mosquitto for the simulator's tests, and an ear on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest

from firmware_sim.link import Broker

DEADLINE_S = 20.0


@dataclass
class Mosquitto:
    """One broker process on one port, which can die and come back."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def broker(self) -> Broker:
        return Broker("127.0.0.1", self.port)

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "max_queued_messages 0\nmax_inflight_messages 1000\n"
        )
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(["mosquitto", "-c", str(config)], stdout=log, stderr=log)
        end_s = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < end_s, (self.folder / "mosquitto.log").read_text()
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    if shutil.which("mosquitto") is None:
        if os.environ.get("CI"):
            pytest.fail("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    server = Mosquitto(folder, free_port())
    server.start()
    yield server
    server.kill()


@dataclass
class Ear:
    """What was heard, in order: (topic, payload, retained)."""

    heard: list[tuple[str, bytes, bool]] = field(default_factory=list)

    def on(self, topic: str) -> list[bytes]:
        return [payload for where, payload, _ in self.heard if where == topic]

    def below(self, prefix: str) -> list[bytes]:
        return [payload for where, payload, _ in self.heard if where.startswith(prefix)]


@asynccontextmanager
async def _listening(server: Mosquitto, filters: tuple[str, ...]) -> AsyncIterator[Ear]:
    ear = Ear()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            ear.heard.append((str(message.topic), message.payload, message.retain))

    async with aiomqtt.Client("127.0.0.1", server.port) as client:
        for each in filters:
            await client.subscribe(each, qos=1)
        task = asyncio.create_task(listen(client))
        yield ear
        task.cancel()


@pytest.fixture
def listening(mosquitto: Mosquitto) -> Callable[..., object]:
    return lambda *filters: _listening(mosquitto, filters)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait for a condition, with a deadline."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.01)

    return wait
