"""A small house of real processes for the end-to-end tests: one site, SQLite, a mail server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import httpx

from edge.wire.clock import SystemClock
from registry.db import Database
from registry.identity import Identity
from tests.made import migrated
from tests.servers import SmtpServer, missing, until
from utaa.onebox import OneBox, Plan
from utaa.readback import Api
from utaa.servers import Mosquitto

SITE = "home-row"
ROLES = ("administrator", "registrar", "duty")


@dataclass
class House:
    """The running house and the doors to it."""

    box: OneBox
    api: Api
    smtp: SmtpServer
    folder: Path

    async def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """One message on the site's own broker, acknowledged by it."""
        broker = self.box.site_brokers[SITE]
        async with aiomqtt.Client(broker.host, broker.port) as client:
            await client.publish(topic, payload, qos=1, retain=retain)

    async def publish_to_city(self, topic: str, payload: bytes | str) -> None:
        """One message on the city's broker."""
        async with aiomqtt.Client(self.box.city_broker.host, self.box.city_broker.port) as client:
            await client.publish(topic, payload, qos=1)

    async def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels."""
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"{self.box.url}/metrics")).text
        samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    async def incidents(self) -> list[dict[str, Any]]:
        return [item async for item in self.api.items("/incidents")]

    async def detectors(self) -> dict[str, dict[str, Any]]:
        """By address."""
        return {item["address"]: item async for item in self.api.items("/detectors")}

    async def online(self) -> bool:
        self.box.check()
        return [site["state"] async for site in self.api.items("/sites")] == ["online"]

    async def start_edge(self) -> None:
        self.box.start_edge(SITE)
        await until(self.online, "the site online")


@asynccontextmanager
async def house(
    tmp_path: Path,
    smtp: SmtpServer,
    *,
    edge_env: Mapping[str, str] | None = None,
    gateway_env: Mapping[str, str] | None = None,
    outputs: Mapping[str, Any] | None = None,
) -> AsyncIterator[House]:
    """Everything running, one household with the native detectors ``smoke-1`` and ``co-1``."""
    if not Mosquitto.installed():
        missing("Mosquitto is not installed: sudo apt-get install mosquitto")
    plan = Plan(
        folder=tmp_path / "box",
        sites=(SITE,),
        influx=False,
        mosquitto=True,
        open_overview=True,
        smtp_port=smtp.port,
        gateway_env={"UTAA_ALERTS_SMTP__CA_FILE": str(smtp.certificate), **(gateway_env or {})},
        edge_env={"UTAA_EDGE_HEARTBEAT_S": "0.3", **(edge_env or {})},
    )
    async with OneBox(plan) as box:
        migrated(box.database_url)
        await box.start_gateway()
        database = Database(box.database_url)
        token = await Identity(database, SystemClock()).new_token("test", ROLES, days=1)
        await database.close()
        running = House(box, Api(box.url, token), smtp, tmp_path)
        try:
            await _register(running.api, outputs or {})
            await running.start_edge()
            yield running
        finally:
            await running.api.close()


async def _register(api: Api, outputs: Mapping[str, Any]) -> None:
    site = {"id": SITE, "title": "Жишээ гудамж", "output_settings": dict(outputs)}
    await api.post("/sites", site)
    channel = {"channel": "email", "address": "kontakt@example.org"}
    contact = {"name": "Жишээ", "channels": [channel]}
    household = await api.post(
        "/households",
        {"label": "GER-1", "site_id": SITE, "address": "Жишээ гудамж 1", "contacts": [contact]},
    )
    registered = [
        {"source": "native", "address": address, "household_id": household["id"]}
        for address in ("smoke-1", "co-1")
    ]
    await api.post("/detectors", {"site_id": SITE, "detectors": registered})
