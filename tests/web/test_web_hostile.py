"""Whatever is written into whatever field, a page shows it as text; made from the API's description."""

from __future__ import annotations

import re
import secrets
from typing import Any

import httpx
import pytest
from playwright.async_api import Route, async_playwright

from gateway.door import needs_of
from registry.rights import GRANTABLE
from tests.built import app_of
from tests.servers import missing
from tests.web.conftest import Web
from utaa.servers import find_program

#: Breaks out of an attribute and of a text, and tells if it runs.
SCRIPT = "\"><img src=x onerror=window.hit=1>'-window.hit"
RAW = "<img src=x onerror"
#: Fields whose value is no text of anybody's own: what the made city knows.
KNOWN = {
    "site_id": "s1", "id": "s1", "unit_code": "111664", "language": "mn", "lat": 47.9, "lon": 106.9,
    "register_number": "1234567", "roles": "duty", "channels": "email", "role": "duty",
    "from_on": "2026-01-01", "until_on": "2026-12-01", "valid_until": "2026-12-01",
    "rule": "short_retention", "paper": "3x8-70x37", "mac": "3c:ef:8c:01:02:03", "ip": "10.1.2.3",
}  # fmt: skip
MAX_PAGES = 40


def _value(
    schema: dict[str, Any], parts: dict[str, Any], plain: set[str], path: str, made: dict[str, str]
) -> Any:
    """Something that fits the schema; a free text is the script, unless the field is to be plain."""
    while "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            best = next(one for one in schema[several] if one.get("type") != "null")
            return _value(best, parts, plain, path, made)
    if "enum" in schema or "const" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    name = path.rpartition(".")[2]
    match schema.get("type"):
        case "object":
            return {
                name: _value(inner, parts, plain, f"{path}.{name}", made)
                for name, inner in schema.get("properties", {}).items()
                if f"{path}.{name}" not in plain or name in schema.get("required", ())
            }
        case "array":
            wanted = schema.get("minItems", 1)
            return [
                _value(schema.get("items", {}), parts, plain, path, made) for _ in range(max(1, wanted))
            ]
        case "integer" | "number":
            return KNOWN.get(name, schema.get("minimum", 1))
        case "boolean":
            return False
        case "string" if name in KNOWN or name in made:
            return made.get(name) or KNOWN[name]
        case "string" if schema.get("format") == "date":
            return "2026-06-01"
        case "string" if path in plain or "pattern" in schema or "format" in schema:
            return (schema.get("examples") or ["abc-1"])[0]
    return SCRIPT[: schema.get("maxLength", 200)] if schema.get("type") == "string" else {}


async def _plant(web: Web, client: httpx.AsyncClient) -> set[str]:
    """Write the script wherever the API takes it; the addresses that took it."""
    described = app_of("pages", web.city, web.people).openapi()
    parts, taken, made = described["components"]["schemas"], set[str](), dict[str, str]()
    first = sorted(described["paths"].items(), key=lambda one: "organisations" not in one[0])
    for path, methods in first:
        body = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if body is None or "{" in path or path.endswith(("/setup", "/session")):
            continue
        plain: set[str] = set()
        for _ in range(5):  # what a field refuses is taken out or made plain, field by field
            answer = await client.post(path, json=_value(body["schema"], parts, plain, ".body", made))
            if answer.status_code < 300:
                taken.add(path)
                kind = path.rpartition("/")[2].removesuffix("s")
                made[f"{kind}_id"] = str(answer.json().get("id", ""))
            if answer.status_code not in (409, 422):
                break
            said = answer.json().get("errors") or []
            refused = {re.sub(r"\.\d+", "", "." + str(one.get("field", ""))) for one in said}
            if not refused - plain:
                break
            plain |= refused
    return taken


async def _crawl(web: Web) -> dict[str, str]:
    """Every page that is reached from the pages of the house, by address."""
    app = app_of("pages", web.city, web.people)
    waiting = [
        path for method, path, found in needs_of(app)
        if method == "GET" and found and "{" not in path
        and not path.endswith(("changes", ".js", "metrics")) and not path.startswith(("/api", "/home"))
    ]  # fmt: skip
    pages: dict[str, str] = {}
    while waiting and len(pages) < MAX_PAGES:
        address = waiting.pop(0)
        if address in pages:
            continue
        answer = await web.browser.get(address)
        if answer.headers.get("content-type", "").startswith("text/html"):
            pages[address] = answer.text
            waiting += [one for one in re.findall(r'href="(/[^"#]*)"', answer.text) if one not in pages]
    return pages


@pytest.fixture
async def planted(web: Web) -> Web:
    web.city.khur, web.city.troubles = None, {}
    token = await web.people.new_token("test", GRANTABLE, 1)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(
            app_of("pages", web.city, web.people), raise_app_exceptions=False
        ),
        base_url="https://utaa.test", headers={"Authorization": f"Bearer {token}"},
    ) as client:  # fmt: skip
        taken = await _plant(web, client)
    assert len(taken) >= 8, taken
    app_of("pages", web.city, web.people)
    await web.people.new_person("boss", "correct horse battery", GRANTABLE)
    await web.sign_in("boss")
    return web


async def test_a_script_in_every_field_is_text_on_every_page_and_runs_in_none(planted: Web) -> None:
    program = find_program("chromium")
    pages = await _crawl(planted)
    assert len(pages) >= 12
    shown = [address for address, text in pages.items() if "onerror=window.hit" in text]
    assert len(shown) >= 3, "the script is on no page at all: nothing was tried"
    assert [address for address, text in pages.items() if RAW in text] == []
    if program is None:
        missing("Chromium is not installed: sudo apt-get install chromium")

    async def serve(route: Route) -> None:
        asked = route.request
        answer = await planted.browser.request(asked.method, asked.url)
        headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
        await route.fulfill(status=answer.status_code, headers=headers, body=answer.content)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.route("**/changes", lambda route: route.abort())
        await page.route(re.compile(r"^https://utaa\.test/(?!.*changes)"), serve)
        for address in shown[:5]:
            await page.goto(f"https://utaa.test{address}", wait_until="load")
            assert await page.evaluate("window.hit") is None, address
        await browser.close()


async def test_a_script_in_a_query_or_path_is_not_sent_back(web: Web) -> None:
    app = app_of("pages", web.city, web.people)
    await web.enter("boss", "administrator")
    web.city.khur, web.city.troubles = None, {}
    routes = [
        path for method, path, found in needs_of(app)
        if method == "GET" and found and not path.endswith("changes") and not path.startswith("/api")
    ]  # fmt: skip
    lenient = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(
        transport=lenient, base_url="https://utaa.test", cookies=web.browser.cookies
    )  # fmt: skip
    names = ("q", "next", "lang", "cursor", "unit", "sort", "label", "kind", "state", "day", "page")
    for path in routes:
        filled = re.sub(r"\{[^}]+\}", "%22%3E%3Cimg%20src%3Dx%20onerror%3Dwindow.hit%3D1%3E", path)
        for params in ({}, dict.fromkeys(names, SCRIPT)):
            answer = await client.get(filled, params=params)
            kind = answer.headers.get("content-type", "")
            if answer.status_code >= 500:  # a part of the city that this test has not
                continue
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert RAW not in answer.text or "html" not in kind, (path, params)
    await client.aclose()


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2f..%2fapp.py", "/static/%2e%2e/%2e%2e/settings.py",
     "/static/....//....//app.py", "/static//etc/passwd", "/static/%00", "/static/", "/.git/config",
     "/api/v1/attachments/..%2f..%2fkeys", "/api/v1/files/%2e%2e%2fkeys", "/static/..\\..\\app.py"],
)  # fmt: skip
async def test_a_path_in_a_name_leads_nowhere(web: Web, path: str) -> None:
    await web.enter("boss", "administrator")
    url = httpx.URL("https://utaa.test").copy_with(raw_path=path.encode())
    answer = await web.browser.get(url)
    assert answer.status_code in (400, 404, 405, 422), path
    assert "import" not in answer.text
    assert (await web.browser.request("TRACE", url)).status_code in (404, 405)


async def test_somebody_unknown_and_somebody_known_are_refused_alike(web: Web) -> None:
    await web.somebody("known", "duty")
    answers = []
    for login in ("known", "nobody-" + secrets.token_hex(3)):
        form = {"login": login, "password": "wrong horse battery", "next": "/"}
        answer = await web.browser.post("/signin", data=form)
        answers.append((answer.status_code, answer.text.replace(login, "LOGIN")))
    assert answers[0] == answers[1]
