"""The job of retention in a gateway: of several processes one does it, a batch at a time."""

from __future__ import annotations

import asyncio

import structlog

from edge.wire.identity import new_id
from gateway import leases
from gateway.city import City
from gateway.ingest.patience import until_done
from gateway.personal.rules import RULES
from registry.personal.redaction import ChainBroken
from registry.personal.retention import Forgetting, Outcome
from registry.sites import Conflict

LEASE = "personal data"
#: A city that just started has other things to do; afterwards a few looks a day are enough.
_FIRST_AFTER_S, _EVERY_S = 60.0, 6 * 3600.0

log = structlog.get_logger()


class Keeper:
    """Runs every rule of retention, again and again."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._holder = new_id()

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = _FIRST_AFTER_S
        while True:
            await asyncio.sleep(pause_s / max(self._city.clock.factor, 1.0))
            pause_s = _EVERY_S
            try:
                await until_done(self._city, "personal data", self.once)
            except (ChainBroken, Conflict) as error:  # a person must look; what else is due may wait
                log.error("retention.stopped", error=type(error).__name__)

    async def once(self) -> list[Outcome]:
        """Let go of what is past its time, if no other process does; what became of each rule."""
        if not await self._mine():
            return []
        city = self._city
        forgetting = Forgetting(
            city.database, city.keyring, city.clock, city.settings.data_dir, city.settings.retention,
            may_go_on=self._mine,
        )  # fmt: skip
        done = [outcome async for outcome in forgetting.run(RULES)]
        if len(done) == len(RULES):
            done.append(await forgetting.files())
        for outcome in done:
            if outcome.gone:
                log.info("retention.done", rule=outcome.rule, gone=outcome.gone, left=outcome.left)
        return done

    async def _mine(self) -> bool:
        async with self._city.database.write() as session:
            return await leases.hold(session, LEASE, self._holder, self._city.clock)
