"""A kind of records as a file, read page by page in the alphabet's order.

Columns are those of the import under the same headings, so an export can be corrected and imported
again. What is personal or secret (``registry.personal.classes``) is not among them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from registry.cameras.models import CameraModel
from registry.exporting import opendata
from registry.exporting.writers import csv_of, geojson_of, point, xlsx_of
from registry.importing.kinds import KINDS
from registry.importing.kinds.base import Kind
from registry.models import Household, Organisation, Site
from registry.personal.classes import may_leave
from registry.specifications.models import Specification

Format = Literal["xlsx", "csv", "geojson"]
FORMATS: Final[tuple[Format, ...]] = ("xlsx", "csv", "geojson")
_PAGE: Final = 2_000
#: What a choice is written as: the word that its column's reader takes first.
OPEN_DATA: Final = "open-data"


@dataclass(frozen=True)
class Question:
    """What of a kind is wanted."""

    kind: str
    format: Format
    language: str = "mn"
    conditions: Sequence[ColumnElement[bool]] = field(default_factory=tuple)


def exportable() -> tuple[str, ...]:
    """The kinds there are, with the open data set."""
    return (*KINDS, OPEN_DATA)


def columns_of(kind: Kind) -> list[str]:
    """The names of the fields that leave: columns of the kind's own table, of a class that may."""
    column_of = {reference.field: reference.column for reference in kind.references}
    columns = {one.name: column_of.get(one.name, one.name) for one in kind.fields}
    held, table = kind.table.__table__.columns, kind.table.__tablename__
    return [name for name, own in columns.items() if own in held and may_leave(table, own)]


async def export(session: AsyncSession, question: Question) -> AsyncIterator[bytes]:
    """The file, a piece at a time. Raises ``ValueError`` for a kind or a format that is not there."""
    if question.kind == OPEN_DATA:
        if question.format != "geojson":
            raise ValueError("open data is GeoJSON; expected the format geojson")
        async for piece in geojson_of(opendata.features(session), licence=opendata.LICENCE):
            yield piece
        return
    if question.kind not in KINDS:
        raise ValueError(f"cannot export {question.kind!r}; expected one of {', '.join(exportable())}")
    kind = KINDS[question.kind]
    names = columns_of(kind)
    shown = {one.name: one.headings[0 if question.language == "mn" else 1] for one in kind.fields}
    rows = _rows(session, kind, names, question.conditions)
    if question.format == "geojson":
        pieces = geojson_of(_features(rows, names))
    elif question.format == "csv":
        pieces = csv_of([shown[name] for name in names], rows)
    elif question.format == "xlsx":
        pieces = xlsx_of([shown[name] for name in names], rows, kind.name)
    else:
        raise ValueError(f"expected a format: {', '.join(FORMATS)}")
    async for piece in pieces:
        yield piece


async def _features(
    rows: AsyncIterator[Sequence[Any]], names: list[str]
) -> AsyncIterator[dict[str, Any]]:
    async for row in rows:
        values = dict(zip(names, row, strict=True))
        place = point(values.pop("lat", None), values.pop("lon", None))
        known = {name: value for name, value in values.items() if value not in (None, "", [])}
        yield {"type": "Feature", "geometry": place, "properties": known}


async def _rows(
    session: AsyncSession, kind: Kind, names: list[str], conditions: Sequence[ColumnElement[bool]]
) -> AsyncIterator[list[Any]]:
    table = kind.table
    column_of = {reference.field: reference.column for reference in kind.references}
    shown = await _names(session, kind)
    order = table.sort_key if hasattr(table, "sort_key") else table.id
    wanted = [getattr(table, column_of.get(name, name)) for name in names]
    last: tuple[Any, Any] | None = None
    while True:
        query = select(table.id, order, *wanted).where(*conditions)
        if hasattr(table, "gone_us"):
            query = query.where(table.gone_us.is_(None))
        if last is not None:
            query = query.where(tuple_(order, table.id) > tuple_(*last))
        page = (await session.execute(query.order_by(order, table.id).limit(_PAGE))).all()
        for row in page:
            yield [
                shown[name].get(value, value) if name in shown else value
                for name, value in zip(names, row[2:], strict=True)
            ]
        if len(page) < _PAGE:
            return
        last = (page[-1][1], page[-1][0])


async def _names(session: AsyncSession, kind: Kind) -> dict[str, dict[Any, str]]:
    """What a reference is written as: names, not ids."""
    found: dict[str, dict[Any, str]] = {}
    sources: dict[str, tuple[Any, Any]] = {
        "organisation": (Organisation.id, Organisation.name),
        "specification": (Specification.id, Specification.number),
        "household": (Household.id, Household.label),
        "camera_model": (CameraModel.id, CameraModel.id),
        "site": (Site.id, Site.id),
    }
    for reference in kind.references:
        if reference.among in sources and reference.field != reference.column:
            own_id, name = sources[reference.among]
            rows = await session.execute(select(own_id, name))
            found[reference.field] = dict(map(tuple, rows))
    return found
