"""The servers of the tests and of the one box are real: each is used once the way its users use it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable, Coroutine
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import pytest
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync

from tests.servers import InfluxDatabase, SmtpServer, until
from utaa.servers import (
    Child,
    EmbeddedBroker,
    Influx,
    Mosquitto,
    Server,
    ServerError,
    answers,
    free_port,
    influx_version,
    pick_broker,
)

StartMosquitto = Callable[..., Coroutine[Any, Any, Mosquitto]]
StartSmtp = Callable[..., Coroutine[Any, Any, SmtpServer]]


@pytest.mark.servers
async def test_mosquitto_delivers_a_message(mosquitto: Mosquitto, unique: str) -> None:
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as client:
        await client.subscribe(f"{unique}/#", qos=1)
        await client.publish(f"{unique}/a", b"smoke", qos=1)
        message = await asyncio.wait_for(anext(aiter(client.messages)), 10)
    assert message.payload == b"smoke"


@pytest.mark.servers
async def test_mosquitto_with_persistence_keeps_a_retained_message_over_a_restart(
    own_mosquitto: StartMosquitto,
) -> None:
    server = await own_mosquitto(persistence=True)
    port = server.port
    async with aiomqtt.Client(server.host, server.port) as client:
        await client.publish("kept", b"1", qos=1, retain=True)
    await server.restart()
    assert server.port == port
    async with aiomqtt.Client(server.host, server.port) as client:
        await client.subscribe("kept", qos=1)
        message = await asyncio.wait_for(anext(aiter(client.messages)), 10)
    assert message.retain


@pytest.mark.servers
async def test_a_killed_mosquitto_is_gone_and_comes_back(own_mosquitto: StartMosquitto) -> None:
    server = await own_mosquitto()
    await server.kill()
    assert not await answers(server.port)
    await server.start()
    assert await answers(server.port)


@pytest.mark.servers
async def test_influxdb_takes_points_through_the_client_and_gives_them_back_by_influxql(
    influx_database: InfluxDatabase,
) -> None:
    url, database, server = influx_database
    lines = "\n".join(f"r,d=d{n % 3} co_ppm={n}.5 {1_700_000_000_000 + n}" for n in range(3000))
    async with InfluxDBClientAsync(url=url, token="", org="", enable_gzip=True) as client:
        assert await client.write_api().write(database, "", lines, write_precision="ms")
    rows = await server.query("SELECT count(co_ppm), mean(co_ppm) FROM r", database)
    assert (rows[0]["count"], rows[0]["mean"]) == (3000, 1500.0)


@pytest.mark.servers
async def test_influxdb_takes_microseconds_too(influx_database: InfluxDatabase) -> None:
    url, database, server = influx_database
    async with InfluxDBClientAsync(url=url, token="", org="") as client:
        await client.write_api().write(database, "", "r v=1 1700000000000001", write_precision="us")
    rows = await server.query("SELECT v FROM r", database)
    assert rows == [{"time": "2023-11-14T22:13:20.000001Z", "v": 1}]


@pytest.mark.servers
async def test_influxdb_comes_back_after_a_kill_with_what_it_had(
    influx: Influx, tmp_path: Path
) -> None:
    async with Influx(tmp_path) as server:
        await server.create_database("db")
        async with InfluxDBClientAsync(url=server.url, token="", org="") as client:
            await client.write_api().write("db", "", "r v=7 1700000000000", write_precision="ms")
        await server.kill()
        await server.start()
        assert [row["v"] for row in await server.query("SELECT v FROM r", "db")] == [7]


@pytest.mark.servers
async def test_postgresql_has_a_database_per_test(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    try:
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname='public'") == 0
        )
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
    finally:
        await connection.close()


def _send(
    server: SmtpServer, *, login: tuple[str, str] | None = None, to: str = "a@example.mn"
) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Утаа мэдрэгдлээ", "utaa@example.mn", to
    mail.set_content("Өрөөнд утаа үнэртэж байна. 101 дуудна уу.")
    with smtplib.SMTP(server.host, server.port, timeout=10) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(server.certificate)))
        if login:
            client.login(*login)
        client.send_message(mail)


async def test_the_mail_server_keeps_a_mail_that_came_by_starttls(smtp: SmtpServer) -> None:
    await asyncio.to_thread(_send, smtp)
    (mail,) = await smtp.wait_for(1)
    assert mail.secure
    assert mail.message["Subject"] == "Утаа мэдрэгдлээ"
    assert "101" in mail.text


async def test_the_mail_server_refuses_who_does_not_log_in(smtp_server: StartSmtp) -> None:
    server = await smtp_server(auth=("utaa", "secret"))
    with pytest.raises(smtplib.SMTPException):
        await asyncio.to_thread(_send, server)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await asyncio.to_thread(_send, server, login=("utaa", "wrong"))
    await asyncio.to_thread(_send, server, login=("utaa", "secret"))
    assert [mail.login for mail in server.mails] == ["utaa"]


async def test_the_mail_server_refuses_a_recipient_it_was_told_to(smtp_server: StartSmtp) -> None:
    server = await smtp_server(refuse={"gone@example.mn": "550 no such user"})
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(_send, server, to="gone@example.mn")
    assert server.mails == []


class _Impatient(Server):
    """A server whose free port is always taken by somebody else first."""

    name = "impatient"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tried: list[int] = []

    async def _launch(self) -> None:
        self.tried.append(self.port)
        if len(self.tried) < 3:
            raise ServerError("address already in use")

    async def _port_was_taken(self) -> bool:
        return True


async def test_a_server_whose_port_was_taken_in_between_tries_another(tmp_path: Path) -> None:
    server = _Impatient(tmp_path)
    await server.start()
    assert len(set(server.tried)) == 3


@pytest.mark.servers
async def test_a_port_that_was_asked_for_and_is_taken_is_refused_in_one_line(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    with pytest.raises(ServerError, match=rf"{mosquitto.port}.*choose another port"):
        await Mosquitto(tmp_path, port=mosquitto.port).start()


def test_a_free_port_is_none_that_outgoing_connections_take() -> None:
    assert all(20_000 <= free_port() < 32_000 for _ in range(20))


def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("utaa.servers._SYSTEM_FOLDERS", ())


def test_without_mosquitto_the_embedded_broker_is_picked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _nothing_installed(monkeypatch, tmp_path)
    assert isinstance(pick_broker(tmp_path), EmbeddedBroker)


@pytest.mark.servers
def test_with_mosquitto_it_is_picked(mosquitto: Mosquitto, tmp_path: Path) -> None:
    assert isinstance(pick_broker(tmp_path), Mosquitto)


async def test_a_server_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _nothing_installed(monkeypatch, tmp_path)
    for server in (Mosquitto(tmp_path), Influx(tmp_path)):
        with pytest.raises(ServerError, match="not installed: sudo apt-get install"):
            await server.start()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("InfluxDB v1.6.7~rc0 (git: unknown)", (1, 6)),
        ("InfluxDB v2.7.11", (2, 7)),
        ("?", (0,)),
    ],
)
def test_the_version_of_an_influxd_is_read_from_what_it_says(
    said: str, version: tuple[int, ...], tmp_path: Path
) -> None:
    program = tmp_path / "influxd"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    assert influx_version(str(program)) == version


async def test_influxdb_2_is_not_started_here_and_says_how_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _nothing_installed(monkeypatch, tmp_path)
    program = tmp_path / "influxd"
    program.write_text("#!/bin/sh\necho 'InfluxDB v2.7.11'\n")
    program.chmod(0o755)
    assert not Influx.installed()
    with pytest.raises(ServerError, match="by its address"):
        await Influx(tmp_path / "data").start()


async def test_a_server_that_ends_at_once_says_what_it_wrote(tmp_path: Path) -> None:
    child = Child("broken", tmp_path / "broken.log")
    child.spawn(["sh", "-c", "echo out of smoke; exit 3"])
    with pytest.raises(ServerError, match=r"code 3: out of smoke .*broken\.log"):
        await child.until(lambda: answers(1))


async def test_a_kill_takes_the_processes_that_a_server_started(tmp_path: Path) -> None:
    child = Child("parent", tmp_path / "parent.log")
    child.spawn(["sh", "-c", "sleep 600 & echo $!; wait"])
    grandchild = int(await until(lambda: child.log.read_text().strip(), "the grandchild's id"))
    await child.kill()
    await until(lambda: not _runs(grandchild), "the grandchild to end")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
