"""A worker as a process that kills itself the first time it comes to one named point of a delivery.

    python killed_worker.py POINT DATABASE_URL SMTP_PORT NOW_US LEASE_S

Started by ``test_alerts_kills.py``. Nothing of the product knows of it: the points are wrapped from
outside.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _around(owner: Any, name: str, *, after: bool) -> None:
    real = getattr(owner, name)

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        if not after:
            die()
        result = await real(*arguments, **named)
        if result is None or result:  # a pass with nothing to do is no step of a delivery
            die()
        return result

    setattr(owner, name, wrapped)


def points() -> dict[str, Callable[[], None]]:
    """Every step of a delivery, in its order."""
    from alerts import ladder
    from alerts import worker as module
    from alerts.channels.email import EmailChannel
    from alerts.queue import Queue
    from alerts.worker import Worker

    return {
        "climbing, not committed": lambda: _around(ladder, "climb_due", after=True),
        "claimed, not committed": lambda: _around(Queue, "claim", after=True),
        "written, not committed": lambda: _around(module, "write_letters", after=True),
        "claimed, not sent": lambda: _around(EmailChannel, "send", after=False),
        "sent, not recorded": lambda: _around(EmailChannel, "send", after=True),
        "recorded, not committed": lambda: _around(Queue, "record_all", after=True),
        "recorded": lambda: _around(Worker, "_record", after=True),
    }


async def main(url: str, port: int, now_us: int, lease_s: float) -> None:
    from alerts.channels.email import EmailChannel
    from alerts.settings import SmtpSettings, WorkerSettings
    from alerts.worker import Worker
    from edge.wire.clock import ManualClock
    from registry.db import Database
    from registry.sealed import Keyring

    database = Database(url)
    mail = EmailChannel(SmtpSettings(port=port, security="none", timeout_s=5))
    worker = Worker(
        database, {"email": mail}, ManualClock(now_us), WorkerSettings(poll_s=0.05, lease_s=lease_s),
        keyring=Keyring({"k001": b"\1" * 32}),
    )  # fmt: skip
    await worker.run_until_idle()


if __name__ == "__main__":
    points()[sys.argv[1]]()
    asyncio.run(main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
