"""Every page in a real browser: nothing serious for axe-core, nothing cut off, no error, no stranger.

The soak takes every page in both sizes, both schemes of colour and both languages, and leaves pictures
in ``build/screenshots/pages``; ``make test`` takes a few, each in another way.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.test_e2e_home_desk import _axe
from tests.e2e.test_e2e_page import QUIET, SCREENSHOTS, SIZES
from tests.servers import missing
from utaa.bench.pages import Served, context_of, serve, signed_in
from utaa.bench.report import Teller
from utaa.servers import find_program

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
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
    assert not faults, "\n".join(faults)


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
