"""``utaa registry …``: the register from a console.

``build_app(prepare)`` makes the commands; ``prepare`` brings a database's tables up to date and comes
from a room above (this one knows no migrations). Without it the tables must be there already.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, cast, get_args

import typer
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from edge.wire.clock import clock_from_text, rfc3339
from registry import audit
from registry.boundary_commands import add_boundaries
from registry.db import Database, DatabaseUnavailable
from registry.exchange import ImportResult, import_register
from registry.fibre.console import add_commands as add_fibre
from registry.identity import BadLogin, Identity, id_of_token, token_id
from registry.labels.command import add_labels
from registry.models import ApiToken, Detector, DetectorModel, Household, Person, RoleGrant, Site
from registry.passwords import WeakPassword
from registry.proposals import Choice, accept_heard
from registry.register_file import RegisterRefused
from registry.resealing import reseal
from registry.rights import CONSOLE, GRANTABLE
from registry.sealed import KeyringError, add_key, ensure_keyring, load_keyring
from registry.settings import RegistrySettings, SettingsError, load
from registry.sites import NoSuch
from registry.syslog import SyslogServer, Transport, export

Prepare = Callable[[Database], Awaitable[None]]
Config = Annotated[Path | None, typer.Option("--config", help="one TOML file with all settings")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
_ROLES_HELP: Final = f"one of {', '.join(GRANTABLE)}; repeatable"
#: Rows printed by ``list``; a bigger register is for the API.
_MAX_ROWS: Final = 10_000
_EXPECTED: Final = (
    SettingsError, DatabaseUnavailable, KeyringError, BadLogin, WeakPassword, ValueError, OSError,
)  # fmt: skip


def fail(text: str, code: int = 1) -> NoReturn:
    """One line on stderr, and out."""
    typer.echo(f"utaa: {text}", err=True)
    raise typer.Exit(code)


class _Desk:
    """What every command needs: settings, the prepared database, the keys, the clock."""

    def __init__(self, settings: RegistrySettings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock_from_text(os.environ.get("UTAA_CLOCK"))

    @property
    def identity(self) -> Identity:
        return Identity(self.database, self.clock)


@asynccontextmanager
async def _desk(
    config: Path | None, prepare: Prepare | None, *, create: bool = False
) -> AsyncIterator[_Desk]:
    settings = load(config)
    if not create:
        _need_city(settings)
    if settings.database_url is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.effective_database_url)
    try:
        await database.check()
        if prepare is not None:
            await prepare(database)
        yield _Desk(settings, database)
    except IntegrityError:
        raise DatabaseUnavailable(
            f"{database}: somebody changed the register meanwhile; nothing was taken, run it again"
        ) from None
    except DBAPIError as error:
        first = str(error.orig).splitlines()[0]
        raise DatabaseUnavailable(
            f"{database}: {first}; start the gateway once, it prepares it"
        ) from None
    finally:
        await database.close()


def _need_city(settings: RegistrySettings) -> None:
    """Raises ``DatabaseUnavailable`` rather than begin a new, empty city in a wrong place."""
    url = make_url(settings.effective_database_url)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return
    if not Path(str(url.database)).exists():
        raise DatabaseUnavailable(
            f"there is no city in {url.database}: name its settings with --config"
            " ('utaa up' prints where), or begin a new one with 'registry import … --create'"
        )


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except RegisterRefused as refused:
        for problem in refused.problems:
            typer.echo(str(problem), err=True)
        fail(f"{len(refused.problems)} problems: nothing was taken; correct them and import again")
    except SettingsError as error:
        fail(str(error), 2)
    except _EXPECTED as error:
        fail(str(error))


def build_app(prepare: Prepare | None = None) -> typer.Typer:
    """The commands. ``prepare`` is run on the database before each."""
    app = typer.Typer(
        help="What and who exists: sites, homes, detectors, people.", no_args_is_help=True
    )
    _add_import(app, prepare)
    _add_verify(app, prepare)
    _add_key(app, prepare)
    _add_audit(app, prepare)
    _add_token(app, prepare)
    _add_person(app, prepare)
    _add_list(app, prepare)
    _add_accept(app, prepare)
    add_boundaries(app, lambda config: _desk(config, prepare), _run)
    add_fibre(app, lambda config: _desk(config, prepare), _run)
    from registry.exchange_cli import add_commands  # it imports this module

    add_commands(app, prepare)
    add_labels(app, _desk, _run, prepare)
    return app


def _add_import(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("import")
    def import_file(
        file: Annotated[
            Path, typer.Argument(help="a register (.toml, .csv), or a table of one --kind")
        ],
        kind: Annotated[
            str | None,
            typer.Option(help="cameras, camera-models, organisations, households, detectors"),
        ] = None,
        rows: Annotated[bool, typer.Option("--rows", help="take the rows that hold")] = False,
        mapping: Annotated[
            list[str] | None, typer.Option("--map", help="HEADING=FIELD; repeatable; with --kind")
        ] = None,
        repairs: Annotated[
            list[str] | None, typer.Option("--repair", help="D17=VALUE; repeatable; with --kind")
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="check and count, take nothing")
        ] = False,
        create: Annotated[
            bool, typer.Option("--create", help="begin a new city where there is none")
        ] = False,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Take a register from a file: all of it or nothing; again changes nothing."""

        async def work() -> None:
            async with _desk(config, prepare, create=create) as desk:
                if kind is not None:
                    from registry.exchange_cli import import_table  # it imports this module

                    await import_table(
                        desk, file, kind, dry_run=dry_run, rows=rows, mapping=mapping or [],
                        repairs=repairs or [], as_json=as_json,
                    )  # fmt: skip
                    return
                if file.suffix.lower() not in (".toml", ".csv"):
                    raise ValueError(f"{file.name}: say what its rows are, such as --kind cameras")
                keyring = await asyncio.to_thread(ensure_keyring, desk.settings.effective_key_file)
                now_us = desk.clock.now_us()
                result = await import_register(
                    desk.database, keyring, file, now_us=now_us, dry_run=dry_run
                )
                url = make_url(desk.settings.effective_database_url)
                where = url.render_as_string(hide_password=True)
            if as_json:
                typer.echo(json.dumps({**asdict(result), "database": where}))
            else:
                typer.echo(_told(result, where))

        _run(work())


def _told(result: ImportResult, where: str) -> str:
    lines = [f"{result.file}: {'would be taken' if result.dry_run else 'taken'} into {where}"]
    for kind in ("sites", "models", "households", "detectors"):
        counts = getattr(result, kind)
        lines.append(
            f"  {kind}: {counts.created} new, {counts.changed} changed, {counts.unchanged} as they were"
        )
    return "\n".join(lines)


def _add_verify(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command()
    def verify(
        head: Annotated[
            str | None, typer.Option(help="a hash noted before: must still be there")
        ] = None,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Check the audit's chain of hashes."""

        async def work() -> None:
            async with _desk(config, prepare) as desk, desk.database.read() as session:
                verdict = await audit.verify(session, head=head)
            if as_json:
                typer.echo(json.dumps({"ok": verdict.ok, **asdict(verdict)}))
            elif verdict.ok:
                typer.echo(f"{verdict.entries} entries hold; head {verdict.head}")
            if not verdict.ok:
                place = f"entry {verdict.broken_at}" if verdict.broken_at else "the end"
                fail(f"the audit is broken at {place}: {verdict.reason}; keep the database as it is")

        _run(work())


def _add_key(app: typer.Typer, prepare: Prepare | None) -> None:
    keys = typer.Typer(help="Keys of the encrypted columns.", no_args_is_help=True)
    app.add_typer(keys, name="key")

    @keys.command("rotate")
    def key_rotate(
        resume: Annotated[
            bool, typer.Option("--resume", help="no new key: go on with what was interrupted")
        ] = False,
        config: Config = None,
    ) -> None:
        """A new key, and everything sealed by older ones sealed again; while the city runs."""

        async def work() -> None:
            async with _desk(config, prepare) as desk:
                path = desk.settings.effective_key_file
                keyring = await asyncio.to_thread(load_keyring if resume else add_key, path)
                unreadable = 0
                async for each in reseal(desk.database, keyring, desk.clock):
                    unreadable += each.unreadable
                    typer.echo(f"{each.column}\t{each.resealed}\t{each.unreadable} unreadable")
            if unreadable:
                fail(f"{unreadable} values do not open with any key of the ring; they were left")

        _run(work())

    @keys.command("new")
    def key_new(
        file: Annotated[Path | None, typer.Option(help="where; unset: the settings' key file")] = None,
        config: Config = None,
    ) -> None:
        """Make a key ring, readable by its owner alone, where there is none."""

        async def work() -> None:
            path = file or load(config).effective_key_file
            if path.exists():
                load_keyring(path)
                fail(f"{path} is a key ring already: move it away first, and keep it")
            ensure_keyring(path)
            typer.echo(f"{path}: made; keep a copy apart from the database, it opens what is sealed")

        _run(work())


def _add_audit(app: typer.Typer, prepare: Prepare | None) -> None:
    audits = typer.Typer(help="Who did what.", no_args_is_help=True)
    app.add_typer(audits, name="audit")

    @audits.callback()
    def about() -> None:
        """Who did what."""

    @audits.command("export")
    def audit_export(
        server: Annotated[str, typer.Option("--syslog", help="host or host:port")],
        transport: Annotated[str, typer.Option(help="tls, tcp or udp")] = "tls",
        config: Config = None,
    ) -> None:
        """Send what was not sent yet to a syslog server (RFC 5424); run it from a timer."""
        if transport not in get_args(Transport):
            fail(f"--transport {transport!r}: expected one of {', '.join(get_args(Transport))}")

        async def work() -> None:
            wanted = SyslogServer.parse(server, cast(Transport, transport))
            async with _desk(config, prepare) as desk:
                typer.echo(f"{await export(desk.database, wanted)} entries sent")

        _run(work())


def _add_token(app: typer.Typer, prepare: Prepare | None) -> None:
    tokens = typer.Typer(help="API tokens for machines.", no_args_is_help=True)
    app.add_typer(tokens, name="token")

    @tokens.command("new")
    def token_new(
        name: Annotated[str, typer.Argument(help="what it is for")],
        role: Annotated[list[str], typer.Option(help=_ROLES_HELP)],
        days: Annotated[int, typer.Option(help="how long it lives")] = 90,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Make a token and print it, this once; its id and its end go to stderr."""

        async def work() -> None:
            async with _desk(config, prepare) as desk:
                token = await desk.identity.new_token(name, role, days, by=CONSOLE, origin="console")
                ids = {row["id"]: row for row in await _rows(desk.database, "tokens")}
            made = ids[id_of_token(token)]
            told = {"name": name, "token": token, "id": made["id"], "expires_at": made["expires_at"]}
            typer.echo(json.dumps(told) if as_json else token)
            if not as_json:
                typer.echo(
                    f"utaa: token {told['id']} ends {told['expires_at']}; it is not shown again;"
                    f" 'utaa registry token revoke {told['id']}' ends it before",
                    err=True,
                )

        _run(work())

    @tokens.command("revoke")
    def token_revoke(
        token_ids: Annotated[
            list[str], typer.Argument(metavar="ID…", help="as 'utaa registry list tokens' shows them")
        ],
        config: Config = None,
    ) -> None:
        """End tokens at once."""

        async def work() -> None:
            async with _desk(config, prepare) as desk:
                for short_id in token_ids:
                    if not await desk.identity.revoke_token(short_id, by=CONSOLE, origin="console"):
                        raise ValueError(f"there is no token {short_id!r}: 'utaa registry list tokens'")
                    typer.echo(f"{short_id}: revoked")

        _run(work())


def _add_person(app: typer.Typer, prepare: Prepare | None) -> None:
    people = typer.Typer(help="People who sign in.", no_args_is_help=True)
    app.add_typer(people, name="person")

    @people.command("new")
    def person_new(
        login: Annotated[str, typer.Argument(help="office name, such as bat.office")],
        role: Annotated[list[str], typer.Option(help=_ROLES_HELP)],
        password_stdin: Annotated[bool, typer.Option(help="read the password from stdin")] = False,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Enter a person; the password is asked for, never given on the command line."""
        if password_stdin:
            password = sys.stdin.readline().rstrip("\n")
        else:
            password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)

        async def work() -> None:
            async with _desk(config, prepare) as desk:
                made = await desk.identity.new_person(
                    login, password, role, by=CONSOLE, origin="console"
                )
            typer.echo(json.dumps({"id": made, "login": login}) if as_json else f"{login}: entered")

        _run(work())


def _add_accept(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command()
    def accept(
        site: Annotated[str, typer.Option(help="the site that heard them")],
        ids: Annotated[list[str] | None, typer.Argument(help="ids of detectors")] = None,
        everything: Annotated[bool, typer.Option("--all", help="all it heard")] = False,
        source: Annotated[str | None, typer.Option(help="only those of this source")] = None,
        household: Annotated[str | None, typer.Option(help="into the home with this label")] = None,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Put heard detectors into service, with the profile that their protocol proposes."""

        async def work() -> None:
            choice = Choice(ids=ids or (), source=source, everything=everything)
            async with _desk(config, prepare) as desk:
                rows = await _accept(desk, site, choice, household)
            if as_json:
                typer.echo(json.dumps(rows, ensure_ascii=False))
                return
            for row in rows:
                typer.echo("\t".join("" if cell is None else str(cell) for cell in row.values()))
            typer.echo(f"{len(rows)} in service", err=True)

        _run(work())


async def _accept(
    desk: _Desk, site: str, choice: Choice, household: str | None
) -> list[dict[str, Any]]:
    now_us = desk.clock.now_us()
    async with desk.database.write() as session:
        home = None
        if household is not None:
            home = await session.scalar(select(Household.id).where(Household.label == household))
            if home is None:
                raise ValueError(f"there is no home {household!r}")
        try:
            detectors = await accept_heard(session, site, choice, household_id=home, now_us=now_us)
        except NoSuch as error:
            raise ValueError(f"{error} at this site") from None
        for detector in detectors:
            after = {name: getattr(detector, name) for name in ("status", "household_id", "model_id")}
            await audit.append(
                session, actor=CONSOLE, origin="console", action="detector.register",
                object_kind="detector", object_id=detector.id, now_us=now_us, after=after,
            )  # fmt: skip
        columns = ("id", "source", "address", "maker", "model_name", "model_id")
        return [{name: getattr(row, name) for name in columns} for row in detectors]


_LISTS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "sites": (Site, ("id", "title", "unit_code", "config_version")),
    "models": (DetectorModel, ("id", "maker", "name", "deadline_s")),
    "households": (Household, ("id", "label", "site_id", "unit_code")),
    "detectors": (Detector, ("id", "site_id", "source", "address", "status", "household_id", "place")),
}


def _add_list(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("list")
    def list_rows(
        what: Annotated[
            str, typer.Argument(help="sites, models, households, detectors, people, tokens")
        ],
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Print what is registered; nothing personal."""

        async def work() -> None:
            async with _desk(config, prepare) as desk:
                rows = await _rows(desk.database, what)
            if as_json:
                typer.echo(json.dumps(rows, ensure_ascii=False))
                return
            for row in rows:
                typer.echo("\t".join("" if cell is None else str(cell) for cell in row.values()))

        _run(work())


async def _rows(database: Database, what: str) -> list[dict[str, Any]]:
    async with database.read() as session:
        if what in _LISTS:
            table, columns = _LISTS[what]
            found = await session.scalars(select(table).order_by(table.id).limit(_MAX_ROWS))
            return [{name: getattr(row, name) for name in columns} for row in found]
        if what == "people":
            found = await session.scalars(select(Person).order_by(Person.login).limit(_MAX_ROWS))
            grants = await session.execute(select(RoleGrant.person_id, RoleGrant.role))
            pairs = [(person_id, role) for person_id, role in grants]
            return [
                {"id": row.id, "login": row.login, "active": row.active,
                 "roles": sorted(role for owner, role in pairs if owner == row.id)}
                for row in found
            ]  # fmt: skip
        if what == "tokens":
            found = await session.scalars(select(ApiToken).order_by(func.lower(ApiToken.name)))
            return [
                {"id": token_id(row.token_hash), "name": row.name, "roles": row.roles,
                 "expires_at": rfc3339(row.expires_us), "revoked": row.revoked_us is not None}
                for row in found
            ]  # fmt: skip
    kinds = ", ".join((*_LISTS, "people", "tokens"))
    raise ValueError(f"cannot list {what!r}: expected one of {kinds}")


app = build_app()
