"""Who gets in, as whom, and what every answer carries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import structlog
from fastapi import APIRouter, Depends, FastAPI

from gateway.app import MAX_BODY_BYTES, create_app
from gateway.door import check_declared, need, needs_of
from registry.identity import Identity
from registry.rights import ROLES

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
SITE = {"id": "khoroo-1116-07", "title": "Баянголын ам", "unit_code": "111663"}
PASSWORD = "correct horse battery"


def test_every_route_declares_its_need(app: FastAPI) -> None:
    routes = list(needs_of(app))
    assert len(routes) > 20
    assert [(method, path) for method, path, found in routes if found is None] == []


def test_a_route_without_a_need_stops_the_building(app: FastAPI, city) -> None:
    router = APIRouter()

    @router.get("/backdoor")
    async def backdoor() -> str:
        return "come in"

    with pytest.raises(RuntimeError, match="GET /backdoor"):
        create_app(city, extra=[router])
    app.add_route("/plain", lambda _request: None)
    with pytest.raises(RuntimeError, match="/plain"):
        check_declared(app)


async def test_a_stranger_may_only_what_the_open_role_may(app: FastAPI, door) -> None:
    async with door.client() as client:
        for method, path, found in needs_of(app):
            assert found is not None
            url = f"https://city.test{path}".replace("{", "").replace("}", "")
            answer = await client.request(method, url)
            if found.action in ROLES["open"]:
                assert answer.status_code not in (401, 403), (method, path)
            else:
                assert answer.status_code == 401, (method, path, answer.text)


@BOTH
async def test_first_start_sign_in_and_a_site(door, people: Identity) -> None:
    code = await people.ensure_setup_code()
    async with door.client() as client:
        body = {"code": code, "login": "Bat.Office", "password": PASSWORD}
        assert (await client.post("/setup", json=body)).status_code == 201
        again = await client.post("/setup", json={**body, "login": "second"})
        assert again.status_code == 401
        answer = await client.post("/session", json={"login": "bat.office", "password": PASSWORD})
        assert answer.status_code == 201
        me = answer.json()
        assert me["login"] == "bat.office" and "administrator" in me["roles"]
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-utaa_session=")
        assert "HttpOnly" in cookie and "Secure" in cookie and "SameSite=lax" in cookie
        headers = {"X-CSRF-Token": me["csrf"]}
        created = await client.post("/sites", json=SITE, headers=headers)
        assert created.status_code == 201, created.text
        assert (await client.get("/sites")).json()["items"][0]["id"] == SITE["id"]
        assert (await client.delete("/session", headers=headers)).status_code == 204
        assert (await client.get("/sites")).status_code == 401
    assert await people.ensure_setup_code() is None


@pytest.mark.parametrize("header", [{}, {"X-CSRF-Token": "wrong"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_a_cookie_alone_changes_nothing(door, header: dict[str, str]) -> None:
    async with await door.signed_in("clerk", ["registrar"]) as client:
        if "Sec-Fetch-Site" not in header:
            del client.headers["X-CSRF-Token"]
        answer = await client.post("/sites", json=SITE, headers=header)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:utaa:problem:csrf")
        assert (await client.get("/sites")).json()["items"] == []


async def test_a_bearer_token_needs_no_csrf_and_ends(door, city) -> None:
    async with await door.machine(["registrar"]) as client:
        assert (await client.post("/sites", json=SITE)).status_code == 201
        city.clock.advance(timedelta(days=1))
        ended = await client.get("/sites")
        assert ended.status_code == 401
        assert ended.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_token_is_not_saved_by_a_right_cookie(door) -> None:
    async with await door.signed_in("clerk", ["registrar"]) as client:
        answer = await client.get("/sites", headers={"Authorization": "Bearer utaa_nothing"})
        assert answer.status_code == 401


@pytest.mark.parametrize(("idle_h", "status"), [(7.9, 200), (8.1, 401)])
async def test_a_session_ends_after_eight_idle_hours(door, city, idle_h: float, status: int) -> None:
    async with await door.signed_in("clerk", ["registrar"]) as client:
        city.clock.advance(timedelta(hours=idle_h))
        assert (await client.get("/me")).status_code == status


async def test_a_session_in_use_ends_after_a_day(door, city) -> None:
    async with await door.signed_in("clerk", ["registrar"]) as client:
        for _ in range(3):
            city.clock.advance(timedelta(hours=7.5))
            assert (await client.get("/me")).status_code == 200
        city.clock.advance(timedelta(hours=2))
        assert (await client.get("/me")).status_code == 401


async def test_signing_in_rotates_the_session(door) -> None:
    async with await door.signed_in("clerk", ["registrar"]) as client:
        old = client.cookies["__Host-utaa_session"]
        body = {"login": "clerk", "password": PASSWORD}
        csrf = client.headers["X-CSRF-Token"]
        answer = await client.post("/session", json=body, headers={"X-CSRF-Token": csrf})
        assert answer.status_code == 201
        assert client.cookies["__Host-utaa_session"] != old
    async with door.client() as thief:
        thief.cookies.set("__Host-utaa_session", old)
        assert (await thief.get("/me")).status_code == 401


@BOTH
async def test_guessing_is_slowed_down_and_the_right_password_waits_too(door, city) -> None:
    await door.people.new_person("clerk", PASSWORD, ["duty"])
    async with door.client() as client:
        wrong = {"login": "clerk", "password": "not the password"}
        answers = [(await client.post("/session", json=wrong)).status_code for _ in range(6)]
        assert answers == [401] * 5 + [429]
        right = {"login": "clerk", "password": PASSWORD}
        throttled = await client.post("/session", json=right)
        assert throttled.status_code == 429
        city.clock.advance(timedelta(seconds=int(throttled.headers["retry-after"])))
        assert (await client.post("/session", json=right)).status_code == 201


async def test_an_unknown_login_answers_like_a_wrong_password(door) -> None:
    await door.people.new_person("clerk", PASSWORD, ["duty"])
    async with door.client() as client:
        bodies = []
        for login in ("clerk", "nobody"):
            answer = await client.post("/session", json={"login": login, "password": "wrong"})
            bodies.append((answer.status_code, answer.json()))
        assert bodies[0] == bodies[1] and bodies[0][0] == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("PUT", "/sites", 405, "method-not-allowed"),
        ("GET", "/sites/never-seen", 404, "not-found"),
        ("GET", "/sites/NO%20NAME", 422, "invalid"),
        ("GET", "/sites?limit=0", 422, "invalid"),
        ("GET", "/sites?cursor=garbage", 422, "invalid"),
    ],
)
async def test_every_error_is_a_problem(
    registrar: httpx.AsyncClient, method: str, path: str, status: int, word: str
) -> None:
    answer = await registrar.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (f"urn:utaa:problem:{word}", status)


async def test_a_wrong_field_is_named_and_what_was_sent_is_not_repeated(registrar) -> None:
    answer = await registrar.post("/sites", json={"id": "Secret Street 5", "lat": 91, "colour": "red"})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "body.id", "body.lat", "body.colour",
    }  # fmt: skip
    assert "Secret" not in answer.text


async def test_a_body_that_is_too_large_is_refused(registrar) -> None:
    big = b'{"id": "' + b"x" * MAX_BODY_BYTES + b'"}'

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1 << 16):
            yield big[start : start + (1 << 16)]

    for content in (big, in_pieces()):
        headers = {"Content-Type": "application/json"}
        answer = await registrar.post("/sites", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:utaa:problem:content-too-large"


async def test_a_mistake_of_ours_is_a_problem_and_says_nothing(door, city) -> None:
    router = APIRouter(dependencies=[Depends(need("health.read"))])

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret detail")

    door.app = create_app(city, extra=[router])
    async with door.client() as client:
        answer = await client.get("https://city.test/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


async def test_an_unreachable_database_is_said_so(door, city) -> None:
    async with city.database.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE site RENAME TO elsewhere")
    async with await door.machine(["registrar"]) as client:
        answer = await client.get("/sites")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:utaa:problem:database-unavailable")


async def test_every_answer_carries_the_strict_headers(door) -> None:
    async with door.client() as client:
        for answer in (await client.get("/sites"), await client.get("https://city.test/healthz")):
            assert "default-src 'self'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["strict-transport-security"]
        assert (await client.get("/sites")).headers["cache-control"] == "no-store"


async def test_health_and_the_description_are_open(door) -> None:
    async with door.client() as client:
        assert (await client.get("https://city.test/healthz")).json() == {"status": "alive"}
        assert (await client.get("https://city.test/readyz")).json() == {"status": "ready"}
        description = (await client.get("/openapi.json")).json()
    assert "/api/v1/sites" in description["paths"]
    operations = [op for path in description["paths"].values() for op in path.values()]
    assert all(operation.get("summary") for operation in operations)


async def test_a_refusal_is_logged_with_who_and_what(door) -> None:
    client = await door.signed_in("watcher", ["auditor"])
    with structlog.testing.capture_logs() as logged:
        assert (await client.post("/sites", json={})).status_code == 403
    [line] = [one for one in logged if one["event"] == "door.forbidden"]
    assert line["action"] == "site.write"
    assert line["actor"]
    assert "watcher" not in str(line)
    await client.aclose()
