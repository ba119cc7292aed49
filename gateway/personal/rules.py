"""Every rule of retention: the register's, alerts', and the gateway's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import retention as alerts_part
from alerts.models import Incident, Notification
from gateway.cameras.models import CameraEvidence
from gateway.models import SetAside
from gateway.personal import service
from registry.models import Contact, Detector, Household
from registry.personal import redaction, rules
from registry.personal.retention import Letting, Rule
from registry.personal.subject import Kind, audit_ids, subject_of
from registry.sites import SERVING


def _former_contacts(older_us: int) -> Select[Any]:
    """Nobody is told on them any more, and nothing proves that they were."""
    told = exists().where(Notification.contact_id == Contact.id)
    something_open = exists().where(
        Incident.household_id == Contact.household_id, Incident.open_key.is_not(None)
    )
    return select(Contact.id).where(
        Contact.erased_us.is_(None), Contact.gone_us < older_us, ~told, ~something_open
    )


def _former_homes(older_us: int) -> Select[Any]:
    """Removed and not merged into another, with nothing open and nothing that hangs there."""
    something_open = exists().where(
        Incident.household_id == Household.id, Incident.open_key.is_not(None)
    )
    hanging = exists().where(Detector.household_id == Household.id, Detector.status.in_(SERVING))
    return select(Household.id).where(
        Household.erased_us.is_(None), Household.gone_us < older_us, ~something_open, ~hanging,
        Household.merged_into_id.is_(None),
    )  # fmt: skip


async def _erase(session: AsyncSession, letting: Letting, kind: Kind, keys: Sequence[str]) -> None:
    for own_id in keys:
        subject = await subject_of(session, letting.keyring, kind, own_id)
        entries = await audit_ids(session, subject, ())
        redacted = 0
        for start in range(0, len(entries), redaction.BATCH):
            batch = entries[start : start + redaction.BATCH]
            redacted += await redaction.redact(session, letting.act, batch)
        await service.empty(session, letting.keyring, letting.act, subject, redacted=redacted)


async def _erase_contacts(session: AsyncSession, letting: Letting, keys: Sequence[str]) -> None:
    await _erase(session, letting, "contact", keys)


async def _erase_homes(session: AsyncSession, letting: Letting, keys: Sequence[str]) -> None:
    await _erase(session, letting, "household", keys)


async def _drop_aside(session: AsyncSession, _letting: Letting, keys: Sequence[int]) -> None:
    await session.execute(delete(SetAside).where(SetAside.id.in_(keys)))


async def _drop_street(session: AsyncSession, _letting: Letting, keys: Sequence[int]) -> None:
    wanted = update(CameraEvidence).where(CameraEvidence.id.in_(keys))
    await session.execute(wanted.values(reference=None, picture=None))


def _street_due(older_us: int) -> Select[Any]:
    held = CameraEvidence.reference.is_not(None) | CameraEvidence.picture.is_not(None)
    return select(CameraEvidence.id).where(held, CameraEvidence.at_us < older_us)


#: In this order: proofs go before the people they were about.
RULES: Final[tuple[Rule, ...]] = (
    *rules.RULES,
    *alerts_part.RULES,
    Rule("set_aside", "personal", ("set_aside",), "set_aside_days",
         lambda t: select(SetAside.id).where(SetAside.at_us < t), _drop_aside),
    Rule("street_pictures", "personal", ("camera_evidence",), "street_pictures_days",
         _street_due, _drop_street),
    Rule("former_contacts", "personal", ("contact", "contact_channel", "consent"),
         "former_contacts_days", _former_contacts, _erase_contacts, batch=5),
    Rule("former_homes", "personal", ("household",), "former_homes_days",
         _former_homes, _erase_homes, batch=1),
)  # fmt: skip
