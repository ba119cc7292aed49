"""A test alarm that only the technician is told of, and that ends by itself.

A trial binds one detector for some minutes. Its site treats that detector's own word (its button,
its self-test) as a test until then (``edge.agent.testmode``); the city tells nobody of the home about
a test alarm that falls into a trial. Only alarms that their site itself calls a test are ever kept
back: what a channel measures, and every other detector of the home, pages as always.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from edge.wire.identity import new_id
from registry import editing
from registry.acts import Act
from registry.fieldwork.models import Trial
from registry.models import Detector
from registry.sites import Conflict

#: How long a trial may last at most (the site has its own, longer bound), at least, and if unsaid.
MAX_TRIAL_S: Final = 600
MIN_TRIAL_S: Final = 30
DEFAULT_TRIAL_S: Final = 180
#: A site's clock may differ from the city's by so much, and a test alarm be that late.
SLACK_US: Final = 60 * US_PER_S
_MAX_REFUSAL: Final = 200


async def begin(session: AsyncSession, act: Act, detector: Detector, for_s: int) -> Trial:
    """A new trial; one that this technician left running is over. Its order is still to be sent.

    Raises ``Conflict`` while somebody else tries the same detector.
    """
    running = await current(session, detector.id, act.now_us)
    if running is not None and running.actor != act.actor.id:
        raise Conflict("detector", "somebody else tries this detector now")
    if running is not None:
        running.ended_us = act.now_us
    until_us = act.now_us + min(max(for_s, MIN_TRIAL_S), MAX_TRIAL_S) * US_PER_S
    trial = Trial(
        detector_id=detector.id, site_id=detector.site_id, actor=act.actor.id,
        started_us=act.now_us, until_us=until_us, command_id=new_id(),
    )  # fmt: skip
    session.add(trial)
    await session.flush()
    await editing.note(session, act, detector, "trial", {"until_us": until_us})
    return trial


async def end(session: AsyncSession, act: Act, detector: Detector) -> Trial | None:
    """The technician is done; None: no trial runs."""
    running = await current(session, detector.id, act.now_us)
    if running is not None:
        running.ended_us = act.now_us
        await editing.note(session, act, detector, "trial_end", {})
    return running


async def current(session: AsyncSession, detector_id: str, now_us: int) -> Trial | None:
    """The trial that runs now."""
    newest = await latest(session, detector_id)
    return newest if newest is not None and runs(newest, now_us) else None


def runs(trial: Trial, now_us: int) -> bool:
    """Whether it still lasts. Pure."""
    return trial.ended_us is None and trial.started_us <= now_us < trial.until_us


async def latest(session: AsyncSession, detector_id: str) -> Trial | None:
    """The newest trial of a detector, running or over."""
    query = select(Trial).where(Trial.detector_id == detector_id)
    newest = query.order_by(Trial.started_us.desc(), Trial.id).limit(1)
    found: Trial | None = await session.scalar(newest)
    return found


async def answered(
    session: AsyncSession, site_id: str, command_id: str, ok: bool, detail: str, now_us: int
) -> Trial | None:
    """What the site said to the order of a trial; None: the order was another's."""
    query = select(Trial).where(Trial.command_id == command_id, Trial.site_id == site_id)
    trial: Trial | None = await session.scalar(query)
    if trial is None:
        return None
    if ok:
        trial.confirmed_us = now_us
    else:
        trial.refused = detail[:_MAX_REFUSAL]
    await session.flush()
    return trial


async def covering(
    session: AsyncSession, detectors: Collection[str], from_us: int, until_us: int
) -> list[Trial]:
    """Trials of these detectors that may cover a moment between these, the newest first."""
    query = select(Trial).where(
        Trial.detector_id.in_(detectors),
        Trial.started_us <= until_us + SLACK_US,
        Trial.until_us >= from_us - SLACK_US,
        or_(Trial.ended_us.is_(None), Trial.ended_us >= from_us - SLACK_US),
    )
    return list(await session.scalars(query.order_by(Trial.started_us.desc(), Trial.id)))


async def note_heard(
    session: AsyncSession, trial: Trial, alarm_id: str, kind: str, now_us: int
) -> None:
    """Its test alarm has arrived; the first one counts."""
    if trial.heard_us is None:
        trial.heard_us, trial.alarm_id, trial.kind = now_us, alarm_id, kind[:30]
        await session.flush()
