"""Homes that burn together: neighbours' alarms within a short time and distance are one danger.

``tie`` looks at incidents whose first message has just been taken up. One that begins near another one
in place and time joins its group: ``together_id`` names the group, ``homes`` counts it. With the second
home the danger is of another kind, so everybody the ladder would tell later is told at once: the
neighbours, the khoroo's duty, and the desk with a CAP message. The ladder's own times stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import plan, statements
from alerts.cap.ready import make_ready
from alerts.models import CapMessage, Incident, Notification
from alerts.policy import Policy
from edge.wire.clock import US_PER_S
from registry.statements import fetch, run

#: A degree of latitude, and of longitude at the equator.
_M_PER_DEGREE = 111_320.0
#: Homes of one group; beyond that a whole quarter burns, and one more home changes nothing.
_MAX_GROUP = 200


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Metres between two points (degrees), on a plane: good for some kilometres."""
    east = (a[1] - b[1]) * math.cos(math.radians((a[0] + b[0]) / 2))
    return math.hypot(a[0] - b[0], east) * _M_PER_DEGREE


async def tie(session: AsyncSession, incident_ids: Collection[str], now_us: int, policy: Policy) -> int:
    """Look around each incident that nobody has looked around yet; the deliveries that came of it."""
    if not incident_ids:
        return 0
    fresh = await fetch(session, statements.NOT_LOOKED_AROUND, ids=list(incident_ids))
    places: dict[str, tuple[bool, Any]] = {}
    nowhere: list[str] = []
    for incident_id, lat, lon, site_lat, site_lon in fresh:
        own = lat is not None and lon is not None
        place = (lat, lon) if own else (site_lat, site_lon)
        if None in place:
            nowhere.append(incident_id)
        else:
            places[incident_id] = own, place
    planned = await _look_around(session, places, now_us, policy) if places else 0
    if nowhere:  # nobody knows what is around; said in one statement for all of them
        await run(session, statements.NOWHERE, {"ids": nowhere})
    await session.flush()
    return planned


async def _look_around(
    session: AsyncSession, places: Mapping[str, tuple[bool, Any]], now_us: int, policy: Policy
) -> int:
    """One incident after the other, the earliest first: each sees those before it."""
    found = await session.scalars(
        select(Incident)
        .where(Incident.id.in_(places))
        .order_by(Incident.raised_us, Incident.id)
        .execution_options(populate_existing=True)
    )
    planned = 0
    for incident in found.all():
        own, (incident.lat, incident.lon) = places[incident.id]
        incident.together_id = incident.id  # looked at; its own group while it is alone
        planned += await _join(session, incident, own, now_us, policy)
    return planned


async def _join(
    session: AsyncSession, incident: Incident, own_place: bool, now_us: int, policy: Policy
) -> int:
    near = await _around(session, incident, own_place, policy)
    if not near:
        return 0
    groups = {other.together_id for other in near}
    members = (
        await session.scalars(
            select(Incident)
            .where(Incident.together_id.in_(groups))
            .order_by(Incident.raised_us, Incident.id)
            .limit(_MAX_GROUP)
            .with_for_update()
        )
    ).all()
    group_id = members[0].id
    everybody = [*members, incident]
    homes = len({member.household_id for member in everybody})
    nearest_m = min(distance_m(_place(incident), _place(other)) for other in near)
    planned = 0
    for member in everybody:
        was, member.together_id, member.homes = member.homes, group_id, homes
        if homes > was:
            with_whom = near[0].id if member is incident else incident.id
            session.add(
                plan.note(
                    member, "burns_together", now_us, homes=homes, with_incident=with_whom,
                    distance_m=round(nearest_m),
                )
            )  # fmt: skip
        if was == 1 and homes > 1 and member.state == "opened":
            planned += await _tell_everybody(session, member, now_us, policy)
    return planned


async def _around(
    session: AsyncSession, incident: Incident, own_place: bool, policy: Policy
) -> Sequence[Incident]:
    """Other homes' live incidents near in place and time, the nearest first."""
    rule, here = policy.together, _place(incident)
    half = rule.within_m / _M_PER_DEGREE
    wide = half / max(0.01, math.cos(math.radians(here[0])))
    since_us = incident.raised_us - int(rule.within_s * US_PER_S)
    found = await session.scalars(
        select(Incident)
        .where(
            Incident.lat.between(here[0] - half, here[0] + half),
            Incident.lon.between(here[1] - wide, here[1] + wide),
            Incident.alarm_class == "alarm",
            Incident.history.is_(False),
            Incident.together_id.is_not(None),
            Incident.household_id != incident.household_id,
            Incident.raised_us <= incident.raised_us + int(rule.within_s * US_PER_S),
            or_(Incident.raised_us >= since_us, Incident.cleared_us.is_(None)),
            func.coalesce(Incident.cleared_us, incident.raised_us) >= since_us,
            Incident.state != "resolved",
        )
        .limit(_MAX_GROUP)
    )
    near = [
        other
        for other in found
        if distance_m(here, _place(other)) <= rule.within_m
        # two homes that are only known to hang on the same site need not be neighbours
        and (own_place or other.site_id != incident.site_id)
    ]
    return sorted(near, key=lambda other: (distance_m(here, _place(other)), other.id))


def _place(incident: Incident) -> tuple[float, float]:
    assert incident.lat is not None
    assert incident.lon is not None
    return incident.lat, incident.lon


async def _tell_everybody(
    session: AsyncSession, incident: Incident, now_us: int, policy: Policy
) -> int:
    """All whom the ladder's later rungs add; nobody is told twice."""
    rule = policy.rule(incident.hazard)
    planned = 0
    for number in range(incident.rung + 1, len(rule.rungs)):
        told = await session.scalars(
            select(Notification.contact_id).where(
                Notification.incident_id == incident.id,
                Notification.episode == incident.episode,
                Notification.message == rule.message,
            )
        )
        written = await plan.tell(
            session, incident, rule, number, rule.message, now_us, at_once=True,
            except_contacts=set(told), why="homes_burn_together", quiet=True,
        )  # fmt: skip
        planned += written.deliveries
        if rule.rungs[number].cap:
            known = await session.scalar(
                select(CapMessage.id).where(CapMessage.incident_id == incident.id).limit(1)
            )
            if known is None:
                await make_ready(session, incident, now_us)
    return planned
