"""What alerts hold on a home or a person: incidents, who was told how, consent; shown and taken out.

``subject`` ids come from ``registry.personal.subject``. What is counted or proven (that a delivery
was made, when, on which kind of channel) stays; what says who or where goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.consent import text_of
from alerts.models import (
    AlarmRecord,
    Attempt,
    Consent,
    Delivery,
    Incident,
    IncidentEntry,
    Notification,
)
from edge.wire.clock import rfc3339
from registry.personal.subject import Subject
from registry.sites import Conflict

#: Ids in one IN (…).
_CHUNK: Final = 500
Section = list[dict[str, Any]]


def _of(subject: Subject) -> Any:
    """Incidents of the home; for one person those they were tested with."""
    own = Incident.subject_id.in_((*subject.contact_ids, *subject.channel_ids))
    return or_(Incident.household_id.in_(subject.erased_homes), own)


def _when(time_us: int | None) -> str | None:
    return None if time_us is None else rfc3339(time_us)


async def check_closed(session: AsyncSession, subject: Subject) -> None:
    """Raises ``Conflict`` while something is open at the home: those who must be told are known."""
    open_at = select(Incident.id, Incident.hazard).where(
        Incident.household_id.in_(subject.household_ids),
        Incident.open_key.is_not(None),
        Incident.hazard != "drill",
    )
    if (found := (await session.execute(open_at.limit(1))).first()) is not None:
        raise Conflict(
            "id", f"incident {found.id} ({found.hazard}) of the home is open: close it first"
        )


async def incident_ids(session: AsyncSession, subject: Subject) -> list[str]:
    """Incidents of the home or person, oldest first."""
    return list(
        await session.scalars(select(Incident.id).where(_of(subject)).order_by(Incident.raised_us))
    )


async def held(session: AsyncSession, subject: Subject) -> dict[str, Section]:
    """By section: incidents, told (each delivery with its proofs), consents."""
    return {
        "incidents": await _incidents(session, subject),
        "told": await _told(session, subject),
        "consents": await _consents(session, subject),
    }


async def _incidents(session: AsyncSession, subject: Subject) -> Section:
    homes = Incident.household_id.in_(subject.household_ids)
    rows = await session.scalars(select(Incident).where(homes).order_by(Incident.raised_us))
    found = []
    for row in rows:
        entries = await session.scalars(
            select(IncidentEntry).where(IncidentEntry.incident_id == row.id).order_by(IncidentEntry.id)
        )
        found.append(
            {
                "id": row.id, "hazard": row.hazard, "state": row.state, "raised": _when(row.raised_us),
                "cleared": _when(row.cleared_us), "acknowledged": _when(row.acknowledged_us),
                "acknowledged_by": row.acknowledged_by, "resolved": _when(row.resolved_us),
                "cause": row.cause, "summary": row.summary, "lat": row.lat, "lon": row.lon,
                "story": [
                    {"at": _when(one.at_us), "what": one.what, "by": one.actor, "detail": one.detail}
                    for one in entries
                ],
            }
        )  # fmt: skip
    return found


async def _told(session: AsyncSession, subject: Subject) -> Section:
    rows = await session.execute(
        select(Notification, Delivery)
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(Notification.contact_id.in_(subject.contact_ids))
        .order_by(Notification.created_us, Delivery.id)
    )
    pairs = [(notification, delivery) for notification, delivery in rows]
    attempts: dict[str, Section] = {}
    for ids in _chunks([delivery.id for _, delivery in pairs]):
        for one in await session.scalars(
            select(Attempt).where(Attempt.delivery_id.in_(ids)).order_by(Attempt.number)
        ):
            attempts.setdefault(one.delivery_id, []).append(
                {"at": _when(one.started_us), "outcome": one.outcome, "reason": one.reason,
                 "evidence": one.evidence}
            )  # fmt: skip
    return [
        {
            "person": notification.contact_id, "incident": notification.incident_id,
            "message": notification.message, "language": notification.language,
            "values": notification.values, "planned": _when(notification.created_us),
            "channel": delivery.channel, "channel_id": delivery.channel_id, "state": delivery.state,
            "accepted": _when(delivery.accepted_us), "delivered": _when(delivery.delivered_us),
            "seen": _when(delivery.seen_us), "provider_id": delivery.provider_id,
            "attempts": attempts.get(delivery.id, []),
        }
        for notification, delivery in pairs
    ]  # fmt: skip


async def _consents(session: AsyncSession, subject: Subject) -> Section:
    rows = await session.scalars(
        select(Consent).where(Consent.channel_id.in_(subject.channel_ids)).order_by(Consent.id)
    )
    return [
        {
            "channel_id": row.channel_id, "given": row.given, "at": _when(row.at_us), "how": row.how,
            "text_version": row.text_version, "text": text_of(row.text_version, "mn"),
        }
        for row in rows
    ]  # fmt: skip


async def empty(session: AsyncSession, subject: Subject) -> dict[str, int]:
    """Take out who and where, in the caller's transaction; counts. Raises ``Conflict``."""
    await check_closed(session, subject)
    notifications = list(
        await session.scalars(
            select(Notification.id).where(Notification.contact_id.in_(subject.contact_ids))
        )
    )
    told = 0
    for ids in _chunks(notifications):
        told += await _empty_told(session, ids)
    incidents = await incident_ids(session, subject)
    for ids in _chunks(incidents):
        await empty_incidents(session, ids)
    return {"notifications": len(notifications), "deliveries": told, "incidents": len(incidents)}


async def _empty_told(session: AsyncSession, notification_ids: Sequence[str]) -> int:
    deliveries = select(Delivery.id).where(Delivery.notification_id.in_(notification_ids))
    await session.execute(
        update(Delivery)
        .where(
            Delivery.notification_id.in_(notification_ids), Delivery.state.in_(("queued", "sending"))
        )
        .values(state="cancelled", reason="erased", lease_owner=None, lease_until_us=None)
    )
    await session.execute(
        update(Attempt).where(Attempt.delivery_id.in_(deliveries)).values(evidence=None)
    )
    await session.execute(
        update(Notification).where(Notification.id.in_(notification_ids)).values(values={})
    )
    done = await session.execute(
        update(Delivery).where(Delivery.notification_id.in_(notification_ids)).values(provider_id=None)
    )
    assert isinstance(done, CursorResult)
    return int(done.rowcount)


async def empty_incidents(session: AsyncSession, ids: Sequence[str]) -> None:
    """The place, the words people wrote and the measured values go; times and outcomes stay."""
    await session.execute(
        update(IncidentEntry).where(IncidentEntry.incident_id.in_(ids)).values(detail={})
    )
    await session.execute(
        update(AlarmRecord)
        .where(AlarmRecord.incident_id.in_(ids))
        .values(peak={}, values={}, reason="")
    )
    await session.execute(
        update(Incident).where(Incident.id.in_(ids)).values(lat=None, lon=None, summary="")
    )


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
