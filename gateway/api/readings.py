"""Readings: the newest of each detector, the raw ones, and their history by steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S, rfc3339, us_from_datetime
from edge.wire.readings import flag_names
from edge.wire.units import QUANTITY_NAMES
from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    ObjectId,
    Page,
    SiteId,
    decode_cursor,
    encode_cursor,
    page_of,
    within,
)
from gateway.api.router import api_router
from gateway.city import City
from gateway.door import Asker, allow, need
from gateway.models import LatestReading
from gateway.problems import ProblemError, documented, wrong_field
from gateway.stores.base import MAX_ROWS, Rows, Steps, StoreMisconfigured, StoreUnavailable
from registry.models import Detector, Household, Site
from registry.sites import NoSuch, place_of_detector, place_of_site

router = api_router(tags=["readings"])

#: Without ``from`` a question is about the last hour, without ``to`` about all that came since.
DEFAULT_SPAN_US = 3600 * US_PER_S
#: A reading may be dated this far ahead of us, and must still be found.
_AHEAD_US = 25 * 3600 * US_PER_S
#: The longest step of a history: a leap year.
MAX_STEP_S = 366 * 24 * 3600
#: Later than any reading, and still a time that JSON and every store can hold.
_END_US = 2**53

_Reader = Annotated[Asker, Depends(need("reading.read", by_object=True))]
_From = Annotated[
    AwareDatetime | None, Query(alias="from", description="RFC 3339 with a zone; default: an hour ago")
]
_To = Annotated[
    AwareDatetime | None, Query(description="RFC 3339 with a zone, excluded; default: whatever came")
]
_RowLimit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="rows of a page")]
Quantity = Literal[
    "co_ppm", "optical_density_db_m", "temperature_c", "humidity_pct", "battery_pct", "battery_v",
    "co2_ppm", "o2_pct", "pm25_ug_m3", "signal_dbm",
]  # fmt: skip


class ReadingOut(BaseModel):
    """One sample. ``flags`` are set, ``flags_known`` were stated; other flags are unknown."""

    time: str = Field(examples=["2026-01-31T19:12:00.000000Z"])
    time_us: int = Field(description="µs since 1970-01-01T00:00:00Z")
    values: dict[str, float] = Field(description="the stated quantities", examples=[{"co_ppm": 3.0}])
    flags: list[str] = Field(examples=[["smoke_alarm"]])
    flags_known: list[str]


class LatestOut(ReadingOut):
    """The newest reading of a detector."""

    detector: str
    site: str


class StepOut(BaseModel):
    """One quantity over one step of time that has a value."""

    time: str = Field(description="when the step begins")
    time_us: int
    min: float
    mean: float
    max: float
    count: int


class CountOut(BaseModel):
    """How many readings there are."""

    count: int


@router.get("/detectors/{detector_id}/latest", summary="Newest reading", responses=documented(404))
async def latest_of(request: Request, detector_id: ObjectId, asker: _Reader) -> LatestOut:
    """Of one detector, registered or not."""
    async with _city(request).database.read() as session:
        await _allow_detector(session, asker, detector_id)
        row = await session.get(LatestReading, detector_id)
    if row is None:
        raise NoSuch("reading of detector", detector_id)
    return _latest_out(row)


@router.get("/latest", summary="Newest readings", responses=documented(422))
async def latest(
    request: Request, asker: _Reader, site: SiteId | None = None, cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[LatestOut]:  # fmt: skip
    """Of all detectors, or those of one site, in order of their ids."""
    after = decode_cursor(cursor, str)
    query = (
        select(LatestReading)
        .outerjoin(Detector, Detector.id == LatestReading.detector_id)
        .outerjoin(Household, Household.id == Detector.household_id)
        .outerjoin(Site, Site.id == LatestReading.site_id)
        .where(*within(asker.reach, Household.unit_code, Site.unit_code))
    )
    if site is not None:
        query = query.where(LatestReading.site_id == site)
    if after is not None:
        query = query.where(LatestReading.detector_id > after[0])
    async with _city(request).database.read() as session:
        found = await session.scalars(query.order_by(LatestReading.detector_id).limit(limit + 1))
        rows, following = page_of(list(found), limit, lambda row: (row.detector_id,))
    return Page(items=[_latest_out(row) for row in rows], next=following)


@router.get("/detectors/{detector_id}/readings", summary="Raw readings", responses=documented(404, 503))
async def readings(
    request: Request, detector_id: ObjectId, asker: _Reader, start: _From = None, to: _To = None,
    cursor: Cursor = None, limit: _RowLimit = 1000,
) -> Page[ReadingOut]:  # fmt: skip
    """Oldest first, each with its own time in µs."""
    city = _city(request)
    from_us, to_us = await _span(city, asker, detector_id, start, to, cursor)
    async with _store(city):
        found = await city.readings.rows(detector_id, from_us=from_us, to_us=to_us, limit=limit)
    return Page(items=_readings_out(found), next=_next(found.next_from_us))


@router.get(
    "/detectors/{detector_id}/history", summary="History by steps", responses=documented(404, 422, 503)
)
async def history(
    request: Request, detector_id: ObjectId, asker: _Reader, field: Quantity,
    step_s: Annotated[int, Query(ge=1, le=MAX_STEP_S, description="length of a step")] = 60,
    start: _From = None, to: _To = None, cursor: Cursor = None, limit: _RowLimit = 1000,
) -> Page[StepOut]:  # fmt: skip
    """Minimum, mean, maximum and count of one quantity; steps begin at multiples of their length."""
    city = _city(request)
    from_us, to_us = await _span(city, asker, detector_id, start, to, cursor)
    async with _store(city):
        steps = await city.readings.steps(
            detector_id, field, from_us=from_us, to_us=to_us, step_us=step_s * US_PER_S, limit=limit
        )
    return Page(items=_steps_out(steps), next=_next(steps.next_from_us))


@router.get(
    "/detectors/{detector_id}/readings/count", summary="How many readings",
    responses=documented(404, 503),
)  # fmt: skip
async def count(
    request: Request, detector_id: ObjectId, asker: _Reader, start: _From = None, to: _To = None
) -> CountOut:
    """Different times of one detector; a reading sent twice counts once."""
    city = _city(request)
    from_us, to_us = await _span(city, asker, detector_id, start, to, None)
    async with _store(city):
        return CountOut(count=await city.readings.count(detector_id, from_us=from_us, to_us=to_us))


def _city(request: Request) -> City:
    city: City = request.app.state.city
    return city


async def _allow_detector(session: AsyncSession, asker: Asker, detector_id: str) -> None:
    """A detector that nobody registered lies where its site lies. Raises ``NoSuch``, ``Forbidden``."""
    try:
        place = await place_of_detector(session, detector_id)
    except NoSuch:
        site = await session.scalar(
            select(LatestReading.site_id).where(LatestReading.detector_id == detector_id)
        )
        if site is None:
            raise
        place = await place_of_site(session, site)
    allow(asker, "reading.read", place)


async def _span(
    city: City, asker: Asker, detector_id: str, start: AwareDatetime | None, to: AwareDatetime | None,
    cursor: str | None,
) -> tuple[int, int]:  # fmt: skip
    """The span of time asked about, if the asker may."""
    async with city.database.read() as session:
        await _allow_detector(session, asker, detector_id)
    now_us = city.clock.now_us()
    from_us = now_us - DEFAULT_SPAN_US if start is None else us_from_datetime(start)
    to_us = now_us + _AHEAD_US if to is None else us_from_datetime(to)
    if start is not None and to is not None and to < start:
        raise wrong_field("query.to", "lies before 'from'")
    after = decode_cursor(cursor, int)
    if after is not None:
        from_us = max(from_us, after[0])
    return min(max(from_us, 0), _END_US), min(max(to_us, 0), _END_US)


def _next(next_from_us: int | None) -> str | None:
    return None if next_from_us is None else encode_cursor(next_from_us)


@asynccontextmanager
async def _store(city: City) -> AsyncIterator[None]:
    try:
        yield
    except (StoreUnavailable, StoreMisconfigured):
        raise ProblemError(
            503, "store-unavailable", "The reading store does not answer",
            city.readings.title, headers={"Retry-After": "5"},
        ) from None  # fmt: skip


def _latest_out(row: LatestReading) -> LatestOut:
    values: dict[str, float | None] = {name: getattr(row, name) for name in QUANTITY_NAMES}
    return LatestOut(
        detector=row.detector_id,
        site=row.site_id,
        time=rfc3339(row.time_us),
        time_us=row.time_us,
        values={name: value for name, value in values.items() if value is not None},
        flags=flag_names(row.flags),
        flags_known=flag_names(row.flags_known),
    )


def _readings_out(rows: Rows) -> list[ReadingOut]:
    columns = [
        (name, column.tolist()) for name, column in rows.columns.items() if not _all_absent(column)
    ]
    times, flags = rows.times_us.tolist(), rows.flags.tolist()
    return [
        ReadingOut(
            time=rfc3339(time_us),
            time_us=time_us,
            values={name: column[row] for name, column in columns if column[row] == column[row]},
            flags=flag_names(flags[row] & 0xFFFF),
            flags_known=flag_names(flags[row] >> 16),
        )
        for row, time_us in enumerate(times)
    ]


def _all_absent(column: Any) -> bool:
    return bool((column != column).all())


def _steps_out(steps: Steps) -> list[StepOut]:
    return [
        StepOut(time=rfc3339(start), time_us=start, min=low, mean=mean, max=high, count=number)
        for start, low, mean, high, number in zip(
            steps.starts_us.tolist(),
            steps.minimum.tolist(),
            steps.mean.tolist(),
            steps.maximum.tolist(),
            steps.count.tolist(),
            strict=True,
        )
    ]
