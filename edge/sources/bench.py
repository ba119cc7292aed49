"""How many messages of each source one core decodes per second (``utaa bench sources``)."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.sources import SOURCES, build_example
from edge.sources.base import RawMessage
from edge.wire.clock import SystemClock

#: A site's box is small: two cores of which one is the broker's.
AIM_PER_S = 15_000
#: Messages between two looks at the clock.
_ROUND = 500
#: The rate is the best of so many parts: other processes' caches are not ours to measure.
_PARTS = 5


def decoded_per_s(seconds: float, clock: Callable[[], float] = time.process_time) -> dict[str, int]:
    """By source, messages per second of processor time; each decodes its own example."""
    return {name: _rate(name, seconds, clock) for name in SOURCES}


def _rate(name: str, seconds: float, clock: Callable[[], float]) -> int:
    source = build_example(name)
    payload = source.example.payload.encode()
    message = RawMessage(source.example.topic, payload, False, SystemClock().now_us())
    best = 0.0
    for _ in range(_PARTS):
        count, began_s = 0, clock()
        while (spent_s := clock() - began_s) < seconds / _PARTS:
            for _ in range(_ROUND):
                source.decode(message)
            count += _ROUND
        best = max(best, count / spent_s)
    return round(best)
