"""What the LoRaWAN network servers have in common: bytes, a port, a codec, a device's EUI.

Our own codecs come first. For a device that none of them knows, the object that the server's own
codec made of the bytes is used as far as its names are telling (``temperature``, ``smoke``, …).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from edge.sources import names
from edge.sources.base import (
    ALARM_FLAGS,
    Builder,
    Decoded,
    RawMessage,
    clean_text,
    time_from_text,
)
from edge.sources.codecs import CODECS, Bytes, Codec
from edge.sources.codecs.base import choose
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag

_NAMED = ("maker", "model", "firmware", "report_interval_s")


class Uplink(msgspec.Struct, frozen=True, kw_only=True):
    """An uplink as any network server hands it over.

    ``hints``: the names the server gives the device and its profile. ``decoded``: what the server's
    own codec made of the bytes, if it has one. ``is_test``: no real device sent it.
    """

    port: int
    data: str | None
    hints: list[str]
    time_text: str | None
    rssi_dbm: list[float]
    decoded: dict[str, Any] = {}
    is_test: bool = False


class Uplinks:
    """Turns one device's bytes into a decoded message.

    ``codecs`` names the codec of a device (by its address) or of a profile (by its name), where
    the words in its names and the look of its bytes are not enough.
    """

    def __init__(self, builder: Builder, codecs: Mapping[str, str] | None) -> None:
        self._builder = builder
        self._chosen: dict[str, Codec] = {}
        for key, name in (codecs or {}).items():
            if name not in CODECS:
                raise ValueError(f"there is no codec {name!r}; known are {', '.join(CODECS)}")
            self._chosen[key.lower()] = CODECS[name]

    def decode(self, fact: DeviceFact, message: RawMessage, uplink: Uplink) -> Decoded:
        """Raises ``WireError`` with the codec's reason, or why there is no codec."""
        said = self._said(fact, uplink)
        facts = {name: value for name in _NAMED if (value := getattr(said, name)) is not None}
        fact = msgspec.structs.replace(fact, **facts)
        if not said.is_reading:
            return Decoded(facts=[fact])
        flags, known = said.flags, said.flags_known
        if uplink.is_test:
            flags, known = flags | Flag.TEST, known | Flag.TEST
        repairs: list[str] = []
        return self._builder.decoded(
            fact,
            message,
            time_us=event_time(uplink.time_text, repairs, alarm=bool(flags & ALARM_FLAGS)),
            values=said.values | {"signal_dbm": best_signal(uplink.rssi_dbm)},
            flags=flags,
            flags_known=known,
            repairs=repairs,
        )

    def _said(self, fact: DeviceFact, uplink: Uplink) -> Bytes:
        payload = bytes_from_base64(uplink.data)
        for key in (fact.address, *uplink.hints):
            if key.lower() in self._chosen:
                return self._chosen[key.lower()].decode(uplink.port, payload)
        if not payload:
            raise WireError("empty", "the frame carries no application payload")
        try:
            codec = choose(CODECS, uplink.hints, uplink.port, payload)
        except WireError:
            said = said_by_object(uplink.decoded)
            if said is None:
                raise
            return said
        return codec.decode(uplink.port, payload)


def said_by_object(decoded: Mapping[str, Any]) -> Bytes | None:
    """What a server's decoded object says under names that tell; None if nothing."""
    values: dict[str, float] = {}
    flags = known = Flag(0)
    for name, value in decoded.items():
        said = names.truth(value) if isinstance(value, str) else value
        if isinstance(said, bool):
            flag = names.flag_of(name) or Flag(0)
            known |= flag
            flags |= flag if said else Flag(0)
        elif isinstance(said, int | float) and (quantity := names.quantity_of(name)):
            values[quantity] = bounded_float(said)
    if not values and not known:
        return None
    return Bytes(values=values, flags=flags, flags_known=known)


def bounded_float(number: float) -> float:
    """A float, infinite where an integer is beyond all floats."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def bytes_from_base64(data: str | None) -> bytes:
    """The frame's bytes; servers leave the field out when there are none. Raises ``WireError``."""
    try:
        return base64.b64decode(data or "", validate=True)
    except (binascii.Error, ValueError):
        raise WireError("wrong_type", f"data {(data or '')[:40]!r} is not base64") from None


def best_signal(rssi_dbm: Iterable[float]) -> float | None:
    """The strongest of the gateways that heard it, if any says so believably."""
    return max((rssi for rssi in rssi_dbm if -200.0 <= rssi <= 50.0), default=None)


def event_time(text: str | None, repairs: list[str], *, alarm: bool) -> int | None:
    """µs UTC; None: unstated. An alarm goes through without a readable time."""
    if text is None:
        return None
    try:
        return time_from_text(text)
    except WireError:
        if not alarm:
            raise
        repairs.append("time_unset")
        return None


def named(fact: DeviceFact, name: str | None, **said: Any) -> DeviceFact:
    """The fact with its given name, cleaned."""
    if name:
        said["name"] = clean_text(name)
    return msgspec.structs.replace(fact, **said) if said else fact
