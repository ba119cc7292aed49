"""Incidents: what burns, who was told, who has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from alerts.models import Incident
from gateway import desk, story
from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Limit,
    ObjectId,
    Page,
    SiteId,
    Wanted,
    at,
    check_match,
    decode_cursor,
    page_of,
    set_etag,
)
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import ProblemError, documented

router = api_router("/incidents", tags=["incidents"])
_Reader = Annotated[Asker, Depends(need("incident.read", by_object=True))]
State = Literal["opened", "acknowledged", "all_clear", "resolved"]
Cause = Literal["real_fire", "cooking", "test", "fault", "unknown"]


class SilenceIn(Wanted):
    """For how long."""

    for_s: Annotated[int, Field(ge=1, le=desk.MAX_SILENCE_S)] = desk.MAX_SILENCE_S


class SilencedOut(BaseModel):
    """What was ordered."""

    alarms: int = Field(description="alarms whose sirens the site was told to silence")


class ResolveIn(Wanted):
    """Why it is over."""

    cause: Cause


class IncidentOut(BaseModel):
    """An incident. The edge owns when it was raised and cleared; the city the rest."""

    id: str
    subject_kind: str
    subject_id: str
    site_id: str
    household_id: str | None
    unit_code: str | None
    hazard: str = Field(examples=["fire"])
    alarm_class: str = Field(examples=["alarm"])
    state: State
    history: bool = Field(description="it was over, or too old to be live, when it was first heard of")
    raised_at: str | None
    opened_at: str | None
    cleared_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    resolved_at: str | None
    cause: str | None
    summary: str


class EntryOut(BaseModel):
    """One line of its story."""

    at: str | None
    what: str
    actor: str
    detail: dict[str, Any]


class AlarmOut(BaseModel):
    """One of its alarms, as the edge told it."""

    id: str
    detector_id: str
    kind: str
    alarm_class: str
    raised_at: str | None
    cleared_at: str | None
    abandoned_at: str | None
    abandoned_reason: str | None
    revision: int
    reason: str
    peak: dict[str, Any]
    values: dict[str, Any]
    test: bool
    history: bool


class AttemptOut(BaseModel):
    """One try of a delivery."""

    number: int
    started_at: str | None
    ended_at: str | None
    outcome: str | None
    reason: str | None


class DeliveryOut(BaseModel):
    """A notification on one channel: the last word that can be looked up."""

    id: str
    channel: str
    masked: str
    state: str
    reason: str | None
    queued_at: str | None
    accepted_at: str | None
    delivered_at: str | None
    seen_at: str | None
    attempts: list[AttemptOut]


class NotificationOut(BaseModel):
    """What one contact is to be told; never a name or an address."""

    id: str
    contact_id: str
    rung: int
    message: str
    language: str
    created_at: str | None
    deliveries: list[DeliveryOut]


class IncidentFull(IncidentOut):
    """With its whole story."""

    entries: list[EntryOut]
    alarms: list[AlarmOut]
    notifications: list[NotificationOut]


_SAME = (
    "id", "subject_kind", "subject_id", "site_id", "household_id", "unit_code", "hazard",
    "alarm_class", "state", "history", "acknowledged_by", "cause", "summary",
)  # fmt: skip
_TIMES = ("raised", "opened", "cleared", "acknowledged", "resolved")


def _fields(row: Any, same: tuple[str, ...], times: tuple[str, ...]) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in same}
    return plain | {f"{name}_at": at(getattr(row, f"{name}_us")) for name in times}


def etag_of(incident: Incident) -> str:
    return f'"{incident.version}-{incident.state}"'


def incident_out(incident: Incident) -> IncidentOut:
    return IncidentOut(**_fields(incident, _SAME, _TIMES))


def _full(whole: story.Story) -> IncidentFull:
    alarm = ("id", "detector_id", "kind", "alarm_class", "abandoned_reason", "revision", "reason",
             "peak", "values", "test", "history")  # fmt: skip
    told = ("id", "contact_id", "rung", "message", "language")
    return IncidentFull(
        **_fields(whole.incident, _SAME, _TIMES),
        entries=[
            EntryOut(at=at(row.at_us), what=row.what, actor=row.actor, detail=row.detail)
            for row in whole.entries
        ],
        alarms=[
            AlarmOut(**_fields(row, alarm, ("raised", "cleared", "abandoned"))) for row in whole.alarms
        ],
        notifications=[
            NotificationOut(
                **_fields(row.notification, told, ("created",)),
                deliveries=[_delivery(way) for way in row.deliveries],
            )
            for row in whole.notifications
        ],
    )


def _delivery(way: story.ToldWay) -> DeliveryOut:
    same, times = ("id", "channel", "state", "reason"), ("queued", "accepted", "delivered", "seen")
    return DeliveryOut(
        **_fields(way.delivery, same, times),
        masked=way.masked,
        attempts=[
            AttemptOut(**_fields(row, ("number", "outcome", "reason"), ("started", "ended")))
            for row in way.attempts
        ],
    )


@router.get(
    "", response_model=Page[IncidentOut], summary="List incidents", responses=documented(401, 403, 422)
)
async def list_incidents(
    request: Request,
    asker: _Reader,
    open: bool | None = None,
    state: State | None = None,
    alarm_class: Literal["alarm", "supervisory", "trouble"] | None = None,
    site: SiteId | None = None,
    household: ObjectId | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[IncidentOut]:
    """The newest first; the filters combine. `open=true`: not resolved yet."""
    key = decode_cursor(cursor, int, str)
    wanted = story.Filters(open, state, alarm_class, site, household)
    async with rooms(request).database.read() as session:
        rows = await story.list_incidents(session, wanted, asker.reach, key, limit + 1)
    page, following = page_of(rows, limit, lambda row: (row.opened_us, row.id))
    return Page(items=[incident_out(row) for row in page], next=following)


@router.get(
    "/{incident_id}", response_model=IncidentFull, summary="One incident's whole story",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_incident(
    incident_id: ObjectId, request: Request, response: Response, asker: _Reader
) -> IncidentFull:
    """Its entries, alarms, and who was told how; addresses are masked."""
    city = rooms(request)
    async with city.database.read() as session:
        incident = await desk.load(session, incident_id)
        allow(asker, "incident.read", desk.place_of(incident))
        whole = await story.story_of(session, city.keyring, incident)
    set_etag(response, etag_of(incident))
    return _full(whole)


@router.post(
    "/{incident_id}/acknowledge", response_model=IncidentOut, summary="I have it",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_acknowledge(
    incident_id: ObjectId,
    request: Request,
    response: Response,
    asker: Annotated[Asker, Depends(need("incident.acknowledge", by_object=True))],
) -> IncidentOut:
    """The first one counts; saying it again changes nothing. No condition can stop it."""
    incident = await desk.acknowledge(rooms(request), asker, incident_id)
    set_etag(response, etag_of(incident))
    return incident_out(incident)


@router.post(
    "/{incident_id}/silence", response_model=SilencedOut, summary="Silence the sirens for a while",
    responses=documented(401, 403, 404, 422, 503),
)  # fmt: skip
async def post_silence(
    incident_id: ObjectId,
    body: SilenceIn,
    request: Request,
    asker: Annotated[Asker, Depends(need("incident.acknowledge", by_object=True))],
) -> SilencedOut:
    """Of its active alarms, at their site. A new alarm sounds all the same."""
    try:
        alarms = await desk.silence(rooms(request), asker, incident_id, body.for_s)
    except desk.SiteOutOfReach:
        raise ProblemError(
            503, "broker-away", "The order did not leave", "the city's broker does not answer"
        ) from None
    return SilencedOut(alarms=alarms)


@router.post(
    "/{incident_id}/resolve", response_model=IncidentOut, summary="It is over",
    responses=documented(401, 403, 404, 409, 412, 422),
)  # fmt: skip
async def post_resolve(
    incident_id: ObjectId,
    body: ResolveIn,
    request: Request,
    response: Response,
    asker: Annotated[Asker, Depends(need("incident.resolve", by_object=True))],
    if_match: IfMatch = None,
) -> IncidentOut:
    """With its cause. `If-Match`, where sent, must still hold: it may burn again meanwhile."""

    def check(incident: Incident) -> None:
        if if_match is not None:
            check_match(if_match, etag_of(incident))

    incident = await desk.resolve(rooms(request), asker, incident_id, body.cause, check)
    set_etag(response, etag_of(incident))
    return incident_out(incident)
