"""``utaa cameras …``: probe a camera, judge pictures and films, train and watch."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from edge.cameras.errors import CameraError, need

app = typer.Typer(no_args_is_help=True, help="Camera health: probe streams, judge pictures.")

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON line per result.")]
#: Reading the URL from the environment keeps its password out of the process list.
UrlArgument = Annotated[
    str, typer.Argument(help="rtsp(s):// or http(s)://; '-' reads it from the first line of stdin.")
]


def _fail(where: str, what: str) -> typer.Exit:
    typer.echo(f"utaa: {where}: {what}", err=True)
    return typer.Exit(2)


def _need_libraries() -> None:
    try:
        need("cv2")
        need("av")
    except CameraError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(2) from None


def _line(value: Any) -> None:
    typer.echo(msgspec.json.encode(value).decode())


@app.command()
def probe(
    url: UrlArgument,
    json_lines: JsonOption = False,
    full: Annotated[bool, typer.Option("--full", help="Watch for some seconds and measure.")] = True,
    seconds: Annotated[float, typer.Option(min=0.5, max=60, help="How long to watch.")] = 3.0,
    total: Annotated[
        float, typer.Option(min=1, max=120, help="Deadline of the whole probe, s.")
    ] = 10.0,
    save: Annotated[Path | None, typer.Option(help="Write the first picture here (JPEG).")] = None,
) -> None:
    """Probe a camera: is it there, what does it send, how fast. Exit code 0 if a picture came."""
    _need_libraries()
    from edge.cameras.outcome import MEANING
    from edge.cameras.prober import Prober
    from edge.cameras.stream import Request

    address = sys.stdin.readline().strip() if url == "-" else url
    request = Request(
        id=0, url=address, depth="full" if full else "cheap", watch_s=seconds,
        total_s=max(total, seconds + 4), want_picture=save is not None,
    )  # fmt: skip

    async def once() -> Any:
        async with Prober(threads=1) as prober:
            return await prober.probe(request)

    found = asyncio.run(once())
    if save is not None and found.picture is not None:
        save.write_bytes(found.picture)
    shown = msgspec.structs.replace(found, picture=None)
    if json_lines:
        _line(
            {**msgspec.to_builtins(shown), "outcome": found.outcome, "meaning": MEANING[found.outcome]}
        )
    else:
        typer.echo(f"{found.outcome}: {MEANING[found.outcome]}  {found.url}")
        for name, value in msgspec.to_builtins(shown).items():
            if name not in ("outcome", "url", "keyframe_hashes"):
                typer.echo(f"  {name:16} {value}")
    raise typer.Exit(0 if found.outcome == "reachable" else 1)


@app.command()
def judge(
    reference: Annotated[Path, typer.Option(help="Folder of good pictures of this camera (3 to 20).")],
    pictures: Annotated[Path, typer.Option(help="Folder of pictures to judge, or one picture.")],
    json_lines: JsonOption = False,
    rules: Annotated[bool, typer.Option("--rules", help="Rules alone, without the model.")] = False,
) -> None:
    """Judge pictures against a camera's own good ones."""
    _need_libraries()
    from edge.cameras.judge import Judge, Judgement
    from edge.cameras.pictures import BadPicture, find, read
    from edge.cameras.trees import shipped

    for option, path in (("--reference", reference), ("--pictures", pictures)):
        if not path.exists():
            raise _fail(option, f"{path.name} does not exist")
    good = []
    for path in find(reference) if reference.is_dir() else [reference]:
        try:
            good.append(read(path))
        except BadPicture as error:
            typer.echo(f"utaa: {path.name}: left out, {error}", err=True)
    if not good:
        raise _fail("--reference", f"no picture in {reference.name}; give 3 to 20 good ones")
    the_judge = Judge(good, None if rules else shipped())
    for path in find(pictures) if pictures.is_dir() else [pictures]:
        try:
            said = the_judge.judge(read(path))
        except (BadPicture, OSError) as error:
            reason = error.reason if isinstance(error, BadPicture) else "unreadable"
            said = Judgement(verdict="unknown", confidence=0.0, evidence={reason: 1.0})
        if json_lines:
            _line({"file": path.name, **msgspec.to_builtins(said)})
        else:
            numbers = "  ".join(f"{k}={v:g}" for k, v in said.evidence.items())
            typer.echo(f"{path.name:32} {said.verdict:13} {said.confidence:.2f}  {numbers}")


@app.command(name="judge-video")
def judge_video(
    file: Annotated[Path, typer.Argument(help="A film: anything FFmpeg opens.")],
    reference: Annotated[
        Path | None, typer.Option(help="Folder of good pictures of this camera.")
    ] = None,
    json_lines: JsonOption = False,
) -> None:
    """Judge a film: frozen, or what its pictures show."""
    _need_libraries()
    from edge.cameras.film import judge_film

    if not file.is_file():
        raise _fail(file.name, "no such file")
    try:
        said = judge_film(file, reference)
    except CameraError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(2) from None
    if json_lines:
        _line({"file": file.name, **msgspec.to_builtins(said)})
    else:
        numbers = "  ".join(f"{k}={v:g}" for k, v in said.evidence.items())
        typer.echo(f"{file.name}  {said.verdict}  {said.confidence:.2f}  {numbers}")


@app.command()
def train(
    to: Annotated[Path, typer.Option(help="Where to write the model.")] = Path("model.json"),
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Make the judge's model anew from generated scenes (needs scikit-learn; minutes to half an
    hour)."""
    _need_libraries()
    from edge.cameras.proving.measure import measure, spread
    from edge.cameras.proving.real import measure_tuning, tuning_cases
    from edge.cameras.proving.train import train as grow
    from edge.cameras.proving.train import write

    try:
        photographs = spread(measure_tuning, tuning_cases(), workers)
        measured = [*measure("tuning", workers=workers), *(m for group in photographs for m in group)]
        to.write_bytes(write(grow(measured)))
    except CameraError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{to}: {to.stat().st_size} bytes")


def _rows(lines: Iterator[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@app.command()
def watch(
    cameras: Annotated[
        Path, typer.Argument(help="A file: one camera a line, NAME URL [FOLDER OF GOOD PICTURES].")
    ],
    json_lines: JsonOption = False,
    interval: Annotated[float, typer.Option(min=1, help="Seconds between probes.")] = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Visit each camera once and end.")] = False,
) -> None:
    """Watch cameras: a live table, or with --json a line for each thing that turns."""
    _need_libraries()
    from edge.cameras.command import watch_cameras

    if not cameras.is_file():
        raise _fail(cameras.name, "no such file")
    with cameras.open() as file:
        rows = [row.split(None, 2) for row in _rows(iter(file))]
    bad = next((n for n, row in enumerate(rows, 1) if len(row) < 2), None)
    if bad is not None or not rows:
        raise _fail(cameras.name, f"line {bad or 1}: expected NAME URL [FOLDER]")
    watch_cameras(rows, interval_s=interval, json_lines=json_lines, once=once)


@app.command()
def learn(
    url: UrlArgument,
    to: Annotated[Path, typer.Option(help="Folder of this camera's good pictures; made if missing.")],
    count: Annotated[int, typer.Option(min=1, max=12, help="Pictures to take now.")] = 3,
    every: Annotated[float, typer.Option(min=0, max=3600, help="Seconds between them.")] = 10.0,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="Forget all pictures there first: it was moved on purpose.")
    ] = False,
) -> None:
    """Take good pictures of a camera: you say that it shows what it should, now.

    Look at them before you trust them. Come back by night and in other weather, or let the site's agent
    learn the rest: it adds pictures for each part of the day while nothing is wrong, and never
    replaces those taken here. A running agent has a camera's folder under DATA/cameras/ID.
    """
    _need_libraries()
    from edge.cameras.command import learn_camera

    address = sys.stdin.readline().strip() if url == "-" else url
    try:
        learn_camera(address, to, count=count, every_s=every, afresh=afresh)
    except CameraError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def discover(
    known: Annotated[
        Path | None, typer.Option(help="The site's TOML file of cameras; they are marked as known.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds to wait for answers.")] = 4.0,
    to: Annotated[
        str | None, typer.Option(help="HOST:PORT to ask instead of everybody (239.255.255.250:3702).")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Ask each for its serial number as this user; password from "
        "UTAA_ONVIF_PASSWORD.")
    ] = None,
    json_lines: JsonOption = False,
) -> None:  # fmt: skip
    """List the cameras of this network that answer to ONVIF discovery: what is not registered yet.

    With --known each is marked: known (registered at this address), moved (a registered serial number
    at another address), new (nobody registered it).
    """
    _need_libraries()
    from edge.cameras.command import discover_cameras

    try:
        discover_cameras(known, wait_s=wait, to=to, user=user, json_lines=json_lines)
    except CameraError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(2) from None


@app.command()
def bench(
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Fewer held-out scenes, for a quick look.")
    ] = None,
    opencv_samples: Annotated[
        Path | None, typer.Option(help="samples/data of OpenCV's source package: real pictures.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Score the judge on held-out scenes, real pictures and films; every figure of docs/cameras.md."""
    _need_libraries()
    from edge.cameras.proving.bench import cameras

    figures = cameras(scenes=scenes, opencv_samples=opencv_samples, workers=workers)
    typer.echo(msgspec.json.format(msgspec.json.encode(figures), indent=2).decode())
