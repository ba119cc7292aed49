"""The whole house on one machine: brokers, reading store, mailbox, gateway and edge agents.

``OneBox`` starts real servers where they are installed and the embedded ones elsewhere, says which,
and runs each room as a process of its own, wired by environment variables as systemd would. The demo,
``utaa up``, the end-to-end tests and the benches all stand on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import httpx

from edge.wire.clock import ScaledClock
from utaa.ports import LOCALHOST, ServerError, claim, free_port, lan_address, reach
from utaa.servers import Child, EmbeddedBroker, Influx, Mailbox, Mosquitto, Server

_POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one box holds. ``None`` means: take what is installed."""

    folder: Path
    sites: tuple[str, ...]
    port: int = 0
    influx: bool | None = None
    mosquitto: bool | None = None
    database_url: str | None = None
    clock: ScaledClock | None = None
    open_overview: bool = False
    #: where mails go; None starts a local mailbox, 0 leaves it to the alerts' own settings
    smtp_port: int | None = None
    mailbox_http_port: int | None = None
    #: one broker for the city and each site, as in life; False puts all on the city's
    broker_per_site: bool = True
    #: the city's broker: its port (None: any free one) and the address it listens on
    broker_port: int | None = None
    broker_listen: str = LOCALHOST
    #: the address the page listens on
    host: str = LOCALHOST
    #: put the page's own address into messages; without it they bear a link only if one is configured
    link_to_page: bool = True
    #: keep what the brokers hold over a stop
    persistent: bool = False
    #: further environment of the gateway and of the edge agents
    gateway_env: Mapping[str, str] = field(default_factory=dict)
    edge_env: Mapping[str, str] = field(default_factory=dict)


class OneBox:
    """A running house. Use as ``async with OneBox(plan) as box``."""

    def __init__(self, plan: Plan, *, say: Callable[[str], None] = lambda _line: None) -> None:
        # rooms and servers run elsewhere: a relative folder would be another one to them
        self.plan = plan = replace(plan, folder=plan.folder.absolute())
        self._say = say
        self._servers: list[Server] = []
        self.rooms: dict[str, Child] = {}
        self.site_brokers: dict[str, Mosquitto | EmbeddedBroker] = {}
        self.city_broker: Mosquitto | EmbeddedBroker
        self.influx: Influx | None = None
        self.mailbox: Mailbox | None = None
        self.port = plan.port

    @property
    def url(self) -> str:
        """Where this machine itself finds the page."""
        return f"http://{reach(self.plan.host)}:{self.port}"

    @property
    def url_for_others(self) -> str:
        """Where a browser on another device finds it, if it may."""
        return f"http://{lan_address(self.plan.host)}:{self.port}"

    @property
    def gateway_data(self) -> Path:
        return self.plan.folder / "city"

    @property
    def database_url(self) -> str:
        return self.plan.database_url or f"sqlite:///{self.gateway_data / 'city.sqlite'}"

    def log_of(self, room: str) -> Path:
        return self.plan.folder / "logs" / f"{room}.log"

    def edge_data(self, site: str) -> Path:
        return self.plan.folder / "sites" / site

    async def __aenter__(self) -> Self:
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._claim_ports()
            await self.start_servers()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    def _claim_ports(self) -> None:
        """Raises ``ServerError`` for a port that was asked for and cannot be had; picks the page's."""
        if self.plan.port:
            claim("the page", self.plan.host, self.plan.port, "--port", listen_option="--host")
        if self.plan.broker_port:
            claim(
                "the broker", self.plan.broker_listen, self.plan.broker_port, "--broker-port",
                listen_option="--listen",
            )  # fmt: skip
        self.port = self.port or free_port()

    # --- servers ---------------------------------------------------------------------------------

    async def start_servers(self) -> None:
        """Brokers, reading store and mailbox. Raises ``ServerError``."""
        plan = self.plan
        await asyncio.gather(self._start_brokers(), self._start_influx(), self._start_mailbox())
        self._say(
            f"broker: {self.city_broker.name}"
            + (
                f", one for the city and one for each of {len(plan.sites)} sites"
                if plan.broker_per_site
                else ""
            )
        )
        self._say(f"readings: {'InfluxDB' if self.influx else 'SQLite files'}")

    async def _start_brokers(self) -> None:
        self.city_broker = self._broker("city", self.plan.broker_port, self.plan.broker_listen)
        names = self.plan.sites if self.plan.broker_per_site else ()
        self.site_brokers = {site: self._broker(f"site-{site}") for site in names}
        await asyncio.gather(
            self._start(self.city_broker),
            *(self._start(broker) for broker in self.site_brokers.values()),
        )

    def _broker(
        self, name: str, port: int | None = None, listen: str = LOCALHOST
    ) -> Mosquitto | EmbeddedBroker:
        folder = self.plan.folder / "brokers" / name
        wanted = self.plan.mosquitto
        if wanted or (wanted is None and Mosquitto.installed()):
            return Mosquitto(folder, port=port, listen=listen, persistence=self.plan.persistent)
        return EmbeddedBroker(folder, port=port, listen=listen)

    async def _start_influx(self) -> None:
        why_not = Influx.why_not()
        if self.plan.influx is False or (self.plan.influx is None and why_not):
            if self.plan.influx is None and why_not:
                self._say(f"no InfluxDB: {why_not}")
            return
        self.influx = Influx(self.plan.folder / "influx")
        await self._start(self.influx)

    async def _start_mailbox(self) -> None:
        if self.plan.smtp_port is None:
            self.mailbox = Mailbox(
                self.plan.folder / "mailbox", http_port=self.plan.mailbox_http_port, city_url=self.url
            )
            await self._start(self.mailbox)

    async def _start(self, server: Server) -> None:
        self._servers.append(server)
        await server.start()

    # --- rooms -----------------------------------------------------------------------------------

    async def start_gateway(self, name: str = "gateway") -> Child:
        """The city's process, ready to be asked. Raises ``ServerError``."""
        self.port = self.port or free_port()
        claim("the page", self.plan.host, self.port, "--port", listen_option="--host")
        child = self._spawn(name, self._gateway_env(), "gateway", "serve")
        await child.until(self._ready)
        return child

    def _gateway_env(self) -> dict[str, str]:
        broker = self.city_broker
        env = {
            "UTAA_GATEWAY_DATA_DIR": str(self.gateway_data),
            "UTAA_GATEWAY_DATABASE_URL": self.database_url,
            "UTAA_GATEWAY_BROKER_URL": f"mqtt://{broker.host}:{broker.port}",
            "UTAA_GATEWAY_SHARED_SUBSCRIPTIONS": str(broker.supports_shared).lower(),
            "UTAA_GATEWAY_HOST": self.plan.host,
            "UTAA_GATEWAY_PORT": str(self.port),
            "UTAA_GATEWAY_OPEN_OVERVIEW": str(self.plan.open_overview).lower(),
            "UTAA_GATEWAY_OPEN_METRICS": str(self.plan.open_overview).lower(),
            **self._smtp_env(),
        }
        if self.plan.link_to_page:
            env["UTAA_ALERTS_PUBLIC_URL"] = self.url
        if self.influx:
            env["UTAA_GATEWAY_INFLUX_URL"] = self.influx.url
        return {**env, **self.plan.gateway_env}

    def _smtp_env(self) -> dict[str, str]:
        port = self.mailbox.port if self.mailbox else self.plan.smtp_port
        if not port:
            return {}
        env = {
            "UTAA_ALERTS_SMTP__HOST": "127.0.0.1",
            "UTAA_ALERTS_SMTP__PORT": str(port),
            "UTAA_ALERTS_SMTP__FROM_ADDRESS": "utaa@example.org",
        }
        if self.mailbox:
            env["UTAA_ALERTS_SMTP__CA_FILE"] = str(self.mailbox.certificate)
        return env

    async def _ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
                return (await http.get(f"{self.url}/readyz")).status_code == 200
        return False

    def start_edge(self, site: str) -> Child:
        """The agent of one site; it connects by itself."""
        local, city = self.site_brokers.get(site, self.city_broker), self.city_broker
        env = {
            "UTAA_EDGE_SITE": site,
            "UTAA_EDGE_DATA_DIR": str(self.edge_data(site)),
            "UTAA_EDGE_SITE_BROKER__HOST": local.host,
            "UTAA_EDGE_SITE_BROKER__PORT": str(local.port),
            "UTAA_EDGE_CITY_BROKER__HOST": city.host,
            "UTAA_EDGE_CITY_BROKER__PORT": str(city.port),
            **self.plan.edge_env,
        }
        return self._spawn(f"edge-{site}", env, "edge", "run")

    def _spawn(self, name: str, env: Mapping[str, str], *words: str) -> Child:
        scaled = {"UTAA_CLOCK": self.plan.clock.as_text()} if self.plan.clock else {}
        child = Child(name, self.log_of(name), env={**env, **scaled})
        child.spawn([sys.executable, "-m", "utaa.cli", *words])
        self.rooms[name] = child
        return child

    def restart_room(self, name: str) -> Child:
        """Start a room that has ended again, as it was; it may not be ready yet."""
        if name.startswith("edge-"):
            return self.start_edge(name.removeprefix("edge-"))
        return self._spawn(name, self._gateway_env(), "gateway", "serve")

    def start_tool(self, name: str, *words: str) -> Child:
        """Any ``utaa`` command beside the rooms, such as a simulator, on the box's clock."""
        return self._spawn(name, {}, *words)

    def check(self) -> None:
        """Raises ``ServerError`` naming the first room that has ended."""
        for name, child in self.rooms.items():
            if not child.alive:
                raise ServerError(f"{name} ended with code {child.returncode}: {child.last_word()}")

    async def stop_room(self, name: str) -> int | None:
        """End one room cleanly; its exit code."""
        child = self.rooms.pop(name)
        await child.stop()
        return child.returncode

    async def stop(self) -> None:
        """End everything: edges first, so that the city hears their last word; then the servers."""
        for name in sorted(self.rooms, key=lambda name: name.startswith("gateway")):
            with contextlib.suppress(KeyError):
                await self.stop_room(name)
        for server in reversed(self._servers):
            await server.stop()
        self._servers.clear()


async def until(
    condition: Callable[[], Awaitable[bool]], *, seconds: float, what: str, poll_s: float = _POLL_S
) -> None:
    """Wait for a condition. Raises ``TimeoutError`` that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(poll_s)
