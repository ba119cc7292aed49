"""The audit's copy leaves while the city runs, and goes on after the server was away."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

from gateway.audit_copy import LEASE, AuditCopy
from gateway.city import City
from gateway.leases import hold
from gateway.settings import GatewaySettings
from registry import audit
from registry.rights import Actor
from registry.syslog import SyslogServer
from tests.servers import until


class Receiver:
    """A syslog server that can go away and come back at its port."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            self.got.extend(part)
        writer.close()

    def numbers(self) -> list[int]:
        return [int(found) for found in re.findall(rb' object="p(\d+)"', bytes(self.got))]


async def _enter(city: City, *numbers: int) -> None:
    async with city.database.write() as session:
        for number in numbers:
            await audit.append(
                session, actor=Actor("x", "staff"), action="person.create", object_kind="person",
                object_id=f"p{number}", now_us=city.clock.now_us(),
            )  # fmt: skip


async def test_the_copy_follows_the_audit_and_goes_on_after_an_outage(city: City) -> None:
    receiver = Receiver()
    await receiver.open()
    server = SyslogServer.parse(f"127.0.0.1:{receiver.port}", "tcp")
    running = asyncio.create_task(AuditCopy(city, server, every_s=0.02).run())
    await _enter(city, 1, 2)
    await until(lambda: receiver.numbers() == [1, 2], "the first two")
    await receiver.close()
    await _enter(city, 3)  # the city goes on, whoever is away
    await receiver.open()
    await _enter(city, 4)
    await until(lambda: receiver.numbers() == [1, 2, 3, 4], "those of the outage, once and in order")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await receiver.close()


async def test_one_process_sends_at_a_time(city: City) -> None:
    receiver = Receiver()
    await receiver.open()
    server = SyslogServer.parse(f"127.0.0.1:{receiver.port}", "tcp")
    await _enter(city, 1)
    async with city.database.write() as session:
        assert await hold(session, LEASE, "another", city.clock)
    assert await AuditCopy(city, server).once() == 0
    await receiver.close()
    assert receiver.numbers() == []


@pytest.mark.parametrize("server", ["", ":514", "host:x", "host:70000"])
def test_a_syslog_server_that_is_none_stops_the_start(server: str) -> None:
    with pytest.raises(ValueError, match="expected host"):
        GatewaySettings(audit_syslog=server)
