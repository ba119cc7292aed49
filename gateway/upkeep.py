"""What keeps alerts trustworthy while nothing burns: the canary, the quarterly tests, the bounces.

Every process sends its own canaries, because its own channels are what fails. The quarterly tests are
one process's at a time, by a lease. All of it waits out an absent database and never stops the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from alerts import drills, health, mailbox
from alerts.canary import EVERY_S, Canary
from alerts.settings import AlertSettings
from alerts.worker import Worker
from edge.wire.identity import new_id
from gateway import leases
from gateway.city import City
from gateway.ingest.patience import until_done
from registry.fieldwork import acts

LEASE = "drills"
#: How often tests are looked for, and the mailbox.
_DRILLS_EVERY_S, _BOUNCES_EVERY_S = 300.0, 10.0
#: The canary is looked at this often; each channel's own interval is kept inside.
_CANARY_EVERY_S = 15.0

log = structlog.get_logger()


class Upkeep:
    """The background tasks of alerts in one gateway process."""

    def __init__(self, city: City, worker: Worker, settings: AlertSettings) -> None:
        self._city = city
        self._worker = worker
        self._settings = settings
        self._holder = new_id()
        self._canary = Canary(city.doors.channels, city.clock, settings.canary)

    def tasks(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Coroutine functions by name, each until cancelled."""
        found: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {"canary": self._watch_channels}
        if self._settings.quarterly_test:
            found["drills"] = self._drill
        if self._settings.smtp is not None and self._settings.smtp.bounce_maildir is not None:
            found["bounces"] = self._take_bounces
        return found

    async def _watch_channels(self) -> None:
        while True:
            try:
                await self._canary.round()
            except Exception as error:  # a fault of ours must not end the watching
                log.error("canary.failed", error=type(error).__name__)
            await until_done(self._city, "channel health", self.keep_health)
            await asyncio.sleep(min(_CANARY_EVERY_S, EVERY_S) / max(self._city.clock.factor, 1.0))

    async def keep_health(self) -> None:
        """Write down what the canary found, and show how every channel fares."""
        city = self._city
        async with city.database.write() as session:
            await health.keep(session, self._canary.health(), city.clock.now_us())
            found = await health.channels(session, city.clock.now_us())
        city.metrics.channel_failing.clear()
        for state in found:
            city.metrics.channel_failing.labels(state.channel).set(state.failing)
        for (channel, outcome, reason), count in self._worker.outcomes.items():
            city.metrics.channel_outcomes.labels(channel, outcome, reason).set(count)

    async def _drill(self) -> None:
        while True:
            if await until_done(self._city, "drills", self.drill):
                self._city.wake_alerts()
            await asyncio.sleep(_DRILLS_EVERY_S / max(self._city.clock.factor, 1.0))

    async def drill(self) -> int:
        """Plan the quarterly tests that are due, if no other process does."""
        city = self._city
        now_us = city.clock.now_us()
        async with city.database.write() as session:
            if not await leases.hold(session, LEASE, self._holder, city.clock):
                return 0
            await drills.forget_old(session, now_us)
            await acts.forget_old(session, now_us)
            return await drills.plan_due(session, now_us, city.policy)

    async def _take_bounces(self) -> None:
        assert self._settings.smtp is not None
        assert self._settings.smtp.bounce_maildir is not None
        folder, city = self._settings.smtp.bounce_maildir, self._city

        async def take() -> int:
            return await mailbox.take_in_all(folder, city.database, city.clock, city.policy)

        while True:
            if await until_done(city, "bounces", take):
                city.wake_alerts()
            await asyncio.sleep(_BOUNCES_EVERY_S)
