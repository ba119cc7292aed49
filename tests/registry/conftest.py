"""An empty register in a temporary database."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import registry.models  # noqa: F401  # its tables belong to the metadata
from registry.db import Database
from registry.sealed import Keyring
from tests.made import make_tables


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/register.db")
    await make_tables(opened)
    yield opened
    await opened.close()


@pytest.fixture
def keyring() -> Keyring:
    return Keyring({"k001": base64.b64decode("A" * 43 + "=")})
