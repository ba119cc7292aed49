"""What the office's lists share: addresses of filters, names of units and organisations, places."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.door import rooms
from gateway.web.kept import kept
from gateway.web.words import ZONE, Words
from registry.boundaries import units_on
from registry.models import Organisation, Person

#: Organisations in a choice; a city has some hundreds.
_MAX_ORGANISATIONS: Final = 2_000
#: Names of districts and khoroos are read anew after this long; they change once in years.
_UNITS_S: Final = 30.0


def address(path: str, filters: Mapping[str, Any], **changed: Any) -> str:
    """The path with its filters, changed; an empty one is left out."""
    kept = {name: value for name, value in {**filters, **changed}.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


async def organisations(session: AsyncSession) -> list[tuple[str, str]]:
    """(id, name) by name, for a choice."""
    query = select(Organisation.id, Organisation.name).where(Organisation.gone_us.is_(None))
    rows = await session.execute(query.order_by(Organisation.name).limit(_MAX_ORGANISATIONS))
    return [(row.id, row.name) for row in rows]


async def units(session: AsyncSession, words: Words) -> list[tuple[str, str]]:
    """(code, name) of today's districts and khoroos, for a choice."""
    found = await units_on(session, datetime.now(ZONE).date())
    return [(unit.code, unit.name_mn if words.language == "mn" else unit.name_en) for unit in found]


async def known_units(request: Request, words: Words) -> list[tuple[str, str]]:
    """``units`` of at most ``_UNITS_S`` ago: every look at a list needs their names."""

    async def read() -> list[tuple[str, str]]:
        async with rooms(request).database.read() as session:
            return await units(session, words)

    return await kept(request).get(("units", words.language), _UNITS_S, read)


async def logins(session: AsyncSession, ids: set[str]) -> dict[str, str]:
    """Who people are in the office: id → login."""
    if not ids:
        return {}
    rows = await session.execute(
        select(Person.id, Person.login).where(Person.id.in_(sorted(ids)[:500]))
    )
    return {row.id: row.login for row in rows}


def view_on(west: float, south: float, east: float, north: float) -> str:
    """``lat,lon,zoom`` of a map that shows the rectangle."""
    span = max(east - west, (north - south) * 1.6, 0.002)
    zoom = min(17.0, max(4.0, math.floor(math.log2(540.0 / span) * 2) / 2))
    return f"{(south + north) / 2:.5f},{(west + east) / 2:.5f},{zoom:g}"


def tiles(request: Request) -> dict[str, Any]:
    """The city's tile server for a template's map, if one is set."""
    settings = request.app.state.city.settings
    return {
        "tile_url": getattr(settings, "tile_url", None) or "",
        "tile_attribution": getattr(settings, "tile_attribution", "") or "",
    }
