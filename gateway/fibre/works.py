"""Planned work: told beforehand to whom it affects; while it runs its faults wake nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience, bodies, cuts
from alerts.models import Incident
from alerts.policy import ULAANBAATAR, Policy
from edge.wire.clock import datetime_from_us
from registry import audit
from registry.fibre.affected import organisations_behind
from registry.fibre.impact import Impact, impact, risks_of
from registry.fibre.locate import Section
from registry.fibre.models import FibreOutage, FibreWork
from registry.fibre.network import Network
from registry.fibre.services import Compiled
from registry.fibre.values import WORK_LIFE, PlantError
from registry.households import masked
from registry.models import Household
from registry.rights import SYSTEM, Actor
from registry.sealed import Keyring


class Running(NamedTuple):
    """A work that is under way now."""

    id: str
    elements: tuple[str, ...]
    incident_id: str | None

    def risks(self, network: Network) -> set[int]:
        """What it touches; elements that are gone from the plant touch nothing."""
        found: set[int] = set()
        for element in self.elements:
            try:
                found |= risks_of(network, [element])
            except PlantError:
                continue
        return found

    def covers(self, network: Network, section: Section) -> bool:
        names = {network.risks[risk] for risk in self.risks(network)}
        return not names.isdisjoint(section.elements)


async def running(session: AsyncSession, now_us: int) -> list[Running]:
    """The announced works whose time it is."""
    rows = await session.execute(
        select(FibreWork, Incident.id)
        .outerjoin(Incident, Incident.open_key == "fibre:" + FibreWork.id + "/site")
        .where(
            FibreWork.status == "announced", FibreWork.starts_us <= now_us, FibreWork.ends_us > now_us
        )
        .order_by(FibreWork.id)
    )
    return [Running(work.id, tuple(work.elements), incident) for work, incident in rows]


async def announce(
    session: AsyncSession, compiled: Compiled, work: FibreWork, *, actor: Actor, origin: str,
    now_us: int, policy: Policy, keyring: Keyring | None = None,
) -> tuple[Impact, int]:  # fmt: skip
    """Tell the affected homes, and with the keys organisations; who is affected, how many are told.

    Raises ``PlantError``.
    """
    _step(work, "announced")
    affected = impact(compiled.network, work.elements)
    homes = await _households(session, affected.of_kind("site"))
    said: dict[str, Any] = {
        "cameras": len(affected.of_kind("camera")),
        "homes": len(homes),
        "work": work.id,
    }
    incident, _ = await cuts.begin(
        session, work.id, work.title, now_us, policy, quiet=True, unit_code=None, **said
    )  # fmt: skip
    values = {**said, "hours": hours_text(work.starts_us, work.ends_us)}
    told = await cuts.announce(session, incident, homes, "fibre_work", now_us, policy, values)
    if keyring is not None:
        behind = await organisations_behind(session, compiled.network, work.elements, affected)
        offices = await bodies.people(session, keyring, [one.organisation for one in behind], now_us)
        told += await cuts.announce_to(
            session, incident, offices, "fibre_work_office", now_us, policy, values
        )
        said["organisations"] = len(behind)
    work.announced_us = now_us
    await audit.append(
        session, actor=actor, origin=origin, action="fibre.work_announce", object_kind="fibre_work",
        object_id=work.id, now_us=now_us, after={**said, "told": told},
    )  # fmt: skip
    return affected, told


class Office(NamedTuple):
    """An organisation that work affects; ``ways``: its masked addresses, without any it is not told."""

    id: str
    name: str
    connection: bool
    services: list[str]
    ways: list[str]


class Preview(NamedTuple):
    """Who is affected, and who would be told if it were announced now."""

    affected: Impact
    homes: int
    homes_told: int
    offices: list[Office]


async def preview(
    session: AsyncSession, compiled: Compiled, work: FibreWork, keyring: Keyring
) -> Preview:
    """What ``announce`` would do; nothing is written. Raises ``PlantError``."""
    affected = impact(compiled.network, work.elements)
    homes = await _households(session, affected.of_kind("site"))
    people = await audience.first_of_households(session, homes[: cuts.MAX_TOLD])
    behind = await organisations_behind(session, compiled.network, work.elements, affected)
    offices = [
        Office(
            one.organisation.id, one.organisation.name, one.connection, one.services,
            [masked("email", way) for way in bodies.addresses_of(keyring, one.organisation)],
        )
        for one in behind
    ]  # fmt: skip
    return Preview(affected, len(homes), len(people), offices)


async def finish(
    session: AsyncSession, work: FibreWork, status: str, *, actor: Actor, origin: str, now_us: int,
    policy: Policy,
) -> None:  # fmt: skip
    """Done or cancelled: its incident ends with the faults that joined it. Raises ``PlantError``."""
    before = work.status
    _step(work, status)
    await _close(session, work, now_us, policy)
    await audit.append(
        session, actor=actor, origin=origin, action=f"fibre.work_{status}", object_kind="fibre_work",
        object_id=work.id, now_us=now_us, before={"status": before}, after={"status": status},
    )  # fmt: skip


async def settle_works(session: AsyncSession, now_us: int, policy: Policy) -> None:
    """Works whose time is over are done; what is lost after that is a fault like any other."""
    over = await session.scalars(
        select(FibreWork).where(FibreWork.status == "announced", FibreWork.ends_us <= now_us)
    )
    for work in over.all():
        work.status = "done"
        await _close(session, work, now_us, policy)
        await audit.append(
            session, actor=SYSTEM, action="fibre.work_done", object_kind="fibre_work",
            object_id=work.id, now_us=now_us, before={"status": "announced"}, after={"status": "done"},
        )  # fmt: skip


async def _close(session: AsyncSession, work: FibreWork, now_us: int, policy: Policy) -> None:
    outages = await session.scalars(
        select(FibreOutage).where(FibreOutage.work_id == work.id, FibreOutage.closed_us.is_(None))
    )
    for outage in outages.all():
        outage.closed_us = now_us
    incident = await session.scalar(
        select(Incident).where(Incident.open_key == f"fibre:{work.id}/site").with_for_update()
    )
    if incident is not None:
        await cuts.end(session, incident, now_us, policy)


def _step(work: FibreWork, status: str) -> None:
    allowed = WORK_LIFE.get(work.status, frozenset())  # type: ignore[call-overload]  # its own words
    if status not in allowed:
        raise PlantError(
            "bad_life", f"work {work.id}",
            f"{work.status} cannot become {status}; only {', '.join(sorted(allowed)) or 'nothing'}",
        )  # fmt: skip
    work.status = status


async def _households(session: AsyncSession, sites: Iterable[str]) -> list[str]:
    ids, found = sorted(sites), list[str]()
    for start in range(0, len(ids), 500):
        query = select(Household.id).where(Household.site_id.in_(ids[start : start + 500]))
        found += (await session.scalars(query.order_by(Household.id))).all()
    return found


def hours_text(starts_us: int, ends_us: int) -> str:
    """``2026-01-31 10:00–14:00`` in Ulaanbaatar."""
    start, end = (datetime_from_us(at).astimezone(ULAANBAATAR) for at in (starts_us, ends_us))
    tail = "%H:%M" if start.date() == end.date() else "%Y-%m-%d %H:%M"
    return f"{start:%Y-%m-%d %H:%M}–{end.strftime(tail)}"
