"""``/home/history``: what happened as sentences; the last day or week as charts with tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.clock import US_PER_S
from gateway.city import City
from gateway.door import home_of
from gateway.stores.base import StoreMisconfigured, StoreUnavailable
from gateway.web.home.frame import Anybody, home_page, household_of, to_the_door
from gateway.web.home.view import happenings
from gateway.web.page import city_of
from registry.models import Detector
from registry.sites import SERVING

router = APIRouter(prefix="/home", tags=["pages"], include_in_schema=False)
_HOUR_US: Final = 3600 * US_PER_S
#: Told back so far; older ones are of no use to a family.
_TOLD_US: Final = 92 * 24 * _HOUR_US
_MOST_TOLD: Final = 30
#: Detectors drawn; a home has a few.
_MOST_DRAWN: Final = 6
Span = Literal["day", "week"]
#: How far back, and how long a step is: some fifty points that a phone can draw and a person can read.
_SPANS: Final[dict[Span, tuple[int, int]]] = {
    "day": (24 * _HOUR_US, _HOUR_US // 2),
    "week": (7 * 24 * _HOUR_US, 4 * _HOUR_US),
}
#: Quantity, its name in the catalogue, its unit, decimals; of a step the worst value counts.
_QUANTITIES: Final = (
    ("co_ppm", "CO", "ppm", 0),
    ("optical_density_db_m", "Smoke", "dB/m", 2),
    ("temperature_c", "Temperature", "°C", 1),
)


@dataclass(frozen=True)
class Chart:
    """One quantity: a column a detector, a row a step that has a value."""

    name: str
    unit: str
    digits: int
    places: list[str]
    rows: list[tuple[int, list[float | None]]]

    @property
    def highest(self) -> float:
        return max(value for _, row in self.rows for value in row if value is not None)


@router.get("/history")
async def history(request: Request, asker: Anybody, span: Span = "day") -> Response:
    """The newest first."""
    at_home = home_of(request)
    if at_home is None:
        return to_the_door()
    city = city_of(request)
    now_us = city.clock.now_us()
    async with city.database.read() as session:
        household = await household_of(session, request, at_home)
        told = await happenings(session, household.id, now_us - _TOLD_US, _MOST_TOLD)
        detectors = await _detectors(session, household.id)
    charts: list[Chart] | None
    try:
        charts = await _charts(city, detectors, span, now_us)
    except (StoreUnavailable, StoreMisconfigured):
        charts = None
    values: dict[str, Any] = {"told": told, "charts": charts, "span": span, "now_us": now_us}
    return home_page("history.html", request, asker, section="history", **values)


async def _detectors(session: AsyncSession, household_id: str) -> list[tuple[str, str]]:
    rows = await session.execute(
        select(Detector.id, Detector.place)
        .where(Detector.household_id == household_id, Detector.status.in_(SERVING))
        .order_by(Detector.place, Detector.id)
        .limit(_MOST_DRAWN)
    )
    return [(detector_id, place) for detector_id, place in rows]


async def _charts(city: City, detectors: list[tuple[str, str]], span: Span, now_us: int) -> list[Chart]:
    back_us, step_us = _SPANS[span]
    charts = []
    for quantity, name, unit, digits in _QUANTITIES:
        columns: dict[str, dict[int, float]] = {}
        for detector_id, place in detectors:
            steps = await city.readings.steps(
                detector_id, quantity, from_us=now_us - back_us, to_us=now_us + 1, step_us=step_us,
                limit=back_us // step_us + 2,
            )  # fmt: skip
            found = dict(zip(steps.starts_us.tolist(), steps.maximum.tolist(), strict=True))
            if found:
                columns[_free(place, columns)] = found
        times = sorted({time_us for column in columns.values() for time_us in column})
        rows = [(time_us, [column.get(time_us) for column in columns.values()]) for time_us in times]
        if rows:
            charts.append(Chart(name, unit, digits, list(columns), rows))
    return charts


def _free(place: str, taken: dict[str, dict[int, float]]) -> str:
    """The detector's place, numbered where two hang in one."""
    name, number = place or "–", 2
    while name in taken:
        name, number = f"{place} {number}", number + 1
    return name
