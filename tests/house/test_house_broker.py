"""One contract, two brokers: Mosquitto and the embedded one behave alike towards our clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import missing, until
from utaa import mqtt
from utaa.servers import EmbeddedBroker, Mosquitto, answers, free_port

AnyBroker = Mosquitto | EmbeddedBroker


@pytest.fixture(params=[Mosquitto, EmbeddedBroker], ids=["mosquitto", "embedded"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyBroker]:
    if request.param is Mosquitto and not Mosquitto.installed():
        missing("Mosquitto is not installed: sudo apt-get install mosquitto")
    async with request.param(tmp_path / "broker") as server:
        yield server


def _client(broker: AnyBroker, name: str, **options: object) -> aiomqtt.Client:
    return aiomqtt.Client(broker.host, broker.port, identifier=name, **options)  # type: ignore[arg-type]


async def _take(client: aiomqtt.Client, count: int) -> list[aiomqtt.Message]:
    async with asyncio.timeout(20):
        messages = aiter(client.messages)
        return [await anext(messages) for _ in range(count)]


async def _nothing_more(client: aiomqtt.Client, broker: AnyBroker) -> None:
    """A marker sent after everything else is the next thing to arrive."""
    await client.subscribe("marker", qos=1)
    await client.publish("marker", b"", qos=1)
    assert [str(m.topic) for m in await _take(client, 1)] == ["marker"]


async def test_messages_of_quality_1_arrive_all_and_in_order(broker: AnyBroker) -> None:
    async with _client(broker, "reader") as reader, _client(broker, "writer") as writer:
        await reader.subscribe("a/+/c", qos=1)
        for n in range(500):
            await writer.publish(f"a/{n % 3}/c", b"%d" % n, qos=1)
        got = await _take(reader, 500)
    assert [int(m.payload) for m in got] == list(range(500))
    assert {m.qos for m in got} == {1}


async def test_a_retained_message_meets_a_later_subscriber_and_is_marked(broker: AnyBroker) -> None:
    async with _client(broker, "writer") as writer:
        await writer.publish("state/a", b"on", qos=1, retain=True)
        await writer.publish("state/b", b"on", qos=1, retain=True)
        await writer.publish("state/b", b"", qos=1, retain=True)
        await writer.publish("other", b"x", qos=1, retain=True)
    async with _client(broker, "reader") as reader:
        await reader.subscribe("state/#", qos=1)
        (message,) = await _take(reader, 1)
        assert (str(message.topic), message.payload, message.retain) == ("state/a", b"on", True)
        await _nothing_more(reader, broker)


async def test_a_live_message_to_a_subscriber_is_not_marked_retained(broker: AnyBroker) -> None:
    async with _client(broker, "one") as client:
        await client.subscribe("state", qos=1)
        await client.publish("state", b"on", qos=1, retain=True)
        assert not (await _take(client, 1))[0].retain


async def test_a_client_that_vanishes_leaves_its_last_will(broker: AnyBroker) -> None:
    will = aiomqtt.Will("status/site", b"offline", qos=1, retain=True)
    async with _client(broker, "reader") as reader:
        await reader.subscribe("status/#", qos=1)
        vanishing = _client(broker, "site", will=will)
        await vanishing.__aenter__()
        sock = vanishing._client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)
        assert (await _take(reader, 1))[0].payload == b"offline"
        with contextlib.suppress(aiomqtt.MqttError):
            await vanishing.__aexit__(None, None, None)
    async with _client(broker, "later") as later:
        await later.subscribe("status/site", qos=1)
        assert (await _take(later, 1))[0].retain


async def test_a_client_that_says_goodbye_leaves_no_will(broker: AnyBroker) -> None:
    will = aiomqtt.Will("status/site", b"offline", qos=1)
    async with _client(broker, "reader") as reader:
        await reader.subscribe("status/#", qos=1)
        async with _client(broker, "site", will=will):
            pass
        await _nothing_more(reader, broker)


async def test_a_kept_session_gets_what_came_while_it_was_away(broker: AnyBroker) -> None:
    async with _client(broker, "site", clean_session=False) as site:
        await site.subscribe("ack", qos=1)
    async with _client(broker, "city") as city:
        for n in range(20):
            await city.publish("ack", b"%d" % n, qos=1)
    async with _client(broker, "site", clean_session=False) as site:
        got = await _take(site, 20)
    assert [int(m.payload) for m in got] == list(range(20))
    assert not any(m.retain for m in got)


async def test_a_clean_session_starts_with_nothing(broker: AnyBroker) -> None:
    async with _client(broker, "site", clean_session=False) as site:
        await site.subscribe("ack", qos=1)
    async with _client(broker, "site", clean_session=True) as site:
        await site.publish("ack", b"", qos=1)
        await _nothing_more(site, broker)


async def test_a_shared_subscription_gives_each_message_to_one_member(broker: AnyBroker) -> None:
    assert broker.supports_shared
    async with (
        _client(broker, "worker-1") as one,
        _client(broker, "worker-2") as two,
        _client(broker, "writer") as writer,
    ):
        counts: dict[str, list[int]] = {"one": [], "two": []}

        async def work(name: str, client: aiomqtt.Client) -> None:
            async for message in client.messages:
                counts[name].append(int(message.payload))  # type: ignore[arg-type]

        await one.subscribe("$share/ingest/site/+/event", qos=1)
        await two.subscribe("$share/ingest/site/+/event", qos=1)
        tasks = [asyncio.create_task(work("one", one)), asyncio.create_task(work("two", two))]
        for n in range(100):
            await writer.publish("site/a/event", b"%d" % n, qos=1)
        await until(lambda: sum(map(len, counts.values())) >= 100, "all messages at the workers")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(counts["one"] + counts["two"]) == list(range(100))
    assert min(map(len, counts.values())) >= 20


async def test_clients_that_come_and_go_disturb_nobody(broker: AnyBroker) -> None:
    async def visit(visitor: int) -> None:
        for n in range(10):
            async with _client(broker, f"visitor-{visitor}-{n}") as client:
                await client.subscribe(f"visit/{visitor}/{n}", qos=1)
                await client.publish(f"visit/{visitor}/{n}", b"x", qos=1)

    async with _client(broker, "reader") as reader:
        await reader.subscribe("visit/#", qos=1)
        async with asyncio.TaskGroup() as group:
            for visitor in range(8):
                group.create_task(visit(visitor))
        assert len(await _take(reader, 80)) == 80


async def test_a_payload_of_5_mb_passes(broker: AnyBroker) -> None:
    async with _client(broker, "one") as client:
        await client.subscribe("big", qos=1)
        await client.publish("big", b"x" * 5_000_000, qos=1)
        (message,) = await _take(client, 1)
    assert len(message.payload) == 5_000_000  # type: ignore[arg-type]


async def test_garbage_on_the_socket_costs_only_its_own_connection(broker: AnyBroker) -> None:
    async with _client(broker, "one") as client:
        await client.subscribe("a", qos=1)
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x10\x02\x00\x04", b"\x30\x00"):
            reader, writer = await asyncio.open_connection(broker.host, broker.port)
            writer.write(garbage)
            with contextlib.suppress(OSError):
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 15)
            writer.close()
        await client.publish("a", b"still here", qos=1)
        assert (await _take(client, 1))[0].payload == b"still here"


async def test_the_embedded_broker_stops_cleanly_and_returns_on_its_port(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path) as server:
        port = server.port
        await server.restart()
        assert server.port == port
        assert await answers(port)
    assert not await answers(port)


async def test_the_embedded_broker_says_in_one_line_that_its_port_is_taken(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path) as server:
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "utaa.broker", "--port", str(server.port),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await second.communicate()
    assert second.returncode == 1
    assert said.decode().count("\n") == 1
    assert f"{server.port}" in said.decode()


async def test_mqtt_5_is_told_that_its_version_is_unknown(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, port=free_port()) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(bytes.fromhex("100d00044d5154540502003c0000000000"))
        assert await asyncio.wait_for(reader.read(4), 10) == bytes.fromhex("20020001")
        writer.close()


@given(st.binary(max_size=200))
def test_any_bytes_are_packets_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(mqtt.ProtocolError):
        for packet in mqtt.PacketReader().feed(data):
            for parse in (mqtt.parse_connect, mqtt.parse_publish, mqtt.parse_subscribe):
                with contextlib.suppress(mqtt.ProtocolError):
                    parse(packet)


@given(st.binary(max_size=300), st.integers(1, 9))
def test_a_packet_is_the_same_however_the_network_cuts_it(payload: bytes, size: int) -> None:
    data = mqtt.publish("a/b", payload, qos=1, retain=True, packet_id=7) * 2
    reader = mqtt.PacketReader()
    packets = [
        packet for at in range(0, len(data), size) for packet in reader.feed(data[at : at + size])
    ]
    assert [mqtt.parse_publish(packet) for packet in packets] == [
        mqtt.Publish("a/b", payload, 1, True, 7)
    ] * 2


@pytest.mark.parametrize(
    ("topic", "pattern", "covered"),
    [
        ("a/b", "a/b", True), ("a/b", "a/+", True), ("a/b", "#", True), ("a", "a/#", True),
        ("a/b/c", "a/+", False), ("a", "a/+", False), ("a/", "a/+", True), ("$SYS/x", "#", False),
        ("$SYS/x", "+/x", False), ("$SYS/x", "$SYS/#", True), ("ab", "a", False), ("/a", "+/+", True),
    ],
)  # fmt: skip
def test_a_filter_covers_its_topics(topic: str, pattern: str, covered: bool) -> None:
    assert mqtt.matches(topic, pattern) is covered


@pytest.mark.parametrize("pattern", ["", "a/#/b", "a+", "#a", "a/b#", "+a/b"])
def test_a_wildcard_in_the_wrong_place_is_no_filter(pattern: str) -> None:
    assert not mqtt.valid_filter(pattern)
