"""Many alarms at once: a batch of events of which most open an incident, in a dozen statements.

``apply_alarms`` does what ``incidents.apply_alarm`` does for one after the other, with the same result.
What is plain goes the short way, all of it together: the raise of an alarm nobody has heard of, in a
home with no other word in the batch, no incident in the way and somebody to tell; and the repetition
of an alarm that says nothing new. All the rest goes one by one. On PostgreSQL another worker may write
the same alarm or open the same incident meanwhile: then the database refuses, and all goes one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, func, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience, incidents, plan, records
from alerts.audience import Person
from alerts.incidents import Applied, Subject
from alerts.models import AlarmEpoch, AlarmRecord, Delivery, Incident, IncidentEntry, Notification
from alerts.policy import (
    DEFAULT_POLICY,
    REOPEN_WITHIN_S,
    Hazard,
    Policy,
    Rule,
    due,
    hazard_of,
    next_timed_rung,
    standing,
)
from edge.wire.clock import US_PER_S
from edge.wire.identity import new_id
from edge.wire.messages import Alarm, Transition
from registry.models import Detector, Household, Site


class Said(NamedTuple):
    """One event of one alarm, as a site sent it."""

    site_id: str
    epoch: str
    alarm: Alarm
    transition: Transition
    age_ms: int | None
    clock_synced: bool


class _Home(NamedTuple):
    id: str
    unit_code: str | None


class _New(NamedTuple):
    """A raise that can go the short way."""

    number: int
    said: Said
    home: _Home
    hazard: Hazard
    incident_id: str
    people: Sequence[Person]


async def apply_alarms(
    session: AsyncSession, said: Sequence[Said], *, now_us: int, policy: Policy = DEFAULT_POLICY
) -> list[Applied]:
    """Fold many events of alarms, in their order; what each did."""
    done = await _the_short_way(session, said, now_us, policy) if said else {}
    results = []
    for number, one in enumerate(said):
        results.append(
            done.get(number)
            or await incidents.apply_alarm(
                session, site_id=one.site_id, epoch=one.epoch, alarm=one.alarm,
                transition=one.transition, age_ms=one.age_ms, clock_synced=one.clock_synced,
                now_us=now_us, policy=policy,
            )
        )  # fmt: skip
    return results


async def _the_short_way(
    session: AsyncSession, said: Sequence[Said], now_us: int, policy: Policy
) -> dict[int, Applied]:
    epochs = await _standing_epochs(session, said, now_us)
    known = await _known(session, [one.alarm.id for one in said])
    times = Counter(one.alarm.id for one in said)
    plain = {
        number: one
        for number, one in enumerate(said)
        if (one.site_id, one.epoch) in epochs and times[one.alarm.id] == 1
    }
    done = {
        number: Applied(False, known[one.alarm.id].incident_id, False, 0)
        for number, one in plain.items()
        if one.alarm.id in known and _says_nothing_new(one, known[one.alarm.id])
    }
    raised = {
        number: one
        for number, one in plain.items()
        if one.alarm.id not in known and _is_live_raise(one)
    }
    if raised:
        new = await _openable(session, said, raised, now_us, policy)
        if new and await _open(session, new, now_us, policy):
            done |= {one.number: Applied(True, one.incident_id, True, len(one.people)) for one in new}
    return done


def _is_live_raise(one: Said) -> bool:
    return (
        one.transition == "raise"
        and one.alarm.cleared_us is None
        and standing(
            active=True, age_ms=one.age_ms, raised_us=one.alarm.raised_us, listed=False,
            snapshot_us=None,
        ).live
    )  # fmt: skip


def _says_nothing_new(one: Said, record: Any) -> bool:
    return bool(
        record.site_id == one.site_id
        and record.epoch == one.epoch
        and record.revision >= one.alarm.revision
        and record.omitted_us is None
    )


# ---- lookups ----------------------------------------------------------------------------------


async def _standing_epochs(
    session: AsyncSession, said: Sequence[Said], now_us: int
) -> set[tuple[str, str]]:
    """(site, epoch) of the epochs that no later one's snapshot has ended; locked against one."""
    query = (
        select(AlarmEpoch.site_id, AlarmEpoch.epoch, AlarmEpoch.first_snapshot_us)
        .where(AlarmEpoch.site_id.in_({one.site_id for one in said}))
        .order_by(AlarmEpoch.id)
        .with_for_update()
    )
    met = (await session.execute(query)).all()
    spoken = dict.fromkeys((one.site_id, one.epoch) for one in said)
    unmet = [key for key in spoken if key not in {(row.site_id, row.epoch) for row in met}]
    if unmet:
        for site_id, epoch in unmet:
            await records.meet_epoch(session, site_id, epoch, now_us)
        met = (await session.execute(query)).all()
    found: dict[str, list[str]] = {}
    for site_id, epoch, first_snapshot_us in met:
        if first_snapshot_us is not None:
            found[site_id] = []
        found.setdefault(site_id, []).append(epoch)
    return {(site_id, epoch) for site_id, epochs in found.items() for epoch in epochs}


async def _known(session: AsyncSession, ids: Sequence[str]) -> dict[str, Any]:
    rows = await session.execute(
        select(
            AlarmRecord.id, AlarmRecord.site_id, AlarmRecord.epoch, AlarmRecord.revision,
            AlarmRecord.omitted_us, AlarmRecord.incident_id,
        ).where(AlarmRecord.id.in_(ids))
    )  # fmt: skip
    return {row.id: row for row in rows}


async def _homes(session: AsyncSession, said: Sequence[Said]) -> dict[tuple[str, str], _Home]:
    """By (detector, site)."""
    rows = await session.execute(
        select(
            Detector.id, Detector.site_id, Household.id,
            func.coalesce(Household.unit_code, Site.unit_code),
        )
        .join(Household, Detector.household_id == Household.id)
        .outerjoin(Site, Site.id == Household.site_id)
        .where(Detector.id.in_({one.alarm.detector for one in said}))
    )  # fmt: skip
    return {
        (detector, site): _Home(home, code)
        for detector, site, home, code in rows
    }  # fmt: skip


async def _openable(
    session: AsyncSession, said: Sequence[Said], raised: dict[int, Said], now_us: int, policy: Policy
) -> list[_New]:
    """Which of the raises simply open an incident and tell the home's people of it."""
    homes = await _homes(session, said)
    words = Counter(home.id for one in said if (home := homes.get((one.alarm.detector, one.site_id))))
    alone = [
        (number, one, home, hazard_of(one.alarm.kind, test=one.alarm.test))
        for number, one in raised.items()
        if (home := homes.get((one.alarm.detector, one.site_id))) and words[home.id] == 1
    ]
    alone = [entry for entry in alone if _is_plain(policy.rule(entry[3]))]
    if not alone:
        return []
    ids = {home.id for _, _, home, _ in alone}
    earliest_us = min(_since_us(one, now_us) for _, one, _, _ in alone)
    taken = await _in_the_way(session, ids, earliest_us)
    residents = await audience.residents(session, ids)
    new = []
    for number, one, home, hazard in alone:
        rule = policy.rule(hazard)
        people = audience.chosen(residents.get(home.id, []), rule, now_us)
        if people and (home.id, hazard) not in taken:
            new.append(_New(number, one, home, hazard, new_id(), people))
    return new


def _is_plain(rule: Rule) -> bool:
    """Its first rung is for the home's own people, and what was told before does not matter."""
    rung = rule.rungs[0]
    return rung.contacts != "none" and not rung.also and not rule.at_most_every_s


def _since_us(one: Said, now_us: int) -> int:
    return incidents.believed(one.alarm.raised_us, one.age_ms, one.clock_synced, now_us)


async def _in_the_way(
    session: AsyncSession, homes: Collection[str], earliest_us: int
) -> set[tuple[str, str]]:
    """(home, hazard) with an incident that an alarm might join or let burn again."""
    ended_us = func.coalesce(Incident.cleared_us, Incident.resolved_us)
    rows = await session.execute(
        select(Incident.subject_id, Incident.hazard).where(
            Incident.subject_kind == "household",
            Incident.subject_id.in_(homes),
            or_(
                Incident.open_key.is_not(None),
                and_(
                    Incident.state == "all_clear",
                    ended_us >= earliest_us - REOPEN_WITHIN_S * US_PER_S,
                ),
            ),
        )
    )
    return {(home, hazard) for home, hazard in rows}


# ---- rows -------------------------------------------------------------------------------------


async def _open(session: AsyncSession, new: Sequence[_New], now_us: int, policy: Policy) -> bool:
    """Write everything; False if another worker was faster with any of it, and nothing is written."""
    rows: dict[type[Any], list[dict[str, Any]]] = {
        Incident: [], AlarmRecord: [], IncidentEntry: [], Notification: [], Delivery: [],
    }  # fmt: skip
    for one in new:
        _describe(one, rows, now_us, policy.rule(one.hazard))
    if session.get_bind().dialect.name == "sqlite":  # one writer: what was looked up still holds
        await _write(session, rows)
        return True
    try:
        async with session.begin_nested():
            await _write(session, rows)
    except IntegrityError:
        return False
    return True


async def _write(session: AsyncSession, rows: dict[type[Any], list[dict[str, Any]]]) -> None:
    for table, values in rows.items():
        await session.execute(insert(table.__table__), values)


def _describe(one: _New, rows: dict[type[Any], list[dict[str, Any]]], now_us: int, rule: Rule) -> None:
    said, since_us = one.said, _since_us(one.said, now_us)
    opening = Subject("household", one.home.id, said.site_id, one.home.id, one.home.unit_code)
    following = next_timed_rung(rule, 0)
    rows[Incident].append(
        incidents.opened(opening, one.hazard, since_us, now_us, history=False)
        | {
            "id": one.incident_id, "summary": "", "homes": 1,
            "next_rung_us": None if following is None
            else now_us + int((rule.rungs[following].timed_s or 0) * US_PER_S),
        }
    )  # fmt: skip
    rows[AlarmRecord].append(_record(one, now_us))
    when = due(rule, now_us, None)
    notifications, deliveries = plan.rows(
        one.incident_id, 1, one.people, rule, 0, rule.message, when, now_us, values={}
    )
    rows[Notification] += notifications
    rows[Delivery] += deliveries
    rows[IncidentEntry] += [
        plan.line(
            one.incident_id, "opened", now_us, alarm=said.alarm.id, kind=said.alarm.kind,
            detector=said.alarm.detector, since_us=since_us, standing="active",
        ),
        plan.planned_line(one.incident_id, now_us, rule.message, 0, notifications, deliveries, when),
    ]  # fmt: skip


def _record(one: _New, now_us: int) -> dict[str, Any]:
    alarm = one.said.alarm
    return {
        "id": alarm.id, "site_id": one.said.site_id, "epoch": one.said.epoch,
        "detector_id": alarm.detector, "kind": alarm.kind, "alarm_class": alarm.alarm_class,
        "raised_us": alarm.raised_us, "cleared_us": None, "revision": alarm.revision,
        "reason": alarm.reason, "peak": dict(alarm.peak), "values": dict(alarm.values),
        "test": alarm.test, "arrived_us": now_us, "history": False, "incident_id": one.incident_id,
    }  # fmt: skip
