"""Statements of the way from an alarm to its message, each put together once.

See ``registry.statements``, which runs them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, func, insert, or_, select, update

from alerts.models import (
    AlarmEpoch,
    AlarmRecord,
    Attempt,
    Delivery,
    Incident,
    IncidentEntry,
    Notification,
)
from registry.cameras.models import Camera
from registry.models import Contact, ContactChannel, Detector, Household, Site
from registry.statements import among, table

_alarms, _epochs, _incidents = table(AlarmRecord), table(AlarmEpoch), table(Incident)
_told, _sent, _tries = table(Notification), table(Delivery), table(Attempt)
_homes, _sites, _detectors, _cameras = table(Household), table(Site), table(Detector), table(Camera)
_people, _ways = table(Contact), table(ContactChannel)

# -- what is looked up of alarms ----------------------------------------------------------------

EPOCHS_OF_SITES = (
    select(_epochs.c.site_id, _epochs.c.epoch, _epochs.c.first_snapshot_us)
    .where(_epochs.c.site_id.in_(among("sites")))
    .order_by(_epochs.c.id)
    .with_for_update()
)
KNOWN_ALARMS = (
    select(
        _alarms.c.id, _alarms.c.site_id, _alarms.c.epoch, _alarms.c.revision, _alarms.c.omitted_us,
        _alarms.c.incident_id, _alarms.c.cleared_us, _alarms.c.abandoned_us, _alarms.c.history,
    )
    .where(_alarms.c.id.in_(among("ids")))
    .order_by(_alarms.c.id)
    .with_for_update()
)  # fmt: skip
HOMES_OF_DETECTORS = (
    select(
        _detectors.c.id, _detectors.c.site_id, _homes.c.id,
        func.coalesce(_homes.c.unit_code, _sites.c.unit_code),
    )
    .select_from(
        _detectors.join(_homes, _detectors.c.household_id == _homes.c.id).outerjoin(
            _sites, _sites.c.id == _homes.c.site_id
        )
    )
    .where(_detectors.c.id.in_(among("ids")))
)  # fmt: skip
#: Incidents that an alarm might join or let burn again.
IN_THE_WAY = select(_incidents.c.subject_id, _incidents.c.hazard).where(
    _incidents.c.subject_kind == "household",
    _incidents.c.subject_id.in_(among("homes")),
    or_(
        _incidents.c.open_key.is_not(None),
        and_(
            _incidents.c.state == "all_clear",
            func.coalesce(_incidents.c.cleared_us, _incidents.c.resolved_us) >= bindparam("since_us"),
        ),
    ),
)
#: What is read of an incident that a word may belong to.
OPEN_INCIDENTS = (
    select(
        _incidents.c.id, _incidents.c.open_key, _incidents.c.subject_kind, _incidents.c.subject_id,
        _incidents.c.hazard, _incidents.c.alarm_class, _incidents.c.state, _incidents.c.history,
        _incidents.c.raised_us, _incidents.c.episode,
    )
    .where(or_(_incidents.c.id.in_(among("ids")), _incidents.c.open_key.in_(among("keys"))))
    .order_by(_incidents.c.id)
    .with_for_update()
)  # fmt: skip

# -- people -------------------------------------------------------------------------------------

#: What is read of a person and of each way to reach that person; see ``alerts.audience``.
PERSON = (
    _people.c.id, _people.c.household_id, _people.c.role, _people.c.unit_code, _people.c.language,
    _people.c.quiet_from_h, _people.c.quiet_until_h, _people.c.away_until_us,
)  # fmt: skip
WAY = (_ways.c.id, _ways.c.channel, _ways.c.muted_us, _ways.c.verified_us)
PEOPLE = (
    select(*PERSON, *WAY)
    .select_from(_people.join(_ways, _ways.c.contact_id == _people.c.id))
    .where(
        _people.c.gone_us.is_(None), _ways.c.dead_us.is_(None), _ways.c.withdrawn_us.is_(None)
    )
    .order_by(_people.c.position, _people.c.id, _ways.c.id)
)  # fmt: skip
RESIDENTS = PEOPLE.where(_people.c.household_id.in_(among("homes")), _people.c.role == "resident")

# -- what is written ----------------------------------------------------------------------------

INSERT: dict[type[Any], Any] = {
    one: insert(table(one))
    for one in (Incident, AlarmRecord, IncidentEntry, Notification, Delivery, Attempt)
}
TOUCH_INCIDENTS = (
    update(_incidents).where(_incidents.c.id.in_(among("ids"))).values(version=_incidents.c.version + 1)
)
RENEW_ALARM = (
    update(_alarms)
    .where(_alarms.c.id == bindparam("of_id"))
    .values(
        {
            name: bindparam(f"to_{name}")
            for name in (
                "kind", "alarm_class", "raised_us", "cleared_us", "revision", "reason", "peak",
                "values", "test",
            )
        }
    )
)  # fmt: skip
END_INCIDENT = (
    update(_incidents)
    .where(_incidents.c.id == bindparam("of_id"))
    .values(
        state="all_clear", open_key=None, next_rung_us=None, cleared_us=bindparam("to_cleared_us"),
        version=_incidents.c.version + 1,
    )
)  # fmt: skip
JOIN_INCIDENT = (
    update(_incidents)
    .where(_incidents.c.id == bindparam("of_id"))
    .values(raised_us=bindparam("to_raised_us"), version=_incidents.c.version + 1)
)

# -- deliveries ---------------------------------------------------------------------------------

EARLIEST = (
    select(_sent.c.channel, _sent.c.priority, func.min(_sent.c.due_us))
    .where(_sent.c.state == "queued")
    .group_by(_sent.c.channel, _sent.c.priority)
)
LOST = select(
    select(_sent.c.id)
    .where(_sent.c.state == "sending", _sent.c.lease_until_us < bindparam("now_us"))
    .exists()
)
LEASE = (
    update(_sent)
    .where(_sent.c.id.in_(among("ids")), _sent.c.state == "queued")
    .values(
        state="sending", lease_owner=bindparam("owner"), lease_until_us=bindparam("until_us"),
        attempts=_sent.c.attempts + 1,
    )
    .returning(_sent.c.id, _sent.c.attempts)
)  # fmt: skip
END_ATTEMPT = (
    update(_tries)
    .where(_tries.c.id == bindparam("of_id"))
    .values({name: bindparam(f"to_{name}") for name in ("ended_us", "outcome", "reason", "evidence")})
)
#: What recording an outcome needs to know of a delivery.
JUDGED = (
    select(
        _sent.c.id, _sent.c.state, _sent.c.attempts, _sent.c.lease_owner, _sent.c.channel_id,
        _sent.c.priority, _sent.c.queued_us, _sent.c.first_due_us, _sent.c.due_us,
        _sent.c.accepted_us, _sent.c.provider_id,
    )
    .where(_sent.c.id.in_(among("ids")))
    .order_by(_sent.c.id)
    .with_for_update()
)  # fmt: skip
SETTLE = (
    update(_sent)
    .where(_sent.c.id == bindparam("of_id"))
    .values(
        {
            name: bindparam(f"to_{name}")
            for name in (
                "lease_owner", "lease_until_us", "reason", "provider_id", "state", "accepted_us",
                "due_us",
            )
        }
    )
)  # fmt: skip

# -- letters ------------------------------------------------------------------------------------

#: The columns of a letter, by the part that they describe.
LETTER: dict[str, tuple[Any, ...]] = {
    "delivery": (_sent.c.id, _sent.c.channel, _sent.c.priority),
    "notification": (
        _told.c.id, _told.c.message, _told.c.language, _told.c["values"], _told.c.rung, _told.c.episode,
    ),
    "incident": (
        _incidents.c.id, _incidents.c.hazard, _incidents.c.alarm_class, _incidents.c.raised_us,
        _incidents.c.acknowledged_us, _incidents.c.subject_kind, _incidents.c.summary,
        _incidents.c.unit_code,
    ),
    "channel": (_ways.c.id, _ways.c.address, _ways.c.heard_us),
    "contact": (_people.c.role, _people.c.name),
    "household": (_homes.c.id, _homes.c.address),
    "site": (_sites.c.id, _sites.c.title),
}  # fmt: skip
LETTERS = (
    select(*(column for part in LETTER.values() for column in part))
    .select_from(
        _sent.join(_told, _sent.c.notification_id == _told.c.id)
        .join(_incidents, _told.c.incident_id == _incidents.c.id)
        .join(_ways, _sent.c.channel_id == _ways.c.id)
        .join(_people, _ways.c.contact_id == _people.c.id)
        .outerjoin(_homes, _incidents.c.household_id == _homes.c.id)
        .outerjoin(_sites, _incidents.c.site_id == _sites.c.id)
    )
    .where(_sent.c.id.in_(among("ids")))
)
ALARMS_OF_INCIDENTS = (
    select(
        _alarms.c.incident_id, _alarms.c.kind, _alarms.c.test, _alarms.c.cleared_us,
        func.coalesce(_detectors.c.place, _cameras.c.place),
    )
    .select_from(
        _alarms.outerjoin(_detectors, _detectors.c.id == _alarms.c.detector_id).outerjoin(
            _cameras, _cameras.c.id == _alarms.c.detector_id
        )
    )
    .where(_alarms.c.incident_id.in_(among("ids")))
    .order_by(_alarms.c.raised_us, _alarms.c.id)
)  # fmt: skip

# -- homes that burn together -------------------------------------------------------------------

NOT_LOOKED_AROUND = (
    select(_incidents.c.id, _homes.c.lat, _homes.c.lon, _sites.c.lat, _sites.c.lon)
    .select_from(
        _incidents.join(_homes, _incidents.c.household_id == _homes.c.id).outerjoin(
            _sites, _sites.c.id == _incidents.c.site_id
        )
    )
    .where(
        _incidents.c.id.in_(among("ids")),
        _incidents.c.together_id.is_(None),
        _incidents.c.alarm_class == "alarm",
        _incidents.c.history.is_(False),
    )
)
NOWHERE = (
    update(_incidents).where(_incidents.c.id.in_(among("ids"))).values(together_id=_incidents.c.id)
)
