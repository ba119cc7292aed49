"""``utaa bench``: measure this machine. Each bench starts real servers of its own in a new folder.

Cast: one module for each bench (``alarm`` …), ``rounds`` (long chaos, resumable), ``client`` (a light
MQTT publisher), ``smtp`` (a mail server that notes times), ``city`` (fills the register), ``measure``
(processor time, memory, percentiles), ``report`` (table or JSON, progress on stderr).

A run: servers and rooms start as processes → the register is filled → the load is played and written
down → what arrived is read back and held against it → machine, parameters and figures are shown.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from utaa.bench.report import Report, Teller
from utaa.servers import ServerError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_Json = Annotated[bool, typer.Option("--json", help="Figures as one JSON object.")]
_Folder = Annotated[
    Path | None, typer.Option("--dir", help="Keep everything in this new folder; else a temporary one.")
]
_Full = Annotated[bool, typer.Option("--full", help="The full size; may take hours.")]


def _run(
    work: Callable[[Path, Teller], Coroutine[Any, Any, Report]], folder: Path | None, as_json: bool
) -> None:
    """Run one bench; on failure one line on stderr and exit code 1."""
    teller = Teller()
    with tempfile.TemporaryDirectory(prefix="utaa-bench-", ignore_cleanup_errors=True) as temporary:
        try:
            report = asyncio.run(_until_terminated(work(folder or Path(temporary), teller)))
        except (ServerError, TimeoutError, ConnectionError, OSError) as error:
            print(f"utaa: bench: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
    report.show(as_json=as_json)


async def _until_terminated(work: Coroutine[Any, Any, Report]) -> Report:
    """SIGTERM ends the servers too, as Ctrl-C does."""
    running = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        raise TimeoutError("ended before it was done") from None


@app.command()
def alarm(
    seconds: Annotated[float, typer.Option(min=1, help="How long alarms are raised.")] = 20.0,
    readings_per_s: Annotated[float, typer.Option(min=1)] = 3667.0,
    alarms_per_s: Annotated[float, typer.Option(min=0.1)] = 367.0,
    sites: Annotated[int, typer.Option(min=1, max=50, help="Agents and brokers of their own.")] = 4,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """From a detector's publication to the mail server's acceptance, under load."""
    from utaa.bench.alarm import run_alarm

    _run(
        lambda path, teller: run_alarm(
            folder=path, teller=teller, seconds=60.0 if full else seconds,
            readings_per_s=readings_per_s, alarms_per_s=alarms_per_s, sites=sites,
        ),
        folder,
        as_json,
    )  # fmt: skip


@app.command()
def cameras(
    parts: Annotated[
        str, typer.Option(help="Of judge, fleet, probes, path; separated by commas.")
    ] = "judge,fleet,probes,path",
    scenes: Annotated[int | None, typer.Option(min=1, help="Fewer held-out scenes.")] = None,
    opencv_samples: Annotated[
        Path | None, typer.Option(help="samples/data of OpenCV's source package: real pictures.")
    ] = None,
    cameras: Annotated[int, typer.Option(min=0, max=2000, help="640x360, at 30 s.")] = 1000,
    cameras_1080p: Annotated[int, typer.Option(min=0, max=2000, help="1920x1080, at 30 s.")] = 300,
    seconds: Annotated[float, typer.Option(min=10, help="How long each fleet is measured.")] = 120.0,
    probes: Annotated[int, typer.Option(min=1000, help="In a row; half of them fail.")] = 10_000,
    faults: Annotated[int, typer.Option(min=1, max=100, help="From camera to incident.")] = 24,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """The judge, a fleet of cameras on one core, ten thousand probes, and the path to an incident."""
    from utaa.bench.cameras import run_cameras

    what = frozenset(part.strip() for part in parts.split(","))
    if not what <= {"judge", "fleet", "probes", "path"}:
        print("utaa: --parts: expected some of judge, fleet, probes, path", file=sys.stderr)
        raise typer.Exit(2)
    _run(
        lambda path, teller: run_cameras(
            folder=path, teller=teller, what=what, scenes=scenes, samples=opencv_samples,
            cameras=cameras, cameras_hd=cameras_1080p, seconds=1800.0 if full else seconds,
            probes=probes, faults=60 if full else faults,
        ),
        folder,
        as_json,
    )  # fmt: skip


@app.command()
def storm(
    households: Annotated[int, typer.Option(min=1, help="Homes that burn.")] = 1000,
    contacts: Annotated[int, typer.Option(min=1, help="People of each home.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Within this time.")] = 12.0,
    troubles: Annotated[int, typer.Option(min=0, help="Troubles told meanwhile.")] = 500,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """Thousands of homes burn within a minute: when is everybody told, and does memory hold?"""
    from utaa.bench.storm import run_storm

    _run(
        lambda path, teller: run_storm(
            folder=path, teller=teller, households=5000 if full else households, contacts=contacts,
            seconds=60.0 if full else seconds, troubles=1000 if full else troubles,
        ),
        folder,
        as_json,
    )  # fmt: skip


@app.command()
def overload(
    seconds: Annotated[float, typer.Option(min=4)] = 30.0,
    times: Annotated[float, typer.Option(min=1, help="Times what the machine takes.")] = 10.0,
    alarms_per_s: Annotated[float, typer.Option(min=0.1)] = 10.0,
    sites: Annotated[int, typer.Option(min=1, max=50, help="Agents and brokers of their own.")] = 2,
    flood_per_s: Annotated[
        float, typer.Option(min=0, help="Readings a second of each agent, so that its spool fills.")
    ] = 1500.0,
    quota_mb: Annotated[int, typer.Option(min=4, help="Room of each agent's spool.")] = 4,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """Ten times the telemetry that the city can take, and fires in the midst of it; full: 5 minutes."""
    from utaa.bench.overload import run_overload

    _run(
        lambda path, teller: run_overload(
            folder=path, teller=teller, seconds=300.0 if full else seconds, times=times,
            alarms_per_s=alarms_per_s, sites=sites, flood_per_s=flood_per_s, quota_mb=quota_mb,
        ),
        folder,
        as_json,
    )  # fmt: skip


@app.command()
def ingest(
    rows: Annotated[
        int, typer.Option(min=1, help="Stop when so many readings are stored.")
    ] = 2_200_000,
    detectors: Annotated[int, typer.Option(min=1)] = 220_000,
    per_frame: Annotated[int, typer.Option(min=1, max=4096, help="Readings in a frame.")] = 200,
    readings_per_s: Annotated[
        float, typer.Option(min=0, help="0: as fast as they are acknowledged; the city: 3667 or 22000.")
    ] = 0.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long, with --readings-per-s.")] = 60.0,
    reads_per_s: Annotated[
        float | None,
        typer.Option(min=0, help="Questions for the last hour meanwhile; 4, at a given pace none."),
    ] = None,
    shuffled: Annotated[
        bool, typer.Option(help="Each frame names its detectors in another order.")
    ] = False,
    influx: Annotated[bool, typer.Option(help="Into InfluxDB instead of SQLite.")] = False,
    progress: Annotated[
        Path | None,
        typer.Option(help="Goes on where this file ends; data and plot are kept beside it."),
    ] = None,
    max_disk_gb: Annotated[float, typer.Option(min=0.1, help="Stop when it holds more.")] = 20.0,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """Frames of a whole city into the reading store; with --full until 100 million are stored."""
    from utaa.bench.ingest import READS_PER_S, Wanted, run_ingest

    wanted = Wanted(
        rows=100_000_000 if full else rows, detectors=detectors, per_frame=per_frame,
        per_s=readings_per_s, seconds=seconds, influx=influx, shuffled=shuffled, progress=progress,
        max_disk_gb=max_disk_gb,
        reads_per_s=(0.0 if readings_per_s else READS_PER_S) if reads_per_s is None else reads_per_s,
    )  # fmt: skip
    _run(lambda path, teller: run_ingest(folder=path, teller=teller, wanted=wanted), folder, as_json)


@app.command()
def chaos(
    cycles: Annotated[int, typer.Option(min=1)] = 3,
    seed: Annotated[int, typer.Option(help="The same seed chooses the same faults and moments.")] = 1,
    servers: Annotated[
        bool, typer.Option(help="InfluxDB and PostgreSQL instead of SQLite; they are killed too.")
    ] = False,
    progress: Annotated[
        Path | None,
        typer.Option(help="Rounds of ten cycles, a line in this file for each; goes on behind them."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="200 cycles in rounds, every second one with --servers.")
    ] = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """Kill, cut and fill at random moments; afterwards everything must be there exactly once."""
    from utaa.bench.chaos import run_chaos
    from utaa.bench.rounds import run_rounds

    if full or progress is not None:
        _run(
            lambda path, teller: run_rounds(
                folder=path, teller=teller, cycles=200 if full else cycles, seed=seed,
                stores="mixed" if full else "servers" if servers else "sqlite", progress=progress,
            ),
            folder,
            as_json,
        )  # fmt: skip
        return
    _run(
        lambda path, teller: run_chaos(
            folder=path, teller=teller, cycles=cycles, seed=seed, servers=servers
        ),
        folder,
        as_json,
    )


@app.command()
def drain(
    readings: Annotated[int, typer.Option(min=1000, help="Readings behind.")] = 100_000,
    troubles: Annotated[int, typer.Option(min=0, help="Trouble events behind.")] = 1_000,
    fires: Annotated[int, typer.Option(min=1, help="New fires while it drains.")] = 20,
    kbit_s: Annotated[float, typer.Option(min=0, help="The link's rate each way; 0: no limit.")] = 0.0,
    delay_ms: Annotated[float, typer.Option(min=0, help="The link's round trip.")] = 0.0,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """A new fire overtakes what three days offline left behind; 256 kbit/s and 600 ms: a thin link."""
    from utaa.bench.drain import run_drain

    _run(
        lambda path, teller: run_drain(
            folder=path, teller=teller, readings=1_000_000 if full else readings,
            troubles=10_000 if full else troubles, fires=100 if full else fires, kbit_s=kbit_s,
            delay_ms=delay_ms,
        ),
        folder,
        as_json,
    )  # fmt: skip


@app.command()
def edge(
    detectors: Annotated[int, typer.Option(min=1)] = 2500,
    seconds: Annotated[float, typer.Option(min=1)] = 30.0,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """Memory and processor time of one agent with detectors that report every 10 s."""
    from utaa.bench.site import run_edge

    _run(
        lambda path, teller: run_edge(
            folder=path, teller=teller, detectors=detectors, seconds=300.0 if full else seconds
        ),
        folder,
        as_json,
    )


@app.command()
def singles(
    messages: Annotated[int, typer.Option(min=100)] = 200_000,
    detectors: Annotated[int, typer.Option(min=20)] = 2500,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """Single messages at QoS 1 that one agent acknowledges after its commit."""
    from utaa.bench.site import run_singles

    _run(
        lambda path, teller: run_singles(
            folder=path, teller=teller, messages=2_000_000 if full else messages, detectors=detectors
        ),
        folder,
        as_json,
    )


@app.command()
def sirens(
    fires: Annotated[int, typer.Option(min=1)] = 50,
    full: _Full = False,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """From a detector's message to two sirens and a neighbour's sounder, without the city."""
    from utaa.bench.sirens import run_sirens

    _run(
        lambda path, teller: run_sirens(folder=path, teller=teller, fires=1000 if full else fires),
        folder,
        as_json,
    )


@app.command()
def sources(
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each source decodes.")] = 1.0,
    full: _Full = False,
    as_json: _Json = False,
) -> None:
    """Messages a second that each source decodes on one core."""
    from edge.sources.bench import AIM_PER_S, decoded_per_s

    report = Report("sources", {"seconds": seconds}, targets={"least_per_s": f"≥ {AIM_PER_S}"})
    rates = decoded_per_s(10 * seconds if full else seconds)
    report.figures = {"per_s": rates, "least_per_s": min(rates.values())}
    report.show(as_json=as_json)


@app.command()
def decide(seconds: Annotated[float, typer.Option(min=0.1)] = 4.0, as_json: _Json = False) -> None:
    """Decisions of the alarms a second on one core, without any server."""
    from edge.alarms.bench import decide as measure

    figures = measure(seconds)
    Report("decide", {"seconds": seconds}, dict(figures)).show(as_json=as_json)


@app.command()
def fibre(
    cameras: Annotated[
        int, typer.Option(min=100, help="Connected cameras of the generated city.")
    ] = 4113,
    seed: Annotated[int, typer.Option(help="The same seed makes the same city and noise.")] = 1,
    full: _Full = False,
    as_json: _Json = False,
) -> None:
    """Every span of a generated city cut in turn: is it found? With --full a city of 70,000 cameras."""
    from utaa.bench.fibre import run_fibre

    run_fibre(cameras=70_000 if full else cameras, seed=seed, teller=Teller()).show(as_json=as_json)


@app.command()
def registry(
    cameras: Annotated[int, typer.Option(min=100, help="Rows of the imported workbook.")] = 70_000,
    questions: Annotated[int, typer.Option(min=10, help="Requests of each kind.")] = 200,
    database: Annotated[str, typer.Option(help="sqlite, postgresql or both.")] = "both",
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """A workbook of cameras into the register, then lists, filters, searches and maps of them."""
    from utaa.bench.registry import run_registry

    _run(
        lambda path, teller: run_registry(
            folder=path, teller=teller, cameras=cameras, questions=questions, database=database
        ),
        folder,
        as_json,
    )


@app.command("pages")
def pages_(
    cameras: Annotated[int, typer.Option(min=0, help="Cameras in the register.")] = 70_000,
    questions: Annotated[int, typer.Option(min=1, help="Requests of each page.")] = 40,
    visits: Annotated[int, typer.Option(min=1, help="Visits of a slow phone.")] = 5,
    as_json: _Json = False,
    folder: _Folder = None,
) -> None:
    """Every page: the server's time, what travels at first, and a fire page on a slow 3G phone."""
    from utaa.bench.pages import run_pages

    _run(
        lambda path, teller: run_pages(
            folder=path, teller=teller, cameras=cameras, questions=questions, visits=visits
        ),
        folder,
        as_json,
    )
