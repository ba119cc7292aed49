"""The CAP messages that were made ready: one by one, and as an Atom feed that names them.

The feed's entries carry no address: title, time and link. Whoever may open the message follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.cap.incident import message_for
from alerts.cap.model import Alert, Reference, time_text
from alerts.models import CapMessage, Incident
from alerts.texts import Catalogues
from registry.households import ADDRESS
from registry.models import Household, Site
from registry.sealed import Keyring

_ATOM = "http://www.w3.org/2005/Atom"
MAX_ENTRIES = 200


async def cap_message(
    session: AsyncSession, keyring: Keyring, catalogues: Catalogues, cap_id: str, sender: str
) -> Alert | None:
    """The message as it was made ready: its state and time, its references to those before it."""
    row = await session.get(CapMessage, cap_id)
    if row is None:
        return None
    incident = await session.get(Incident, row.incident_id)
    assert incident is not None  # its foreign key
    earlier = await session.scalars(
        select(CapMessage)
        .where(CapMessage.incident_id == row.incident_id, CapMessage.number < row.number)
        .order_by(CapMessage.number)
    )
    references = [
        Reference(sender, identifier(incident.id, each.number), each.sent_us) for each in earlier
    ]
    where, point = await _where(session, keyring, incident)
    with session.no_autoflush:  # the words of that moment, not of this one; nothing is written
        shown = Incident(
            id=incident.id, hazard=incident.hazard, state=row.state, raised_us=incident.raised_us,
            unit_code=incident.unit_code, homes=incident.homes,
            cause=incident.cause if row.msg_type == "Cancel" else None,
        )  # fmt: skip
        return message_for(
            shown, sender=sender, where=where, point=point, catalogues=catalogues,
            now_us=row.sent_us, earlier=references,
        )  # fmt: skip


async def _where(
    session: AsyncSession, keyring: Keyring, incident: Incident
) -> tuple[str, tuple[float, float] | None]:
    home = await session.get(Household, incident.household_id) if incident.household_id else None
    site = await session.get(Site, incident.site_id)
    where = keyring.open(home.address, ADDRESS) if home is not None and home.address else ""
    for place in (home, site):
        if place is not None and place.lat is not None and place.lon is not None:
            return where or (site.title if site else ""), (place.lat, place.lon)
    return where or (site.title if site else ""), None


def identifier(incident_id: str, number: int) -> str:
    """What a message of an incident is called."""
    return f"utaa.{incident_id}.{number}"


async def newest(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int = MAX_ENTRIES
) -> list[tuple[CapMessage, Incident]]:
    """The newest messages that were made ready, with their incidents; ``conditions`` narrow them."""
    rows = await session.execute(
        select(CapMessage, Incident)
        .join(Incident, CapMessage.incident_id == Incident.id)
        .where(*conditions)
        .order_by(CapMessage.sent_us.desc(), CapMessage.number.desc(), CapMessage.id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


def atom_feed(entries: Sequence[tuple[CapMessage, Incident]], *, public_url: str, now_us: int) -> bytes:
    """The feed (RFC 4287) of these messages; ``<public_url>/cap/<id>`` is where each one is."""
    base = public_url.rstrip("/")
    feed = Element("feed", {"xmlns": _ATOM})
    _add(feed, "id", f"{base}/cap")
    _add(feed, "title", "Utaa CAP 1.2")
    updated_us = max((row.sent_us for row, _ in entries), default=now_us)
    _add(feed, "updated", time_text(updated_us))
    SubElement(feed, "link", {"rel": "self", "href": f"{base}/cap", "type": "application/atom+xml"})
    SubElement(_add(feed, "author", ""), "name").text = "Utaa"
    for row, incident in entries:
        entry = _add(feed, "entry", "")
        _add(entry, "id", f"{base}/cap/{row.id}")
        _add(entry, "title", f"{row.msg_type}: {incident.hazard} {incident.unit_code or ''}".strip())
        _add(entry, "updated", time_text(row.sent_us))
        href = f"{base}/cap/{row.id}"
        SubElement(entry, "link", {"href": href, "type": "application/cap+xml"})
        _add(entry, "summary", identifier(incident.id, row.number))
    indent(feed)
    body: bytes = tostring(feed, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


def _add(parent: Element, name: str, text: str) -> Element:
    element = SubElement(parent, name)
    element.text = text or None
    return element
