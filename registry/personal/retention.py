"""What goes after which time, and the proof that it went.

Cast: a ``Rule`` (which rows are past their time, how to let them go), ``Forgetting`` (one run of rules
over one database), ``Outcome`` (what of a rule went and what is left, which must be nothing).

A rule's journey: rows past its time are let go in transactions of ``BATCH`` rows, each counted in the
same transaction, so that others, alarms first of all, wait for one batch at most and an interrupted
run goes on where it was. When none is left, one transaction looks again, writes the count, the period
and what is left into the audit, and forgets the count.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S, Clock, rfc3339
from registry import audit
from registry.acts import Act
from registry.db import Database
from registry.personal.classes import Class
from registry.personal.models import RetentionTally
from registry.personal.orphans import drop, orphans
from registry.personal.periods import Periods
from registry.rights import SYSTEM, Actor
from registry.sealed import Keyring

#: Rows let go in one transaction: a few ms on SQLite, so an alarm's own write waits no longer.
BATCH: Final = 100
#: Between two batches: whoever else wants to write has had their turn.
_BREATH_S: Final = 0.01
_DAY_US: Final = 24 * 3600 * US_PER_S


@dataclass(frozen=True)
class Letting:
    """What a rule needs to let go: the keys, the moment, the folder of files."""

    keyring: Keyring
    act: Act
    data_dir: Path


Due = Callable[[int], Select[Any]]
Forget = Callable[[AsyncSession, Letting, Sequence[Any]], Awaitable[None]]


@dataclass(frozen=True)
class Rule:
    """``due``: keys of rows past a moment (µs) that still hold something; ``forget`` them."""

    name: str
    data_class: Class
    tables: tuple[str, ...]
    #: the field of ``Periods``
    period: str
    due: Due
    forget: Forget
    #: rows of one transaction
    batch: int = BATCH

    def days(self, periods: Periods) -> int:
        return int(getattr(periods, self.period))


@dataclass(frozen=True)
class Outcome:
    """One rule: what went (or would go), what was older than ``older_than``, what is left of it."""

    rule: str
    data_class: str
    tables: tuple[str, ...]
    days: int
    older_than: str
    gone: int
    left: int
    dry_run: bool


class Forgetting:
    """One run. ``may_go_on`` is asked before each batch: a lease may have been lost."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        clock: Clock,
        data_dir: Path,
        periods: Periods,
        *,
        actor: Actor = SYSTEM,
        origin: str = "",
        may_go_on: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._data_dir = data_dir
        self._periods = periods
        self._actor = actor
        self._origin = origin
        self._may_go_on = may_go_on

    async def run(self, rules: Sequence[Rule], *, dry_run: bool = False) -> AsyncIterator[Outcome]:
        """Each rule's outcome, when it is done. Ends early when it may not go on."""
        for rule in rules:
            older_us = self._clock.now_us() - rule.days(self._periods) * _DAY_US
            if not dry_run and not await self._let_go(rule, older_us):
                return
            yield await self._account(rule, older_us, dry_run=dry_run)

    async def files(self, *, dry_run: bool = False) -> Outcome:
        """Files of no record, by the file system's own time."""
        days = self._periods.uploads_days
        older_us = self._clock.now_us() - days * _DAY_US
        found = await orphans(self._database, self._data_dir, older_us)
        gone = len(found) if dry_run else await drop(found)
        left = len(found) if dry_run else len(await orphans(self._database, self._data_dir, older_us))
        told = Outcome(
            "files", "internal", (), days, rfc3339(older_us), gone, left, dry_run
        )  # fmt: skip
        if gone and not dry_run:
            async with self._database.write() as session:
                await self._tell(session, told)
        return told

    async def _let_go(self, rule: Rule, older_us: int) -> bool:
        """False if it may not go on; what is left waits for the next run."""
        while True:
            if self._may_go_on is not None and not await self._may_go_on():
                return False
            async with self._database.read() as session:  # looking takes longer than letting go
                keys = await _keys(session, rule.due(older_us).limit(rule.batch))
            if not keys:
                return True
            async with self._database.write() as session:
                query = rule.due(older_us)
                keys = await _keys(session, query.where(_among(query, keys)))
                await rule.forget(session, self._letting(), keys)
                await self._count(session, rule, len(keys))
            await asyncio.sleep(_BREATH_S)

    def _letting(self) -> Letting:
        act = Act(self._actor, self._clock.now_us(), self._origin, "its time is over")
        return Letting(self._keyring, act, self._data_dir)

    async def _count(self, session: AsyncSession, rule: Rule, gone: int) -> None:
        tally = await session.get(RetentionTally, rule.name)
        if tally is None:
            tally = RetentionTally(rule=rule.name, gone=0, since_us=self._clock.now_us())
            session.add(tally)
        tally.gone += gone

    async def _account(self, rule: Rule, older_us: int, *, dry_run: bool) -> Outcome:
        """Look again; tell the audit what went since it was last told."""
        days = rule.days(self._periods)
        past = select(func.count()).select_from(rule.due(older_us).subquery())
        if dry_run:
            async with self._database.read() as session:
                found = await session.scalar(past) or 0
            return _outcome(rule, days, older_us, found, found, dry_run=True)
        async with self._database.read() as session:
            left = await session.scalar(past) or 0
        async with self._database.write() as session:
            tally = await session.get(RetentionTally, rule.name)
            gone = tally.gone if tally is not None else 0
            told = _outcome(rule, days, older_us, gone, left, dry_run=False)
            if tally is not None:
                await session.delete(tally)
                await self._tell(session, told)
        return told

    async def _tell(self, session: AsyncSession, told: Outcome) -> None:
        await audit.append(
            session, actor=self._actor, origin=self._origin, action="retention.done",
            object_kind="retention", object_id=told.rule, now_us=self._clock.now_us(),
            after={
                "gone": told.gone, "left": told.left, "days": told.days,
                "older_than": told.older_than, "class": told.data_class, "tables": list(told.tables),
            },
        )  # fmt: skip


async def _keys(session: AsyncSession, query: Select[Any]) -> list[Any]:
    """One value of each row, or a tuple where a key has several columns."""
    rows = (await session.execute(query)).all()
    return [row[0] if len(row) == 1 else tuple(row) for row in rows]


def _among(query: Select[Any], keys: Sequence[Any]) -> ColumnElement[bool]:
    columns = list(query.selected_columns)
    return columns[0].in_(keys) if len(columns) == 1 else tuple_(*columns).in_(keys)


def _outcome(rule: Rule, days: int, older_us: int, gone: int, left: int, *, dry_run: bool) -> Outcome:
    return Outcome(
        rule.name, rule.data_class, rule.tables, days, rfc3339(older_us), gone, left, dry_run
    )
