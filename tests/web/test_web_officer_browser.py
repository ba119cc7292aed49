"""Cameras as list and map, and an import repaired in place, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright, expect

from gateway.web.page import VENDOR
from registry.cameras.models import Camera
from tests.e2e.test_e2e_page import QUIET
from tests.servers import missing
from tests.web.conftest import PASSWORD, Web
from tests.web.test_web_officer_works import TABLE
from utaa.servers import find_program

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@asynccontextmanager
async def _open(web: Web, faults: list[str]) -> AsyncIterator[Page]:
    program = find_program("chromium")
    if program is None:
        missing("Chromium is not installed: sudo apt-get install chromium")
    app = web.browser._transport.app  # type: ignore[attr-defined]  # the very one the fixture made
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=program, args=QUIET)
        page = await running.new_page(viewport={"width": 1366, "height": 768}, base_url=url)
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith((url, "data:", "blob:"))
                else faults.append(f"foreign: {asked.url}"))  # fmt: skip
        await web.somebody("officer", "registrar")
        await page.goto("/signin")
        await page.fill("input[name=login]", "officer")
        await page.fill("input[name=password]", PASSWORD)
        await page.click(".sheet button")
        faults.clear()  # the first page belongs to others
        yield page
        await running.close()
    server.should_exit = True
    await serving


async def test_the_list_follows_the_map_and_a_row_shows_on_it(web: Web) -> None:
    if not (VENDOR / "made").exists():
        pytest.skip("the packages of the pages are not installed: make setup")
    async with web.database.write() as session:
        for number, lon in (("W-1", 106.8), ("E-1", 107.2)):
            session.add(
                Camera(id=number, number=number, lat=47.9, lon=lon, state="active", created_us=1)
            )
    faults: list[str] = []
    async with _open(web, faults) as page:
        await page.goto("/cameras")
        await expect(page.locator("#map[data-shown='2']")).to_be_attached()
        await page.hover("tr[data-id='W-1']")
        await expect(page.locator("tr.row-on")).to_have_attribute("data-id", "W-1")
        await page.hover("#map")
        await page.mouse.down()
        await page.mouse.up()
        await page.evaluate("document.getElementById('map').map.setView([47.9, 106.8], 14)")
        await expect(page.locator("tr[data-id='E-1']")).to_have_count(0)
        await expect(page.locator("tr[data-id='W-1']")).to_have_count(1)
        assert "bbox=" in page.url
    assert not faults


async def test_an_import_is_repaired_in_its_table(web: Web, tmp_path: Path) -> None:
    file = tmp_path / "cameras.csv"
    file.write_text(TABLE, encoding="utf-8")
    faults: list[str] = []
    async with _open(web, faults) as page:
        await page.goto("/imports")
        await page.set_input_files("#f-file", str(file))
        await page.click(".form .button-main")
        cell = page.locator("td.cell-wrong input[type=text]")
        await expect(cell).to_have_value("149.48")
        await cell.fill("47.92")
        await page.locator("form .button-main", has_text="дахин шалгах").click()
        await page.locator("form .button-main", has_text="Бүх мөрийг авах").click()
        await expect(page.locator(".notice-ok")).to_be_visible()
        await page.goto("/cameras")
        await expect(page.locator("tr[data-id]")).to_have_count(2)
    assert not faults
