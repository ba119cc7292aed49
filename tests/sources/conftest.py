"""Shared by the tests of sources: messages, and what decoding them gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import settings

from edge.sources.base import RawMessage
from edge.wire.clock import us_from_datetime

#: 2026-01-31 19:12 in Ulaanbaatar.
RECEIVED_US = us_from_datetime(datetime(2026, 1, 31, 11, 12, tzinfo=UTC))

# A busy machine is no reason to fail: examples are bounded in number, not in time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

MakeMessage = Callable[..., RawMessage]


@pytest.fixture(scope="session")
def received_us() -> int:
    return RECEIVED_US


@pytest.fixture(scope="session")
def message() -> MakeMessage:
    """``message(topic, payload, retained=False)`` as it arrives at ``received_us``."""

    def make(topic: str, payload: str | bytes, *, retained: bool = False) -> RawMessage:
        raw = payload.encode() if isinstance(payload, str) else payload
        return RawMessage(topic, raw, retained, RECEIVED_US)

    return make
