"""The worklist of pairs that look like one record, and the decision that they are two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry import acts
from registry.acts import Act
from registry.cameras.models import Camera
from registry.duplicates.likeness import NAME_ALIKE, blocks_of, near_pairs, ratio
from registry.duplicates.models import NotDuplicate
from registry.models import Organisation
from registry.rights import Reach
from registry.sites import NoSuch

Why = Literal["serial", "mac", "ip", "near", "alike"]
KINDS: Final = ("camera", "organisation")
#: Names that share a block of more than this many say nothing by it.
_MAX_BLOCK: Final = 400
_TABLES: Final[dict[str, Any]] = {"camera": Camera, "organisation": Organisation}


@dataclass(frozen=True)
class Pair:
    """Two records that look like one. ``why``: same numbers, place and direction, or name."""

    kind: str
    first_id: str
    second_id: str
    first: str
    second: str
    why: Why


async def pairs(
    session: AsyncSession, kind: str, reach: Reach, *, after: tuple[str, str] | None = None, limit: int
) -> list[Pair]:
    """Undecided pairs, by their ids, ``limit`` at a time after the ids ``after``.

    Raises ``ValueError`` for a kind that has no worklist. Both records lie inside the reach.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} has no worklist; expected one of {', '.join(KINDS)}")
    table = _TABLES[kind]
    rows = [row for row in await _living(session, table) if _reached(row, reach)]
    decided = {
        (first, second)
        for first, second in await session.execute(
            select(NotDuplicate.first_id, NotDuplicate.second_id).where(NotDuplicate.kind == kind)
        )
    }
    found: dict[tuple[str, str], Why] = {}
    for first, second, why in _cameras(rows) if kind == "camera" else _names(rows):
        key = (min(first, second), max(first, second))
        if key not in decided and (after is None or key > after):
            found.setdefault(key, why)
    shown = {row["id"]: row["label"] for row in rows}
    return [
        Pair(kind, key[0], key[1], shown[key[0]], shown[key[1]], found[key])
        for key in sorted(found)[:limit]
    ]


async def _living(session: AsyncSession, table: Any) -> list[dict[str, Any]]:
    names = ["id", "unit_code"]
    names += ["name"] if table is Organisation else [
        "number", "name", "maker", "serial", "mac", "network", "ip", "lat", "lon", "azimuth_deg",
        "retired_us"]  # fmt: skip
    query = select(*(getattr(table, name) for name in names)).where(table.gone_us.is_(None))
    rows = [dict(zip(names, row, strict=True)) for row in await session.execute(query)]
    for row in rows:
        row["label"] = row.get("number") or row["name"]
    return rows


def _reached(row: dict[str, Any], reach: Reach) -> bool:
    return reach.everywhere or any((row["unit_code"] or "").startswith(c) for c in reach.unit_codes)


def _cameras(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, Why]]:
    """Same numbers first: the database refuses them for one maker or network, not across spellings."""
    keys: tuple[tuple[Why, Any], ...] = (
        ("serial", lambda row: (row["serial"] or "").replace("-", "").replace(" ", "").casefold()),
        ("mac", lambda row: row["mac"]),
        ("ip", lambda row: row["ip"] and row["network"].strip().casefold() + " " + row["ip"]),
    )
    for why, key_of in keys:
        seen: dict[str, str] = {}
        for row in rows:
            if key := key_of(row):
                other = seen.setdefault(key, row["id"])
                if other != row["id"]:
                    yield other, row["id"], why
    poses = (
        (row["id"], row["lat"], row["lon"], row["azimuth_deg"])
        for row in rows
        if row["lat"] is not None and row["lon"] is not None and row["retired_us"] is None
    )
    for first, second in near_pairs(poses):
        yield first, second, "near"


def _names(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, Why]]:
    blocks: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for block in blocks_of(row["name"]):
            blocks.setdefault(block, []).append(row)
    for members in blocks.values():
        if len(members) > _MAX_BLOCK:
            continue
        for at, first in enumerate(members):
            for second in members[at + 1 :]:
                if ratio(first["name"], second["name"]) >= NAME_ALIKE:
                    yield first["id"], second["id"], "alike"


async def say_two(
    session: AsyncSession, act: Act, kind: str, first_id: str, second_id: str
) -> NotDuplicate:
    """These are two records, whoever looks next. Saying it again changes nothing. Raises ``NoSuch``."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} has no worklist; expected one of {', '.join(KINDS)}")
    low, high = sorted((first_id, second_id))
    for own_id in (low, high):
        if await session.get(_TABLES[kind], own_id) is None or low == high:
            raise NoSuch(kind, own_id)
    known = await session.get(NotDuplicate, (kind, low, high))
    if known is not None:
        return known
    made = NotDuplicate(
        kind=kind, first_id=low, second_id=high, actor=act.actor.id,
        reason=(act.reason or "")[:300], decided_us=act.now_us,
    )  # fmt: skip
    session.add(made)
    await session.flush()
    await acts.record(session, act, f"{kind}.not_duplicate", kind, low, after={"other": high})
    return made
