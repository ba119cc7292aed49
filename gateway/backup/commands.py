"""``utaa backup …``: keep the city, look into a backup, bring the city back."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
from pyrage import x25519

from gateway.backup.archive import ArchiveError, identity_of, recipient_of
from gateway.backup.journey import Manifest, RestoreError, bring_back, inspect, take
from gateway.settings import GatewaySettings, SettingsError, load_settings
from registry.db import DatabaseUnavailable, SchemaError

app = typer.Typer(
    no_args_is_help=True,
    help="Backups of the city, taken while it runs. Begin with 'utaa backup key KEYFILE'; put the file "
    "in a safe and the public key it prints into 'utaa backup take --to age1… FILE'.",
)
Config = Annotated[Path | None, typer.Option(help="TOML file; also UTAA_CONFIG")]
DataDir = Annotated[Path | None, typer.Option(help="the city's folder")]
DatabaseUrl = Annotated[str | None, typer.Option(help="sqlite:///FILE or postgresql://…")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
_EXPECTED: Final = (
    ArchiveError, RestoreError, SchemaError, SettingsError, DatabaseUnavailable, OSError,
)  # fmt: skip
Result = TypeVar("Result")


@app.command()
def key(file: Annotated[Path, typer.Argument(help="where the private key goes")]) -> None:
    """Make a pair of keys. Without the private one no backup can ever be read again."""
    if file.exists():
        _fail(f"{file} exists; choose another name")
    pair = x25519.Identity.generate()
    file.touch(mode=0o600)
    file.write_text(f"# public key: {pair.to_public()}\n{pair}\n", encoding="ascii")
    typer.echo(str(pair.to_public()))
    typer.echo(f"the private key is in {file}: keep it away from this machine, twice", err=True)


@app.command("take")
def take_(
    into: Annotated[Path, typer.Argument(help="the new backup")],
    to: Annotated[str, typer.Option(help="the public key (age1…)", envvar="UTAA_BACKUP_KEY")],
    config: Config = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    readings: Annotated[bool, typer.Option(help="also the embedded reading store's files")] = True,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="also the key ring of the sealed columns")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Keep the city as it is at this instant. The gateway goes on meanwhile.

    Readings in InfluxDB are not taken: back them up with its own tools. Without --with-keys you need
    the key ring itself to read sealed fields after a restore.
    """
    settings = _settings(config, data_dir, database_url)
    made = _run(
        take(
            settings,
            into,
            _try(recipient_of, to),
            with_readings=readings,
            with_keys=with_keys,
            say=_say,
        )
    )
    _report(made, as_json, f"kept in {into} ({into.stat().st_size / 1e6:.1f} MB)")


@app.command()
def show(
    source: Annotated[Path, typer.Argument(help="the backup")],
    identity: Annotated[Path, typer.Option(help="file of the private key")],
    as_json: AsJson = False,
) -> None:
    """Read a backup to its end and say what it holds."""
    _report(_run(inspect(source, _try(identity_of, identity))), as_json, f"{source} is whole")


@app.command()
def verify(
    source: Annotated[Path, typer.Argument(help="the backup")],
    identity: Annotated[Path, typer.Option(help="file of the private key")],
    as_json: AsJson = False,
) -> None:
    """Restore it into a passing database, count every table, walk the audit chain, throw it away."""
    with tempfile.TemporaryDirectory(prefix="utaa-verify-") as folder:
        settings = load_settings(None, data_dir=Path(folder))
        manifest, _ = _run(bring_back(settings, source, _try(identity_of, identity), say=_say))
    _report(manifest, as_json, f"{source} brings the whole city back")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="the backup")],
    identity: Annotated[Path, typer.Option(help="file of the private key")],
    config: Config = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Bring the city back into an empty database of either kind. The gateway must not run.

    It gets a new store id: every site then sends what it kept of its last week, and nothing is told
    to people twice. A database that holds anything is refused and left as it is.
    """
    settings = _settings(config, data_dir, database_url)
    manifest, store = _run(bring_back(settings, source, _try(identity_of, identity), say=_say))
    _report(manifest, as_json, f"the city is back; its store is now {store}. Start the gateway.")


def _settings(config: Path | None, data_dir: Path | None, database_url: str | None) -> GatewaySettings:
    try:
        return load_settings(config, data_dir=data_dir, database_url=database_url)
    except SettingsError as error:
        _fail(f"wrong setting: {error}")


def _try(what: Any, *arguments: Any) -> Any:
    try:
        return what(*arguments)
    except ArchiveError as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except _EXPECTED as error:
        _fail(str(error))


def _report(manifest: Manifest, as_json: bool, line: str) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(manifest)))
        return
    rows = sum(manifest.rows.values())
    filled = sum(1 for count in manifest.rows.values() if count)
    keys = "with" if manifest.keys else "without"
    typer.echo(f"made {manifest.made}: {rows} rows in {filled} tables, {manifest.files} files,")
    typer.echo(f"{len(manifest.readings)} days of readings, {keys} the key ring")
    typer.echo(line)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _fail(text: str) -> NoReturn:
    typer.echo(f"utaa: {text}", err=True)
    raise typer.Exit(1)
