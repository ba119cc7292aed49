"""Sites, detector models and detectors: what hangs where, and what a site is told of it.

``site_config`` is the whole of what a site needs to know; its version grows by ``touch_site`` with each
change inside the same transaction, and the gateway publishes it when a site has an older one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import check_site, detector_id
from edge.wire.messages import Config, DetectorSettings
from registry.models import Detector, DetectorModel, Household, Site
from registry.rights import Place
from registry.stays import keep_stay

#: Detectors that a site is told of and whose alarms count: a faulty one may still be right.
SERVING: Final = ("in_service", "faulty")
#: Ids in one IN (…); below every database's limit of bound values.
_CHUNK: Final = 500


class NoSuch(LookupError):
    """An object that does not exist: its kind and id."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"no {kind} {object_id!r}")
        self.kind = kind
        self.object_id = object_id


class Conflict(ValueError):
    """The request contradicts what is recorded; the text says how. ``field`` names the culprit."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True)
class Registration:
    """What a clerk says of a detector: where it hangs, what it is, whose it is."""

    source: str
    address: str
    household_id: str | None = None
    model_id: str | None = None
    place: str = ""


async def site_config(session: AsyncSession, site_id: str) -> Config:
    """What the site is to be told. Raises ``NoSuch``."""
    site = await session.get(Site, site_id)
    if site is None:
        raise NoSuch("site", site_id)
    rows = await session.execute(
        select(Detector, DetectorModel)
        .outerjoin(DetectorModel, Detector.model_id == DetectorModel.id)
        .where(Detector.site_id == site_id, Detector.status.in_(SERVING))
        .order_by(Detector.id)
    )
    return Config(
        site=site_id,
        version=site.config_version,
        detectors=[_settings_of(detector, model) for detector, model in rows],
        alarms=site.alarm_settings,
        outputs=site.output_settings,
    )


def _settings_of(detector: Detector, model: DetectorModel | None) -> DetectorSettings:
    of_model = model.alarm_settings if model else {}
    return DetectorSettings(
        detector=detector.id,
        source=detector.source,
        address=detector.address,
        model=detector.model_id,
        deadline_s=model.deadline_s if model else None,
        alarms={**of_model, **detector.alarm_settings},
        registered_us=detector.registered_us or 0,
    )


async def touch_site(session: AsyncSession, *site_ids: str) -> None:
    """A change these sites must be told of: their configuration's version grows by one."""
    for chunk in _chunks(sorted(set(site_ids))):
        await session.execute(
            update(Site)
            .where(Site.id.in_(chunk))
            .values(config_version=Site.config_version + 1)
            .execution_options(synchronize_session="fetch")
        )


async def touch_model(session: AsyncSession, model_id: str) -> None:
    """A change to a model: every site with a detector of it must be told."""
    sites = await session.scalars(
        select(Detector.site_id)
        .where(Detector.model_id == model_id, Detector.status.in_(SERVING))
        .distinct()
    )
    await touch_site(session, *sites)


async def create_site(session: AsyncSession, site: Site) -> Site:
    """A new site. Raises ``Conflict`` if its id is taken or no name of a site."""
    try:
        check_site(site.id)
    except ValueError as error:
        raise Conflict("id", str(error)) from None
    if await session.get(Site, site.id) is not None:
        raise Conflict("id", f"site {site.id!r} exists already")
    session.add(site)
    await session.flush()
    return site


async def register_detectors(
    session: AsyncSession, site_id: str, registrations: Iterable[Registration], *, now_us: int
) -> list[Detector]:
    """Accept detectors into service, heard already or not; saying it again changes nothing.

    Their ids follow from (site, source, address). Raises ``NoSuch`` (site, model, household) or
    ``Conflict`` (a household of another site).
    """
    if await session.get(Site, site_id) is None:
        raise NoSuch("site", site_id)
    detectors, changed = [], False
    for registration in registrations:
        await _check_registration(session, site_id, registration)
        detector = await _detector_at(session, site_id, registration)
        changed = _accept(detector, registration, now_us) or changed
        detectors.append(detector)
    if changed:
        await touch_site(session, site_id)
    await session.flush()
    for detector in detectors:
        await keep_stay(session, detector, now_us)
    return detectors


async def change_detector(session: AsyncSession, detector: Detector, **changes: object) -> None:
    """Change a detector's household, model, place, status or alarm settings; its site is told.

    Raises ``NoSuch`` or ``Conflict``.
    """
    for name, value in changes.items():
        setattr(detector, name, value)
    registration = Registration(
        detector.source, detector.address, detector.household_id, detector.model_id, detector.place
    )
    await _check_registration(session, detector.site_id, registration)
    if detector.status == "unregistered" and detector.household_id is not None:
        raise Conflict("status", "a household's detector is in_service or retired")
    await session.flush()
    await touch_site(session, detector.site_id)


async def _check_registration(session: AsyncSession, site_id: str, wanted: Registration) -> None:
    if wanted.model_id is not None and await session.get(DetectorModel, wanted.model_id) is None:
        raise NoSuch("model", wanted.model_id)
    if wanted.household_id is None:
        return
    household = await session.get(Household, wanted.household_id)
    if household is None:
        raise NoSuch("household", wanted.household_id)
    if household.site_id != site_id:
        raise Conflict(
            "household_id", f"the household hangs on site {household.site_id!r}, not on {site_id!r}"
        )


async def _detector_at(session: AsyncSession, site_id: str, wanted: Registration) -> Detector:
    own_id = detector_id(site_id, wanted.source, wanted.address)
    detector = await session.get(Detector, own_id)
    if detector is None:
        detector = Detector(
            id=own_id,
            site_id=site_id,
            source=wanted.source,
            address=wanted.address,
            status="unregistered",
            place="",
            alarm_settings={},
        )
        session.add(detector)
    return detector


def _accept(detector: Detector, wanted: Registration, now_us: int) -> bool:
    state = (detector.status, detector.household_id, detector.model_id, detector.place)
    if detector.status != "in_service":
        detector.status = "in_service"
        detector.registered_us = now_us
    detector.household_id = wanted.household_id
    detector.model_id = wanted.model_id or detector.model_id
    detector.place = wanted.place or detector.place
    return state != (detector.status, detector.household_id, detector.model_id, detector.place)


async def place_of_site(session: AsyncSession, site_id: str) -> Place:
    """Where a site lies, for a question of rights. Raises ``NoSuch``."""
    site = await session.get(Site, site_id)
    if site is None:
        raise NoSuch("site", site_id)
    return Place(unit_code=site.unit_code)


async def place_of_detector(session: AsyncSession, detector_id: str) -> Place:
    """Where a detector lies: its household's unit, else its site's. Raises ``NoSuch``."""
    row = (
        await session.execute(
            select(Household.unit_code, Site.unit_code)
            .select_from(Detector)
            .join(Site, Detector.site_id == Site.id)
            .outerjoin(Household, Detector.household_id == Household.id)
            .where(Detector.id == detector_id)
        )
    ).first()
    if row is None:
        raise NoSuch("detector", detector_id)
    return Place(unit_code=row[0] or row[1])


def _chunks(items: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
