"""``utaa edge run``: one site's agent in the foreground."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import structlog
import typer

from edge.agent.agent import Agent, run_until_signalled
from edge.settings import EdgeSettings, SettingsError, load_settings
from edge.spool import DataFolder, FolderInUse, SpoolDamaged, SpoolFailed, SpoolFull
from edge.wire.clock import clock_from_text
from edge.wire.memory import keep_what_is_loaded

CLOCK_VARIABLE = "UTAA_CLOCK"


def run(
    site: Annotated[str | None, typer.Option(help="this site's name")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the spool")] = None,
    site_broker: Annotated[
        str | None, typer.Option(help="HOST[:PORT] of the broker where the detectors are")
    ] = None,
    city_broker: Annotated[str | None, typer.Option(help="HOST[:PORT] of the city's broker")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME=FILE.toml: protocol to listen to; may be given again"),
    ] = None,
    quota_mb: Annotated[int | None, typer.Option(help="the spool's room on disk, MB")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with a table [edge]")] = None,
) -> None:
    """Run this site's agent until it is told to stop (SIGTERM or Ctrl-C)."""
    try:
        settings = load_settings(
            config,
            site=site,
            data_dir=data,
            site_broker=_broker(site_broker, "--site-broker"),
            city_broker=_broker(city_broker, "--city-broker"),
            sources=[_source(text) for text in source] if source else None,
            quota_mb=quota_mb,
        )
        clock = clock_from_text(os.environ.get(CLOCK_VARIABLE))
    except (SettingsError, ValueError) as error:
        nameless = "site: Field required" in str(error)
        fail(
            "this site has no name: give --site NAME, or site in [edge]" if nameless else str(error), 2
        )
    log_to_stderr(settings.log_level)
    serve(settings, clock)


def serve(settings: EdgeSettings, clock: Any) -> None:
    """Hold the data folder and run the agent in it; every expected failure is one line."""
    folder = DataFolder(settings.data_dir)
    try:
        folder.acquire()
    except FolderInUse:
        fail(f"the data folder {folder.path} is in use by another agent: stop it first", 3)
    except OSError as error:
        fail(f"the data folder {folder.path}: {error.strerror}: make it writable or give --data", 3)
    try:
        agent = Agent(settings, folder, clock)
    except ValueError as error:
        fail(f"sources: {error}", 2)
    except (OSError, sqlite3.Error) as error:
        fail(f"cannot start in {folder.path}: {error}", 3)
    keep_what_is_loaded()
    try:
        run_until_signalled(agent)
    except Exception as error:
        said = [explained(one) for one in _leaves(error)]
        if None in said:
            raise  # a bug, and where it is
        fail(said[0] or "", 4)
    finally:
        folder.release()


def _source(text: str) -> dict[str, Any]:
    """NAME, or NAME=FILE with the source's options."""
    name, equals, file = text.partition("=")
    return {"name": name, "options_file": file} if equals else {"name": name}


def explained(error: BaseException) -> str | None:
    """What is to be said of a disk's failure; None if it is none."""
    match error:
        case SpoolDamaged():
            return f"the spool is damaged ({error}): start again to set it aside"
        case SpoolFull():
            return f"the disk is full ({error}): free some room"
        case SpoolFailed() | sqlite3.OperationalError() | OSError():
            return f"the spool cannot be used ({error}): look after the disk and the folder's rights"
    return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a tree of groups."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for one in error.exceptions:
        yield from _leaves(one)


def _broker(text: str | None, option: str) -> dict[str, Any] | None:
    """HOST, HOST:PORT or [HOST]:PORT; the rest comes from file or environment."""
    if text is None:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "1883"
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SettingsError(f"{option} is {text!r}; expected HOST or HOST:PORT")
    return {"host": host.strip("[]"), "port": int(port)}


def log_to_stderr(level: str) -> None:
    """One JSON object a line."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _as_json(line: Any, default: Callable[[Any], Any]) -> str:
    """A fire is a line, and in a storm there are hundreds a second."""
    return msgspec.json.encode(line, enc_hook=default).decode()


def fail(message: str, code: int) -> NoReturn:
    """One line to stderr and out."""
    print(f"utaa: {message}", file=sys.stderr)
    raise SystemExit(code)
