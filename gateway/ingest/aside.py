"""What the city could not use: kept with its reason, so that somebody can see why.

A refused message that had a key is answered as rejected and its edge need not keep it, so it is set
aside here in the database first. A message without a key (garbage) is only sampled, because anybody
who may publish could send a great many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.models import SetAside

#: So much of a payload is kept; the largest useful frame is about half of it.
MAX_PAYLOAD_BYTES = 64 * 1024
#: Samples without a key kept of one batch and reason.
SAMPLES_PER_BATCH = 3
#: Rows kept for each reason; the oldest go first. At most 64 MiB a reason.
KEEP_PER_REASON = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that cannot be used. ``keyed``: its edge is told, and will not send it again."""

    topic: str
    payload: bytes
    reason: str
    detail: str
    keyed: bool = False


async def set_aside(session: AsyncSession, refusals: Sequence[Refusal], *, now_us: int) -> None:
    """Keep them (of those without a key a sample), and no more than the stated number by reason."""
    sampled: Counter[str] = Counter()
    for refusal in refusals:
        if not refusal.keyed:
            sampled[refusal.reason] += 1
            if sampled[refusal.reason] > SAMPLES_PER_BATCH:
                continue
        session.add(
            SetAside(
                at_us=now_us,
                topic=_storable(refusal.topic)[:300],
                reason=refusal.reason,
                detail=_storable(refusal.detail)[:500],
                payload=refusal.payload[:MAX_PAYLOAD_BYTES],
                truncated=len(refusal.payload) > MAX_PAYLOAD_BYTES,
            )
        )
    await session.flush()
    for reason in sorted({refusal.reason for refusal in refusals}):
        await _prune(session, reason)


async def _prune(session: AsyncSession, reason: str) -> None:
    of_reason = SetAside.reason == reason
    kept = await session.scalar(select(func.count()).select_from(SetAside).where(of_reason))
    if kept is None or kept <= KEEP_PER_REASON:
        return
    newest_gone = await session.scalar(
        select(SetAside.id)
        .where(of_reason)
        .order_by(SetAside.id.desc())
        .offset(KEEP_PER_REASON)
        .limit(1)
    )
    if newest_gone is not None:
        await session.execute(delete(SetAside).where(of_reason, SetAside.id <= newest_gone))


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL in a text, and no lone surrogate."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode()
