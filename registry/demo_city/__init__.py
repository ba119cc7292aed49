"""An invented city to show and to try things in: Darkhan, as the founding documents count it.

86 organisations, 128 control cameras, servers, homes with detectors, and papers on the desks.
Everything follows from one seed: it is the same on each machine. Nobody in it exists; places lie near
the real town, nothing is at them. ``enter_demo_city`` adds what is missing, so it may be run again.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.acts import Act
from registry.cameras.models import Camera, CameraModel
from registry.db import Database
from registry.demo_city import town
from registry.demo_city.office import enter_office
from registry.households import ADDRESS, ChannelEntry, ContactEntry, merge_contacts
from registry.importing.bulk import insert_many
from registry.models import AdministrativeUnit, Detector, Household, Organisation, Site
from registry.rights import CONSOLE
from registry.sealed import Keyring
from registry.servers.models import Rack, Server
from registry.shipped import enter_shipped_models
from registry.sites import touch_site

_CHUNK: Final = 500


async def enter_demo_city(database: Database, keyring: Keyring, *, now_us: int) -> dict[str, int]:
    """Enter what is missing of the town; how many of each kind were new."""
    act = Act(CONSOLE, now_us, "console", "жишээ хот")
    counts: dict[str, int] = {}
    async with database.write() as session:
        await enter_shipped_models(session)
        await _units(session)
        for name, table, key, rows in (
            ("organisations", Organisation, "name", town.organisations()),
            ("camera models", CameraModel, "id", town.camera_models()),
            ("cameras", Camera, "number", town.cameras()),
            ("racks", Rack, "name", town.racks()),
            ("servers", Server, "name", town.servers()),
            ("sites", Site, "id", town.sites()),
        ):
            counts[name] = await _enter(session, act, table, key, rows)
        counts["households"] = await _homes(session, keyring, act)
        counts["detectors"] = await _enter(session, act, Detector, "id", town.detectors())
        if counts["detectors"]:
            await touch_site(session, *{row["site_id"] for row in town.detectors()})
        counts |= await enter_office(session, keyring, act)
    return counts


async def _units(session: AsyncSession) -> None:
    known = set(await session.scalars(select(AdministrativeUnit.code)))
    session.add_all(AdministrativeUnit(**row) for row in town.units() if row["code"] not in known)
    await session.flush()


async def _enter(
    session: AsyncSession, act: Act, table: Any, key: str, rows: list[dict[str, Any]]
) -> int:
    column = getattr(table, key)
    known = set(await session.scalars(select(column).where(column.in_([row[key] for row in rows]))))
    columns = {one.key for one in table.__table__.columns}
    stamp = {"created_us": act.now_us} if "created_us" in columns else {}
    new = [{**stamp, **row} for row in rows if row[key] not in known]
    for start in range(0, len(new), _CHUNK):
        await insert_many(session, act, table, new[start : start + _CHUNK])
    return len(new)


async def _homes(session: AsyncSession, keyring: Keyring, act: Act) -> int:
    rows = [{**row, "address": keyring.seal(row["address"], ADDRESS)} for row in town.households()]
    count = await _enter(session, act, Household, "label", rows)
    if count:
        for row in rows:
            number = row["label"].rpartition("-")[2]
            way = ChannelEntry("email", f"ail-{number}@example.org")
            person = ContactEntry(f"Жишээ өрхийн тэргүүн {number}", "mn", (way,))
            await merge_contacts(session, keyring, row["id"], [person])
    return count
