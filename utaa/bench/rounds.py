"""Long chaos in rounds: a fresh house for every ten cycles, one line of a progress file for each.

A run that finds lines of its own seed goes on behind them, so hundreds of cycles can be gathered over
days and restarts. A round's seed follows from the run's and its number, so one that failed can be run
again alone: ``utaa bench chaos --cycles 10 --seed <its seed>``.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from utaa.bench.chaos import run_chaos
from utaa.bench.report import Report, Teller
from utaa.servers import ServerError

#: Cycles of one house; a longer life finds little more and makes each account dearer.
CYCLES_A_ROUND = 10
#: Every so many rounds one with InfluxDB and PostgreSQL, where stores are mixed.
_SERVERS_EVERY = 2
#: Seeds of one run lie together, those of different runs apart.
_SEEDS_A_RUN = 1000

Stores = Literal["sqlite", "servers", "mixed"]
_COUNTED = (
    "cycles_done", "accepted", "stored", "lost", "doubled", "alarms", "wrong_alarms", "mails",
    "told_twice", "unknown_attempts", "untold",
)  # fmt: skip


class Round(msgspec.Struct, kw_only=True):
    """A finished round, as its line says."""

    run: int
    seed: int
    cycles: int
    servers: bool
    #: what the report of the round found; empty where the round itself could not be run
    figures: dict[str, Any] = {}
    #: why it could not be run to its end
    broken: str | None = None

    @property
    def failed(self) -> list[str]:
        said = [self.broken] if self.broken else self.figures.get("failed", [])
        return [f"seed {self.seed}: {one}" for one in said]


_decoder = msgspec.json.Decoder(Round)


def plan(run: int, cycles: int, stores: Stores) -> list[Round]:
    """The rounds of a run, none of them done."""
    rounds = []
    for number, first in enumerate(range(0, cycles, CYCLES_A_ROUND)):
        servers = stores == "servers" or (stores == "mixed" and number % _SERVERS_EVERY == 1)
        rounds.append(
            Round(
                run=run,
                seed=run * _SEEDS_A_RUN + number,
                servers=servers,
                cycles=min(CYCLES_A_ROUND, cycles - first),
            )
        )
    return rounds


def finished(progress: Path | None, planned: Iterable[Round]) -> list[Round]:
    """The rounds of the plan that the file tells of. A line torn by a crash counts for nothing."""
    if progress is None or not progress.exists():
        return []
    wanted = {(one.run, one.seed, one.cycles, one.servers) for one in planned}
    found = []
    for line in progress.read_bytes().splitlines():
        try:
            done = _decoder.decode(line)
        except msgspec.DecodeError:
            continue
        if (done.run, done.seed, done.cycles, done.servers) in wanted:
            found.append(done)
    return found


async def run_rounds(
    *, folder: Path, teller: Teller, cycles: int, seed: int, stores: Stores, progress: Path | None
) -> Report:
    """All rounds that are not done yet; a broken promise is in the report, no exception."""
    planned = plan(seed, cycles, stores)
    done = finished(progress, planned)
    before = {one.seed for one in done}
    for number, one in enumerate(planned, 1):
        if one.seed in before:
            continue
        teller.say(f"round {number} of {len(planned)}: seed {one.seed}, {_kind(one)}")
        await _run(one, folder / f"round-{one.seed}", teller)
        done.append(one)
        _note(progress, one)
        total = sum(other.figures.get("cycles_done", 0) for other in done)
        teller.say(f"{total} cycles, {sum(len(other.failed) for other in done)} failed")
    return _report(cycles, seed, stores, done, resumed=len(before))


def _kind(one: Round) -> str:
    return "InfluxDB and PostgreSQL" if one.servers else "SQLite"


async def _run(one: Round, folder: Path, teller: Teller) -> None:
    """The folder of a round that failed stays, to be looked at."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        report = await run_chaos(
            folder=folder, teller=teller, cycles=one.cycles, seed=one.seed, servers=one.servers
        )
    except (ServerError, TimeoutError, ConnectionError, OSError) as error:
        one.broken = f"{type(error).__name__}: {error}"[:300]
        return
    one.figures = report.figures
    if not one.failed:
        shutil.rmtree(folder, ignore_errors=True)


def _note(progress: Path | None, one: Round) -> None:
    if progress is not None:
        with progress.open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")


def _report(cycles: int, seed: int, stores: Stores, done: list[Round], *, resumed: int) -> Report:
    faults: Counter[str] = Counter()
    for one in done:
        faults.update(one.figures.get("faults", {}))
    sums = {name: sum(one.figures.get(name, 0) for one in done) for name in _COUNTED}
    return Report(
        "chaos",
        {"cycles": cycles, "seed": seed, "stores": stores, "cycles_a_round": CYCLES_A_ROUND,
         "rounds_found_done": resumed},
        {
            **sums,
            "rounds": len(done),
            "rounds_with_servers": sum(one.servers for one in done),
            "seconds": round(sum(one.figures.get("seconds", 0.0) for one in done), 1),
            "slowest_settling_s": max(
                (one.figures.get("slowest_settling_s", 0.0) for one in done), default=0.0
            ),
            "faults": dict(sorted(faults.items())),
            "failed": [said for one in done for said in one.failed],
        },
        targets={"lost": "0", "doubled": "0", "wrong_alarms": "0", "told_twice": "0", "untold": "0"},
    )  # fmt: skip
