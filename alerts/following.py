"""Further words on incidents that are open, many at once: news of an alarm, its end, one more alarm.

Of a wave, in which each home has one word at most (``alerts.openings``), ``follow`` describes what the
plain words do and ``write`` writes it. Plain are: news of an alarm that lasts; its end, whether others
of the incident last or not; another alarm of a home whose incident of that hazard is open. Everything
else is left to ``alerts.incidents``: alarms that were over, left out, abandoned or of another epoch
before, tests that turn out to be real, incidents of which dispatch was told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience, plan, statements
from alerts.audience import Person
from alerts.incidents import Applied
from alerts.models import AlarmRecord, CapMessage, Delivery, Incident, IncidentEntry, Notification
from alerts.policy import Due, Hazard, Policy
from edge.wire.messages import Alarm
from registry.statements import fetch, run

_OPEN_STATES = ("opened", "acknowledged")


class Word(NamedTuple):
    """One event of the wave, and whose home it speaks of."""

    number: int
    site_id: str
    epoch: str
    alarm: Alarm
    hazard: Hazard
    home: str
    #: a live raise of an alarm nobody has heard of: when it began, as far as a clock is believed
    since_us: int | None


@dataclass
class Rows:
    """What a wave writes."""

    inserts: dict[type[Any], list[dict[str, Any]]] = field(
        default_factory=lambda: {
            Incident: [], AlarmRecord: [], IncidentEntry: [], Notification: [], Delivery: [],
        }
    )  # fmt: skip
    alarms: list[dict[str, Any]] = field(default_factory=list)
    #: incidents of which nothing but the version changes
    touched: list[str] = field(default_factory=list)
    joined: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    #: incidents whose queued messages have lost their reason
    withdrawn: list[str] = field(default_factory=list)


class Lasting(NamedTuple):
    """The alarms of an incident beside the one that a word is about."""

    active: int
    last_cleared_us: int | None


async def open_incidents(
    session: AsyncSession, ids: Collection[str], keys: Collection[str]
) -> list[Any]:
    """Incidents by id or by open key, locked against other workers."""
    if not ids and not keys:
        return []
    return list(await fetch(session, statements.OPEN_INCIDENTS, ids=list(ids), keys=list(keys)))


def is_plain(word: Word, record: Any | None, incident: Any | None) -> bool:
    """Whether the word simply goes on with the incident. Pure."""
    if incident is None or incident.state not in _OPEN_STATES or incident.history:
        return False
    if incident.subject_kind != "household" or incident.subject_id != word.home:
        return False
    if record is None:
        return word.since_us is not None
    return bool(
        incident.hazard == word.hazard
        and record.site_id == word.site_id
        and record.epoch == word.epoch
        and record.revision < word.alarm.revision
        and record.omitted_us is None
        and record.cleared_us is None
        and record.abandoned_us is None
        and not record.history
    )


async def follow(
    session: AsyncSession, plain: Sequence[tuple[Word, Any | None, Any]], rows: Rows, now_us: int,
    policy: Policy,
) -> dict[int, Applied]:  # fmt: skip
    """Describe what these words (with record and incident) do; those left out go one by one."""
    done: dict[int, Applied] = {}
    over = [(word, incident) for word, record, incident in plain if record and _ends(word)]
    endings = await _Endings.read(session, over, policy) if over else None
    joining = [incident.id for _, record, incident in plain if record is None]
    waiting = await _with_messages_queued(session, joining) if joining else set()
    for word, record, incident in plain:
        if record is None:
            if incident.hazard in ("trouble", "exposure") and incident.id not in waiting:
                continue  # its people were told of the others: they are told of this one too
            _join(word, incident, rows, now_us)
            done[word.number] = Applied(True, incident.id, False, 0)
            continue
        if not _ends(word):
            rows.alarms.append(_said(word.alarm))
            rows.touched.append(incident.id)
            done[word.number] = Applied(True, incident.id, False, 0)
        elif endings is not None and endings.simple(incident):
            notified = endings.describe(word, incident, rows, now_us)
            done[word.number] = Applied(True, incident.id, False, notified)
    return done


def _ends(word: Word) -> bool:
    return word.alarm.cleared_us is not None


def _said(alarm: Alarm) -> dict[str, Any]:
    """What an edge's word writes of an alarm's record."""
    return {
        "of_id": alarm.id, "to_kind": alarm.kind, "to_alarm_class": alarm.alarm_class,
        "to_raised_us": alarm.raised_us, "to_cleared_us": alarm.cleared_us,
        "to_revision": alarm.revision, "to_reason": alarm.reason, "to_peak": dict(alarm.peak),
        "to_values": dict(alarm.values), "to_test": alarm.test,
    }  # fmt: skip


def record_row(word: Word, incident_id: str, now_us: int) -> dict[str, Any]:
    """The record of an alarm nobody has heard of."""
    alarm = word.alarm
    return {
        "id": alarm.id, "site_id": word.site_id, "epoch": word.epoch, "detector_id": alarm.detector,
        "kind": alarm.kind, "alarm_class": alarm.alarm_class, "raised_us": alarm.raised_us,
        "cleared_us": None, "revision": alarm.revision, "reason": alarm.reason,
        "peak": dict(alarm.peak), "values": dict(alarm.values), "test": alarm.test,
        "arrived_us": now_us, "history": False, "incident_id": incident_id,
    }  # fmt: skip


def _join(word: Word, incident: Any, rows: Rows, now_us: int) -> None:
    assert word.since_us is not None
    rows.inserts[AlarmRecord].append(record_row(word, incident.id, now_us))
    rows.inserts[IncidentEntry].append(
        plan.line(
            incident.id, "alarm_joined", now_us, alarm=word.alarm.id, kind=word.alarm.kind,
            detector=word.alarm.detector, since_us=word.since_us, standing="active",
        )
    )  # fmt: skip
    rows.joined.append({"of_id": incident.id, "to_raised_us": min(incident.raised_us, word.since_us)})


async def _with_messages_queued(session: AsyncSession, ids: Sequence[str]) -> set[str]:
    found = await session.scalars(
        select(Notification.incident_id)
        .join(Delivery, Delivery.notification_id == Notification.id)
        .where(Notification.incident_id.in_(ids), Delivery.state == "queued")
    )
    return set(found)


class _Endings(NamedTuple):
    """What is known of the incidents of alarms that are over."""

    others: Mapping[str, Lasting]
    #: incident → those who were told of its present episode
    told: Mapping[str, Sequence[Person]]
    #: incidents that the short way leaves alone
    not_simple: frozenset[str]
    policy: Policy

    @classmethod
    async def read(
        cls, session: AsyncSession, over: Sequence[tuple[Word, Any]], policy: Policy
    ) -> _Endings:
        ids = [incident.id for _, incident in over]
        ending = {word.alarm.id for word, _ in over}
        others = await _lasting(session, ids, ending)
        cap = await session.scalars(
            select(CapMessage.incident_id).where(CapMessage.incident_id.in_(ids))
        )
        ended = [
            incident.id
            for _, incident in over
            if not others[incident.id].active and policy.rule(incident.hazard).tell_all_clear
        ]
        told, told_before = await _told(session, ended) if ended else ({}, set())
        return cls(others, told, frozenset(cap) | told_before, policy)

    def simple(self, incident: Any) -> bool:
        return incident.id not in self.not_simple

    def describe(self, word: Word, incident: Any, rows: Rows, now_us: int) -> int:
        """How many are told."""
        rows.alarms.append(_said(word.alarm))
        entries = rows.inserts[IncidentEntry]
        entries.append(
            plan.line(
                incident.id, "alarm_cleared", now_us, alarm=word.alarm.id, kind=word.alarm.kind,
                reason=word.alarm.reason,
            )
        )  # fmt: skip
        others = self.others[incident.id]
        if others.active:
            rows.touched.append(incident.id)
            return 0
        cleared_us = max(word.alarm.cleared_us or 0, others.last_cleared_us or 0)
        rows.ended.append(
            {"of_id": incident.id, "to_cleared_us": max(cleared_us or now_us, incident.raised_us)}
        )
        entries.append(plan.line(incident.id, "all_clear", now_us))
        rule = self.policy.rule(incident.hazard)
        if not rule.tell_all_clear:
            if incident.alarm_class != "alarm" and incident.hazard != "test":
                rows.withdrawn.append(incident.id)
            return 0
        when = Due(now_us, "at_once")
        notifications, deliveries = plan.rows(
            incident.id, incident.episode, self.told.get(incident.id, ()), rule, 0, "all_clear", when,
            now_us, values={}, at_once=True,
        )  # fmt: skip
        rows.inserts[Notification] += notifications
        rows.inserts[Delivery] += deliveries
        entries.append(
            plan.planned_line(incident.id, now_us, "all_clear", 0, notifications, deliveries, when)
        )
        return len(notifications)


async def _lasting(
    session: AsyncSession, ids: Collection[str], without: Collection[str]
) -> dict[str, Lasting]:
    """Of each incident: how many other alarms last, and when the last other one was over."""
    found = dict.fromkeys(ids, Lasting(0, None))
    rows = await session.execute(
        select(
            AlarmRecord.incident_id,
            func.count().filter(
                AlarmRecord.cleared_us.is_(None),
                AlarmRecord.abandoned_us.is_(None),
                AlarmRecord.history.is_(False),
            ),
            func.max(func.coalesce(AlarmRecord.cleared_us, AlarmRecord.abandoned_us)),
        )
        .where(AlarmRecord.incident_id.in_(ids), AlarmRecord.id.not_in(without))
        .group_by(AlarmRecord.incident_id)
    )
    found.update((incident_id or "", Lasting(active, last)) for incident_id, active, last in rows)
    return found


async def _told(
    session: AsyncSession, ids: Collection[str]
) -> tuple[dict[str, list[Person]], set[str]]:
    """Who was told of each incident's present episode; incidents whose end was told before."""
    rows = await session.execute(
        select(Notification.incident_id, Notification.contact_id, Notification.message)
        .join(Incident, Notification.incident_id == Incident.id)
        .where(Notification.incident_id.in_(ids), Notification.episode == Incident.episode)
    )
    contacts: dict[str, set[str]] = {}
    before = set()
    for incident_id, contact_id, message in rows:
        contacts.setdefault(incident_id, set()).add(contact_id)
        if message == "all_clear":
            before.add(incident_id)
    people = await audience.among(session, {one for many in contacts.values() for one in many})
    place = {person.contact.id: number for number, person in enumerate(people)}
    told = {
        incident_id: [people[number] for number in sorted(place[one] for one in many if one in place)]
        for incident_id, many in contacts.items()
    }
    return told, before


async def write(session: AsyncSession, rows: Rows) -> None:
    """All statements of a wave."""
    for table, values in rows.inserts.items():
        if values:
            await run(session, statements.INSERT[table], values)
    for statement, changes in (
        (statements.RENEW_ALARM, rows.alarms), (statements.JOIN_INCIDENT, rows.joined),
        (statements.END_INCIDENT, rows.ended),
    ):  # fmt: skip
        if changes:
            await run(session, statement, changes)
    if rows.touched:
        await run(session, statements.TOUCH_INCIDENTS, {"ids": rows.touched})
    if rows.withdrawn:
        of = select(Notification.id).where(Notification.incident_id.in_(rows.withdrawn))
        await session.execute(
            update(Delivery.__table__)  # type: ignore[arg-type]
            .where(Delivery.notification_id.in_(of), Delivery.state == "queued")
            .values(state="cancelled", reason="over_before_due")
        )
