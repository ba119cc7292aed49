"""Sparkplug B's payload, as a protobuf message described at run time.

Only the fields that a detector can use are described; protobuf skips the others (data sets,
templates, metadata) as it skips what it does not know.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from edge.wire.errors import WireError

_F = descriptor_pb2.FieldDescriptorProto

#: name, number, protobuf type; texts as bytes, because a device's text may be no UTF-8
_METRIC = (
    ("name", 1, _F.TYPE_BYTES),
    ("alias", 2, _F.TYPE_UINT64),
    ("timestamp", 3, _F.TYPE_UINT64),
    ("datatype", 4, _F.TYPE_UINT32),
    ("is_historical", 5, _F.TYPE_BOOL),
    ("is_null", 7, _F.TYPE_BOOL),
    ("int_value", 10, _F.TYPE_UINT32),
    ("long_value", 11, _F.TYPE_UINT64),
    ("float_value", 12, _F.TYPE_FLOAT),
    ("double_value", 13, _F.TYPE_DOUBLE),
    ("boolean_value", 14, _F.TYPE_BOOL),
    ("string_value", 15, _F.TYPE_BYTES),
)
_PAYLOAD = (("timestamp", 1, _F.TYPE_UINT64), ("seq", 3, _F.TYPE_UINT64))
_PACKAGE = "utaa.sparkplug"

#: Datatypes whose bits are two's complement, and how many there are.
_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}


@cache
def payload_class() -> Any:
    """The class of a Sparkplug payload."""
    described = descriptor_pb2.FileDescriptorProto(
        name="utaa_sparkplug.proto", package=_PACKAGE, syntax="proto2"
    )
    metric = described.message_type.add(name="Metric")
    payload = described.message_type.add(name="Payload")
    for message, fields in ((metric, _METRIC), (payload, _PAYLOAD)):
        for name, number, kind in fields:
            message.field.add(name=name, number=number, type=kind, label=_F.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=_F.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Metric",
        label=_F.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


def parse(raw: bytes) -> Any:
    """The payload. Raises ``WireError`` truncated."""
    try:
        return payload_class().FromString(raw)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("truncated", f"no Sparkplug payload: {error}") from None


def value_of(metric: Any, datatype: int) -> bool | float | str | None:
    """The metric's value by its datatype; None if it has none of ours."""
    if metric.is_null:
        return None
    if metric.HasField("boolean_value"):
        return bool(metric.boolean_value)
    for name in ("float_value", "double_value"):
        if metric.HasField(name):
            return float(getattr(metric, name))
    for name in ("int_value", "long_value"):
        if metric.HasField(name):
            return _signed(getattr(metric, name), _SIGNED_BITS.get(datatype))
    return text(metric.string_value) if metric.HasField("string_value") else None


def text(raw: bytes) -> str:
    """A text of the payload; bytes that are no UTF-8 become ``\ufffd``."""
    return raw.decode("utf-8", "replace")


def _signed(bits: int, width: int | None) -> float:
    if width is None:
        return float(bits)
    bits &= (1 << width) - 1
    return float(bits - (1 << width) if bits >> (width - 1) else bits)


def rebirth_order() -> bytes:
    """The payload of ``NCMD`` that asks a node to introduce itself and its devices again."""
    payload = payload_class()()
    metric = payload.metrics.add(name=b"Node Control/Rebirth", datatype=11, boolean_value=True)
    assert metric.boolean_value
    return bytes(payload.SerializeToString())
