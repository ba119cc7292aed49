"""``utaa alerts …``: who was told what, and what would be told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import explain as story
from alerts.console import fail, with_database
from alerts.dryrun import PolicyError, dry_run, load_policy
from alerts.duty_cli import duty_app
from alerts.policy import Hazard, Policy
from alerts.settings import SettingsError, load_settings
from alerts.texts.compose import local_time
from edge.wire.clock import clock_from_text, rfc3339

T = TypeVar("T")
Config = Annotated[Path | None, typer.Option("--config", help="TOML file; also UTAA_CONFIG")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]

app = typer.Typer(no_args_is_help=True)
app.add_typer(duty_app, name="duty", help="Who is on duty for a khoroo or at the city's desk.")


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

    count, lines = with_database(config, read)
    if count != 1:
        reason = "no incident has" if count == 0 else "more than one incident has"
        fail(f"{reason} an id that begins with {incident!r}; see GET /api/v1/incidents")
    for line in lines:
        if as_json:
            _print_json({"at": rfc3339(line.at_us)} | line._asdict())
        else:
            detail = " ".join(f"{name}={value}" for name, value in line.detail.items())
            print(f"{_clock_time(line.at_us)}  {line.what:<15} {line.who:<12} {detail}".rstrip())


@app.command()
def dead(config: Config = None, as_json: AsJson = False) -> None:
    """List the deliveries that reached nobody and are not tried any more, the newest first."""
    letters = with_database(config, story.dead_letters)
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

    known = with_database(config, take, write=True)
    print("taken in" if known else "no report on a message of ours; nothing changed")


@app.command()
def reach(
    unit: Annotated[str, typer.Argument(help="a unit's code; without it, everywhere")] = "",
    khoroo: Annotated[str, typer.Option(help="the same, by name")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List households by how they can be reached, the worst first, with the reason."""
    from alerts import reachability

    now_us = clock_from_text(os.environ.get("UTAA_CLOCK")).now_us()

    async def read(session: AsyncSession) -> list[reachability.HouseholdReach]:
        return await reachability.of_households(session, now_us, unit_code=khoroo or unit)

    for home in with_database(config, read):
        if as_json:
            _print_json(home._asdict())
        else:
            print(f"{home.standing:<12} {home.label:<20} {home.unit_code or '-':<10} {home.reason}")


def _policy(config: Path | None) -> Policy:
    try:
        return load_policy(load_settings(config).policy_file)
    except (PolicyError, SettingsError) as error:
        fail(str(error), 2)


@app.command("dry-run")
def dry_run_command(
    hazard: Annotated[str, typer.Argument(help=" | ".join(get_args(Hazard)))] = "fire",
    policy: Annotated[Path | None, typer.Option(help="TOML file; without it, the one in use")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print who would be told when if such an incident opened now. Nothing is sent."""
    if hazard not in get_args(Hazard):
        fail(f"no hazard {hazard!r}; expected one of {', '.join(get_args(Hazard))}", 2)
    try:
        chosen = load_policy(policy or load_settings(config).policy_file)
    except (PolicyError, SettingsError) as error:
        fail(str(error), 2)
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


def _clock_time(time_us: int) -> str:
    """Local time to the second."""
    return f"{local_time(time_us)}:{time_us // 1_000_000 % 60:02d}"


def _print_json(fields: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
