"""One gateway process: HTTP, ingest, alerts and supervision in one task group, stopped cleanly.

Every part is a named task. SIGTERM or SIGINT ends the live streams, lets running requests and sends
finish, and stops; what was taken from the broker and not yet acknowledged comes again from the edges.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from alerts.channels.base import Channel
from alerts.channels.opening import open_channels
from alerts.doors import open_doors
from alerts.dryrun import load_policy
from alerts.settings import AlertSettings
from alerts.worker import Worker
from edge.wire.clock import US_PER_S
from gateway import outside
from gateway.app import create_app
from gateway.audit_copy import AuditCopy
from gateway.city import City, open_city
from gateway.fibre.watch import FibreWatch
from gateway.ingest.inbox import BrokerUnavailable
from gateway.ingest.patience import until_done
from gateway.ingest.worker import IngestWorker
from gateway.limits import Limits
from gateway.patient import MAX_HEAD_BYTES, PatientProtocol
from gateway.personal.keeper import Keeper
from gateway.settings import GatewaySettings
from gateway.signin import routes as signin_routes
from gateway.signin.opening import open_provider
from gateway.supervise import Supervisor
from gateway.upkeep import Upkeep
from gateway.web import pages, routes
from registry.accounts.breached import Breached
from registry.fibre.services import PlantKeeper
from registry.identity import Identity
from registry.outward import networks
from registry.passwords import Passwords

#: Open requests get this long to finish; live streams are ended at once.
_HTTP_GRACE_S = 5
#: How long the broker may take before the start says that it waits for it.
_BROKER_PATIENCE_S = 5.0
_RETENTION_EVERY_S = 3600.0
_DAY_US = 24 * 3600 * US_PER_S

log = structlog.get_logger()


class PortTaken(Exception):
    """Another program listens where we should."""


@dataclass(frozen=True)
class Started:
    """What the console says when the gateway is up."""

    url: str
    setup_code: str | None


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    settings: GatewaySettings,
    alert_settings: AlertSettings,
    *,
    started: Callable[[Started], None] = lambda _: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run until SIGTERM, SIGINT or ``stop``.

    Raises ``PortTaken``, ``DatabaseUnavailable``, ``SchemaError``, ``KeyringError`` or
    ``alerts.settings.SettingsError`` before anything is served. A broker or reading store that does not
    answer is waited for; ``/readyz`` says so.
    """
    stop = stop or asyncio.Event()
    with _listening(settings.host, settings.port) as listener:
        async with open_city(settings) as city:
            city.policy = load_policy(alert_settings.policy_file)
            channels = open_channels(alert_settings, data_dir=settings.data_dir)
            city.doors = open_doors(alert_settings, channels, data_dir=settings.data_dir)
            worker = _alerts_worker(city, alert_settings, channels)
            upkeep = Upkeep(city, worker, alert_settings)
            with _signals(stop):
                await _run(city, worker, upkeep, listener, started, stop)


async def _run(
    city: City,
    worker: Worker,
    upkeep: Upkeep,
    listener: socket.socket,
    started: Callable[[Started], None],
    stop: asyncio.Event,
) -> None:
    identity = Identity(city.database, city.clock, passwords=_passwords(city), keyring=city.keyring)
    application, keeper = _application(city, identity), PlantKeeper()
    application.state.plant_keeper = keeper  # the routes and the watch share one plant
    server = _server(application, city)
    ingest = IngestWorker(city)
    supervisor = Supervisor(city, lambda: ingest.listening_since_us)
    city.wake_alerts = worker.wake
    started(Started(_url(listener), await identity.ensure_setup_code()))
    async with asyncio.TaskGroup() as group:
        background: list[asyncio.Task[Any]] = [
            group.create_task(ingest.run(), name="ingest"),
            group.create_task(supervisor.run(), name="supervisor"),
            group.create_task(FibreWatch(city, keeper).run(), name="fibre"),
            group.create_task(_retain(city), name="retention"),
            group.create_task(Keeper(city).run(), name="personal data"),
            group.create_task(_say_when_connected(ingest), name="broker greeting"),
            *(group.create_task(task(), name=name) for name, task in upkeep.tasks().items()),
            *_audit_copy(city, group),
        ]
        alerts = group.create_task(worker.run(), name="alerts")
        http = group.create_task(server.serve(sockets=[listener]), name="http")
        await stop.wait()
        log.info("gateway.stopping")
        city.hub.close()
        server.should_exit = True
        await http
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        worker.stop()
        await alerts
    log.info("gateway.stopped")


def _application(city: City, identity: Identity) -> FastAPI:
    app = create_app(
        city,
        identity=identity,
        extra=[*pages.routers(), *outside.routers(), signin_routes.router],
        tile_url=city.settings.tile_url,
        limits=Limits(
            address_per_s=city.settings.requests_per_address_per_s,
            person_per_s=city.settings.requests_per_person_per_s,
            proxies=networks(city.settings.trusted_proxies),
        ),
    )
    routes.install(app)
    app.state.provider = open_provider(city)
    return app


def _server(app: FastAPI, city: City) -> _Server:
    config = uvicorn.Config(
        app,
        host=city.settings.host,
        log_config=None,
        access_log=False,
        server_header=False,
        http=PatientProtocol,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        proxy_headers=False,  # gateway.limits believes the named ones alone
        timeout_graceful_shutdown=_HTTP_GRACE_S,
        lifespan="off",
    )
    return _Server(config)


def _alerts_worker(city: City, settings: AlertSettings, channels: Mapping[str, Channel]) -> Worker:
    return Worker(
        city.database,
        channels,
        city.clock,
        settings.worker,
        keyring=city.keyring,
        policy=city.policy,
        public_url=settings.public_url,
        on_change=lambda incident_id: city.hub.publish("incident", {"incident": incident_id}),
    )


def _passwords(city: City) -> Passwords:
    """How passwords are judged. Raises ``BreachListError`` or ``OSError`` for a list that is none."""
    listed = city.settings.breached_passwords_file
    return Passwords(breached=Breached(listed) if listed else None)


def _audit_copy(city: City, group: asyncio.TaskGroup) -> list[asyncio.Task[Any]]:
    server = city.settings.syslog_server
    if server is None:
        return []
    copy = AuditCopy(city, server, city.settings.audit_syslog_ca_file)
    return [group.create_task(copy.run(), name="audit copy")]


async def _say_when_connected(ingest: IngestWorker) -> None:
    try:
        await ingest.ready(_BROKER_PATIENCE_S)
    except BrokerUnavailable as error:
        log.warning("broker.waiting", broker=str(error))


async def _retain(city: City) -> None:
    """Drop readings that are older than the retention, by whole days."""
    keep_us = city.settings.retention_days * _DAY_US
    while True:
        drop = partial(city.readings.drop_before, city.clock.now_us() - keep_us)
        dropped = await until_done(city, "retention", drop)
        if dropped:
            log.info("readings.dropped", days=dropped)
        await asyncio.sleep(_RETENTION_EVERY_S)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The listening socket, taken before anything else starts. Raises ``PortTaken``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1024)
        except OSError as error:
            raise PortTaken(f"{host}:{port}: {error.strerror}") from None
        listener.setblocking(False)
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
