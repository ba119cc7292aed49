"""What tests of every room share."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recordings and payloads beside the repository; skips where there is none."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("no recordings: ../shared/data does not exist beside the repository")
    return _SHARED_DATA


#: Real servers as fixtures: mosquitto, influx_database, postgres_url, smtp, …
pytest_plugins = ["tests.servers"]
