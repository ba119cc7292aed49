"""One's own account on a page: password, second step, sessions; and an emergency that others see."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pyotp
import pytest

from tests.built import app_of
from tests.web.conftest import PASSWORD, Web

NEW = "a much longer battery staple"


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


async def _send(web: Web, path: str, **fields: str) -> httpx.Response:
    page = (await web.browser.get("/account")).text
    return await web.browser.post(path, data={"csrf": _csrf(page), **fields})


async def test_a_password_is_changed_and_the_old_session_is_worth_nothing(web: Web) -> None:
    await web.enter("clerk", "registrar")
    before = dict(web.browser.cookies)
    wrong = await _send(web, "/account/password", old="no", new=NEW, again=NEW)
    assert wrong.status_code == 422
    differ = await _send(web, "/account/password", old=PASSWORD, new=NEW, again=NEW + "x")
    assert differ.status_code == 422
    easy = await _send(web, "/account/password", old=PASSWORD, new="utaautaautaa", again="utaautaautaa")
    assert easy.status_code == 422
    done = await _send(web, "/account/password", old=PASSWORD, new=NEW, again=NEW)
    assert done.status_code == 303
    assert (await web.browser.get("/account")).status_code == 200
    transport = httpx.ASGITransport(app_of("pages", web.city, web.people))
    async with httpx.AsyncClient(
        transport=transport, base_url="https://utaa.test", cookies=before
    ) as old:
        assert (await old.get("/account")).status_code == 303


async def test_a_second_step_is_set_up_by_a_picture_and_its_codes_are_shown_once(web: Web) -> None:
    await web.enter("clerk", "registrar")
    page = (await _send(web, "/account/second-step")).text
    assert 'src="data:image/svg+xml' in page
    secret = re.search(r"<code>([A-Z2-7]{16,})</code>", page)
    assert secret is not None
    wrong = await _send(web, "/account/second-step/confirm", code="000000")
    assert wrong.status_code == 422
    code = pyotp.TOTP(secret.group(1)).at(web.city.clock.now_us() // 1_000_000)
    shown = await _send(web, "/account/second-step/confirm", code=code)
    codes = re.findall(r"<li><code>([^<]+)</code>", shown.text)
    assert len(codes) == 10
    later = (await web.browser.get("/account")).text
    assert not any(one in later for one in codes)
    assert "10" in later


async def test_another_browser_is_ended_and_one_page_ends_all_others(web: Web) -> None:
    await web.enter("clerk", "registrar")
    transport = httpx.ASGITransport(app_of("pages", web.city, web.people))
    async with httpx.AsyncClient(transport=transport, base_url="https://utaa.test") as other:
        form = {"login": "clerk", "password": PASSWORD, "next": "/"}
        await other.post("/signin", data=form)
        assert (await other.get("/account")).status_code == 200
        page = (await web.browser.get("/account")).text
        [session] = re.findall(r'name="session" value="([0-9a-f]{12})"', page)
        await _send(web, "/account/sessions", session=session)
        assert (await other.get("/account")).status_code == 303
        await other.post("/signin", data=form)
        await _send(web, "/account/sessions")
        assert (await other.get("/account")).status_code == 303
    assert (await web.browser.get("/account")).status_code == 200


async def test_an_emergency_is_above_every_page_of_those_in_charge_until_it_ends(web: Web) -> None:
    await web.enter("clerk", "registrar")
    short = await _send(web, "/account/emergency", role="duty", minutes="30", reason="because")
    assert short.status_code == 422
    reason = "the duty officer fell ill <b>tonight</b>"
    taken = await _send(web, "/account/emergency", role="duty", minutes="30", reason=reason)
    assert taken.status_code == 303
    html = {"Accept": "text/html"}
    assert "fell ill" not in (await web.browser.get("/cameras", headers=html)).text
    web.browser.cookies.clear()
    await web.enter("boss", "administrator")
    page = (await web.browser.get("/account?lang=en", headers=html)).text
    assert "Emergency access: clerk has the role duty officer" in page
    assert "&lt;b&gt;tonight" in page
    web.city.clock.advance(timedelta(minutes=31))
    assert "fell ill" not in (await web.browser.get("/account", headers=html)).text


@pytest.mark.parametrize("path", ["/account/password", "/account/sessions", "/account/second-step"])
async def test_nothing_changes_without_the_pages_own_token(web: Web, path: str) -> None:
    await web.enter("clerk", "registrar")
    fields = {"old": PASSWORD, "new": NEW, "again": NEW}
    assert (await web.browser.post(path, data=fields)).status_code == 403
