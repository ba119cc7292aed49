"""The first page in a real browser: it turns red by itself, at a phone's and a desk's size."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from edge.wire.topics import detector_topic
from tests.e2e.house import House, house
from tests.servers import SmtpServer, missing
from utaa.servers import find_program

pytestmark = [pytest.mark.servers, pytest.mark.browser, pytest.mark.timeout(180)]

#: Chromium asks its makers for updates unless told otherwise; here it may ask nobody.
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SIZES = {"phone": (360, 640), "desk": (1366, 768)}
WORDS = {
    "mn": ("Бүх зүйл хэвийн", "Одоо 1 айл аюулд байна", "Гал"),
    "en": ("All quiet", "Homes in danger now: 1", "Fire"),
}
#: Pictures of every run, to be looked at; a build output.
SCREENSHOTS = Path(os.environ.get("UTAA_SCREENSHOTS", "build/screenshots"))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    program = find_program("chromium")
    if program is None:
        missing("Chromium is not installed: sudo apt-get install chromium")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=program, args=QUIET)
        yield running
        await running.close()


async def _open(browser: Browser, url: str, size: str, language: str, faults: list[str]) -> Page:
    width, height = SIZES[size]
    page = await browser.new_page(viewport={"width": width, "height": height})
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(url) else faults.append(f"foreign: {asked.url}"),
    )
    await page.goto(f"{url}/?lang={language}")
    return page


async def test_the_page_turns_red_by_itself_at_any_size_in_both_languages(
    tmp_path: Path, smtp: SmtpServer, browser: Browser
) -> None:
    async with house(tmp_path, smtp) as home:
        faults: list[str] = []
        pages = {
            (size, language): await _open(browser, home.box.url, size, language, faults)
            for size in SIZES
            for language in WORDS
        }
        for (_, language), page in pages.items():
            await expect(page.locator(".band strong")).to_have_text(WORDS[language][0])
        await _fire(home, burning=True)
        for (size, language), page in pages.items():
            await expect(page.locator(".band strong")).to_have_text(WORDS[language][1])
            await expect(page.locator(".card-alarm .state").first).to_contain_text(WORDS[language][2])
            await expect(page.locator("#live")).to_have_text({"mn": "шууд", "en": "live"}[language])
            await _fits(page, size)
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=SCREENSHOTS / f"overview-{size}-{language}.png", full_page=True)
        assert not faults


async def _fire(home: House, *, burning: bool) -> None:
    reading = {"smoke_alarm": burning, "optical_density_db_m": 1.5 if burning else 0.0}
    await home.publish(detector_topic("smoke-1", "reading"), json.dumps(reading))


async def _fits(page: Page, size: str) -> None:
    """Nothing is cut off at the side, and what is to be touched is large enough to touch."""
    width = SIZES[size][0]
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    heights = await page.locator("nav a, summary, button").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().height)"
    )
    assert heights
    assert min(heights) >= 44
