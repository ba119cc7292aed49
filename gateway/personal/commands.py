"""``utaa registry resident …`` and ``utaa registry retention``: personal data from a console."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.personal import service
from gateway.personal.paper import zip_of
from gateway.personal.rules import RULES
from gateway.personal.service import Erasure
from gateway.settings import SettingsError as GatewaySettingsError
from gateway.settings import load_settings
from registry.acts import Act
from registry.cli import AsJson, Config, Prepare, _desk, _run, fail
from registry.personal.periods import Periods
from registry.personal.redaction import ChainBroken
from registry.personal.retention import Forgetting, Outcome
from registry.personal.subject import Kind
from registry.rights import CONSOLE
from registry.sealed import load_keyring
from registry.sites import Conflict, NoSuch

_HOME = Annotated[str | None, typer.Option("--household", help="the home's id")]
_PERSON = Annotated[str | None, typer.Option("--contact", help="or one person's id")]
_WHY: Final = "why; it goes to the audit, so no names in it"


def add_commands(app: typer.Typer, prepare: Prepare) -> None:
    """Add them to ``utaa registry``."""
    residents = typer.Typer(help="What the city holds on a family.", no_args_is_help=True)
    app.add_typer(residents, name="resident")
    _add_export(residents, prepare)
    _add_erase(residents, prepare)
    _add_retention(app, prepare)


def _whom(household: str | None, contact: str | None) -> tuple[Kind, str]:
    if household and not contact:
        return "household", household
    if contact and not household:
        return "contact", contact
    raise ValueError("say whom: --household ID or --contact ID")


def _add_export(residents: typer.Typer, prepare: Prepare) -> None:
    @residents.command("export")
    def export(
        output: Annotated[Path, typer.Option("-o", "--output", help="a .zip or .json to write")],
        reason: Annotated[str, typer.Option(help=_WHY)],
        household: _HOME = None,
        contact: _PERSON = None,
        language: Annotated[str, typer.Option(help="mn or en, for the page in the .zip")] = "mn",
        config: Config = None,
    ) -> None:
        """Everything held on a home or a person, as one file for them."""

        async def work() -> None:
            kind, own_id = _whom(household, contact)
            if output.suffix not in (".zip", ".json"):
                raise ValueError(f"--output {output}: expected a .zip or a .json")
            async with _desk(config, prepare) as desk:
                keyring = await asyncio.to_thread(load_keyring, desk.settings.effective_key_file)
                act = Act(CONSOLE, desk.clock.now_us(), "console", reason)
                async with desk.database.write() as session:
                    held = await service.file_of(session, keyring, act, kind, own_id)
            text = json.dumps(held, ensure_ascii=False, indent=1).encode()
            content = text if output.suffix == ".json" else zip_of(held, language)
            await asyncio.to_thread(_write, output, content)
            typer.echo(f"{output}: {len(content)} bytes; give it to them and keep no copy")

        _told(work)


def _write(path: Path, content: bytes) -> None:
    """For its owner alone, and never over another file."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _add_erase(residents: typer.Typer, prepare: Prepare) -> None:
    @residents.command("erase")
    def erase(
        reason: Annotated[str, typer.Option(help=_WHY)],
        household: _HOME = None,
        contact: _PERSON = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="say what would go, take nothing")
        ] = False,
        yes: Annotated[str | None, typer.Option("--yes", help="the id again, not to be asked")] = None,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Take a home or a person out everywhere. It cannot be undone."""

        async def work() -> None:
            kind, own_id = _whom(household, contact)
            async with _desk(config, prepare) as desk:
                keyring = await asyncio.to_thread(load_keyring, desk.settings.effective_key_file)
                act = Act(CONSOLE, desk.clock.now_us(), "console", reason)
                would = await service.erase(desk.database, keyring, act, kind, own_id, dry_run=True)
                if not dry_run:
                    _confirm(would, yes)
                    would = await service.erase(desk.database, keyring, act, kind, own_id)
            typer.echo(json.dumps(asdict(would)) if as_json else _erased(would))

        _told(work)


def _confirm(would: Erasure, yes: str | None) -> None:
    """Raises ``ValueError`` unless the id was said once more."""
    if yes is None:
        typer.echo(_erased(would), err=True)
        yes = typer.prompt(f"This cannot be undone. Type {would.id} to erase", err=True)
    if yes != would.id:
        raise ValueError("what was typed is not the id: nothing was erased")


def _erased(it: Erasure) -> str:
    word = "would be erased" if it.dry_run else "erased"
    return (
        f"{it.kind} {it.id} {word}: {it.homes} homes, {it.people} people, {it.channels} channels,"
        f" {it.requests} requests, {it.incidents} incidents, {it.audit_entries} entries of the audit;"
        " backups made before still hold it"
    )


def _add_retention(app: typer.Typer, prepare: Prepare) -> None:
    @app.command("retention")
    def retention(
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="say what would go, take nothing")
        ] = False,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Let go of what is past its time, as the gateway does by itself; again goes on."""

        async def work() -> None:
            periods = _periods(config)
            async with _desk(config, prepare) as desk:
                keyring = await asyncio.to_thread(load_keyring, desk.settings.effective_key_file)
                forgetting = Forgetting(
                    desk.database, keyring, desk.clock, desk.settings.data_dir, periods,
                    actor=CONSOLE, origin="console",
                )  # fmt: skip
                done = [one async for one in forgetting.run(RULES, dry_run=dry_run)]
                done.append(await forgetting.files(dry_run=dry_run))
            if as_json:
                typer.echo(json.dumps([asdict(one) for one in done]))
            else:
                typer.echo("\n".join(_line(one) for one in done))
            if not dry_run and any(one.left for one in done):
                fail("something past its time is left: somebody wrote meanwhile; run it again")

        _told(work)


def _line(one: Outcome) -> str:
    word = "would go" if one.dry_run else "gone"
    left = "" if one.dry_run else f", {one.left} left"
    return f"{one.rule}\t{one.data_class}\t{one.days} days\t{one.gone} {word}{left}"


def _periods(config: Path | None) -> Periods:
    try:
        return load_settings(config).retention
    except GatewaySettingsError as error:
        raise ValueError(str(error)) from None


def _told(work: Any) -> None:
    async def told() -> None:
        try:
            await work()
        except (NoSuch, Conflict, ChainBroken) as error:
            raise ValueError(str(error)) from None

    _run(told())
