"""What the LoRaWAN network servers have in common: bytes, a port, a codec, a device's EUI."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from edge.sources.base import Builder, Decoded, RawMessage, clean_text, time_from_text
from edge.sources.codecs import CODECS, Codec
from edge.sources.codecs.base import choose
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag

_NAMED = ("maker", "model", "firmware", "report_interval_s")


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

    def decode(
        self,
        fact: DeviceFact,
        message: RawMessage,
        *,
        port: int,
        data: str | None,
        hints: Iterable[str],
        time_text: str | None,
        rssi_dbm: Iterable[float | None],
    ) -> Decoded:
        """``hints`` are the names its server gives the device and its profile."""
        payload = bytes_from_base64(data)
        said = self._codec(fact, list(hints), port, payload).decode(port, payload)
        facts = {name: value for name in _NAMED if (value := getattr(said, name)) is not None}
        fact = msgspec.structs.replace(fact, **facts)
        if not said.is_reading:
            return Decoded(facts=[fact])
        repairs: list[str] = []
        alarm = said.flags & (Flag.SMOKE_ALARM | Flag.CO_ALARM | Flag.HEAT_ALARM)
        return self._builder.decoded(
            fact,
            message,
            time_us=event_time(time_text, repairs, alarm=bool(alarm)),
            values=said.values | {"signal_dbm": best_signal(rssi_dbm)},
            flags=said.flags,
            flags_known=said.flags_known,
            repairs=repairs,
        )

    def _codec(self, fact: DeviceFact, hints: list[str], port: int, payload: bytes) -> Codec:
        for key in (fact.address, *hints):
            if key.lower() in self._chosen:
                return self._chosen[key.lower()]
        if not payload:
            raise WireError("empty", "the frame carries no application payload")
        return choose(CODECS, hints, port, payload)


def bytes_from_base64(data: str | None) -> bytes:
    """The frame's bytes; servers leave the field out when there are none. Raises ``WireError``."""
    try:
        return base64.b64decode(data or "", validate=True)
    except (binascii.Error, ValueError):
        raise WireError("wrong_type", f"data {(data or '')[:40]!r} is not base64") from None


def best_signal(rssi_dbm: Iterable[float | None]) -> float | None:
    """The strongest of the gateways that heard it, if any says so believably."""
    heard = [rssi for rssi in rssi_dbm if rssi is not None and -200.0 <= rssi <= 50.0]
    return max(heard, default=None)


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
