"""The city's part of ``utaa doctor``: what answers, what is silent, what could not be used, and why.

Nothing is made or changed: SQLite's files are opened for reading, and a folder that is not there is
reported, not created.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import func, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from alerts import health as channel_health
from edge.wire.clock import US_PER_S, clock_from_text, rfc3339
from edge.wire.errors import REASONS
from gateway.broker.files import CertificateProblem
from gateway.broker.rules import DOCTOR_TOPIC
from gateway.ingest.inbox import BrokerAddress, BrokerUnavailable, Inbox
from gateway.metrics import OWN_REASONS
from gateway.models import SetAside, SiteState
from gateway.settings import GatewaySettings
from gateway.stores.base import StoreMisconfigured, StoreUnavailable
from gateway.stores.opening import open_store
from gateway.stores.sqlite import SqliteStore
from registry.db import Database, DatabaseUnavailable
from registry.models import Detector

_BROKER_PATIENCE_S = 3.0
#: Samples shown of each reason, and so much of each payload.
_SAMPLES, _SAMPLE_BYTES = 3, 120
#: Sites shown by name; the rest are counted.
_SITES_SHOWN = 50


async def city_report(settings: GatewaySettings) -> dict[str, Any]:
    """Everything ``utaa doctor`` says of the city; never raises for what it finds broken.

    Keys: ``ok``; ``database``, ``broker``, ``store`` (each ``{"ok": bool, "what": text}`` and more);
    where the database answers also ``set_aside``, ``sites``, ``detectors``.
    """
    url = settings.effective_database_url
    database = Database(_for_reading(url))
    try:
        report: dict[str, Any] = {
            "database": await _database(database, url),
            "broker": await _broker(settings.broker),
            "store": await _store(settings),
        }
        if report["database"]["ok"]:
            try:
                async with database.read() as session:
                    report |= await _contents(session, settings)
            except (DBAPIError, OperationalError) as error:
                trouble = (
                    f"{_plain(url)}: {str(error.orig).splitlines()[0]}; was the gateway ever started?"
                )
                report["database"] = {"ok": False, "what": trouble}
    finally:
        await database.close()
    report["ok"] = all(report[part]["ok"] for part in ("database", "broker", "store"))
    return report


def _file_of(url: str) -> Path | None:
    """The file of a SQLite address."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def _for_reading(url: str) -> str:
    file = _file_of(url)
    return url if file is None else f"sqlite:///file:{quote(str(file))}?mode=ro&uri=true"


def _plain(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


async def _database(database: Database, url: str) -> dict[str, Any]:
    file = _file_of(url)
    if file is not None and not file.exists():
        return {"ok": False, "what": f"{file} does not exist; was the gateway ever started with it?"}
    try:
        await database.check()
    except DatabaseUnavailable as error:
        return {"ok": False, "what": str(error)}
    return {"ok": True, "what": _plain(url)}


async def _broker(address: BrokerAddress) -> dict[str, Any]:
    """Whether the broker lets us in; a connection that reads nothing, closed at once."""
    try:
        inbox = Inbox(name="doctor", broker=address, filters=[DOCTOR_TOPIC])
    except CertificateProblem as error:
        return {"ok": False, "what": str(error)}
    inbox.start()
    try:
        await inbox.ready(_BROKER_PATIENCE_S)
    except BrokerUnavailable as error:
        return {"ok": False, "what": str(error)}
    finally:
        await inbox.stop()
    return {"ok": True, "what": str(address)}


async def _store(settings: GatewaySettings) -> dict[str, Any]:
    store = open_store(settings)
    try:
        if isinstance(store, SqliteStore):
            if not store.folder.is_dir():
                what = f"{store.title} does not exist; does this city keep its readings elsewhere?"
                return {"ok": False, "what": what}
        else:
            await store.check()
        return {"ok": True, "what": store.title, **await store.report()}
    except (StoreUnavailable, StoreMisconfigured) as error:
        return {"ok": False, "what": str(error)}
    finally:
        await store.close()


async def _contents(session: AsyncSession, settings: GatewaySettings) -> dict[str, Any]:
    now_us = clock_from_text(os.environ.get("UTAA_CLOCK")).now_us()
    statuses = await session.execute(select(Detector.status, func.count()).group_by(Detector.status))
    return {
        "set_aside": await _set_aside(session),
        "sites": await _sites(session, now_us, int(settings.site_silent_after_s * US_PER_S)),
        "detectors": {str(status): int(number) for status, number in statuses},
        "channels": [state._asdict() for state in await channel_health.channels(session, now_us)],
    }


async def _set_aside(session: AsyncSession) -> list[dict[str, Any]]:
    """By reason: how many are kept, what it means, and the last few."""
    counts = await session.execute(
        select(SetAside.reason, func.count()).group_by(SetAside.reason).order_by(SetAside.reason)
    )
    result = []
    for reason, kept in counts.all():
        samples = await session.scalars(
            select(SetAside)
            .where(SetAside.reason == reason)
            .order_by(SetAside.id.desc())
            .limit(_SAMPLES)
        )
        result.append(
            {
                "reason": reason,
                "meaning": REASONS.get(reason) or OWN_REASONS.get(reason, ""),
                "kept": int(kept),
                "last": [_sample(row) for row in samples],
            }
        )
    return result


def _sample(row: SetAside) -> dict[str, Any]:
    begin = row.payload[:_SAMPLE_BYTES]
    text = begin.decode("utf-8", "replace")
    readable = sum(character.isprintable() for character in text) > 0.8 * len(text)
    return {
        "at": rfc3339(row.at_us),
        "topic": row.topic,
        "detail": row.detail,
        "payload": text if readable else begin.hex(" "),
        "bytes": len(row.payload),
        "cut": row.truncated,
    }


async def _sites(session: AsyncSession, now_us: int, silent_after_us: int) -> dict[str, Any]:
    """How many are in which state, and those that are not well."""
    states = await session.execute(select(SiteState.state, func.count()).group_by(SiteState.state))
    overdue = SiteState.heard_us < now_us - silent_after_us
    unwell = (SiteState.state != "online") | overdue
    rows = await session.scalars(
        select(SiteState).where(unwell).order_by(SiteState.heard_us).limit(_SITES_SHOWN)
    )
    return {
        "by_state": {str(state): int(number) for state, number in states},
        "unwell": [
            {"site": row.site_id, "state": row.state, "heard": rfc3339(row.heard_us)} for row in rows
        ],
        "config_refused": await _refused_configs(session),
    }


async def _refused_configs(session: AsyncSession) -> list[dict[str, str]]:
    """Sites whose last pulse says that they could not use their configuration."""
    found: list[dict[str, str]] = []
    for site_id, heartbeat in await session.execute(select(SiteState.site_id, SiteState.heartbeat)):
        error = (heartbeat or {}).get("config_error")
        if error and len(found) < _SITES_SHOWN:
            found.append({"site": str(site_id), "error": str(error)[:300]})
    return found
