"""Settings of alerts: table ``[alerts]`` of the configuration file, or ``UTAA_ALERTS_…``."""

from __future__ import annotations

import os
import tomllib
from email.headerregistry import Address
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as PydanticSettingsError

Seconds = Annotated[float, Field(gt=0)]


class SmtpSettings(BaseModel):
    """The mail server that takes our messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    #: starttls, tls (from the first byte), or none: plain text, only for a server on this machine
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: Path | None = None
    #: certificates to trust beside the system's own
    ca_file: Path | None = None
    from_address: str = "utaa@localhost"
    from_name: str = "Утаа"
    timeout_s: Seconds = 15.0
    concurrency: Annotated[int, Field(ge=1, le=200)] = 32
    #: a Maildir into which the mail server delivers what comes back to ``from_address``
    bounce_maildir: Path | None = None

    @field_validator("from_address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            Address(addr_spec=value)
        except Exception:
            raise ValueError("expected an address such as utaa@example.mn") from None
        return value

    @property
    def sender(self) -> Address:
        return _sender(self.from_name, self.from_address)

    @property
    def sender_address(self) -> str:
        return self.from_address


@lru_cache(maxsize=8)
def _sender(name: str, address: str) -> Address:
    """Taken apart once: the library's parser takes longer than the rest of a mail's head."""
    return Address(display_name=name, addr_spec=address)


class WebPushSettings(BaseModel):
    """Messages to browsers. The VAPID key is made on the first start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key_file: Path | None = None
    #: how a push service reaches us: a mailto: or https: address (RFC 8292)
    subject: str = "mailto:utaa@localhost"
    timeout_s: Seconds = 10.0
    concurrency: Annotated[int, Field(ge=1, le=200)] = 32
    #: hosts of push services that subscriptions may name; empty: any public one over https
    allowed_hosts: tuple[str, ...] = ()
    #: for tests and push services inside one's own network: also http and private addresses
    allow_private: bool = False


class SmsSettings(BaseModel):
    """An SMS gateway that speaks Kannel's ``sendsms``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = "http://127.0.0.1:13013/cgi-bin/sendsms"
    user: str = "utaa"
    password_file: Path | None = None
    #: the number or word that the telephone shows, where the carrier allows one
    sender: str = ""
    timeout_s: Seconds = 10.0
    concurrency: Annotated[int, Field(ge=1, le=50)] = 4
    rate_per_s: Annotated[float, Field(ge=0)] = 0.0
    #: where the gateway reaches this city for its delivery reports; empty: none are asked for
    report_url: str = ""


class ContractSettings(BaseModel):
    """An adapter of the city's that speaks our HTTP contract."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    key_file: Path | None = None
    #: the secret (whsec_…) its reports are signed with
    report_secret_file: Path | None = None
    timeout_s: Seconds = 10.0
    concurrency: Annotated[int, Field(ge=1, le=100)] = 8
    rate_per_s: Annotated[float, Field(ge=0)] = 0.0


class MessengerSettings(BaseModel):
    """A Facebook page that writes to people who have written to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = "https://graph.facebook.com/v23.0"
    token_file: Path | None = None
    #: the app's secret, with which its webhooks are signed
    app_secret_file: Path | None = None
    #: the word of our own choice that the app's webhook settings repeat when they are saved
    verify_token_file: Path | None = None
    #: kind of message → name of the approved utility template
    templates: dict[str, str] = {}
    timeout_s: Seconds = 10.0
    concurrency: Annotated[int, Field(ge=1, le=100)] = 8
    rate_per_s: Annotated[float, Field(ge=0)] = 0.0


class WebhookSettings(BaseModel):
    """Signed webhooks to servers that contacts name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout_s: Seconds = 10.0
    concurrency: Annotated[int, Field(ge=1, le=100)] = 8
    #: for tests and servers inside one's own network: also http and private addresses
    allow_private: bool = False


class AppriseSettings(BaseModel):
    """An Apprise API server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    timeout_s: Seconds = 15.0
    concurrency: Annotated[int, Field(ge=1, le=100)] = 4


class CanarySettings(BaseModel):
    """A message of our own through each channel, again and again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: channel → address of ours that gets it
    addresses: dict[str, str] = {}
    #: channel → seconds between two, as its price allows; a minute where none is named
    every_s: dict[str, Seconds] = {}
    #: an outer dead-man's switch: fetched after each round in which every channel was well
    heartbeat_url: str = ""


class WorkerSettings(BaseModel):
    """How deliveries are worked off. All in real seconds, also when the clock runs faster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: look for due work at least this often, should a wake-up be lost
    poll_s: Seconds = 1.0
    #: a worker that says nothing for so long has died in the middle of a send
    lease_s: Seconds = 60.0
    #: on stopping, wait so long for sends that are under way
    grace_s: Seconds = 10.0


class AlertSettings(BaseSettings):
    """Everything alerts can be told."""

    model_config = SettingsConfigDict(
        env_prefix="UTAA_ALERTS_", env_nested_delimiter="__", extra="forbid", frozen=True,
        hide_input_in_errors=True,
    )  # fmt: skip

    smtp: SmtpSettings | None = None
    webpush: WebPushSettings | None = None
    sms: SmsSettings | None = None
    messenger: MessengerSettings | None = None
    national_email: ContractSettings | None = None
    emongolia: ContractSettings | None = None
    voice: ContractSettings | None = None
    webhook: WebhookSettings | None = None
    apprise: AppriseSettings | None = None
    canary: CanarySettings = CanarySettings()
    worker: WorkerSettings = WorkerSettings()
    #: the city's own rules; without it the built-in ones
    policy_file: Path | None = None
    #: the web address under which people reach this city, for links in messages
    public_url: str = ""
    #: who the CAP messages say they are from: an identifier that dispatch knows
    cap_sender: str = "utaa@localhost"
    #: a test alert to each contact once a quarter
    quarterly_test: bool = True


class SettingsError(Exception):
    """A setting is wrong: which one, where, and what was expected. One line."""


def load_settings(config: Path | None = None) -> AlertSettings:
    """The settings: environment over the table ``[alerts]`` of the file. Raises ``SettingsError``.

    ``config`` or ``UTAA_CONFIG`` names the file.
    """
    named = os.environ.get("UTAA_CONFIG")
    path = config or (Path(named) if named else None)
    table = _read_table(path) if path else {}

    class WithFile(AlertSettings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, InitSettingsSource(settings_cls, table)

    try:
        return WithFile()
    except ValidationError as error:
        raise SettingsError(_first_problem(error, path)) from None
    except PydanticSettingsError as error:
        raise SettingsError(f"environment: {str(error).splitlines()[0]}") from None


def _read_table(path: Path) -> dict[str, Any]:
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; expected a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}; expected a TOML file") from None
    table = whole.get("alerts", {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: 'alerts' is no table; expected [alerts]")
    return table


def _first_problem(error: ValidationError, path: Path | None) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f"{path} [alerts] or environment" if path else "environment"
    return f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}"
