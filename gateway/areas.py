"""Watching units: when the sites of a khoroo share a cause, that is one incident of the khoroo.

A site counts as affected when it is silent or quiet for long, or when it said that its mains failed
(the notes ``mains_lost`` and ``mains_back``). The incident ends when few are affected; sites that are
silent still get one of their own then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import areas, incidents
from alerts.models import Incident
from alerts.policy import Policy
from gateway.models import SiteState
from registry.models import Site

#: What a site says of its power, as events about itself.
MAINS_LOST, MAINS_BACK = "mains_lost", "mains_back"
#: Sites that fell silent together reach their deadlines within one interval of their pulses; those
#: quiet for this part of the deadline are already counted when the first of them reaches it.
QUIET_PART = 0.5

log = structlog.get_logger()


class _Unit(NamedTuple):
    """How the sites of a unit are that were not known to be silent before."""

    code: str
    watched: int
    overdue: int
    without_mains: int
    affected: int


async def look(
    session: AsyncSession, silent_after_us: int, now_us: int, policy: Policy
) -> tuple[int, set[str]]:
    """Open and close units' incidents; how many notifications came of it, and the units with one."""
    notified = 0
    open_now = await areas.open_incidents(session)
    for unit in await _units(session, silent_after_us, now_us):
        begun = unit.overdue or areas.shares_a_cause(policy.area, unit.without_mains, unit.watched)
        many = areas.shares_a_cause(policy.area, unit.affected, unit.watched)
        if unit.code in open_now or not begun or not many:
            continue
        power = 2 * unit.without_mains >= unit.affected
        cause: areas.Cause = "power_cut" if power else "area_silent"
        log.warning("area.affected", unit=unit.code, cause=cause, of=unit.watched)
        open_now[unit.code], told = await areas.begin(
            session, unit.code, cause, now_us, policy, sites=unit.affected, watched=unit.watched,
            without_mains=unit.without_mains,
        )  # fmt: skip
        notified += told
    for code, incident in list(open_now.items()):
        affected, of = await _affected(session, incident, silent_after_us, now_us)
        if areas.is_over(policy.area, affected, of):
            await areas.end(session, incident, now_us)
            notified += await _left_behind(session, incident, silent_after_us, now_us, policy)
            del open_now[code]
    return notified, set(open_now)


async def places_of(session: AsyncSession, site_ids: Sequence[str]) -> dict[str, str]:
    """The units of these sites."""
    if not site_ids:
        return {}
    rows = await session.execute(select(Site.id, Site.unit_code).where(Site.id.in_(site_ids)))
    return {str(row[0]): str(row[1]) for row in rows if row[1]}


async def note_mains(session: AsyncSession, site_id: str, note: str) -> None:
    """Keep what a site says of its power."""
    if note in (MAINS_LOST, MAINS_BACK):
        state = await session.get(SiteState, site_id)
        if state is not None:
            state.mains = note == MAINS_BACK
            await session.flush()


async def _units(session: AsyncSession, silent_after_us: int, now_us: int) -> list[_Unit]:
    quiet = SiteState.heard_us < now_us - int(silent_after_us * QUIET_PART)
    dark = SiteState.mains.is_(False)
    rows = await session.execute(
        select(
            Site.unit_code,
            func.count(),
            func.count().filter(SiteState.heard_us < now_us - silent_after_us),
            func.count().filter(dark),
            func.count().filter(or_(quiet, dark)),
        )
        .join(SiteState, SiteState.site_id == Site.id)
        .where(Site.unit_code.is_not(None), SiteState.state != "silent")
        .group_by(Site.unit_code)
    )
    return [_Unit(str(row[0]), *map(int, row[1:])) for row in rows]


def _fell_with_it(incident: Incident, silent_after_us: int) -> ColumnElement[bool]:
    """Sites that were heard shortly before; one that was silent for long has its own trouble."""
    return and_(
        Site.unit_code == incident.unit_code,
        SiteState.heard_us >= incident.raised_us - 2 * silent_after_us,
    )


async def _affected(
    session: AsyncSession, incident: Incident, silent_after_us: int, now_us: int
) -> tuple[int, int]:
    quiet = SiteState.heard_us < now_us - int(silent_after_us * QUIET_PART)
    row = await session.execute(
        select(
            func.count().filter(or_(SiteState.state == "silent", quiet, SiteState.mains.is_(False))),
            func.count(),
        )
        .join(Site, Site.id == SiteState.site_id)
        .where(_fell_with_it(incident, silent_after_us))
    )
    affected, of = row.one()
    return int(affected), int(of)


async def _left_behind(
    session: AsyncSession, incident: Incident, silent_after_us: int, now_us: int, policy: Policy
) -> int:
    """Sites that are silent still, now that the unit is heard again: each is its own trouble."""
    silent = await session.scalars(
        select(SiteState.site_id)
        .join(Site, Site.id == SiteState.site_id)
        .where(_fell_with_it(incident, silent_after_us), SiteState.state == "silent")
        .order_by(SiteState.site_id)
    )
    told = 0
    for site_id in silent.all():
        applied = await incidents.site_event(session, site_id, "silent", now_us, policy=policy)
        told += applied.notified
    return told
