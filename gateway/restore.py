"""A new id for the city's store, after its database or readings came from a backup.

Edges keep what they sent for a week. They send it again when an acknowledgement names a store they do
not know: so a restored city must not answer under the id it had.
"""

from __future__ import annotations

import os

from alerts.restore import Restored, after_restore
from edge.wire.clock import clock_from_text
from edge.wire.identity import new_id
from gateway import schema
from gateway.city import STORE_FACT
from gateway.settings import GatewaySettings
from registry import audit
from registry.db import Database
from registry.models import CityFact
from registry.rights import SYSTEM


async def new_store_id(settings: GatewaySettings) -> tuple[str, Restored]:
    """Give the store a new id. The gateway must not run.

    Raises ``DatabaseUnavailable`` or ``SchemaError``.
    """
    now_us = clock_from_text(os.environ.get("UTAA_CLOCK")).now_us()
    database = Database(settings.effective_database_url)
    try:
        await database.check()
        await schema.upgrade(database)
        async with database.write() as session:
            store, before = new_id(), await session.get(CityFact, STORE_FACT)
            await session.merge(CityFact(name=STORE_FACT, value=store))
            restored = await after_restore(session, now_us)
            await audit.append(
                session,
                actor=SYSTEM,
                action="city.new_store_id",
                object_kind="city",
                object_id=store,
                now_us=now_us,
                origin="command line",
                before={"store": before.value} if before else None,
                after={"store": store, "withdrawn": restored.withdrawn},
            )
    finally:
        await database.close()
    return store, restored
