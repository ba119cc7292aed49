"""Real servers for the tests, as fixtures: each test gets a database or a topic tree of its own.

    mosquitto           a broker for the whole run; use ``topic_root``, or your own site names
    own_mosquitto       a factory: a broker of your own, to stop, kill and restart
    influx_database     an InfluxDB address and a fresh database in it
    postgres_url        SQLAlchemy's address of a fresh PostgreSQL database
    smtp                a mail server with STARTTLS that keeps what it accepted
    smtp_server         a factory: one with AUTH, refusals, delays or without STARTTLS

A server that is not installed skips its tests and says so; with CI=true it fails them.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import os
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar, cast
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from utaa.certificates import make_certificate
from utaa.postgres import Postgres
from utaa.servers import LOCALHOST, Influx, Mosquitto, Server

T = TypeVar("T")

#: How long a test waits for something that should happen at once; a loaded CI box is slow.
DEADLINE_S = 60.0


async def until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until the condition (plain or async) gives something true, and return it."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s:g} s in vain: {what}")
        await asyncio.sleep(0.02)


def in_its_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from a plain fixture, whatever loop the tests have."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def missing(problem: str) -> NoReturn:
    """Skip the test for want of a server; with CI=true fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs every server: {problem}", pytrace=False)
    pytest.skip(problem)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, started; stopped at the end."""
    in_its_own_loop(server.start())
    try:
        yield server
    finally:
        in_its_own_loop(server.stop())


# --- MQTT -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One broker for all tests of this run. Do not stop it; keep to names of your own."""
    if not Mosquitto.installed():
        missing("Mosquitto is not installed: sudo apt-get install mosquitto")
    with running(Mosquitto(tmp_path_factory.mktemp("mosquitto"))) as server:
        yield cast(Mosquitto, server)


@pytest.fixture
async def own_mosquitto(tmp_path: Path) -> AsyncIterator[Callable[..., Coroutine[Any, Any, Mosquitto]]]:
    """``await own_mosquitto(persistence=True, settings={…})``: a started broker of the test's own."""
    if not Mosquitto.installed():
        missing("Mosquitto is not installed: sudo apt-get install mosquitto")
    started: list[Mosquitto] = []

    async def start(**options: Any) -> Mosquitto:
        server = Mosquitto(tmp_path / f"mosquitto-{len(started)}", **options)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await server.stop()


@pytest.fixture
def unique() -> str:
    """A short word no other test has: a site name, a database, a topic level."""
    return f"t{uuid4().hex[:12]}"


# --- InfluxDB ---------------------------------------------------------------------------------


class InfluxDatabase(NamedTuple):
    """Where a test may write and read. ``server`` is shared by all tests."""

    url: str
    database: str
    server: Influx


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    """One InfluxDB for all tests of this run; take ``influx_database``."""
    if problem := Influx.why_not():
        missing(problem)
    with running(Influx(tmp_path_factory.mktemp("influx"))) as server:
        yield cast(Influx, server)


@pytest.fixture
async def influx_database(influx: Influx, unique: str) -> AsyncIterator[InfluxDatabase]:
    """A fresh database in a real InfluxDB, dropped afterwards."""
    await influx.create_database(unique)
    yield InfluxDatabase(influx.url, unique, influx)
    await influx.drop_database(unique)


# --- PostgreSQL -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of this run; take ``postgres_url``."""
    if Postgres.program("initdb") is None:
        missing("PostgreSQL is not installed: sudo apt-get install postgresql")
    server = Postgres()
    try:
        with running(server):
            yield server
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
async def postgres_url(postgres: Postgres, unique: str) -> AsyncIterator[str]:
    """``postgresql+asyncpg://…`` of a fresh database, dropped afterwards."""
    await postgres.execute(f"CREATE DATABASE {unique}")
    yield postgres.address(unique).replace("postgresql://", "postgresql+asyncpg://")
    await postgres.execute(f"DROP DATABASE {unique} WITH (FORCE)")


# --- mail -------------------------------------------------------------------------------------


class Mail(NamedTuple):
    """A mail as it was accepted."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    secure: bool
    login: str | None

    @property
    def text(self) -> str:
        """The decoded plain body."""
        body = self.message.get_body(("plain",))
        return body.get_content() if body else ""


@dataclass
class SmtpServer:
    """A mail server on a real socket. Its behaviour may be changed while it runs.

    ``refuse`` answers a recipient with a reply of its own (``"550 no such user"``); ``data_reply``
    answers every mail's content with a reply instead of accepting it; ``hang`` accepts connections
    and says nothing more.
    """

    folder: Path
    starttls: bool = True
    #: user name and password it demands
    auth: tuple[str, str] | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    data_reply: str | None = None
    delay_s: float = 0.0
    hang: bool = False
    mails: list[Mail] = field(default_factory=list)
    #: contents offered, accepted or not
    attempts: int = 0
    host: str = LOCALHOST
    port: int = 0
    _server: asyncio.Server | None = None

    @property
    def certificate(self) -> Path:
        """For a client that verifies: ``ssl.create_default_context(cafile=…)``."""
        return self.folder / "certificate.pem"

    async def start(self) -> None:
        """Listen; after a ``stop``, on the same port again."""
        tls: ssl.SSLContext | None = None
        if self.starttls:
            if not self.certificate.exists():
                make_certificate(self.folder, [LOCALHOST, "localhost"])
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self.certificate, self.folder / "key.pem")

        def protocol() -> asyncio.BaseProtocol:
            if self.hang:
                return asyncio.Protocol()
            return cast(asyncio.BaseProtocol, SMTP(
                self, hostname="mail.test", enable_SMTPUTF8=True, tls_context=tls,
                require_starttls=self.starttls, auth_required=self.auth is not None,
                auth_require_tls=self.starttls, authenticator=self._authenticate,
            ))  # fmt: skip

        self._server = await asyncio.get_running_loop().create_server(protocol, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def wait_for(self, count: int, deadline_s: float = DEADLINE_S) -> list[Mail]:
        """The mails, once there are that many."""
        await until(
            lambda: len(self.mails) >= count, f"{count} mails, got {len(self.mails)}", deadline_s
        )
        return self.mails

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and self.auth == (
            data.login.decode(),
            data.password.decode(),
        )
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        self.attempts += 1
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.data_reply is not None:
            return self.data_reply
        content = cast(bytes, envelope.content)
        login = cast(LoginPassword | None, session.auth_data)
        self.mails.append(
            Mail(
                sender=envelope.mail_from or "",
                recipients=list(envelope.rcpt_tos),
                message=cast(
                    EmailMessage, email.message_from_bytes(content, policy=email.policy.default)
                ),
                secure=session.ssl is not None,
                login=login.login.decode() if login else None,
            )
        )
        return "250 accepted"


@pytest.fixture
async def smtp_server(tmp_path: Path) -> AsyncIterator[Callable[..., Coroutine[Any, Any, SmtpServer]]]:
    """``await smtp_server(auth=("user", "password"), refuse={…})``: a started mail server."""
    started: list[SmtpServer] = []

    async def start(**options: Any) -> SmtpServer:
        folder = tmp_path / f"smtp-{len(started)}"
        folder.mkdir()
        server = SmtpServer(folder, **options)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await server.stop()


@pytest.fixture
async def smtp(smtp_server: Callable[..., Coroutine[Any, Any, SmtpServer]]) -> SmtpServer:
    """A mail server with STARTTLS that accepts and keeps everything."""
    return await smtp_server()
