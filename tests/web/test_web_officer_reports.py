"""The report's figures against a count by hand, and that page, XLSX and PDF say the same."""

from __future__ import annotations

import io

import pytest
from openpyxl import load_workbook

from alerts.models import Incident
from gateway.cameras.models import CameraHealth
from gateway.reports import figures, name_at, neighbours, period_of, spread
from registry.cameras.models import Camera
from registry.models import Household, Site
from tests.web.conftest import NOW_US, Web

_S = 1_000_000


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("2026-12", "2026-11", "2027-01"), ("2026-Q1", "2025-Q4", "2026-Q2"), ("2026", "2025", "2027")],
)
def test_a_period_has_its_neighbours_and_they_touch(name: str, before: str, after: str) -> None:
    assert neighbours(name) == (before, after)
    assert period_of(before).end_us == period_of(name).start_us
    assert period_of(name).end_us == period_of(after).start_us


@pytest.mark.parametrize("name", ["2026-13", "2026-Q5", "26", "2026-1", "", "1999-01"])
def test_what_is_no_period_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a month"):
        period_of(name)


def test_a_month_begins_at_the_offices_midnight() -> None:
    start = period_of("2026-11").start_us
    assert start == 1793462400 * _S  # 2026-10-31T16:00:00Z
    assert name_at(start, "month") == "2026-11" and name_at(start - 1, "month") == "2026-10"


def test_spread_takes_the_nearest_rank() -> None:
    assert spread([]).median_s is None
    found = spread([float(n) for n in range(1, 101)])
    assert (found.count, found.median_s, found.p95_s) == (100, 50.0, 95.0)
    assert spread([-3.0]).median_s == 0.0


async def _city(web: Web) -> str:
    """Three cameras, two watched, one of them at work; of four incidents two are alarms of now."""
    period = name_at(NOW_US, "month")
    start = period_of(period).start_us
    async with web.database.write() as session:
        session.add(Site(id="s1", title="", created_us=1))
        for number, state in (("1", "active"), ("2", "active"), ("3", "faulty")):
            session.add(Camera(id=number, number=number, state=state, created_us=1))
        await session.flush()
        session.add(Household(id="h", label="h", site_id="s1", created_us=1))
        for camera, summary in (("1", "ok"), ("2", "faulty"), ("3", "unknown")):
            session.add(
                CameraHealth(camera_id=camera, site_id="s1", address="", summary=summary, at_us=1)
            )
        kinds = (("a", "fire", start, 30), ("b", "co", start + 5, 90), ("c", "test", start, 1),
                 ("d", "fire", start - 1, 1))  # fmt: skip
        for ident, hazard, raised, after in kinds:
            session.add(
                Incident(
                    id=ident, subject_kind="household", subject_id="h", site_id="s1", hazard=hazard,
                    alarm_class="alarm", state="resolved", raised_us=raised, opened_us=raised,
                    acknowledged_us=raised + after * _S, resolved_us=raised + 99 * _S,
                    cause="cooking" if ident == "a" else "real_fire",
                )
            )  # fmt: skip
    return period


async def test_the_figures_are_those_counted_by_hand(web: Web) -> None:
    period = await _city(web)
    async with web.database.read() as session:
        found = await figures(session, period_of(period))
    assert found.cameras["active"] == 2 and found.cameras["faulty"] == 1
    assert (found.watched, found.working, found.availability_pct) == (2, 1, 50.0)
    assert found.alarms == {"fire": 1, "co": 1}
    assert (found.resolved, found.false_alarms) == (2, 1)
    assert (found.acknowledged.count, found.acknowledged.median_s, found.acknowledged.p95_s) == (
        2, 30.0, 90.0,
    )  # fmt: skip
    assert found.told.count == 0 and found.told.median_s is None
    assert (found.homes, found.homes_reachable, found.reachable_pct) == (1, 0, 0.0)
    assert [(row.name, row.total) for row in found.organisations] == [("", 3)]


async def test_page_xlsx_and_pdf_say_the_same(web: Web) -> None:
    period = await _city(web)
    await web.enter("officer", "registrar")
    page = await web.browser.get("/reports", params={"period": period, "lang": "en"})
    assert "50.0%" in page.text
    sheet = await web.browser.get("/reports", params={"period": period, "format": "xlsx"})
    book = load_workbook(io.BytesIO(sheet.content))
    cells = {row[0]: row[1:] for tab in book for row in tab.iter_rows(values_only=True)}
    assert cells["Availability, %"][0] == 50
    assert cells["until somebody acknowledged"][:3] == (2, 30, 90)
    paper = await web.browser.get("/reports", params={"period": period, "format": "pdf"})
    assert paper.content[:5] == b"%PDF-"
    assert (await web.browser.get("/reports?period=2026-99")).status_code == 422
