"""The agent's settings: ``UTAA_EDGE_…`` in the environment, or the table ``[edge]`` of one TOML file.

What is said on the command line wins over the environment, the environment over the file. An unknown
key or a wrong value stops the start with its name and what was expected (``SettingsError``).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edge.wire.frames import MAX_READINGS
from edge.wire.identity import check_site

PREFIX = "UTAA_EDGE_"
CONFIG_VARIABLE = "UTAA_CONFIG"
#: The tables a configuration file may have; other rooms read theirs.
TABLES = ("edge", "gateway", "alerts", "registry")


class SettingsError(Exception):
    """A setting is wrong: which one, where, and what was expected. One line."""


class BrokerSettings(BaseModel):
    """An MQTT broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="its name or address")
    port: int = Field(default=1883, ge=1, le=65535, description="1883, or 8883 with TLS")
    username: str | None = Field(default=None, description="who this agent is to the broker")
    password_file: Path | None = Field(default=None, description="file whose only line is the password")
    tls: bool = Field(default=False, description="speak TLS and check the broker's certificate")
    ca_file: Path | None = Field(default=None, description="certificates to trust; unset: the system's")
    cert_file: Path | None = Field(
        default=None, description="with tls: this agent's certificate ('utaa ca issue site NAME')"
    )
    key_file: Path | None = Field(default=None, description="and its private key")


class SourceSettings(BaseModel):
    """A protocol of detectors to listen to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="native, zigbee2mqtt, … (``utaa edge decode --help`` lists them)")
    options: dict[str, Any] = Field(default={}, description="options of that source")
    options_file: Path | None = Field(default=None, description="a TOML file with further options")


class HomeHubSettings(BaseModel):
    """What Home Assistant and hubs like it are shown on the site's broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = Field(
        default="homeassistant", pattern=r"^[^+#]+$", description="the hub's discovery prefix"
    )
    detectors: list[str] | None = Field(
        default=None, description="addresses of those shown; unset: every registered one of the site"
    )


class CameraWatchSettings(BaseModel):
    """The watch over the site's cameras, a process of its own beside the agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = Field(
        default=None,
        description="TOML file of cameras with their passwords, readable by the agent alone",
    )
    interval_s: float = Field(default=24.0, gt=0, le=3600, description="between probes of a camera")
    patience: float = Field(
        default=1.0, gt=0, le=100, description="every wait before an alarm, times this"
    )
    learn: bool = Field(
        default=True, description="learn each camera's good pictures, and keep them current"
    )
    pictures: Literal["send", "keep"] = Field(
        default="send", description="small pictures as evidence: sent to the city, or kept here alone"
    )
    listen: bool = Field(
        default=True, description="hear what others say of cameras on the site's broker"
    )
    onvif: bool = Field(
        default=True, description="ask cameras that have a password for name, serial number and time"
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="probes at once; 0: by the number of cameras, 16 to 128"
    )


class LocalPageSettings(BaseModel):
    """A read-only page of each detector on the site's own network, for a technician without signal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret_file: Path = Field(description="file whose only line is the secret the city told")
    host: str = Field(min_length=1, description="this box's own address in the home's network")
    port: int = Field(default=8088, ge=0, le=65535, description="port to listen on")


class EdgeSettings(BaseSettings):
    """What an agent is told when it starts. The city's settings come to it over its link."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    site: Annotated[str, AfterValidator(check_site)] = Field(description="this site's name")
    data_dir: Path = Field(
        default=Path("utaa-edge"), description="folder of the spool and the last settings"
    )
    site_broker: BrokerSettings = Field(default=BrokerSettings(), description="where the detectors are")
    city_broker: BrokerSettings = Field(default=BrokerSettings(), description="where the city is")
    sources: tuple[SourceSettings, ...] = Field(
        default=(SourceSettings(name="native"),), min_length=1, description="protocols of detectors"
    )
    home_hub: HomeHubSettings | None = Field(
        default=None, description="show a home hub every registered detector; unset: do not"
    )
    cameras: CameraWatchSettings | None = Field(
        default=None, description="watch cameras (needs utaa[cameras]); unset: do not"
    )
    local_page: LocalPageSettings | None = Field(
        default=None, description="serve phones in the home a read-only page; unset: do not"
    )
    quota_mb: int = Field(default=512, ge=4, description="the spool's room on disk")
    frame_readings: int = Field(default=500, ge=1, le=MAX_READINGS, description="readings in a frame")
    frame_linger_s: float = Field(
        default=1.0, ge=0, le=60, description="a frame is sent after this at the latest"
    )
    linger_ms: float = Field(
        default=50.0,
        ge=0,
        le=1000,
        description="a few messages wait this long to be committed together",
    )
    heartbeat_s: float = Field(default=30.0, gt=0, description="the site's pulse")
    clock_trust: Literal["always", "kernel"] = Field(
        default="always",
        description="kernel: believe the clock only while the kernel follows a time server",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings


def load_settings(config: Path | None = None, **given: Any) -> EdgeSettings:
    """The settings: ``given`` (None is not given) over environment over the file's table.

    ``config`` or ``UTAA_CONFIG`` names the file. Raises ``SettingsError``.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    path = config or (Path(named) if named else None)
    table = _read_table(path) if path else {}
    _check_environment()
    values = {key: value for key, value in given.items() if value is not None}
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            values[key] = value | values[key]  # the command line names a host, the file its user
        elif not _is_in_environment(key):
            values.setdefault(key, value)
    try:
        return EdgeSettings(**values)
    except ValidationError as error:
        raise SettingsError(_first_problem(error, path, table, given)) from None


def _is_in_environment(key: str) -> bool:
    name = PREFIX + key.upper()
    return any(found == name or found.startswith(f"{name}__") for found in os.environ)


def _read_table(path: Path) -> dict[str, Any]:
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; expected a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}; expected a TOML file") from None
    for name, table in whole.items():
        if name not in TABLES or not isinstance(table, dict):
            raise SettingsError(f"{path}: unknown {name!r}; expected tables {', '.join(TABLES)}")
    table = whole.get("edge", {})
    for key in table:
        if key not in EdgeSettings.model_fields:
            raise SettingsError(f"{path}: unknown key {key!r} in [edge]; {_nearest(key)}")
    return dict(table)


def _check_environment() -> None:
    for name in os.environ:
        key = name.removeprefix(PREFIX).split("__")[0].lower()
        if name.startswith(PREFIX) and key not in EdgeSettings.model_fields:
            raise SettingsError(f"environment: unknown {name}; {_nearest(key)}")


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, EdgeSettings.model_fields, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(EdgeSettings.model_fields)}"


def _first_problem(
    error: ValidationError, path: Path | None, table: dict[str, Any], given: dict[str, Any]
) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "settings"
    key = place.split(".")[0]
    where = "command line"
    if given.get(key) is None and _is_in_environment(key):
        where = f"environment {PREFIX}{key.upper()}"
    elif given.get(key) is None and key in table:
        where = f"{path} [edge]"
    return f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}"
