"""What keeps a channel from being overrun: a rate, and a breaker that spares a provider that is down.

While the breaker is open a message is answered at once with ``circuit_open``, so that the ladder moves
on instead of waiting for one time-out after another; after the pause one message tries it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from alerts.channels.base import Channel, Message, Outcome

#: These say that the provider is down, not that one message is bad.
_DOWN = ("connection_failed", "timeout", "server_error", "tls_failed", "auth_refused", "answer_lost")
#: So many in a row open the breaker; then it stays open for the first pause, doubling to the last.
BREAK_AFTER = 5
PAUSE_S = (5.0, 60.0)


class Limited:
    """A channel with a rate (messages per second; 0: none) and a breaker."""

    def __init__(
        self, channel: Channel, *, rate_per_s: float = 0.0, now_s: Callable[[], float] = monotonic
    ) -> None:
        self.name = channel.name
        self.concurrency = channel.concurrency
        #: waiting for a turn counts into the time that the worker allows
        self.timeout_s = channel.timeout_s + (channel.concurrency / rate_per_s if rate_per_s else 0.0)
        self._channel = channel
        self._rate_per_s = rate_per_s
        self._now_s = now_s
        self._next_s = 0.0
        self._failures = 0
        self._pause_s = PAUSE_S[0]
        self._open_until_s = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the provider is being spared."""
        return self._failures >= BREAK_AFTER

    async def send(self, message: Message) -> Outcome:
        """Send it in its turn; or say at once that the provider is down."""
        if self.is_open:
            left_s = self._open_until_s - self._now_s()
            if left_s > 0 or self._probing:
                return Outcome("retry", "circuit_open", "", max(left_s, 1.0))
            self._probing = True
        try:
            await self._turn()
            outcome = await self._channel.send(message)
        finally:
            self._probing = False
        self._judge(outcome)
        return outcome

    async def _turn(self) -> None:
        if not self._rate_per_s:
            return
        now_s = self._now_s()
        mine_s = max(now_s, self._next_s)
        self._next_s = mine_s + 1 / self._rate_per_s
        if mine_s > now_s:
            await asyncio.sleep(mine_s - now_s)

    def _judge(self, outcome: Outcome) -> None:
        if outcome.kind == "accepted" or outcome.reason not in _DOWN:
            self._failures, self._pause_s = 0, PAUSE_S[0]
            return
        self._failures += 1
        if self.is_open:
            self._open_until_s = self._now_s() + self._pause_s
            self._pause_s = min(2 * self._pause_s, PAUSE_S[1])

    async def close(self) -> None:
        await self._channel.close()
