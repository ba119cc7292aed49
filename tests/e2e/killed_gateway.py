"""The gateway as a process that kills itself the first time it comes to one named point of the ingest.

    python killed_gateway.py POINT

Started by ``test_e2e_kills.py`` with the gateway's usual environment. Nothing of the product knows of
it: the points are wrapped from outside. It tells nobody anything, so that what the next process tells
is all that was ever told.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        die()
        return real(*arguments, **named)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str) -> None:
    real = getattr(owner, name)

    async def wrapped_async(*arguments: Any, **named: Any) -> Any:
        result = await real(*arguments, **named)
        die()
        return result

    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = real(*arguments, **named)
        die()
        return result

    setattr(owner, name, wrapped_async if asyncio.iscoroutinefunction(real) else wrapped)


def points() -> dict[str, Callable[[], None]]:
    """Every point, in the order in which a message meets them."""
    import gateway.ingest.events as events
    import gateway.ingest.keeper as keeper
    import gateway.stores.sqlite as store
    from gateway.ingest.acks import Acks
    from gateway.ingest.events import EventLane
    from gateway.ingest.frames import FrameLane
    from gateway.ingest.keeper import LatestKeeper

    def when(owner: Any, name: str, lane: str, kill: Callable[[Any, str], None]) -> None:
        """Only for acknowledgements of this lane."""
        real = getattr(owner, name)

        def chosen(self: Any, *arguments: Any) -> Any:
            if self.lane == lane and (self._stored or lane == "frames"):
                killing = type("Killing", (), {name: staticmethod(lambda *a: real(self, *a))})
                kill(killing, name)
                return getattr(killing, name)(*arguments)
            return real(self, *arguments)

        setattr(owner, name, chosen)

    return {
        "frames: taken": lambda: before(FrameLane, "_judge"),
        "frames: inside the store's transaction": lambda: before(store, "encode_block"),
        "frames: stored, not acknowledged": lambda: after(store.SqliteStore, "write"),
        "frames: before the acknowledgement": lambda: when(Acks, "send", "frames", before),
        "frames: acknowledged": lambda: when(Acks, "send", "frames", after),
        "latest: before the write": lambda: before(keeper, "upsert_latest"),
        "latest: inside the transaction": lambda: after(keeper, "upsert_latest"),
        "latest: left unwritten": lambda: before(LatestKeeper, "flush"),
        "events: taken": lambda: before(events, "apply_alarms"),
        "events: inside the transaction": lambda: after(events, "apply_alarms"),
        "events: committed, not acknowledged": lambda: when(Acks, "send", "events", before),
        "events: acknowledged": lambda: when(Acks, "send", "events", after),
        "events: answered and told": lambda: _after_alarm(EventLane),
    }


def _after_alarm(lane: Any) -> None:
    real = lane._tell

    def wrapped(self: Any, outcome: Any) -> None:
        real(self, outcome)
        if outcome.notified:
            die()

    lane._tell = wrapped


def main(point: str) -> None:
    from alerts.worker import Worker
    from gateway.cli import app

    async def silent(self: Any) -> None:
        while not self._stopping:
            await asyncio.sleep(0.05)

    Worker.run = silent  # type: ignore[method-assign]
    points()[point]()
    app(["serve"])


if __name__ == "__main__":
    main(sys.argv[1])
