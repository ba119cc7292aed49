"""What waits for a technician, and one detector as they see it: register, alarms and last values.

``worklist`` gathers the reasons of an area, ``cards`` everything about some detectors that a phone
carries into a valley without signal. A home is named by its label; its address stays sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import reachability
from alerts.models import AlarmRecord
from edge.wire.units import QUANTITY_NAMES
from gateway.models import LatestReading, SiteState
from registry.fieldwork import localpage
from registry.fieldwork.localpage import LocalLink
from registry.fieldwork.models import LocalPage
from registry.fieldwork.reasons import TROUBLES, WAITING, Reason, in_order, rank
from registry.labels.models import Label
from registry.models import AdministrativeUnit, Detector, Household, Site
from registry.rights import Reach
from registry.sealed import Keyring

#: Lines of one list: more than a technician does in a week. What is beyond is counted.
LINES: Final = 200
#: Rows looked at for each kind of reason; an area with more is told to narrow itself.
_LOOKED_AT: Final = 1_000
#: Homes whose channels are judged for one list.
_HOMES: Final = 300
_UNIT: Final = func.coalesce(Household.unit_code, Site.unit_code)


@dataclass(frozen=True)
class Card:
    """One detector with what a technician needs of it."""

    detector: Detector
    home: str | None
    site_title: str
    unit_code: str | None
    label: str | None
    site_state: str | None
    latest: LatestReading | None
    #: lasting alarms of it as (kind, class, since µs, a test)
    alarms: list[tuple[str, str, int, bool]] = field(default_factory=list)
    links: list[LocalLink] = field(default_factory=list)
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Worklist:
    """The cards, the most urgent first, and how many there are altogether."""

    cards: list[Card]
    total: int
    #: the bound was met: there may be more than ``total``
    cut: bool


async def worklist(
    session: AsyncSession, keyring: Keyring, now_us: int, reach: Reach, unit: str, code: str
) -> Worklist:
    """What waits inside the reach: of a unit and for one reason, where they are named."""
    inside = _inside(reach)
    if unit:
        inside.append(_UNIT.startswith(unit, autoescape=True))
    found: dict[str, list[Reason]] = {}
    cut = False
    for rows in (await _troubled(session, inside), await _waiting(session, inside)):
        cut = cut or len(rows) >= _LOOKED_AT
        for detector_id, reason in rows:
            found.setdefault(detector_id, []).append(reason)
    for detector_id, reason in await _out_of_reach(session, now_us, reach, unit):
        found.setdefault(detector_id, []).append(reason)
    reasons = {
        detector_id: in_order(each)
        for detector_id, each in found.items()
        if not code or any(reason.code == code for reason in each)
    }
    chosen = sorted(reasons, key=lambda one: (*rank(reasons[one]), one))
    cards = await cards_of(session, keyring, now_us, chosen[:LINES], reasons)
    return Worklist(cards, len(chosen), cut)


async def cards_of(
    session: AsyncSession,
    keyring: Keyring,
    now_us: int,
    ids: Sequence[str],
    reasons: Mapping[str, tuple[Reason, ...]] | None = None,
) -> list[Card]:
    """The cards of these detectors, in this order; unknown ones are left out."""
    rows = await session.execute(
        select(Detector, Household.label, Site.title, _UNIT, SiteState.state, LatestReading)
        .join(Site, Detector.site_id == Site.id)
        .outerjoin(Household, Detector.household_id == Household.id)
        .outerjoin(SiteState, SiteState.site_id == Detector.site_id)
        .outerjoin(LatestReading, LatestReading.detector_id == Detector.id)
        .where(Detector.id.in_(ids))
    )
    known = {row[0].id: row for row in rows}
    labels = await _labels(session, known)
    alarms = await _alarms(session, known)
    sites = {row[0].site_id for row in known.values()}
    pages = {
        page.site_id: page
        for page in await session.scalars(select(LocalPage).where(LocalPage.site_id.in_(sites)))
    }
    cards = []
    for one in ids:
        if (row := known.get(one)) is None:
            continue
        page = pages.get(row[0].site_id)
        cards.append(
            Card(
                row[0], row[1], row[2] or row[0].site_id, row[3], labels.get(one), row[4], row[5],
                alarms.get(one, []),
                localpage.links(page, keyring, one, now_us) if page is not None else [],
                (reasons or {}).get(one) or _own(row[0], alarms.get(one, [])),
            )
        )  # fmt: skip
    return cards


async def unit_names(session: AsyncSession, codes: Iterable[str | None]) -> dict[str, tuple[str, str]]:
    """Mongolian and English names of these units, with the district a khoroo lies in."""
    wanted = {code for code in codes if code}
    above = wanted | {code[:4] for code in wanted}
    rows = await session.execute(
        select(AdministrativeUnit.code, AdministrativeUnit.name_mn, AdministrativeUnit.name_en).where(
            AdministrativeUnit.code.in_(above), AdministrativeUnit.valid_until.is_(None)
        )
    )
    names = {row[0]: (row[1], row[2]) for row in rows}
    return {code: _within_district(names, code) for code in wanted if code in names}


def _within_district(names: Mapping[str, tuple[str, str]], code: str) -> tuple[str, str]:
    own, district = names[code], names.get(code[:4])
    if district is None or district == own:
        return own
    return f"{district[0]}, {own[0]}", f"{district[1]}, {own[1]}"


def values_of(latest: LatestReading | None) -> dict[str, float]:
    """What it last measured, by the names of ``edge.wire.units``."""
    if latest is None:
        return {}
    named = ((name, getattr(latest, name)) for name in QUANTITY_NAMES)
    return {name: value for name, value in named if value is not None}


def _inside(reach: Reach) -> list[ColumnElement[bool]]:
    """The conditions that keep a list inside the reach. A detector lies with no organisation."""
    if reach.everywhere:
        return []
    mine = [_UNIT.startswith(code, autoescape=True) for code in reach.unit_codes]
    return [or_(false(), *mine)]


def _own(detector: Detector, alarms: Iterable[tuple[str, str, int, bool]]) -> tuple[Reason, ...]:
    """The reasons that the detector itself gives."""
    found = [Reason(kind, since) for kind, _, since, _ in alarms if kind in TROUBLES]
    if detector.status in WAITING:
        found.append(Reason(detector.status, detector.updated_us))
    return in_order(found)


async def _troubled(
    session: AsyncSession, inside: list[ColumnElement[bool]]
) -> list[tuple[str, Reason]]:
    rows = await session.execute(
        select(AlarmRecord.detector_id, AlarmRecord.kind, AlarmRecord.raised_us)
        .select_from(Site)  # a site's lasting alarms are found by an index, all lasting ones are not
        .join(AlarmRecord, AlarmRecord.site_id == Site.id)
        .join(Detector, Detector.id == AlarmRecord.detector_id)
        .outerjoin(Household, Detector.household_id == Household.id)
        .where(
            *inside,
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
            AlarmRecord.kind.in_(TROUBLES),
            Detector.status != "retired",
        )
        .order_by(AlarmRecord.raised_us)
        .limit(_LOOKED_AT)
    )
    return [(row[0], Reason(row[1], row[2])) for row in rows]


async def _waiting(
    session: AsyncSession, inside: list[ColumnElement[bool]]
) -> list[tuple[str, Reason]]:
    rows = await session.execute(
        select(Detector.id, Detector.status, func.coalesce(Detector.updated_us, Detector.first_seen_us))
        .join(Site, Detector.site_id == Site.id)
        .outerjoin(Household, Detector.household_id == Household.id)
        .where(*inside, Detector.status.in_(WAITING))
        .order_by(Detector.id)
        .limit(_LOOKED_AT)
    )
    return [(row[0], Reason(row[1], row[2])) for row in rows]


async def _out_of_reach(
    session: AsyncSession, now_us: int, reach: Reach, unit: str
) -> list[tuple[str, Reason]]:
    """Homes that nobody is sure to reach, each as the first of its detectors."""
    codes = None if reach.everywhere else reach.unit_codes
    homes = await reachability.of_households(
        session, now_us, unit_code=unit, within=codes, limit=_HOMES
    )
    standing = {home.household_id: home.standing for home in homes if home.standing != "reachable"}
    rows = await session.execute(
        select(Detector.household_id, func.min(Detector.id))
        .where(Detector.household_id.in_(standing), Detector.status == "in_service")
        .group_by(Detector.household_id)
    )
    return [(first, Reason(f"reach_{standing[home or '']}", None)) for home, first in rows]


async def _labels(session: AsyncSession, ids: Iterable[str]) -> dict[str, str]:
    rows = await session.execute(
        select(Label.object_id, Label.id)
        .where(Label.object_kind == "detector", Label.object_id.in_(ids), Label.void_us.is_(None))
        .order_by(Label.created_us.desc())
    )
    return {row[0]: row[1] for row in rows}


async def _alarms(
    session: AsyncSession, ids: Iterable[str]
) -> dict[str, list[tuple[str, str, int, bool]]]:
    rows = await session.execute(
        select(
            AlarmRecord.detector_id, AlarmRecord.kind, AlarmRecord.alarm_class,
            AlarmRecord.raised_us, AlarmRecord.test,
        )
        .where(
            AlarmRecord.detector_id.in_(ids),
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
        )
        .order_by(AlarmRecord.raised_us)
    )  # fmt: skip
    found: dict[str, list[tuple[str, str, int, bool]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append((row[1], row[2], row[3], row[4]))
    return found
