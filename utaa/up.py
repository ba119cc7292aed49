"""``utaa up``: broker, city and one site on this machine, kept in a folder; the way in for one home.

What the demo does with simulated homes, for real detectors: they publish to the broker, and
everything they say is on the page a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from utaa.onebox import OneBox, Plan

_LOOK_S = 0.5


async def run_up(
    *,
    folder: Path,
    site: str,
    port: int,
    broker_port: int,
    listen: str,
    sources: Sequence[str],
    say: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Run until ``stop``. Raises ``ServerError`` with one line for the user."""
    has_mail = any(name.startswith("UTAA_ALERTS_SMTP__") for name in os.environ)
    plan = Plan(
        folder=folder,
        sites=(site,),
        port=port,
        broker_per_site=False,
        broker_port=broker_port,
        broker_host=listen,
        persistent=True,
        smtp_port=0 if has_mail or "UTAA_CONFIG" in os.environ else None,
        edge_env={"UTAA_EDGE_SOURCES": json.dumps([{"name": name} for name in sources])},
    )
    async with OneBox(plan, say=say) as box:
        said_before = _size(box.log_of("gateway"))
        gateway = await box.start_gateway()
        box.start_edge(site)
        say(f"the page      {box.url}/")
        say(f"detectors     publish to mqtt://{listen}:{broker_port}, site {site}")
        if box.mailbox:
            say(f"the mailbox   {box.mailbox.url} (no mail server is configured; mails stay here)")
        if code := _setup_line(gateway.log, said_before):
            say(code)
        while not stop.is_set():
            box.check()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_S)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _setup_line(log: Path, said_before: int) -> str | None:
    """What this start of the gateway says of a first administrator; None when there is one."""
    said = log.read_bytes()[said_before:].decode(errors="replace").splitlines()
    return next((line.partition(": ")[2] for line in said if "first start" in line), None)
