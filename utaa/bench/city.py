"""Filling a city's register for a bench: sites, homes with one contact each, detectors.

Straight into the database, tens of thousands at a time; what is measured comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from edge.wire.clock import SystemClock
from edge.wire.identity import detector_id, new_id
from registry.db import Base, Database
from registry.households import ADDRESS, CHANNEL_ADDRESS, CONTACT_NAME
from registry.identity import Identity
from registry.models import Contact, ContactChannel, Detector, Household, Site
from registry.sealed import Keyring, ensure_keyring
from utaa.onebox import OneBox

_CHUNK, _TRANSACTION = 500, 5_000
ROLES = ("administrator", "registrar", "duty")


@dataclass(frozen=True)
class Home:
    """One detector and, where it has an address, whom it wakes."""

    site: str
    detector: str
    mail: str | None = None


async def register(box: OneBox, homes: Iterable[Home]) -> None:
    """Enter the sites of these homes, the homes and their detectors. The schema must be there."""
    database = Database(box.database_url)
    try:
        keyring = ensure_keyring(key_file(box.gateway_data))
        await _enter(database, keyring, list(homes))
    finally:
        await database.close()


def key_file(gateway_data: Path) -> Path:
    """Where a gateway of the one box keeps its keys."""
    return gateway_data / "keys"


async def _enter(database: Database, keyring: Keyring, homes: Sequence[Home]) -> None:
    now_us = SystemClock().now_us()
    sites = [
        {"id": site, "title": site, "config_version": 1, "alarm_settings": {}, "output_settings": {},
         "created_us": now_us}
        for site in dict.fromkeys(home.site for home in homes)
    ]  # fmt: skip
    rows: dict[type[Base], list[dict[str, Any]]] = {
        Site: sites, Household: [], Contact: [], ContactChannel: [], Detector: [],
    }  # fmt: skip
    for home in homes:
        _describe(home, keyring, rows, now_us)
    # some thousand rows of one transaction: the gateway runs already and writes too
    for table, values in rows.items():
        for first in range(0, len(values), _TRANSACTION):
            async with database.write() as session:
                for start in range(first, min(first + _TRANSACTION, len(values)), _CHUNK):
                    await session.execute(insert(table), values[start : start + _CHUNK])


def _describe(
    home: Home, keyring: Keyring, rows: dict[type[Base], list[dict[str, Any]]], now_us: int
) -> None:
    household = contact = None
    if home.mail is not None:
        household, contact = new_id(), new_id()
        rows[Household].append(
            {"id": household, "label": f"{home.site} {home.detector}", "site_id": home.site,
             "address": keyring.seal("Жишээ гудамж 1", ADDRESS), "language": "mn",
             "created_us": now_us}
        )  # fmt: skip
        rows[Contact].append(
            {"id": contact, "household_id": household, "name": keyring.seal("Жишээ", CONTACT_NAME),
             "language": "mn", "position": 1}
        )  # fmt: skip
        rows[ContactChannel].append(
            {"id": new_id(), "contact_id": contact, "channel": "email",
             "address": keyring.seal(home.mail, CHANNEL_ADDRESS),
             "address_fingerprint": keyring.fingerprint(home.mail, CHANNEL_ADDRESS).hex()}
        )  # fmt: skip
    rows[Detector].append(
        {"id": detector_id(home.site, "native", home.detector), "site_id": home.site,
         "source": "native", "address": home.detector, "status": "in_service",
         "household_id": household, "place": "", "alarm_settings": {}, "registered_us": now_us}
    )  # fmt: skip


async def token(box: OneBox) -> str:
    """A key to the API for the bench itself."""
    database = Database(box.database_url)
    try:
        return await Identity(database, SystemClock()).new_token("bench", ROLES, days=1)
    finally:
        await database.close()
