"""What the security pages promise is held by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["threat-model.md", "asvs.md"])
def test_every_test_that_a_security_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 15
    assert named <= written, named - written


def test_every_threat_names_a_test() -> None:
    lines = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8").splitlines()
    threats = [line for line in lines if line.startswith("| ") and not line.startswith("| who |")]
    assert len(threats) > 15
    assert [line for line in threats if "`test_" not in line] == []
