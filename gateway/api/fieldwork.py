"""A technician's work on the spot: worklist, a detector with live values, acts sent later, tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field

from gateway import fieldwork
from gateway.api.common import ObjectId, SiteId, Wanted, at
from gateway.api.live import MAX_STREAM_S, PING_S, EventStream
from gateway.api.records import act_of, one
from gateway.api.router import api_router
from gateway.desk import SiteOutOfReach
from gateway.door import Asker, allow, need, rooms
from gateway.problems import ProblemError, documented
from gateway.worklist import Card, cards_of, unit_names, values_of, worklist
from registry.acts import record
from registry.fieldwork import commissioning, localpage, trials
from registry.fieldwork.commissioning import Checks
from registry.fieldwork.models import FieldPicture, Trial
from registry.fieldwork.reasons import REASONS, Urgency, urgency_of
from registry.models import Detector
from registry.sites import NoSuch, place_of_detector, place_of_site

router = api_router("/field", tags=["fieldwork"])
_Hands = Annotated[Asker, Depends(need("field.work", by_object=True))]
_Writer = Annotated[Asker, Depends(need("detector.write", by_object=True))]
_SiteWriter = Annotated[Asker, Depends(need("site.write", by_object=True))]
#: A key that a phone mints: a UUID or the like.
Key = Annotated[str, Field(min_length=16, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
_Short = Annotated[str, Field(max_length=100)]
_Reason = Annotated[str, Field(max_length=500, description="why; retire and replace need one")]
_TOPICS: Final = frozenset({"reading", "detector", "incident", "site"})
_MAX_TIME_US: Final = 1 << 53


class ReasonOut(BaseModel):
    """Why somebody should go there."""

    code: str
    since_at: str | None


class AlarmOut(BaseModel):
    """A lasting alarm of the detector."""

    kind: str
    alarm_class: str
    since_at: str | None
    test: bool


class LinkOut(BaseModel):
    """The site's own page, reachable in its network alone, with the key of one UTC day."""

    day: int
    url: str


class CardOut(BaseModel):
    """A detector as a technician needs it; without signal too."""

    id: str
    version: int
    status: str
    site_id: str
    site: str
    site_state: str | None
    unit_code: str | None
    home: str | None
    place: str
    source: str
    address: str
    serial: str | None
    label: str | None
    urgency: Urgency
    reasons: list[ReasonOut]
    alarms: list[AlarmOut]
    values: dict[str, float]
    heard_at: str | None
    local: list[LinkOut]


class WorklistOut(BaseModel):
    """The most urgent first. ``cut``: there may be more than ``total``; choose a smaller area."""

    items: list[CardOut]
    total: int
    cut: bool
    as_of: str | None
    #: names of the units that occur, in Mongolian and English, by code
    units: dict[str, tuple[str, str]] = {}


class TrialOut(BaseModel):
    """A test alarm: waiting for the site, ready to be pressed, heard, refused, or over."""

    id: str
    state: Literal["waiting", "ready", "heard", "refused", "over"]
    until_at: str | None
    heard_at: str | None
    kind: str | None
    refused: str | None


class VisitOut(BaseModel):
    """What was checked when it was last put into service."""

    done_at: str | None
    checks: dict[str, Any]
    picture_id: str | None


class DetailOut(CardOut):
    """One detector while somebody stands there."""

    trial: TrialOut | None
    visit: VisitOut | None
    #: alarms of its home that are no test: the family is being told
    real: bool


class ActIn(Wanted):
    """One act. It is carried out once, however often it is sent with the same key."""

    key: Key
    kind: Literal["commission", "move", "replace", "retire", "fault", "repair"]
    detector_id: ObjectId | None = None
    label: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="instead of the id: the code on the label"
    )
    version: Annotated[int, Field(ge=1, le=1 << 31)] | None = Field(
        default=None, description="the version that was seen; unset: none was"
    )
    done_us: Annotated[int, Field(ge=0, le=_MAX_TIME_US, description="by the phone's clock, µs UTC")]
    place: _Short = ""
    signal: _Short = ""
    battery: _Short = ""
    siren_heard: bool = False
    household_confirmed: bool = False
    picture_id: Key | None = None
    picture_refused: bool = False
    home: _Short = ""
    source: Annotated[str, Field(max_length=40)] = ""
    address: Annotated[str, Field(max_length=200)] = ""
    fault: _Short = ""
    work: Annotated[str, Field(max_length=300)] = ""
    reason: _Reason = ""

    def wish(self) -> fieldwork.Wish:
        """As the service takes it."""
        checks = Checks(
            self.place, self.signal, self.battery, self.siren_heard, self.household_confirmed,
            self.picture_id, self.picture_refused,
        )  # fmt: skip
        return fieldwork.Wish(
            self.kind, self.version, self.done_us, checks, self.home, self.source, self.address,
            self.fault, self.work,
        )  # fmt: skip


class ActOut(BaseModel):
    """What became of it; the same for an act that was sent again."""

    detector_id: str
    status: str
    version: int


class TestIn(Wanted):
    """How long the test alarm may last."""

    for_s: Annotated[int, Field(ge=trials.MIN_TRIAL_S, le=trials.MAX_TRIAL_S)] = trials.DEFAULT_TRIAL_S


class LocalPageIn(Wanted):
    """Where phones in the site's network reach its page."""

    address: Annotated[str, Field(max_length=200, examples=["http://192.168.1.20:8088"])]


class LocalPageOut(BaseModel):
    """The secret is told this once: it goes into the site's ``[edge.local_page]``."""

    address: str
    secret: str


def card_out(card: Card) -> dict[str, Any]:
    """A card's fields."""
    one = card.detector
    return {
        "id": one.id, "version": one.version, "status": one.status, "site_id": one.site_id,
        "site": card.site_title, "site_state": card.site_state, "unit_code": card.unit_code,
        "home": card.home, "place": one.place, "source": one.source, "address": one.address,
        "serial": one.serial, "label": card.label, "urgency": urgency_of(card.reasons),
        "reasons": [ReasonOut(code=each.code, since_at=at(each.since_us)) for each in card.reasons],
        "alarms": [
            AlarmOut(kind=kind, alarm_class=its_class, since_at=at(since_us), test=test)
            for kind, its_class, since_us, test in card.alarms
        ],
        "values": values_of(card.latest),
        "heard_at": at(card.latest.time_us) if card.latest else None,
        "local": [LinkOut(day=link.day, url=link.url) for link in card.links],
    }  # fmt: skip


def trial_out(trial: Trial, now_us: int) -> TrialOut:
    """How it stands now."""
    state: Literal["waiting", "ready", "heard", "refused", "over"]
    if trial.refused:
        state = "refused"
    elif trial.heard_us is not None:
        state = "heard"
    elif not trials.runs(trial, now_us):
        state = "over"
    else:
        state = "ready" if trial.confirmed_us is not None else "waiting"
    return TrialOut(
        id=trial.id, state=state, until_at=at(trial.ended_us or trial.until_us),
        heard_at=at(trial.heard_us), kind=trial.kind, refused=trial.refused,
    )  # fmt: skip


@router.get(
    "/worklist", response_model=WorklistOut, summary="What waits for a technician",
    responses=documented(401, 403, 422),
)  # fmt: skip
async def get_worklist(
    request: Request,
    asker: _Hands,
    unit: Annotated[str, Query(max_length=20, pattern=r"^[0-9]*$")] = "",
    reason: Annotated[str, Query(max_length=30, pattern=f"^({'|'.join(REASONS)}|)$")] = "",
) -> WorklistOut:
    """Inside the asker's area, the most urgent first."""
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        found = await worklist(session, city.keyring, now_us, asker.reach, unit, reason)
        units = await unit_names(session, {card.unit_code for card in found.cards})
    items = [CardOut(**card_out(card)) for card in found.cards]
    return WorklistOut(items=items, total=found.total, cut=found.cut, as_of=at(now_us), units=units)


@router.get(
    "/detectors/{detector_id}", response_model=DetailOut, summary="One detector, on the spot",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_detail(detector_id: ObjectId, request: Request, asker: _Hands) -> DetailOut:
    """By its id, or by the code on its label."""
    city = rooms(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        detector = await _by_id_or_label(session, detector_id)
        allow(asker, "field.work", await place_of_detector(session, detector.id))
        (card,) = await cards_of(session, city.keyring, now_us, [detector.id])
        trial = await trials.latest(session, detector.id)
        visit = await commissioning.newest(session, detector.id)
        real = await fieldwork.burns(session, detector)
    return DetailOut(
        **card_out(card), real=real,
        trial=trial_out(trial, now_us) if trial is not None else None,
        visit=VisitOut(done_at=at(visit.done_us), checks=visit.checks, picture_id=visit.picture_id)
        if visit is not None else None,
    )  # fmt: skip


async def _by_id_or_label(session: Any, name: str) -> Detector:
    detector = await session.get(Detector, name)
    return detector or await fieldwork.detector_named(session, None, name)


@router.get(
    "/detectors/{detector_id}/changes", summary="Says that something of it changed",
    response_class=EventStream, responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def get_changes(detector_id: ObjectId, request: Request, asker: _Hands) -> EventStream:
    """Events ``changed`` of this detector or its home; the page then reads it anew."""
    city = request.app.state.city
    async with city.database.read() as session:
        allow(asker, "field.work", await place_of_detector(session, detector_id))
        site = (await one(session, Detector, detector_id)).site_id
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventStream(_changes(city, site, detector_id), headers=headers)


async def _changes(city: Any, site: str, detector: str) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + MAX_STREAM_S
    with city.hub.subscribe(_TOPICS) as watcher:
        yield b"retry: 3000\n\nevent: changed\ndata: \n\n"
        while loop.time() < ends_s:
            try:
                async with asyncio.timeout(PING_S):
                    event = await watcher.next()
            except TimeoutError:
                yield b": alive\n\n"
                continue
            if event is None:
                return
            if _concerns(event.topic, event.data, site, detector):
                yield b"event: changed\ndata: \n\n"


def _concerns(topic: str, data: dict[str, Any], site: str, detector: str) -> bool:
    if topic == "gap":
        return True
    if data.get("site") != site:
        return False
    if topic == "reading":
        return bool(data.get("more")) or any(
            reading.get("detector") == detector for reading in data.get("readings", ())
        )
    return topic != "detector" or data.get("detector") == detector


@router.post(
    "/acts", response_model=ActOut, summary="Do something on the spot, or say what was done",
    responses=documented(401, 403, 404, 409, 412, 422),
)  # fmt: skip
async def post_act(body: ActIn, request: Request, asker: _Writer) -> ActOut:
    """Once for each key. 412 shows what was seen, what is now and what was sent."""
    act = act_of(request, asker, body.reason or None)
    done = await fieldwork.do(
        rooms(request), asker, act, body.key, body.wish(), body.detector_id, body.label
    )
    return ActOut(**done)


@router.put(
    "/pictures/{picture_id}", status_code=204, summary="Keep a picture taken on the spot",
    responses=documented(401, 403, 409, 415, 422),
)  # fmt: skip
async def put_picture(picture_id: Key, request: Request, asker: _Hands) -> None:
    """The body is a JPEG, made small by the phone; sending it again changes nothing."""
    content = await request.body()
    city = rooms(request)
    async with city.database.write() as session:
        await commissioning.keep_picture(
            session, city.keyring, act_of(request, asker), picture_id, content
        )


@router.get(
    "/pictures/{picture_id}", summary="A picture taken on the spot", response_class=Response,
    responses={**documented(401, 403, 404, 422), 200: {"content": {"image/jpeg": {}}}},
)  # fmt: skip
async def get_picture(picture_id: Key, request: Request, asker: _Hands) -> Response:
    """Inside the asker's area; before it belongs to a detector only for who took it. It is recorded."""
    city = rooms(request)
    async with city.database.write() as session:
        picture = await session.get(FieldPicture, picture_id)
        if picture is None:
            raise NoSuch("picture", picture_id)
        if picture.detector_id is not None:
            allow(asker, "field.work", await place_of_detector(session, picture.detector_id))
        elif picture.actor != asker.actor.id:
            raise NoSuch("picture", picture_id)
        content = commissioning.content_of(picture, city.keyring)
        await record(session, act_of(request, asker), "field.look", "field_picture", picture_id)
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.post(
    "/detectors/{detector_id}/test", response_model=TrialOut, summary="Begin a test alarm",
    responses=documented(401, 403, 404, 409, 422, 503),
)  # fmt: skip
async def post_test(detector_id: ObjectId, body: TestIn, request: Request, asker: _Hands) -> TrialOut:
    """Only the technician is told of it; it ends by itself. A real alarm pages as always."""
    city = rooms(request)
    act = act_of(request, asker)
    try:
        trial = await fieldwork.begin_trial(city, asker, act, detector_id, body.for_s)
    except SiteOutOfReach:
        raise _out_of_reach() from None
    return trial_out(trial, act.now_us)


@router.post(
    "/detectors/{detector_id}/test/end", status_code=204, summary="End a test alarm",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_test_end(detector_id: ObjectId, request: Request, asker: _Hands) -> None:
    """What still sounds then is real."""
    await fieldwork.end_trial(rooms(request), asker, act_of(request, asker), detector_id)


@router.post(
    "/detectors/{detector_id}/ring", status_code=204, summary="Try the sirens of its site",
    responses=documented(401, 403, 404, 422, 503),
)  # fmt: skip
async def post_ring(detector_id: ObjectId, request: Request, asker: _Hands) -> None:
    """They sound for some seconds."""
    try:
        await fieldwork.ring_outputs(rooms(request), asker, act_of(request, asker), detector_id)
    except SiteOutOfReach:
        raise _out_of_reach() from None


@router.put(
    "/sites/{site_id}/local-page", response_model=LocalPageOut, summary="Set up a site's local page",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
async def put_local_page(
    site_id: SiteId, body: LocalPageIn, request: Request, asker: _SiteWriter
) -> LocalPageOut:
    """A new secret each time; links made with the old one open nothing."""
    city = rooms(request)
    async with city.database.write() as session:
        allow(asker, "site.write", await place_of_site(session, site_id))
        secret = await localpage.set_up(
            session, city.keyring, act_of(request, asker), site_id, body.address
        )
    return LocalPageOut(address=body.address, secret=secret)


@router.delete(
    "/sites/{site_id}/local-page", status_code=204, summary="No local page any more",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def delete_local_page(site_id: SiteId, request: Request, asker: _SiteWriter) -> None:
    """Nobody gets a link to it."""
    async with rooms(request).database.write() as session:
        allow(asker, "site.write", await place_of_site(session, site_id))
        await localpage.take_down(session, act_of(request, asker), site_id)


def _out_of_reach() -> ProblemError:
    return ProblemError(
        503, "broker-away", "The order did not leave", "the city's broker does not answer",
        headers={"Retry-After": "5"},
    )  # fmt: skip
