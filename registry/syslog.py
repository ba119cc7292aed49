"""The audit to a syslog server (RFC 5424), so that a copy lies where nobody of ours can alter it.

Each entry is one message with its number and hash; the newest one sent is kept as a fact of the city,
so the next run goes on after it. Over TCP and TLS messages are framed by their length (RFC 6587, RFC
5425). A server that fails between two messages is sent the last batch again: the number tells.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import select

from edge.wire.clock import rfc3339
from registry.db import Database
from registry.models import AuditEntry, CityFact
from registry.personal.classes import veiled

Transport = Literal["udp", "tcp", "tls"]
#: Facility 13, "log audit"; severity 5, "notice": RFC 5424, 6.2.1.
_PRIORITY: Final = 13 * 8 + 5
#: 32473 is the enterprise number that RFC 5612 gives to examples; ours is none.
_ELEMENT: Final = "utaa@32473"
_FACT: Final = "audit.syslog"
_BATCH: Final = 500
_TIMEOUT_S: Final = 10.0
_PORTS: Final[dict[str, int]] = {"udp": 514, "tcp": 601, "tls": 6514}


@dataclass(frozen=True)
class SyslogServer:
    """Where to: ``parse("host:port", "tls")``."""

    host: str
    port: int
    transport: Transport

    @classmethod
    def parse(cls, text: str, transport: Transport) -> SyslogServer:
        """Raises ``ValueError`` that says what was expected."""
        host, colon, port = text.rpartition(":")
        if not colon:
            host, port = text, str(_PORTS[transport])
        if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise ValueError(f"{text!r} is no server; expected host or host:port")
        return cls(host.strip("[]"), int(port), transport)


def message(entry: AuditEntry, hostname: str) -> bytes:
    """One entry as RFC 5424 writes it: header, structured data, and what changed as JSON."""
    data = {
        "id": entry.id, "hash": entry.hash, "previous": entry.previous_hash, "actor": entry.actor,
        "origin": entry.origin, "kind": entry.object_kind, "object": entry.object_id,
    }  # fmt: skip
    said = " ".join(f'{name}="{_quoted(str(value))}"' for name, value in data.items())
    said_of = {
        "before": veiled(entry.object_kind, entry.before),
        "after": veiled(entry.object_kind, entry.after),
        "reason": entry.reason,
        "batch_id": entry.batch_id,
    }
    more = {name: value for name, value in said_of.items() if value is not None}
    # the text is ASCII: JSON escapes the rest, so no byte order mark is due
    text = json.dumps(more, sort_keys=True) if more else ""
    head = f"<{_PRIORITY}>1 {rfc3339(entry.at_us)} {hostname} utaa - {_word(entry.action)}"
    return f"{head} [{_ELEMENT} {said}] {text}".rstrip().encode()


async def export(
    database: Database, server: SyslogServer, context: ssl.SSLContext | None = None
) -> int:
    """Send what was not sent yet. Returns how many. Raises ``OSError`` (also in time-outs)."""
    hostname, sent = _word(socket.gethostname(), 255), 0
    wire: _Wire | None = None
    try:
        while batch := await _next(database):
            wire = wire or await _connect(server, context)
            await wire.send([message(entry, hostname) for entry in batch])
            await _note(database, batch[-1].id)
            sent += len(batch)
    finally:
        if wire is not None:
            await wire.close()
    return sent


async def _next(database: Database) -> list[AuditEntry]:
    async with database.read() as session:
        kept = await session.scalar(select(CityFact.value).where(CityFact.name == _FACT))
        wanted = select(AuditEntry).where(AuditEntry.id > int(kept or 0))
        return list(await session.scalars(wanted.order_by(AuditEntry.id).limit(_BATCH)))


async def _note(database: Database, last_id: int) -> None:
    async with database.write() as session:
        await session.merge(CityFact(name=_FACT, value=str(last_id)))


class _Wire:
    """A stream, framed by length; or datagrams, one message each."""

    def __init__(
        self, writer: asyncio.StreamWriter | None, datagrams: asyncio.DatagramTransport | None
    ) -> None:
        self._writer, self._datagrams = writer, datagrams

    async def send(self, messages: list[bytes]) -> None:
        for each in messages:
            if self._datagrams is not None:
                self._datagrams.sendto(each)
            elif self._writer is not None:
                self._writer.write(b"%d %s" % (len(each), each))
        if self._writer is not None:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._writer.drain()

    async def close(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
        if self._writer is not None:
            self._writer.close()
            async with asyncio.timeout(_TIMEOUT_S):
                await self._writer.wait_closed()


async def _connect(server: SyslogServer, context: ssl.SSLContext | None) -> _Wire:
    if server.transport == "udp":
        datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(server.host, server.port)
        )
        return _Wire(None, datagrams)
    secure = (context or ssl.create_default_context()) if server.transport == "tls" else None
    async with asyncio.timeout(_TIMEOUT_S):
        _, writer = await asyncio.open_connection(server.host, server.port, ssl=secure)
    return _Wire(writer, None)


def _quoted(text: str) -> str:
    r"""A parameter's value: ``"``, ``\`` and ``]`` are escaped (RFC 5424, 6.3.3), controls are gone."""
    plain = "".join(each if each.isprintable() else "?" for each in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _word(text: str, longest: int = 32) -> str:
    """A header's field: printable ASCII without spaces, or a dash."""
    return "".join(each for each in text if "!" <= each <= "~")[:longest] or "-"
