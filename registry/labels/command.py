"""``utaa registry labels``: sheets of QR labels from the console."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act
from registry.cameras.models import Camera
from registry.labels.papers import DEFAULT_PAPER, PAPERS
from registry.labels.service import KINDS, MAX_LABELS, ensure_labels
from registry.labels.sheet import sheet, sheet_data
from registry.models import Detector, Household, Site
from registry.rights import CONSOLE
from registry.sites import Conflict, NoSuch

_PAPERS_HELP: Final = f"one of {', '.join(PAPERS)}"


def add_labels(app: typer.Typer, desk: Any, run: Any, prepare: Any) -> None:
    """Add the command. ``desk`` opens the city, ``run`` runs work with the console's errors."""

    @app.command()
    def labels(
        output: Annotated[Path, typer.Option("-o", "--output", help="the PDF to write")],
        url: Annotated[str, typer.Option(help="where the city's pages are: https://utaa.example.mn")],
        kind: Annotated[str, typer.Option(help=f"one of {', '.join(KINDS)}")] = "camera",
        ids: Annotated[list[str] | None, typer.Argument(help="ids; unset: all of the kind")] = None,
        unit: Annotated[str | None, typer.Option(help="only those in this district or khoroo")] = None,
        paper: Annotated[str, typer.Option(help=_PAPERS_HELP)] = DEFAULT_PAPER,
        skip: Annotated[int, typer.Option(help="labels already taken off the first sheet")] = 0,
        owner: Annotated[str, typer.Option(help="whose they are, as printed")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
        config: Annotated[Path | None, typer.Option("--config", help="one TOML file")] = None,
    ) -> None:
        """Print QR labels; what has none gets one, the others keep theirs."""

        async def work() -> None:
            if not url.startswith(("https://", "http://")):
                raise ValueError("--url: expected an address such as https://utaa.example.mn")
            async with desk(config, prepare) as city:
                act = Act(CONSOLE, city.clock.now_us(), "console")
                async with city.database.write() as session:
                    wanted = ids or await _all(session, kind, unit)
                    try:
                        made = await ensure_labels(session, act, kind, wanted)
                    except (NoSuch, Conflict) as error:
                        raise ValueError(str(error)) from None
            data = sheet_data(made, paper=paper, base_url=url, owner=owner, skip=skip)
            content = await asyncio.to_thread(sheet, data, at_us=act.now_us)
            await asyncio.to_thread(output.write_bytes, content)
            sheets = -(-(len(made) + skip) // PAPERS[paper].per_sheet)
            told = {"file": str(output), "labels": len(made), "sheets": sheets, "paper": paper}
            typer.echo(
                json.dumps(told, ensure_ascii=False)
                if as_json
                else f"{output}: {len(made)} labels on {sheets} sheets of {paper}; print at 100 %"
            )

        run(work())


async def _all(session: AsyncSession, kind: str, unit: str | None) -> list[str]:
    """The ids of everything of a kind that is in use, by number. Raises ``ValueError`` (too many)."""
    if kind == "camera":
        query = select(Camera.id).where(Camera.gone_us.is_(None), Camera.state != "retired")
        place: Any = Camera.unit_code
        query = query.order_by(Camera.number)
    else:
        query = (
            select(Detector.id)
            .join(Site, Detector.site_id == Site.id)
            .outerjoin(Household, Detector.household_id == Household.id)
            .where(Detector.status.not_in(("unregistered", "retired")))
            .order_by(Detector.id)
        )
        place = func.coalesce(Household.unit_code, Site.unit_code)
    if unit is not None:
        query = query.where(place.startswith(unit, autoescape=True))
    found = list(await session.scalars(query.limit(MAX_LABELS + 1)))
    if not found:
        raise ValueError(f"there is no {kind} to label")
    if len(found) > MAX_LABELS:
        raise ValueError(f"more than {MAX_LABELS}: name ids, or a smaller unit with --unit")
    return found
