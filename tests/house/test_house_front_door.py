"""What README and docs tell a new user to type is there, and every command explains itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from utaa.cli import ROOMS, build

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_OWN = ("demo", "up", "doctor")


def _tree(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from _tree((*words, name), below)


def _commands() -> list[tuple[str, ...]]:
    """Every command there is, as typed after ``utaa``."""
    found: list[tuple[str, ...]] = [(), *((name,) for name in _OWN)]
    for room in ROOMS:
        whole = typer.main.get_command(build([room]))
        found += _tree((room,), whole.commands[room])  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("words", _commands(), ids=lambda words: " ".join(words) or "utaa")
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    said = CliRunner().invoke(build(list(words)), [*words, "--help"])
    assert said.exit_code == 0, said.output
    assert "Usage:" in said.output


def test_it_says_its_version() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"utaa \d+\.\d+\.\d+\S*", run.stdout.strip())


def test_an_agent_without_a_site_is_told_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("UTAA_")]:
        monkeypatch.delenv(name)
    run = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "edge", "run"], capture_output=True, text=True,
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "--site" in run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert not [target for target in local if not (page.parent / target).exists()]


def _typed(page: Path) -> Iterator[list[str]]:
    """The words after ``utaa`` of every command in the page's code blocks."""
    for block in _FENCED.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:\S*/)?utaa ((?:[a-z]|--).*)", line)
            if found:
                yield shlex.split(re.split(r"\s[<>|]\s", found[1])[0], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_code_block_exists_with_its_options(page: Path) -> None:
    for words in _typed(page):
        command: Any = typer.main.get_command(build(words))
        rest = list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert not getattr(command, "commands", {}) or not rest, f"{page.name}: utaa {words}"
        known = {"--help", *(opt for param in command.params for opt in param.opts)}
        known |= {opt for param in command.params for opt in param.secondary_opts}
        options = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert options <= known, f"{page.name}: utaa {words}"


def test_the_recording_of_the_readme_raises_its_alarm_as_written() -> None:
    (written,) = re.findall(r"utaa (edge evaluate [^`\n]+)", (ROOT / "README.md").read_text())
    run = subprocess.run(
        [sys.executable, "-m", "utaa.cli", *shlex.split(written)], capture_output=True, text=True,
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    changes = [json.loads(line) for line in run.stdout.splitlines()]
    assert {"raise", "clear"} <= {change["transition"] for change in changes if change["kind"] == "co"}


def test_what_commands_keep_is_not_tracked() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"var/", "utaa-data/", "utaa-edge/"} <= set(ignored)
