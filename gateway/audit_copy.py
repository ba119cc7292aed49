"""The audit to a syslog server while the city runs: one process at a time, behind everything else.

A server that is away is tried again, later and later; what was not sent yet waits in the database,
where the position is kept too. Nothing of the city waits for it.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from edge.wire.identity import new_id
from gateway import leases
from gateway.city import City
from registry.syslog import SyslogServer, export

log = structlog.get_logger()

LEASE: Final = "audit.syslog"
#: New entries are looked for this often (real seconds).
EVERY_S: Final = 2.0
#: After a failure twice as long as before, up to this.
LONGEST_S: Final = 60.0


class AuditCopy:
    """Sends what the audit has that the server has not."""

    def __init__(
        self, city: City, server: SyslogServer, ca_file: Path | None = None, *, every_s: float = EVERY_S
    ) -> None:
        self._city, self._server, self._every_s = city, server, every_s
        self._tls = None
        if server.transport == "tls":
            self._tls = ssl.create_default_context(cafile=ca_file)
        self._holder = new_id()
        self._failing = False

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = self._every_s
        while True:
            try:
                await self.once()
            except (OSError, SQLAlchemyError, DBAPIError) as error:
                if not self._failing:  # once an outage, not once a try
                    log.warning("audit_copy.waiting", error=type(error).__name__)
                self._failing = True
                pause_s = min(2 * pause_s, LONGEST_S)
            else:
                if self._failing:
                    log.info("audit_copy.again")
                self._failing, pause_s = False, self._every_s
            await asyncio.sleep(pause_s)

    async def once(self) -> int:
        """Send what is due, if no other process does; how many. Raises ``OSError``, the database's."""
        async with self._city.database.write() as session:
            if not await leases.hold(session, LEASE, self._holder, self._city.clock):
                return 0
        return await export(self._city.database, self._server, self._tls)
