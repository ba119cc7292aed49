"""Sources: what detectors say, in whatever protocol, becomes readings and device facts.

Cast: ``base`` (raw message, decoded message, builder, router), one module for each protocol
(``native``, …), ``codecs`` (LoRaWAN bytes, one small file for each device), ``command`` (trying a
payload by hand).

A message's way: the site's broker hands over topic and bytes; the ``Router`` finds the source whose
filter takes the topic; the source decodes, or refuses with a ``WireError`` whose reason is counted;
the ``Builder`` gives the readings their opaque detector id, a time that can be believed and values
that are possible; the agent takes readings and facts from there. A retained message is last-known
state: the agent uses its facts and drops its readings.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edge.sources.base import Decoded, Example, RawMessage, Router, Source
from edge.sources.chirpstack import ChirpStackSource
from edge.sources.generic import GenericSource
from edge.sources.homeassistant import HomeAssistantSource
from edge.sources.native import NativeSource
from edge.sources.shelly import ShellySource
from edge.sources.sparkplug import SparkplugSource
from edge.sources.tasmota import TasmotaSource
from edge.sources.thethingsstack import TheThingsStackSource
from edge.sources.zigbee2mqtt import Zigbee2MqttSource

#: Every source by the name that configuration and command line use.
SOURCES: Mapping[str, Callable[..., Source]] = MappingProxyType(
    {
        NativeSource.name: NativeSource,
        Zigbee2MqttSource.name: Zigbee2MqttSource,
        ChirpStackSource.name: ChirpStackSource,
        TheThingsStackSource.name: TheThingsStackSource,
        ShellySource.name: ShellySource,
        TasmotaSource.name: TasmotaSource,
        HomeAssistantSource.name: HomeAssistantSource,
        SparkplugSource.name: SparkplugSource,
        GenericSource.name: GenericSource,
    }
)


def build(name: str, site: str, options: Mapping[str, Any] | None = None) -> Source:
    """The source of that name. Raises ``ValueError`` that says what was expected."""
    factory = SOURCES.get(name)
    if factory is None:
        raise ValueError(f"there is no source {name!r}; known are {', '.join(SOURCES)}")
    try:
        inspect.signature(factory).bind(site, **(options or {}))
    except TypeError as error:
        raise ValueError(f"source {name} {error}") from None
    try:
        return factory(site, **(options or {}))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"source {name}: an option is of the wrong type: {error}") from None


def read_options(path: Path | None) -> dict[str, Any]:
    """The options in a TOML file. Raises ``ValueError`` that says what is wrong with it."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None


def build_example(name: str, site: str = "demo") -> Source:
    """The source of that name with the options under which it decodes its own example."""
    return build(name, site, getattr(SOURCES.get(name), "example_options", None))


__all__ = [
    "SOURCES",
    "Decoded",
    "Example",
    "RawMessage",
    "Router",
    "Source",
    "build",
    "build_example",
    "read_options",
]
