"""From claimed deliveries to messages: the only place that opens addresses, just before sending."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import acknowledge, reports, statements
from alerts.channels.base import Message, Outcome
from alerts.policy import CAN_WAIT
from alerts.queue import Lease
from alerts.texts import Catalogues, Facts, compose
from alerts.texts.compose import Trouble
from alerts.tokens import unsubscribe_token
from registry.households import ADDRESS, CHANNEL_ADDRESS, CONTACT_NAME
from registry.models import Contact
from registry.sealed import Keyring, KeyringError
from registry.statements import fetch
from registry.units import unit_name

log = structlog.get_logger(__name__)

#: A message that was not delivered by then is of no use: an alarm after a day, the rest after three.
_TTL_S = {0: 24 * 3600, 1: 72 * 3600, 2: 72 * 3600}
#: Where it matters that somebody says "I have it".
_ACKNOWLEDGED_BY_LINK = ("fire", "co", "exposure", "drill")


class Letter(NamedTuple):
    """A claimed delivery with its message; or the outcome, where there is nothing that can be sent."""

    lease: Lease
    incident_id: str
    message: Message | Outcome


#: A part of a letter's row for each table: whole objects cost as much as all the rest of writing it.
_PARTS: dict[str, Any] = {
    name: namedtuple(name, [column.key for column in columns])  # columns decide
    for name, columns in statements.LETTER.items()
}


class _Alarm(NamedTuple):
    incident_id: str
    kind: str
    test: bool
    cleared_us: int | None


class _Row(NamedTuple):
    """A delivery and what it is about: each a part with the columns of ``statements.LETTER``."""

    delivery: Any
    notification: Any
    incident: Any
    channel: Any
    contact: Any
    #: all of it None where there is none; so too the site
    household: Any
    site: Any


async def write_letters(
    session: AsyncSession,
    leases: Sequence[Lease],
    keyring: Keyring,
    catalogues: Catalogues,
    now_us: int,
    public_url: str = "",
) -> list[Letter]:
    """A letter per lease, in their order. With a ``public_url`` alarms carry a link to acknowledge."""
    rows = await _rows(session, [lease.delivery_id for lease in leases])
    alarms = await _alarms(session, {row.incident.id for row in rows.values()})
    names = await _first_names(session, rows.values(), keyring)
    letters = []
    for lease in leases:
        row = rows[lease.delivery_id]
        try:
            message: Message | Outcome = _message(
                row,
                alarms.get(row.incident.id, []),
                keyring,
                catalogues,
                now_us,
                public_url,
                names,
            )
        except KeyringError:
            message = Outcome("retry", "address_sealed")
        except Exception as error:  # one message that cannot be written must not stop the others
            log.error("alerts.unwritable", delivery=lease.delivery_id, error=type(error).__name__)
            message = Outcome("refused", "unwritable")
        letters.append(Letter(lease, row.incident.id, message))
    return letters


async def _rows(session: AsyncSession, delivery_ids: list[str]) -> dict[str, _Row]:
    rows = {}
    for found in await fetch(session, statements.LETTERS, ids=delivery_ids):
        values = iter(found)
        row = _Row(*(part._make(islice(values, len(part._fields))) for part in _PARTS.values()))
        rows[row.delivery.id] = row
    return rows


async def _first_names(session: AsyncSession, rows: Iterable[_Row], keyring: Keyring) -> dict[str, str]:
    """First names of those who acknowledged, where a message tells the others so."""
    wanted = {row.notification.values.get("by") for row in rows} - {None}
    if not wanted:
        return {}
    people = await session.scalars(select(Contact).where(Contact.id.in_(wanted)))
    return {person.id: first_name(person, keyring) for person in people}


def first_name(person: Contact, keyring: Keyring) -> str:
    """The first name alone; Mongolian names put it last, after a father's name or its initial."""
    try:
        name = keyring.open(person.name, CONTACT_NAME)
    except KeyringError:
        return ""
    return name.replace(".", " ").split()[-1] if name.strip(" .") else ""


async def _alarms(session: AsyncSession, incident_ids: set[str]) -> dict[str, list[tuple[Any, str]]]:
    """Per incident its alarms, the earliest first, each with its detector's or camera's place."""
    result: dict[str, list[tuple[Any, str]]] = {}
    for row in await fetch(session, statements.ALARMS_OF_INCIDENTS, ids=list(incident_ids)):
        alarm = _Alarm(*row[:-1])
        result.setdefault(alarm.incident_id, []).append((alarm, row[-1] or ""))
    return result


def _message(
    row: _Row,
    alarms: list[tuple[Any, str]],
    keyring: Keyring,
    catalogues: Catalogues,
    now_us: int,
    public_url: str,
    first_names: dict[str, str],
) -> Message:
    address = keyring.open(row.channel.address, CHANNEL_ADDRESS)
    notification, incident = row.notification, row.incident
    link = ""
    if public_url and notification.message in _ACKNOWLEDGED_BY_LINK:
        token = acknowledge.issue(keyring, incident.id, notification.id, now_us)
        link = acknowledge.link(public_url, token)
    places = [place for record, place in alarms if place and not record.test] or [
        place for _, place in alarms if place
    ]
    facts = Facts(
        message=notification.message,
        hazard=incident.hazard,
        since_us=incident.raised_us,
        where=_where(row, keyring),
        place=places[0] if places else "",
        troubles=tuple(
            Trouble(record.kind, place) for record, place in alarms if record.cleared_us is None
        )
        if incident.hazard == "trouble"
        else (),
        acknowledge_link=link,
        again=(notification.rung > 0 and row.contact.role == "resident")
        or (notification.episode > 1 and incident.alarm_class == "alarm"),
        role=row.contact.role,
        by=first_names.get(notification.values.get("by") or "", ""),
        answered_us=incident.acknowledged_us,
        cameras=int(notification.values.get("cameras") or 0),
        homes=int(notification.values.get("homes") or 0),
        hours=str(notification.values.get("hours") or ""),
    )
    text = compose(catalogues.get(notification.language), facts)
    return Message(
        delivery_id=row.delivery.id,
        incident_id=incident.id,
        channel=row.delivery.channel,
        address=address,
        kind=notification.message,
        language=notification.language,
        subject=text.subject,
        body=text.body,
        short=text.short,
        sent_us=now_us,
        urgent=row.delivery.priority == 0,
        ttl_s=_TTL_S[row.delivery.priority],
        link=link,
        rung=notification.rung,
        heard_us=row.channel.heard_us,
        report_token=reports.token(keyring, row.delivery.id),
        unsubscribe=f"{public_url.rstrip('/')}/u/{unsubscribe_token(keyring, row.channel.id)}"
        if public_url and notification.message in CAN_WAIT
        else "",
    )


def _where(row: _Row, keyring: Keyring) -> str:
    """The household's address; the site's title where the incident is a site's."""
    if row.household.address is not None:
        return keyring.open(row.household.address, ADDRESS)
    if row.incident.subject_kind == "fibre":
        return str(row.incident.summary).partition(" (")[0]  # the counts are in the text
    if row.site.id is not None and row.incident.subject_kind != "unit":
        return str(row.site.title)
    return unit_name(row.incident.unit_code or "", row.notification.language)
