"""The gateway's settings: ``UTAA_GATEWAY_…`` in the environment, or ``[gateway]`` of one file.

An unknown key or a wrong value stops the start with its name and what was expected
(``SettingsError``), before anything is opened.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.broker.files import TlsFiles
from gateway.ingest.inbox import BrokerAddress
from registry.db import async_url
from registry.outward import networks
from registry.personal.periods import Periods
from registry.syslog import SyslogServer

PREFIX = "UTAA_GATEWAY_"
#: The tables a configuration file may have; other rooms read theirs.
TABLES = ("edge", "gateway", "alerts", "registry")


class SettingsError(Exception):
    """A setting is wrong: which one, where, and what was expected. One line."""


def _broker(url: str) -> str:
    BrokerAddress.parse(url)
    return url


def _http(url: str | None) -> str | None:
    if url is not None and (
        urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname
    ):
        raise ValueError(f"{url!r} is no address; expected http://host:8086")
    return url


def _database(url: str | None) -> str | None:
    if url is not None:
        async_url(url)
    return url


class GatewaySettings(BaseSettings):
    """What the city's process is told. Everything has a default that works on one machine."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(Path("utaa-data"), description="folder of everything the city keeps itself")
    database_url: Annotated[str | None, AfterValidator(_database)] = Field(
        None, description="sqlite:///FILE or postgresql://…; unset: city.sqlite in data_dir"
    )
    key_file: Path | None = Field(
        None, description="key ring of the encrypted columns; unset: keys in data_dir"
    )
    broker_url: Annotated[str, AfterValidator(_broker)] = Field(
        "mqtt://127.0.0.1:1883", description="the city's broker: mqtt://[user:password@]host[:port]"
    )
    broker_ca_file: Path | None = Field(
        None, description="with mqtts: the authority to trust; unset: the system's"
    )
    broker_cert_file: Path | None = Field(
        None, description="with mqtts: this gateway's certificate ('utaa ca issue gateway NAME')"
    )
    broker_key_file: Path | None = Field(None, description="and its private key")
    shared_subscriptions: bool = Field(
        True, description="read as one of several workers; false for a broker without $share"
    )
    accept_unknown_sites: bool = Field(
        True, description="enter a site in the register when it is first heard"
    )
    host: str = Field("127.0.0.1", description="address the HTTP server listens on")
    port: int = Field(8080, ge=0, le=65535, description="its port; 0: any free one")
    store: Literal["sqlite", "influx"] | None = Field(
        None, description="where readings live; unset: influx if influx_url is set, else sqlite"
    )
    influx_url: Annotated[str | None, AfterValidator(_http)] = Field(
        None, description="http://host:8086 of InfluxDB 1.8, 2.x or 3"
    )
    influx_token: SecretStr = Field(SecretStr(""), description="API token, or user:password on 1.x")
    influx_org: str = Field("utaa", description="organisation (2.x only)")
    influx_bucket: str = Field("utaa", description="bucket (2.x) or database (1.x, 3)")
    tile_url: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+/.*\{z\}.*",
        description="a tile server for the maps: https://host/{z}/{x}/{y}.png; unset: own ground",
    )
    tile_attribution: str = Field("", description="what its terms ask to be shown on the map")
    open_overview: bool = Field(
        False, description="show the first page to everybody, without signing in: demos, wall displays"
    )
    breached_passwords_file: Path | None = Field(
        None, description="SHA-1 hashes of breached passwords, ascending, as Have I Been Pwned's list"
    )
    trusted_proxies: list[str] = Field(
        ["127.0.0.1", "::1"],
        description="addresses or networks whose X-Forwarded-For and -Proto are believed",
    )
    requests_per_address_per_s: float = Field(
        200.0, gt=0, description="one address may ask so often on and on; ten times at once"
    )
    requests_per_person_per_s: float = Field(
        50.0, gt=0, description="and one session or token; acknowledging is never limited"
    )
    outward_networks: list[str] = Field(
        [], description="private networks our own requests may go to: providers, KHUR, cameras"
    )
    audit_syslog: str | None = Field(
        None,
        description="host or host:port of a syslog server that gets a copy of the audit (RFC 5424)",
    )
    audit_syslog_transport: Literal["tls", "tcp", "udp"] = Field(
        "tls", description="how it is reached; without a port 6514, 601 or 514"
    )
    audit_syslog_ca_file: Path | None = Field(
        None, description="the authority of its certificate; unset: those the system trusts"
    )
    oidc_profile: Literal["oidc", "dan"] = Field(
        "oidc", description="how the sign-in provider speaks: OpenID Connect, or the state's DAN"
    )
    oidc_name: str = Field("OpenID", max_length=40, description="what the sign-in page calls it")
    oidc_issuer: Annotated[str | None, AfterValidator(_http)] = Field(
        None, description="the provider's issuer, exactly as it writes it; unset: no provider"
    )
    oidc_client_id: str = Field("", description="how it knows this city")
    oidc_client_secret_file: Path | None = Field(None, description="file with our secret there")
    oidc_trusted_second_factor: bool = Field(
        False, description="the provider asks for a second factor itself, so Utaa does not"
    )
    dan_authorize_url: Annotated[str | None, AfterValidator(_http)] = Field(
        None, description="with dan: where a visitor signs in"
    )
    dan_token_url: Annotated[str | None, AfterValidator(_http)] = Field(
        None, description="with dan: where a code is exchanged"
    )
    dan_service_url: Annotated[str | None, AfterValidator(_http)] = Field(
        None, description="with dan: who the visitor is"
    )
    open_metrics: bool = Field(
        False, description="give /metrics to everybody, without a token: inside one's own network"
    )
    khur_url: Annotated[str | None, AfterValidator(_http)] = Field(
        None, description="http://host of the city's adapter of KHUR (docs/khur.md)"
    )
    khur_key_file: Path | None = Field(None, description="file with the key the adapter asks for")
    retention_days: int = Field(
        400, ge=1, description="readings older than this are dropped by whole days"
    )
    retention: Periods = Field(
        Periods(), description="days after which what is personal goes, by kind (docs/personal-data.md)"
    )
    site_silent_after_s: float = Field(
        180.0, gt=0, description="a site without a pulse for this long is one event about the site"
    )
    city_suspects_itself_share: float = Field(
        0.3, gt=0, le=1, description="so many of the sites silent at once are one incident of the city"
    )
    city_suspects_itself_at_least: int = Field(
        5, ge=2, description="… if they are at least this many; fewer are each told by themselves"
    )

    @field_validator("outward_networks", "trusted_proxies")
    @classmethod
    def _networks(cls, texts: list[str]) -> list[str]:
        networks(texts)
        return texts

    @model_validator(mode="after")
    def _syslog_server(self) -> Self:
        if self.audit_syslog is not None:
            SyslogServer.parse(self.audit_syslog, self.audit_syslog_transport)
        return self

    @property
    def syslog_server(self) -> SyslogServer | None:
        """Where the copy of the audit goes; None: nowhere."""
        if self.audit_syslog is None:
            return None
        return SyslogServer.parse(self.audit_syslog, self.audit_syslog_transport)

    @property
    def broker(self) -> BrokerAddress:
        """The city's broker and how to be let in."""
        files = TlsFiles(self.broker_ca_file, self.broker_cert_file, self.broker_key_file)
        return BrokerAddress.parse(self.broker_url, files)

    @property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'city.sqlite'}"

    @property
    def effective_key_file(self) -> Path:
        return self.key_file or self.data_dir / "keys"

    @property
    def effective_store(self) -> Literal["sqlite", "influx"]:
        return self.store or ("influx" if self.influx_url else "sqlite")


def load_settings(config: Path | None = None, **given: Any) -> GatewaySettings:
    """The settings: ``given`` (command line; None is not given) over environment over file.

    ``config`` or ``UTAA_CONFIG`` names the file. Raises ``SettingsError``.
    """
    named = os.environ.get("UTAA_CONFIG")
    path = config or (Path(named) if named else None)
    table = _read_table(path) if path else {}
    _check_environment()
    values = {key: value for key, value in table.items() if PREFIX + key.upper() not in os.environ}
    values |= {key: value for key, value in given.items() if value is not None}
    try:
        return GatewaySettings(**values)
    except ValidationError as error:
        raise SettingsError(_first_problem(error, path, table, given)) from None


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
    table = whole.get("gateway", {})
    for key in table:
        if key not in GatewaySettings.model_fields:
            raise SettingsError(f"{path}: unknown key {key!r} in [gateway]; {_nearest(key)}")
    return dict(table)


def _check_environment() -> None:
    for name in os.environ:
        key = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and key not in GatewaySettings.model_fields:
            raise SettingsError(f"environment: unknown {name}; {_nearest(key)}")


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, GatewaySettings.model_fields, n=1)
    return f"did you mean {near[0]!r}?" if near else "see docs/gateway.md for the keys"


def _first_problem(
    error: ValidationError, path: Path | None, table: dict[str, Any], given: dict[str, Any]
) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = str(first["loc"][0]) if first["loc"] else "settings"
    where = "default"
    if given.get(key) is not None:
        where = "command line"
    elif PREFIX + key.upper() in os.environ:
        where = f"environment {PREFIX}{key.upper()}"
    elif key in table:
        where = f"{path} [gateway]"
    return f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}"
