"""``utaa gateway …``: the city's process."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer

from alerts.dryrun import PolicyError
from alerts.settings import SettingsError as AlertSettingsError
from alerts.settings import load_settings as load_alert_settings
from edge.wire.clock import clock_from_text
from edge.wire.memory import keep_what_is_loaded
from gateway.settings import SettingsError, load_settings
from registry.accounts.breached import BreachListError
from registry.db import DatabaseUnavailable, SchemaError
from registry.sealed import KeyringError

app = typer.Typer(no_args_is_help=True)

#: A setting is wrong, as opposed to a server that is away.
_WRONG_SETTINGS, _FAILED = 2, 1
#: How long a thread goes on when another one wants to run. At the usual 5 ms a question that comes back
#: from the disk hundreds of times waits that often for the threads that unpack and store frames.
_SWITCH_S = 0.001


@app.callback()
def gateway() -> None:
    """In the city: take in readings and alarms, serve API and pages."""


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="TOML file; also UTAA_CONFIG")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="folder of everything kept here")] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0: any free one")] = None,
    database_url: Annotated[str | None, typer.Option(help="sqlite:///FILE or postgresql://…")] = None,
    broker_url: Annotated[str | None, typer.Option(help="mqtt://host:port")] = None,
    influx_url: Annotated[str | None, typer.Option(help="http://host:8086")] = None,
    influx_bucket: Annotated[str | None, typer.Option(help="bucket or database")] = None,
) -> None:
    """Take in, keep, show and tell, until Ctrl-C or SIGTERM."""
    try:
        settings = load_settings(
            config,
            data_dir=data_dir,
            host=host,
            port=port,
            database_url=database_url,
            broker_url=broker_url,
            influx_url=influx_url,
            influx_bucket=influx_bucket,
        )
        alert_settings = load_alert_settings(config)
    except (SettingsError, AlertSettingsError) as error:
        _fail(f"wrong setting: {error}", _WRONG_SETTINGS)
    try:
        clock_from_text(os.environ.get("UTAA_CLOCK"))
    except ValueError as error:
        _fail(f"environment: {error}", _WRONG_SETTINGS)
    from gateway.serve import PortTaken, Started  # seconds of imports: only with right settings
    from gateway.serve import serve as run

    def started(what: Started) -> None:
        keep_what_is_loaded()
        typer.echo(f"utaa gateway: {what.url}")
        if what.setup_code:
            typer.echo(
                f"utaa gateway: first start; set up at {what.url}setup with the code {what.setup_code}"
            )

    log_to_stderr()
    sys.setswitchinterval(_SWITCH_S)
    try:
        asyncio.run(run(settings, alert_settings, started=started))
    except PortTaken as error:
        _fail(f"cannot listen on {error}: stop the other program or choose another --port")
    except DatabaseUnavailable as error:
        _fail(f"database: {error}: start it, or correct database_url")
    except (SchemaError, AlertSettingsError, PolicyError, BreachListError) as error:
        _fail(str(error))
    except KeyringError as error:
        _fail(f"key file: {error}")
    except OSError as error:
        _fail(
            f"{error.filename or 'system'}: {error.strerror or error}: give a data_dir you may write to"
        )


@app.command("new-store-id")
def new_store_id(
    config: Annotated[Path | None, typer.Option(help="TOML file; also UTAA_CONFIG")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="folder of everything kept here")] = None,
    database_url: Annotated[str | None, typer.Option(help="sqlite:///FILE or postgresql://…")] = None,
) -> None:
    """After a restore from a backup, before the start: let the sites send again what they keep."""
    from gateway.restore import new_store_id as run

    try:
        settings = load_settings(config, data_dir=data_dir, database_url=database_url)
    except SettingsError as error:
        _fail(f"wrong setting: {error}", _WRONG_SETTINGS)
    try:
        store, restored = asyncio.run(run(settings))
    except DatabaseUnavailable as error:
        _fail(f"database: {error}: start it, or correct database_url")
    except SchemaError as error:
        _fail(str(error))
    typer.echo(
        f"store id {store}; {restored.withdrawn} messages of long ago withdrawn, "
        f"{restored.postponed} ladders wait for the sites"
    )


def log_to_stderr() -> None:
    """Log lines as events with fields, on stderr: the console belongs to what the user asked for."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _fail(text: str, code: int = _FAILED) -> NoReturn:
    typer.echo(f"utaa: {text}", err=True)
    raise typer.Exit(code)
