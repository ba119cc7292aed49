"""Everything killed, cut and filled at random: afterwards all is there exactly once.

Three seeded cycles here; thirty, with InfluxDB and PostgreSQL too, in the soak.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import missing
from utaa.bench.chaos import run_chaos
from utaa.bench.report import Report, Teller
from utaa.postgres import Postgres
from utaa.servers import Influx, Mosquitto


def _must_hold(report: Report, cycles: int) -> None:
    found = report.figures
    assert found["failed"] == []
    assert found["cycles_done"] == cycles
    assert found["accepted"] == found["stored"] > 0
    promises = ("lost", "doubled", "wrong_alarms", "told_twice", "untold")
    assert {name: found[name] for name in promises} == dict.fromkeys(promises, 0)
    assert found["mails"] >= found["alarms"] == 2 * cycles  # later rungs of the ladder add more
    assert found["faults"]


@pytest.mark.servers
@pytest.mark.timeout(300)
async def test_three_cycles_of_faults_lose_nothing_and_tell_nobody_twice(tmp_path: Path) -> None:
    if not Mosquitto.installed():
        missing("Mosquitto is not installed: sudo apt-get install mosquitto")
    report = await run_chaos(folder=tmp_path / "box", teller=Teller(), cycles=3, seed=3, servers=False)
    _must_hold(report, 3)


@pytest.mark.soak
@pytest.mark.parametrize("servers", [False, True], ids=["sqlite", "influxdb-postgresql"])
async def test_thirty_cycles_of_faults_lose_nothing(tmp_path: Path, servers: bool) -> None:
    if not Mosquitto.installed():
        missing("Mosquitto is not installed: sudo apt-get install mosquitto")
    if servers and (Influx.why_not() or Postgres.program("initdb") is None):
        missing("InfluxDB and PostgreSQL are needed: scripts/servers")
    report = await run_chaos(
        folder=tmp_path / "box", teller=Teller(), cycles=30, seed=30, servers=servers
    )
    _must_hold(report, 30)
