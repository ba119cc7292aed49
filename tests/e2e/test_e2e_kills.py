"""The city's process, killed by SIGKILL at every commit point of the ingest, and started again.

One house lives through all of it. For each point a home of its own sends readings and a fire; the
gateway dies on the way; the next one must hold every reading once, one incident and one mail.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from edge.wire.identity import detector_id
from edge.wire.topics import detector_topic
from tests.e2e.house import SITE, House, house
from tests.e2e.killed_gateway import points
from tests.servers import SmtpServer, until
from utaa.servers import Child

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.servers,
    pytest.mark.asyncio(loop_scope="module"),
]

SCRIPT = Path(__file__).with_name("killed_gateway.py")
SINCE = {"from": "2025-01-01T00:00:00Z"}
#: An edge asks again at the latest after this long (``edge.link.window.RESEND_CAP_S``) and a quarter.
ASKED_AGAIN_S = 160.0
READINGS = [1.5, 2.5, 3.5, 4.5]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("kills")
    smtp = SmtpServer(folder)
    await smtp.start()
    async with house(folder, smtp) as running:
        yield running
    await smtp.stop()


async def a_home(home: House, name: str) -> str:
    """A household with one detector that is told by mail; the detector's id."""
    channel = {"channel": "email", "address": f"{name}@example.org"}
    contact = {"name": "Жишээ", "channels": [channel]}
    household = await home.api.post(
        "/households",
        {"label": name, "site_id": SITE, "address": f"Жишээ гудамж {name}", "contacts": [contact]},
    )
    detector = {"source": "native", "address": name, "household_id": household["id"]}
    await home.api.post("/detectors", {"site_id": SITE, "detectors": [detector]})
    return detector_id(SITE, "native", name)


#: Each point takes two starts of a gateway; the others are part of ``make soak``.
ALWAYS = {
    "frames: inside the store's transaction",
    "frames: stored, not acknowledged",
    "latest: left unwritten",
    "events: inside the transaction",
    "events: committed, not acknowledged",
}


def chosen() -> list[Any]:
    """Every point with its number; the less telling ones only in the long run."""
    return [
        pytest.param(number, point, marks=[] if point in ALWAYS else [pytest.mark.soak], id=point)
        for number, point in enumerate(points())
    ]


@pytest.mark.parametrize(("number", "point"), chosen())
async def test_killed_there_the_next_process_has_everything_once(
    home: House, number: int, point: str
) -> None:
    name = f"room-{number}"
    detector = await a_home(home, name)
    await home.box.stop_room("gateway")
    dying = Child("dying", home.box.log_of("dying"), env=home.box._gateway_env())
    dying.spawn([sys.executable, str(SCRIPT), point])
    try:
        for co_ppm in READINGS:
            await home.publish(detector_topic(name, "reading"), json.dumps({"co_ppm": co_ppm}))
        await home.publish(detector_topic(name, "reading"), json.dumps({"smoke_alarm": True}))
        await until(lambda: not dying.alive, f"dead at {point!r}", 40)
    finally:
        await dying.stop()
        home.box.rooms.pop("gateway", None)
        await home.box.start_gateway()
    assert dying.returncode == -signal.SIGKILL, dying.tail()
    path = f"/detectors/{detector}/readings"

    async def complete() -> bool:
        page = await home.api.get(path, **SINCE)
        return len(page["items"]) >= len(READINGS) + 1

    async def told() -> list[str]:
        return [
            str(mail.message["subject"])
            for mail in home.smtp.mails
            if mail.recipients == [f"{name}@example.org"] and mail.message["X-Utaa-Rung"] == "0"
        ]

    async def newest_shown() -> bool:
        shown = [item async for item in home.api.items("/latest", site=SITE)]
        return any(one["detector"] == detector and "smoke_alarm" in one["flags"] for one in shown)

    await until(complete, "every reading stored", ASKED_AGAIN_S)
    await until(told, "the mail", ASKED_AGAIN_S)
    await until(newest_shown, "the newest reading shown", 40)
    page = await home.api.get(path, **SINCE)
    values = [item["values"].get("co_ppm") for item in page["items"]]
    assert values == [*READINGS, None]
    mine = [one async for one in home.api.items("/incidents") if one["subject_kind"] == "household"]
    labels = [one for one in mine if await _is_of(home, one["id"], detector)]
    assert len(labels) == 1
    assert len(await told()) == 1


async def _is_of(home: House, incident: str, detector: str) -> bool:
    return detector in json.dumps(await home.api.get(f"/incidents/{incident}"))
