"""Whether a camera is in the register already: for certain (its numbers), or perhaps (its place)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyproj import Geod
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.cameras.models import Camera
from registry.sites import Conflict

#: Two cameras so near to each other that look the same way are probably one.
NEAR_M: Final = 3.0
NEAR_DEG: Final = 15.0
_MAX_CANDIDATES: Final = 20
_M_PER_DEG: Final = 111_000.0
_GEOD: Final = Geod(ellps="WGS84")


class Held(Conflict):
    """Another record holds what must be unique; ``holder`` names it."""

    def __init__(self, field: str, text: str, kind: str, holder_id: str, holder: str) -> None:
        super().__init__(field, text)
        self.kind = kind
        self.holder_id = holder_id
        self.holder = holder


@dataclass(frozen=True)
class Candidate:
    """A camera that may be the same one: how far away, and how differently it looks."""

    id: str
    number: str
    name: str
    distance_m: float
    turn_deg: float | None


async def find_held(
    session: AsyncSession, fields: Mapping[str, Any], own_id: str | None = None
) -> list[Held]:
    """Who holds these numbers: number, serial of a maker, MAC, IP of a network."""
    questions: list[tuple[str, list[ColumnElement[bool]]]] = []
    if fields.get("number"):
        questions.append(("number", [Camera.number == fields["number"]]))
    if fields.get("serial"):
        same = [Camera.maker == fields.get("maker", ""), Camera.serial == fields["serial"]]
        questions.append(("serial", [*same, Camera.gone_us.is_(None)]))
    if fields.get("mac"):
        questions.append(("mac", [Camera.mac == fields["mac"], Camera.gone_us.is_(None)]))
    if fields.get("ip"):
        same = [Camera.network == fields.get("network", ""), Camera.ip == fields["ip"]]
        questions.append(("ip", [*same, Camera.gone_us.is_(None), Camera.retired_us.is_(None)]))
    found = []
    for field, conditions in questions:
        query = select(Camera.id, Camera.number, Camera.gone_us).where(*conditions)
        if own_id is not None:
            query = query.where(Camera.id != own_id)
        row = (await session.execute(query.limit(1))).first()
        if row is not None:
            removed = " (removed; restore it)" if row.gone_us is not None else ""
            text = f"camera {row.number!r} has this {field} already{removed}"
            found.append(Held(field, text, "camera", row.id, row.number))
    return found


async def check_held(
    session: AsyncSession, fields: Mapping[str, Any], own_id: str | None = None
) -> None:
    """Raises ``Held`` for the first number that another camera has."""
    for held in await find_held(session, fields, own_id):
        raise held


async def find_near(
    session: AsyncSession, fields: Mapping[str, Any], own_id: str | None = None
) -> list[Candidate]:
    """Cameras within ``NEAR_M`` that look within ``NEAR_DEG`` of it, nearest first.

    Where either's direction is not known the distance alone counts.
    """
    lat, lon = fields.get("lat"), fields.get("lon")
    if lat is None or lon is None:
        return []
    high = NEAR_M / _M_PER_DEG
    wide = high / max(math.cos(math.radians(lat)), 0.01)
    query = select(Camera).where(
        Camera.lat.between(lat - high, lat + high),
        Camera.lon.between(lon - wide, lon + wide),
        Camera.gone_us.is_(None),
        Camera.retired_us.is_(None),
    )
    if own_id is not None:
        query = query.where(Camera.id != own_id)
    found = []
    for camera in await session.scalars(query.limit(_MAX_CANDIDATES)):
        away = _GEOD.inv(lon, lat, camera.lon, camera.lat)[2]
        turn = turn_between(fields.get("azimuth_deg"), camera.azimuth_deg)
        if away <= NEAR_M and (turn is None or turn <= NEAR_DEG):
            found.append(Candidate(camera.id, camera.number, camera.name, round(away, 2), turn))
    return sorted(found, key=lambda candidate: candidate.distance_m)


def turn_between(one_deg: float | None, other_deg: float | None) -> float | None:
    """How far one has to turn from one direction to the other: 0 to 180; None if one is not known."""
    if one_deg is None or other_deg is None:
        return None
    return abs((one_deg - other_deg + 180.0) % 360.0 - 180.0)
