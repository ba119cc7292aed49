"""Every page in a real browser: nothing serious for axe-core, nothing cut off, no error, no stranger.

The soak takes every page in both sizes, both schemes of colour and both languages, and leaves pictures
in ``build/screenshots/pages``; ``make test`` takes a few, each in another way.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from gateway.web.words import words_for
from tests.e2e.test_e2e_home_desk import _axe
from tests.e2e.test_e2e_page import QUIET, SCREENSHOTS, SIZES
from tests.servers import missing
from utaa.bench.pages import Served, context_of, serve, signed_in
from utaa.bench.report import Teller
from utaa.servers import find_program

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
MN = words_for("mn")
WAYS = tuple(product(SIZES, ("light", "dark"), ("mn", "en")))
#: In make test: name of the page, and how it is looked at.
FEW = (
    ("cameras", ("phone", "dark", "mn")), ("camera", ("desk", "dark", "en")),
    ("trace", ("phone", "light", "en")), ("home", ("phone", "dark", "mn")),
    ("works", ("desk", "dark", "mn")), ("audit", ("phone", "light", "en")),
)  # fmt: skip


@asynccontextmanager
async def _city(folder: Path) -> AsyncIterator[tuple[Served, Browser]]:
    program = find_program("chromium")
    if program is None:
        missing("Chromium is not installed: sudo apt-get install chromium")
    async with serve(folder, 0, Teller()) as served, signed_in(served), async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, args=QUIET)
        yield served, browser
        await browser.close()


async def _page(browser: Browser, served: Served, way: tuple[str, str, str], faults: list[str]) -> Page:
    size, scheme, language = way
    width, height = SIZES[size]
    wishes: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
    context = await context_of(browser, served, {"width": width, "height": height}, **wishes)
    await context.add_cookies([{"name": "utaa_language", "value": language, "url": served.origin}])
    page: Page = await context.new_page()
    page.on("console", lambda said: faults.append(f"{page.url}: {said.text}")
            if said.type == "error" else None)  # fmt: skip
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("request", lambda asked: None if asked.url.startswith((served.origin, "data:", "blob:"))
            else faults.append(f"foreign: {asked.url}"))  # fmt: skip
    return page


async def _look(page: Page, served: Served, path: str, size: str, picture: Path | None) -> list[str]:
    await page.goto(served.origin + path, wait_until="load")
    wide = await page.evaluate("document.documentElement.scrollWidth")
    found = [] if wide <= SIZES[size][0] else [f"{path} is {wide} px wide on the {size}"]
    if picture is not None:
        await page.wait_for_timeout(600)  # the map draws
        await page.screenshot(path=picture, full_page=True)
    return found + await _axe(page)


async def test_some_pages_each_in_another_way(tmp_path: Path) -> None:
    faults: list[str] = []
    async with _city(tmp_path) as (served, browser):
        every = served.city.every()
        for name, way in FEW:
            page = await _page(browser, served, way, faults)
            faults += await _look(page, served, every[name], way[0], None)
            await page.context.close()
        page = await _page(browser, served, ("desk", "light", "mn"), faults)
        await _a_click_on_the_map_says_who_hangs_there(page, served)
        await page.goto(f"{served.origin}/cameras/{served.city.camera}")
        await expect(page.locator(".way .hop-strand").first).to_contain_text("хөх")
        await _keys_alone_are_enough(page, served)
    assert not faults, "\n".join(faults)


_FOCUSED = """() => {
  const one = document.activeElement;
  return [getComputedStyle(one).outlineStyle, one.textContent.trim() || one.name || one.id || ""];
}"""


async def _tab_to(page: Page, wanted: str) -> None:
    """Press Tab until it is there; everything on the way shows that it is in focus."""
    said = []
    for _ in range(60):
        await page.keyboard.press("Tab")
        outline, text = await page.evaluate(_FOCUSED)
        assert outline != "none", f"{page.url}: {text} does not show that it is in focus"
        said.append(text)
        if text.startswith(wanted):
            return
    raise AssertionError(f"{page.url}: no way to {wanted} by keys: {said}")


async def _keys_alone_are_enough(page: Page, served: Served) -> None:
    await page.goto(served.origin + "/cameras")
    await _tab_to(page, MN("Skip to the content"))
    await page.keyboard.press("Enter")
    await _tab_to(page, "q")
    await page.keyboard.type("DK-0003")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/cameras?q=DK-0003*")
    await expect(page.locator("tr[data-id]")).to_have_count(1)
    await page.goto(f"{served.origin}/desk/incidents/{served.city.incident}")
    await _tab_to(page, MN("Acknowledge"))
    await page.keyboard.press("Enter")
    await expect(page.locator(".case-banner")).to_contain_text(MN("incident acknowledged"))
    await page.goto(served.origin + "/home")
    await _tab_to(page, MN("We are safe"))
    await page.keyboard.press("Enter")
    await expect(page.locator(".said").first).to_be_visible()


async def _answer_in_an_old_browser(browser: Browser, served: Served) -> None:
    context = await browser.new_context(
        java_script_enabled=False, viewport={"width": 240, "height": 320}
    )
    page: Page = await context.new_page()

    async def old(route: Route) -> None:
        style = (await (await route.fetch()).text()).replace("display: grid", "display: block")
        style = re.sub(r"display: (inline-)?flex", "display: block", style)
        style = re.sub(r"[a-z-]+: [^;{}]*(?:var|color-mix|min|max)\([^;{}]*;", "", style)
        await route.fulfill(body=style, content_type="text/css")

    await page.route("**/*.css", old)
    await page.goto(served.origin + served.city.answer)
    await page.screenshot(path=SCREENSHOTS / "answer-old-browser.png", full_page=True)
    await page.locator("main button").click()
    await page.wait_for_load_state("load")
    await expect(page.locator("main")).to_contain_text(MN("Somebody has answered. Thank you."))
    call = await page.locator("a[href='tel:101']").bounding_box()
    assert call and call["x"] >= 0 and call["x"] + call["width"] <= 240 and call["height"] >= 44
    await context.close()


#: Where the middle of the ground that is cut lies on the screen.
_CUT = """() => {
  const element = document.getElementById("map");
  let found = null;
  element.map.eachLayer((layer) => { if (layer.feature?.properties.cut) found = layer; });
  const box = element.getBoundingClientRect();
  const at = element.map.latLngToContainerPoint(found.getCenter());
  return [box.x + at.x, box.y + at.y];
}"""


async def _a_click_on_the_map_says_who_hangs_there(page: Page, served: Served) -> None:
    await page.goto(served.origin + "/fibre")
    await expect(page.locator("#map[data-drawn]")).to_be_attached()
    x, y = await page.evaluate(_CUT)
    await page.mouse.click(x, y)
    await page.wait_for_url("**/fibre?element=*T-2")
    assert await page.locator(".panel .lines a").count() == 8
    await page.screenshot(path=SCREENSHOTS / "fibre-impact.png", full_page=True)


async def test_an_old_browser_answers(tmp_path: Path) -> None:
    """No script, no grid, no flex, no custom properties: the page behind a message's link."""
    async with _city(tmp_path) as (served, browser):
        await _answer_in_an_old_browser(browser, served)


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS, ids="-".join)
async def test_every_page(way: tuple[str, str, str], tmp_path: Path) -> None:
    folder = SCREENSHOTS / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    only = os.environ.get("UTAA_PAGES", "").split()
    async with _city(tmp_path) as (served, browser):
        page = await _page(browser, served, way, faults)
        for name, path in served.city.every().items():
            if not only or name in only:
                picture = folder / f"{name}-{'-'.join(way)}.png"
                faults += await _look(page, served, path, way[0], picture)
    assert not faults, "\n".join(faults)
