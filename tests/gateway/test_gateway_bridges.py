"""A bridge is the way to detectors, not one of them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

import alerts.models  # noqa: F401  # its tables belong to the metadata
import gateway.models  # noqa: F401  # and its
from edge.wire.identity import detector_id
from edge.wire.messages import DeviceFact
from gateway.ingest.sites import apply_device
from registry.db import Database
from registry.models import Detector, Site
from tests.made import make_tables


async def test_a_bridge_does_not_join_the_list_of_unregistered_detectors(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/city.db")
    await make_tables(database)
    async with database.write() as session:
        session.add(Site(id="s1", created_us=1))
        await session.flush()
        for role in ("bridge", "detector"):
            name = detector_id("s1", "zigbee2mqtt", role)
            fact = DeviceFact(
                detector=name, source="zigbee2mqtt", address=role, online=True, role=role  # type: ignore[arg-type]
            )  # fmt: skip
            await apply_device(session, "s1", fact, now_us=1)
        addresses = (await session.scalars(select(Detector.address))).all()
        assert addresses == ["detector"]
        assert await session.scalar(select(func.count()).select_from(Site)) == 1
    await database.close()
