"""False alarms of healthy cameras: a soak of the picture judge, to be stopped and resumed.

    python -m utaa.accept_cameras --minutes 60 --jobs 2

Method and limits are those of ``edge.cameras.proving.soak``. The result is written to
``docs/camera-acceptance.md`` together with how much of it was run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cameras.errors import CameraError, need

#: Without a single false alarm, so many say with 95 % confidence that it is at most one a camera-year.
SCENES = 4800


def accept(
    scenes: Annotated[int, typer.Option(min=1, help="cameras in all")] = SCENES,
    minutes: Annotated[float, typer.Option(help="stop after this long; resume by calling again")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 2,
    progress: Annotated[Path, typer.Option(help="finished cameras, one line each")] = Path(
        ".accept-cameras.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="the report")] = Path("docs/camera-acceptance.md"),
) -> None:
    """Look at healthy cameras in all weathers and count the false alarms."""
    try:
        need("cv2")
        need("av")
    except CameraError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(2) from None
    from edge.cameras.proving.soak import SoakResult, read, run, total

    def line(result: SoakResult) -> str:
        return (
            f"{result.scenes} cameras, {result.looks} looks, {result.faulty} called faulty, "
            f"{result.alarms} false alarms in {result.camera_years:.2f} camera-years: "
            f"at most {result.at_most:.2f} a year (95 %)"
        )

    def report(result: SoakResult) -> str:
        words = ", ".join(f"{k} {v}" for k, v in sorted(result.verdicts.items())) or "none"
        rows = {
            "cameras run, of those wanted": f"{result.scenes} of {scenes}",
            "first looks": f"{result.looks:,}",
            "of them called faulty": f"{result.faulty} ({words})",
            "false alarms after persistence": f"{result.alarms}",
            "camera-years of looks": f"{result.camera_years:.2f}",
            "false alarms a camera-year": f"{result.alarms_per_camera_year:.2f}",
            "at most, with 95 % confidence": f"{result.at_most:.2f} (aim: 1)",
        }
        return _REPORT + "".join(f"| {name} | {value} |\n" for name, value in rows.items())

    done = read(progress)
    typer.echo(f"{len(done)} of {scenes} cameras are done")
    for number, _ in enumerate(run(progress, scenes=scenes, minutes=minutes or None, jobs=jobs), 1):
        if number % 20 == 0:
            typer.echo(line(total(list(read(progress).values()))))
    result = total(list(read(progress).values()))
    out.write_text(report(result), encoding="utf-8")
    typer.echo(line(result))


_REPORT = """# False alarms of healthy cameras

Made by `python -m utaa.accept_cameras` (`make accept`); do not edit. Simulated: scenes and weather of
seeds that neither tune nor test the judge, looked at as the watch does, with four faulty looks in a row
before an alarm. Method and what it leaves out: the head of `edge/cameras/proving/soak.py`. It is a
model of cameras, not a promise about real ones.

| | |
|---|---|
"""

if __name__ == "__main__":
    typer.run(accept)
