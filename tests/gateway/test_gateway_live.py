"""The live hub: nobody waits for a slow watcher, and who was away catches up or is told of a gap."""

from __future__ import annotations

import pytest

from gateway import live
from gateway.live import Hub, LiveEvent
from gateway.metrics import Metrics

EVERYTHING = frozenset(live.TOPICS)


@pytest.fixture
def hub() -> Hub:
    return Hub(Metrics())


async def test_a_watcher_sees_its_topics_in_order(hub: Hub) -> None:
    with hub.subscribe(frozenset({"incident"})) as watcher:
        hub.publish("incident", {"n": 1})
        hub.publish("site", {"n": 2})
        hub.publish("incident", {"n": 3})
        hub.close()
        assert [event.data["n"] async for event in watcher.events()] == [1, 3]


async def test_a_slow_watcher_is_dropped_with_a_gap_and_the_others_go_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUE_EVENTS", 3)
    with hub.subscribe(EVERYTHING) as slow, hub.subscribe(EVERYTHING) as quick:
        seen = []
        for n in range(5):
            hub.publish("site", {"n": n})
            event = await quick.next()
            assert event is not None
            seen.append(event.data["n"])
        assert seen == [0, 1, 2, 3, 4]
        assert [event.topic async for event in slow.events()] == ["site", "site", "site", "gap"]


async def test_what_was_missed_comes_first(hub: Hub) -> None:
    with hub.subscribe(EVERYTHING) as watcher:
        hub.publish("incident", {"n": 1})
        first = await watcher.next()
    assert first is not None
    hub.publish("incident", {"n": 2})
    hub.publish("reading", {"n": 3})
    hub.publish("site", {"n": 4})
    with hub.subscribe(EVERYTHING, last_event_id=first.id) as watcher:
        hub.publish("site", {"n": 5})
        hub.close()
        assert [event.data["n"] async for event in watcher.events()] == [2, 4, 5]


@pytest.mark.parametrize("last", ["other-1", "nonsense", "-", "x-y", "{name}-999"])
async def test_an_id_we_do_not_know_begins_with_a_gap(hub: Hub, last: str) -> None:
    hub.publish("site", {})
    with hub.subscribe(EVERYTHING, last_event_id=last.format(name=hub._name)) as watcher:
        event = await watcher.next()
    assert isinstance(event, LiveEvent)
    assert event.topic == "gap"


async def test_an_id_too_old_for_the_ring_begins_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RING_EVENTS", 3)
    hub = Hub(Metrics())
    ids = []
    with hub.subscribe(EVERYTHING) as watcher:
        for n in range(6):
            hub.publish("site", {"n": n})
            event = await watcher.next()
            assert event is not None
            ids.append(event.id)
    with hub.subscribe(EVERYTHING, last_event_id=ids[1]) as watcher:
        event = await watcher.next()
        assert event is not None
        assert event.topic == "gap"
    with hub.subscribe(EVERYTHING, last_event_id=ids[2]) as watcher:
        hub.close()
        assert [event.data["n"] async for event in watcher.events()] == [3, 4, 5]


async def test_a_closed_hub_ends_new_watchers_too(hub: Hub) -> None:
    hub.close()
    with hub.subscribe(EVERYTHING) as watcher:
        assert await watcher.next() is None
