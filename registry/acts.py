"""Who does something, from where, when and why; and the entry of the audit that says so.

A service gets an ``Act`` beside what is wanted, so that no change can be made without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from registry import audit
from registry.numbering import LOCAL_OFFSET_US
from registry.rights import Actor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Act:
    """An actor, where they act from, the time (µs UTC), and why where the action asks for it."""

    actor: Actor
    now_us: int
    origin: str = ""
    reason: str | None = None
    #: the import or bulk edit it belongs to
    batch_id: str | None = None

    @property
    def today(self) -> date:
        """The day on the office's calendar."""
        return day_of(self.now_us)


def day_of(time_us: int) -> date:
    """The calendar day in Asia/Ulaanbaatar (+08:00 the whole year)."""
    return (_EPOCH + timedelta(seconds=(time_us + LOCAL_OFFSET_US) // US_PER_S)).date()


async def record(
    session: AsyncSession,
    act: Act,
    action: str,
    kind: str,
    object_id: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """The audit's entry of this act, inside the caller's transaction. Days become texts."""
    await audit.append(
        session,
        actor=act.actor,
        origin=act.origin,
        action=action,
        object_kind=kind,
        object_id=object_id,
        now_us=act.now_us,
        before=_plain(before),
        after=_plain(after),
        reason=act.reason,
        batch_id=act.batch_id,
    )


def _plain(values: dict[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {name: str(value) if isinstance(value, date) else value for name, value in values.items()}
