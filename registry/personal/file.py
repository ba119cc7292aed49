"""Everything the register holds on a home or a person, readable, as plain values.

The caller has checked the right and records the reading. ``gateway.personal`` adds what the other
rooms hold and makes a file of it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import rfc3339
from registry.households import ADDRESS, CHANNEL_ADDRESS, CONTACT_NAME
from registry.models import AuditEntry, Contact, ContactChannel, Detector, DetectorStay, Household
from registry.personal.subject import Subject, audit_ids, opened
from registry.requests.models import CityRequest
from registry.residents.models import HomeLink, HomeSession
from registry.sealed import Keyring

Section = list[dict[str, Any]]


def when(time_us: int | None) -> str | None:
    return None if time_us is None else rfc3339(time_us)


async def held(session: AsyncSession, keyring: Keyring, subject: Subject) -> dict[str, Section]:
    """By section: homes, people, channels, requests, detectors, browsers, links, audit."""
    return {
        "homes": await _homes(session, keyring, subject),
        "people": await _people(session, keyring, subject),
        "channels": await _channels(session, keyring, subject),
        "requests": await _requests(session, keyring, subject),
        "detectors": await _detectors(session, subject),
        "browsers": await _browsers(session, subject),
        "links": await _links(session, subject),
        "audit": await _audit(session, subject),
    }


async def _homes(session: AsyncSession, keyring: Keyring, subject: Subject) -> Section:
    rows = await session.scalars(select(Household).where(Household.id.in_(subject.household_ids)))
    return [
        {
            "id": row.id, "label": row.label, "site": row.site_id, "unit": row.unit_code,
            "address": opened(keyring, row.address, ADDRESS) or None, "lat": row.lat, "lon": row.lon,
            "language": row.language, "since": when(row.created_us), "removed": when(row.gone_us),
            "erased": when(row.erased_us),
        }
        for row in rows
    ]  # fmt: skip


async def _people(session: AsyncSession, keyring: Keyring, subject: Subject) -> Section:
    rows = await session.scalars(
        select(Contact).where(Contact.id.in_(subject.contact_ids)).order_by(Contact.position)
    )
    return [
        {
            "id": row.id, "name": opened(keyring, row.name, CONTACT_NAME), "role": row.role,
            "order": row.position, "language": row.language, "quiet_from_h": row.quiet_from_h,
            "quiet_until_h": row.quiet_until_h, "away_until": when(row.away_until_us),
            "removed": when(row.gone_us), "erased": when(row.erased_us),
        }
        for row in rows
    ]  # fmt: skip


async def _channels(session: AsyncSession, keyring: Keyring, subject: Subject) -> Section:
    rows = await session.scalars(
        select(ContactChannel)
        .where(ContactChannel.id.in_(subject.channel_ids))
        .order_by(ContactChannel.contact_id, ContactChannel.channel)
    )
    return [
        {
            "id": row.id, "person": row.contact_id, "channel": row.channel,
            "address": opened(keyring, row.address, CHANNEL_ADDRESS),
            "verified": when(row.verified_us), "withdrawn": when(row.withdrawn_us),
            "muted": when(row.muted_us), "heard": when(row.heard_us), "dead": when(row.dead_us),
        }
        for row in rows
    ]  # fmt: skip


async def _requests(session: AsyncSession, keyring: Keyring, subject: Subject) -> Section:
    rows = await session.scalars(
        select(CityRequest)
        .where(CityRequest.id.in_(subject.request_ids))
        .order_by(CityRequest.received_us)
    )

    def read(row: CityRequest, name: str) -> str | None:
        return opened(keyring, getattr(row, name), f"city_request.{name}") or None

    return [
        {
            "number": row.number, "kind": row.kind, "subject": row.subject, "channel": row.channel,
            "state": row.state, "received": when(row.received_us), "due": row.due_on.isoformat(),
            "text": read(row, "text"), "name": read(row, "name"), "contact": read(row, "contact"),
            "answer": read(row, "answer"), "answered": when(row.answered_us),
            "satisfaction": row.satisfaction, "erased": when(row.erased_us),
        }
        for row in rows
    ]  # fmt: skip


async def _detectors(session: AsyncSession, subject: Subject) -> Section:
    homes = subject.household_ids
    now = await session.scalars(select(Detector).where(Detector.household_id.in_(homes)))
    here = [
        {"id": row.id, "place": row.place, "status": row.status, "model": row.model_id,
         "serial": row.serial, "registered": when(row.registered_us)}
        for row in now
    ]  # fmt: skip
    stays = await session.scalars(
        select(DetectorStay).where(DetectorStay.household_id.in_(homes)).order_by(DetectorStay.from_us)
    )
    return here + [
        {"id": row.detector_id, "place": row.place, "from": when(row.from_us),
         "until": when(row.until_us)}
        for row in stays
    ]  # fmt: skip


async def _browsers(session: AsyncSession, subject: Subject) -> Section:
    rows = await session.scalars(
        select(HomeSession).where(_belongs(HomeSession, subject)).order_by(HomeSession.created_us)
    )
    return [
        {"person": row.contact_id, "opened": when(row.created_us), "used": when(row.used_us),
         "ends": when(row.expires_us)}
        for row in rows
    ]  # fmt: skip


async def _links(session: AsyncSession, subject: Subject) -> Section:
    rows = await session.scalars(
        select(HomeLink).where(_belongs(HomeLink, subject)).order_by(HomeLink.created_us)
    )
    return [
        {"person": row.contact_id, "made": when(row.created_us), "used": when(row.used_us),
         "ends": when(row.expires_us)}
        for row in rows
    ]  # fmt: skip


def _belongs(table: Any, subject: Subject) -> Any:
    """Of the home, or of the one person."""
    if subject.kind == "contact":
        return table.contact_id == subject.id
    return table.household_id.in_(subject.household_ids)


async def _audit(session: AsyncSession, subject: Subject) -> Section:
    """What was done with it, who read it among that. Staff appear by their opaque id."""
    ids = await audit_ids(session, subject, ())
    if subject.kind == "contact":  # reading a home is reading its people
        homes = select(AuditEntry.id).where(
            AuditEntry.object_kind == "household", AuditEntry.object_id.in_(subject.household_ids),
            AuditEntry.action.in_(("household.open", "household.export")),
        )  # fmt: skip
        ids = sorted({*ids, *await session.scalars(homes)})
    rows = []
    for start in range(0, len(ids), 500):
        wanted = select(AuditEntry).where(AuditEntry.id.in_(ids[start : start + 500]))
        rows += list(await session.scalars(wanted.order_by(AuditEntry.id)))
    return [
        {
            "entry": row.id, "at": when(row.at_us), "by": row.actor, "what": row.action,
            "about": f"{row.object_kind} {row.object_id}", "reason": row.reason,
            "read": row.action.endswith((".open", ".export")) and row.action != "home.open",
        }
        for row in rows
    ]  # fmt: skip
