"""Who has lost the connection now, and who cannot be judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.cuts import EXPLAINED
from alerts.models import AlarmRecord
from gateway.cameras.models import CameraHealth
from gateway.models import SiteState
from registry.fibre.network import Network
from registry.models import Site

#: A site that says goodbye or whose broker speaks its last will, and one that was not heard in time.
LOST_STATES = ("offline", "silent")
#: One alarm for many cameras belongs to the cut that took so large a part of them.
MOSTLY = 0.8


@dataclass(frozen=True)
class Losses:
    """Cameras and sites by id. ``deaf``: cameras whose site is lost too, so nobody can say."""

    cameras: frozenset[str]
    sites: frozenset[str]
    deaf: frozenset[str]
    watched: frozenset[str]


async def signature(session: AsyncSession) -> tuple[object, ...]:
    """Changes whenever somebody is lost or comes back; cheap enough to be asked every few seconds."""
    cameras = await session.execute(
        select(func.count(), func.max(CameraHealth.reachable_since_us)).where(
            CameraHealth.reachable.is_(False)
        )
    )
    sites = await session.execute(
        select(
            func.count().filter(SiteState.state == "offline"),
            func.count().filter(SiteState.state == "silent"),
            func.max(SiteState.heard_us).filter(SiteState.state.in_(LOST_STATES)),
        )
    )
    # a trouble may come a moment after the fact it rests on
    alarms = await session.execute(
        select(func.count(), func.max(AlarmRecord.arrived_us)).where(
            AlarmRecord.kind.in_(EXPLAINED), AlarmRecord.cleared_us.is_(None)
        )
    )
    return (*cameras.one(), *sites.one(), *alarms.one())


async def read(session: AsyncSession) -> Losses:
    """All of it."""
    states = {str(site): str(state) for site, state in await _site_states(session)}
    lost_sites = {site for site, state in states.items() if state in LOST_STATES}
    rows = await session.execute(
        select(CameraHealth.camera_id, CameraHealth.site_id, CameraHealth.reachable).where(
            CameraHealth.reachable.is_not(None)
        )
    )
    lost, deaf, watched = set[str](), set[str](), {f"site:{site}" for site in states}
    for camera, site, reachable in rows:
        if not reachable:
            lost.add(camera)
        elif site in lost_sites:
            deaf.add(camera)
        watched.add(f"camera:{camera}")
    return Losses(frozenset(lost), frozenset(lost_sites), frozenset(deaf), frozenset(watched))


async def _site_states(session: AsyncSession) -> Iterable[tuple[str, str]]:
    rows = await session.execute(select(SiteState.site_id, SiteState.state))
    return [(row[0], row[1]) for row in rows]


def subjects_of(network: Network, losses: Losses) -> tuple[set[int], set[int]]:
    """The numbers of who is lost, and of those nobody can judge."""
    lost_keys = {f"camera:{camera}" for camera in losses.cameras}
    lost_keys |= {f"site:{site}" for site in losses.sites}
    deaf_keys = {f"camera:{camera}" for camera in losses.deaf}
    lost, unknown = set[int](), set[int]()
    for key, number in network.number_of.items():
        if key in lost_keys:
            lost.add(number)
        elif key in deaf_keys or key not in losses.watched:
            unknown.add(number)
    return lost, unknown


async def sites_explained(session: AsyncSession, cameras: Collection[str]) -> list[str]:
    """Sites whose loss of many cameras at once is explained by the loss of these."""
    rows = await session.execute(
        select(CameraHealth.site_id, CameraHealth.camera_id).where(CameraHealth.reachable.is_(False))
    )
    lost: dict[str, int] = {}
    explained: dict[str, int] = {}
    known = frozenset(cameras)
    for site, camera in rows:
        lost[site] = lost.get(site, 0) + 1
        explained[site] = explained.get(site, 0) + (camera in known)
    return [site for site, count in lost.items() if explained[site] >= MOSTLY * count]


async def lost_sites_of(session: AsyncSession, unit_code: str) -> set[str]:
    """The sites of a unit that are lost now."""
    rows = await session.scalars(
        select(SiteState.site_id)
        .join(Site, Site.id == SiteState.site_id)
        .where(Site.unit_code == unit_code, SiteState.state.in_(LOST_STATES))
    )
    return set(rows)
