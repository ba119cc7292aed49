"""Each act of a phone once, however often it is sent.

A phone that works without signal gives every act a key of its own and sends it until it is
answered. The first one is carried out and its answer kept; the same key again is answered the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from registry.acts import Act
from registry.fieldwork.models import FieldAct
from registry.sites import Conflict

#: Keys are remembered for so long; a phone that was away for longer shows a conflict at worst.
KEEP_US: Final = 400 * 86_400 * US_PER_S


async def once(
    session: AsyncSession,
    act: Act,
    key: str,
    kind: str,
    detector_id: str,
    wanted: Mapping[str, Any],
    carry_out: Callable[[], Awaitable[dict[str, Any]]],
) -> tuple[dict[str, Any], bool]:
    """What the act answered, and whether it was carried out just now.

    Raises ``Conflict`` if the key stands for something else or somebody else's, and whatever
    ``carry_out`` raises; then nothing is kept and the key may be used again.
    """
    text = json.dumps([kind, detector_id, wanted], sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = await session.get(FieldAct, key)
    if known is not None:
        if known.digest != digest or known.actor != act.actor.id:
            raise Conflict("key", "it stands for another act")
        return known.answer, False
    answer = await carry_out()
    session.add(
        FieldAct(
            key=key, actor=act.actor.id, kind=kind, detector_id=detector_id, digest=digest,
            answer=answer, carried_out_us=act.now_us,
        )
    )  # fmt: skip
    await session.flush()
    return answer, True


async def forget_old(session: AsyncSession, now_us: int) -> int:
    """Drop keys no phone sends any more; how many."""
    done = await session.execute(delete(FieldAct).where(FieldAct.carried_out_us < now_us - KEEP_US))
    return int(done.rowcount)  # type: ignore[attr-defined]  # a DELETE's cursor result has it
