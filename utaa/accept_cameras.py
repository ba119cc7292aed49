"""False alarms of healthy cameras: a soak of the picture judge, to be stopped and resumed.

    python -m utaa.accept_cameras --minutes 60 --jobs 2 [--json]

Method and limits are those of ``edge.cameras.proving.soak``. The result is written to
``docs/camera-acceptance.md`` together with how much of it was run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cameras.errors import CameraError, need

if TYPE_CHECKING:
    from edge.cameras.proving.soak import SoakResult

#: Camera-days; without a single false alarm so many say with 95 % confidence: at most one a year.
DAYS = 1100


def accept(
    days: Annotated[int, typer.Option(min=1, help="camera-days in all")] = DAYS,
    minutes: Annotated[float, typer.Option(help="stop after this long; resume by calling again")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 2,
    progress: Annotated[Path, typer.Option(help="finished days, one line each")] = Path(
        ".accept-cameras.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="the report")] = Path("docs/camera-acceptance.md"),
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON")] = False,
) -> None:
    """Live through days of healthy cameras in all weathers and count the false alarms."""
    try:
        need("cv2")
        need("av")
    except CameraError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(2) from None
    import msgspec

    from edge.cameras.proving.soak import read, run, total

    done = list(read(progress).values())
    typer.echo(f"{len(done)} of {days} camera-days are done", err=as_json)
    for one in run(progress, days=days, minutes=minutes or None, jobs=jobs):
        done.append(one)
        if len(done) % 20 == 0:
            out.write_text(_report(total(done), days), encoding="utf-8")
            typer.echo(_line(total(done)), err=as_json)
    result = total(done)
    out.write_text(_report(result, days), encoding="utf-8")
    typer.echo(json.dumps(msgspec.to_builtins(result)) if as_json else _line(result))


def _line(result: SoakResult) -> str:
    return (
        f"{result.days} camera-days, {result.looks} looks, {result.faulty} called faulty, "
        f"{result.alarms} false alarms in {result.camera_years:.2f} camera-years: "
        f"at most {result.at_most:.2f} a year (95 %)"
    )


def _report(result: SoakResult, days: int) -> str:
    words = ", ".join(f"{k} {v}" for k, v in sorted(result.verdicts.items())) or "none"
    held = result.at_most <= 1 and result.days >= days
    shown = "yes" if held else "not yet" if result.days < days else "no"
    rows = {
        "camera-days lived, of those wanted": f"{result.days} of {days}",
        "camera-years": f"{result.camera_years:.2f}",
        "looks by the schedule": f"{result.looks:,}",
        "of them called faulty": f"{result.faulty} ({words})",
        "false alarms (four faulty looks in a row)": f"{result.alarms}",
        "false alarms a camera-year": f"{result.alarms_per_camera_year:.2f}",
        "at most, with 95 % confidence": f"{result.at_most:.2f}",
        "shown: at most one a camera-year": shown,
    }
    return _HEAD + "".join(f"| {name} | {value} |\n" for name, value in rows.items())


_HEAD = """# False alarms of healthy cameras

Made by `python -m utaa.accept_cameras` (`make accept`); do not edit. Simulated days: scenes and
weather of seeds that neither tune nor test the judge, each camera looked at by the watch's schedule
for 24 hours, the sun, the infrared switch and spells of weather going their way. Four faulty looks in a
row are an alarm. The upper limit is Poisson's, exact and one-sided: no alarm in N camera-years is at
most 3.0 / N a year with 95 % confidence, so 1,100 days (3.01 years) without one are wanted. What it
leaves out stands at the head of `edge/cameras/proving/soak.py`. It is a model of cameras, not a promise
about real ones.

| | |
|---|---|
"""

if __name__ == "__main__":
    typer.run(accept)
