"""The agent's side of the local page: looks are answered by the core's own thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from edge.agent.core import Core
from edge.local import Facts, LocalPage, facts_of, read_secret
from edge.settings import LocalPageSettings
from edge.wire.clock import Clock

Post = Callable[[Callable[[Core], None]], None]


def local_page_of(
    wanted: LocalPageSettings | None, clock: Clock, post: Post, queued_events: Callable[[], int]
) -> LocalPage | None:
    """The page of the settings; None: none is wanted. Raises ``ValueError`` and ``OSError``."""
    if wanted is None:
        return None
    secret = read_secret(wanted.secret_file)

    async def look(detector: str) -> Facts | None:
        loop = asyncio.get_running_loop()
        seen: asyncio.Future[Facts | None] = loop.create_future()

        queued = queued_events()

        def answer(core: Core) -> None:
            facts = facts_of(core, detector, queued)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_set, seen, facts)

        post(answer)
        return await seen

    return LocalPage(secret, look, clock.now_us)


def _set(seen: asyncio.Future[Facts | None], facts: Facts | None) -> None:
    if not seen.done():  # whoever asked may have lost patience
        seen.set_result(facts)
