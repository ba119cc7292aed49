"""``utaa edge listen`` on a real broker, and the generic source it proposes."""

from __future__ import annotations

import asyncio
import json
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish
import pytest
import typer
from typer.testing import CliRunner, Result

from edge.sources import SOURCES, RawMessage, Router, build, build_example
from edge.sources.generic import GenericSource
from edge.sources.listen import MAX_TOPICS, Listener, listen
from edge.sources.proposal import MAX_LEAVES, propose

MakeMessage = Callable[..., RawMessage]


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(listen)
    return CliRunner().invoke(app, list(arguments))


def all_sources() -> Router:
    return Router([build(name, "demo") for name in SOURCES])


async def test_what_is_on_a_real_broker_is_shown_with_what_it_says(
    own_mosquitto: Callable[..., Any], shared_data: Path
) -> None:
    broker = await own_mosquitto()
    listed = json.loads((shared_data / "device-payload-fixtures" / "mqtt_payloads.json").read_text())
    literals = {
        literal["topic"].replace("<shelly-id>", "shellyplussmoke-1"): literal["payload"]
        for literal in listed
        if literal["topic"]
    }
    said = {
        **literals,
        **{build_example(name).example.topic: build_example(name).example.payload for name in SOURCES},
        "acme/7/state": '{"co": 4.5, "smoke": false, "mode": "eco"}',
        "zigbee2mqtt/broken": "{",
    }
    messages = [(topic, payload, 1, True) for topic, payload in said.items()]
    await asyncio.to_thread(publish.multiple, messages, hostname="127.0.0.1", port=broker.port)
    result = await asyncio.to_thread(
        run, "--broker", f"127.0.0.1:{broker.port}", "--seconds", "1.5", "--json"
    )
    rows = {row["topic"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 0
    assert set(said) <= set(rows)
    assert rows["zigbee2mqtt/sens_smoke1"]["source"] == "zigbee2mqtt"
    assert json.loads(rows["zigbee2mqtt/sens_smoke1"]["last"])["smoke_alarm"] is True
    assert rows["shellyplussmoke-1/events/rpc"]["readings"] == 1
    assert rows["tele/tasmota_XXXXXX/LWT"]["facts"] == 1
    assert rows["zigbee2mqtt/broken"]["refused"] == {"truncated": 1}
    assert rows["acme/7/state"]["source"] is None
    assert "co_ppm" in rows["acme/7/state"]["proposal"]
    for name in set(SOURCES) - {"generic"}:  # nothing is described to it
        assert rows[build_example(name).example.topic]["source"] == name
        assert rows[build_example(name).example.topic]["readings"] == 1


def test_a_broker_that_is_not_there_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = run("--broker", f"127.0.0.1:{port}", "--seconds", "1")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize("broker", ["", ":1883", "host:port"])
def test_a_wrong_broker_is_one_line_and_exit_code_2(broker: str) -> None:
    result = run("--broker", broker, "--seconds", "1")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_topic_is_one_row_however_often_it_comes(message: MakeMessage) -> None:
    listener = Listener(all_sources())
    topic = "utaa/v1/detector/k/reading"
    for payload in ('{"co_ppm":1}', "{", '{"co_ppm":2}'):
        listener.take(message(topic, payload))
    (row,) = listener.rows()
    assert (row.messages, row.readings, row.refused) == (3, 2, {"truncated": 1})
    assert json.loads(row.last)["co_ppm"] == 2


def test_topics_beyond_the_bound_are_counted(message: MakeMessage) -> None:
    listener = Listener(all_sources())
    for number in range(MAX_TOPICS + 7):
        listener.take(message(f"garbage/{number}", "x"))
    assert (len(listener.rows()), listener.topics_beyond) == (MAX_TOPICS, 7)


def test_understood_topics_come_first(message: MakeMessage) -> None:
    listener = Listener(all_sources())
    listener.take(message("a/garbage", "x"))
    listener.take(message("zigbee2mqtt/bad", "{"))
    listener.take(message("zigbee2mqtt/good", '{"smoke":true}'))
    assert [row.topic for row in listener.rows()] == [
        "zigbee2mqtt/good",
        "zigbee2mqtt/bad",
        "a/garbage",
    ]


def test_a_proposal_is_a_generic_source_that_works(message: MakeMessage) -> None:
    payload = json.dumps(
        {"gas": {"CO": 42, "Battery Voltage": 3.0}, "list": [{"temperature": 21}], "smoke": "ON",
         "mode": "eco", "odd.key": 1, "nothing": None}
    )  # fmt: skip
    proposal = propose("acme/kitchen/state", payload.encode())
    assert proposal is not None
    source = GenericSource("demo", **tomllib.loads(proposal))
    decoded = source.decode(message("acme/kitchen/state", payload))
    (reading,) = decoded.readings
    assert reading.quantities() == {"co_ppm": 42, "temperature_c": 21, "battery_v": 3.0}
    assert reading.flags == 1
    assert decoded.facts[0].address == "kitchen"
    assert '# { path = "mode"' in proposal


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"17", b"\xff", b"[" * 100_000])
def test_no_object_no_proposal(payload: bytes) -> None:
    assert propose("a/b", payload) is None


def test_a_proposal_from_a_hostile_payload_is_bounded_and_still_toml() -> None:
    payload = {f'k{n}"\n]': n for n in range(MAX_LEAVES * 3)} | {"deep": {"a": {"b": {"c": {}}}}}
    proposal = propose('a"/\n{x}/c', json.dumps(payload).encode())
    assert proposal is not None
    assert len(proposal.splitlines()) <= MAX_LEAVES + 4
    tomllib.loads(proposal)
