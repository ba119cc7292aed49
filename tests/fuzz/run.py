"""``make fuzz``: every door with bad inputs for as long as it is given, and a table of what came of it.

Files, messages and packets are mutated here, in turns of a second a door, each door in a process of its
own with bounded memory; the HTTP API is explored by schemathesis. A crash is kept under ``crashers/``,
where a test of every run tries it again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.fuzz.doors import Door, every_door
from tests.fuzz.mutate import mutated

ROOT: Final = Path(__file__).parents[2]
CRASHERS: Final = Path(__file__).parent / "crashers"
#: More than the largest of the doors' samples can become, many times over.
MAX_GROWTH_BYTES: Final = 1 << 30
#: One input may cost this much; more is counted as a crash.
SLOW_S: Final = 5.0


@dataclass
class Tried:
    """What came of one door."""

    door: str
    executions: int = 0
    crashes: int = 0
    cpu_s: float = 0.0
    grown_mib: float = 0.0
    slowest_s: float = 0.0


def folder_of(door: Door) -> Path:
    return CRASHERS / door.name.replace(" ", "-")


def fails(door: Door, content: bytes) -> BaseException | None:
    """What the door raised that it should not have."""
    try:
        door.read(content)
    except door.refusals:
        return None
    except Exception as error:
        return error
    return None


def hammer(door: Door, seed: int, cpu_s: float) -> Tried:
    """Mutations of the samples for so long (CPU time of this process)."""
    # a fuzzer's dice, repeatable by its seed
    chance, tried = random.Random(seed), Tried(door.name)
    soft = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start_s = time.process_time()
    while (now_s := time.process_time()) < start_s + cpu_s:
        content = mutated(chance.choice(door.samples), chance)
        before_s = time.process_time()
        error = fails(door, content)
        took_s = time.process_time() - before_s
        tried.executions += 1
        tried.slowest_s = max(tried.slowest_s, took_s)
        if error is not None or took_s > SLOW_S:
            tried.crashes += 1
            _keep(door, content, error)
    tried.cpu_s = now_s - start_s
    tried.grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - soft) / 1024
    return tried


def _keep(door: Door, content: bytes, error: BaseException | None) -> None:
    """The input, once for each kind of failure."""
    said = "slow" if error is None else f"{type(error).__name__}"
    if error is not None and (trace := error.__traceback__):
        while trace.tb_next:
            trace = trace.tb_next
        said += f"-{Path(trace.tb_frame.f_code.co_filename).stem}-{trace.tb_lineno}"
    path = folder_of(door) / f"{said}.bin"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"  crash: {door.name}: {said}: {error}"[:300], file=sys.stderr)


def _child(name: str, seed: int, cpu_s: float) -> dict[str, object]:
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_GROWTH_BYTES * 2, MAX_GROWTH_BYTES * 2))
    door = next(each for each in every_door() if each.name == name)
    return asdict(hammer(door, seed, cpu_s))


def files(cpu_s_each: float, seed: int, only: str) -> list[Tried]:
    """Every door of bytes, one after the other."""
    found = []
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for door in every_door():
            if only in door.name:
                found.append(Tried(**pool.apply(_child, (door.name, seed, cpu_s_each))))
                print(f"  {found[-1]}", file=sys.stderr, flush=True)  # a long run shows where it is
    return found


def http(examples: int) -> Tried:
    """The API by schemathesis, in a pytest of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "soak", "--timeout", "0",
             f"--junitxml={report}", "tests/api/test_schemathesis.py", "-k", "long and sqlite"],
            cwd=ROOT, env={**os.environ, "UTAA_FUZZ_EXAMPLES": str(examples)}, check=False,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        tree = ElementTree.parse(report)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = {each.get("name"): each.get("value") for each in tree.iter("property")}
    if ended.returncode:
        print(ended.stdout[-3000:], file=sys.stderr)
    return Tried(
        "http api", executions=int(said.get("executions") or 0),
        crashes=int(said.get("crashes") or ended.returncode),
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )  # fmt: skip


def table(found: list[Tried]) -> str:
    """For a terminal, and for the page that states it."""
    lines = [
        "| door | executions | crashes | CPU s | memory grown by MiB | slowest s |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        lines.append(
            f"| {each.door} | {each.executions:,} | {each.crashes} | {each.cpu_s:.0f} |"
            f" {each.grown_mib:.0f} | {each.slowest_s:.2f} |"
        )
    executions, cpu_s = sum(each.executions for each in found), sum(each.cpu_s for each in found)
    crashes = sum(each.crashes for each in found)
    lines.append(f"| all {len(found)} | {executions:,} | {crashes} | {cpu_s:.0f} | | |")
    return "\n".join(lines)


def main() -> int:
    """0: no crash."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="CPU minutes over all doors of bytes"
    )
    parser.add_argument("--http", type=int, default=2000, help="requests to the HTTP API; 0: none")
    parser.add_argument("--door", default="", help="doors whose name holds this text only")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", type=Path, help="the same as JSON")
    wanted = parser.parse_args()
    chosen = [door for door in every_door() if wanted.door in door.name]
    found = files(wanted.minutes * 60 / max(1, len(chosen)), wanted.seed, wanted.door)
    if wanted.http and wanted.door in "http api":
        found.append(http(wanted.http))
    print(f"seed {wanted.seed}\n\n{table(found)}")
    if wanted.json:
        wanted.json.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    return 1 if any(each.crashes for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
