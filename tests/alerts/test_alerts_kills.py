"""A worker killed by SIGKILL at every step of a delivery, on every rung; two others go on.

Nothing is told twice on one rung, nobody is forgotten without a line that says so, the ladder goes on
from its step to the desk.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts import explain
from alerts.channels.email import EmailChannel
from alerts.models import CapMessage, Delivery, Notification
from alerts.queue import FINAL_STATES
from alerts.settings import SmtpSettings, WorkerSettings
from tests.alerts.city import MAILS, Town
from tests.alerts.killed_worker import points
from tests.alerts.simulators import Smtp
from tests.alerts.test_alerts_escalation import DESK, DUTY, NEIGHBOUR, staffed

SCRIPT = Path(__file__).with_name("killed_worker.py")
LEASE_S = 20.0
RUNG_AFTER_S = {0: 0, 1: 61, 2: 181}
#: Each takes a process of its own; the others are part of ``make soak``.
BEFORE_THE_CLAIM = (
    "climbing, not committed", "claimed, not committed", "written, not committed",
)  # fmt: skip
ALWAYS = {(1, "sent, not recorded"), (2, "climbing, not committed")}


def chosen() -> list[Any]:
    return [
        pytest.param(
            rung, point, id=f"rung {rung}, {point}",
            marks=[] if (rung, point) in ALWAYS else [pytest.mark.soak],
        )
        for rung in RUNG_AFTER_S
        for point in points()
        if rung or "climbing" not in point
    ]  # fmt: skip


async def _pass(town: Town, port: int, workers: int = 1) -> None:
    """So many workers side by side, until nothing is due."""
    settings = WorkerSettings(poll_s=0.05, lease_s=LEASE_S)
    mails = [
        EmailChannel(SmtpSettings(port=port, security="none", timeout_s=5)) for _ in range(workers)
    ]
    await asyncio.gather(*(town.worker(m, settings=settings).run_until_idle() for m in mails))
    for mail in mails:
        await mail.close()


async def _killed(town: Town, url: str, port: int, point: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), point, url, str(port), str(town.clock.now_us()), str(LEASE_S),
        cwd=SCRIPT.parents[2], stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()[-2000:]


@pytest.mark.parametrize(("rung", "point"), chosen())
async def test_killed_there_two_others_go_on_and_nobody_is_told_twice(
    any_town: Town, database_url: str, rung: int, point: str
) -> None:
    town = await staffed(any_town)
    smtp = Smtp()
    await smtp.start()
    port = int(smtp.origin.rpartition(":")[2])
    await town.alarm()
    began = 0
    for number, after_s in RUNG_AFTER_S.items():
        town.clock.advance(timedelta(seconds=after_s - began))
        began = after_s
        if number == rung:
            await _killed(town, database_url, port, point)
            await _pass(town, port, workers=2)  # while the dead one's lease still holds
            town.clock.advance(timedelta(seconds=LEASE_S + 1))
            began += LEASE_S + 1
        await _pass(town, port, workers=2)
    mails = Counter(mail["to"] for mail in smtp.taken)
    most = {MAILS[0]: 2, MAILS[1]: 2, NEIGHBOUR: 1, DUTY: 1, DESK: 1}
    assert set(mails) <= set(most)
    assert all(mails[address] <= count for address, count in most.items()), mails
    # whoever is not told on a rung has a line that says so; the ladder ends at the desk
    deliveries = await town.all(Delivery)
    assert all(one.state in FINAL_STATES for one in deliveries)
    async with town.database.read() as session:
        dead = await explain.dead_letters(session)
    assert sum(mails.values()) + len(dead) >= len(deliveries)
    assert {one.rung for one in await town.all(Notification)} == {0, 1, 2}
    assert {one.number for one in await town.all(CapMessage)} == {1}
    if point in BEFORE_THE_CLAIM:  # later, other messages may be on their way: nobody can say
        assert mails == most
    await smtp.stop()
