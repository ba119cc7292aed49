"""Every door by mutated inputs, a few in each run; what once broke one is tried again for ever."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.doors import every_door
from tests.fuzz.mutate import mutated
from tests.fuzz.run import CRASHERS, fails, folder_of, hammer, table

DOORS = {folder_of(door).name: door for door in every_door()}


@pytest.mark.parametrize("name", DOORS)
def test_a_changed_input_is_read_or_refused(name: str) -> None:
    door, chance = DOORS[name], random.Random(7)
    for _ in range(40 if "xlsx" in name else 400):
        content = mutated(chance.choice(door.samples), chance)
        error = fails(door, content)
        assert error is None, (repr(error), content[:200])


@pytest.mark.parametrize("path", sorted(CRASHERS.rglob("*.bin")), ids=lambda path: path.stem)
def test_what_once_broke_a_door_is_read_or_refused(path: Path) -> None:
    error = fails(DOORS[path.parent.name], path.read_bytes())
    assert error is None, repr(error)


def test_every_kept_input_belongs_to_a_door() -> None:
    assert {path.parent.name for path in CRASHERS.rglob("*.bin")} <= DOORS.keys()


def test_a_run_counts_what_it_did() -> None:
    tried = hammer(DOORS["cap"], seed=1, cpu_s=0.05)
    assert tried.executions > 5
    assert tried.crashes == 0
    assert f"| cap | {tried.executions:,} | 0 |" in table([tried])
