"""The duty desk in a browser without JavaScript: list, filter, taking, closing, handing over."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from alerts.models import Incident, IncidentEntry
from gateway.web.words import words_for
from registry.fibre.models import FibreOutage
from registry.models import AuditEntry
from tests.web.conftest import NOW_US, Web
from tests.web.homes import HOME, burn, fill

MN = words_for("mn")
LABEL = "СХД-24-0012"


@pytest.fixture
async def desk(web: Web) -> Web:
    """A home that burns, and somebody at the desk."""
    await fill(web.database, web.city.keyring, NOW_US)
    await burn(web.database, NOW_US)
    await web.enter("duty.one", "duty")
    return web


async def _incident(web: Web) -> Incident:
    async with web.database.read() as session:
        return (await session.scalars(select(Incident).where(Incident.household_id == HOME))).one()


async def _press(web: Web, what: str, **form: Any) -> httpx.Response:
    """Send one of the forms of the incident's own page."""
    page = f"/desk/incidents/{(await _incident(web)).id}"
    shown = (await web.browser.get(page)).text
    token = re.search(r'name="csrf" value="([^"]+)"', shown)[1]  # type: ignore[index]
    return await web.browser.post(f"{page}/{what}", data={"csrf": token, **form})


async def _seen(web: Web) -> str:
    incident = await _incident(web)
    return f"{incident.version}-{incident.state}"


async def test_the_worst_is_first_and_the_filter_is_an_address(desk: Web) -> None:
    async with desk.database.write() as session:
        session.add(
            Incident(
                id="t", subject_kind="site", subject_id="s", site_id="khoroo-24", hazard="trouble",
                alarm_class="trouble", state="opened", raised_us=NOW_US + 1, opened_us=NOW_US + 1,
                unit_code="111664",
            )
        )  # fmt: skip
    page = (await desk.browser.get("/desk")).text
    assert page.index('data-class="alarm"') < page.index('data-class="trouble"')
    troubles = (await desk.browser.get("/desk?class=trouble")).text
    assert 'data-class="alarm"' not in troubles and 'data-class="trouble"' in troubles
    assert 'data-class="trouble"' not in (await desk.browser.get("/desk/list?unit=1119")).text
    assert (await desk.browser.get("/desk?class=nonsense")).status_code == 422


async def test_the_map_shows_what_is_open_inside_the_screen(desk: Web) -> None:
    inside = (await desk.browser.get("/desk/map?bbox=106,47,108,48.5&zoom=11")).json()
    (feature,) = inside["features"]
    assert feature["properties"]["state"] == "alarm"
    assert feature["properties"]["address"].startswith("/desk/incidents/")
    assert not (await desk.browser.get("/desk/map?bbox=0,0,1,1")).json()["features"]


async def test_an_incident_is_taken_given_noted_and_closed_with_its_cause(desk: Web) -> None:
    await _press(desk, "acknowledge")
    other = await desk.somebody("duty.two", "duty")
    await _press(desk, "assign", person=other)
    await _press(desk, "note", text="Галын анги явсан")
    incident = await _incident(desk)
    assert (incident.state, incident.assigned_to) == ("acknowledged", other)
    page = (await desk.browser.get(f"/desk/incidents/{incident.id}")).text
    assert "Галын анги явсан" in page and "duty.two" in page
    unsure = await _press(desk, "resolve", seen=await _seen(desk), cause="cooking")
    assert unsure.headers["location"].endswith("problem=cause")
    closed = await _press(desk, "resolve", seen=await _seen(desk), cause="cooking", sure="true")
    assert closed.headers["location"] == "/desk"
    assert (await _incident(desk)).cause == "cooking"
    async with desk.database.read() as session:
        actions = {entry.action for entry in await session.scalars(select(AuditEntry))}
    assert {"incident.assign", "incident.note", "incident.resolve"} <= actions


async def test_what_changed_meanwhile_is_not_closed_unseen(desk: Web) -> None:
    seen = await _seen(desk)
    await _press(desk, "note", text="x")
    refused = await _press(desk, "resolve", seen=seen, cause="fault", sure="true")
    assert refused.headers["location"].endswith("problem=changed")
    assert MN("desk problem changed") in (await desk.browser.get(refused.headers["location"])).text
    assert (await _incident(desk)).state == "opened"


async def test_a_technician_looks_and_cannot_act(desk: Web) -> None:
    incident = await _incident(desk)
    desk.browser.cookies.clear()
    await desk.enter("tech.one", "technician")
    page = (await desk.browser.get(f"/desk/incidents/{incident.id}")).text
    assert LABEL in page and "/resolve" not in page
    for what in ("acknowledge", "assign", "note", "resolve"):
        token = re.search(r'name="csrf" value="([^"]+)"', page)[1]  # type: ignore[index]
        answer = await desk.browser.post(
            f"/desk/incidents/{incident.id}/{what}", data={"csrf": token, "seen": "x"}
        )
        assert answer.status_code == 403, what


async def test_a_desk_of_another_district_sees_nothing_of_it(desk: Web) -> None:
    incident = await _incident(desk)
    desk.browser.cookies.clear()
    await desk.enter("duty.east", "duty", "1110")
    assert LABEL not in (await desk.browser.get("/desk")).text
    assert (await desk.browser.get(f"/desk/incidents/{incident.id}")).status_code == 403
    assert not (await desk.browser.get("/desk/map?bbox=106,47,108,48.5")).json()["features"]


async def test_a_familys_call_for_help_stands_out(desk: Web) -> None:
    incident = await _incident(desk)
    async with desk.database.write() as session:
        session.add(
            IncidentEntry(
                incident_id=incident.id, at_us=NOW_US, what="home_answered", actor="contact 1",
                detail={"said": "help"},
            )
        )  # fmt: skip
    assert MN("answer help") in (await desk.browser.get("/desk")).text
    assert MN("answer help") in (await desk.browser.get("/desk/wall")).text


async def test_a_cut_says_what_hangs_on_it(desk: Web) -> None:
    async with desk.database.write() as session:
        session.add(
            FibreOutage(
                id="o", incident_id="cut", cause="trench:T1", confidence=0.9, opened_us=NOW_US,
                findings={"cameras": ["c1", "c2"], "homes": 14},
            )
        )  # fmt: skip
        session.add(
            Incident(
                id="cut", subject_kind="fibre", subject_id="o", site_id="шилэн", hazard="site",
                alarm_class="trouble", state="opened", raised_us=NOW_US, opened_us=NOW_US,
                unit_code="1116",
            )
        )  # fmt: skip
    page = (await desk.browser.get("/desk/incidents/cut")).text
    assert MN("What hangs on the cut") in page and "trench:T1" in page
    assert "<dd>2</dd>" in page and "<dd>14</dd>" in page


async def test_a_shift_is_handed_over_on_one_page(desk: Web) -> None:
    await _press(desk, "acknowledge")
    await _press(desk, "note", text="Дахин шалгах")
    await _press(desk, "resolve", seen=await _seen(desk), cause="real_fire", sure="true")
    page = (await desk.browser.get("/desk/handover?hours=8")).text
    assert LABEL in page and "Дахин шалгах" in page and MN("cause real_fire") in page


async def test_the_office_makes_a_link_on_paper_that_opens_the_home(desk: Web) -> None:
    desk.browser.cookies.clear()
    await desk.enter("clerk.one", "registrar")
    page = (await desk.browser.get(f"/home-links/{HOME}")).text
    token = re.search(r'name="csrf" value="([^"]+)"', page)[1]  # type: ignore[index]
    made = (await desk.browser.post(f"/home-links/{HOME}", data={"csrf": token})).text
    assert "data:image/svg+xml;base64," in made
    link = re.search(r"/home/in/[\w-]+", made)[0]  # type: ignore[index]
    assert (await desk.browser.post(link)).headers["location"] == "/home"
    assert MN("DANGER") in (await desk.browser.get("/home")).text


async def test_the_api_assigns_notes_links_and_closes_as_the_pages_do(desk: Web) -> None:
    incident = await _incident(desk)
    token = await desk.people.new_token("machine", ["duty", "registrar"], 1)
    head = {"Authorization": f"Bearer {token}"}
    person = await desk.somebody("duty.three", "duty")
    at = f"/api/v1/incidents/{incident.id}"
    given = await desk.browser.post(f"{at}/assign", json={"person_id": person}, headers=head)
    assert given.status_code == 200
    noted = await desk.browser.post(f"{at}/note", json={"text": "x"}, headers=head)
    assert noted.status_code == 200
    nobody = await desk.browser.post(f"{at}/assign", json={"person_id": "none"}, headers=head)
    assert nobody.status_code == 404
    home = f"/api/v1/households/{HOME}"
    link = (await desk.browser.post(f"{home}/home-link", headers=head)).json()["link"]
    assert (await desk.browser.post(link)).headers["location"] == "/home"
    closed = await desk.browser.delete(f"{home}/home-sessions", headers=head)
    assert closed.json() == {"closed": 1}
    assert (await desk.browser.get("/home")).headers["location"] == "/home/ask"
