"""Long chaos in rounds: what is planned, what is found done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from utaa.bench import rounds
from utaa.bench.report import Report, Teller
from utaa.servers import ServerError


def test_rounds_have_seeds_of_their_own_and_mixed_stores() -> None:
    planned = rounds.plan(3, 45, "mixed")
    assert [one.cycles for one in planned] == [10, 10, 10, 10, 5]
    assert [one.servers for one in planned] == [False, True, False, True, False]
    seeds = {one.seed for run in (3, 4) for one in rounds.plan(run, 500, "sqlite")}
    assert len(seeds) == 100


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the rounds that were played; seed 1001 cannot be run, seed 1002 breaks a promise."""
    seeds: list[int] = []

    async def play(*, folder: Path, teller: Teller, cycles: int, seed: int, servers: bool) -> Report:
        seeds.append(seed)
        if seed == 1001:
            raise ServerError("no broker")
        folder.mkdir(parents=True)
        figures: dict[str, Any] = {
            "cycles_done": cycles, "accepted": 5, "stored": 5, "lost": 0, "seconds": 1.0,
            "faults": {"link cut": 2}, "failed": ["cycle 3: x"] if seed == 1002 else [],
        }  # fmt: skip
        return Report("chaos", {}, figures)

    monkeypatch.setattr(rounds, "run_chaos", play)
    return seeds


async def test_a_run_goes_on_behind_the_rounds_it_finds_and_keeps_what_failed(
    tmp_path: Path, played: list[int]
) -> None:
    progress = tmp_path / "progress"

    async def run(cycles: int) -> Report:
        return await rounds.run_rounds(
            folder=tmp_path / "houses", teller=Teller(), cycles=cycles, seed=1, stores="sqlite",
            progress=progress,
        )  # fmt: skip

    first = await run(20)
    assert played == [1000, 1001]
    with progress.open("ab") as file:
        file.write(b'{"run":1,"seed":1002,"cyc')  # torn by a crash
    progress.write_bytes(progress.read_bytes() + b"\n")
    second = await run(40)
    assert played == [1000, 1001, 1002, 1003]
    assert first.figures["failed"] == ["seed 1001: ServerError: no broker"]
    assert second.figures["failed"] == ["seed 1001: ServerError: no broker", "seed 1002: cycle 3: x"]
    assert second.figures["cycles_done"] == 30
    assert second.figures["faults"] == {"link cut": 6}
    assert second.parameters["rounds_found_done"] == 2
    assert [path.name for path in (tmp_path / "houses").iterdir()] == ["round-1002"]
