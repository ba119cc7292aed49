"""Sparkplug B: ``spBv1.0/<group>/{NBIRTH,NDATA,NDEATH,DBIRTH,DDATA,DDEATH}/<node>[/<device>]``.

A birth certificate names the metrics of a node or device and gives each an alias; data may then say
the alias only. Sequence numbers run 0…255 through all messages of a node: after a gap, an unknown
alias or data without a birth the node is asked to be born again (``Decoded.orders``), at most once a
minute. A node's death is the death of its devices, unless the certificate is of an earlier life
(``bdSeq``).

A metric's meaning is the last level of its name (``Sensors/Smoke``), or told by option: ``metrics =
{"Gas/1" = "co_ppm"}``. Metrics of one message with different times are different readings. The
address is ``<group>/<node>[/<device>]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edge.sources import names, sparkplug_pb
from edge.sources.base import (
    Action,
    Builder,
    Decoded,
    Example,
    Order,
    RawMessage,
    check_size,
    clean_text,
)
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag
from edge.wire.units import BY_NAME

NAMESPACE = "spBv1.0"
#: A node that lost its way is asked once a minute to be born again, no matter how much it says.
REBIRTH_INTERVAL_US = 60_000_000
#: Aliases one device may announce, devices of one node, and nodes of a site.
MAX_METRICS = 2000
MAX_DEVICES = 500
MAX_NODES = 500
_KINDS = frozenset({"NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"})
#: Sparkplug gives times in ms; more than this is beyond the wire's µs.
_MAX_MS = 1 << 50

#: The conventional properties of a node or device.
_PROPERTIES = {
    "hardwaremake": "maker",
    "hardwaremodel": "model",
    "fw": "firmware",
    "firmware": "firmware",
}


class _Known(msgspec.Struct, frozen=True):
    """A metric as its birth announced it."""

    name: str
    datatype: int


class _Node(msgspec.Struct):
    """A node: its sequence, and by device ("" is itself) the metrics by alias."""

    seq: int | None = None
    #: of the birth; a death certificate with another is of an earlier life
    bd_seq: float | None = None
    asked_us: int | None = None
    metrics: dict[str, dict[int, _Known]] = {}


class SparkplugSource:
    """Sparkplug B (see the module). Options: ``metrics`` (name → flag or quantity)."""

    name = "sparkplug"
    summary = "industrial detectors and gateways that speak Sparkplug B"
    #: it reports by exception, and its node's death certificate says sooner that it is gone
    deadline_s = 25 * 3600.0
    #: a node's birth with Smoke = false (a binary payload, each character one byte)
    example = Example(
        f"{NAMESPACE}/homes/NBIRTH/gateway-1",
        "\x12\x0b\n\x05Smoke\x20\x0b\x70\x00\x18\x00",
    )

    def __init__(self, site: str, *, metrics: Mapping[str, str] | None = None) -> None:
        self._builder = Builder(site, self.name)
        self._nodes: dict[str, _Node] = {}
        self._told = dict(metrics or {})
        for meaning in self._told.values():
            if meaning not in BY_NAME:
                names.flag_named(meaning)

    def filters(self) -> list[str]:
        return [f"{NAMESPACE}/+/+/+", f"{NAMESPACE}/+/+/+/+"]

    def decode(self, message: RawMessage) -> Decoded:
        group, kind, node_name, device = _parse_topic(message.topic)
        if kind not in _KINDS:
            return Decoded()  # commands and host state
        address = "/".join(part for part in (group, node_name, device) if part)
        fact = self._builder.fact(address)
        key = f"{group}/{node_name}"
        if kind == "NDEATH":
            return self._node_died(key, fact, message)
        check_size(message.payload)
        payload = sparkplug_pb.parse(message.payload)
        node = self._node(key)
        decoded = Decoded()
        in_order = self._follow(node, kind, payload)
        if kind == "DDEATH":
            decoded.facts.append(msgspec.structs.replace(fact, online=False))
        elif kind.endswith("BIRTH"):
            if len(node.metrics) >= MAX_DEVICES and device not in node.metrics:
                raise WireError("too_large", f"more than {MAX_DEVICES} devices of {key[:80]!r}")
            node.metrics[device] = _announced(payload)
            fact = _described(fact, payload)
            decoded = self._readings(message, fact, payload, node.metrics[device])
            decoded.facts = [msgspec.structs.replace(fact, online=True)]
        else:
            decoded = self._readings(message, fact, payload, node.metrics.get(device, {}))
            in_order &= device in node.metrics and _all_named(payload, node.metrics[device])
        if not in_order:
            decoded.orders += self._rebirth(group, node_name, node, message.received_us)
        return decoded

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        return None  # Sparkplug has no convention for it

    def _node(self, key: str) -> _Node:
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= MAX_NODES:
                self._nodes.clear()
            node = self._nodes[key] = _Node()
        return node

    def _node_died(self, key: str, fact: DeviceFact, message: RawMessage) -> Decoded:
        node = self._nodes.get(key)
        if message.payload:
            check_size(message.payload)
            died = _bd_seq(sparkplug_pb.parse(message.payload))
            if node and died is not None and node.bd_seq is not None and died != node.bd_seq:
                return Decoded()
        addresses = [f"{key}/{device}" for device in (node.metrics if node else {}) if device]
        if node is not None:
            node.seq, node.metrics = None, {}
        gone = [fact, *(self._builder.fact(address) for address in addresses)]
        return Decoded(facts=[msgspec.structs.replace(one, online=False) for one in gone])

    def _follow(self, node: _Node, kind: str, payload: Any) -> bool:
        """Whether the sequence holds; a node's birth starts it anew."""
        seq = payload.seq if payload.HasField("seq") else None
        if kind == "NBIRTH":
            node.metrics = {}
            node.bd_seq = _bd_seq(payload)
            node.seq = 0 if seq is None else seq % 256
            return True
        expected = None if node.seq is None else (node.seq + 1) % 256
        if seq is None:
            return expected is not None
        node.seq = seq % 256
        return expected is not None and node.seq == expected

    def _rebirth(self, group: str, name: str, node: _Node, now_us: int) -> list[Order]:
        if node.asked_us is not None and 0 <= now_us - node.asked_us < REBIRTH_INTERVAL_US:
            return []
        node.asked_us = now_us
        return [Order(f"{NAMESPACE}/{group}/NCMD/{name}", sparkplug_pb.rebirth_order())]

    def _readings(
        self, message: RawMessage, fact: DeviceFact, payload: Any, known: dict[int, _Known]
    ) -> Decoded:
        """A reading for each time among the metrics that mean something."""
        by_time: dict[int | None, list[tuple[str, bool | float | str]]] = {}
        for metric in payload.metrics:
            announced = known.get(metric.alias) if metric.HasField("alias") else None
            name = sparkplug_pb.text(metric.name) or (announced.name if announced else "")
            datatype = metric.datatype or (announced.datatype if announced else 0)
            value = sparkplug_pb.value_of(metric, datatype)
            if not name or value is None:
                continue
            stamped = metric.timestamp or payload.timestamp
            time_us = min(stamped, _MAX_MS) * 1000 if stamped else None
            by_time.setdefault(time_us, []).append((name, value))
        whole = Decoded()
        for time_us, said in by_time.items():
            part = self._reading(message, fact, time_us, said)
            whole.readings += part.readings
            whole.repairs += part.repairs
            whole.facts = part.facts or whole.facts
        return whole

    def _reading(
        self,
        message: RawMessage,
        fact: DeviceFact,
        time_us: int | None,
        said: list[tuple[str, bool | float | str]],
    ) -> Decoded:
        flags = known = Flag(0)
        values: dict[str, float | None] = {}
        for name, value in said:
            flag, quantity = self._meaning(name)
            state = _state(value) if flag is not None else None
            if flag is not None and state is not None:
                known |= flag
                flags |= flag if state else Flag(0)
            elif quantity is not None and isinstance(value, float):
                values.setdefault(quantity, value)
        if not known and not values:
            return Decoded()
        return self._builder.decoded(
            fact, message, time_us=time_us, values=values, flags=flags, flags_known=known
        )

    def _meaning(self, name: str) -> tuple[Flag | None, str | None]:
        told = self._told.get(name)
        if told is not None:
            return (None, told) if told in BY_NAME else (names.flag_named(told), None)
        last = name.rpartition("/")[2]
        return names.flag_of(last), names.quantity_of(last)


def _parse_topic(topic: str) -> tuple[str, str, str, str]:
    """Group, kind, node, device ("" for the node itself)."""
    levels = topic.split("/")
    if len(levels) not in (4, 5) or levels[0] != NAMESPACE or not all(levels):
        raise WireError("unknown_topic", f"{topic[:80]!r} is no topic of Sparkplug B")
    if levels[2] in _KINDS and (levels[2][0] == "D") is not (len(levels) == 5):
        raise WireError("unknown_topic", f"{levels[2]} with {len(levels)} topic levels")
    return levels[1], levels[2], levels[3], levels[4] if len(levels) == 5 else ""


def _announced(payload: Any) -> dict[int, _Known]:
    if len(payload.metrics) > MAX_METRICS:
        raise WireError("too_large", f"{len(payload.metrics)} metrics; at most {MAX_METRICS}")
    return {
        metric.alias: _Known(sparkplug_pb.text(metric.name), metric.datatype)
        for metric in payload.metrics
        if metric.HasField("alias") and metric.name
    }


def _bd_seq(payload: Any) -> float | None:
    """The number of the node's life, that its birth and its death certificate share."""
    for metric in payload.metrics:
        if metric.name == b"bdSeq":
            value = sparkplug_pb.value_of(metric, metric.datatype)
            return value if isinstance(value, float) else None
    return None


def _all_named(payload: Any, known: dict[int, _Known]) -> bool:
    return all(metric.name or metric.alias in known for metric in payload.metrics)


def _described(fact: DeviceFact, payload: Any) -> DeviceFact:
    said: dict[str, str] = {}
    for metric in payload.metrics:
        where, _, last = sparkplug_pb.text(metric.name).rpartition("/")
        field = _PROPERTIES.get(names.folded(last)) if where == "Properties" else None
        if field and metric.string_value:
            said[field] = clean_text(sparkplug_pb.text(metric.string_value))
    return msgspec.structs.replace(fact, **said) if said else fact


def _state(value: bool | float | str) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return names.truth(value)
    return bool(value) if value in (0.0, 1.0) else None
