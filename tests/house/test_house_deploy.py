"""What ships for installing: units that systemd finds closed, a container without root."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.settings import EdgeSettings
from gateway.settings import GatewaySettings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
#: systemd's own scale: 0 is sealed, 10 is open; "OK" ends at 5, what needs a network reaches about 1.
EXPOSURE_AT_MOST = 1.5


def _systemd(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_closed_by_systemds_own_judgement(unit: Path) -> None:
    said = _systemd("security", "--offline=true", str(unit))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot judge a file: {said.stderr.strip()[:200]}")
    assert float(found[1]) <= EXPOSURE_AT_MOST


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_sets_only_what_exists(unit: Path) -> None:
    text = unit.read_text()
    known = {f"UTAA_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields}
    known |= {f"UTAA_EDGE_{name.upper()}" for name in EdgeSettings.model_fields}
    assert set(re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)) <= known
    assert "Restart=always" in text


def test_the_container_runs_without_root_and_installs_by_hash() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r"^USER (?!0\b|root\b)", text, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in text
