"""A simulated year of a thousand gers: how often the alarms cry wolf, and which fires they miss.

    python -m utaa.accept_alarms --gers 1000 --jobs 2

Each ger lives a year at one reading a minute (``ger_year``), and at a random minute of it, from the
state its detector has then, one fire starts whose own alarm flag stays off; the year itself goes on
without it. Every finished ger is one line in a progress file, so the run can be stopped and resumed.
The result is written to ``docs/alarm-acceptance.md`` together with how much of it was run.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer

import edge.alarms
from edge.alarms import Change, Settings, State, Tick, initial, step
from edge.wire.messages import CLASS_OF
from edge.wire.readings import Reading
from utaa import ger_year
from utaa.ger_year import MINUTES, Day, Fire, fire, home, year

_US_PER_S = 1_000_000
_MINUTE_US = 60 * _US_PER_S
_START_US = 1_756_684_800 * _US_PER_S  # 2025-09-01
#: A fire is missed if nothing raised this long after it began (by then it is over, one way or another).
FLAMING_LIMIT_S, SMOULDERING_LIMIT_S = 600.0, 3600.0
#: Smoke in which one can no longer find the way out: 0.25 per metre [M].
UNTENABLE_DB_M = 2.5
#: More changes than this in one ger are not all kept, only counted.
_KEPT = 20
_TICK = Tick()


class GerResult(msgspec.Struct, omit_defaults=True):
    """What came of one ger: one line of the progress file."""

    ger: int
    days: int
    decisions: int
    #: raises by kind over the year without a fire
    raised: dict[str, int]
    #: the first false alarms, as sentences
    false_alarms: list[str]
    fire: str
    #: seconds from the fire's beginning to the first alarm, None if missed; and by which kind
    fire_s: float | None = None
    fire_kind: str = ""
    #: dB/m the fire had added by then, and seconds since it passed 0.15 dB/m
    fire_db_m: float = 0.0
    #: smoke alarms while a pan really burnt: a nuisance, but no false alarm
    burnt_pans: int = 0
    #: what decided and what was modelled: a line of another program is not resumed
    program: str = ""


@dataclass
class _Detector:
    """One detector's state, its changes and its wake-up."""

    state: State
    wake_us: int | None = None
    decisions: int = 0

    def hear(self, reading: Reading) -> list[Change]:
        now_us = reading.time_us
        changes: list[Change] = []
        while self.wake_us is not None and self.wake_us < now_us:
            self.state, more, self.wake_us = step(self.state, _TICK, self.wake_us)
            changes += more
            self.decisions += 1
        self.state, more, self.wake_us = step(self.state, reading, now_us)
        self.decisions += 1
        return changes + more if changes else more


def live(ger: int, days: int, seed: int) -> GerResult:
    """One ger's year, and its fire."""
    rng = np.random.default_rng([seed, ger])
    one = home(rng)
    burning = fire(rng)
    fire_day, fire_minute = int(rng.integers(days)), int(rng.integers(MINUTES))
    detector = _Detector(initial(Settings(), _START_US))
    raised: Counter[str] = Counter()
    false_alarms: list[str] = []
    result = GerResult(ger, days, 0, {}, [], burning.kind)
    for number, day in enumerate(year(one, rng, days)):
        readings = day_readings(day, number)
        for minute, reading in enumerate(readings):
            if number == fire_day and minute == fire_minute:
                _burn(result, detector, burning, day, number, minute)
            if reading is None:
                continue
            for change in detector.hear(reading):
                if change.transition == "raise":
                    if change.kind == "smoke" and _pan_burns(day, minute):
                        result.burnt_pans += 1
                        continue
                    raised[change.kind] += 1
                    if CLASS_OF[change.kind] == "alarm" and len(false_alarms) < _KEPT:
                        false_alarms.append(f"day {number}, {change.kind}: {change.reason}")
    result.decisions = detector.decisions
    result.raised, result.false_alarms = dict(raised), false_alarms
    return result


def _pan_burns(day: Day, minute: int) -> bool:
    """Whether a pan burns now, or did until three readings ago."""
    return day.burnt_pan is not None and day.burnt_pan[0] <= minute <= day.burnt_pan[1] + 3


def day_readings(day: Day, number: int) -> list[Reading | None]:
    """A reading per minute, None where the radio lost it."""
    first_us = _START_US + number * MINUTES * _MINUTE_US
    columns = zip(
        day.optical_density_db_m.tolist(), day.co_ppm.tolist(), day.temperature_c.tolist(),
        day.humidity_pct.tolist(), day.heard.tolist(), strict=True,
    )  # fmt: skip
    return [
        Reading(
            detector="ger",
            time_us=first_us + minute * _MINUTE_US,
            optical_density_db_m=od,
            co_ppm=ppm,
            temperature_c=celsius,
            humidity_pct=humidity,
            battery_pct=day.battery_pct,
        )
        if heard
        else None
        for minute, (od, ppm, celsius, humidity, heard) in enumerate(columns)
    ]


def _burn(
    result: GerResult, living: _Detector, burning: Fire, day: Day, number: int, minute: int
) -> None:
    """Let a fire grow from the detector's present state; its year is not touched."""
    limit_s = SMOULDERING_LIMIT_S if burning.kind == "smouldering" else FLAMING_LIMIT_S
    detector = _Detector(living.state, living.wake_us)
    already = set(detector.state.active)
    offset_s = 60.0 * ((result.ger * 7919) % 60) / 60.0  # it starts anywhere between two readings
    for n in range(int(limit_s / 60.0) + 1):
        since_s = n * 60.0 + offset_s
        at = (minute + n) % MINUTES
        od, ppm, warmth = burning.adds(since_s)
        reading = Reading(
            detector="ger",
            time_us=_START_US + ((number * MINUTES + minute + n) * 60) * _US_PER_S,
            optical_density_db_m=float(day.optical_density_db_m[at]) + od,
            co_ppm=float(day.co_ppm[at]) + round(ppm),
            temperature_c=float(day.temperature_c[at]) + warmth,
            humidity_pct=float(day.humidity_pct[at]),
            battery_pct=day.battery_pct,
        )
        for change in detector.hear(reading):
            if CLASS_OF[change.kind] == "alarm" and change.kind not in already:
                ahead_s = (reading.time_us - change.at_us) / _US_PER_S
                result.fire_s = round(since_s - ahead_s, 1)
                result.fire_kind = change.kind
                result.fire_db_m = round(burning.adds(max(0.0, result.fire_s))[0], 3)
                return


# --- running and resuming


def _live(job: tuple[int, int, int]) -> bytes:
    return msgspec.json.encode(live(*job))


def program_of(seed: int) -> str:
    """A fingerprint of the decision, the model and the seed."""
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8)
    modules = sorted(Path(edge.alarms.__file__).parent.glob("*.py"))
    for path in [*modules, Path(ger_year.__file__)]:
        if path.name != "bench.py":  # it decides nothing
            digest.update(path.read_bytes())
    return digest.hexdigest()


def finished(progress: Path, days: int, program: str) -> dict[int, GerResult]:
    """Gers of this program already in the progress file; a torn last line is dropped."""
    done: dict[int, GerResult] = {}
    if not progress.exists():
        return done
    for line in progress.read_bytes().splitlines():
        try:
            result = msgspec.json.decode(line, type=GerResult)
        except msgspec.DecodeError:
            continue
        if result.days == days and result.program == program:
            done[result.ger] = result
    return done


def accept(
    gers: Annotated[int, typer.Option(help="how many gers")] = 1000,
    days: Annotated[int, typer.Option(help="how long each lives")] = 365,
    jobs: Annotated[int, typer.Option(help="processes")] = 2,
    minutes: Annotated[float, typer.Option(help="stop after this long; resume by calling again")] = 0,
    progress: Annotated[Path, typer.Option(help="finished gers, one line each")] = Path(
        ".accept-alarms.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="the report")] = Path("docs/alarm-acceptance.md"),
    seed: Annotated[int, typer.Option(help="of all chance")] = 20260131,
) -> None:
    """Let gers live a year and burn once; resume where the progress file ends; write the report."""
    program = program_of(seed)
    done = finished(progress, days, program)
    todo = [(ger, days, seed) for ger in range(gers) if ger not in done]
    until = time.monotonic() + minutes * 60 if minutes else None
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with progress.open("ab") as log, context.Pool(max(1, jobs)) as pool:
        for count, line in enumerate(pool.imap_unordered(_live, todo), start=1):
            result = msgspec.json.decode(line, type=GerResult)
            result.program = program
            log.write(msgspec.json.encode(result) + b"\n")
            log.flush()
            done[result.ger] = result
            each_s = (time.monotonic() - began) / count
            typer.echo(
                f"{len(done)}/{gers} gers, {each_s:.1f} s each, about "
                f"{each_s * (len(todo) - count) / 60:.0f} min left",
                err=True,
            )
            if until is not None and time.monotonic() > until:
                pool.terminate()
                break
    results = [done[ger] for ger in sorted(done) if ger < gers]
    out.write_text(report(results, gers), encoding="utf-8")
    typer.echo(f"{out}: {len(results)} of {gers} gers")


def report(results: list[GerResult], wanted: int) -> str:
    """The figures as Markdown."""
    years = sum(result.days for result in results) / 365.0
    raised: Counter[str] = Counter()
    for result in results:
        raised.update(result.raised)
    false = sum(raised[kind] for kind in ("smoke", "co", "heat"))
    pans = sum(result.burnt_pans for result in results)
    missed = [result for result in results if result.fire_s is None]
    lines = [
        "# A simulated year of gers",
        "",
        "Made by `python -m utaa.accept_alarms`; do not edit. What is assumed of gers, stoves,",
        "cooking, cold, dust, ageing and fires, and where each figure comes from, stands at the top of",
        "`utaa/ger_year.py`. It is a model: it shows how the decision behaves under these assumptions,",
        "not how often a real home will hear it.",
        "",
        f"Run: {len(results)} of {wanted} gers, {years:.1f} detector-years at one reading a minute, "
        f"{sum(result.decisions for result in results):,} decisions.",
        "",
        f"- False alarms (smoke, CO, heat): {false}, {false / years if years else 0:.3f} per "
        "detector-year (aim: at most 0.05).",
        f"- Smoke alarms while a pan really burnt, which are nuisance and not false: {pans}, "
        f"{pans / years if years else 0:.3f} per detector-year.",
        f"- Fires whose own alarm flag stays off: {len(results)} injected, {len(missed)} missed "
        "(aim: 0).",
        "",
        "| raised in the year | count | per detector-year |",
        "|---|---|---|",
        *(
            f"| {kind} ({CLASS_OF[kind]}) | {count} | {count / years:.3f} |"  # type: ignore[index]
            for kind, count in sorted(raised.items())
        ),
        "",
        "| fire | injected | missed | median s | 95 % s | raised first by | before 2.5 dB/m |",
        "|---|---|---|---|---|---|---|",
        *(_fire_line(kind, results) for kind in ("smouldering", "slow", "medium", "fast")),
        "",
        "Seconds count from the fire's beginning; 2.5 dB/m (0.25 per metre [M]) is smoke in which the",
        "way out is hard to find. At one reading a minute a fast fire passes it between two readings.",
    ]
    told = [text for result in results for text in result.false_alarms][:10]
    if told:
        lines += ["", "The first false alarms:", "", *(f"- {text}" for text in told)]
    return "\n".join(lines) + "\n"


def _fire_line(kind: str, results: list[GerResult]) -> str:
    fires = [result for result in results if result.fire == kind]
    times = sorted(result.fire_s for result in fires if result.fire_s is not None)
    if not times:
        return f"| {kind} | {len(fires)} | {len(fires)} | – | – | – | – |"
    by = Counter(result.fire_kind for result in fires if result.fire_s is not None)
    early = len([one for one in fires if one.fire_s is not None and one.fire_db_m < UNTENABLE_DB_M])
    return (
        f"| {kind} | {len(fires)} | {len(fires) - len(times)} | {statistics.median(times):.0f} | "
        f"{times[min(len(times) - 1, int(0.95 * len(times)))]:.0f} | "
        f"{', '.join(f'{name} {count}' for name, count in by.most_common())} | {early} |"
    )


if __name__ == "__main__":
    typer.run(accept)
