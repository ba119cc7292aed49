"""Answers that cost a look at the whole register, shared by everybody for a short while.

Sums over 70,000 cameras take a tenth of a second; they need not be newer than some seconds, and not be
reckoned once for each reader who asks at the same time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar

from fastapi import Request

Value = TypeVar("Value")
#: Answers kept by one process; when there are more, all are forgotten. One is some kB.
MAX_KEPT: Final = 500


class Kept:
    """Answers by key, each for its life; who asks while one is made waits for it."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = monotonic_s
        self._known: dict[Hashable, tuple[float, Any]] = {}
        self._making: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, life_s: float, make: Callable[[], Awaitable[Value]]) -> Value:
        """The kept one, or a new one. What fails is kept by nobody."""
        if (found := self._fresh(key, life_s)) is not None:
            return found[1]  # type: ignore[no-any-return]  # as it was put in
        lock = self._making.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if (found := self._fresh(key, life_s)) is not None:
                    return found[1]  # type: ignore[no-any-return]  # as it was put in
                made = await make()
                if len(self._known) >= MAX_KEPT:
                    self._known.clear()
                self._known[key] = (self._now_s(), made)
                return made
        finally:
            if not lock.locked():
                self._making.pop(key, None)

    def _fresh(self, key: Hashable, life_s: float) -> tuple[float, Any] | None:
        found = self._known.get(key)
        return found if found is not None and self._now_s() - found[0] < life_s else None


def kept(request: Request) -> Kept:
    """The answers of this process."""
    state = request.app.state
    if not hasattr(state, "kept"):
        state.kept = Kept()
    found: Kept = state.kept
    return found
