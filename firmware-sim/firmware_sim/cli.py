"""``utaa sim``: play a scenario, replay a recording, look at either."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer

from edge.wire.clock import Clock, ScaledClock, clock_from_text
from firmware_sim import scenario as scenarios
from firmware_sim.camera.command import camera
from firmware_sim.errors import SimulatorError
from firmware_sim.fleet import run_fleet
from firmware_sim.khur import khur
from firmware_sim.ledger import Ledger, Summary
from firmware_sim.link import Broker, broker_from_text, check_reachable
from firmware_sim.publish import NATIVE, check_json, publish, topic_of
from firmware_sim.recordings import column_from_text, from_csv, kitchens, nist
from firmware_sim.replay import replay
from firmware_sim.street_commands import cut, mend, streets

app = typer.Typer(help="Detectors, homes and fires that do not exist.", no_args_is_help=True)
app.command()(camera)
app.command()(khur)
app.command()(streets)
app.command()(cut)
app.command()(mend)


class Layout(StrEnum):
    """What a recording's file looks like."""

    COLUMNS = "columns"
    NIST = "nist"
    KITCHENS = "kitchens"


BrokerOption = Annotated[str, typer.Option("--broker", help="HOST:PORT of the site's broker.")]
SiteOption = Annotated[str, typer.Option("--site", help="The site whose edge listens there.")]
LedgerOption = Annotated[
    Path | None, typer.Option("--ledger", help="Write what was published to this JSONL file.")
]


def main() -> None:
    """Run the commands; what the user can mend is one line on stderr and the error's exit code."""
    try:
        app()
    except SimulatorError as error:
        sys.stderr.write(f"utaa: {error}\n")
        raise SystemExit(error.exit_code) from None


def fail(error: SimulatorError) -> typer.Exit:
    """One line on stderr, and the exit to raise."""
    typer.echo(f"utaa: {error}", err=True)
    return typer.Exit(error.exit_code)


def _broker(text: str) -> Broker:
    plain = broker_from_text(text)
    return Broker(
        plain.host,
        plain.port,
        os.environ.get("UTAA_SIM_USERNAME"),
        os.environ.get("UTAA_SIM_PASSWORD"),
    )


def _clock(speed: float | None) -> Clock:
    """The clock all processes share; ``speed`` makes one for this process and tells its name."""
    text = os.environ.get("UTAA_CLOCK")
    if speed is None or speed == 1.0:
        try:
            return clock_from_text(text)
        except ValueError as error:
            raise SimulatorError("UTAA_CLOCK", str(error)) from None
    if text:
        raise SimulatorError("--speed", "UTAA_CLOCK is set and has a speed; leave one of them out")
    if not speed > 0:
        raise SimulatorError("--speed", f"is {speed}; expected a number above 0")
    now_s = time.time()
    shared = ScaledClock(now_s, now_s, speed).as_text()
    typer.echo(f"UTAA_CLOCK={shared}  # give this to the edge and the city", err=True)
    return clock_from_text(shared)


def _with_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)


def _log_to_stderr() -> None:
    """Standard output is for the counts."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def _print(summary: Summary) -> None:
    typer.echo(msgspec.json.encode(summary).decode())


@app.command("run")
def run_command(
    name: Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped one or a TOML file.")],
    broker: BrokerOption = "localhost:1883",
    site: SiteOption = "demo",
    ledger: LedgerOption = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after this long.")] = None,
    speed: Annotated[float | None, typer.Option(help="So many times faster than life.")] = None,
) -> None:
    """Play a scenario on a broker; prints the counts as JSON at the end."""

    async def play() -> Summary:
        stop = asyncio.Event()
        _with_signals(stop)
        there = _broker(broker)
        await check_reachable(there)
        with Ledger(ledger) as book:
            return await run_fleet(
                scenario,
                site=site,
                broker=there,
                clock=clock,
                ledger=book,
                seconds=seconds,
                stop=stop,
            )

    _log_to_stderr()
    try:
        scenario = scenarios.load(name)
        clock = _clock(speed)
        _print(asyncio.run(play()))
    except SimulatorError as error:
        raise fail(error) from None


@app.command("replay")
def replay_command(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV table, or a data set's folder.")],
    broker: BrokerOption = "localhost:1883",
    site: SiteOption = "demo",
    ledger: LedgerOption = None,
    layout: Annotated[
        Layout, typer.Option(help="columns: by --map; nist, kitchens: those public data sets.")
    ] = Layout.COLUMNS,
    address: Annotated[str, typer.Option(help="The detector's address (columns).")] = "recording",
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="QUANTITY=COLUMN[:UNIT], UNIT per_m, pct_ft, volume_pct or f."),
    ] = None,
    time_column: Annotated[
        str | None, typer.Option("--time", help="The column of times (columns).")
    ] = None,
    step: Annotated[float | None, typer.Option(min=0, help="Or: seconds between rows.")] = None,
    speed: Annotated[float | None, typer.Option(help="So many times faster than life.")] = None,
    as_fast_as_possible: Annotated[
        bool, typer.Option("--as-fast-as-possible", help="Do not wait at all.")
    ] = False,
) -> None:
    """Replay recordings as native detectors; prints the counts as JSON at the end."""

    async def play() -> Summary:
        stop = asyncio.Event()
        _with_signals(stop)
        there = _broker(broker)
        await check_reachable(there)
        with Ledger(ledger) as book:
            return await replay(
                recordings,
                there,
                clock,
                book,
                site=site,
                as_fast_as_possible=as_fast_as_possible,
                stop=stop,
            )

    _log_to_stderr()
    try:
        if layout is Layout.NIST:
            recordings = nist(path)
        elif layout is Layout.KITCHENS:
            recordings = kitchens(path)
        else:
            chosen = [column_from_text(each) for each in columns or []]
            recordings = [from_csv(path, address, chosen, time=time_column, step_s=step)]
        clock = _clock(speed)
        _print(asyncio.run(play()))
    except SimulatorError as error:
        raise fail(error) from None


@app.command("publish")
def publish_command(
    payload: Annotated[str, typer.Argument(help="JSON, as in '{\"co_ppm\": 3}'.")],
    address: Annotated[
        str | None, typer.Option(help="The detector's own name, such as kitchen.")
    ] = None,
    source: Annotated[str, typer.Option(help="Whose topic: native, zigbee2mqtt or tasmota.")] = NATIVE,
    topic: Annotated[str | None, typer.Option(help="Or: any topic, instead of --address.")] = None,
    broker: BrokerOption = "localhost:1883",
) -> None:
    """Publish one message, as a detector would; prints its topic when the broker has it."""
    try:
        if (address is None) == (topic is None):
            raise SimulatorError("--address", "expected either --address or --topic")
        where = topic or topic_of(source, address or "")
        check_json(payload)
        asyncio.run(publish(_broker(broker), where, payload))
    except SimulatorError as error:
        raise fail(error) from None
    typer.echo(f"{where}  {payload}")


@app.command("scenarios")
def scenarios_command() -> None:
    """List the scenarios that come with the program."""
    for name, text in scenarios.shipped().items():
        shipped = scenarios.parse(text, name)
        typer.echo(f"{name:10} {len(shipped.detectors()):4} detectors  {shipped.about}")


@app.command("check")
def check_command(
    name: Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped one or a TOML file.")],
) -> None:
    """Read a scenario and say what it holds, or what is wrong with it."""
    try:
        checked = scenarios.load(name)
    except SimulatorError as error:
        raise fail(error) from None
    typer.echo(
        f"{checked.name}: {len(checked.homes)} homes, {len(checked.detectors())} detectors, "
        f"{len(checked.happenings)} happenings, every {checked.interval_s:g} s"
    )
