"""The technician's pages in a real browser: a label, no signal, a conflict, a test alarm."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from gateway.web.page import VENDOR
from gateway.web.words import words_for
from registry import editing
from registry.acts import Act
from registry.models import Detector
from registry.rights import CONSOLE
from tests.servers import missing, until
from tests.web.serve_work import (
    LOGIN,
    PASSWORD,
    QUIET,
    Field,
    field_city,
    label_film,
    label_picture,
    sign_in,
)
from utaa.servers import find_program

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
MN = words_for("mn")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
SCREENSHOTS = Path(os.environ.get("UTAA_SCREENSHOTS", "build/screenshots"))


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Field]:
    if not (VENDOR / "made").exists():
        pytest.skip("the packages of the pages are not installed: make setup")
    async with field_city(tmp_path) as served:
        yield served


@asynccontextmanager
async def _phone(
    folder: Path, city: Field, faults: list[str], *, width: int = 360, args: Sequence[str] = ()
) -> AsyncIterator[BrowserContext]:
    """A phone's browser whose storage outlives it."""
    program = find_program("chromium")
    if program is None:
        missing("Chromium is not installed: sudo apt-get install chromium")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            folder / "phone", executable_path=program, args=[*QUIET, *args],
            viewport={"width": width, "height": 640},
        )  # fmt: skip
        context.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((city.origin, "blob:", "data:"))
                else faults.append(f"foreign: {asked.url}")
            ),
        )
        yield context
        await context.close()


async def _serious(page: Page) -> list[str]:
    """The serious faults that axe-core finds."""
    if not AXE.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail("axe-core is not installed: scripts/assets")
        return []
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run()")
    return [
        f"{page.url} {one['id']}: {one['nodes'][0]['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


async def _fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    heights = await page.locator("main button:visible, main a.button:visible, .tabs a").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44, page.url


async def _shoot(page: Page, name: str) -> None:
    """A picture of every run, to be looked at; a build output."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"work-{name}.png", full_page=True)


async def _check_off(page: Page, place: str, photo: Path) -> None:
    """Everything of the checklist."""
    await page.fill("#commission [name=place]", place)
    await page.set_input_files("#c-file", photo)
    await expect(page.locator("#picture-state")).to_have_text(MN("work picture kept"))
    for name in ("signal", "battery"):
        await page.check(f"#commission [name={name}][value=good]")
    for name in ("siren_heard", "household_confirmed"):
        await page.check(f"#commission [name={name}]")


async def test_a_label_is_read_and_its_detector_commissioned_without_signal(
    city: Field, tmp_path: Path
) -> None:
    faults: list[str] = []
    async with _phone(tmp_path, city, faults) as phone:
        page = await phone.new_page()
        await sign_in(page, city.origin)
        await expect(page.locator(".job-now")).to_contain_text(MN("work reason lost"))
        await page.wait_for_function("caches.match('/field/').then(Boolean)")
        await page.wait_for_function("caches.match('/static/work-scan.js').then(Boolean)")
        await _fits(page)
        assert await _serious(page) == []
        await page.locator(".tabs a[href='#scan']").click()
        assert await _serious(page) == []
        await page.set_input_files("#label-file", label_picture(city, tmp_path / "label.png"))
        await expect(page.locator("#commission")).to_be_visible()
        await expect(page.locator(".big-values")).to_contain_text("21.4")
        await _fits(page)
        assert await _serious(page) == []
        assert not faults
        await city.cut()
        faults.clear()  # a browser reports each request that got no answer
        await page.reload()
        await expect(page.locator("#signal")).to_be_visible()
        await page.click("#commission-save")
        await expect(page.locator(".field-problem").first).to_have_text(MN("work missing"))
        await _check_off(page, "гал тогоо", label_picture(city, tmp_path / "photo.png"))
        await page.click("#commission-save")
        await expect(page.locator(".told")).to_have_text(MN("work kept"))
        await expect(page.locator("#count")).to_have_text("1")
    assert (await city.detector()).status == "planned"
    async with _phone(tmp_path, city, faults) as phone:  # closed and opened again, still without signal
        page = await phone.new_page()
        await page.goto(f"{city.origin}/field/#waiting")
        await expect(page.locator(".queue li")).to_have_attribute("data-state", "waiting")
        await _shoot(page, "waiting-mn")
        await city.connect()
        await phone.clear_cookies()  # the session ended meanwhile: the work waits for whoever did it
        await page.click("#send")
        await expect(page.locator(".told")).to_contain_text(MN("work sign in again"))
        await sign_in(page, city.origin)
        await page.goto(f"{city.origin}/field/#waiting")
        await expect(page.locator(".empty")).to_contain_text(MN("work queue empty"))
        assert (await city.detector()).status == "in_service"
        assert (await city.detector()).place == "гал тогоо"
        await page.goto(f"{city.origin}/field/?lang=en#d/d-new")
        await expect(page.locator(".spot .state").first).to_have_text("In service")
        assert await _serious(page) == []


async def test_the_camera_reads_a_label(city: Field, tmp_path: Path) -> None:
    faults: list[str] = []
    film = label_film(city, tmp_path / "label.y4m")
    camera = [
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]  # fmt: skip
    async with _phone(tmp_path, city, faults, args=camera) as phone:
        page = await phone.new_page()
        await sign_in(page, city.origin)
        await page.locator(".tabs a[href='#scan']").click()
        await page.click("#camera")
        await expect(page.locator("#commission")).to_be_visible(timeout=30_000)
        assert page.url.endswith(f"#d/{city.label}")
        assert not faults


async def test_a_conflict_is_shown_and_chosen(city: Field, tmp_path: Path) -> None:
    faults: list[str] = []
    async with _phone(tmp_path, city, faults) as phone:
        page = await phone.new_page()
        await sign_in(page, city.origin)
        await page.locator(".job", has_text=MN("work reason planned")).click()
        await expect(page.locator("#commission")).to_be_visible()
        await city.cut()
        await _check_off(page, "гал тогоо", label_picture(city, tmp_path / "photo.png"))
        await page.click("#commission-save")
        await expect(page.locator(".told")).to_have_text(MN("work kept"))
        async with city.city.database.write() as session:
            detector = await session.get_one(Detector, "d-new")
            act = Act(CONSOLE, city.city.clock.now_us())
            await editing.change(session, act, detector, {"place": "амбаар"})
        await city.connect()
        await page.locator(".tabs a[href='#waiting']").click()
        await page.click("#send")
        shown = page.locator(".queue li[data-state=conflict]")
        await expect(shown.locator(".panel").nth(0)).to_contain_text("амбаар")
        await expect(shown.locator(".panel").nth(1)).to_contain_text("гал тогоо")
        await _fits(page)
        assert await _serious(page) == []
        await _shoot(page, "conflict-mn")
        assert (await city.detector()).status == "planned"  # nothing was swallowed
        await shown.get_by_text(MN("work take mine")).click()
        await expect(page.locator(".empty")).to_be_visible()
        assert (await city.detector()).place == "гал тогоо"


async def test_the_test_alarm_is_the_technicians_alone_and_a_real_one_is_not(
    city: Field, tmp_path: Path
) -> None:
    faults: list[str] = []
    async with _phone(tmp_path, city, faults) as phone:
        page = await phone.new_page()
        await sign_in(page, city.origin, "en")
        await page.goto(f"{city.origin}/field/#scan")
        await page.fill("#code", city.label[:-1] + ("0" if city.label[-1] != "0" else "1"))
        await page.press("#code", "Enter")
        await expect(page.locator("#scan-problem")).to_have_text("This code is no label of Utaa.")
        await page.fill("#code", f"{city.label[:3]}-{city.label[3:].lower()}")
        await page.press("#code", "Enter")
        await page.click("#test-start")
        trial = page.locator("#trial")
        await expect(trial).to_have_attribute("data-state", "waiting")
        await city.site_answers()
        await expect(trial).to_have_attribute("data-state", "ready")
        assert await city.alarm("d-new", test=True) == 0  # nobody of the home is told
        await expect(trial).to_have_attribute("data-state", "heard")
        assert await _serious(page) == []
        await _shoot(page, "test-en")
        assert await city.alarm("d-smoke", test=False) > 0  # and of this one everybody
        await expect(page.locator(".notice-alarm")).to_have_text(
            "A real alarm. The family is being told."
        )
        await page.click("#test-end")
        await until(lambda: city.sent[-1].action == "end_test", "the site is told that it is over")
        assert not faults


async def test_it_stays_on_the_phone_of_whoever_signed_in(city: Field, tmp_path: Path) -> None:
    faults: list[str] = []
    async with _phone(tmp_path, city, faults, width=1366) as phone:
        page = await phone.new_page()
        await page.goto(f"{city.origin}/field")
        assert page.url.startswith(f"{city.origin}/signin?next=")
        await sign_in(page, city.origin)
        assert await page.evaluate("indexedDB.databases().then(all => all.length)") == 1
        await page.wait_for_function("caches.match('/field/').then(Boolean)")
        await page.locator(".doors form button").click()
        await page.wait_for_url("**/signin*")
        assert not await page.evaluate("caches.match('/field/').then(Boolean)")
        kept = """new Promise((done) => { const asked = indexedDB.open("utaa-work");
          asked.onsuccess = () => {
            const cards = asked.result.transaction("cards").objectStore("cards");
            cards.count().onsuccess = (counted) => done(counted.target.result); }; })"""
        assert await page.evaluate(kept) == 0
        assert not faults


async def test_the_first_page_is_small(city: Field) -> None:
    import httpx

    async with httpx.AsyncClient(base_url=city.origin, follow_redirects=True) as browser:
        await browser.post("/signin", data={"login": LOGIN, "password": PASSWORD, "next": "/field/"})
        scripts = ("work", "work-store", "work-send", "work-scan", "work-detector", "vendor/idb")
        parts = [
            "/field/", "/static/style.css", "/static/parts.css", "/static/work.css", "/static/icon.svg",
            *(f"/static/{name}.js" for name in scripts),
        ]  # fmt: skip
        answers = [await browser.get(part) for part in parts]
    assert all(answer.status_code == 200 for answer in answers)
    assert sum(len(gzip.compress(answer.content)) for answer in answers) <= 100_000
