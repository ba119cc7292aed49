"""Sites as the ingest meets them: known or not, their epochs, pulses, wills and device facts.

A site that the register does not know is entered under its own id when the settings allow it
(``accept_unknown_sites``), with an audit entry by ``system``; the broker's rights decide who may speak.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.errors import WireError
from edge.wire.identity import detector_id
from edge.wire.messages import DeviceFact, Event, Heartbeat, Status
from gateway.models import SiteEpoch, SiteNote, SiteState
from registry import audit
from registry.db import Base
from registry.models import Detector, Site
from registry.proposals import proposed
from registry.rights import SYSTEM
from registry.statements import among, fetch, run, table

_MAX_ADDRESS, _MAX_SOURCE, _MAX_LABEL = 200, 40, 100

_SITES, _DETECTORS, _SITE_EPOCHS = table(Site).c, table(Detector).c, table(SiteEpoch).c
_KNOWN = select(_SITES.id).where(_SITES.id.in_(among("ids")))
_OWNERS = select(_DETECTORS.id, _DETECTORS.site_id).where(_DETECTORS.id.in_(among("ids")))
_EPOCHS = select(
    _SITE_EPOCHS.id, _SITE_EPOCHS.site_id, _SITE_EPOCHS.epoch, _SITE_EPOCHS.newest_event
).where(_SITE_EPOCHS.site_id.in_(among("sites")), _SITE_EPOCHS.epoch.in_(among("epochs")))
_LATER_EVENT = (
    update(table(SiteEpoch))
    .where(
        _SITE_EPOCHS.id == bindparam("of_id"),
        _SITE_EPOCHS.newest_event < bindparam("to_newest_event"),
    )
    .values(newest_event=bindparam("to_newest_event"))
)


async def ensure_site(session: AsyncSession, site_id: str, *, accept: bool, now_us: int) -> bool:
    """Whether the register knows the site, now. Enters it if ``accept``."""
    if await session.get(Site, site_id) is not None:
        return True
    if not accept:
        return False
    entered = await _insert_new(
        session,
        Site,
        id=site_id,
        title=site_id,
        config_version=1,
        alarm_settings={},
        output_settings={},
        created_us=now_us,
    )
    if not entered:  # another lane or worker was faster
        return True
    await audit.append(
        session,
        actor=SYSTEM,
        action="site.accept",
        object_kind="site",
        object_id=site_id,
        now_us=now_us,
        origin="mqtt",
        after={"title": site_id},
    )
    return True


async def known_sites(session: AsyncSession, site_ids: Collection[str]) -> set[str]:
    """Which of these the register knows."""
    return {row[0] for row in await fetch(session, _KNOWN, ids=list(site_ids))}


async def owners(session: AsyncSession, detectors: Collection[str]) -> dict[str, str]:
    """detector → site, of those that the register knows."""
    return {row[0]: row[1] for row in await fetch(session, _OWNERS, ids=list(detectors))}


def of_another(detector: str) -> WireError:
    """The refusal of a word about a detector of another site."""
    return WireError("site_mismatch", f"detector {detector} belongs to another site")


async def check_owners(session: AsyncSession, site_id: str, detectors: Collection[str]) -> None:
    """Raises ``WireError`` site_mismatch if the register knows one of them at another site."""
    for detector, owner in (await owners(session, detectors)).items():
        if owner != site_id:
            raise of_another(detector)


async def ensure_epoch(session: AsyncSession, site_id: str, epoch: str, *, now_us: int) -> SiteEpoch:
    """The epoch's row; a new one if the city has not met it."""
    query = (
        select(SiteEpoch)
        .where(SiteEpoch.site_id == site_id, SiteEpoch.epoch == epoch)
        .execution_options(populate_existing=True)  # ``ensure_epochs`` writes past the session
    )
    found = await session.scalar(query)
    if found is None:
        await _insert_new(session, SiteEpoch, site_id=site_id, epoch=epoch, first_us=now_us)
        found = (await session.scalars(query)).one()
    return found


async def ensure_epochs(
    session: AsyncSession, newest: Mapping[tuple[str, str], int], *, now_us: int
) -> None:
    """Enter the epochs (site, epoch) that the city has not met, and the newest event of each."""
    if not newest:
        return
    rows = await fetch(
        session, _EPOCHS, sites=[site_id for site_id, _ in newest], epochs=[one for _, one in newest]
    )
    met = {(row.site_id, row.epoch): row for row in rows}
    later = []
    for (site_id, epoch), seq in newest.items():
        row = met.get((site_id, epoch))
        if row is None:
            entered = await ensure_epoch(session, site_id, epoch, now_us=now_us)
            entered.newest_event = max(entered.newest_event, seq)
        elif seq > row.newest_event:
            later.append({"of_id": row.id, "to_newest_event": seq})
    if later:
        await run(session, _LATER_EVENT, later)


async def is_newest_epoch(session: AsyncSession, epoch: SiteEpoch) -> bool:
    """No later epoch of the same site has been met."""
    later = await session.scalar(
        select(SiteEpoch.id).where(SiteEpoch.site_id == epoch.site_id, SiteEpoch.id > epoch.id).limit(1)
    )
    return later is None


async def apply_device(session: AsyncSession, site_id: str, fact: DeviceFact, *, now_us: int) -> bool:
    """Write what a device says of itself; a device never heard of becomes an unregistered detector.

    A bridge is the way to detectors and is not listed among them.

    True if anything changed. Raises ``WireError``: site_mismatch, out_of_range.
    """
    if fact.detector != detector_id(site_id, fact.source, fact.address):
        raise WireError("site_mismatch", "the detector's id does not follow from site and address")
    if len(fact.address) > _MAX_ADDRESS or len(fact.source) > _MAX_SOURCE:
        raise WireError("out_of_range", "a source or address longer than the register takes")
    if fact.role != "detector":
        return False
    detector = await session.get(Detector, fact.detector)
    fresh = False
    if detector is None:
        fresh = await _insert_new(
            session,
            Detector,
            id=fact.detector,
            site_id=site_id,
            source=fact.source,
            address=fact.address,
            status="unregistered",
            place="",
            alarm_settings={},
            first_seen_us=now_us,
        )
        detector = await session.get_one(Detector, fact.detector)
    said = {
        "maker": _label(fact.maker),
        "model_name": _label(fact.model),
        "firmware": _label(fact.firmware),
        "online": fact.online,
        "proposed": proposed(fact.senses, fact.proposed_deadline_s),
        "first_seen_us": detector.first_seen_us or now_us,
    }
    changed = False
    for name, value in said.items():
        if value is not None and getattr(detector, name) != value:
            setattr(detector, name, value)
            changed = True
    await session.flush()
    return fresh or changed


def _label(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "")[:_MAX_LABEL]


async def apply_note(session: AsyncSession, event: Event) -> bool:
    """Keep an event about the site itself, once by its key; False for a repeated one."""
    return await _insert_new(
        session,
        SiteNote,
        site_id=event.site,
        epoch=event.epoch,
        seq=event.seq,
        at_us=event.at_us,
        note=(event.note or "")[:60],
        values=event.note_values,
    )


async def apply_heartbeat(session: AsyncSession, pulse: Heartbeat, *, now_us: int) -> str | None:
    """Keep a site's pulse. Returns the state it was in before, None if it was never heard."""
    first = await _first_state(session, pulse.site, "online", pulse.boot, now_us)
    state = await session.get_one(SiteState, pulse.site)
    before = None if first else state.state
    state.state = "online"
    state.boot, state.epoch, state.heard_us = pulse.boot, pulse.epoch, now_us
    state.heartbeat = {
        "at_us": pulse.at_us,
        "uptime_s": pulse.uptime_s,
        "clock_synced": pulse.clock_synced,
        "config_version": pulse.config_version,
        "config_error": pulse.config_error,
        "detectors": pulse.detectors,
        "queued_events": pulse.queued_events,
        "queued_readings": pulse.queued_readings,
        "spool_bytes": pulse.spool_bytes,
        "counters": pulse.counters,
        "software": pulse.software,
    }
    await session.flush()
    return before


async def apply_status(session: AsyncSession, status: Status, *, now_us: int) -> bool:
    """Keep a site's word or last will. True if it changed anything.

    A will of an earlier boot, or of one already silent, says nothing new.
    """
    if await _first_state(session, status.site, status.state, status.boot, now_us):
        return True
    state = await session.get_one(SiteState, status.site)
    if status.state == "offline":
        if state.state != "online" or (state.boot is not None and state.boot != status.boot):
            return False
        state.state = "offline"
    else:
        if state.state == "online" and state.boot == status.boot:
            return False
        if state.state == "silent":
            return False  # its pulse ends the silence, and says so
        state.state, state.boot, state.heard_us = "online", status.boot, now_us
    await session.flush()
    return True


async def _first_state(session: AsyncSession, site_id: str, state: str, boot: str, now_us: int) -> bool:
    """Enter a site's state if it has none yet."""
    if await session.get(SiteState, site_id) is not None:
        return False
    return await _insert_new(
        session, SiteState, site_id=site_id, state=state, boot=boot, heard_us=now_us, heartbeat={}
    )


async def _insert_new(session: AsyncSession, table: type[Base], **values: Any) -> bool:
    """Insert the row unless its key is there already, also when another writer is just at it."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if on_postgresql else sqlite.insert)(table)
    done = await session.execute(insert.values(**values).on_conflict_do_nothing())
    return bool(done.rowcount)  # type: ignore[attr-defined]
