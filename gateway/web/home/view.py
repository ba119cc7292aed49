"""What a family's page shows of its home: each detector's last word, and one state for all of it.

Cast: ``Home`` (household, state, detectors, the incident that lasts), ``read_home``. ``state_of`` is
pure: danger, calm after an alarm, trouble, unheard, or safe; nothing is called safe that is not heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.models import AlarmRecord, Incident
from alerts.residents import answers_of
from edge.wire.clock import US_PER_S
from edge.wire.messages import CLASS_OF
from gateway.models import LatestReading, SiteState
from registry.models import Detector, Household
from registry.sites import SERVING

State = Literal["danger", "watch", "calmed", "trouble", "unheard", "safe"]
#: An alarm that ended stays on the first page this long: its family is asked what it was.
CALMED_US: Final = 6 * 3600 * US_PER_S
#: Without a word for so long nobody calls a home safe; silent detectors are found much sooner.
UNHEARD_US: Final = 6 * 3600 * US_PER_S
_RANK: Final = {"alarm": 0, "supervisory": 1, "trouble": 2, "unknown": 3, "ok": 4}
_CLASS: Final[dict[str, str]] = {str(kind): name for kind, name in CLASS_OF.items()}


@dataclass(frozen=True)
class Word:
    """One detector: where it hangs, what it says now, and its newest values."""

    id: str
    place: str
    #: alarm, supervisory, trouble, unknown (never heard), ok
    kind: str
    said: tuple[str, ...]
    latest: LatestReading | None


@dataclass(frozen=True)
class Happening:
    """An incident of this home, and what the family said of it."""

    incident: Incident
    said: str | None
    judged: str | None
    places: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        return self.incident.state in ("opened", "acknowledged")


@dataclass(frozen=True)
class Home:
    """A family's home as its page shows it."""

    household: Household
    state: State
    heard_us: int | None
    words: list[Word] = field(default_factory=list)
    #: the alarm that lasts, or the one that ended a little while ago
    happening: Happening | None = None


def state_of(
    words: Sequence[Word], happening: Happening | None, site_online: bool, heard_us: int | None,
    now_us: int,
) -> State:  # fmt: skip
    """One word for the whole home; the worst that is true."""
    kinds = {word.kind for word in words}
    if (happening and happening.open and happening.incident.alarm_class == "alarm") or "alarm" in kinds:
        return "danger"
    if "supervisory" in kinds:
        return "watch"
    if not words or heard_us is None or now_us - heard_us > UNHEARD_US or not site_online:
        return "unheard"
    if kinds & {"trouble", "unknown"}:
        return "trouble"
    return "calmed" if happening else "safe"


async def read_home(session: AsyncSession, household: Household, now_us: int) -> Home:
    """Everything the first screen shows, in five queries."""
    alarms = await _active(session, household.id)
    words = await _words(session, household.id, alarms)
    site = await session.get(SiteState, household.site_id)
    heard = [word.latest.time_us for word in words if word.latest]
    heard_us = max(heard, default=None)
    happening = await _happening(session, household.id, now_us)
    online = site is not None and site.state == "online"
    state = state_of(words, happening, online, heard_us, now_us)
    return Home(household, state, heard_us, words, happening)


async def happenings(
    session: AsyncSession, household_id: str, since_us: int, limit: int
) -> list[Happening]:
    """The home's incidents since then, the newest first; channel tests are none."""
    rows = await session.scalars(
        select(Incident)
        .where(
            Incident.household_id == household_id,
            Incident.hazard != "drill",
            Incident.raised_us >= since_us,
        )
        .order_by(Incident.raised_us.desc(), Incident.id)
        .limit(limit)
    )
    return await _with_answers(session, list(rows))


async def _active(session: AsyncSession, household_id: str) -> dict[str, list[AlarmRecord]]:
    found: dict[str, list[AlarmRecord]] = {}
    for alarm in await session.scalars(
        select(AlarmRecord)
        .join(Detector, Detector.id == AlarmRecord.detector_id)
        .where(
            Detector.household_id == household_id,
            AlarmRecord.cleared_us.is_(None),
            AlarmRecord.abandoned_us.is_(None),
            AlarmRecord.history.is_(False),
        )
        .order_by(AlarmRecord.raised_us)
    ):
        found.setdefault(alarm.detector_id, []).append(alarm)
    return found


async def _words(
    session: AsyncSession, household_id: str, alarms: dict[str, list[AlarmRecord]]
) -> list[Word]:
    rows = await session.execute(
        select(Detector, LatestReading)
        .outerjoin(LatestReading, LatestReading.detector_id == Detector.id)
        .where(Detector.household_id == household_id, Detector.status.in_(SERVING))
        .order_by(Detector.place, Detector.id)
    )
    words = []
    for detector, latest in rows:
        said = ["test" if alarm.test else alarm.kind for alarm in alarms.get(detector.id, [])]
        quiet = "ok" if latest is not None else "unknown"
        kinds = [_CLASS.get(kind, "trouble") for kind in said] or [quiet]
        place = detector.place or detector.model_name or ""
        words.append(Word(detector.id, place, min(kinds, key=_RANK.__getitem__), tuple(said), latest))
    return sorted(words, key=lambda word: _RANK[word.kind])


async def _happening(session: AsyncSession, household_id: str, now_us: int) -> Happening | None:
    row = await session.scalar(
        select(Incident)
        .where(
            Incident.household_id == household_id,
            Incident.alarm_class == "alarm",
            or_(
                Incident.state.in_(("opened", "acknowledged")),
                Incident.cleared_us > now_us - CALMED_US,
                Incident.resolved_us > now_us - CALMED_US,
            ),
        )
        .order_by(Incident.state.in_(("opened", "acknowledged")).desc(), Incident.raised_us.desc())
        .limit(1)
    )
    return (await _with_answers(session, [row]))[0] if row is not None else None


async def _with_answers(session: AsyncSession, rows: list[Incident]) -> list[Happening]:
    ids = [row.id for row in rows]
    answers = await answers_of(session, ids)
    places: dict[str, list[str]] = {}
    for incident_id, place in await session.execute(
        select(AlarmRecord.incident_id, Detector.place)
        .join(Detector, Detector.id == AlarmRecord.detector_id)
        .where(AlarmRecord.incident_id.in_(ids))
        .distinct()
    ):
        if incident_id and place:
            places.setdefault(incident_id, []).append(place)
    return [
        Happening(
            row, answers.get(row.id, {}).get("said"), answers.get(row.id, {}).get("cause"),
            tuple(sorted(places.get(row.id, []))),
        )
        for row in rows
    ]  # fmt: skip
