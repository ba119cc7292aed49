"""``utaa demo``, ``up``, ``doctor`` and ``gallery``: the commands that belong to no single room."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import signal
import sys
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
import typer

DEMO_PORT = 8080
Report = TypeVar("Report")


def mount(app: typer.Typer) -> None:
    """Add the commands to the front door."""
    app.command()(demo)
    app.command()(up)
    app.command()(doctor)
    app.command()(gallery)


def demo(
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End after this long; otherwise with Ctrl-C.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the account at the end as one JSON object.")
    ] = False,
    port: Annotated[int, typer.Option(help="The page's port; 0 takes any free one.")] = DEMO_PORT,
    scenario: Annotated[
        str, typer.Option(help="A shipped scenario ('utaa sim scenarios') or a TOML file.")
    ] = "demo",
    keep: Annotated[
        Path | None, typer.Option(help="Keep all files in this folder; otherwise they are removed.")
    ] = None,
    embedded: Annotated[
        bool, typer.Option(help="Use the embedded broker and SQLite even if servers are installed.")
    ] = False,
    city: Annotated[
        bool, typer.Option("--city", help="Also enter an invented Darkhan with cameras and papers.")
    ] = False,
    browser: Annotated[
        bool | None, typer.Option(help="Open page and mailbox in a browser (default: on a terminal).")
    ] = None,
) -> None:
    """A small city on this machine: simulated homes, a fire within a minute, mails you can read.

    Broker, agents, gateway, reading store and mail server are real; only the homes and their
    detectors are simulated. At the end everything published is read back through the public API.
    """
    from utaa.demo import Greeting, run_demo
    from utaa.hold import Hold
    from utaa.passing import passing_folder

    def say(line: str) -> None:
        typer.echo(f"utaa demo: {line}", err=True)

    def ready(greeting: Greeting) -> None:
        say(f"the page      {greeting.page}/")
        say(f"sign in       as {greeting.login} with {greeting.password} to acknowledge alarms")
        say(f"              as {greeting.technician}, same password: work at {greeting.page}/field/")
        say(f"the mailbox   {greeting.mailbox}")
        say(f"a fire starts within a minute; {_ending(seconds)}")
        if browser or (browser is None and sys.stderr.isatty() and not as_json):
            webbrowser.open(greeting.page)
            webbrowser.open(greeting.mailbox)

    _quiet()
    try:
        with contextlib.ExitStack() as held:
            folder = keep.absolute() if keep else held.enter_context(passing_folder())
            held.enter_context(Hold(folder, "--keep"))
            report = asyncio.run(
                _until_stopped(
                    lambda stop: run_demo(
                        folder=folder,
                        scenario_name=scenario,
                        seconds=seconds,
                        port=port,
                        say=say,
                        stop=stop,
                        influx=False if embedded else None,
                        mosquitto=False if embedded else None,
                        ready=ready,
                        city=city,
                    )
                )
            )
    except Exception as error:
        line = _first_line(error)
        if line is None:
            raise
        typer.echo(f"utaa: {line}", err=True)
        raise typer.Exit(1) from None
    account = dataclasses.asdict(report)
    if as_json:
        typer.echo(json.dumps(account, ensure_ascii=False))
    else:
        for name, value in account.items():
            typer.echo(f"{name:24} {value}")
    if report.lost or report.doubled:
        raise typer.Exit(1)


def up(
    data: Annotated[Path, typer.Option(help="Folder of everything that is kept.")] = Path("var/utaa"),
    site: Annotated[str, typer.Option(help="This site's name.")] = "home",
    host: Annotated[
        str, typer.Option(help="Address the page listens on; 0.0.0.0 shows it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The page's port.")] = DEMO_PORT,
    broker_port: Annotated[int, typer.Option(help="The broker's port, for the detectors.")] = 1883,
    listen: Annotated[
        str, typer.Option(help="Address the broker listens on; 0.0.0.0 lets the network's devices in.")
    ] = "127.0.0.1",
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Protocol to listen to besides native, instead of zigbee2mqtt"
            " ('utaa edge sources'); may be given again."
        ),
    ] = None,
) -> None:
    """Broker, city and one site on this machine, for real detectors. Ctrl-C ends it, nothing is lost.

    Without a mail server in the settings, mails stay in a local mailbox with a page.
    """
    from utaa.up import Wish, run_up

    def say(line: str) -> None:
        typer.echo(f"utaa up: {line}", err=True)

    wish = Wish(
        folder=data, site=site, host=host, port=port, listen=listen, broker_port=broker_port,
        further_sources=source or (),
    )  # fmt: skip
    try:
        asyncio.run(_until_stopped(lambda stop: run_up(wish, say=say, stop=stop)))
    except Exception as error:
        line = _first_line(error)
        if line is None:
            raise
        typer.echo(f"utaa: {line}", err=True)
        raise typer.Exit(1) from None


def doctor(
    config: Annotated[
        Path | None,
        typer.Option(help="The settings' TOML file; 'utaa up' leaves one in its folder."),
    ] = None,
    gateway_data: Annotated[
        Path | None, typer.Option("--gateway-data", help="The gateway's data folder.")
    ] = None,
    edge_data: Annotated[
        list[Path] | None, typer.Option("--edge-data", help="An edge agent's data folder; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """How is everything: servers, sites, and the last messages nobody could use, with the reason.

    Looks only. Without options it takes the settings of the 'utaa up' of this folder.
    """
    from utaa.doctor import Problem, examine, show, usual_config

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # the report says it all
    if config is None and gateway_data is None and not edge_data:
        config = usual_config()
    try:
        report = asyncio.run(examine(config, gateway_data, edge_data or []))
    except Problem as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, default=str))
    else:
        show(report)
    if not report["well"]:
        raise typer.Exit(1)


def gallery(
    to: Annotated[Path, typer.Option(help="The file that is written.")] = Path("build/gallery.html"),
    language: Annotated[str, typer.Option(help="mn or en.")] = "mn",
) -> None:
    """One page with every list of the pages empty, loading, failed, forbidden, too long and old.

    For those who draw the pages and those who translate them; it opens without a server.
    """
    from edge.wire.clock import SystemClock
    from gateway.web.gallery import gallery as page
    from gateway.web.words import LANGUAGES

    if language not in LANGUAGES:
        typer.echo(f"utaa: --language {language}: expected {' or '.join(LANGUAGES)}", err=True)
        raise typer.Exit(2)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(page(language, SystemClock().now_us()), encoding="utf-8")
    typer.echo(to)


def _quiet() -> None:
    """Standard output is the account's; what the simulator logs below a warning is not news here."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _ending(seconds: float | None) -> str:
    return f"this ends by itself after {seconds:g} s" if seconds else "Ctrl-C ends it"


async def _until_stopped(run: Callable[[asyncio.Event], Awaitable[Report]]) -> Report:
    """Run with Ctrl-C, SIGTERM and a closed terminal as a wish to end, not as an accident."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants it to stay
            loop.add_signal_handler(number, stop.set)
    return await run(stop)


def _first_line(error: BaseException) -> str | None:
    """What to tell the user of an error that is theirs to mend; None: it is ours."""
    from firmware_sim.errors import SimulatorError
    from utaa.servers import ServerError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ServerError | SimulatorError | TimeoutError):
        return str(error)
    return None
