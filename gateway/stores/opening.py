"""The reading store that the settings ask for."""

from __future__ import annotations

from gateway.settings import GatewaySettings
from gateway.stores.base import ReadingStore
from gateway.stores.sqlite import SqliteStore


def open_store(settings: GatewaySettings) -> ReadingStore:
    """A store that is not connected yet; ``check`` says whether it answers."""
    if settings.effective_store == "influx":
        from gateway.stores.influx import (
            InfluxStore,
        )  # a city without InfluxDB does not load its client

        return InfluxStore(
            url=settings.influx_url or "http://127.0.0.1:8086",
            token=settings.influx_token.get_secret_value(),
            org=settings.influx_org,
            bucket=settings.influx_bucket,
            retention_days=settings.retention_days,
        )
    return SqliteStore(settings.data_dir / "readings")
