"""``utaa edge decode``: what a source makes of one payload. ``utaa edge sources``: which there are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from edge.sources import SOURCES, Source, build, build_example, read_options
from edge.sources.base import RawMessage, time_from_text
from edge.wire.clock import SystemClock, rfc3339
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag, Reading


def decode(
    source: Annotated[str, typer.Option(help="which protocol: " + ", ".join(SOURCES))],
    topic: Annotated[str, typer.Option(help="the MQTT topic the payload came on")],
    site: Annotated[str, typer.Option(help="the site's name")] = "demo",
    received: Annotated[
        str | None, typer.Option(help="when it arrived, RFC 3339 with a zone; default: now")
    ] = None,
    retained: Annotated[bool, typer.Option(help="it was a retained message")] = False,
    facts: Annotated[bool, typer.Option(help="also what is known of the device")] = False,
    options: Annotated[Path | None, typer.Option(help="a TOML file with the source's options")] = None,
) -> None:
    """Decode one payload from standard input and print its readings, one JSON object a line."""
    try:
        decoder = build(source, site, read_options(options))
        received_us = SystemClock().now_us() if received is None else time_from_text(received)
    except ValueError as error:
        _fail(f"{error}", 2)
    try:
        decoded = decoder.decode(RawMessage(topic, sys.stdin.buffer.read(), retained, received_us))
    except WireError as error:
        _fail(f"{source} refuses the payload on {topic}: {error}", 1)
    addresses = {fact.detector: fact.address for fact in decoded.facts}
    for reading in decoded.readings:
        _print(reading_object(reading, addresses[reading.detector]))
    if facts:
        for fact in decoded.facts:
            _print({"fact": fact_object(fact)})
    for repair in decoded.repairs:
        print(f"utaa: repaired: {repair}", file=sys.stderr)


def sources(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """List the sources: what each speaks with, its topics, an example and what it makes of it."""
    for name in SOURCES:
        source = build_example(name)
        example, readings = source.example, _readings_of_example(source)
        listed = {
            "source": name,
            "speaks": source.summary,
            "topics": source.filters(),
            "lost_after_s": source.deadline_s,
            "example_topic": example.topic,
            "example_payload": example.payload,
            "readings": readings,
        }
        if as_json:
            _print(listed)
            continue
        print(f"{name}: {source.summary}")
        print(f"  topics   {' '.join(source.filters())}")
        print(f"  example  {example.topic}")
        print(f"           {example.payload if example.payload.isprintable() else '(binary)'}")
        for reading in readings:
            print(f"  reading  {msgspec.json.encode(reading).decode()}")


def _readings_of_example(source: Source) -> list[dict[str, Any]]:
    example = source.example
    decoded = source.decode(
        RawMessage(example.topic, example.payload.encode(), False, SystemClock().now_us())
    )
    addresses = {fact.detector: fact.address for fact in decoded.facts}
    return [reading_object(reading, addresses[reading.detector]) for reading in decoded.readings]


def reading_object(reading: Reading, address: str) -> dict[str, Any]:
    """A reading as people and scripts read it: quantities by name, known flags as booleans."""
    flags = {
        flag.name.lower(): bool(reading.flags & flag)
        for flag in Flag
        if flag.name and reading.flags_known & flag
    }
    return {
        "detector": reading.detector,
        "address": address,
        "time": rfc3339(reading.time_us),
        **reading.quantities(),
        **flags,
    }


def fact_object(fact: DeviceFact) -> dict[str, Any]:
    """A fact without the fields that say nothing."""
    return {name: value for name, value in msgspec.structs.asdict(fact).items() if value is not None}


def _print(line: dict[str, Any]) -> None:
    print(msgspec.json.encode(line).decode())


def _fail(what: str, code: int) -> NoReturn:
    print(f"utaa: {what}", file=sys.stderr)
    raise typer.Exit(code)
