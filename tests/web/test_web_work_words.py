"""Every word that the technician's scripts ask for is there, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.web import routes
from gateway.web.words import LANGUAGES, words_for
from registry.detector_life import FAULTS, STATUSES
from registry.fieldwork.reasons import REASONS, URGENCIES

STATIC = Path(routes.__file__).parent / "static"
#: Words that scripts put together from a closed set.
CLOSED = {
    "reason": tuple(REASONS), "state": STATUSES, "fault": FAULTS, "urgency": URGENCIES,
    "act": ("commission", "move", "replace", "retire", "fault", "repair"),
    "queue": ("waiting", "conflict", "refused", "behind", "other"),
    "test": ("waiting", "ready", "heard", "refused", "over"),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_of_the_scripts_is_missing(language: str) -> None:
    asked = {f"{group} {value}" for group, values in CLOSED.items() for value in values}
    for name in ("work.js", "work-detector.js"):
        asked |= set(re.findall(r"\bw\(\"([^\"$]+)\"", (STATIC / name).read_text(encoding="utf-8")))
    assert not {key for key in asked if f"work {key}" not in words_for(language).catalogue}


def test_the_worker_keeps_every_part_of_the_page() -> None:
    kept = set(re.findall(r"\"(/static/[^\"]+)\"", (STATIC / "work-worker.js").read_text()))
    scripts = [
        STATIC / name for name in ("work.js", "work-send.js", "work-scan.js", "work-detector.js")
    ]
    used = {
        found
        for script in scripts
        for found in re.findall(r"(?:from|import\() ?\"(/static/[^\"]+)\"", script.read_text())
    }
    assert used <= kept and "/static/work.css" in kept
