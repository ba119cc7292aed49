"""The office's page of a home: masked, opened with a trace, and its people; the audit by days."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import select

from gateway.web.words import ZONE, words_for
from registry.models import AuditEntry, Contact, Household
from tests.web.conftest import NOW_US, Web
from tests.web.homes import HOME, MAIL, fill
from tests.web.test_web_officer_cameras import hidden

MN = words_for("mn")
LABEL = "СХД-24-0012"
AT = f"/households/{HOME}"
PERSON = {"name": "Дорж", "role": "neighbour", "language": "mn", "channel": "sms"}


@pytest.fixture
async def office(web: Web) -> Web:
    await fill(web.database, web.city.keyring, NOW_US)
    await web.enter("clerk.one", "registrar")
    return web


async def _press(web: Web, to: str, **form: str) -> httpx.Response:
    page = await web.browser.get(AT)
    return await web.browser.post(to, data={"csrf": hidden(page, "csrf"), **form})


async def test_a_home_is_found_and_shows_nobodys_name_until_it_is_opened(office: Web) -> None:
    listed = (await office.browser.get("/households?q=24-0012")).text
    assert LABEL in listed and f'href="{AT}"' in listed
    assert MN("Nothing fits the filter.") in (await office.browser.get("/households?q=zzz")).text
    page = (await office.browser.get(AT)).text
    assert "Бат" not in page and MAIL not in page and "…33" in page
    assert f"/home-links/{HOME}" in page and "/detectors/d-smoke" in page
    opened = await _press(office, f"{AT}/open")
    assert "Бат" in opened.text and MAIL in opened.text
    async with office.database.read() as session:
        read = select(AuditEntry.action).where(AuditEntry.action == "household.open")
        assert (await session.scalars(read)).all() == ["household.open"]


async def test_somebody_is_added_and_a_mistake_keeps_what_was_typed(office: Web) -> None:
    wrong = await _press(office, f"{AT}/contacts", **PERSON, address="12")
    assert wrong.status_code == 422 and 'value="Дорж"' in wrong.text
    assert MN("problem address") in wrong.text
    nameless = await _press(office, f"{AT}/contacts", **{**PERSON, "name": ""}, address="95151515")
    assert MN("This is needed.") in nameless.text
    await _press(office, f"{AT}/contacts", **PERSON, address="95151515")
    page = (await office.browser.get(AT)).text
    assert "…15" in page and MN("neighbour") in page
    async with office.database.read() as session:
        people = (await session.scalars(select(Contact).order_by(Contact.position))).all()
    assert [one.role for one in people] == ["resident", "resident", "neighbour"]


async def test_a_number_of_another_home_is_told_before_it_is_kept(office: Web) -> None:
    async with office.database.write() as session:
        session.add(
            Household(id="h-2", label="СХД-24-0013", site_id="khoroo-24", unit_code="111664",
                      created_us=1)
        )  # fmt: skip
    told = await office.browser.get("/households/h-2")
    form = {"csrf": hidden(told, "csrf"), **PERSON, "address": "99112233"}
    asked = await office.browser.post("/households/h-2/contacts", data=form)
    assert asked.status_code == 422 and LABEL in asked.text and 'value="99112233"' in asked.text
    sure = await office.browser.post("/households/h-2/contacts", data={**form, "sure": "yes"})
    assert sure.status_code == 303
    assert "…33" in (await office.browser.get("/households/h-2")).text


async def test_a_clerk_of_another_district_sees_no_home(office: Web) -> None:
    office.browser.cookies.clear()
    await office.enter("clerk.east", "registrar", "1110")
    assert LABEL not in (await office.browser.get("/households")).text
    assert (await office.browser.get(AT)).status_code == 403


async def test_the_audit_is_cut_to_days(office: Web) -> None:
    await _press(office, f"{AT}/open")
    office.browser.cookies.clear()
    await office.enter("auditor", "auditor")
    today = datetime.fromtimestamp(NOW_US / 1e6, UTC).astimezone(ZONE).date()
    before = today - timedelta(days=1)
    here = (await office.browser.get(f"/audit?since={today}&until={today}&who=")).text
    assert AT in here and f'value="{today}"' in here
    assert AT not in (await office.browser.get(f"/audit?until={before}")).text
    assert (await office.browser.get("/audit?since=soon")).status_code == 422
    assert re.search(r'type="date"', here)
