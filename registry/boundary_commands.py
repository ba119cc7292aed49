"""``utaa registry boundaries …``: outlines of administrative units from an official file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from registry.acts import Act
from registry.boundaries import BoundariesRefused, import_boundaries, read_boundaries
from registry.rights import CONSOLE


def add_boundaries(
    app: typer.Typer, desk: Callable[[Path | None], Any], run: Callable[[Any], None]
) -> None:
    """The commands. ``desk`` opens the city of a configuration, ``run`` tells errors in one line."""
    boundaries = typer.Typer(help="Outlines of districts, soums, khoroos.", no_args_is_help=True)
    app.add_typer(boundaries, name="boundaries")

    @boundaries.command("import")
    def import_file(
        file: Annotated[Path, typer.Argument(help="GeoJSON FeatureCollection with its attribution")],
        valid_from: Annotated[
            str | None, typer.Option(help="the day its names hold from; unset: today")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
        config: Annotated[
            Path | None, typer.Option("--config", help="one TOML file with all settings")
        ] = None,
    ) -> None:
        """Take outlines, all of the file or nothing; again replaces them."""

        async def work() -> None:
            found = read_boundaries(file)
            async with desk(config) as opened, opened.database.write() as session:
                act = Act(CONSOLE, opened.clock.now_us(), "console")
                since = _day(valid_from) if valid_from else act.today
                taken = await import_boundaries(session, act, found, valid_from=since)
            if as_json:
                told = {**asdict(taken), "attribution": found.attribution, "sha256": found.sha256}
                typer.echo(json.dumps(told, ensure_ascii=False))
                return
            typer.echo(
                f"{found.file_name}: {taken.boundaries} outlines, {taken.units_new} new units,"
                f" {taken.units_changed} renamed; shown with: {found.attribution}"
            )

        run(work())


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BoundariesRefused("--valid-from: expected a day as 2026-11-21") from None
