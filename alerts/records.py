"""Alarm records: what the edges say, folded so that any order and any repetition ends the same.

The highest revision wins. Under a newer epoch's first snapshot every older epoch's open alarm that it
leaves out is over (``omitted_us``), also when the older epoch's message arrives after the snapshot. The
city's own fields (abandoned, membership) are never written by an edge's message, nor the other way.
"""

from __future__ import annotations

from typing import NamedTuple

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import AlarmEpoch, AlarmRecord
from edge.wire.messages import Alarm
from registry.db import Base

OMITTED = "omitted by the site's new snapshot"

log = structlog.get_logger(__name__)


class Merged(NamedTuple):
    """The alarm's record and whether the message changed it; None if it is another site's alarm."""

    record: AlarmRecord | None
    changed: bool


def is_active(record: AlarmRecord) -> bool:
    """Whether the alarm lasts, as far as the city knows."""
    return record.cleared_us is None and record.abandoned_us is None


async def meet_epoch(session: AsyncSession, site_id: str, epoch: str, now_us: int) -> AlarmEpoch:
    """The site's epoch, remembered in the order of first meeting."""
    query = select(AlarmEpoch).where(AlarmEpoch.site_id == site_id, AlarmEpoch.epoch == epoch)
    found = await session.scalar(query.with_for_update())
    if found is not None:
        return found
    row = AlarmEpoch(site_id=site_id, epoch=epoch, met_us=now_us)
    if await insert_first(session, row):
        return row
    return (await session.scalars(query.with_for_update())).one()


async def insert_first(session: AsyncSession, row: Base) -> bool:
    """Insert a row that another worker may be inserting too; False if that one was faster.

    On SQLite there is one writer at a time, so what was looked up in this transaction still holds.
    """
    if session.get_bind().dialect.name == "sqlite":
        session.add(row)
        await session.flush()
        return True
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


async def merge(session: AsyncSession, epoch: AlarmEpoch, alarm: Alarm, now_us: int) -> Merged:
    """Fold one statement of an edge about one alarm into its record."""
    query = (
        select(AlarmRecord)
        .where(AlarmRecord.id == alarm.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    record = await session.scalar(query)
    if record is None:
        record = _new_record(epoch, alarm, now_us)
        if await insert_first(session, record):
            await _settle_omission(session, record, epoch.id)
            return Merged(record, True)
        record = (await session.scalars(query)).one()  # another worker wrote it; fold into its row
    if record.site_id != epoch.site_id:
        log.warning("alarm.foreign", alarm=alarm.id, site=epoch.site_id, owner=record.site_id)
        return Merged(None, False)
    return Merged(record, await _fold(session, record, epoch, alarm))


def _new_record(epoch: AlarmEpoch, alarm: Alarm, now_us: int) -> AlarmRecord:
    record = AlarmRecord(
        id=alarm.id, site_id=epoch.site_id, epoch=epoch.epoch, detector_id=alarm.detector,
        revision=0, arrived_us=now_us, history=False,
    )  # fmt: skip
    _write_edge_fields(record, alarm)
    return record


def _write_edge_fields(record: AlarmRecord, alarm: Alarm) -> None:
    record.kind = alarm.kind
    record.alarm_class = alarm.alarm_class
    record.raised_us = alarm.raised_us
    record.cleared_us = alarm.cleared_us
    record.revision = alarm.revision
    record.reason = alarm.reason
    record.peak = dict(alarm.peak)
    record.values = dict(alarm.values)
    record.test = alarm.test


async def _fold(session: AsyncSession, record: AlarmRecord, epoch: AlarmEpoch, alarm: Alarm) -> bool:
    before = (record.revision, record.cleared_us)
    if alarm.revision > record.revision:
        _write_edge_fields(record, alarm)
    elif record.omitted_us is not None:
        record.cleared_us = None  # what the edge said last; the omission is judged again below
    rank = epoch.id if record.epoch == epoch.epoch else await _rank(session, record)
    if rank < epoch.id:
        record.epoch, rank = epoch.epoch, epoch.id
    await _settle_omission(session, record, rank)
    return before != (record.revision, record.cleared_us)


async def _rank(session: AsyncSession, record: AlarmRecord) -> int:
    found: int | None = await session.scalar(
        select(AlarmEpoch.id).where(
            AlarmEpoch.site_id == record.site_id, AlarmEpoch.epoch == record.epoch
        )
    )
    return found or 0


async def _settle_omission(session: AsyncSession, record: AlarmRecord, rank: int) -> None:
    """Close an open alarm whose epoch a newer one's snapshot has ended; else take that back."""
    record.omitted_us = record.closed_reason = None
    if record.cleared_us is None:
        ended_us: int | None = await session.scalar(
            select(AlarmEpoch.first_snapshot_us)
            .where(
                AlarmEpoch.site_id == record.site_id,
                AlarmEpoch.id > rank,
                AlarmEpoch.first_snapshot_us.is_not(None),
            )
            .order_by(AlarmEpoch.id)
            .limit(1)
        )
        if ended_us is not None:
            record.omitted_us = record.cleared_us = max(ended_us, record.raised_us)
            record.closed_reason = OMITTED
    await session.flush()


async def close_omitted(session: AsyncSession, epoch: AlarmEpoch) -> list[AlarmRecord]:
    """Close what older epochs left open, once the epoch's snapshot is recorded."""
    older = select(AlarmEpoch.epoch).where(
        AlarmEpoch.site_id == epoch.site_id, AlarmEpoch.id < epoch.id
    )
    records = (
        await session.scalars(
            select(AlarmRecord)
            .where(
                AlarmRecord.site_id == epoch.site_id,
                AlarmRecord.cleared_us.is_(None),
                AlarmRecord.epoch.in_(older),
            )
            .order_by(AlarmRecord.raised_us, AlarmRecord.id)
            .with_for_update()
        )
    ).all()
    for record in records:
        await _settle_omission(session, record, await _rank(session, record))
    return list(records)
