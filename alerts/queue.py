"""The queue of deliveries: rows, leases and what is recorded. No sending here.

A delivery is claimed by one UPDATE under a lease, and its attempt is a row **before** anything is sent.
If its worker dies, the lease runs out and the attempt ends as ``unknown``: nobody can say whether the
provider has it. What follows an unknown is the ladder's decision, never a silent repetition.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from alerts import statements
from alerts.channels.base import DEAD_ADDRESS_REASONS, Outcome
from alerts.models import Attempt, Delivery, Notification
from edge.wire.clock import US_PER_S
from edge.wire.identity import new_id
from registry.models import ContactChannel
from registry.statements import fetch, run

#: Nothing more follows in these states, unless the provider itself reports later.
FINAL_STATES = ("accepted", "delivered", "seen", "refused", "dead", "unknown", "cancelled")
FAILED_STATES = ("refused", "dead", "unknown")
_PENDING_STATES = ("queued", "sending")


class BackOff(NamedTuple):
    """How a delivery is tried again, in real seconds."""

    first_s: float
    most_s: float
    give_up_s: float


#: By priority. An alarm is tried hard and soon of no use; a trouble can wait for tomorrow.
BACK_OFF: dict[int, BackOff] = {
    0: BackOff(1.0, 30.0, 30 * 60.0),
    1: BackOff(5.0, 300.0, 6 * 3600.0),
    2: BackOff(30.0, 1800.0, 24 * 3600.0),
}


class Lease(NamedTuple):
    """A claimed delivery: send it, then ``record`` its outcome."""

    delivery_id: str
    attempt_id: str
    number: int


def wait_s(priority: int, attempts: int, retry_after_s: float | None, chance: float) -> float:
    """Seconds until the next try: doubling, capped, jittered by ``chance`` in [0, 1).

    The provider's own wish holds if it is longer, up to a quarter of the time after which we give up.
    """
    plan = BACK_OFF[priority]
    ceiling = min(plan.most_s, plan.first_s * 2.0 ** min(attempts - 1, 30))
    own = ceiling * (0.5 + 0.5 * chance)
    return max(own, min(retry_after_s or 0.0, plan.give_up_s / 4))


class Waiting(NamedTuple):
    """What waits: the earliest moment by (channel, priority), and whether a worker left anything."""

    earliest: Mapping[tuple[str, int], int]
    lost: bool
    #: incidents whose next rung is due
    climbs: bool = False

    def priorities(self, channel: str, now_us: int) -> list[int]:
        """The priorities of which anything is due on the channel, the most urgent first."""
        return sorted(
            priority
            for (name, priority), at in self.earliest.items()
            if name == channel and at <= now_us
        )

    def channels(self, now_us: int) -> set[str]:
        """On which channels anything is due."""
        return {name for (name, _), at in self.earliest.items() if at <= now_us}

    @property
    def next_us(self) -> int | None:
        """When the earliest queued delivery is due."""
        return min(self.earliest.values(), default=None)


def _due_statement() -> Select[str]:
    earlier, told = aliased(Delivery), aliased(Notification)
    alarm_first = exists().where(
        earlier.channel_id == Delivery.channel_id,
        earlier.state.in_(_PENDING_STATES),
        told.id == earlier.notification_id,
        told.incident_id == Notification.incident_id,
        told.message != "all_clear",
    )
    return (
        select(Delivery.id)
        .join(Notification, Delivery.notification_id == Notification.id)
        .where(
            Delivery.state == "queued",
            Delivery.channel == bindparam("channel"),
            Delivery.priority == bindparam("priority"),
            Delivery.due_us <= bindparam("now_us"),
            or_(Notification.message != "all_clear", ~alarm_first),
        )
        .order_by(Delivery.due_us, Delivery.id)
        .limit(bindparam("most"))
    )


# Made once: putting a statement together costs as much as running it.
_DUE = _due_statement()
_DUE_SKIPPING = _DUE.with_for_update(of=Delivery, skip_locked=True)


class Queue:
    """One worker's view of the queue. ``factor`` turns real seconds into the clock's."""

    def __init__(self, owner: str, *, factor: float, lease_s: float, skip_locked: bool) -> None:
        self.owner = owner
        self._factor = factor
        self._lease_us = int(lease_s * factor * US_PER_S)
        self._skip_locked = skip_locked

    async def look(self, session: AsyncSession, now_us: int) -> Waiting:
        """What there is to do, in two questions whatever the length of the queue."""
        earliest = {(row[0], row[1]): row[2] for row in await fetch(session, statements.EARLIEST)}
        lost = await fetch(session, statements.LOST, now_us=now_us)
        return Waiting(earliest, bool(lost[0][0]))

    async def claim(
        self,
        session: AsyncSession,
        channel: str,
        limit: int,
        now_us: int,
        waiting: Waiting | None = None,
    ) -> list[Lease]:
        """Take due deliveries of one channel, most urgent first, and start their attempts."""
        ids: list[str] = []
        waiting = waiting or await self.look(session, now_us)
        for priority in waiting.priorities(channel, now_us):
            if len(ids) < limit:
                wanted = {
                    "channel": channel, "priority": priority, "now_us": now_us,
                    "most": limit - len(ids),
                }  # fmt: skip
                due = _DUE_SKIPPING if self._skip_locked else _DUE
                ids += [row[0] for row in await fetch(session, due, **wanted)]
        if not ids:
            return []
        taken = await fetch(
            session, statements.LEASE, ids=ids, owner=self.owner, until_us=now_us + self._lease_us
        )
        place = {delivery_id: number for number, delivery_id in enumerate(ids)}
        leases = [Lease(row[0], new_id(), row[1]) for row in taken]
        leases.sort(key=lambda lease: place[lease.delivery_id])
        await run(
            session,
            statements.INSERT[Attempt],
            [
                {
                    "id": lease.attempt_id, "delivery_id": lease.delivery_id,
                    "number": lease.number, "started_us": now_us,
                }
                for lease in leases
            ],
        )  # fmt: skip
        return leases

    async def record(
        self, session: AsyncSession, lease: Lease, outcome: Outcome, now_us: int
    ) -> str | None:
        """Write what became of an attempt; the delivery's new state, None if it is ours no more."""
        return (await self.record_all(session, [(lease, outcome)], now_us))[0]

    async def record_all(
        self, session: AsyncSession, ended: Sequence[tuple[Lease, Outcome]], now_us: int
    ) -> list[str | None]:
        """``record`` for many, in few statements; the states in the order of ``ended``."""
        await run(
            session,
            statements.END_ATTEMPT,
            [
                {
                    "of_id": lease.attempt_id, "to_ended_us": now_us, "to_outcome": outcome.kind,
                    "to_reason": outcome.reason, "to_evidence": outcome.evidence or None,
                }
                for lease, outcome in ended
            ],
        )  # fmt: skip
        ids = [lease.delivery_id for lease, _ in ended]
        rows = await fetch(session, statements.JUDGED, ids=ids)
        found = {row.id: row for row in rows}
        states: list[str | None] = []
        changes = []
        for lease, outcome in ended:
            row = found.get(lease.delivery_id)
            if row is None or not self._ours(row, lease, outcome):
                states.append(None)
                continue
            changes.append(self._settled(row, outcome, now_us))
            states.append(changes[-1]["to_state"])
            if outcome.kind == "refused" and outcome.reason in DEAD_ADDRESS_REASONS:
                await session.execute(
                    update(ContactChannel)
                    .where(ContactChannel.id == row.channel_id, ContactChannel.dead_us.is_(None))
                    .values(dead_us=now_us, dead_reason=outcome.reason)
                )
        if changes:
            await run(session, statements.SETTLE, changes)
        return states

    def _ours(self, row: Any, lease: Lease, outcome: Outcome) -> bool:
        if row.attempts != lease.number:
            return False
        ours = row.state == "sending" and row.lease_owner == self.owner
        return ours or (row.state == "unknown" and outcome.kind == "accepted")

    def _settled(self, row: Any, outcome: Outcome, now_us: int) -> dict[str, Any]:
        change = {
            "of_id": row.id, "to_lease_owner": None, "to_lease_until_us": None,
            "to_reason": outcome.reason, "to_provider_id": outcome.provider_id or row.provider_id,
            "to_state": outcome.kind, "to_due_us": row.due_us,
            "to_accepted_us": now_us if outcome.kind == "accepted" else row.accepted_us,
        }  # fmt: skip
        if outcome.kind == "retry":
            jitter = random.random()  # noqa: S311  # spreads retries, guards nothing
            pause_s = wait_s(row.priority, row.attempts, outcome.retry_after_s, jitter)
            due_us = now_us + int(pause_s * self._factor * US_PER_S)
            life_us = int(BACK_OFF[row.priority].give_up_s * self._factor * US_PER_S)
            give_up_us = max(row.queued_us, row.first_due_us) + life_us
            change["to_due_us"] = due_us
            change["to_state"] = "queued" if due_us <= give_up_us else "dead"
        return change

    async def expire(self, session: AsyncSession, now_us: int) -> list[str]:
        """End the attempts of workers that died in the middle of a send. Returns the deliveries."""
        expired: Sequence[str] = (
            await session.scalars(
                update(Delivery)
                .where(Delivery.state == "sending", Delivery.lease_until_us < now_us)
                .values(state="unknown", reason="worker_lost", lease_owner=None, lease_until_us=None)
                .returning(Delivery.id)
                .execution_options(synchronize_session=False)
            )
        ).all()
        if expired:
            await session.execute(
                update(Attempt)
                .where(Attempt.delivery_id.in_(expired), Attempt.ended_us.is_(None))
                .values(ended_us=now_us, outcome="unknown", reason="worker_lost")
            )
        return list(expired)
