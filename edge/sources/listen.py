"""``utaa edge listen``: what arrives on a live broker, who takes it, and what nobody understands.

Cast: ``Listener`` (a row for each topic; no I/O), ``listen`` (the command around a connection). The
command only subscribes: it takes nothing from the agent and acknowledges nothing for it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge.sources import SOURCES, RawMessage, Router, build
from edge.sources.command import reading_object
from edge.sources.proposal import propose
from edge.wire.clock import SystemClock
from edge.wire.errors import WireError

#: Topics shown; a larger house says more than a person reads.
MAX_TOPICS = 500
CONNECT_TIMEOUT_S = 5.0


class Row(msgspec.Struct):
    """What came on one topic."""

    topic: str
    source: str | None
    messages: int = 0
    readings: int = 0
    facts: int = 0
    retained: int = 0
    refused: dict[str, int] = {}
    #: the last reading, or why there is none
    last: str = ""
    #: TOML of a generic source, for a topic nobody takes
    proposal: str | None = None


class Listener:
    """Decodes what arrives and keeps a row for each topic; topics beyond the bound are counted."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._rows: dict[str, Row] = {}
        self.topics_beyond = 0

    def take(self, message: RawMessage) -> None:
        """Note one message."""
        row = self._rows.get(message.topic)
        source = self._router.route(message.topic)
        if row is None:
            if len(self._rows) >= MAX_TOPICS:
                self.topics_beyond += 1
                return
            row = self._rows[message.topic] = Row(message.topic, source.name if source else None)
        row.messages += 1
        row.retained += message.retained
        if source is None:
            row.last = "no source takes this topic"
            row.proposal = propose(message.topic, message.payload)
            return
        try:
            decoded = source.decode(message)
        except WireError as error:
            row.refused[error.reason] = row.refused.get(error.reason, 0) + 1
            row.last = f"refused: {error}"
            return
        row.readings += len(decoded.readings)
        row.facts += len(decoded.facts)
        if decoded.readings:
            reading = decoded.readings[-1]
            address = next(f.address for f in decoded.facts if f.detector == reading.detector)
            row.last = msgspec.json.encode(reading_object(reading, address)).decode()

    def rows(self) -> list[Row]:
        """Understood topics first, then those that are refused, then those nobody takes."""
        return sorted(
            self._rows.values(), key=lambda row: (row.source is None, bool(row.refused), row.topic)
        )


def listen(
    seconds: Annotated[float, typer.Option(min=0.1, help="for how long")] = 60.0,
    broker: Annotated[str, typer.Option(help="HOST[:PORT] of the site's broker")] = "127.0.0.1",
    username: Annotated[str | None, typer.Option(help="who we are to the broker")] = None,
    password_file: Annotated[
        typer.FileText | None, typer.Option(help="file whose only line is the password")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="also put what is proposed into this new TOML file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a topic")] = False,
) -> None:
    """Show what arrives on a broker, which source takes it, and what nobody understands."""
    host, _, port = broker.partition(":")
    if not host or not (port or "1883").isdigit():
        _fail(f"--broker is {broker!r}; expected HOST[:PORT]", 2)
    listener = Listener(Router([build(name, "listen") for name in SOURCES]))
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    if username is not None:
        client.username_pw_set(username, password_file.readline().strip() if password_file else None)
    try:
        _hear(client, host, int(port or 1883), seconds, listener)
    except OSError as error:
        _fail(f"the broker at {broker} cannot be reached: {error}; is it running?", 1)
    for line in _lines(listener, as_json=as_json):
        print(line)
    if write is not None:
        _write(write, listener)


def _write(path: Path, listener: Listener) -> None:
    """What is proposed, each kind of device once, as the options of a generic source."""
    proposals = list(dict.fromkeys(row.proposal for row in listener.rows() if row.proposal))
    if not proposals:
        _fail(f"nothing to propose: {path} is not written", 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write("\n\n".join(proposals) + "\n")
    except OSError as error:
        _fail(f"{path}: {error.strerror}; name a new file", 1)
    print(f"{path}: {len(proposals)} kinds of device; look at it, then try it", file=sys.stderr)


def _hear(client: mqtt.Client, host: str, port: int, seconds: float, listener: Listener) -> None:
    """Feed the listener for so long. Raises ``OSError`` if the broker is not there or says no."""
    clock = SystemClock()

    def on_connect(
        client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        if code.is_failure:
            refusal.append(str(code))
        else:
            client.subscribe("#", 0)

    def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of anybody's
        listener.take(RawMessage(topic, bytes(message.payload), bool(message.retain), clock.now_us()))

    refusal: list[str] = []
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.connect(host, port)
    deadline_s = time.monotonic() + seconds
    while (left_s := deadline_s - time.monotonic()) > 0 and not refusal:
        code = client.loop(timeout=min(left_s, 0.5))
        if code != mqtt.MQTT_ERR_SUCCESS and not refusal:
            raise OSError(mqtt.error_string(code))
    client.disconnect()
    if refusal:
        raise OSError(refusal[0])


def _lines(listener: Listener, *, as_json: bool) -> Iterable[str]:
    rows = listener.rows()
    if as_json:
        for row in rows:
            yield msgspec.json.encode(row).decode()
        return
    for row in rows:
        yield f"{row.topic}: {row.source or 'nobody'}, {row.messages} messages, {row.readings} readings"
        if row.last:
            yield f"  {row.last}"
    for row in rows:
        if row.proposal:
            yield f"\n# {row.topic}: describe it like this, and try it with `utaa edge decode`"
            yield row.proposal
    if listener.topics_beyond:
        yield f"\n{listener.topics_beyond} messages on further topics are not shown"


def _fail(what: str, code: int) -> NoReturn:
    print(f"utaa: {what}", file=sys.stderr)
    raise typer.Exit(code)
