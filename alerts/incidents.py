"""Incidents: alarms of one household (or site) and one hazard, folded into one story.

Every function works inside the caller's transaction and writes rows only: alarm record, incident, its
entries, notifications, deliveries. Membership follows when an alarm was raised, not when it arrived:

- a lasting alarm joins the open incident of its household and hazard; else it lets one burn again whose
  all clear was at most ``REOPEN_WITHIN_S`` before the raise (people are told again); else it opens one;
- an alarm that is over joins the incident into whose life it falls; else it opens one as history.

A resolved incident stays resolved: the next lasting alarm opens another one.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import ladder, plan, records, trials
from alerts.cap import ready
from alerts.models import AlarmEpoch, AlarmRecord, Delivery, Incident, Notification
from alerts.policy import (
    CAUSES,
    CLASS_OF_HAZARD,
    DEFAULT_POLICY,
    REOPEN_WITHIN_S,
    Hazard,
    Policy,
    Standing,
    hazard_of,
    next_timed_rung,
    standing,
)
from edge.wire.clock import EARLIEST_US, FUTURE_SLACK_US, US_PER_S
from edge.wire.identity import cameras_id, new_id
from edge.wire.messages import Alarm, Snapshot, Transition
from registry.cameras.models import Camera
from registry.models import Detector, Household, Site

#: The site of incidents of the city itself: no site can be called so.
CITY = "хот"
#: Alarms of one camera: the incident is the camera's, those on duty where it stands are told.
_OF_CAMERAS = ("camera_offline", "camera_fault")
_OPEN_STATES = ("opened", "acknowledged")


class Applied(NamedTuple):
    """What a message did."""

    changed: bool
    incident_id: str | None
    opened: bool
    notified: int


class IncidentError(Exception):
    """A person's wish that does not fit the incident. ``reason`` is of a closed set."""

    def __init__(
        self, reason: Literal["unknown_incident", "unknown_alarm", "unknown_cause", "already_over"],
        detail: str,
    ) -> None:  # fmt: skip
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Subject(NamedTuple):
    """Whose incident it is, and where."""

    kind: Literal["household", "site", "city", "camera", "fibre"]
    id: str
    site_id: str
    household_id: str | None
    unit_code: str | None


class _Heard(NamedTuple):
    """One statement about one alarm, as judged on arrival."""

    record: AlarmRecord
    subject: Subject
    hazard: Hazard
    standing: Standing
    #: when it began, as far as a clock can be believed
    since_us: int
    now_us: int
    policy: Policy

    @property
    def active(self) -> bool:
        return self.standing.live

    @property
    def until_us(self) -> int:
        """When it was over, if it is."""
        return max(self.record.cleared_us or self.since_us, self.since_us)


async def apply_alarm(
    session: AsyncSession,
    *,
    site_id: str,
    epoch: str,
    alarm: Alarm,
    transition: Transition,
    age_ms: int | None,
    clock_synced: bool,
    now_us: int,
    policy: Policy = DEFAULT_POLICY,
) -> Applied:
    """Fold one event of an alarm. A repeated or older one changes nothing."""
    met = await records.meet_epoch(session, site_id, epoch, now_us)
    merged = await records.merge(session, met, alarm, now_us)
    record = merged.record
    if record is None or not merged.changed:
        return Applied(False, record.incident_id if record else None, False, 0)
    judged = standing(
        active=records.is_active(record), age_ms=age_ms, raised_us=record.raised_us, listed=False,
        snapshot_us=met.last_snapshot_us,
    )  # fmt: skip
    raised_age_ms = age_ms if transition == "raise" else None
    return await _place(session, record, judged, raised_age_ms, clock_synced, now_us, policy)


async def apply_snapshot(
    session: AsyncSession,
    *,
    snapshot: Snapshot,
    now_us: int,
    new_epoch: bool,
    whole: bool = True,
    policy: Policy = DEFAULT_POLICY,
) -> list[Applied]:
    """Fold a site's list of its active alarms; under a new epoch, close what it omits.

    ``whole``: with this message the list is complete; an earlier part of it closes nothing.
    """
    met = await records.meet_epoch(session, snapshot.site, snapshot.epoch, now_us)
    fresh = new_epoch or met.first_snapshot_us is None
    results = []
    for alarm in snapshot.active:
        merged = await records.merge(session, met, alarm, now_us)
        record = merged.record
        if record is not None and (merged.changed or (record.history and records.is_active(record))):
            age_ms = snapshot.age_ms.get(alarm.id)
            judged = _as_listed(record)
            results.append(await _place(session, record, judged, age_ms, True, now_us, policy))
    if not whole:
        return results
    met.first_snapshot_us = met.first_snapshot_us or snapshot.at_us
    met.last_snapshot_us = max(met.last_snapshot_us or 0, snapshot.at_us)
    await session.flush()
    if fresh:
        for record in await records.close_omitted(session, met):
            judged = _as_listed(record)
            results.append(await _place(session, record, judged, None, True, now_us, policy))
    return results


async def acknowledge(
    session: AsyncSession, incident_id: str, actor: str, now_us: int,
    *, by_contact: str | None = None, policy: Policy = DEFAULT_POLICY,
) -> bool:  # fmt: skip
    """Somebody has it. The first one counts; False if somebody had it before.

    The others who were told learn who has it: ``by_contact`` by the first name, else the duty desk.
    """
    incident = await _load(session, incident_id)
    if incident.acknowledged_us is not None or incident.state == "resolved":
        return False
    incident.acknowledged_us, incident.acknowledged_by = now_us, actor
    incident.next_rung_us = None
    if incident.state == "opened":
        incident.state = "acknowledged"
    _tell_story(session, incident, "acknowledged", now_us, actor)
    await session.flush()
    rule = policy.rule(incident.hazard)
    if rule.tell_acknowledged and incident.state == "acknowledged":
        await plan.tell(
            session, incident, rule, 0, "acknowledged", now_us, at_once=True,
            except_contacts=(by_contact,) if by_contact else (), values={"by": by_contact},
        )  # fmt: skip
    return True


async def resolve(session: AsyncSession, incident_id: str, cause: str, actor: str, now_us: int) -> None:
    """Close the story with its cause. Raises ``IncidentError``: unknown_cause, already_over, …"""
    if cause not in CAUSES:
        raise IncidentError("unknown_cause", f"{cause!r}; expected one of {', '.join(CAUSES)}")
    incident = await _load(session, incident_id)
    if incident.state == "resolved":
        raise IncidentError("already_over", f"resolved before as {incident.cause}")
    incident.state, incident.cause, incident.resolved_us = "resolved", cause, now_us
    incident.open_key = incident.next_rung_us = None
    _tell_story(session, incident, "resolved", now_us, actor, cause=cause)
    if incident.alarm_class != "alarm":
        await plan.withdraw(session, incident, "resolved")
    else:
        await ready.renew(session, incident, now_us)
    await session.flush()


async def abandon(
    session: AsyncSession, alarm_id: str, reason: str, actor: str, now_us: int,
    *, policy: Policy = DEFAULT_POLICY,
) -> Applied:  # fmt: skip
    """The city gives up an alarm whose edge is gone for good; what the edge said stays as it was."""
    record = await session.get(AlarmRecord, alarm_id, with_for_update=True)
    if record is None:
        raise IncidentError("unknown_alarm", alarm_id)
    if not records.is_active(record):
        raise IncidentError("already_over", alarm_id)
    record.abandoned_us, record.abandoned_reason = now_us, reason
    await session.flush()
    incident = await _load(session, record.incident_id or "")
    _tell_story(session, incident, "alarm_abandoned", now_us, actor, alarm=record.id, reason=reason)
    notified = await _settle(session, incident, now_us, policy)
    return Applied(True, incident.id, False, notified)


async def site_event(
    session: AsyncSession, site_id: str, what: str, now_us: int, *, policy: Policy = DEFAULT_POLICY
) -> Applied:
    """A site falls silent, comes back, or says something of itself.

    However many homes hang on the site, its silence is one incident of the site.
    """
    site = await session.get(Site, site_id)
    subject = Subject("site", site_id, site_id, None, site.unit_code if site else None)
    if what == "silent":
        return await _fall_silent(session, subject, now_us, policy, cause="site_silent")
    incident = await _open_one(session, subject, "site")
    if incident is None:
        return Applied(False, None, False, 0)
    if what == "back":
        notified = await _all_clear(session, incident, now_us, now_us, policy)
        return Applied(True, incident.id, False, notified)
    _tell_story(session, incident, "note", now_us, note=what)
    await session.flush()
    return Applied(True, incident.id, False, 0)


async def city_event(
    session: AsyncSession, what: str, now_us: int, *, quiet: int, watched: int,
    policy: Policy = DEFAULT_POLICY,
) -> Applied:  # fmt: skip
    """So many sites are ``silent`` at once that the city suspects itself; or they are ``back``."""
    subject = Subject("city", CITY, CITY, None, None)
    if what == "silent":
        return await _fall_silent(
            session, subject, now_us, policy, cause="city_suspects_itself", quiet=quiet, watched=watched
        )
    incident = await _open_one(session, subject, "site")
    if incident is None:
        return Applied(False, None, False, 0)
    notified = await _all_clear(session, incident, now_us, now_us, policy)
    return Applied(True, incident.id, False, notified)


async def _fall_silent(
    session: AsyncSession, subject: Subject, now_us: int, policy: Policy, **said: Any
) -> Applied:
    incident = await _open_one(session, subject, "site")
    if incident is not None:
        return Applied(False, incident.id, False, 0)
    incident, created = await _create(session, subject, "site", now_us, now_us, history=False)
    if not created:
        return Applied(False, incident.id, False, 0)
    _tell_story(session, incident, "opened", now_us, **said)
    planned = await plan.tell(session, incident, policy.site, 0, "site", now_us)
    return Applied(True, incident.id, True, planned.notifications)


# ---- placing an alarm -------------------------------------------------------------------------


def _as_listed(record: AlarmRecord) -> Standing:
    """How an alarm stands by the word of its site's snapshot."""
    return standing(
        active=records.is_active(record), age_ms=None, raised_us=record.raised_us, listed=True,
        snapshot_us=None,
    )  # fmt: skip


async def _place(
    session: AsyncSession,
    record: AlarmRecord,
    judged: Standing,
    raised_age_ms: int | None,
    clock_synced: bool,
    now_us: int,
    policy: Policy,
) -> Applied:
    if record.abandoned_us is not None and record.cleared_us is None:
        record.abandoned_us = record.abandoned_reason = None  # its edge speaks of it again
    heard = _Heard(
        record=record,
        subject=await _subject(session, record),
        hazard=hazard_of(record.kind, test=record.test),
        standing=judged,
        since_us=believed(record.raised_us, raised_age_ms, clock_synced, now_us),
        now_us=now_us,
        policy=policy,
    )
    if record.incident_id is not None:
        member_of = await _load(session, record.incident_id)
        if member_of.hazard == heard.hazard or member_of.hazard != "test":
            return await _follow(session, member_of, heard)
        await _leave(session, member_of, heard)  # a test that turned out to be real
    record.history = not judged.live
    return await _join_or_open(session, heard)


def believed(raised_us: int, age_ms: int | None, clock_synced: bool, now_us: int) -> int:
    """When the alarm began: its own time if a clock can be believed, else by its age, else now."""
    if clock_synced and EARLIEST_US <= raised_us <= now_us + FUTURE_SLACK_US:
        return raised_us
    return now_us - (age_ms or 0) * 1000


async def _subject(session: AsyncSession, record: AlarmRecord) -> Subject:
    """Whose alarm it is: the camera's own, the detector's household, else its site."""
    if record.kind in _OF_CAMERAS and record.detector_id != cameras_id(record.site_id):
        unit = await session.scalar(select(Camera.unit_code).where(Camera.id == record.detector_id))
        site = await session.get(Site, record.site_id)
        unit = unit or (site.unit_code if site else None)
        return Subject("camera", record.detector_id, record.site_id, None, unit)
    found = (
        await session.execute(
            select(Household.id, func.coalesce(Household.unit_code, Site.unit_code))
            .join(Detector, Detector.household_id == Household.id)
            .outerjoin(Site, Site.id == Household.site_id)
            .where(Detector.id == record.detector_id, Detector.site_id == record.site_id)
        )
    ).first()
    if found is not None:
        return Subject("household", found[0], record.site_id, found[0], found[1])
    site = await session.get(Site, record.site_id)
    return Subject("site", record.site_id, record.site_id, None, site.unit_code if site else None)


async def _follow(session: AsyncSession, incident: Incident, heard: _Heard) -> Applied:
    """A further word on an alarm that has its incident."""
    if not records.is_active(heard.record):
        _tell_story(
            session, incident, "alarm_cleared", heard.now_us, alarm=heard.record.id,
            kind=heard.record.kind, reason=heard.record.closed_reason or heard.record.reason,
        )  # fmt: skip
    elif heard.record.history and heard.active:
        heard.record.history = False
        if incident.state == "resolved":  # what was taken for over lasts: it needs somebody
            heard.record.incident_id = None
            return await _join_or_open(session, heard)
    notified = await _settle(session, incident, heard.now_us, heard.policy)
    return Applied(True, incident.id, False, notified)


async def _leave(session: AsyncSession, incident: Incident, heard: _Heard) -> None:
    heard.record.incident_id = None
    _tell_story(session, incident, "alarm_left", heard.now_us, alarm=heard.record.id, to=heard.hazard)
    await session.flush()
    await _settle(session, incident, heard.now_us, heard.policy)


async def _join_or_open(session: AsyncSession, heard: _Heard) -> Applied:
    if heard.hazard == "test":
        await trials.note_heard(session, heard.record, heard.since_us, heard.now_us)
    incident = await _home(session, heard)
    if incident is not None:
        return await _join(session, incident, heard)
    incident, created = await _create(
        session, heard.subject, heard.hazard, heard.since_us, heard.now_us, history=not heard.active
    )
    if not created:  # another worker opened it between our look and our insert
        return await _join(session, incident, heard)
    heard.record.incident_id = incident.id
    if not heard.active:
        incident.cleared_us = heard.until_us
    _tell_story(
        session, incident, "opened", heard.now_us, alarm=heard.record.id, kind=heard.record.kind,
        detector=heard.record.detector_id, since_us=heard.since_us, standing=heard.standing.reason,
    )  # fmt: skip
    await session.flush()
    notified = await _announce(session, incident, heard.now_us, heard.policy)
    return Applied(True, incident.id, True, notified)


async def _home(session: AsyncSession, heard: _Heard) -> Incident | None:
    """The incident whose life the alarm falls into."""
    standing_open = await _open_one(session, heard.subject, heard.hazard)
    if standing_open is not None and (
        heard.active or heard.until_us >= standing_open.raised_us - REOPEN_WITHIN_S * US_PER_S
    ):
        return standing_open
    ended_us = func.coalesce(Incident.cleared_us, Incident.resolved_us)
    query = select(Incident).where(
        Incident.subject_kind == heard.subject.kind,
        Incident.subject_id == heard.subject.id,
        Incident.hazard == heard.hazard,
        Incident.open_key.is_(None),
        ended_us >= heard.since_us - REOPEN_WITHIN_S * US_PER_S,
        Incident.raised_us <= heard.until_us + REOPEN_WITHIN_S * US_PER_S,
    )
    if heard.active:
        query = query.where(Incident.state == "all_clear", Incident.history.is_(False))
    found: Incident | None = await session.scalar(
        query.order_by(Incident.raised_us.desc(), Incident.id)
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def _join(session: AsyncSession, incident: Incident, heard: _Heard) -> Applied:
    heard.record.incident_id = incident.id
    incident.raised_us = min(incident.raised_us, heard.since_us)
    _tell_story(
        session, incident, "alarm_joined", heard.now_us, alarm=heard.record.id,
        kind=heard.record.kind, detector=heard.record.detector_id, since_us=heard.since_us,
        standing=heard.standing.reason,
    )  # fmt: skip
    await session.flush()
    was_open = incident.open_key is not None
    notified = await _settle(session, incident, heard.now_us, heard.policy)
    if was_open and heard.active and incident.hazard in ("trouble", "exposure"):
        notified += await _tell_more(session, incident, heard.now_us, heard.policy)
    return Applied(True, incident.id, False, notified)


async def hand_over(
    session: AsyncSession, record: AlarmRecord, to: Incident, now_us: int, policy: Policy
) -> None:
    """The trouble belongs to another incident's story, which names its cause."""
    before = await session.get(Incident, record.incident_id or "", with_for_update=True)
    record.incident_id = to.id
    _tell_story(session, to, "alarm_joined", now_us, alarm=record.id, kind=record.kind)
    if before is not None:
        _tell_story(session, before, "alarm_left", now_us, alarm=record.id, to=to.id)
        await _settle(session, before, now_us, policy)


async def set_free(session: AsyncSession, record: AlarmRecord, now_us: int, policy: Policy) -> Applied:
    """The trouble lasts although what was held for its cause is over: it stands for itself again."""
    record.incident_id = None
    await session.flush()
    return await _place(session, record, Standing(True, "active"), None, True, now_us, policy)


async def cover_site(
    session: AsyncSession, site_id: str, by: Incident, now_us: int, policy: Policy
) -> bool:
    """A site's silence is explained by another incident; False if it had none of its own."""
    incident = await _open_one(session, Subject("site", site_id, site_id, None, None), "site")
    if incident is None:
        return False
    _tell_story(session, incident, "explained", now_us, by=by.id)
    _tell_story(session, by, "site_joined", now_us, site=site_id)
    await _all_clear(session, incident, now_us, now_us, policy)
    return True


# ---- an incident's own states -----------------------------------------------------------------


async def _settle(session: AsyncSession, incident: Incident, now_us: int, policy: Policy) -> int:
    """Bring the incident's state in line with its alarms. Returns how many were told of a change."""
    await session.flush()
    active = await _has_lasting(session, incident)
    incident.version += 1
    if incident.subject_kind == "fibre":  # it ends when the cut is mended, which others see
        return 0
    if incident.state in _OPEN_STATES and not active:
        last_cleared_us = await _last_cleared_us(session, incident)
        return await _all_clear(session, incident, last_cleared_us or now_us, now_us, policy)
    if incident.state == "all_clear" and active:
        return await _burn_again(session, incident, now_us, policy)
    if incident.state == "all_clear":
        last_cleared_us = await _last_cleared_us(session, incident)
        if last_cleared_us is not None:
            incident.cleared_us = max(last_cleared_us, incident.raised_us)
    await session.flush()
    return 0


async def _has_lasting(session: AsyncSession, incident: Incident) -> bool:
    """Whether an alarm of it lasts; one look, however many thousand a site's incident holds."""
    found = await session.scalar(
        select(AlarmRecord.id)
        .where(
            AlarmRecord.incident_id == incident.id,
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
            AlarmRecord.history.is_(False),
        )
        .limit(1)
    )
    return found is not None


async def _last_cleared_us(session: AsyncSession, incident: Incident) -> int | None:
    """When the last of its alarms was over or given up; None: none was."""
    of_it = AlarmRecord.incident_id == incident.id
    cleared_us = await session.scalar(select(func.max(AlarmRecord.cleared_us)).where(of_it))
    abandoned_us = await session.scalar(
        select(func.max(AlarmRecord.abandoned_us)).where(of_it, AlarmRecord.cleared_us.is_(None))
    )
    return max((moment for moment in (cleared_us, abandoned_us) if moment is not None), default=None)


async def _all_clear(
    session: AsyncSession, incident: Incident, cleared_us: int, now_us: int, policy: Policy
) -> int:
    incident.state = "all_clear"
    incident.open_key = incident.next_rung_us = None
    incident.cleared_us = max(cleared_us, incident.raised_us)
    _tell_story(session, incident, "all_clear", now_us)
    rule = policy.rule(incident.hazard)
    if incident.alarm_class == "alarm":
        await ready.renew(session, incident, now_us)
    if rule.tell_all_clear and not incident.history:
        planned = await plan.tell(session, incident, rule, 0, "all_clear", now_us, at_once=True)
        return planned.notifications
    if incident.alarm_class != "alarm" and incident.hazard != "test":
        await plan.withdraw(session, incident, "over_before_due")
    await session.flush()
    return 0


async def _burn_again(session: AsyncSession, incident: Incident, now_us: int, policy: Policy) -> int:
    """A breach after the all clear: the same incident, told anew, to be acknowledged anew."""
    other = await _open_key_holder(session, incident)
    if other is not None:
        await _merge_into(session, incident, other, now_us)
        return 0
    incident.state, incident.history = "opened", False
    incident.cleared_us = incident.acknowledged_us = incident.acknowledged_by = None
    incident.episode += 1
    incident.rung = 0
    _tell_story(session, incident, "opened_again", now_us, episode=incident.episode)
    await session.flush()
    return await _announce(session, incident, now_us, policy)


async def _open_key_holder(session: AsyncSession, incident: Incident) -> Incident | None:
    """Take the incident's open key; the open incident that has it, if another one does."""
    key = open_key(incident.subject_kind, incident.subject_id, incident.hazard)
    query = (
        select(Incident)
        .where(Incident.open_key == key, Incident.id != incident.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    other: Incident | None = await session.scalar(query)
    if other is not None:
        return other
    try:
        async with session.begin_nested():
            incident.open_key = key
            await session.flush()
    except IntegrityError:
        await session.refresh(incident)
        return (await session.scalars(query)).one()
    return None


async def _merge_into(session: AsyncSession, incident: Incident, other: Incident, now_us: int) -> None:
    """Its lasting alarms belong to the incident that is open; the rest of its story stays here."""
    lasting = await session.scalars(
        select(AlarmRecord).where(
            AlarmRecord.incident_id == incident.id,
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
        )
    )
    for record in lasting.all():
        record.incident_id = other.id
        other.raised_us = min(other.raised_us, record.raised_us)
        _tell_story(session, other, "alarm_joined", now_us, alarm=record.id, kind=record.kind)
    await session.flush()


async def _announce(session: AsyncSession, incident: Incident, now_us: int, policy: Policy) -> int:
    """Tell what an incident that has just opened has to tell."""
    rule = policy.rule(incident.hazard)
    if await trials.for_technician_alone(session, incident):
        _tell_story(session, incident, "technician_alone", now_us)
        await session.flush()
        return 0
    if incident.history:
        if not rule.tell_history:
            return 0
        planned = await plan.tell(session, incident, rule, 0, "history", now_us, at_once=True)
        return planned.notifications
    planned = await plan.tell(
        session, incident, rule, 0, rule.message, now_us, fresh=incident.episode == 1
    )
    if not planned.deliveries and incident.alarm_class == "alarm" and len(rule.rungs) > 1:
        return await ladder.climb(session, incident, rule, 1, now_us, "nobody_to_tell")
    following = next_timed_rung(rule, 0)
    if following is not None:
        incident.next_rung_us = now_us + int((rule.rungs[following].timed_s or 0) * US_PER_S)
    return planned.notifications


async def _tell_more(session: AsyncSession, incident: Incident, now_us: int, policy: Policy) -> int:
    """Another trouble joined: it goes into the message that waits, or into one more."""
    waiting = await session.scalar(
        select(func.count())
        .select_from(Delivery)
        .join(Notification, Delivery.notification_id == Notification.id)
        .where(Notification.incident_id == incident.id, Delivery.state == "queued")
    )
    if waiting:
        return 0
    incident.episode += 1
    return await _announce(session, incident, now_us, policy)


# ---- rows -------------------------------------------------------------------------------------


def open_key(subject_kind: str, subject_id: str, hazard: str) -> str:
    return f"{subject_kind}:{subject_id}/{hazard}"


async def _load(session: AsyncSession, incident_id: str) -> Incident:
    found = await session.get(Incident, incident_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise IncidentError("unknown_incident", incident_id)
    return found


async def _open_one(session: AsyncSession, subject: Subject, hazard: str) -> Incident | None:
    found: Incident | None = await session.scalar(
        select(Incident)
        .where(Incident.open_key == open_key(subject.kind, subject.id, hazard))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def _create(
    session: AsyncSession,
    subject: Subject,
    hazard: Hazard,
    since_us: int,
    now_us: int,
    *,
    history: bool,
) -> tuple[Incident, bool]:
    """A new incident; or the open one, if another worker was faster (then False)."""
    incident = Incident(id=new_id(), **opened(subject, hazard, since_us, now_us, history=history))
    if await records.insert_first(session, incident):
        return incident, True
    other = await _open_one(session, subject, hazard)
    if other is None:
        raise RuntimeError("an open incident was in the way and is gone within one transaction")
    return other, False


def opened(
    subject: Subject, hazard: Hazard, since_us: int, now_us: int, *, history: bool
) -> dict[str, Any]:
    """A new incident's row, but for its id."""
    return {
        "open_key": None if history else open_key(subject.kind, subject.id, hazard),
        "subject_kind": subject.kind, "subject_id": subject.id, "site_id": subject.site_id,
        "household_id": subject.household_id, "unit_code": subject.unit_code, "hazard": hazard,
        "alarm_class": CLASS_OF_HAZARD[hazard], "state": "all_clear" if history else "opened",
        "history": history, "raised_us": since_us, "opened_us": now_us, "episode": 1, "rung": 0,
        "version": 1,
    }  # fmt: skip


def _tell_story(
    session: AsyncSession, incident: Incident, what: str, now_us: int, actor: str = "", **detail: object
) -> None:  # fmt: skip
    session.add(plan.note(incident, what, now_us, actor, **detail))


async def epochs_of(session: AsyncSession, site_id: str) -> list[AlarmEpoch]:
    """The site's epochs in the order the city met them."""
    rows = await session.scalars(
        select(AlarmEpoch).where(AlarmEpoch.site_id == site_id).order_by(AlarmEpoch.id)
    )
    return list(rows)
