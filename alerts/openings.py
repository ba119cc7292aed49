"""Many alarms at once: a batch of events in some dozen statements, whatever its length.

``apply_alarms`` does what ``incidents.apply_alarm`` does for one after the other, with the same result.
The batch goes in waves: in each a home has one word at most, so that its words cannot depend on each
other. What is plain goes the short way, all of a wave together: the raise of an alarm nobody has heard
of, with no incident in the way and somebody to tell; words on an incident that is open
(``alerts.following``); and the repetition of an alarm that says nothing new. All the rest goes one by
one. On PostgreSQL another worker may write the same alarm or open the same incident meanwhile: then the
database refuses, and the wave goes one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import audience, following, incidents, plan, records, statements, trials
from alerts.audience import Person
from alerts.following import Rows, Word
from alerts.incidents import Applied, Subject
from alerts.models import AlarmRecord, Delivery, Incident, IncidentEntry, Notification
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
from registry.statements import fetch


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
    #: when the home was last told of this hazard, where that matters
    last_told_us: int | None


async def apply_alarms(
    session: AsyncSession, said: Sequence[Said], *, now_us: int, policy: Policy = DEFAULT_POLICY
) -> list[Applied]:
    """Fold many events of alarms, in their order; what each did."""
    if not said:
        return []
    epochs = await _standing_epochs(session, said, now_us)
    homes = await _homes(session, said)
    done: dict[int, Applied] = {}
    for wave in _waves(said, homes):
        await session.flush()
        done |= await _the_short_way(session, wave, epochs, homes, now_us, policy)
        for number, one in wave.items():
            if number not in done:
                done[number] = await incidents.apply_alarm(
                    session, site_id=one.site_id, epoch=one.epoch, alarm=one.alarm,
                    transition=one.transition, age_ms=one.age_ms, clock_synced=one.clock_synced,
                    now_us=now_us, policy=policy,
                )  # fmt: skip
    return [done[number] for number in range(len(said))]


def _waves(said: Sequence[Said], homes: dict[tuple[str, str], _Home]) -> list[dict[int, Said]]:
    """The words by number, in waves: of one home, and of one alarm, each in the wave after the last."""
    waves: list[dict[int, Said]] = []
    reached: dict[tuple[str, str], int] = {}
    for number, one in enumerate(said):
        home = homes.get((one.alarm.detector, one.site_id))
        keys = (("alarm", one.alarm.id), ("home", home.id) if home else ("site", one.site_id))
        wave = max(reached.get(key, 0) for key in keys)
        reached.update(dict.fromkeys(keys, wave + 1))
        if wave == len(waves):
            waves.append({})
        waves[wave][number] = one
    return waves


async def _the_short_way(
    session: AsyncSession,
    wave: dict[int, Said],
    epochs: set[tuple[str, str]],
    homes: dict[tuple[str, str], _Home],
    now_us: int,
    policy: Policy,
) -> dict[int, Applied]:
    known = await _known(session, [one.alarm.id for one in wave.values()])
    tests = {one.alarm.detector: one.alarm.raised_us for one in wave.values() if one.alarm.test}
    tried = await trials.tried(session, tests, now_us)
    plain = {
        number: one
        for number, one in wave.items()
        if (one.site_id, one.epoch) in epochs and not (one.alarm.test and one.alarm.detector in tried)
    }
    done = {
        number: Applied(False, known[one.alarm.id].incident_id, False, 0)
        for number, one in plain.items()
        if one.alarm.id in known and _says_nothing_new(one, known[one.alarm.id])
    }
    words = {
        number: _word(number, one, home, known, now_us)
        for number, one in plain.items()
        if number not in done and (home := homes.get((one.alarm.detector, one.site_id)))
    }
    if not words:
        return done
    rows = following.Rows()
    written = await _follow(session, words, known, rows, now_us, policy)
    raised = {
        number: plain[number]
        for number, word in words.items()
        if word.since_us is not None and number not in written
    }
    new = await _openable(session, raised, homes, now_us, policy) if raised else []
    for one in new:
        _describe(one, words[one.number], rows, now_us, policy.rule(one.hazard))
        written[one.number] = Applied(True, one.incident_id, True, len(one.people))
    if written and await _written(session, rows):
        done |= written
    return done


def _word(number: int, one: Said, home: _Home, known: dict[str, Any], now_us: int) -> Word:
    fresh = one.alarm.id not in known and _is_live_raise(one)
    hazard = hazard_of(one.alarm.kind, test=one.alarm.test)
    since_us = _since_us(one, now_us) if fresh else None
    return Word(number, one.site_id, one.epoch, one.alarm, hazard, home.id, since_us)


async def _follow(
    session: AsyncSession,
    words: dict[int, Word],
    known: dict[str, Any],
    rows: Rows,
    now_us: int,
    policy: Policy,
) -> dict[int, Applied]:
    """Those of the words that go on with an incident that is open."""
    ids = {known[word.alarm.id].incident_id for word in words.values() if word.alarm.id in known}
    keys = {
        number: incidents.open_key("household", word.home, word.hazard)
        for number, word in words.items()
        if word.since_us is not None
    }
    found = await following.open_incidents(session, ids - {None}, set(keys.values()))
    by_id = {incident.id: incident for incident in found}
    by_key = {incident.open_key: incident for incident in found}
    plain = []
    for number, word in words.items():
        record = known.get(word.alarm.id)
        incident = by_id.get(record.incident_id) if record else by_key.get(keys.get(number, ""))
        if following.is_plain(word, record, incident):
            plain.append((word, record, incident))
    return await following.follow(session, plain, rows, now_us, policy) if plain else {}


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
    site_ids = list({one.site_id for one in said})
    met = await fetch(session, statements.EPOCHS_OF_SITES, sites=site_ids)
    spoken = dict.fromkeys((one.site_id, one.epoch) for one in said)
    unmet = [key for key in spoken if key not in {(row.site_id, row.epoch) for row in met}]
    if unmet:
        for site_id, epoch in unmet:
            await records.meet_epoch(session, site_id, epoch, now_us)
        met = await fetch(session, statements.EPOCHS_OF_SITES, sites=site_ids)
    found: dict[str, list[str]] = {}
    for site_id, epoch, first_snapshot_us in met:
        if first_snapshot_us is not None:
            found[site_id] = []
        found.setdefault(site_id, []).append(epoch)
    return {(site_id, epoch) for site_id, epochs in found.items() for epoch in epochs}


async def _known(session: AsyncSession, ids: Sequence[str]) -> dict[str, Any]:
    rows = await fetch(session, statements.KNOWN_ALARMS, ids=list(ids))
    return {row.id: row for row in rows}


async def _homes(session: AsyncSession, said: Sequence[Said]) -> dict[tuple[str, str], _Home]:
    """By (detector, site)."""
    ids = list({one.alarm.detector for one in said})
    rows = await fetch(session, statements.HOMES_OF_DETECTORS, ids=ids)
    return {
        (detector, site): _Home(home, code)
        for detector, site, home, code in rows
    }  # fmt: skip


async def _openable(
    session: AsyncSession,
    raised: dict[int, Said],
    homes: dict[tuple[str, str], _Home],
    now_us: int,
    policy: Policy,
) -> list[_New]:
    """Which of the raises simply open an incident and tell the home's people of it."""
    alone = [
        (number, one, homes[one.alarm.detector, one.site_id], hazard)
        for number, one in raised.items()
        if _is_plain(policy.rule(hazard := hazard_of(one.alarm.kind, test=one.alarm.test)))
    ]
    if not alone:
        return []
    ids = {home.id for _, _, home, _ in alone}
    earliest_us = min(_since_us(one, now_us) for _, one, _, _ in alone)
    taken = await _in_the_way(session, ids, earliest_us)
    residents = await audience.residents(session, ids)
    seldom = {home.id for _, _, home, hazard in alone if policy.rule(hazard).at_most_every_s}
    last = await plan.last_told(session, seldom) if seldom else {}
    new = []
    for number, one, home, hazard in alone:
        rule = policy.rule(hazard)
        people = audience.chosen(residents.get(home.id, []), rule, now_us)
        if people and (home.id, hazard) not in taken:
            last_us = last.get((home.id, hazard)) if rule.at_most_every_s else None
            new.append(_New(number, one, home, hazard, new_id(), people, last_us))
    return new


def _is_plain(rule: Rule) -> bool:
    """Its first rung is for the home's own people alone."""
    rung = rule.rungs[0]
    return rung.contacts != "none" and not rung.also


def _since_us(one: Said, now_us: int) -> int:
    return incidents.believed(one.alarm.raised_us, one.age_ms, one.clock_synced, now_us)


async def _in_the_way(
    session: AsyncSession, homes: Collection[str], earliest_us: int
) -> set[tuple[str, str]]:
    """(home, hazard) with an incident that an alarm might join or let burn again."""
    since_us = earliest_us - REOPEN_WITHIN_S * US_PER_S
    rows = await fetch(session, statements.IN_THE_WAY, homes=list(homes), since_us=int(since_us))
    return {(home, hazard) for home, hazard in rows}


# ---- rows -------------------------------------------------------------------------------------


async def _written(session: AsyncSession, rows: Rows) -> bool:
    """Write everything; False if another worker was faster with any of it, and nothing is written."""
    if session.get_bind().dialect.name == "sqlite":  # one writer: what was looked up still holds
        await following.write(session, rows)
        return True
    try:
        async with session.begin_nested():
            await following.write(session, rows)
    except IntegrityError:
        return False
    return True


def _describe(one: _New, word: Word, written: Rows, now_us: int, rule: Rule) -> None:
    said, since_us, rows = one.said, word.since_us or now_us, written.inserts
    opening = Subject("household", one.home.id, said.site_id, one.home.id, one.home.unit_code)
    later = next_timed_rung(rule, 0)
    rows[Incident].append(
        incidents.opened(opening, one.hazard, since_us, now_us, history=False)
        | {
            "id": one.incident_id, "summary": "", "homes": 1,
            "next_rung_us": None if later is None
            else now_us + int((rule.rungs[later].timed_s or 0) * US_PER_S),
        }
    )  # fmt: skip
    rows[AlarmRecord].append(following.record_row(word, one.incident_id, now_us))
    when = due(rule, now_us, one.last_told_us)
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
