"""Accepting heard detectors in bulk, with the profile that their protocol proposes.

A proposal is what the site's edge knows of a detector before anybody registered it: what it senses and
after which silence it is lost. On acceptance it becomes the detector's model, by maker and name: the
register's own where there is one, else a new one made of the proposal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from registry.models import Detector, DetectorModel
from registry.sites import Conflict, NoSuch, Registration, register_detectors

#: Detectors accepted at once; a bigger register comes by import.
MAX_ACCEPTED: Final = 500
_NOTE: Final = "proposed by its protocol on acceptance"
_MAX_ID: Final = 64
_LONGEST_S: Final = 1e9


@dataclass(frozen=True)
class Choice:
    """Which of a site's unregistered detectors: these ids, of this source, or ``everything``."""

    ids: Sequence[str] = ()
    source: str | None = None
    everything: bool = False


def proposed(senses: Sequence[str] | None, deadline_s: float | None) -> dict[str, Any] | None:
    """A proposal as the register keeps it; None if there is nothing in it."""
    proposal: dict[str, Any] = {}
    if senses:
        proposal["senses"] = [str(sense)[:40] for sense in senses[:40]]
    if deadline_s is not None and 0 < deadline_s < _LONGEST_S:
        proposal["deadline_s"] = float(deadline_s)
    return proposal or None


async def accept_heard(
    session: AsyncSession,
    site_id: str,
    choice: Choice,
    *,
    household_id: str | None = None,
    now_us: int,
) -> list[Detector]:
    """Put the site's chosen unregistered detectors into service.

    Raises ``NoSuch`` (site, household, an id that is not of this site) or ``Conflict``.
    """
    detectors = await _chosen(session, site_id, choice)
    registrations = [
        Registration(
            detector.source,
            detector.address,
            household_id=household_id,
            model_id=await _model_of(session, detector),
        )
        for detector in detectors
    ]
    return await register_detectors(session, site_id, registrations, now_us=now_us)


async def _chosen(session: AsyncSession, site_id: str, choice: Choice) -> list[Detector]:
    if not choice.ids and not choice.everything and choice.source is None:
        raise Conflict("ids", "name detectors or a source, or say that you mean all")
    query = select(Detector).where(Detector.site_id == site_id)
    if choice.ids:
        query = query.where(Detector.id.in_(choice.ids[:MAX_ACCEPTED]))
    else:
        query = query.where(Detector.status == "unregistered")
    if choice.source is not None:
        query = query.where(Detector.source == choice.source)
    found = list(await session.scalars(query.order_by(Detector.id).limit(MAX_ACCEPTED)))
    missing = set(choice.ids) - {detector.id for detector in found}
    if missing:
        raise NoSuch("detector", min(missing))
    return found


async def _model_of(session: AsyncSession, detector: Detector) -> str | None:
    """The detector's model: what is registered, else the register's of that name, else a new one."""
    if detector.model_id is not None or not detector.model_name:
        return detector.model_id
    maker = detector.maker or ""
    known = await session.scalar(
        select(DetectorModel.id)
        .where(DetectorModel.name == detector.model_name, DetectorModel.maker == maker)
        .order_by(DetectorModel.id)
        .limit(1)
    )
    proposal = detector.proposed or {}
    if known is not None or "deadline_s" not in proposal:
        return known
    ident = _slug(maker, detector.model_name)
    if not ident or await session.get(DetectorModel, ident) is not None:
        ident = new_id()
    model = DetectorModel(
        id=ident,
        maker=maker,
        name=detector.model_name,
        senses=proposal.get("senses", []),
        deadline_s=proposal["deadline_s"],
        alarm_settings={},
        source_note=_NOTE,
    )
    session.add(model)
    await session.flush()
    return ident


def _slug(maker: str, name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", f"{maker} {name}".lower()).strip("-")[:_MAX_ID].strip("-")
