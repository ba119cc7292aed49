"""The storm, small enough for every run; ``alerts.bench`` plays it in full size."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from alerts.bench import dead_site_storm, storm


@pytest.mark.timeout(120)
async def test_a_storm_reaches_every_contact_once_and_soon(tmp_path: Path) -> None:
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # other tests' too
    figures = await storm(tmp_path, households=120, contacts=3, spread_s=3.0, troubles=150)
    assert figures.told == 360
    assert figures.doubled == 0
    assert figures.incidents == 120
    assert (figures.troubles_told, figures.troubles_before_fire) == (150, 0)
    assert figures.within_10_s == 1.0, figures
    assert figures.peak_rss_mb - before_mb < 300


async def test_the_same_storm_from_one_dead_site_is_one_incident(tmp_path: Path) -> None:
    incidents, deliveries = await dead_site_storm(tmp_path, households=300)
    assert incidents == 1
    assert deliveries <= 1
