"""What an import would do: every row held against the register, nothing written.

A row that names a known record changes it, one that is new makes one; a column that is absent says
nothing. Whatever two living records must not share is told at both cells; what looks like a duplicate
(near, alike) is told and taken.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from registry.duplicates.likeness import NAME_ALIKE, blocks_of, near_pairs, ratio
from registry.importing.kinds.base import Kind, Known, Unique, load_names, resolve
from registry.importing.parse import Parsed, Row, parse_sheet
from registry.importing.readers import Sheet

Does = Literal["create", "change", "revive", "unchanged", "refuse"]
Progress = Callable[[str, int, int], None]
#: Columns that are never compared through an index of values: too long, or not comparable.
_PLAIN: Final = (str, int, float, bool, type(None), list, dict)


@dataclass
class Planned:
    """What becomes of one row. ``columns`` are the table's, not yet sealed."""

    row: Row
    does: Does
    object_id: str
    label: str
    columns: dict[str, Any] = field(repr=False)
    #: the row's values for what is written beside the record
    values: dict[str, Any] = field(repr=False)
    #: the record's version when the plan was made; 0: there was none
    version: int = 0


@dataclass
class Plan:
    """A dry run's result."""

    kind: Kind
    parsed: Parsed
    known: Known
    rows: list[Planned]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what becomes of them."""
        found = Counter(planned.does for planned in self.rows)
        return {
            name: found.get(name, 0) for name in ("create", "change", "revive", "unchanged", "refuse")
        }

    @property
    def holds(self) -> bool:
        """Whether the whole file can be taken."""
        return self.parsed.errors == 0


async def plan_import(
    session: AsyncSession,
    kind: Kind,
    sheet: Sheet,
    known: Known,
    *,
    mapping: Mapping[str, str | None] | None = None,
    repairs: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Read the sheet and hold it against the register. Raises ``FileRefused``."""
    tell = progress or (lambda _what, _done, _of: None)
    parsed = await asyncio.to_thread(
        parse_sheet, sheet, kind.fields, mapping=mapping, repairs=repairs,
        progress=lambda done, of: tell("read", done, of),
    )  # fmt: skip
    tell("check", 0, len(parsed.rows))
    await load_names(session, known, kind.references)
    register = await _Register.load(session, kind)
    planned = await asyncio.to_thread(_held_against, kind, parsed, known, register)
    tell("check", len(parsed.rows), len(parsed.rows))
    return Plan(kind, parsed, known, planned)


def _held_against(kind: Kind, parsed: Parsed, known: Known, register: _Register) -> list[Planned]:
    """What becomes of each row; pure, and for a large file seconds of work."""
    _add_own_names(kind, parsed, known)
    for row in parsed.rows:
        resolve(kind, parsed, row, known)
        kind.check(parsed, row, known)
    rows = _folded(kind, parsed)
    _check_area(kind, parsed, rows, known)
    planned = _match(kind, parsed, rows, known, register)
    for unique in kind.uniques:
        _check_unique(parsed, unique, planned, register)
    if kind.near:
        _check_near(parsed, planned, register)
    if kind.alike:
        _check_alike(parsed, planned, register)
    for one in planned:
        if one.row.wrong:
            one.does = "refuse"
    return planned


def _add_own_names(kind: Kind, parsed: Parsed, known: Known) -> None:
    """Rows may refer to each other: an organisation to its parent further down."""
    if any(reference.among == kind.object_kind for reference in kind.references):
        for row in parsed.rows:
            name = row.values.get(kind.label)
            if name is not None and known.find(kind.object_kind, name) is None:
                known.add(kind.object_kind, new_id(), name)


@dataclass
class _Register:
    """The kind's records as they are: by key, and by what is unique."""

    kind: Kind
    records: dict[tuple[Any, ...], dict[str, Any]]
    alive: list[dict[str, Any]]

    @classmethod
    async def load(cls, session: AsyncSession, kind: Kind) -> _Register:
        wanted = ["id", "version", *kind.key, kind.label, *(f.name for f in kind.fields)]
        wanted += [name for unique in kind.uniques for name in unique.columns]
        wanted += [reference.column for reference in kind.references]
        wanted += ["gone_us", "merged_into_id", "retired_us", "state", "status"]
        columns = {column.key for column in kind.table.__table__.columns}
        names = [name for name in dict.fromkeys(wanted) if name in columns and name not in kind.sealed]
        found = await session.execute(select(*(getattr(kind.table, name) for name in names)))
        every = [dict(zip(names, values, strict=True)) for values in found]
        by_key = {tuple(record[name] for name in kind.key): record for record in every}
        return cls(kind, by_key, [record for record in every if record.get("gone_us") is None])


def _folded(kind: Kind, parsed: Parsed) -> list[Row]:
    """One row for each record: several lines of one home become one, unless they contradict."""
    first: dict[tuple[Any, ...], Row] = {}
    rows: list[Row] = []
    for row in parsed.rows:
        key = tuple(row.values.get(name) for name in kind.key)
        if None in key:
            rows.append(row)
            continue
        known = first.setdefault(key, row)
        if known is row:
            rows.append(row)
        elif not kind.folds:
            parsed.problem(row, kind.key_field, "twice_in_file", value=key[-1], row=known.number)
            rows.append(row)
        else:
            _fold(kind, parsed, known, row)
        if kind.folds:
            _take_person(known, row)
    return rows


def _fold(kind: Kind, parsed: Parsed, whole: Row, row: Row) -> None:
    own = {column.key for column in kind.table.__table__.columns}
    for name, value in row.values.items():
        if name in own and whole.values.setdefault(name, value) != value:
            parsed.problem(row, name, "contradicts_row", value=value, row=whole.number)
    whole.wrong += row.wrong


def _take_person(whole: Row, row: Row) -> None:
    person = {name: row.values[name] for name in ("contact", "email", "phone", "contact_language")
              if name in row.values}  # fmt: skip
    if person.get("contact"):
        whole.values.setdefault("people", []).append(person)


def _check_area(kind: Kind, parsed: Parsed, rows: Iterable[Row], known: Known) -> None:
    if known.reach.everywhere:
        return
    sites = known.facts.get("site_unit", {})
    for row in rows:
        unit = row.values.get("unit_code") or sites.get(row.values.get("site_id")) or ""
        if not any(unit.startswith(code) for code in known.reach.unit_codes):
            parsed.problem(row, "unit_code", "out_of_area")


def _match(
    kind: Kind, parsed: Parsed, rows: list[Row], known: Known, register: _Register
) -> list[Planned]:
    planned = []
    own = {column.key for column in kind.table.__table__.columns}
    for row in rows:
        values = kind.columns(row.values, known) if kind.columns else row.values
        columns = {name: value for name, value in values.items() if name in own}
        key = tuple(columns.get(name) for name in kind.key)
        record = register.records.get(key)
        label = str(columns.get(kind.label, ""))
        if record is None:
            planned.append(
                Planned(row, "create", _new_id(kind, row, columns, known), label, columns, row.values)
            )
            continue
        does: Does = "unchanged"
        if record.get("gone_us") is not None:
            does = "revive"
            parsed.problem(row, kind.key_field, "was_gone", severity="note", value=label)
        elif _check_state(parsed, row, columns, record) or _differs(kind, columns, record, row.values):
            does = "change"
        if not known.reach.everywhere and "unit_code" in record:
            unit = record["unit_code"] or ""
            if not any(unit.startswith(code) for code in known.reach.unit_codes):
                parsed.problem(row, kind.key_field, "out_of_area")
        version = record["version"]
        planned.append(Planned(row, does, record["id"], label, columns, row.values, version))
    return planned


def _new_id(kind: Kind, row: Row, columns: dict[str, Any], known: Known) -> str:
    if row.wrong:
        return ""
    if kind.own_id is not None:
        return kind.own_id(columns)
    if "id" in columns:
        return str(columns["id"])
    return known.find(kind.object_kind, str(columns.get(kind.label, ""))) or new_id()


def _check_state(parsed: Parsed, row: Row, columns: dict[str, Any], record: dict[str, Any]) -> bool:
    """A life goes on by its steps, with their proofs; a table does not jump."""
    if columns.get("state", record.get("state")) != record.get("state"):
        parsed.problem(row, "state", "state_changes_by_step", value=columns["state"],
                       repair=record["state"], state=record["state"])  # fmt: skip
    return False


def _differs(
    kind: Kind, columns: dict[str, Any], record: dict[str, Any], values: dict[str, Any]
) -> bool:
    if values.get("people") or any(name in columns for name in kind.sealed):
        return True  # what is sealed is compared when it is opened, on applying
    if record.get("status") == "unregistered":
        return True
    return any(record.get(name) != value for name, value in columns.items())


# --- duplicates -------------------------------------------------------------------------------------


def _check_unique(parsed: Parsed, unique: Unique, planned: list[Planned], register: _Register) -> None:
    taken: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in register.alive:
        if record.get("retired_us") is None or "ip" not in unique.columns:
            key = _unique_key(unique, record)
            if key is not None:
                taken[key] = record
    changing = {one.object_id: one for one in planned if one.does in ("change", "unchanged")}
    seen: dict[tuple[Any, ...], Planned] = {}
    for one in planned:
        key = _unique_key(unique, one.columns)
        if key is None:
            continue
        value = one.columns[unique.columns[-1]]
        if (other := seen.setdefault(key, one)) is not one:
            parsed.problem(one.row, unique.field, "twice_in_file", value=value, row=other.row.number)
        holder = taken.get(key)
        if holder is None or holder["id"] == one.object_id:
            continue
        moving = changing.get(holder["id"])
        if (
            moving is not None
            and unique.columns[-1] in moving.columns
            and (_unique_key(unique, moving.columns) != key)
        ):
            continue  # the file gives the holder another one
        label = holder.get(register.kind.label)
        parsed.problem(one.row, unique.field, "taken_in_register", value=value, label=label)


def _unique_key(unique: Unique, columns: Mapping[str, Any]) -> tuple[Any, ...] | None:
    last = columns.get(unique.columns[-1])
    if last is None:
        return None
    return tuple(columns.get(name) or "" for name in unique.columns)


def _check_near(parsed: Parsed, planned: list[Planned], register: _Register) -> None:
    ours = {one.object_id: one for one in planned if one.object_id}
    points = [_pose(one.object_id, one.columns) for one in planned if one.object_id]
    points += [_pose(record["id"], record) for record in register.alive if record["id"] not in ours]
    labels = {record["id"]: record.get(register.kind.label) for record in register.alive}
    for first, second in near_pairs(point for point in points if point is not None):
        if second not in ours or (first in ours and ours[first].row.number > ours[second].row.number):
            first, second = second, first
        row = ours[second].row if second in ours else None
        if row is None:
            continue
        if first in ours:
            parsed.problem(row, "lat", "near_in_file", severity="likely", row=ours[first].row.number)
        else:
            parsed.problem(row, "lat", "near_in_register", severity="likely", label=labels.get(first))


def _pose(own_id: str, columns: Mapping[str, Any]) -> tuple[str, float, float, float | None] | None:
    lat, lon = columns.get("lat"), columns.get("lon")
    if lat is None or lon is None or not math.isfinite(lat + lon):
        return None
    return own_id, lat, lon, columns.get("azimuth_deg")


def _check_alike(parsed: Parsed, planned: list[Planned], register: _Register) -> None:
    label = register.kind.label
    blocks: dict[str, list[tuple[str, Planned | None]]] = {}
    known = {one.label for one in planned}
    for record in register.alive:
        if record[label] not in known:
            for block in blocks_of(record[label]):
                blocks.setdefault(block, []).append((record[label], None))
    for one in planned:
        if one.does != "create" or not one.label:
            continue
        for block in blocks_of(one.label):
            others = blocks.setdefault(block, [])
            twin = next((other for other in others if ratio(other[0], one.label) >= NAME_ALIKE), None)
            others.append((one.label, one))
            if twin is not None:
                code = "alike_in_register" if twin[1] is None else "alike_in_file"
                values = {"label": twin[0]} if twin[1] is None else {"row": twin[1].row.number}
                parsed.problem(one.row, label, code, severity="likely", value=one.label, **values)
                break
