"""``utaa alerts …``: who was told what, and what would be told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_args

import typer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import explain as story
from alerts.dryrun import PolicyError, dry_run, load_policy
from alerts.policy import Hazard, Policy
from alerts.settings import SettingsError, load_settings
from alerts.texts.compose import local_time
from edge.wire.clock import clock_from_text, rfc3339
from registry.db import Database, DatabaseUnavailable
from registry.settings import SettingsError as RegistrySettingsError
from registry.settings import load as load_registry_settings

T = TypeVar("T")
Config = Annotated[Path | None, typer.Option("--config", help="TOML file; also UTAA_CONFIG")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def alerts() -> None:
    """Who was told what: explain an incident, work on dead letters, try a policy."""


@app.command()
def explain(
    incident: Annotated[str, typer.Argument(help="its id, or the beginning of it")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print the whole story of one incident: who was told when, by what, with which proof, and why."""

    async def read(session: AsyncSession) -> tuple[int, list[story.Line]]:
        found = await story.find(session, incident)
        return len(found), await story.timeline(session, found[0].id) if len(found) == 1 else []

    count, lines = _with_database(config, read)
    if count != 1:
        reason = "no incident has" if count == 0 else "more than one incident has"
        _fail(f"{reason} an id that begins with {incident!r}; see GET /api/v1/incidents")
    for line in lines:
        if as_json:
            _print_json({"at": rfc3339(line.at_us)} | line._asdict())
        else:
            detail = " ".join(f"{name}={value}" for name, value in line.detail.items())
            print(f"{_clock_time(line.at_us)}  {line.what:<15} {line.who:<12} {detail}".rstrip())


@app.command()
def dead(config: Config = None, as_json: AsJson = False) -> None:
    """List the deliveries that reached nobody and are not tried any more, the newest first."""
    letters = _with_database(config, story.dead_letters)
    for letter in letters:
        if as_json:
            _print_json(letter._asdict())
        else:
            print(
                f"{_clock_time(letter.queued_us)}  {letter.hazard:<9} {letter.who:<10} "
                f"{letter.channel:<9} {letter.state:<8} {letter.reason:<18} "
                f"attempts={letter.attempts} incident={letter.incident_id}"
            )
    if not letters and not as_json:
        print("No dead letters.")


@app.command()
def bounce(config: Config = None) -> None:
    """Take in a mail that came back, from standard input; for the mail server's pipe."""
    from alerts import bounces

    mail = sys.stdin.buffer.read(bounces.MAX_BOUNCE_BYTES + 1)
    now_us = clock_from_text(os.environ.get("UTAA_CLOCK")).now_us()

    async def take(session: AsyncSession) -> bool:
        return await bounces.take_in(session, mail, now_us, policy=_policy(config))

    known = _with_database(config, take, write=True)
    print("taken in" if known else "no report on a message of ours; nothing changed")


@app.command()
def reach(
    unit: Annotated[str, typer.Argument(help="a unit's code; without it, everywhere")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List households by how they can be reached, the worst first, with the reason."""
    from alerts import reachability

    now_us = clock_from_text(os.environ.get("UTAA_CLOCK")).now_us()

    async def read(session: AsyncSession) -> list[reachability.HouseholdReach]:
        return await reachability.of_households(session, now_us, unit_code=unit)

    for home in _with_database(config, read):
        if as_json:
            _print_json(home._asdict())
        else:
            print(f"{home.standing:<12} {home.label:<20} {home.unit_code or '-':<10} {home.reason}")


def _policy(config: Path | None) -> Policy:
    try:
        return load_policy(load_settings(config).policy_file)
    except (PolicyError, SettingsError) as error:
        _fail(str(error), 2)


@app.command("dry-run")
def dry_run_command(
    hazard: Annotated[str, typer.Argument(help=" | ".join(get_args(Hazard)))] = "fire",
    policy: Annotated[Path | None, typer.Option(help="TOML file; without it, the one in use")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print who would be told when if such an incident opened now. Nothing is sent."""
    if hazard not in get_args(Hazard):
        _fail(f"no hazard {hazard!r}; expected one of {', '.join(get_args(Hazard))}", 2)
    try:
        chosen = load_policy(policy or load_settings(config).policy_file)
    except (PolicyError, SettingsError) as error:
        _fail(str(error), 2)
    for step in dry_run(chosen, hazard, clock_from_text(os.environ.get("UTAA_CLOCK")).now_us()):
        if as_json:
            _print_json(step._asdict())
        else:
            near = step.why.startswith("another")
            otherwise = f"{'another home burns' if near else 'on failure':<19}"
            when = _clock_time(step.at_us) if step.at_us is not None else otherwise
            also = "".join(f" +{who}" for who in step.also) + (" +CAP" if step.cap else "")
            print(
                f"{when}  rung {step.rung}  contacts={step.contacts}{also} channels={step.channels} "
                f"message={step.message} ({step.why})"
            )


def _with_database(
    config: Path | None, work: Callable[[AsyncSession], Awaitable[T]], *, write: bool = False
) -> T:
    async def run() -> T:
        database = Database(load_registry_settings(config).effective_database_url)
        file = database.engine.url.database
        if database.is_sqlite and file and not os.path.exists(file):  # noqa: ASYNC240, PTH110
            _fail(f"no database at {file}; start the gateway once, or name it with --config")
        try:
            await database.check()
            async with database.write() if write else database.read() as session:
                return await work(session)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except RegistrySettingsError as error:
        _fail(f"wrong setting: {error}", 2)
    except DatabaseUnavailable as error:
        _fail(str(error))
    except DBAPIError as error:
        first = str(error.orig).splitlines()[0]
        _fail(f"the database cannot be read: {first}; start the gateway once, it prepares it")


def _clock_time(time_us: int) -> str:
    """Local time to the second."""
    return f"{local_time(time_us)}:{time_us // 1_000_000 % 60:02d}"


def _print_json(fields: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")


def _fail(text: str, code: int = 1) -> NoReturn:
    typer.echo(f"utaa: {text}", err=True)
    raise typer.Exit(code)
