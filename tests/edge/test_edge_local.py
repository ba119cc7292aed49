"""The read-only page on the home's own network: with its key alone, bounded, while the city is away."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.local import Facts, LocalPage, page, read_secret
from edge.local.serve import MAX_CONNECTIONS, MAX_HEAD_BYTES
from edge.wire.localkey import day_of, key_for, opens
from tests.edge.conftest import AgentProcess, City
from tests.servers import until

SECRET = "s" * 43
NOW_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000
KEY = key_for(SECRET, "d1", day_of(NOW_US))
FACTS = Facts("d1", "attic", 3.4, 0.02, 19.5, 4, (("smoke", True),), 2)


async def _look(detector: str) -> Facts | None:
    return FACTS if detector == "d1" else None


@pytest.fixture
async def port() -> AsyncIterator[int]:
    served: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        LocalPage(SECRET, _look, lambda: NOW_US).run("127.0.0.1", 0, served.set_result)
    )
    yield await served
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _say(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:  # shut out before it was read
        return b""
    finally:
        writer.close()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: box\r\n\r\n".encode()


async def test_it_shows_one_detector_to_whoever_has_its_key_today(port: int) -> None:
    answer = await _say(port, _get(f"/d1/{KEY}"))
    assert answer.startswith(b"HTTP/1.1 200 ") and b"19.5" in answer
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"default-src 'none'" in head and b"no-store" in head
    assert "туршилт" in body.decode() and b"<script" not in body
    assert not re.search(rb" style=| on\w+=", body)


@pytest.mark.parametrize(
    "request_, status",
    [
        (_get("/d1/" + "a" * 16), 404), (_get(f"/d2/{KEY}"), 404), (_get("/"), 404), (_get("/d1"), 404),
        (_get(f"/d2/{key_for(SECRET, 'd2', day_of(NOW_US))}"), 404),
        (_get(f"/../d1/{KEY}"), 404), (_get(f"/d1/{KEY.upper()}"), 404),
        (f"POST /d1/{KEY} HTTP/1.1\r\n\r\n".encode(), 400), (b"\x16\x03\x01", 400), (b"", 400),
        (b"GET /" + b"a" * MAX_HEAD_BYTES * 2, 400),
    ],
)  # fmt: skip
async def test_everything_else_is_told_nothing(port: int, request_: bytes, status: int) -> None:
    answer = await _say(port, request_)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:80]
    assert b"attic" not in answer


async def test_whoever_holds_connections_open_shuts_out_others_and_not_for_good(port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]

    async def served() -> bool:
        return (await _say(port, _get(f"/d1/{KEY}"))).startswith(b"HTTP/1.1 200")

    async def shut_out() -> bool:
        return not await served()

    await until(shut_out, "no more connections are served")
    for _, writer in held:
        writer.close()
    await until(served, "it serves again")


async def test_a_port_that_is_taken_is_no_end_of_the_agent(port: int) -> None:
    await LocalPage(SECRET, _look, lambda: NOW_US).run("127.0.0.1", port)


@given(st.integers(-400, 400))
def test_a_key_is_worth_its_day_and_the_neighbours(hours: int) -> None:
    at_us = NOW_US + hours * 3_600_000_000
    near = abs(day_of(at_us) - day_of(NOW_US)) <= 1
    assert opens(SECRET, "d1", KEY, at_us) is near
    assert not opens(SECRET, "d10", KEY, at_us) and not opens("t" * 43, "d1", KEY, at_us)


@given(st.text())
def test_no_address_of_a_device_becomes_markup(address: str) -> None:
    shown = page(Facts("d", address, None, None, None, None, ((address, False),), 0))
    assert shown.count("<h1>") == 1 and shown.count("<") == shown.replace(address, "").count("<")


def test_a_short_secret_is_refused_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("short\n")
    with pytest.raises(ValueError, match="at least 32"):
        read_secret(file)


@pytest.mark.servers
async def test_the_agent_serves_it_while_the_city_is_away(
    agent: AgentProcess, city: City, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    agent.start(
        UTAA_EDGE_LOCAL_PAGE__SECRET_FILE=str(file), UTAA_EDGE_LOCAL_PAGE__HOST="127.0.0.1",
        UTAA_EDGE_LOCAL_PAGE__PORT="0", UTAA_EDGE_CITY_BROKER__PORT="1",
    )  # fmt: skip
    found: list[str] = []

    def served() -> bool:
        found[:] = re.findall(r"local_page.served\s+.*?port=(\d+)|\"port\": ?(\d+)", agent.log())[:1]
        return bool(found) and "intake.connected" in agent.log()

    await until(served, "the page is served")
    port = int("".join(found[0]))
    detector = city.detector("kitchen")
    await city.say("kitchen", co_ppm=4.5, temperature_c=20.5)
    import time

    key = key_for(SECRET, detector, day_of(time.time_ns() // 1000))

    async def shown() -> bool:
        return b"20.5" in await _say(port, _get(f"/{detector}/{key}"))

    await until(shown, "the values are there without the city")
