"""What a kind of record is to an import, as data, and what the register knows beside the file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz import fuzz, process
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.cameras.models import CameraModel
from registry.importing.fields import Field
from registry.importing.parse import Parsed, Row
from registry.models import AdministrativeUnit, DetectorModel, Household, Organisation, Site
from registry.rights import Action, Reach
from registry.sealed import Keyring
from registry.search.text import folded
from registry.specifications.models import Specification
from registry.units import units

#: How alike a name must be to one of the register to be suggested, of 100.
_ALIKE = 75
_ACRONYM = {"СБД": "1119", "ХУД": "1122", "БГД": "1107", "БЗД": "1110", "ЧД": "1125", "СХД": "1116",
            "НД": "1113", "БНД": "1101", "БХД": "1104"}  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """A field that names another record: which list it is looked up in, and what it becomes."""

    field: str
    column: str
    among: str
    unknown: str


@dataclass(frozen=True)
class Unique:
    """Columns that no two living records share; the problem is told at ``field``."""

    field: str
    columns: tuple[str, ...]


@dataclass
class Known:
    """What the register has beside the file: names → ids of what rows refer to."""

    keyring: Keyring
    reach: Reach
    now_us: int
    #: who imports, and the import's id
    actor: str = ""
    import_id: str = ""
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    #: what else a kind reads of records it refers to, by id
    facts: dict[str, Any] = field(default_factory=dict)

    def find(self, among: str, written: str) -> str | None:
        return self.names.get(among, {}).get(folded(written) or written)

    def nearest(self, among: str, written: str) -> str | None:
        names = self.names.get(among, {})
        flat = folded(written)
        near = process.extract(flat, names.keys(), scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=20)
        found = next((name for name, _, _ in near if _digits(name) == _digits(flat)), None)
        return None if found is None else self.facts.get("shown", {}).get((among, found), found)

    def add(self, among: str, own_id: str, *written: str | None) -> None:
        names = self.names.setdefault(among, {})
        shown = self.facts.setdefault("shown", {})
        for name in written:
            if name and names.setdefault(folded(name) or name, own_id) == own_id:
                shown.setdefault((among, folded(name) or name), name)


def _digits(text: str) -> str:
    """Khoroo 9 is no misspelling of khoroo 99."""
    return "".join(letter for letter in text if letter.isdigit())


Check = Callable[[Parsed, Row, Known], None]
#: (session, known, [(record, row values)]): what is written beside the records themselves.
After = Callable[[AsyncSession, Known, Sequence[tuple[Any, dict[str, Any]]]], Awaitable[None]]


@dataclass(frozen=True)
class Kind:
    """A kind of record that can be imported."""

    name: str
    table: Any
    action: Action
    fields: tuple[Field, ...]
    #: the columns that identify a record, after references are resolved
    key: tuple[str, ...]
    #: the field at which a problem of the key is told
    key_field: str
    references: tuple[Reference, ...] = ()
    uniques: tuple[Unique, ...] = ()
    check: Check = lambda _parsed, _row, _known: None
    #: row values and known → columns of a new record beside those of the row
    defaults: Callable[[dict[str, Any], Known], dict[str, Any]] = lambda _values, _known: {}
    #: row values → columns of the table (renamed, sealed); None: as they are
    columns: Callable[[dict[str, Any], Known], dict[str, Any]] | None = None
    #: columns whose value is sealed: (column, purpose)
    sealed: dict[str, str] = field(default_factory=dict)
    after: After | None = None
    #: the column that people call a record by
    label: str = "name"
    #: near: by place and direction; alike: by name
    near: bool = False
    alike: bool = False
    #: the id of a new record follows from its columns
    own_id: Callable[[dict[str, Any]], str] | None = None
    #: several rows may tell of one record (a home and its people)
    folds: bool = False

    @property
    def object_kind(self) -> str:
        return str(self.table.KIND or self.table.__tablename__)


async def load_names(session: AsyncSession, known: Known, references: Sequence[Reference]) -> None:
    """Fill ``known`` with whatever the kind refers to."""
    wanted = {reference.among for reference in references}
    if "unit" in wanted:
        await _units(session, known)
    if "organisation" in wanted:
        table = Organisation
        rows = await session.execute(
            select(table.id, table.name, table.short_name, table.register_number, table.unit_code)
            .where(table.gone_us.is_(None)).order_by(table.id)
        )  # fmt: skip
        for own_id, name, short, register, _unit in rows:
            known.add("organisation", own_id, name, short, register)
    if "camera_model" in wanted:
        models = await session.execute(
            select(CameraModel.id, CameraModel.maker, CameraModel.name)
            .where(CameraModel.gone_us.is_(None)).order_by(CameraModel.id)
        )  # fmt: skip
        makers = known.facts.setdefault("maker", {})
        for own_id, maker, name in models:
            known.add("camera_model", own_id, own_id, f"{maker} {name}", name)
            makers[own_id] = maker
    if "detector_model" in wanted:
        for own_id, maker, name in await session.execute(
            select(DetectorModel.id, DetectorModel.maker, DetectorModel.name)
        ):
            known.add("detector_model", own_id, own_id, f"{maker} {name}")
    if "site" in wanted:
        for own_id, title, unit in await session.execute(select(Site.id, Site.title, Site.unit_code)):
            known.add("site", own_id, own_id, title)
            known.facts.setdefault("site_unit", {})[own_id] = unit
    if "household" in wanted:
        for own_id, label, site in await session.execute(
            select(Household.id, Household.label, Household.site_id).where(Household.gone_us.is_(None))
        ):
            known.add("household", own_id, label)
            known.facts.setdefault("home_site", {})[own_id] = site
    if "specification" in wanted:
        for own_id, number in await session.execute(select(Specification.id, Specification.number)):
            known.add("specification", own_id, number)


async def _units(session: AsyncSession, known: Known) -> None:
    """Units by code, by name, and khoroos by district and number in the ways people write them."""
    districts: dict[str | None, list[str]] = {}
    every: list[tuple[Any, ...]] = [
        (unit.code, unit.parent, unit.kind, unit.name_mn, unit.name_en) for unit in units()
    ]
    table = AdministrativeUnit
    every += [
        tuple(row)
        for row in await session.execute(
            select(table.code, table.parent_code, table.kind, table.name_mn, table.name_en)
            .where(table.valid_until.is_(None))
        )
    ]  # fmt: skip
    short = {code: word for word, code in _ACRONYM.items()}
    for code, parent, kind, name_mn, name_en in every:
        known.add("unit", code, code)
        if kind == "khoroo":
            number = "".join(letter for letter in name_mn if letter.isdigit())
            for district in districts.get(parent, ()):
                known.add("unit", code, f"{district} {name_mn}", f"{district} {number}",
                          f"{district} {number} хороо", f"{district}-{number}")  # fmt: skip
        else:
            districts[code] = [name_mn, f"{name_mn} дүүрэг", name_en, short.get(code, name_mn)]
            known.add("unit", code, *districts[code], f"{name_mn} сум", f"{name_mn} аймаг")


def resolve(kind: Kind, parsed: Parsed, row: Row, known: Known) -> None:
    """Names of other records become their ids; one that is unknown gets the nearest as a repair."""
    for reference in kind.references:
        written = row.values.get(reference.field)
        if written is None:
            continue
        found = known.find(reference.among, str(written))
        if found is None:
            repair = known.nearest(reference.among, str(written))
            parsed.problem(row, reference.field, reference.unknown, repair=repair, value=written)
        else:
            if reference.column != reference.field:
                del row.values[reference.field]
            row.values[reference.column] = found
