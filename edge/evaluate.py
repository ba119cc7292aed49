"""``utaa edge evaluate``: a recording through the alarms, offline, one JSON line per transition.

    utaa edge evaluate run.csv --time TIME --map optical_density_db_m=SMA_1:per_m
    utaa edge evaluate kitchens.csv --time Date+Time --where 'Stage=6.*' --map 'co_ppm=CO(ppm)'
    utaa edge evaluate kitchens.csv --time Date+Time --by 'Stage~^\\d+' --map 'co_ppm=CO(ppm)'

``time_s`` is the time column's own number, or seconds from the detector's first row where the column
holds clock times or dates, or where ``--step`` counts rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.alarms.replay import Replay
from edge.alarms.settings import Settings
from edge.alarms.types import Change
from edge.recording import ORIGIN_US, US_PER_S, Plan, RecordingError, Sample, read_recording
from edge.wire.messages import CLASS_OF


def decide_recording(
    samples: Iterator[Sample], settings: Settings, *, tail_s: float = 0.0
) -> Iterator[tuple[str, Change]]:
    """``(detector, change)`` of every detector in the samples, in the order they are decided."""
    runs: dict[str, Replay] = {}
    last_us: dict[str, int] = {}
    for sample in samples:
        run = runs.get(sample.detector)
        if run is None:
            run = runs[sample.detector] = Replay(settings, sample.reading.time_us)
        for change in run.hear(sample.reading):
            yield sample.detector, change
        last_us[sample.detector] = sample.reading.time_us
    for detector, run in runs.items():
        for change in run.wake(last_us[detector] + int(tail_s * US_PER_S)):
            yield detector, change


def transition_line(detector: str, change: Change) -> dict[str, Any]:
    """The JSON object printed for a change."""
    line: dict[str, Any] = {
        "time_s": round((change.at_us - ORIGIN_US) / US_PER_S, 3),
        "kind": change.kind,
        "class": CLASS_OF[change.kind],
        "transition": change.transition,
        "reason": change.reason,
        "values": {name: round(value, 4) for name, value in change.values.items()},
    }
    if detector:
        line["detector"] = detector
    if change.peak:
        line["peak"] = {name: round(value, 4) for name, value in change.peak.items()}
    if change.test:
        line["test"] = True
    return line


def settings_from_options(options: list[str]) -> Settings:
    """Settings from ``NAME=VALUE`` texts. Raises ``RecordingError``."""
    values: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals:
            raise RecordingError(f"--set {text!r}: expected NAME=VALUE")
        try:
            values[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            values[name.strip()] = value.strip()
    try:
        return Settings.from_mapping(values)
    except ValueError as error:
        raise RecordingError(f"--set: {error}") from None


def evaluate(
    file: Annotated[Path, typer.Argument(help="a CSV with a header, or .csv.gz", show_default=False)],
    maps: Annotated[
        list[str],
        typer.Option(
            "--map",
            metavar="[NAME/]QUANTITY=COLUMN[*FACTOR][:UNIT]",
            help="which column holds a quantity or flag; NAME tells several detectors apart",
            show_default=False,
        ),
    ],
    time: Annotated[
        str | None,
        typer.Option(help="the column with the time: seconds, HH:MM:SS or a date; or DATE+TIME"),
    ] = None,
    step: Annotated[float | None, typer.Option(help="seconds between rows, instead of --time")] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN[~REGEX]", help="one detector per value (or match) of this column"),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=GLOB", help="only rows whose cell matches; repeatable"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="an alarm setting; repeatable"),
    ] = None,
    tail: Annotated[float, typer.Option(help="let time go on this many seconds after the end")] = 0.0,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="draw it (needs the extra 'plot')")
    ] = None,
) -> None:
    """Run a recording through the alarms and print one JSON line per transition."""
    plan = Plan(maps, time, step, by, tuple(where or ()))
    try:
        chosen = settings_from_options(settings or [])
        samples: Iterator[Sample] = read_recording(file, plan)
        if plot is not None:
            from edge.plot import draw, need_matplotlib

            need_matplotlib()
            kept = list(samples)
            changes = list(decide_recording(iter(kept), chosen, tail_s=tail))
            draw(plot, kept, changes, title=file.name)
            _print(iter(changes))
        else:
            _print(decide_recording(samples, chosen, tail_s=tail))
    except RecordingError as error:
        typer.echo(f"utaa: evaluate {file}: {error}", err=True)
        raise typer.Exit(2) from None


def _print(changes: Iterator[tuple[str, Change]]) -> None:
    for detector, change in changes:
        sys.stdout.write(json.dumps(transition_line(detector, change), ensure_ascii=False) + "\n")
