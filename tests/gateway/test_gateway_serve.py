"""The gateway as a process: it starts, answers, says in one line what is wrong, and stops cleanly."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Site
from tests.gateway.test_gateway_ingest import alarm_of, event_of
from tests.gateway.test_gateway_worker import edge_at, url_of
from tests.servers import until

UTAA = Path(sys.executable).with_name("utaa")
#: A start on a machine with more to do than it has cores.
_START_S = 90
PASSWORD = "correct horse battery staple"


async def start(**environment: str) -> asyncio.subprocess.Process:
    own = {name: value for name, value in os.environ.items() if not name.startswith("UTAA_")}
    return await asyncio.create_subprocess_exec(
        str(UTAA),
        "gateway",
        "serve",
        "--port",
        environment.pop("port", "0"),
        env={**own, **{f"UTAA_{name.upper()}": value for name, value in environment.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(_START_S):
        return (await process.stdout.readline()).decode()


async def failure(**environment: str) -> tuple[int, str]:
    process = await start(**environment)
    try:
        async with asyncio.timeout(_START_S):
            _, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, stderr.decode()


@pytest.fixture
async def gateways() -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Processes that a failing test must not leave behind."""
    started: list[asyncio.subprocess.Process] = []
    yield started
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_starts_takes_in_answers_and_stops_cleanly(
    own_mosquitto: Callable[..., Any], tmp_path: Path, number: signal.Signals, gateways: list[Any]
) -> None:
    broker = await own_mosquitto()
    process = await start(gateway_data_dir=str(tmp_path), gateway_broker_url=url_of(broker))
    gateways.append(process)
    url = re.findall(r"http://\S+/", await line(process))[0]
    code = (await line(process)).split("code ")[1].strip()
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http:
        await until(lambda: _is_ready(http), "ready")
        person = {"code": code, "login": "chief", "password": PASSWORD}
        assert (await http.post("/setup", data=person)).status_code == 303
        assert (await http.post("/signin", data=person)).status_code == 303
        site = Site("site-1", lambda: 1_790_000_000_000_000)
        async with edge_at(broker.port, site) as edge:
            frame = site.frame(site.readings("d1", 10, co_ppm=4.0))
            event = event_of(site, 1, alarm=alarm_of("d1"))
            async with http.stream("GET", "/api/v1/live", timeout=20) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.aiter_lines()
                for message in (frame, event):
                    await edge.client.publish(message.topic, message.payload, qos=1)
                seen = [text async for text in _until_incident(lines)]
                assert any(text.startswith("id: ") for text in seen)
            await until(lambda: edge.stored("frames") == {1}, "the frame acknowledged")
        await _ask_for_readings(http)
        async with http.stream("GET", "/api/v1/live", timeout=20) as stream:
            process.send_signal(number)
            async with asyncio.timeout(_START_S):
                assert [text async for text in stream.aiter_lines()] == ["retry: 3000", ""]
                _, stderr = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in stderr


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


async def _until_incident(lines: Any) -> Any:
    async for text in lines:
        yield text
        if text == "event: incident":
            return


async def _ask_for_readings(http: httpx.AsyncClient) -> None:
    span = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00+08:00"}

    async def shown() -> Any:
        answer = await http.get("/api/v1/detectors/d1/latest")
        return answer.json() if answer.is_success else None

    latest = await until(shown, "the latest reading, which follows its acknowledgement")
    assert (latest["values"], latest["site"]) == ({"co_ppm": 4.0}, "site-1")
    assert (await http.get("/api/v1/latest", params={"site": "site-1"})).json()["items"] == [latest]
    assert (await http.get("/api/v1/latest", params={"site": "site-2"})).json()["items"] == []
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        params = {**span, "limit": "4", **cursor}
        page = (await http.get("/api/v1/detectors/d1/readings", params=params)).json()
        items += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert [item["time_us"] for item in items] == [
        1_790_000_000_000_000 - n * 1_000_000 for n in range(10, 0, -1)
    ]
    assert items[0]["time"] == "2026-09-21T14:13:10.000000Z"
    history = await http.get(
        "/api/v1/detectors/d1/history", params={**span, "field": "co_ppm", "step_s": 3600}
    )
    (step,) = history.json()["items"]
    assert (step["min"], step["mean"], step["max"], step["count"]) == (4.0, 4.0, 4.0, 10)
    count = await http.get("/api/v1/detectors/d1/readings/count", params=span)
    assert count.json() == {"count": 10}
    for path, status in (
        ("/api/v1/detectors/nobody/latest", 404),
        ("/api/v1/detectors/d1/readings?from=yesterday", 422),
        ("/api/v1/detectors/d1/readings?from=2026-01-01T00:00:00", 422),
        ("/api/v1/detectors/d1/readings?cursor=nonsense", 422),
        ("/api/v1/detectors/d1/history?field=secret", 422),
        ("/api/v1/live?topics=nothing", 422),
    ):
        answer = await http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            status, "application/problem+json",
        ), path  # fmt: skip
    metrics = (await http.get("/metrics")).text
    assert "utaa_ingest_readings_stored_total 10.0" in metrics
    async with httpx.AsyncClient(base_url=http.base_url, trust_env=False) as stranger:
        for path in ("/api/v1/latest", "/api/v1/live", "/metrics", "/api/v1/detectors/d1/readings"):
            assert (await stranger.get(path)).status_code == 401, path


async def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, stderr = await failure(gateway_data_dir=str(tmp_path), port=port)
    assert (code, stderr.count("\n")) == (1, 1)
    assert stderr.startswith(f"utaa: cannot listen on 127.0.0.1:{port}")


async def test_an_unreachable_database_is_one_line_without_its_password(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    url = f"postgresql://utaa:secret@127.0.0.1:{unused_tcp_port}/utaa"
    code, stderr = await failure(gateway_data_dir=str(tmp_path), gateway_database_url=url)
    assert (code, stderr.count("\n")) == (1, 1)
    assert stderr.startswith("utaa: database: ")
    assert str(unused_tcp_port) in stderr
    assert "secret" not in stderr


async def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, stderr = await failure(gateway_data_dir=str(tmp_path / "file" / "below"))
    assert (code, stderr.count("\n")) == (1, 1)
    assert "data_dir" in stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"gateway_prot": "1"}, ["UTAA_GATEWAY_PROT", "port"]),
        ({"gateway_retention_days": "many"}, ["UTAA_GATEWAY_RETENTION_DAYS", "integer"]),
        ({"gateway_broker_url": "localhost"}, ["broker_url", "expected mqtt://"]),
        ({"gateway_database_url": "mysql://x"}, ["database_url", "postgresql://"]),
        ({"config": "/nowhere/utaa.toml"}, ["/nowhere/utaa.toml", "TOML"]),
    ],
)
async def test_a_wrong_setting_is_one_line_with_its_name_and_what_was_expected(
    tmp_path: Path, environment: dict[str, str], words: list[str]
) -> None:
    code, stderr = await failure(**{"gateway_data_dir": str(tmp_path), **environment})
    assert (code, stderr.count("\n")) == (2, 1)
    for word in words:
        assert word in stderr
