"""The live stream: what happens now, to everybody who watches.

Cast: ``Hub`` (takes what is published, keeps the last of it in a ring), ``Subscription`` (one
watcher's bounded queue). A watcher that is too slow for its queue is dropped, with a ``gap`` event that
tells it to read the state again and to subscribe anew; nobody else waits for it.

Topics: ``incident``, ``detector``, ``site`` are kept in the ring for catching up by ``Last-Event-ID``;
``reading`` is not (there are too many, and the next one comes soon).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from edge.wire.identity import new_id
from gateway.metrics import Metrics

Topic = Literal["incident", "detector", "site", "reading"]
TOPICS: tuple[str, ...] = get_args(Topic)

#: Events a watcher may be behind before it is dropped; a page takes thousands a second.
QUEUE_EVENTS = 1_000
#: Events kept for catching up after a short break: minutes of a busy city.
RING_EVENTS = 5_000


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One thing that happened. ``id`` is ``<hub>-<number>``: of this process and in order."""

    id: str
    topic: str
    data: dict[str, Any]


class Subscription:
    """One watcher's queue."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self._queue: asyncio.Queue[LiveEvent | None] = asyncio.Queue()
        self.dropped = False

    def offer(self, event: LiveEvent) -> bool:
        """False if the watcher is too far behind; it is then told so and ends."""
        if self._queue.qsize() >= QUEUE_EVENTS:
            self.dropped = True
            self._queue.put_nowait(None)
            return False
        self._queue.put_nowait(event)
        return True

    def end(self) -> None:
        """Let the watcher finish what it has, and stop."""
        self._queue.put_nowait(None)

    async def next(self) -> LiveEvent | None:
        """The next event; None when the hub closes or after the ``gap`` of a dropped watcher."""
        event = await self._queue.get()
        if event is None and self.dropped:
            self.dropped = False
            self.end()
            return LiveEvent("", "gap", {"reason": "too_slow"})
        return event

    async def events(self) -> AsyncIterator[LiveEvent]:
        """Until ``next`` has no more."""
        while (event := await self.next()) is not None:
            yield event


class Hub:
    """Publish once, everybody sees it. Lives on one event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._name = new_id()[:8]
        self._number = 0
        self._ring: deque[tuple[int, LiveEvent]] = deque(maxlen=RING_EVENTS)
        self._watchers: set[Subscription] = set()
        self._closed = False

    def wanted(self, topic: Topic) -> bool:
        """Whether anybody watches this topic now."""
        return any(topic in watcher.topics for watcher in self._watchers)

    def publish(self, topic: Topic, data: dict[str, Any]) -> None:
        """Never waits and never fails."""
        self._number += 1
        event = LiveEvent(f"{self._name}-{self._number}", topic, data)
        if topic != "reading":
            self._ring.append((self._number, event))
        for watcher in [one for one in self._watchers if topic in one.topics]:
            if not watcher.offer(event):
                self._watchers.discard(watcher)
                self._metrics.live_dropped.inc()

    @contextmanager
    def subscribe(
        self, topics: frozenset[str], *, last_event_id: str | None = None
    ) -> Iterator[Subscription]:
        """A subscription that begins with what the ring holds after ``last_event_id``.

        An id of another process, or too old for the ring, begins with a ``gap``.
        """
        watcher = Subscription(topics)
        for event in self._missed(last_event_id):
            if event.topic in topics or event.topic == "gap":
                watcher.offer(event)
        if self._closed:
            watcher.end()
        else:
            self._watchers.add(watcher)
        self._metrics.live_subscribers.inc()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._metrics.live_subscribers.dec()

    def _missed(self, last_event_id: str | None) -> list[LiveEvent]:
        if not last_event_id:
            return []
        name, _, number = last_event_id.partition("-")
        known = name == self._name and number.isdecimal() and int(number) <= self._number
        oldest = self._ring[0][0] if self._ring else self._number + 1
        complete = known and (len(self._ring) < RING_EVENTS or int(number) >= oldest - 1)
        if not complete:
            return [LiveEvent("", "gap", {"reason": "too_old"})]
        missed = [event for n, event in self._ring if n > int(number)]
        if len(missed) >= QUEUE_EVENTS:
            return [LiveEvent("", "gap", {"reason": "too_old"})]
        return missed

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for watcher in self._watchers:
            watcher.end()
        self._watchers.clear()
