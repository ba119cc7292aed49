"""The worker: finds what is due, sends it, writes down what became of it.

One pass is one transaction: record the outcomes of what was sent, and climb for whom a rung did not
reach → end the leases of workers that died → claim due deliveries for each channel's free places, most
urgent first, attempts recorded as started → climb the ladder. After it they are sent side by side.
A wake-up makes the next pass start now, a poll makes sure that a lost wake-up costs a second. Any
number of workers may run.

All waiting is in real seconds; the moments in the rows are the clock's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import ladder, together
from alerts.channels.base import Channel, Message, Outcome
from alerts.letters import Letter, write_letters
from alerts.policy import DEFAULT_POLICY, Policy
from alerts.queue import Lease, Queue, Waiting
from alerts.settings import WorkerSettings
from alerts.texts import Catalogues, load_catalogues
from edge.wire.clock import US_PER_S, Clock
from edge.wire.identity import new_id
from registry.db import Database
from registry.sealed import Keyring

log = structlog.get_logger(__name__)

#: A send that outlives its channel's own time limit by this is given up from outside.
_OVERTIME_S = 5.0
#: Outcomes that are recorded in one transaction.
_RECORD_BATCH = 200
#: While sends end one after another, recording waits for more of them, at most so long in all.
_GATHER_STEPS, _GATHER_STEP_S = 5, 0.01
#: Claims in one transaction, however many places are free.
_CLAIM_BATCH = 100
#: Deliveries on channels that are not set up here are refused in batches of this.
_UNSERVED_BATCH = 200
#: After the database failed, wait from the first to the second before the next pass.
_TROUBLE_WAIT_S = (0.5, 15.0)

#: A send that is over: its lease, its incident, what became of it.
_Ended = tuple[Lease, str, Outcome]


class Worker:
    """Walks the deliveries of one database through its channels."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Channel],
        clock: Clock,
        settings: WorkerSettings,
        *,
        keyring: Keyring,
        catalogues: Catalogues | None = None,
        policy: Policy = DEFAULT_POLICY,
        public_url: str = "",
        on_change: Callable[[str], None] = lambda incident_id: None,
        name: str = "",
    ) -> None:
        """``on_change`` is called with the incident's id after an outcome of it is on record."""
        self._database = database
        self._channels = dict(channels)
        self._clock = clock
        self._settings = settings
        self._keyring = keyring
        self._catalogues = catalogues or load_catalogues()
        self._policy = policy
        self._on_change = on_change
        self._public_url = public_url
        self._queue = Queue(
            name or new_id(), factor=clock.factor, lease_s=settings.lease_s,
            skip_locked=not database.is_sqlite,
        )  # fmt: skip
        self._wake = asyncio.Event()
        #: somebody else than our own sends has woken us
        self._fresh = False
        #: the last pass failed
        self._in_trouble = False
        self._stopping = False
        self._sending: dict[asyncio.Task[None], str] = {}
        self._ended: list[_Ended] = []
        #: (channel, outcome, reason) → how often; for metrics, without any address
        self.outcomes: Counter[tuple[str, str, str]] = Counter()

    def wake(self) -> None:
        """There may be something to do now."""
        self._fresh = True
        self._wake.set()

    def stop(self) -> None:
        """Take nothing new; ``run`` ends when what is under way is on record."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until ``stop`` or cancellation; then finish what is under way and close the channels."""
        trouble_wait_s = _TROUBLE_WAIT_S[0]
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    wait_s = await self._pass()
                    trouble_wait_s, self._in_trouble = _TROUBLE_WAIT_S[0], False
                except (DBAPIError, OSError) as error:
                    self._in_trouble = True
                    log.warning("alerts.database_failed", error=type(error).__name__)
                    wait_s = trouble_wait_s
                    trouble_wait_s = min(2 * trouble_wait_s, _TROUBLE_WAIT_S[1])
                except Exception as error:
                    self._in_trouble = True
                    # a fault of ours: alarms of others must still go out, so it is told and tried again
                    log.error("alerts.pass_failed", error=type(error).__name__, where=_where(error))
                    wait_s = trouble_wait_s
                    trouble_wait_s = min(2 * trouble_wait_s, _TROUBLE_WAIT_S[1])
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                        await self._gather()
        finally:
            await self._finish()
            for channel in self._channels.values():
                await channel.close()

    async def _gather(self) -> None:
        """Let some sends end together, so that many share one transaction; never for long."""
        ended = -1
        for _ in range(_GATHER_STEPS):
            busy = len(self._sending)
            if self._stopping or self._fresh or not busy or len(self._ended) in (ended, _RECORD_BATCH):
                return
            ended = len(self._ended)
            await asyncio.sleep(_GATHER_STEP_S)

    async def run_until_idle(self) -> None:
        """Work until nothing is due and nothing is under way; what is due later stays."""
        while True:
            self._wake.clear()
            wait_s = await self._pass()
            if self._sending:
                await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            elif not self._ended and wait_s > 0:
                return

    async def _finish(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._settings.grace_s)
        for task in list(self._sending):
            task.cancel()
        if self._sending:
            await asyncio.wait(self._sending)
        with suppress(DBAPIError, OSError):  # their leases run out, the next worker says unknown
            await self._record_rest()

    # ---- one pass ---------------------------------------------------------------------------

    async def _pass(self) -> float:
        """Do what is due; returns the real seconds until the next pass is worth while."""
        now_us = self._clock.now_us()
        if self._in_trouble:  # what was sent is written down even if something else is broken
            await self._record_rest()
        if not (self._fresh or self._ended):
            async with self._database.read() as session:
                waiting = await self._look(session, now_us)
            if not self._todo(waiting, now_us):
                return self._wait_s(waiting)
        self._fresh = False
        batch = self._ended[:_RECORD_BATCH]
        async with self._database.write() as session:
            if batch:
                await self._record(session, batch, now_us)
            waiting = await self._look(session, now_us)
            todo = self._todo(waiting, now_us)
            letters = await self._take(session, waiting, now_us) if todo else []
        self._recorded(batch)
        for letter in letters:
            self._start(letter)
        if self._ended or len(letters) >= _CLAIM_BATCH or waiting.climbs:
            return 0.0
        if self._sending:
            return self._settings.poll_s  # the first send that ends wakes us
        return self._wait_s(waiting)

    async def _look(self, session: AsyncSession, now_us: int) -> Waiting:
        waiting = await self._queue.look(session, now_us)
        return waiting._replace(climbs=await ladder.is_due(session, now_us))

    def _todo(self, waiting: Waiting, now_us: int) -> bool:
        """Whether there is anything that can be begun now."""
        return (
            waiting.lost
            or waiting.climbs
            or any(
                name not in self._channels or self._free(name) > 0 for name in waiting.channels(now_us)
            )
        )

    async def _take(self, session: AsyncSession, waiting: Waiting, now_us: int) -> list[Letter]:
        if waiting.lost:
            lost = await self._queue.expire(session, now_us)
            log.warning("alerts.leases_expired", deliveries=len(lost))
            await ladder.after_failure(session, lost, now_us, self._policy)
            waiting = (await self._queue.look(session, now_us))._replace(climbs=waiting.climbs)
        leases: list[Lease] = []
        for channel in self._channels:
            places = min(self._free(channel), _CLAIM_BATCH)
            if places > 0:
                leases += await self._queue.claim(session, channel, places, now_us, waiting)
        letters = []
        if leases:
            letters = await write_letters(
                session,
                leases,
                self._keyring,
                self._catalogues,
                now_us,
                self._public_url,
            )
            burning = {letter.incident_id for letter in letters if _of_an_alarm(letter)}
            await together.tie(session, burning, now_us, self._policy)
        letters += await self._unserved(session, waiting, now_us)
        if waiting.climbs:  # after the first messages: in a storm thousands climb a minute later
            await ladder.climb_due(session, now_us, self._policy)
        return letters

    async def _unserved(self, session: AsyncSession, waiting: Waiting, now_us: int) -> list[Letter]:
        """Deliveries on channels that are not set up here: refused, so that somebody sees them."""
        letters = []
        for channel in sorted(waiting.channels(now_us) - self._channels.keys()):
            for lease in await self._queue.claim(session, channel, _UNSERVED_BATCH, now_us, waiting):
                letters.append(Letter(lease, "", Outcome("refused", "not_configured")))
        return letters

    def _free(self, channel: str) -> int:
        under_way = sum(1 for name in self._sending.values() if name == channel)
        return self._channels[channel].concurrency - under_way

    def _wait_s(self, waiting: Waiting) -> float:
        if waiting.next_us is None:
            return self._settings.poll_s
        ahead_s = (waiting.next_us - self._clock.now_us()) / US_PER_S / self._clock.factor
        # a delivery that is due but has no free place waits for a send to end, which wakes us
        return self._settings.poll_s if ahead_s <= 0 else min(self._settings.poll_s, ahead_s)

    # ---- sending and recording --------------------------------------------------------------

    def _start(self, letter: Letter) -> None:
        if isinstance(letter.message, Outcome):
            self._end(letter, "", letter.message)
            return
        task = asyncio.create_task(
            self._send(letter, letter.message), name=f"alerts.send {letter.lease.delivery_id}"
        )
        self._sending[task] = letter.message.channel
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        """For a task that was cancelled before it began."""
        if self._sending.pop(task, None) is not None:
            self._wake.set()

    async def _send(self, letter: Letter, message: Message) -> None:
        channel = self._channels[message.channel]
        outcome = Outcome("unknown", "answer_lost")
        try:
            async with asyncio.timeout(channel.timeout_s + _OVERTIME_S):
                outcome = await channel.send(message)
        except TimeoutError:
            log.error("alerts.channel_overtime", channel=message.channel)
        except Exception as error:
            # a bug of ours: what was sent is not known; its text might carry an address
            log.error("alerts.channel_failed", channel=message.channel, error=type(error).__name__)
        finally:
            if (task := asyncio.current_task()) is not None:
                self._sending.pop(task, None)
            self._end(letter, message.channel, outcome)

    def _end(self, letter: Letter, channel: str, outcome: Outcome) -> None:
        self.outcomes[channel or "none", outcome.kind, outcome.reason] += 1
        self._ended.append((letter.lease, letter.incident_id, outcome))
        self._wake.set()

    async def _record(self, session: AsyncSession, batch: Sequence[_Ended], now_us: int) -> None:
        ended = [(lease, outcome) for lease, _, outcome in batch]
        states = await self._queue.record_all(session, ended, now_us)
        failed = [
            lease.delivery_id
            for (lease, _), state in zip(ended, states, strict=True)
            if state in ("refused", "dead", "unknown")
        ]
        await ladder.after_failure(session, failed, now_us, self._policy)
        stalled = [
            lease.delivery_id
            for lease, outcome in ended
            if outcome.kind == "retry" and lease.number == 1
        ]
        await ladder.after_stall(session, stalled, now_us, self._policy)

    def _recorded(self, batch: Sequence[_Ended]) -> None:
        """After the commit: nothing more is owed for these."""
        del self._ended[: len(batch)]
        for incident_id in {incident_id for _, incident_id, _ in batch if incident_id}:
            self._on_change(incident_id)

    async def _record_rest(self) -> None:
        while self._ended:
            batch = self._ended[:_RECORD_BATCH]
            async with self._database.write() as session:
                await self._record(session, batch, self._clock.now_us())
            self._recorded(batch)


def _of_an_alarm(letter: Letter) -> bool:
    return isinstance(letter.message, Message) and letter.message.kind in ("fire", "co")


def _where(error: Exception) -> str:
    """The place of a fault, without the values that a traceback may show."""
    frames = extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[:-4:-1])
