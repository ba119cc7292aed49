"""The audit at a syslog server: every entry once and in order, also after a failure."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import audit
from registry.db import Database
from registry.models import AuditEntry
from registry.rights import Actor
from registry.syslog import SyslogServer, export, message
from tests.servers import until

LINE = re.compile(
    rb"<109>1 \d{4}-\d\d-\d\dT[\d:.]+Z [!-~]+ utaa - [!-~]{1,32} \[utaa@32473"
    rb'( [a-z]+="([^"\\\]]|\\["\\\]])*")+\]( \{.*\})?',
    re.DOTALL,
)


async def _enter(database: Database, count: int) -> None:
    async with database.write() as session:
        for number in range(count):
            await audit.append(
                session, actor=Actor("x", "staff"), action="person.create", object_kind="person",
                object_id=f"p{number}", now_us=1_800_000_000_000_000, after={"n": number},
            )  # fmt: skip


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_of_an_entry_breaks_out_of_its_message(actor: str, object_id: str) -> None:
    entry = AuditEntry(
        id=1, at_us=1_800_000_000_000_000, actor=actor, origin='"] x', action="a.b", object_kind="k",
        object_id=object_id, before=None, after={"x": actor}, reason=object_id, batch_id=None,
        previous_hash="0", hash="1",
    )  # fmt: skip
    made = message(entry, "host")
    assert LINE.fullmatch(made), made
    assert b"\n" not in made


async def test_entries_go_once_and_the_next_run_goes_on(database: Database) -> None:
    got = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = SyslogServer.parse(f"127.0.0.1:{port}", "tcp")
        await _enter(database, 3)
        assert await export(database, server) == 3
        assert await export(database, server) == 0
        await _enter(database, 2)
        assert await export(database, server) == 2
        await until(lambda: got.count(b"<109>1 ") == 5, "five messages")
    assert re.findall(rb' id="(\d+)"', got) == [b"1", b"2", b"3", b"4", b"5"]
    rest, messages = bytes(got), []
    while rest:  # RFC 6587: length, space, message
        length, _, rest = rest.partition(b" ")
        messages.append(rest[: int(length)])
        rest = rest[int(length) :]
    assert all(LINE.fullmatch(each) for each in messages)


async def test_what_a_dead_server_did_not_take_is_sent_later(database: Database) -> None:
    await _enter(database, 1)
    async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
    with pytest.raises(OSError):
        await export(database, SyslogServer.parse(f"127.0.0.1:{port}", "tcp"))
    loop, heard = asyncio.get_running_loop(), []

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.append(data)

    transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    assert await export(database, SyslogServer.parse(f"127.0.0.1:{port}", "udp")) == 1
    await until(lambda: heard, "a datagram")
    assert LINE.fullmatch(heard[0])
    transport.close()


@pytest.mark.parametrize("text", ["", ":514", "host:", "host:x", "host:70000"])
def test_a_server_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected host"):
        SyslogServer.parse(text, "tcp")
