"""What tests of every room share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

#: How many examples a property is tried with, where the test does not say otherwise: few in every run,
#: many by ``make fuzz``.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("UTAA_HYPOTHESIS", "quick"))

#: Simulated cameras are on this machine, where no real one may be.
os.environ.setdefault("UTAA_CAMERA_NETWORKS", "127.0.0.0/8,::1/128")

_SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recordings and payloads beside the repository; skips where there is none."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("no recordings: ../shared/data does not exist beside the repository")
    return _SHARED_DATA


#: Real servers as fixtures: mosquitto, influx_database, postgres_url, smtp, …
pytest_plugins = ["tests.servers", "tests.leakwatch"]
