"""Waiting for a moment of the shared clock, which may run faster than the machine's."""

from __future__ import annotations

import asyncio

from edge.wire.clock import US_PER_S, Clock


async def wait_until(due_us: float, clock: Clock, stop: asyncio.Event) -> None:
    """Return when the clock reaches ``due_us`` (``inf``: never) or ``stop`` is set."""
    left_us = due_us - clock.now_us()
    if left_us <= 0:
        await asyncio.sleep(0)
        return
    left_s = None if left_us == float("inf") else left_us / US_PER_S / clock.factor
    try:
        async with asyncio.timeout(left_s):
            await stop.wait()
    except TimeoutError:
        return
