"""The canary: a message of our own through every channel, as often as its price allows.

What a provider does to the canary it does to an alarm, so a channel whose canary fails is shown as
failing before anybody needs it. After each round in which all channels were well, an outer dead-man's
switch is fetched; it raises its own alarm when we fall silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import httpx
import structlog

from alerts.channels.base import Channel, Message, Outcome
from alerts.channels.http import new_client
from alerts.settings import CanarySettings
from edge.wire.clock import US_PER_S, Clock
from edge.wire.identity import new_id

#: Where no other time is set: free channels every minute.
EVERY_S = 60.0
#: A channel is shown as failing after this without a good canary, and never later than three minutes.
FAILING_AFTER_S = 150.0
_BEAT_TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


class Health(NamedTuple):
    """What is known of a channel from its canary."""

    channel: str
    failing: bool
    reason: str
    last_good_us: int | None


class Canary:
    """Sends the canaries of one process."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        clock: Clock,
        settings: CanarySettings,
        *,
        on_change: Callable[[Health], None] = lambda health: None,
    ) -> None:
        self._channels = {name: channels[name] for name in settings.addresses if name in channels}
        self._clock = clock
        self._settings = settings
        self._on_change = on_change
        self._last_us: dict[str, int] = {}
        self._good_us: dict[str, int] = {}
        self._outcome: dict[str, Outcome] = {}
        self._shown: dict[str, bool] = {}
        self._began_us = clock.now_us()
        self._beaten_us = 0

    async def run(self) -> None:
        """One round after another until cancelled."""
        shortest_s = min((self._every_s(name) for name in self._channels), default=EVERY_S)
        while True:
            await self.round()
            await asyncio.sleep(min(shortest_s, EVERY_S) / self._clock.factor)

    def _every_s(self, name: str) -> float:
        return self._settings.every_s.get(name, EVERY_S)

    async def round(self) -> bool:
        """Send what is due; whether every channel is well (then the switch is told)."""
        now_us = self._clock.now_us()
        due = [
            name
            for name in self._channels
            if now_us - self._last_us.get(name, 0) >= self._every_s(name) * US_PER_S
        ]
        await asyncio.gather(*(self._send(name, now_us) for name in due))
        healths = self.health()
        for health in healths:
            if self._shown.get(health.channel, False) != health.failing:
                self._shown[health.channel] = health.failing
                log.warning(
                    "alerts.canary",
                    channel=health.channel,
                    failing=health.failing,
                    reason=health.reason,
                )
                self._on_change(health)
        well = not any(health.failing for health in healths)
        if well and self._settings.heartbeat_url and now_us - self._beaten_us >= EVERY_S * US_PER_S:
            self._beaten_us = now_us
            await self._beat()
        return well

    def health(self) -> list[Health]:
        """Every channel that has a canary."""
        now_us = self._clock.now_us()
        result = []
        for name in sorted(self._channels):
            outcome = self._outcome.get(name)
            good_us = self._good_us.get(name)
            silent_us = now_us - (good_us if good_us is not None else self._began_us)
            limit_s = max(FAILING_AFTER_S, 1.5 * self._every_s(name))
            refused = outcome is not None and outcome.kind in ("refused", "retry")
            failing = refused or silent_us > limit_s * US_PER_S
            result.append(Health(name, failing, outcome.reason if outcome else "not_sent", good_us))
        return result

    async def _send(self, name: str, now_us: int) -> None:
        self._last_us[name] = now_us
        message = Message(
            delivery_id=new_id(), incident_id="canary", channel=name,
            address=self._settings.addresses[name], kind="canary", language="en",
            subject="Utaa canary", body="Utaa canary\n", short="Utaa canary", sent_us=now_us,
            urgent=False, ttl_s=300,
        )  # fmt: skip
        outcome = Outcome("unknown", "answer_lost")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._channels[name].timeout_s):
                outcome = await self._channels[name].send(message)
        self._outcome[name] = outcome
        if outcome.kind == "accepted":
            self._good_us[name] = now_us

    async def _beat(self) -> None:
        client = new_client(_BEAT_TIMEOUT_S, 1)
        try:
            await client.get(self._settings.heartbeat_url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("alerts.heartbeat_failed", error=type(error).__name__)
        finally:
            await client.aclose()
