"""The configuration reference names every setting there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from alerts.settings import AlertSettings, SmtpSettings, WebPushSettings, WorkerSettings
from edge.settings import BrokerSettings, EdgeSettings
from gateway.settings import GatewaySettings
from registry.personal.periods import Periods
from registry.settings import RegistrySettings

REFERENCE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.mark.parametrize(
    ("settings", "table", "prefix"),
    [
        (GatewaySettings, "gateway", ""),
        (Periods, "gateway", "retention."),
        (EdgeSettings, "edge", ""),
        (RegistrySettings, "registry", ""),
        (AlertSettings, "alerts", ""),
        (SmtpSettings, "alerts", "smtp."),
        (WebPushSettings, "alerts", "webpush."),
        (WorkerSettings, "alerts", "worker."),
    ],
)
def test_every_setting_is_in_the_reference(settings: type[BaseModel], table: str, prefix: str) -> None:
    section = REFERENCE.read_text().partition(f"## `[{table}]`")[2].partition("\n## ")[0]
    nested = {"site_broker", "city_broker", "smtp", "webpush", "worker"}
    missing = [
        name
        for name in settings.model_fields
        if f"`{prefix}{name}`" not in section and not (name in nested and f"`{name}." in section)
    ]
    assert not missing


def test_the_keys_of_a_broker_are_in_the_reference() -> None:
    section = REFERENCE.read_text().partition("## `[edge]`")[2]
    assert all(f"`{name}`" in section for name in BrokerSettings.model_fields)
