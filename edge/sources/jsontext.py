"""JSON from devices, decoded into typed structs at speed, with a slow lane for alarms.

The fast lane is a ``msgspec`` decoder. A message it refuses is refused, with one exception: if it
is an object that says ``true`` under the name of an alarm, the fields that are well typed are used
and the rest is left out. ``NaN`` and ``Infinity``, which Python and C firmware like to print though
JSON has no such words, are told apart from broken text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import msgspec

from edge.wire.errors import WireError

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

#: Says whether an untyped object reports fire or CO.
IsAlarm = Callable[[dict[str, Any]], bool]


def decode(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """The payload as the decoder's type.

    Raises ``WireError``: not_json, truncated, not_finite, wrong_type, missing_field.
    """
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        if "Number out of range" in str(error):
            raise WireError("not_finite", str(error)) from None
        reason = "missing_field" if "missing required" in str(error) else "wrong_type"
        raise WireError(reason, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if has_no_number(payload):
            raise WireError("not_finite", "NaN or Infinity in the payload") from None
        reason = "truncated" if "truncated" in str(error) else "not_json"
        raise WireError(reason, str(error)) from None


def has_no_number(payload: bytes) -> bool:
    """Whether it is JSON but for the words NaN and Infinity, which stand for no number."""
    if b"NaN" not in payload and b"Infinity" not in payload:
        return False
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return True


def decode_object(
    decoder: msgspec.json.Decoder[S], payload: bytes, kind: type[S], is_alarm: IsAlarm
) -> tuple[S, list[str]]:
    """The payload as the struct, with the repairs made. Every field of ``kind`` has a default.

    Raises ``WireError`` as ``decode`` does, unless the message is an alarm (see the module).
    """
    try:
        return decode(decoder, payload), []
    except WireError as refusal:
        if refusal.reason not in ("wrong_type", "not_finite"):
            raise
        untyped = _untyped(payload)
        if untyped is None or not is_alarm(untyped):
            raise
    return salvage(untyped, kind), ["part_dropped"]


def _untyped(payload: bytes) -> dict[str, Any] | None:
    try:
        untyped = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return untyped if isinstance(untyped, dict) else None


def salvage(untyped: dict[str, Any], kind: type[S]) -> S:
    """The struct from those fields that have their type, in depth; the others keep their defaults."""
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = untyped.get(field.encode_name)
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        try:
            kept[field.name] = msgspec.convert(value, field.type)
        except (msgspec.ValidationError, OverflowError, UnicodeEncodeError):  # half a character
            inner = _struct_in(field.type)
            if inner is not None and isinstance(value, dict):
                kept[field.name] = salvage(value, inner)
    return kind(**kept)


def _struct_in(declared: Any) -> type[msgspec.Struct] | None:
    """``X`` of a field declared ``X`` or ``X | None`` where X is a struct."""
    for option in (declared, *get_args(declared)):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def is_true(*names: str) -> IsAlarm:
    """An ``IsAlarm`` that looks for ``true`` under any of the names."""
    return lambda untyped: any(untyped.get(name) is True for name in names)
