"""A site's settings: checked before they are believed, and the last good ones kept on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.alarms import Settings
from edge.outputs import OutputSettings
from edge.wire.errors import WireError
from edge.wire.messages import CameraSettings, Config, DetectorSettings, decode

FILE_NAME = "config.json"


class BadConfig(Exception):
    """Settings that are refused, with the reason in one line."""


@dataclass(frozen=True)
class SiteConfig:
    """Settings that were checked. Without any, everything has its default."""

    version: int = 0
    defaults: Settings = field(default_factory=Settings)
    detectors: Mapping[str, DetectorSettings] = field(default_factory=dict)
    settings: Mapping[str, Settings] = field(default_factory=dict)
    outputs: OutputSettings = field(default_factory=OutputSettings)
    cameras: tuple[CameraSettings, ...] = ()
    #: detectors whose deadline the city states; the others have their model's or source's
    deadlines: frozenset[str] = frozenset()
    #: the city states one for all
    has_deadline: bool = False

    def settings_of(self, detector: str) -> Settings:
        """How this detector's readings are judged."""
        return self.settings.get(detector, self.defaults)

    def states_deadline(self, detector: str) -> bool:
        """Whether the city says after which silence this detector is lost."""
        return self.has_deadline or detector in self.deadlines


def check(payload: bytes, site: str) -> SiteConfig:
    """The settings in the payload. Raises ``BadConfig``."""
    try:
        config = decode(payload, Config)
    except WireError as error:
        raise BadConfig(str(error)) from None
    if config.site != site:
        raise BadConfig(f"it is for the site {config.site!r}, this is {site!r}")
    return SiteConfig(
        version=config.version,
        defaults=_settings(config.alarms, "alarms"),
        detectors={entry.detector: entry for entry in config.detectors},
        settings={
            entry.detector: _settings(_merged(config, entry), f"detector {entry.detector}")
            for entry in config.detectors
        },
        outputs=_outputs(config.outputs),
        cameras=tuple(config.cameras),
        deadlines=frozenset(
            entry.detector
            for entry in config.detectors
            if entry.deadline_s is not None or "deadline_s" in entry.alarms
        ),
        has_deadline="deadline_s" in config.alarms,
    )


def _merged(config: Config, entry: DetectorSettings) -> dict[str, Any]:
    merged = config.alarms | entry.alarms
    if entry.deadline_s is not None:
        merged["deadline_s"] = entry.deadline_s
    return merged


def _settings(values: dict[str, Any], where: str) -> Settings:
    try:
        return Settings.from_mapping(values)
    except ValueError as error:
        raise BadConfig(f"{where}: {error}") from None


def _outputs(values: dict[str, Any]) -> OutputSettings:
    try:
        return OutputSettings.from_mapping(values)
    except ValueError as error:
        raise BadConfig(f"outputs: {error}") from None


def without_names(reason: str) -> str:
    """The reason without what it quotes: a device's own name may tell who lives there."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", reason)


class ConfigFile:
    """The last good settings, replaced in one step."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def load(self, site: str) -> SiteConfig:
        """The settings kept; the defaults if there are none. Raises ``BadConfig``."""
        try:
            payload = self._path.read_bytes()
        except FileNotFoundError:
            return SiteConfig()
        return check(payload, site)

    def save(self, payload: bytes) -> None:
        """Keep these settings, for us alone: cameras' passwords may be among them."""
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
