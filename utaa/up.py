"""``utaa up``: broker, city and one site on this machine, kept in a folder; the way in for one home.

What the demo does with simulated homes, for real detectors: they publish to the broker, and
everything they say is on the page a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import sources as protocols
from edge.wire.identity import check_site
from utaa.hold import Hold
from utaa.keeper import Keeper
from utaa.onebox import OneBox, Plan
from utaa.ports import LOCALHOST, MAX_PORT, ServerError, lan_address
from utaa.servers import Child
from utaa.settings_file import write_settings

_LOOK_S = 0.5
#: The source that is always listened to, and what comes beside it when nothing was asked for.
_ALWAYS, _USUALLY = "native", "zigbee2mqtt"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for."""

    folder: Path
    site: str = "home"
    host: str = LOCALHOST
    port: int = 8080
    listen: str = LOCALHOST
    broker_port: int = 1883
    further_sources: Sequence[str] = ()

    @property
    def sources(self) -> list[str]:
        """What is listened to: native, and what was named."""
        return list(dict.fromkeys((_ALWAYS, *(self.further_sources or (_USUALLY,)))))

    def check(self) -> None:
        """Raises ``ServerError`` with one line for what cannot be, before anything is started."""
        for option, port in (("--port", self.port), ("--broker-port", self.broker_port)):
            if not 0 < port <= MAX_PORT:
                raise ServerError(f"{option} {port}: expected 1 to {MAX_PORT}")
        try:
            check_site(self.site)
        except ValueError as error:
            raise ServerError(f"--site {self.site}: {error}") from None
        for name in self.sources:
            try:
                protocols.build(name, self.site)
            except ValueError as error:
                raise ServerError(f"--source {name}: {error}") from None


async def run_up(wish: Wish, *, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run until ``stop``. Raises ``ServerError`` with one line for the user."""
    wish.check()
    folder = wish.folder.absolute()
    with Hold(folder, "--data"):
        async with OneBox(_plan(wish, folder), say=say) as box:
            gateway = await box.start_gateway()
            box.start_edge(wish.site)
            settings = write_settings(box, wish.site, wish.sources)
            _greet(wish, box, settings, say)
            keeper = Keeper(box, say)
            greeted = _say_setup(gateway, box, say)
            while not stop.is_set():
                keeper.look()
                if box.rooms["gateway"] is not gateway and not greeted:
                    greeted = _say_setup(box.rooms["gateway"], box, say)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_S)


def _plan(wish: Wish, folder: Path) -> Plan:
    has_mail = any(name.startswith("UTAA_ALERTS_SMTP__") for name in os.environ)
    return Plan(
        folder=folder,
        sites=(wish.site,),
        host=wish.host,
        port=wish.port,
        link_to_page=False,
        broker_per_site=False,
        broker_port=wish.broker_port,
        broker_listen=wish.listen,
        persistent=True,
        smtp_port=0 if has_mail or "UTAA_CONFIG" in os.environ else None,
        edge_env={"UTAA_EDGE_SOURCES": json.dumps([{"name": name} for name in wish.sources])},
    )


def _greet(wish: Wish, box: OneBox, settings: Path, say: Callable[[str], None]) -> None:
    """Where everything is, as somebody else must write it."""
    only_here = " (this machine only)" if wish.listen == LOCALHOST else ""
    say(f"the page      {box.url_for_others}/")
    say(
        f"detectors     publish to mqtt://{lan_address(wish.listen)}:{wish.broker_port}{only_here},"
        f" site {wish.site}, sources {', '.join(wish.sources)}"
    )
    if box.mailbox:
        say(f"the mailbox   {box.mailbox.url} (no mail server is configured; mails stay here)")
    relative = os.path.relpath(settings)
    shown = settings if relative.startswith("..") else relative
    say(f"how is it?    utaa doctor --config {shown}")
    say(f"whose is it?  utaa registry import home.toml --config {shown}")


def _say_setup(gateway: Child, box: OneBox, say: Callable[[str], None]) -> bool:
    """Tell of the first administrator if this start of the gateway did; whether it did."""
    for line in gateway.said():
        if found := re.search(r"first start; .* with the code (\S+)", line):
            say(f"first start   open {box.url_for_others}/setup and enter the code {found[1]}")
            return True
    return False
