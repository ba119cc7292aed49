"""The registry's settings for its commands: ``UTAA_REGISTRY_…`` or ``[registry]`` of one file.

The gateway has its own settings and the same defaults, so on one machine both mean the same database.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from registry.db import async_url

PREFIX = "UTAA_REGISTRY_"


class SettingsError(Exception):
    """A setting is wrong: which one, where, what was expected. One line."""


def _database(url: str | None) -> str | None:
    if url is not None:
        async_url(url)
    return url


class RegistrySettings(BaseSettings):
    """Which database and which keys."""

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

    @property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'city.sqlite'}"

    @property
    def effective_key_file(self) -> Path:
        return self.key_file or self.data_dir / "keys"


def load(config: Path | None = None) -> RegistrySettings:
    """From the file (``--config`` or ``UTAA_CONFIG``) and the environment, which wins.

    Where ``[registry]`` does not say, what ``[gateway]`` says of the same keys holds. Raises
    ``SettingsError``.
    """
    path = config or (Path(os.environ["UTAA_CONFIG"]) if os.environ.get("UTAA_CONFIG") else None)
    values: dict[str, Any] = _table(path) if path else {}
    known = [PREFIX + name.upper() for name in RegistrySettings.model_fields]
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0]}: expected one of {', '.join(known)}")
    for name in RegistrySettings.model_fields:
        for prefix in ("UTAA_GATEWAY_", PREFIX):
            if (said := os.environ.get(prefix + name.upper())) is not None:
                values[name] = said
    try:
        return RegistrySettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = f"{path} [registry] {key}" if path else PREFIX + key.upper()
        raise SettingsError(f"wrong setting {where}: {first['msg']}") from None


def _table(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None
    shared = {
        key: value
        for key, value in document.get("gateway", {}).items()
        if key in RegistrySettings.model_fields
    }
    own: dict[str, Any] = document.get("registry", {})
    return {**shared, **own}
