"""The officer's pages of cameras: the list, the form, the record and what it refuses."""

from __future__ import annotations

import re
from typing import Any

import httpx
from sqlalchemy import insert, select

from gateway.web.words import words_for
from registry.cameras.models import Camera
from registry.models import Detector, LifeStep, Site
from tests.web.conftest import Web

MN = words_for("mn")


def hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, f"no field {name}"
    return found[1]


async def _cameras(web: Web, *rows: dict[str, Any]) -> None:
    plain = {"state": "active", "created_us": 1, "unit_code": "1125", "lat": 47.9, "lon": 106.9}
    async with web.database.write() as session:
        for row in rows:
            session.add(Camera(**{**plain, **row}))


async def _post(web: Web, form_at: str, to: str, **values: str) -> httpx.Response:
    page = await web.browser.get(form_at)
    known = {name: hidden(page, name) for name in ("csrf", "version") if f'name="{name}"' in page.text}
    return await web.browser.post(to, data={**known, **values})


async def _camera(web: Web, ident: str) -> Camera:
    async with web.database.read() as session:
        return await session.get_one(Camera, ident)


async def test_the_list_is_filtered_by_its_address_and_found_in_any_spelling(web: Web) -> None:
    await web.enter("officer", "registrar")
    await _cameras(
        web,
        {"id": "a", "number": "DK-1", "name": "Өргөө уулзвар"},
        {"id": "b", "number": "DK-2", "name": "Сургууль", "state": "faulty", "lon": 107.5},
    )
    both = await web.browser.get("/cameras")
    assert "DK-1" in both.text and "DK-2" in both.text
    faulty = (await web.browser.get("/cameras?state=faulty")).text
    form = "q=&state=faulty&unit=&organisation=&bbox="  # a browser's form sends what is empty too
    assert "DK-2" in (await web.browser.get(f"/cameras?{form}")).text
    assert "DK-2" in faulty and "DK-1" not in faulty
    assert "DK-1" in (await web.browser.get("/cameras", params={"q": "оргоо"})).text
    window = (await web.browser.get("/cameras?bbox=106.8,47.8,107,48")).text
    assert "DK-1" in window and "DK-2" not in window
    none = (await web.browser.get("/cameras?q=zzzz")).text
    assert MN("Nothing fits the filter.") in none
    part = await web.browser.get("/cameras?state=faulty", headers={"HX-Request": "true"})
    assert "<html" not in part.text and "DK-2" in part.text


async def test_the_list_goes_on_page_by_page_and_counts(web: Web) -> None:
    await web.enter("officer", "registrar")
    await _cameras(web, *({"id": f"c{n}", "number": f"K-{n:03}"} for n in range(60)))
    first = (await web.browser.get("/cameras")).text
    assert MN("Cameras: {count}", count="60") in first
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = (await web.browser.get(following[1].replace("&amp;", "&"))).text
    assert "K-059" in second and "K-010" not in second


async def test_a_list_is_kept_under_a_name_and_forgotten(web: Web) -> None:
    await web.enter("officer", "registrar")
    kept = await _post(web, "/cameras?state=faulty", "/cameras/views", name="Гэмтсэн", state="faulty")
    assert kept.headers["location"] == "/cameras?state=faulty"
    page = await web.browser.get("/cameras")
    assert "Гэмтсэн" in page.text and 'href="/cameras?state=faulty"' in page.text
    forget = re.search(r'action="(/cameras/views/[^"]+/forget)"', page.text)
    assert forget
    await _post(web, "/cameras", forget[1])
    assert "Гэмтсэн" not in (await web.browser.get("/cameras")).text


async def test_who_has_no_right_is_told_so_in_words_and_a_visitor_signs_in_first(web: Web) -> None:
    away = await web.browser.get("/cameras?state=faulty")
    assert away.headers["location"] == "/signin?next=%2Fcameras%3Fstate%3Dfaulty"
    await web.enter("dispatch", "dispatch")
    refused = await web.browser.get("/cameras")
    assert refused.status_code == 403
    assert MN("You have no right to see this.") in refused.text


async def test_a_bounded_officer_sees_only_their_own_district(web: Web) -> None:
    await _cameras(
        web, {"id": "a", "number": "IN-1"}, {"id": "b", "number": "OUT-1", "unit_code": "1116"}
    )
    await web.enter("officer", "registrar", "1125")
    page = (await web.browser.get("/cameras")).text
    assert "IN-1" in page and "OUT-1" not in page
    assert (await web.browser.get("/cameras/b")).status_code == 403
    assert (await web.browser.get("/cameras/b/edit")).status_code == 403


async def test_a_form_keeps_what_was_typed_and_says_at_the_field_what_is_wrong(web: Web) -> None:
    await web.enter("officer", "registrar")
    answer = await _post(
        web, "/cameras/new", "/cameras/new", number="DK-7", name="Шинэ", lat="149", height_m="өндөр"
    )
    assert answer.status_code == 422
    assert 'value="Шинэ"' in answer.text and 'value="149"' in answer.text
    assert 'value="өндөр"' in answer.text
    assert MN("Expected at most {limit}.", limit="90.0") in answer.text
    assert MN("Expected a number.") in answer.text
    assert 'aria-describedby="p-lat h-lat"' in answer.text


async def test_a_decimal_comma_is_a_number(web: Web) -> None:
    await web.enter("officer", "registrar")
    made = await _post(web, "/cameras/new", "/cameras/new", number="DK-8", lat="47,91", lon="106,9")
    assert made.status_code == 303
    assert (await _camera(web, made.headers["location"].rsplit("/", 1)[1])).lat == 47.91


async def test_a_number_that_is_taken_names_its_holder_and_a_near_one_is_asked_about(web: Web) -> None:
    await web.enter("officer", "registrar")
    await _cameras(web, {"id": "a", "number": "DK-1", "azimuth_deg": 90.0})
    taken = await _post(web, "/cameras/new", "/cameras/new", number="DK-1")
    assert taken.status_code == 422
    assert MN("Camera {number} has this already.", number="DK-1") in taken.text
    near = {"number": "ZZ-55", "lat": "47.90001", "lon": "106.9", "azimuth_deg": "95"}
    asked = await _post(web, "/cameras/new", "/cameras/new", **near)
    assert asked.status_code == 422
    assert MN("Perhaps it is in the register already.") in asked.text
    assert 'href="/cameras/a"' in asked.text and 'value="ZZ-55"' in asked.text
    sure = await _post(web, "/cameras/new", "/cameras/new", **near, sure="yes")
    assert sure.status_code == 303


async def test_a_faster_change_shows_both_versions_and_keeps_the_typed_one(web: Web) -> None:
    await web.enter("officer", "registrar")
    made = await _post(web, "/cameras/new", "/cameras/new", number="DK-1", name="first")
    at = made.headers["location"]
    form = await web.browser.get(f"{at}/edit")
    await _post(web, f"{at}/edit", f"{at}/edit", number="DK-1", name="faster")
    old = {"csrf": hidden(form, "csrf"), "version": hidden(form, "version")}
    conflict = await web.browser.post(f"{at}/edit", data={**old, "number": "DK-1", "name": "mine"})
    assert conflict.status_code == 409
    assert MN("Somebody changed it meanwhile.") in conflict.text
    for version in ("first", "faster", "mine"):
        assert version in conflict.text
    newest = {"csrf": old["csrf"], "version": hidden(conflict, "version")}
    saved = await web.browser.post(f"{at}/edit", data={**newest, "number": "DK-1", "name": "mine"})
    assert saved.status_code == 303
    assert (await _camera(web, at.rsplit("/", 1)[1])).name == "mine"


async def test_an_unsafe_form_without_its_token_changes_nothing(web: Web) -> None:
    await web.enter("officer", "registrar")
    answer = await web.browser.post("/cameras/new", data={"number": "DK-1"})
    assert answer.status_code == 403
    async with web.database.read() as session:
        assert await session.scalar(select(Camera.id)) is None


async def test_a_step_asks_for_its_proofs_and_what_is_missing_of_the_record(web: Web) -> None:
    await web.enter("officer", "registrar")
    await _cameras(web, {"id": "a", "number": "DK-1"})
    step = "/cameras/a/steps/break"
    missing = await _post(web, "/cameras/a", step, found_on="", fault="no_power")
    assert missing.status_code == 422 and MN("This is needed.") in missing.text
    done = await _post(web, "/cameras/a", step, found_on="2000-01-01", fault="no_power")
    assert done.status_code == 303
    page = (await web.browser.get("/cameras/a")).text
    assert MN.of("camera state", "faulty") in page and MN.of("proof word", "no_power") in page
    async with web.database.read() as session:
        assert await session.scalar(select(LifeStep.to_state)) == "faulty"
    retired = await _post(
        web, "/cameras/a", "/cameras/a/steps/retire", removed_on="2000-01-01", recordings="kept"
    )
    assert retired.status_code == 422  # a reason is asked for
    assert (await _camera(web, "a")).state == "faulty"


async def test_whoever_only_looks_has_no_form(web: Web) -> None:
    await _cameras(web, {"id": "a", "number": "DK-1"})
    await web.enter("viewer", "approver")
    page = (await web.browser.get("/cameras/a")).text
    assert "/cameras/a/edit" not in page and "/steps/" not in page
    assert (await web.browser.get("/cameras/a/edit")).status_code == 403


async def test_a_label_is_a_document_and_leads_to_the_record(web: Web) -> None:
    await web.enter("officer", "registrar")
    await _cameras(web, {"id": "a", "number": "DK-1"})
    sheet = await _post(web, "/cameras/a", "/cameras/a/label")
    assert sheet.headers["content-type"] == "application/pdf" and sheet.content[:5] == b"%PDF-"


async def test_a_detectors_page_shows_its_life_and_last_values_and_no_address(web: Web) -> None:
    await web.enter("officer", "registrar")
    async with web.database.write() as session:
        session.add(Site(id="s1", title="Цэг", unit_code="1125", created_us=1))
        await session.flush()
        await session.execute(
            insert(Detector),
            [{"id": "d1", "site_id": "s1", "source": "native", "address": "0a12", "place": "зуух"}],
        )
    page = await web.browser.get("/detectors/d1")
    assert page.status_code == 200
    assert "зуух" in page.text and MN.of("detector state", "unregistered") in page.text
    assert (await web.browser.get("/detectors/none")).status_code == 404
