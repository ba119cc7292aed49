"""The servers of one box, as child processes: started on free ports, watched, stopped.

Cast: ``Mosquitto`` and its stand-in ``EmbeddedBroker`` (one shape, ``Broker``; ``pick_broker`` takes
the first that is installed), ``Influx`` (Debian's ``influxd``, behind nginx where it is too old to
know ``/api/v2/write``), ``Mailbox`` (an SMTP server that keeps the mails and shows them).

Every server keeps its files under the folder it is given and its output in ``<folder>/<name>.log``,
listens on this machine unless told otherwise, and comes back on the same port after ``restart``. It
ends when the process that started it ends, however that happens (``tether``). Nothing here belongs to
one event loop, so a server may be started in one and stopped in another.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self
from urllib.parse import urlencode

import httpx

from utaa.ports import LOCALHOST, ServerError, answers, free_port, reach
from utaa.tether import tethered

__all__ = [
    "LOCALHOST", "Broker", "Child", "EmbeddedBroker", "Influx", "Mailbox", "Mosquitto", "Server",
    "ServerError", "answers", "find_program", "free_port", "influx_version", "need_program",
    "pick_broker",
]  # fmt: skip

#: A server that needs longer than this to answer is broken; InfluxDB on a busy small box takes 8 s.
START_DEADLINE_S = 60.0
#: After SIGTERM a server may write its state for this long before it is killed.
STOP_DEADLINE_S = 20.0
#: How often another port is tried when somebody took the chosen one in between.
_PORT_ATTEMPTS = 5
_POLL_S = 0.02
_LOG_TAIL_LINES = 5
#: Where Debian keeps servers that a user's PATH does not show.
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")


def find_program(name: str) -> str | None:
    """Where a program is: on PATH or among the system's servers."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)))


def need_program(name: str, package: str) -> str:
    """Where a program is. Raises ``ServerError`` that names the package to install."""
    found = find_program(name)
    if found is None:
        raise ServerError(f"{name} is not installed: sudo apt-get install {package}")
    return found


class Child:
    """One child process with its output in a file. Signals of the terminal do not reach it."""

    def __init__(
        self, name: str, log: Path, *, user: str | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._user = user
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._process.poll() if self._process else None

    def spawn(self, argv: Sequence[str]) -> None:
        """Start the process; it may not be ready yet."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        groups: list[str | int] | None = None if self._user is None else []
        with self.log.open("ab") as output:
            self._log_begins = output.tell()
            self._process = subprocess.Popen(
                tethered(argv) if self._user is None else argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user,
                extra_groups=groups,
                env=None if self._env is None else {**os.environ, **self._env},
            )

    async def until(self, ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it is ready. Raises ``ServerError`` if it ends or the deadline passes first."""
        deadline = time.monotonic() + START_DEADLINE_S
        while self.alive:
            if await ready():
                # Somebody else may be answering on this port while ours is about to give up.
                await asyncio.sleep(_POLL_S)
                if self.alive:
                    return
                break
            if time.monotonic() > deadline:
                await self.stop()
                raise ServerError(
                    f"{self.name} did not answer in {START_DEADLINE_S:g} s: {self.tail()}"
                )
            await asyncio.sleep(_POLL_S)
        raise ServerError(f"{self.name} ended with code {self.returncode}: {self.tail()}")

    def said(self) -> list[str]:
        """What it wrote since it was started, line by line."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_begins)
                return log.read().decode(errors="replace").splitlines()
        except OSError:
            return []

    def tail(self) -> str:
        """The last lines of this start, on one line, and where the rest is."""
        return f"{' | '.join(self.said()[-_LOG_TAIL_LINES:])} (see {self.log})"

    def last_word(self) -> str:
        """Why it ended: its own ``utaa: …`` line of this start, else its last line."""
        lines = [line.strip() for line in self.said() if line.strip()]
        own = [line.removeprefix("utaa: ") for line in lines if line.startswith("utaa: ")]
        return (own or lines or ["it said nothing"])[-1]

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, wait, and kill it if it does not."""
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(number)
        deadline = time.monotonic() + STOP_DEADLINE_S
        while self.alive:
            if time.monotonic() > deadline:
                await self.kill()
            await asyncio.sleep(_POLL_S)

    async def kill(self) -> None:
        """End it at once with the processes it started, as a power cut does."""
        if self._process is None:
            return
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)


class Server(ABC):
    """A server of one process (or two): start, stop, kill, restart on the same port."""

    name: ClassVar[str]
    #: how it is asked to end
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path, *, port: int | None = None, listen: str = LOCALHOST) -> None:
        self.folder = folder.absolute()  # some programs read paths from where they like
        self.listen = listen
        self.host = reach(listen)
        self._wanted_port = port
        self.port = port or 0
        self._children: list[Child] = []

    async def start(self) -> None:
        """Start and wait until it serves. Raises ``ServerError``.

        A port that was asked for is used or refused; otherwise a free one is found.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._wanted_port and await answers(self._wanted_port, self.host):
            raise ServerError(
                f"{self.name} cannot listen on {self.host}:{self._wanted_port}, somebody else does:"
                " stop it or choose another port"
            )
        for attempt in range(_PORT_ATTEMPTS):
            self.port = self._wanted_port or free_port()
            try:
                await self._launch()
            except ServerError:
                await self.kill()
                if (
                    self._wanted_port
                    or attempt == _PORT_ATTEMPTS - 1
                    or not await self._port_was_taken()
                ):
                    raise
            else:
                self._wanted_port = self.port
                return

    @abstractmethod
    async def _launch(self) -> None:
        """Start the processes on ``self.port`` and wait until they serve. Raises ``ServerError``."""

    async def _port_was_taken(self) -> bool:
        return await answers(self.port, self.host)

    async def stop(self) -> None:
        """Stop in the reverse order of starting; harmless when stopped."""
        while self._children:
            await self._children.pop().stop(self.stop_signal)

    async def kill(self) -> None:
        """End every process at once, without a chance to save anything."""
        while self._children:
            await self._children.pop().kill()

    async def restart(self) -> None:
        """Stop and start again on the same port with the same files."""
        await self.stop()
        await self.start()

    @property
    def alive(self) -> bool:
        """Whether every process of it runs."""
        return bool(self._children) and all(child.alive for child in self._children)

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in self._children if child.pid is not None]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    def _child(self, name: str, *, env: Mapping[str, str] | None = None) -> Child:
        child = Child(name, self.folder / f"{name}.log", env=env)
        self._children.append(child)
        return child


class Broker(Protocol):
    """What the one box needs of an MQTT broker."""

    name: ClassVar[str]
    #: whether ``$share/<group>/…`` spreads messages; without it a gateway subscribes plainly
    supports_shared: ClassVar[bool]
    host: str
    port: int

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def kill(self) -> None: ...
    async def restart(self) -> None: ...


class Mosquitto(Server):
    """Eclipse Mosquitto with a configuration of its own.

    ``persistence`` keeps sessions and retained messages over a stop; ``settings`` are further lines
    of its configuration and win over ours.
    """

    name = "Mosquitto"
    supports_shared: ClassVar[bool] = True

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        listen: str = LOCALHOST,
        persistence: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, port=port, listen=listen)
        # Its default queue limits drop messages of a slow QoS 1 subscriber without an error.
        self.settings = {
            "allow_anonymous": "true",
            "max_queued_messages": "0",
            "max_inflight_messages": "1000",
            "set_tcp_nodelay": "true",
            "persistence": "true" if persistence else "false",
            "log_type": "warning",
            "user": getpass.getuser(),
            **(settings or {}),
        }

    @staticmethod
    def installed() -> bool:
        return find_program("mosquitto") is not None

    async def _launch(self) -> None:
        program = need_program("mosquitto", "mosquitto")
        lines = [f"listener {self.port} {self.listen}", f"persistence_location {self.folder}/"]
        lines += [f"{key} {value}" for key, value in self.settings.items()]
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        child = self._child("mosquitto")
        child.spawn([program, "-c", str(configuration)])
        await child.until(lambda: answers(self.port, self.host))


class EmbeddedBroker(Server):
    """``utaa.broker`` as a child process, for a box without Mosquitto."""

    name = "the embedded broker"
    supports_shared: ClassVar[bool] = True

    async def _launch(self) -> None:
        child = self._child("broker")
        child.spawn(
            [sys.executable, "-m", "utaa.broker", "--host", self.listen, "--port", str(self.port)]
        )
        await child.until(lambda: answers(self.port, self.host))


def pick_broker(folder: Path, *, port: int | None = None) -> Mosquitto | EmbeddedBroker:
    """Mosquitto where it is installed, the embedded broker elsewhere; ``.name`` says which."""
    if Mosquitto.installed():
        return Mosquitto(folder, port=port)
    return EmbeddedBroker(folder, port=port)


_INFLUX_CONFIGURATION = """\
reporting-disabled = true
bind-address = "{host}:0"
[meta]
  dir = "{folder}/meta"
  logging-enabled = false
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  max-values-per-tag = 0
  max-series-per-database = 0
  query-log-enabled = false
[http]
  bind-address = "{host}:{port}"
  log-enabled = false
[monitor]
  store-enabled = false
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
[logging]
  level = "warn"
"""

# ``us`` is the only precision that version 1 spells otherwise.
_NGINX_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $arg_precision $version_1_precision {{ us u; default $arg_precision; }}
  upstream influxdb {{ server {host}:{influx_port}; keepalive 16; }}
  server {{
    listen {host}:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 120s;
    location = /api/v2/write {{
      proxy_pass http://influxdb/write?db=$arg_bucket&precision=$version_1_precision;
    }}
    location / {{ proxy_pass http://influxdb; }}
  }}
}}
"""


class Influx(Server):
    """InfluxDB 1.x as Debian ships it: ``/api/v2/write`` for writing, InfluxQL ``/query`` for reading.

    Version 1.8 knows ``/api/v2/write`` by itself; an older one gets nginx in front that translates.
    A bucket is a database: make it with ``create_database``.
    """

    name = "InfluxDB"

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self._influx_port = 0

    @staticmethod
    def why_not() -> str | None:
        """Why this machine's InfluxDB cannot be started here; None if it can."""
        program = find_program("influxd")
        if program is None:
            return "InfluxDB is not installed: sudo apt-get install influxdb nginx-light"
        version = influx_version(program)
        if version >= (2,):
            return (
                f"InfluxDB {version[0]} is used by its address, not started here:"
                " set UTAA_GATEWAY_INFLUX_URL"
            )
        if version < (1, 8) and find_program("nginx") is None:
            return "this InfluxDB is older than 1.8 and needs nginx: sudo apt-get install nginx-light"
        return None

    @classmethod
    def installed(cls) -> bool:
        """Whether this machine has all that it takes to start one."""
        return cls.why_not() is None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def _launch(self) -> None:
        if problem := self.why_not():
            raise ServerError(problem)
        program = need_program("influxd", "influxdb")
        behind_nginx = influx_version(program) < (1, 8)
        self._influx_port = (self._influx_port or free_port()) if behind_nginx else self.port
        configuration = self.folder / "influxdb.conf"
        configuration.write_text(
            _INFLUX_CONFIGURATION.format(folder=self.folder, host=self.host, port=self._influx_port)
        )
        influx = self._child("influxd")
        influx.spawn([program, "-config", str(configuration)])
        await influx.until(lambda: _http_answers(f"http://{self.host}:{self._influx_port}/ping"))
        if behind_nginx:
            await self._launch_nginx()

    async def _launch_nginx(self) -> None:
        program = need_program("nginx", "nginx-light")
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            _NGINX_CONFIGURATION.format(
                folder=self.folder,
                host=self.host,
                port=self.port,
                influx_port=self._influx_port,
                user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            )
        )
        nginx = self._child("nginx")
        nginx.spawn([program, "-c", str(configuration), "-p", str(self.folder), "-e", "stderr"])
        await nginx.until(lambda: _http_answers(f"{self.url}/ping"))

    async def _port_was_taken(self) -> bool:
        taken = await answers(self.port) or await answers(self._influx_port)
        self._influx_port = 0
        return taken

    async def query(self, statement: str, database: str = "") -> list[dict[str, object]]:
        """Run InfluxQL; the rows of all series, each a dict by column. Raises ``ServerError``."""
        form = {"q": statement, "db": database}
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
            answer = await http.post(
                f"{self.url}/query",
                content=urlencode(form),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
        if "json" not in answer.headers.get("Content-Type", ""):
            raise ServerError(f"InfluxDB at {self.url} answered with status {answer.status_code}")
        body = answer.json()
        for result in [body, *body.get("results", [])]:
            if "error" in result:
                raise ServerError(f"InfluxDB refused {statement!r}: {result['error']}")
        return [
            dict(zip(series["columns"], row, strict=True))
            for result in body.get("results", [])
            for series in result.get("series", [])
            for row in series.get("values", [])
        ]

    async def create_database(self, name: str) -> None:
        """A database, which is a bucket to ``/api/v2/write``. Harmless if it exists."""
        await self.query(f"CREATE DATABASE {json.dumps(name)}")

    async def drop_database(self, name: str) -> None:
        """Remove a database with all that is in it."""
        await self.query(f"DROP DATABASE {json.dumps(name)}")


def influx_version(program: str) -> tuple[int, ...]:
    """Major and minor version of an ``influxd``; (0,) if it does not say."""
    said = subprocess.run([program, "version"], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"InfluxDB v?(\d+)\.(\d+)", said.stdout + said.stderr)
    return (int(found[1]), int(found[2])) if found else (0,)


async def _http_answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            return (await http.get(url)).status_code < 400
    except httpx.HTTPError:
        return False


class Mailbox(Server):
    """``utaa.mailbox`` as a child process: takes mails by SMTP (``port``), shows them at ``url``."""

    name = "the local mailbox"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        http_port: int | None = None,
        city_url: str | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self._city_url = city_url
        self._wanted_http_port = http_port
        self.http_port = http_port or 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}/"

    @property
    def certificate(self) -> Path:
        """The certificate of its STARTTLS, for a client that verifies."""
        return self.folder / "certificate.pem"

    async def _launch(self) -> None:
        self.http_port = self._wanted_http_port or free_port()
        child = self._child("mailbox")
        child.spawn(
            [
                sys.executable, "-m", "utaa.mailbox", "--smtp-port", str(self.port),
                "--http-port", str(self.http_port), "--dir", str(self.folder),
                *(("--city", self._city_url) if self._city_url else ()),
            ]
        )  # fmt: skip
        await child.until(lambda: _http_answers(f"{self.url}healthz"))
        self._wanted_http_port = self.http_port

    async def _port_was_taken(self) -> bool:
        return await answers(self.port) or await answers(self.http_port)
