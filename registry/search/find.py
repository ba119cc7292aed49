"""A question in, records out: words in any spelling, boxes and polygons.

``matching`` and ``inside`` give conditions for any list of a searchable table; ``search`` looks through
several kinds at once. A word finds whatever begins with it. One that begins nothing is taken for a
misspelling of the nearest words that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import shapely
from rapidfuzz import fuzz, process
from sqlalchemy import ARRAY, ColumnElement, String, and_, any_, false, literal, or_, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from registry.cameras.models import Camera, CameraModel
from registry.models import Detector, Household, Organisation, Site
from registry.rights import Action, Actor, Forbidden, Reach, require_somewhere
from registry.search.models import SearchWord
from registry.search.text import words_of
from registry.search.vocabulary import LEAST_LETTERS, NOBODY, words_known

#: Words of one question that count; more say nothing.
MAX_WORDS: Final = 8
#: A word that begins more than this many entries is checked record by record, in the list's order.
_BROAD: Final = 2_000
#: How alike a misspelt word must be, of 100, and how many meanings it may have.
_ALIKE: Final = 72
_MEANINGS: Final = 5
#: Points a polygon is asked about at once.
_MAX_POINTS: Final = 200_000
MAX_CORNERS: Final = 500
#: Ids in one IN (…).
_CHUNK: Final = 500


@dataclass(frozen=True)
class Kind:
    """A kind that is searched: its table, what is shown of a hit, and the right it takes."""

    table: Any
    action: Action
    title: str
    detail: str | None
    unit: str | None


@dataclass(frozen=True)
class Hit:
    """A record that was found. ``title`` and ``detail`` are never personal."""

    kind: str
    id: str
    title: str
    detail: str


KINDS: Final[dict[str, Kind]] = {
    "camera": Kind(Camera, "camera.read", "number", "name", "unit_code"),
    "organisation": Kind(Organisation, "organisation.read", "name", "short_name", "unit_code"),
    "camera_model": Kind(CameraModel, "camera.read", "name", "maker", None),
    "site": Kind(Site, "site.read", "id", "title", "unit_code"),
    "household": Kind(Household, "household.read", "label", None, "unit_code"),
    "detector": Kind(Detector, "detector.read", "address", "place", None),
}


async def search(
    session: AsyncSession, actor: Actor, text: str, *, kinds: Sequence[str] = (), limit: int = 20
) -> list[Hit]:
    """What the actor may see of these kinds (all by default) that has every word; at most so many each.

    Raises ``ValueError`` for a kind that is not searched.
    """
    hits: list[Hit] = []
    for name in kinds or KINDS:
        if name not in KINDS:
            raise ValueError(f"{name!r} is not searched; expected one of {', '.join(KINDS)}")
        kind = KINDS[name]
        try:
            reach = require_somewhere(actor, kind.action)
        except Forbidden:
            continue
        conditions = await matching(session, kind.table, text)
        query = select(kind.table).where(*conditions, *_reached(kind, reach))
        if hasattr(kind.table, "gone_us"):
            query = query.where(kind.table.gone_us.is_(None))
        for row in await session.scalars(
            query.order_by(kind.table.sort_key, kind.table.id).limit(limit)
        ):
            detail = getattr(row, kind.detail) if kind.detail else ""
            hits.append(Hit(name, row.id, getattr(row, kind.title), detail or ""))
    return hits


def _reached(kind: Kind, reach: Reach) -> list[ColumnElement[bool]]:
    if reach.everywhere:
        return []
    if kind.table is Detector:
        return [_detectors_within(reach)]
    if kind.unit is None:
        return [] if kind.table is CameraModel else [false()]
    column = getattr(kind.table, kind.unit)
    return [or_(false(), *(column.startswith(code, autoescape=True) for code in reach.unit_codes))]


def _detectors_within(reach: Reach) -> ColumnElement[bool]:
    """A detector lies where its home does, and without one where its site does."""

    def inside(table: Any) -> Any:
        within = (table.unit_code.startswith(code, autoescape=True) for code in reach.unit_codes)
        return select(table.id).where(or_(false(), *within))

    return or_(
        Detector.household_id.in_(inside(Household)),
        and_(Detector.household_id.is_(None), Detector.site_id.in_(inside(Site))),
    )


_IN_THE_LISTS_ORDER: Final = sql(
    "SELECT set_config('enable_sort', 'off', true), "
    "set_config('max_parallel_workers_per_gather', '0', true), "
    "set_config('plan_cache_mode', 'force_custom_plan', true)"
)


async def matching(session: AsyncSession, table: Any, text: str) -> list[ColumnElement[bool]]:
    """The conditions under which a record of the table has every word of the text.

    Nothing to look for: nothing is found.
    """
    words = words_of(text)[:MAX_WORDS]
    if not words:
        return [false()]
    few: set[str] | None = None
    conditions = []
    for word in _needed(words):
        found = await _with_word(session, table, word)
        if isinstance(found, set):
            few = found if few is None else few & found
        else:
            conditions.append(found)
    is_postgres = session.get_bind().dialect.name == "postgresql"
    if few is not None:
        # a list, not a query inside the query: databases then begin with it
        conditions.insert(0, _one_of(table.id, sorted(few), is_postgres=is_postgres))
    elif is_postgres:
        # It takes a word in a text for rare, reads the whole table and sorts: this word is in many
        # records, and the list's own order comes to a pageful of them soon. Ends with the transaction.
        await session.execute(_IN_THE_LISTS_ORDER)
    return conditions


def _one_of(column: Any, ids: list[str], *, is_postgres: bool) -> ColumnElement[bool]:
    """PostgreSQL takes the list as one value: two thousand cost it a third of a second."""
    if not ids:
        return false()
    if not is_postgres:
        return cast("ColumnElement[bool]", column.in_(ids))
    return cast("ColumnElement[bool]", column == any_(literal(ids, ARRAY(String))))


def _needed(words: list[str]) -> list[str]:
    """Without what a joined word repeats: ``KH-11-7`` asks for its parts alone."""
    whole = {"".join(words[start:end]) for start in range(len(words)) for end in
             range(start + 2, len(words) + 1)}  # fmt: skip
    return [word for word in words if word not in whole]


async def _with_word(session: AsyncSession, table: Any, word: str) -> set[str] | ColumnElement[bool]:
    """The ids of the records with the word where they are few, or the condition of having it."""
    kind = str(table.__tablename__)
    words = [word]
    found = await _owners(session, _begins(kind, word))
    if not found:
        words = await _nearest(session, kind, word)
        meant = [SearchWord.kind == kind, SearchWord.word.in_(words), SearchWord.object_id > NOBODY]
        found = await _owners(session, meant) if words else []
    if len(found) <= _BROAD:
        return set(found)
    # many: each record's own text is looked into, in the list's order
    texts = literal(" ") + table.search_text
    return or_(false(), *(texts.contains(f" {one}", autoescape=True) for one in words))


async def _owners(session: AsyncSession, conditions: list[ColumnElement[bool]]) -> list[str]:
    """Whose entries these are; one more than matters at most."""
    query = select(SearchWord.object_id).where(*conditions).limit(_BROAD + 1)
    return list(await session.scalars(query))


def _begins(kind: str, word: str) -> list[ColumnElement[bool]]:
    return [
        SearchWord.kind == kind, SearchWord.word >= word, SearchWord.word < word + "\U0010ffff",
        SearchWord.object_id > NOBODY,
    ]  # fmt: skip


async def _nearest(session: AsyncSession, kind: str, word: str) -> list[str]:
    """Words that were perhaps meant, whichever letter is wrong."""
    if len(word) < LEAST_LETTERS or not word.isalpha():
        return []
    cut = {found: found[: len(word) + 1] for found in await words_known(session, kind)}
    near = process.extract(word, cut, scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=_MEANINGS)
    return [found for _, _, found in near]


# --- places -----------------------------------------------------------------------------------------

Box = tuple[float, float, float, float]


def box_of(text: str) -> Box:
    """``west,south,east,north`` in degrees. Raises ``ValueError``."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("expected west,south,east,north in degrees") from None
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError("expected west,south,east,north in degrees, west below east")
    return west, south, east, north


def in_box(table: Any, box: Box) -> list[ColumnElement[bool]]:
    """Records whose place lies in the box."""
    west, south, east, north = box
    return [table.lat.between(south, north), table.lon.between(west, east)]


def polygon_of(text: str) -> shapely.Polygon:
    """``lon lat,lon lat,…``, three corners or more. Raises ``ValueError``."""
    try:
        corners = [tuple(float(part) for part in pair.split()) for pair in text.split(",")]
        if not 3 <= len(corners) <= MAX_CORNERS or any(len(pair) != 2 for pair in corners):
            raise ValueError
        if not np.isfinite(corners).all():
            raise ValueError
        polygon = shapely.Polygon(corners)
    except (ValueError, TypeError, shapely.GEOSException):
        raise ValueError(f"expected lon lat,lon lat,…: 3 to {MAX_CORNERS} corners in degrees") from None
    if not polygon.is_valid:
        raise ValueError("expected a polygon whose sides do not cross")
    return polygon


async def in_polygon(
    session: AsyncSession, table: Any, polygon: shapely.Polygon
) -> list[ColumnElement[bool]]:
    """Records whose place lies in the polygon, its edge included."""
    west, south, east, north = polygon.bounds
    boxed = in_box(table, (west, south, east, north))
    rows = (await session.execute(
        select(table.id, table.lon, table.lat).where(*boxed).limit(_MAX_POINTS)
    )).all()  # fmt: skip
    if not rows:
        return [false()]
    shapely.prepare(polygon)
    lies = shapely.intersects_xy(polygon, [row[1] for row in rows], [row[2] for row in rows])
    ids = [row[0] for row, inside in zip(rows, lies, strict=True) if inside]
    return [or_(false(), *_among(table.id, ids))]


def _among(column: InstrumentedAttribute[str], ids: list[str]) -> list[ColumnElement[bool]]:
    return [column.in_(ids[start : start + _CHUNK]) for start in range(0, len(ids), _CHUNK)]
