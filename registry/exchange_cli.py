"""``utaa registry export|search|duplicates|undo|demo-city|reindex``; imports of tables and layers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import select

from edge.wire.clock import rfc3339
from registry import cli
from registry.acts import Act
from registry.db import Database
from registry.demo_city import enter_demo_city
from registry.duplicates.worklist import KINDS as PAIRED
from registry.duplicates.worklist import pairs
from registry.exporting.service import FORMATS, Question, export, exportable
from registry.importing.kinds import KINDS
from registry.importing.models import RegisterImport
from registry.importing.plan import Plan
from registry.importing.plan import Progress as Tell
from registry.importing.readers import read_path
from registry.importing.service import ImportRefused, get_import, import_bytes
from registry.importing.undo import undo
from registry.rights import CONSOLE, Reach
from registry.sealed import ensure_keyring
from registry.search.find import search
from registry.search.lists import filtered
from registry.search.reindex import reindex
from registry.search.suggest import about_nothing
from registry.sites import Conflict, NoSuch

Prepare = Callable[[Database], Awaitable[None]]
_KINDS_HELP: Final = f"what the rows are: {', '.join(KINDS)}"
#: Mistakes printed; the rest are counted.
_PRINTED: Final = 200
_STEPS: Final = {"read": "reading", "check": "checking", "write": "writing"}
_EVERYWHERE: Final = Reach(everywhere=True)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Tell]:
    """A bar on stderr for people; nothing for a program."""
    if quiet or not sys.stderr.isatty():
        yield lambda _step, _done, _of: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")

        def tell(step: str, done: int, of: int) -> None:
            bar.update(task, description=_STEPS.get(step, step), completed=done, total=of or None)

        yield tell


async def import_table(
    desk: Any, file: Path, kind: str, *, dry_run: bool, rows: bool, mapping: list[str],
    repairs: list[str], as_json: bool,
) -> None:  # fmt: skip
    """An XLSX, CSV, GeoJSON or KML file of one kind; mistakes as ``D17 (MAC): …``, exit code 1."""
    keyring = await asyncio.to_thread(ensure_keyring, desk.settings.effective_key_file)
    sheet, content = await asyncio.to_thread(read_path, file)
    act = Act(CONSOLE, desk.clock.now_us(), "console")
    try:
        with progress_bar(as_json) as tell:
            plan, import_id = await import_bytes(
                desk.database, keyring, act, kind, file.name, content, sheet,
                mode="rows" if rows else "all", dry=dry_run, progress=tell,
                mapping={key: value or None for key, value in _pairs(mapping, "--map").items()},
                repairs=_pairs(repairs, "--repair"),
            )  # fmt: skip
    except ImportRefused as refused:
        _tell(refused.plan, None, dry_run, as_json)
        cli.fail(
            f"{refused.plan.parsed.errors} problems: nothing was taken; correct them and import again"
        )
    _tell(plan, import_id, dry_run, as_json)
    if dry_run and not plan.holds:
        cli.fail(f"{plan.parsed.errors} problems: as it is, nothing would be taken")


def _pairs(given: list[str], option: str) -> dict[str, str]:
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{option} {text!r}: expected NAME=VALUE")
        found[key] = value
    return found


def _tell(plan: Plan, import_id: str | None, dry_run: bool, as_json: bool) -> None:
    problems = plan.parsed.problems
    if as_json:
        told = [
            {"row": one.row, "column": one.column, "heading": one.heading, "code": one.code,
             "severity": one.severity, "message": one.message("en"), "message_mn": one.message("mn"),
             "value": one.value, "repair": one.repair}
            for one in problems
        ]  # fmt: skip
        result = {
            "import": import_id, "kind": plan.kind.name, "dry_run": dry_run, "holds": plan.holds,
            "counts": plan.counts, "mapping": plan.parsed.mapping, "problems": told,
            "more_problems": plan.parsed.more_problems,
        }  # fmt: skip
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    for one in problems[:_PRINTED]:
        mark = "" if one.severity == "error" else f"{one.severity}: "
        typer.echo(f"{mark}{one}", err=True)
    if (more := len(problems) - _PRINTED + plan.parsed.more_problems) > 0:
        typer.echo(f"… and {more} more", err=True)
    words = {"create": "new", "change": "changed", "revive": "taken up again",
             "unchanged": "as they were", "refuse": "refused"}  # fmt: skip
    typer.echo(f"{plan.kind.name}: " + ", ".join(f"{n} {words[k]}" for k, n in plan.counts.items()))
    if import_id is not None:
        typer.echo(f"import {import_id}; 'utaa registry undo {import_id}' takes it back")


def add_commands(app: typer.Typer, prepare: Prepare | None) -> None:
    """The commands of this module."""
    _add_export(app, prepare)
    _add_search(app, prepare)
    _add_duplicates(app, prepare)
    _add_undo(app, prepare)
    _add_demo_city(app, prepare)
    _add_reindex(app, prepare)


def _add_export(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("export")
    def export_file(
        kind: Annotated[str, typer.Argument(help=f"one of {', '.join(exportable())}")],
        file: Annotated[Path, typer.Argument(help=f"where; its ending says how: {', '.join(FORMATS)}")],
        language: Annotated[str, typer.Option(help="of the headings: mn or en")] = "mn",
        filters: Annotated[
            list[str] | None, typer.Option("--filter", help="NAME=VALUE as in its list; repeatable")
        ] = None,
        as_json: cli.AsJson = False,
        config: cli.Config = None,
    ) -> None:
        """Write records into a file: nothing personal, nothing secret."""

        async def work() -> None:
            ending: Any = file.suffix.lower().removeprefix(".").replace("json", "geojson").replace(
                "geogeojson", "geojson")  # fmt: skip
            if ending not in FORMATS:
                raise ValueError(f"{file.name}: expected a name that ends in {', '.join(FORMATS)}")
            async with cli._desk(config, prepare) as desk, desk.database.read() as session:
                chosen = await filtered(session, kind, _pairs(filters or [], "--filter"))
                size = await _write(file, export(session, Question(kind, ending, language, chosen)))
            typer.echo(json.dumps({"file": str(file), "bytes": size}) if as_json
                       else f"{file}: {size} bytes")  # fmt: skip

        cli._run(work())


async def _write(file: Path, pieces: AsyncIterator[bytes]) -> int:
    """Beside the file first, so that what was there stays until the new one is whole."""
    beside = file.with_name(file.name + ".part")
    size = 0
    with beside.open("wb") as opened:  # one command, one file
        async for piece in pieces:
            size += opened.write(piece)
    beside.replace(file)
    return size


def _add_search(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("search")
    def search_words(
        words: Annotated[list[str], typer.Argument(help="in any spelling")],
        kind: Annotated[list[str] | None, typer.Option(help="only these kinds; repeatable")] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="of each kind")] = 20,
        as_json: cli.AsJson = False,
        config: cli.Config = None,
    ) -> None:
        """Find records; nothing personal is searched or shown."""

        async def work() -> None:
            async with cli._desk(config, prepare) as desk, desk.database.read() as session:
                text = " ".join(words)
                hits = await search(session, CONSOLE, text, kinds=kind or (), limit=limit)
                nothing = None if hits else await about_nothing(session, CONSOLE, text, kind or ())
            if as_json:
                typer.echo(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False))
            for hit in () if as_json else hits:
                typer.echo(f"{hit.kind}\t{hit.id}\t{hit.title}\t{hit.detail}")
            if nothing is not None:
                typer.echo(nothing.text(), err=True)

        cli._run(work())


def _add_duplicates(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("duplicates")
    def list_duplicates(
        kind: Annotated[str, typer.Option(help=f"one of {', '.join(PAIRED)}")] = "camera",
        limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
        as_json: cli.AsJson = False,
        config: cli.Config = None,
    ) -> None:
        """Pairs of records that are perhaps one, and that nobody has decided about."""

        async def work() -> None:
            async with cli._desk(config, prepare) as desk, desk.database.read() as session:
                found = await pairs(session, kind, _EVERYWHERE, limit=limit)
            if as_json:
                typer.echo(json.dumps([asdict(pair) for pair in found], ensure_ascii=False))
                return
            for pair in found:
                typer.echo(
                    f"{pair.why}\t{pair.first}\t{pair.second}\t{pair.first_id}\t{pair.second_id}"
                )
            typer.echo(f"{len(found)} pairs", err=True)

        cli._run(work())


def _add_undo(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("undo")
    def undo_import(
        import_id: Annotated[str | None, typer.Argument(help="unset: list the imports")] = None,
        confirm: Annotated[
            bool, typer.Option("--confirm", help="go on where some records must stay as they are")
        ] = False,
        reason: Annotated[str, typer.Option(help="why; it goes to the audit")] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would happen")] = False,
        as_json: cli.AsJson = False,
        config: cli.Config = None,
    ) -> None:
        """Take an import back; what somebody changed since is named and left alone."""

        async def work() -> None:
            async with cli._desk(config, prepare) as desk:
                if import_id is None:
                    await _list_imports(desk.database, as_json)
                else:
                    act = Act(
                        CONSOLE, desk.clock.now_us(), "console", reason or "undone at the console"
                    )
                    await _undo(desk.database, act, import_id, confirm, dry_run, as_json)

        cli._run(work())


async def _list_imports(database: Database, as_json: bool) -> None:
    table = RegisterImport
    async with database.read() as session:
        rows = list(await session.scalars(select(table).order_by(table.created_us.desc()).limit(100)))
    told = [
        {"id": row.id, "kind": row.kind, "file": row.file_name, "state": row.state,
         "at": rfc3339(row.applied_us or row.created_us), **row.counts}
        for row in rows
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    for row in () if as_json else told:
        typer.echo("\t".join(map(str, row.values())))


async def _undo(
    database: Database, act: Act, import_id: str, confirm: bool, dry_run: bool, as_json: bool
) -> None:
    try:
        async with database.write() as session:
            record = await get_import(session, import_id, lock=True)
            found = await undo(session, act, record, confirmed=confirm, dry=dry_run)
            done = record.undone_us == act.now_us
    except NoSuch as error:
        raise ValueError(f"{error}; 'utaa registry undo' lists them") from None
    except Conflict as error:
        raise ValueError(str(error)) from None
    if as_json:
        typer.echo(json.dumps({"done": done, **asdict(found)}, ensure_ascii=False))
    else:
        for one in found.kept:
            later = "; ".join(f"{rfc3339(at)} {who} {what}" for at, who, what in one.later)
            typer.echo(
                f"row {one.row} {one.label}: {one.reason}{f' ({later})' if later else ''}", err=True
            )
        typer.echo(
            f"{found.undone} {'would be ' if dry_run else ''}undone, {len(found.kept)} left alone"
        )
    if not done and not dry_run:
        cli.fail("nothing was undone: add --confirm to undo the others")


def _add_demo_city(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("demo-city")
    def demo_city(as_json: cli.AsJson = False, config: cli.Config = None) -> None:
        """Enter an invented Darkhan: 86 organisations, 128 cameras, homes with detectors. Again: as it
        was.
        """

        async def work() -> None:
            async with cli._desk(config, prepare, create=True) as desk:
                keyring = await asyncio.to_thread(ensure_keyring, desk.settings.effective_key_file)
                counts = await enter_demo_city(desk.database, keyring, now_us=desk.clock.now_us())
            if as_json:
                typer.echo(json.dumps(counts))
            else:
                typer.echo(", ".join(f"{count} {kind} new" for kind, count in counts.items()))

        cli._run(work())


def _add_reindex(app: typer.Typer, prepare: Prepare | None) -> None:
    @app.command("reindex")
    def make_anew(
        missing: Annotated[
            bool, typer.Option("--missing", help="only records that have no words yet")
        ] = False,
        as_json: cli.AsJson = False,
        config: cli.Config = None,
    ) -> None:
        """Make the words and the order of search anew; nothing that people edit changes."""

        async def work() -> None:
            async with cli._desk(config, prepare) as desk:
                with progress_bar(as_json) as tell:
                    counts = await reindex(desk.database, missing_only=missing, tell=tell)
            if as_json:
                typer.echo(json.dumps(counts))
            else:
                typer.echo(", ".join(f"{count} {kind}" for kind, count in counts.items()))

        cli._run(work())
