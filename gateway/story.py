"""Incidents for a reader: lists inside a reach, and one incident's whole story in five queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, false, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import AlarmRecord, Attempt, Delivery, Incident, IncidentEntry, Notification
from registry.households import CHANNEL_ADDRESS, masked
from registry.models import ContactChannel
from registry.rights import Reach
from registry.sealed import Keyring


@dataclass(frozen=True)
class Filters:
    """Which incidents; what is None does not matter."""

    open: bool | None = None
    state: str | None = None
    alarm_class: str | None = None
    site_id: str | None = None
    household_id: str | None = None


@dataclass(frozen=True)
class ToldWay:
    """One delivery, its address masked, with its attempts."""

    delivery: Delivery
    masked: str
    attempts: list[Attempt]


@dataclass(frozen=True)
class Told:
    """One notification and its deliveries."""

    notification: Notification
    deliveries: list[ToldWay]


@dataclass(frozen=True)
class Story:
    """An incident with everything about it."""

    incident: Incident
    entries: Sequence[IncidentEntry]
    alarms: Sequence[AlarmRecord]
    notifications: list[Told]


async def list_incidents(
    session: AsyncSession, wanted: Filters, reach: Reach, after: Sequence[Any] | None, limit: int
) -> list[Incident]:
    """At most ``limit`` incidents, the newest first, behind ``after`` (opened_us, id)."""
    query = select(Incident).order_by(Incident.opened_us.desc(), Incident.id.desc()).limit(limit)
    exact = (
        (Incident.state, wanted.state), (Incident.alarm_class, wanted.alarm_class),
        (Incident.site_id, wanted.site_id), (Incident.household_id, wanted.household_id),
    )  # fmt: skip
    query = query.where(*(column == value for column, value in exact if value is not None))
    if wanted.open is not None:
        resolved = Incident.state == "resolved"
        query = query.where(~resolved if wanted.open else resolved)
    if not reach.everywhere:
        inside = [Incident.unit_code.startswith(code, autoescape=True) for code in reach.unit_codes]
        query = query.where(or_(false(), *inside))
    if after is not None:
        opened_us, last_id = after
        query = query.where(
            or_(
                Incident.opened_us < opened_us,
                and_(Incident.opened_us == opened_us, Incident.id < last_id),
            )
        )
    return list(await session.scalars(query))


async def story_of(session: AsyncSession, keyring: Keyring, incident: Incident) -> Story:
    """Everything about the incident."""
    entries = await session.scalars(
        select(IncidentEntry).where(IncidentEntry.incident_id == incident.id).order_by(IncidentEntry.id)
    )
    alarms = await session.scalars(
        select(AlarmRecord)
        .where(AlarmRecord.incident_id == incident.id)
        .order_by(AlarmRecord.raised_us, AlarmRecord.id)
    )
    told = await _told(session, keyring, incident.id)
    return Story(incident, entries.all(), alarms.all(), told)


async def _told(session: AsyncSession, keyring: Keyring, incident_id: str) -> list[Told]:
    of_incident = Notification.incident_id == incident_id
    tries: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in await session.scalars(
        select(Attempt)
        .join(Delivery, Attempt.delivery_id == Delivery.id)
        .join(Notification, Delivery.notification_id == Notification.id)
        .where(of_incident)
        .order_by(Attempt.number)
    ):
        tries[attempt.delivery_id].append(attempt)
    ways: dict[str, list[ToldWay]] = defaultdict(list)
    for delivery, address in await session.execute(
        select(Delivery, ContactChannel.address)
        .join(Notification, Delivery.notification_id == Notification.id)
        .join(ContactChannel, Delivery.channel_id == ContactChannel.id)
        .where(of_incident)
        .order_by(Delivery.queued_us, Delivery.id)
    ):
        shown = masked(delivery.channel, keyring.open(address, CHANNEL_ADDRESS))
        ways[delivery.notification_id].append(ToldWay(delivery, shown, tries[delivery.id]))
    notifications = await session.scalars(
        select(Notification)
        .where(of_incident)
        .order_by(Notification.created_us, Notification.rung, Notification.id)
    )
    return [Told(row, ways[row.id]) for row in notifications]
