"""Limits of the HTTP door: proxies, rates, trickles; and where our own requests may go."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import create_app
from gateway.limits import NEVER_LIMITED, Buckets, Limits, Patience, Proxies
from gateway.patient import MAX_HEAD_BYTES, PatientProtocol
from registry.khur.client import Khur
from registry.outward import Guard, GuardedTransport, OutwardRefused, networks, of_operator

ADDRESS = "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "said", "seen"),
    [
        ("10.0.0.1", {"X-Forwarded-For": ADDRESS, "X-Forwarded-Proto": "https"}, (ADDRESS, "https")),
        ("10.0.0.1", {"X-Forwarded-For": f"1.1.1.1, {ADDRESS}"}, (ADDRESS, "http")),
        ("10.0.0.1", {"X-Forwarded-For": f"{ADDRESS}, 10.0.0.2"}, (ADDRESS, "http")),
        ("10.0.0.1", {"X-Forwarded-For": "rubbish"}, ("10.0.0.1", "http")),
        ("10.0.0.1", {"X-Forwarded-Proto": "gopher"}, ("10.0.0.1", "http")),
        ("198.51.100.7", {"X-Forwarded-For": ADDRESS, "X-Forwarded-Proto": "https"},
         ("198.51.100.7", "http")),
    ],
)  # fmt: skip
async def test_only_a_named_proxy_says_who_the_visitor_is(
    peer: str, said: dict[str, str], seen: tuple[str, str]
) -> None:
    app = FastAPI()

    @app.get("/")
    async def who(request: Request) -> list[str]:
        return [request.client.host if request.client else "", request.url.scheme]

    app.add_middleware(Proxies, trusted=networks(["10.0.0.0/8"]))
    transport = httpx.ASGITransport(app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        assert (await client.get("/", headers=said)).json() == list(seen)


@given(st.lists(st.floats(0, 5), max_size=100), st.integers(1, 20))
def test_nobody_gets_more_than_burst_and_rate_allow(pauses: list[float], burst: int) -> None:
    buckets, now_s, taken = Buckets(2.0, burst), 0.0, 0
    for pause in pauses:
        now_s += pause
        taken += not buckets.wait_s("a", now_s)
    assert taken <= burst + 2.0 * now_s + 1e-6


async def test_whoever_asks_too_often_waits_but_an_acknowledgement_never_does(
    city: Any, people: Any
) -> None:
    app = create_app(city, identity=people, limits=Limits(address_per_s=0.5, person_per_s=0.5))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://city.test") as client:
        answers = [await client.get("/api/v1/me") for _ in range(8)]
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert answers[-1].headers["X-Frame-Options"] == "DENY"
        for path in ("/api/v1/incidents/1/acknowledge", "/incidents/1/acknowledge", "/a/token"):
            for _ in range(8):
                assert (await client.post(path)).status_code != 429


def test_every_address_of_acknowledging_is_outside_the_limit(app: FastAPI) -> None:
    from gateway.door import needs_of
    from gateway.outside import routers as outside
    from gateway.web import answers, routes

    for router in (routes.router, answers.router, *outside()):
        app.include_router(router)
    taking = [p for _, p, need in needs_of(app) if need and need.action == "incident.acknowledge"]
    assert any("acknowledge" in path for path in taking)
    for path in taking:
        assert NEVER_LIMITED.fullmatch(path), path


class Quick(PatientProtocol):
    head_s = 0.3


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    app = FastAPI()

    @app.post("/")
    async def read(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Patience, piece_s=0.3, body_s=2.0)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http=Quick, log_config=None, lifespan="off",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = __import__("contextlib").nullcontext  # type: ignore[method-assign]
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[:2]
    server.should_exit = True
    await running


@pytest.mark.parametrize(
    "begun",
    [
        b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
    ],
    ids=["nothing", "half a head", "half a body"],
)  # fmt: skip
async def test_a_trickle_is_hung_up_on_and_others_are_served(
    address: tuple[str, int], begun: bytes
) -> None:
    slow = [await asyncio.open_connection(*address) for _ in range(20)]
    for _, writer in slow:
        writer.write(begun)
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"http://{address[0]}:{address[1]}/", content=b"x" * 5)
    assert answer.json() == 5
    async with asyncio.timeout(15):
        for reader, writer in slow:
            try:
                rest = await reader.read()  # to the end: they hung up
            except ConnectionError:
                rest = b""
            assert b" 200 " not in rest
            writer.close()


async def test_a_head_without_end_is_refused(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * (2 * MAX_HEAD_BYTES))
    async with asyncio.timeout(15):
        with contextlib.suppress(ConnectionError):
            assert b"400" in await reader.read()
    writer.close()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
     "fe80::1", "fd00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
     "2002:7f00:1::", "100.64.0.1", "224.0.0.1", "255.255.255.255"],
)  # fmt: skip
def test_no_inner_address_is_reached_by_anothers_wish(address: str) -> None:
    assert not Guard().allows(ipaddress.ip_address(address))


def test_a_named_network_is_reached_but_never_a_metadata_service() -> None:
    guard = Guard(networks(["10.0.0.0/8", "169.254.0.0/16"]))
    assert guard.allows(ipaddress.ip_address("10.1.2.3"))
    assert not guard.allows(ipaddress.ip_address("169.254.169.254"))
    assert not guard.allows(ipaddress.ip_address("192.168.1.1"))
    assert Guard().allows(ipaddress.ip_address("8.8.8.8"))
    with pytest.raises(ValueError, match="'ten' is no network"):
        networks(["ten"])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost/", "private"), ("https://127.0.0.1/", "private"),
        ("https://2130706433/", "private"), ("https://[::1]/", "private"),
        ("file:///etc/passwd", "scheme"), ("gopher://x/", "scheme"), ("https:///x", "no_host"),
        ("https://no-such-name.invalid/", "unknown_host"), ("http://8.8.8.8/", "scheme"),
    ],
)  # fmt: skip
async def test_an_address_that_is_refused_says_why(url: str, reason: str) -> None:
    with pytest.raises(OutwardRefused) as refused:
        await Guard().check(url)
    assert refused.value.reason == reason


async def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []

    class Wire(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append((request.url.host, request.headers["Host"], request.extensions))
            return httpx.Response(302, headers={"Location": "http://127.0.0.1/"})

    answers = iter(["8.8.8.8", "127.0.0.1"])

    async def resolves(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (next(answers), 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolves)
    transport = GuardedTransport(Guard(), Wire())
    async with httpx.AsyncClient(transport=transport, follow_redirects=False) as client:
        assert (await client.get("https://hook.example/x")).status_code == 302
        assert sent[0][:2] == ("8.8.8.8", "hook.example")
        assert sent[0][2]["sni_hostname"] == "hook.example"
        with pytest.raises(OutwardRefused):
            await client.get("https://hook.example/x")
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("address", "may"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("fd00::1", True), ("8.8.8.8", True),
     ("169.254.169.254", False), ("fe80::1", False), ("fd00:ec2::254", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_an_operators_own_address_may_lie_inside_but_never_at_a_metadata_service(
    address: str, may: bool
) -> None:
    assert of_operator().allows(ipaddress.ip_address(address)) is may


async def test_the_states_exchange_is_not_asked_at_a_metadata_service() -> None:
    khur = Khur("http://169.254.169.254", "secret")
    answer = await khur.ask(
        "legal_entity", "1234567", reason="r", asker="a", request_id="i", now_us=1
    )  # fmt: skip
    await khur.close()
    assert answer.outcome == "unreachable"
