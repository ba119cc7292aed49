"""The live stream, by Server-Sent Events: what happens now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from gateway.api.router import api_router
from gateway.city import City
from gateway.door import Asker, need
from gateway.live import TOPICS, LiveEvent, Subscription
from gateway.problems import documented, wrong_field

router = api_router(tags=["live"])

#: A comment this often tells both ends and every proxy that the stream lives.
PING_S = 15.0
#: A stream ends after this and the browser comes back by itself: rights are asked anew.
MAX_STREAM_S = 3600.0

_DEFAULT_TOPICS = "incident,detector,site"


class EventStream(StreamingResponse):
    """Described in OpenAPI by what it is."""

    media_type = "text/event-stream"


@router.get("/live", summary="Live stream", response_class=EventStream, responses=documented(422))
async def live(
    request: Request,
    asker: Annotated[Asker, Depends(need("live.read"))],
    topics: Annotated[
        str, Query(max_length=100, description=f"of {', '.join(TOPICS)}; comma-separated")
    ] = _DEFAULT_TOPICS,
    last_event_id: Annotated[
        str | None, Header(description="the last event you saw; what you missed comes first")
    ] = None,
) -> EventStream:
    """Events ``incident``, ``detector``, ``site``, ``reading`` with JSON data.

    An event ``gap`` says that something was missed: read the state again by the other routes.
    """
    wanted = frozenset(part.strip() for part in topics.split(",") if part.strip())
    if not wanted or not wanted <= set(TOPICS):
        raise wrong_field("query.topics", f"expected some of {', '.join(TOPICS)}")
    city: City = request.app.state.city
    return EventStream(
        _stream(city, wanted, last_event_id),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    city: City, topics: frozenset[str], last_event_id: str | None
) -> AsyncIterator[bytes]:
    with city.hub.subscribe(topics, last_event_id=last_event_id) as watcher:
        yield b"retry: 3000\n\n"
        async for chunk in _chunks(watcher):
            yield chunk


async def _chunks(watcher: Subscription) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + MAX_STREAM_S
    while loop.time() < until_s:
        try:
            async with asyncio.timeout(PING_S):
                event = await watcher.next()
        except TimeoutError:
            yield b": alive\n\n"
            continue
        if event is None:
            return
        yield _encode(event)


def _encode(event: LiveEvent) -> bytes:
    head = f"id: {event.id}\n" if event.id else ""
    data = json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
    return f"{head}event: {event.topic}\ndata: {data}\n\n".encode()
