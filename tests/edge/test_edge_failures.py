"""How the agent ends when its disk fails, and what its log leaves out."""

from __future__ import annotations

import asyncio
import itertools
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edge.agent import command
from edge.agent.agent import Agent
from edge.agent.configuration import BadConfig, check, without_names
from edge.settings import EdgeSettings, load_settings
from edge.sources import RawMessage
from edge.sources.base import Order
from edge.spool import Batch, DataFolder, Spool, SpoolDamaged, SpoolFailed, SpoolFull
from edge.wire.clock import ManualClock, SystemClock
from edge.wire.messages import Config, encode
from edge.wire.readings import Reading
from edge.wire.topics import detector_topic
from tests.edge.conftest import City
from tests.servers import until

NAME = "Dorj's hall"


def settings_for(folder: Path, port: int = 1) -> EdgeSettings:
    broker = {"host": "127.0.0.1", "port": port}
    return load_settings(
        None, site="site", data_dir=folder / "data", site_broker=broker, city_broker=broker
    )


@pytest.fixture
def endings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[BaseException], tuple[int, str]]:
    """The exit code and the last words of an agent that was ended by an error in one of its tasks."""

    def end(error: BaseException) -> tuple[int, str]:
        def run(agent: Agent) -> None:
            agent.spool.close()
            agent._intake._close()
            raise BaseExceptionGroup("agent", [BaseExceptionGroup("link", [error])])

        monkeypatch.setattr(command, "run_until_signalled", run)
        with pytest.raises(SystemExit) as ended:
            command.serve(settings_for(tmp_path), SystemClock())
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    return end


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SpoolDamaged("f: malformed"), "utaa: the spool is damaged (f: malformed): start again"),
        (SpoolFull("f: full"), "utaa: the disk is full (f: full): free some room"),
        (SpoolFailed("f: readonly"), "utaa: the spool cannot be used (f: readonly): look after"),
        (sqlite3.OperationalError("disk I/O error"), "utaa: the spool cannot be used (disk I/O error)"),
        (OSError(5, "Input/output error"), "utaa: the spool cannot be used ([Errno 5] Input/output"),
    ],
)
def test_a_disk_that_fails_ends_the_agent_with_one_line(
    endings: Callable[[BaseException], tuple[int, str]], error: BaseException, said: str
) -> None:
    code, words = endings(error)
    assert code == 4
    assert words.startswith(said)
    assert words.count("\n") == 1


def test_a_bug_is_not_taken_for_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(agent: Agent) -> None:
        agent.spool.close()
        agent._intake._close()
        raise BaseExceptionGroup("agent", [SpoolFull("full"), KeyError("bug")])

    monkeypatch.setattr(command, "run_until_signalled", run)
    with pytest.raises(ExceptionGroup):
        command.serve(settings_for(tmp_path), SystemClock())


async def test_a_disk_that_turns_read_only_ends_a_running_agent_with_one_line(
    broker: Any, city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    agents: list[Agent] = []

    class ReadOnly(Agent):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.spool._db.execute("PRAGMA query_only=ON")
            agents.append(self)

    monkeypatch.setattr(command, "Agent", ReadOnly)

    def serve() -> Any:
        try:
            command.serve(settings_for(tmp_path, broker.port), SystemClock())
        except SystemExit as ended:
            return ended.code

    serving = asyncio.create_task(asyncio.to_thread(serve))
    await until(lambda: agents and agents[0]._intake._client.is_connected(), "the agent listens")

    async def speak() -> bool:
        await city.say("kitchen", co_ppm=1.0)
        return serving.done()

    await until(speak, "the agent has ended")
    assert await serving == 4
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err
    last = captured.err.splitlines()[-1]
    assert last.startswith("utaa: the spool cannot be used (")
    assert "readonly" in last


@pytest.mark.parametrize(("short", "kind"), [(True, SpoolFull), (False, SpoolFailed)])
def test_an_io_error_is_a_full_disk_only_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool, kind: type[Exception]
) -> None:
    spool = Spool(
        tmp_path / "spool.db", site="site", boot="b", clock=ManualClock(), quota_bytes=64 << 20
    )
    monkeypatch.setattr("edge.spool.store.is_short_of_room", lambda _: short)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE

    def fail(point: str) -> None:
        if point == "events":
            raise error

    spool._probe = fail
    with pytest.raises(kind):
        spool.commit(Batch())
    spool.close()


def test_a_disk_that_somebody_else_fills_costs_no_reading_while_room_is_held_back(
    tmp_path: Path,
) -> None:
    agent = new_agent(tmp_path)
    spool, intake, core = agent.spool, agent._intake, agent._core
    arrears = [
        Reading(detector="d", time_us=number * 7919, co_ppm=math.sin(number))
        for number in range(20_000)
    ]
    spool.commit(Batch(readings=arrears), seal=True)
    before = spool.queued().readings

    def full(point: str) -> None:
        if point == "written":
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    moments = itertools.count(10**15)

    def say() -> None:
        payload = b'{"co_ppm":1}'
        core.take(RawMessage(detector_topic("attic", "reading"), payload, False, next(moments)))

    ballast = spool.path.with_name("ballast")
    assert ballast.exists()
    say()
    spool._probe = full
    assert not intake._commit()
    assert not ballast.exists()
    assert not intake._is_blocked()  # it may try again at once
    assert spool.queued().readings == before
    spool._probe = lambda _: None
    assert intake._commit()
    assert spool.queued().readings == before + 1
    intake._restock_s = 0.0
    say()
    assert intake._commit()
    assert ballast.exists()
    ballast.unlink()
    say()
    spool._probe = full
    assert not intake._commit()
    assert intake._is_blocked()
    thinned = before + 2 - spool.queued().readings
    assert 0 < thinned < before / 2  # no more gives way than the next commit can use
    assert core.counters["spool"]["thinned_readings"] == thinned


def test_the_log_of_a_decoder_that_fails_carries_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = new_agent(tmp_path)
    core = agent._core

    def decode(_: RawMessage) -> None:
        raise KeyError(NAME)

    monkeypatch.setattr(core._router.sources[0], "decode", decode)
    with capture_logs() as logs:
        core.take(RawMessage(detector_topic(NAME, "reading"), b"{}", False, 1))
    assert [line["event"] for line in logs] == ["source.failed"]
    assert NAME not in str(logs)
    assert "KeyError in decode, line" in logs[0]["where"]
    assert NAME in core.batch.samples[0].detail


def test_the_log_of_an_order_carries_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = new_agent(tmp_path)._intake
    published: list[str] = []
    monkeypatch.setattr(intake._client, "is_connected", lambda: True)
    monkeypatch.setattr(intake._client, "publish", lambda topic, *_, **__: published.append(topic))
    intake._connected = True
    intake.send(Order(f"zigbee2mqtt/{NAME}/set", b"{}"))
    with capture_logs() as logs:
        intake._tell_sirens()
    assert published == [f"zigbee2mqtt/{NAME}/set"]
    assert NAME not in str(logs)
    assert {"event": "orders.sent", "orders": 1, "log_level": "info"} in logs


def test_the_log_of_refused_settings_carries_no_name(tmp_path: Path) -> None:
    payload = encode(Config(site="site", version=1, outputs={"sirens": [f"{NAME}/#"]}))
    with pytest.raises(BadConfig, match="Dorj"):
        check(payload, "site")
    agent = new_agent(tmp_path)
    with capture_logs() as logs:
        agent._hear_config(payload)
    assert [line["event"] for line in logs] == ["config.refused"]
    assert "Dorj" not in str(logs)
    assert "siren" in str(logs)
    assert without_names("detector d1: deadline_s is 'x'; expected") == (
        "detector d1: deadline_s is '…'; expected"
    )


def new_agent(folder: Path) -> Agent:
    """An agent that does not run."""
    settings = settings_for(folder)
    data = DataFolder(settings.data_dir)
    data.acquire()
    return Agent(settings, data, SystemClock())
