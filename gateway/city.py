"""The city: everything a gateway process works with, opened once and closed once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from alerts.doors import Doors
from alerts.policy import DEFAULT_POLICY, Policy
from edge.wire.clock import Clock, clock_from_text
from edge.wire.identity import new_id
from edge.wire.messages import Command
from gateway import schema
from gateway.live import Hub
from gateway.metrics import Metrics
from gateway.settings import GatewaySettings
from gateway.stores.base import ReadingStore
from gateway.stores.opening import open_store
from registry.db import Database
from registry.khur.client import Khur
from registry.models import CityFact
from registry.sealed import Keyring, ensure_keyring

#: The fact that names this database's content (``gateway.restore`` gives it a new value).
STORE_FACT = "store"


@dataclass
class Health:
    """What the parts of this process last said of themselves; ``/readyz`` shows it.

    A part that is well is absent. The texts name what and where, never a secret.
    """

    troubles: dict[str, str] = field(default_factory=dict)

    def set(self, part: str, trouble: str | None) -> None:
        if trouble is None:
            self.troubles.pop(part, None)
        else:
            self.troubles[part] = trouble


@dataclass(kw_only=True)
class City:
    """Settings, clock, database, keys, reading store, live hub, counters; and who is to be woken."""

    settings: GatewaySettings
    clock: Clock
    database: Database
    keyring: Keyring
    readings: ReadingStore
    hub: Hub
    metrics: Metrics
    #: the id of this database: new for a new one, and given a new value after a restore
    store_id: str
    health: Health = field(default_factory=Health)
    #: who is told when; of the city's own file if there is one
    policy: Policy = DEFAULT_POLICY
    #: the channels, and the secrets by which their providers are known
    doors: Doors = field(default_factory=Doors)
    #: the adapter of the state's data exchange; None: none is set
    khur: Khur | None = None
    #: called when there are notifications to send; set by whoever runs the worker
    wake_alerts: Callable[[], None] = lambda: None
    #: called when a site's configuration may have changed; set by the ingest worker
    wake_configs: Callable[[], None] = lambda: None
    #: hands an order to a site's broker connection; False: there is none now. Set by the worker
    send_command: Callable[[Command], bool] = lambda _command: False

    @property
    def data_dir(self) -> Path:
        """The folder of everything the city keeps itself."""
        return self.settings.data_dir

    @property
    def troubles(self) -> Mapping[str, str]:
        """What this process waits for, by part."""
        return self.health.troubles


@asynccontextmanager
async def open_city(settings: GatewaySettings) -> AsyncIterator[City]:
    """The city of these settings.

    Raises ``DatabaseUnavailable``, ``SchemaError``, ``KeyringError`` or ``OSError``.
    """
    clock = clock_from_text(os.environ.get("UTAA_CLOCK"))
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    keyring = ensure_keyring(settings.effective_key_file)
    database = Database(settings.effective_database_url)
    readings = open_store(settings)
    metrics = Metrics()
    hub = Hub(metrics)
    khur = open_khur(settings)
    try:
        await database.check()
        await schema.upgrade(database)
        yield City(
            settings=settings,
            clock=clock,
            database=database,
            keyring=keyring,
            readings=readings,
            hub=hub,
            metrics=metrics,
            store_id=await ensure_store_id(database),
            khur=khur,
        )
    finally:
        hub.close()
        if khur is not None:
            await khur.close()
        await readings.close()
        await database.close()


def open_khur(settings: GatewaySettings) -> Khur | None:
    """The adapter that the settings name. Raises ``OSError`` where its key cannot be read."""
    if settings.khur_url is None:
        return None
    key = settings.khur_key_file
    return Khur(settings.khur_url, key.read_text(encoding="ascii").strip() if key else "")


async def ensure_store_id(database: Database) -> str:
    """The id of this database's content, made on the first start."""
    async with database.write() as session:
        return await _fact(session, STORE_FACT, new_id())


async def _fact(session: AsyncSession, name: str, otherwise: str) -> str:
    value = await session.scalar(select(CityFact.value).where(CityFact.name == name))
    if value is None:
        session.add(CityFact(name=name, value=otherwise))
        return otherwise
    return str(value)
