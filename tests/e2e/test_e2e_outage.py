"""The city's broker is cut for a while: what is over is history, what lasts pages at once.

Edge and city run on clocks three hundred times as fast, the edge's also a day wrong: its age at sending
decides, not its wall clock.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from alerts.models import Incident, Notification
from edge.spool.inspection import inspect
from edge.wire.clock import ScaledClock
from edge.wire.topics import detector_topic
from registry.db import Database
from tests.e2e.house import SITE, House, house
from tests.servers import SmtpServer, until

pytestmark = [pytest.mark.timeout(150), pytest.mark.servers]

FACTOR = 300.0
HOUR_S = 3600.0


async def say(home: House, address: str, **values: object) -> None:
    await home.publish(detector_topic(address, "reading"), json.dumps(values))


def active(home: House) -> set[str]:
    return {alarm["kind"] for alarm in inspect(home.box.edge_data(SITE))["active_alarms"]}


async def told(home: House) -> dict[str, tuple[bool, str, list[str]]]:
    """By hazard: whether it is history, its state, and the messages of it in order."""
    database = Database(home.box.database_url)
    try:
        async with database.read() as session:
            rows = await session.execute(
                select(Incident.hazard, Incident.history, Incident.state, Notification.message)
                .join(Notification, Notification.incident_id == Incident.id)
                .order_by(Notification.created_us)
            )
            found: dict[str, tuple[bool, str, list[str]]] = {}
            for hazard, history, state, message in rows:
                found.setdefault(hazard, (history, state, []))[2].append(message)
            return found
    finally:
        await database.close()


@pytest.mark.parametrize("wrong_h", [0, 23, -25], ids=["right", "a day ahead", "a day behind"])
async def test_after_an_outage_what_is_over_wakes_nobody_and_what_lasts_pages_at_once(
    tmp_path: Path, smtp: SmtpServer, wrong_h: int
) -> None:
    now_s = time.time()
    city = ScaledClock(now_s, now_s, FACTOR)
    edge = ScaledClock(now_s, now_s + wrong_h * HOUR_S, FACTOR)
    async with house(
        tmp_path,
        smtp,
        edge_env={"UTAA_CLOCK": edge.as_text()},
        gateway_env={
            "UTAA_CLOCK": city.as_text(),
            "UTAA_GATEWAY_SITE_SILENT_AFTER_S": str(100 * HOUR_S),
        },
    ) as home:
        await say(home, "smoke-1", smoke_alarm=False)
        await home.box.city_broker.stop()
        await say(home, "smoke-1", smoke_alarm=True)
        await until(lambda: active(home) == {"smoke"}, "the edge's own alarm")
        lasted_s = city.now_us()
        await until(lambda: city.now_us() - lasted_s > 400_000_000, "it lasts some minutes")
        await say(home, "smoke-1", smoke_alarm=False)
        await until(lambda: active(home) == set(), "it is over")
        await say(home, "co-1", co_alarm=True, co_ppm=300.0)
        await until(lambda: "co" in active(home), "an alarm that lasts")
        since_us = city.now_us()
        await until(lambda: city.now_us() - since_us > 900_000_000, "a quarter of an hour goes by")
        assert smtp.mails == []
        await home.box.city_broker.start()

        async def both() -> bool:
            return {"fire", "co"} <= (await told(home)).keys()

        await until(both, "both told", 60)
        found = await told(home)
        assert found["fire"] == (True, "all_clear", ["history"])
        history, state, messages = found["co"]
        assert (history, state, messages[0]) == (False, "opened", "co")
        await smtp.wait_for(2, 40)
