"""What of alerts goes after which time: proofs of telling first, details of what happened later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import AlarmRecord, Incident, Notification
from alerts.personal import empty_incidents
from registry.personal.retention import Letting, Rule


def _closed(older_us: int) -> Any:
    ended = func.coalesce(Incident.resolved_us, Incident.cleared_us, Incident.opened_us)
    return Incident.open_key.is_(None) & (ended < older_us)


def _proofs_due(older_us: int) -> Select[Any]:
    return (
        select(Notification.id)
        .join(Incident, Incident.id == Notification.incident_id)
        .where(_closed(older_us), Notification.created_us < older_us)
    )


async def _drop_proofs(session: AsyncSession, _letting: Letting, keys: Sequence[str]) -> None:
    """With their deliveries and attempts."""
    await session.execute(delete(Notification).where(Notification.id.in_(keys)))


def _details_due(older_us: int) -> Select[Any]:
    said = exists().where(AlarmRecord.incident_id == Incident.id, AlarmRecord.reason != "")
    holds = or_(Incident.lat.is_not(None), Incident.summary != "", said)
    return select(Incident.id).where(_closed(older_us), Incident.household_id.is_not(None), holds)


async def _drop_details(session: AsyncSession, _letting: Letting, keys: Sequence[str]) -> None:
    await empty_incidents(session, keys)


RULES: Final[tuple[Rule, ...]] = (
    Rule("delivery_proofs", "personal", ("notification", "delivery", "attempt"), "delivery_proofs_days",
         _proofs_due, _drop_proofs),
    Rule("incident_details", "personal", ("incident", "incident_entry", "alarm"),
         "incident_details_days", _details_due, _drop_details),
)  # fmt: skip
