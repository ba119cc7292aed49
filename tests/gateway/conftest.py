"""A city over a temporary folder, and frames to send to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edge.wire.clock import US_PER_S
from edge.wire.frames import encode_frame, frame_from_readings
from edge.wire.identity import new_id
from edge.wire.messages import Ack, decode
from edge.wire.readings import Reading
from gateway.city import City
from gateway.ingest.inbox import Received
from gateway.settings import GatewaySettings, load_settings
from tests.made import open_made_city


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    """A city of its own in a temporary folder."""
    return load_settings(data_dir=tmp_path / "city")


@pytest.fixture
async def city(settings: GatewaySettings) -> AsyncIterator[City]:
    async with open_made_city(settings) as opened:
        yield opened


class Site:
    """A site as its edge would speak: frames in order under one epoch."""

    def __init__(self, name: str, now_us: Callable[[], int]) -> None:
        self.name = name
        self.epoch = new_id()
        self.seq = 0
        self._now_us = now_us

    def readings(self, detector: str, count: int, **values: float) -> list[Reading]:
        start_us = self._now_us() - count * US_PER_S
        return [
            Reading(detector=detector, time_us=start_us + row * US_PER_S, **values)
            for row in range(count)
        ]

    def frame(self, readings: list[Reading], *, epoch: str | None = None) -> Received:
        self.seq += 1
        frame = frame_from_readings(self.name, epoch or self.epoch, self.seq, readings)
        return Received(f"utaa/v1/site/{self.name}/frame", encode_frame(frame), False)


@pytest.fixture
def site(city: City) -> Site:
    return Site("site-1", city.clock.now_us)


class Sent:
    """What a lane published, instead of a broker's connection."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.up = True

    def __call__(self, topic: str, payload: bytes) -> bool:
        if self.up:
            self.messages.append((topic, payload))
        return self.up

    @property
    def acks(self) -> list[Ack]:
        return [decode(payload, Ack) for topic, payload in self.messages if topic.endswith("/ack")]

    def seqs(self, epoch: str) -> set[int]:
        """Every sequence number acknowledged as stored."""
        return {
            seq
            for ack in self.acks
            if ack.epoch == epoch
            for first, last in ack.seqs
            for seq in range(first, last + 1)
        }

    def rejected(self, epoch: str) -> dict[int, str]:
        return {one.seq: one.reason for ack in self.acks if ack.epoch == epoch for one in ack.rejected}


@pytest.fixture
def sent() -> Sent:
    return Sent()
