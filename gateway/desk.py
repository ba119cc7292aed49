"""What a person does with an incident: one way for the API and the pages.

Checked against the incident's place, recorded in the audit, committed; then the watchers are told and
the sender is woken, so neither can undo it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import incidents, taking
from alerts.models import AlarmRecord, Incident
from edge.wire.clock import US_PER_S
from edge.wire.identity import new_id
from edge.wire.messages import Command
from gateway.door import Asker, Rooms, allow
from registry import audit
from registry.models import Person
from registry.rights import Place
from registry.sites import NoSuch

#: An order that has not arrived by then is no longer meant.
COMMAND_LIFE_US = 60 * US_PER_S
#: The longest silence that can be asked for; the site has its own bound, which is the same.
MAX_SILENCE_S = 600


async def load(session: AsyncSession, incident_id: str) -> Incident:
    """The incident. Raises ``NoSuch``."""
    incident = await session.get(Incident, incident_id)
    if incident is None:
        raise NoSuch("incident", incident_id)
    return incident


def place_of(incident: Incident) -> Place:
    """Where it lies, for a question of rights."""
    return Place(unit_code=incident.unit_code)


async def acknowledge(city: Rooms, asker: Asker, incident_id: str) -> Incident:
    """Somebody has it; the first one counts. Raises ``NoSuch`` or ``Forbidden``."""
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        incident = await load(session, incident_id)
        allow(asker, "incident.acknowledge", place_of(incident))
        first = await incidents.acknowledge(
            session, incident_id, asker.actor.id, now_us, policy=city.policy
        )
        if first:
            await audit.append(
                session, actor=asker.actor, origin=asker.origin, action="incident.acknowledge",
                object_kind="incident", object_id=incident_id, now_us=now_us,
            )  # fmt: skip
        await session.refresh(incident)
    _announce(city, incident)
    return incident


class SiteOutOfReach(Exception):
    """The city's broker connection did not take the order; nothing was silenced."""


async def silence(city: Rooms, asker: Asker, incident_id: str, for_s: int) -> int:
    """Order the site to silence its sirens about this incident's alarms; how many alarms.

    The site bounds the time itself, and a new alarm sounds all the same. Raises ``NoSuch``,
    ``Forbidden``, ``SiteOutOfReach``.
    """
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        incident = await load(session, incident_id)
        allow(asker, "incident.acknowledge", place_of(incident))
        sounding = await session.scalars(
            select(AlarmRecord).where(
                AlarmRecord.incident_id == incident_id,
                AlarmRecord.cleared_us.is_(None),
                AlarmRecord.abandoned_us.is_(None),
            )
        )
        commands = [
            Command(
                site=alarm.site_id,
                id=new_id(),
                issued_us=now_us,
                expires_us=now_us + COMMAND_LIFE_US,
                action="silence",
                target=alarm.id,
                arguments={"for_s": for_s},
            )
            for alarm in sounding
        ]
        if not all(city.send_command(command) for command in commands):
            raise SiteOutOfReach
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="incident.silence",
            object_kind="incident", object_id=incident_id, now_us=now_us,
            after={"for_s": for_s, "alarms": len(commands)},
        )  # fmt: skip
    return len(commands)


async def resolve(
    city: Rooms, asker: Asker, incident_id: str, cause: str, check: Callable[[Incident], None]
) -> Incident:
    """It is over, for this cause. ``check`` may refuse what the incident has become meanwhile.

    Raises ``NoSuch``, ``Forbidden``, ``alerts.incidents.IncidentError``, and what ``check`` raises.
    """
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        incident = await load(session, incident_id)
        allow(asker, "incident.resolve", place_of(incident))
        check(incident)
        await incidents.resolve(session, incident_id, cause, asker.actor.id, now_us)
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="incident.resolve",
            object_kind="incident", object_id=incident_id, now_us=now_us, after={"cause": cause},
        )  # fmt: skip
        await session.refresh(incident)
    _announce(city, incident)
    return incident


async def assign(city: Rooms, asker: Asker, incident_id: str, person_id: str | None) -> Incident:
    """Somebody of the desk takes it, or is given it; None: nobody has it.

    Raises ``NoSuch``, ``Forbidden``, ``alerts.incidents.IncidentError``.
    """
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        incident = await load(session, incident_id)
        allow(asker, "incident.acknowledge", place_of(incident))
        if person_id is not None and await session.get(Person, person_id) is None:
            raise NoSuch("person", person_id)
        if await taking.assign(session, incident, person_id, asker.actor.id, now_us):
            await audit.append(
                session, actor=asker.actor, origin=asker.origin, action="incident.assign",
                object_kind="incident", object_id=incident_id, now_us=now_us,
                after={"to": person_id},
            )  # fmt: skip
    _announce(city, incident)
    return incident


async def note(city: Rooms, asker: Asker, incident_id: str, text: str) -> Incident:
    """A remark in its story. Raises ``NoSuch``, ``Forbidden``."""
    now_us = city.clock.now_us()
    async with city.database.write() as session:
        incident = await load(session, incident_id)
        allow(asker, "incident.acknowledge", place_of(incident))
        await taking.write_note(session, incident, text, asker.actor.id, now_us)
        await audit.append(
            session, actor=asker.actor, origin=asker.origin, action="incident.note",
            object_kind="incident", object_id=incident_id, now_us=now_us,
        )  # fmt: skip
    _announce(city, incident)
    return incident


def _announce(city: Rooms, incident: Incident) -> None:
    city.hub.publish(
        "incident",
        {
            "id": incident.id,
            "site": incident.site_id,
            "state": incident.state,
            "hazard": incident.hazard,
        },
    )
    city.wake_alerts()
