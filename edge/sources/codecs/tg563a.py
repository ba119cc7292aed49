"""Hager TG563A smoke detector on LoRaWAN, port 1: five bytes, or 35 with additional data.

Byte 0 message type (low nibble; 15 = with additional data), byte 1 configuration (bits 0-2 choose
the period), byte 2 temperature in °C, signed. Byte 3: bit 0 mounted, 4 obstacle, 5 air inlet covered,
7 unmounted too long. Byte 4: bit 0 smoke, 1 battery low, 2 chamber failed, 3 chamber fouled,
4 ultrasonic, 5 infrared, 6 buzzer failed. Byte 5 of the long form: battery in 0.01 V above 1 V.

Five bytes on port 1 look like many other devices, so it is recognised by name only.
"""

from __future__ import annotations

from edge.sources.codecs.base import Bytes, Codec, need
from edge.wire.errors import WireError
from edge.wire.readings import Flag

_PORT = 1
_SHORT, _LONG = 5, 35
_WITH_ADDITIONAL_DATA = 15
_LAST_EVENT = 9
_PERIOD_H = (1, 2, 4, 6, 8, 12, 24, 48)

_MOUNTED, _UNMOUNTED_TOO_LONG = 1 << 0, 1 << 7
_OBSTRUCTED = 1 << 4 | 1 << 5
_SMOKE, _BATTERY_LOW = 1 << 0, 1 << 1
_BROKEN = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6


def _fits(_port: int, _payload: bytes) -> bool:
    return False


def _decode(port: int, payload: bytes) -> Bytes:
    need(payload, 1)
    if port != _PORT:
        raise WireError("wrong_port", f"port {port}; expected {_PORT}")
    need(payload, _SHORT)
    kind = payload[0] & 0x0F
    expected = _LONG if kind == _WITH_ADDITIONAL_DATA and len(payload) != _SHORT else _SHORT
    if len(payload) != expected:
        raise WireError("inconsistent", f"{len(payload)} bytes; expected {expected}")
    if _LAST_EVENT < kind < _WITH_ADDITIONAL_DATA:
        raise WireError("unknown_version", f"message type {kind} is reserved")
    values = {"temperature_c": float(int.from_bytes(payload[2:3], "big", signed=True))}
    if len(payload) == _LONG:
        values["battery_v"] = round(1 + payload[5] / 100, 2)
    return Bytes(
        values=values,
        flags=_flags(payload[3], payload[4]),
        flags_known=Flag.SMOKE_ALARM | Flag.BATTERY_LOW | Flag.FAULT | Flag.TAMPER,
        maker="Hager",
        model="TG563A",
        report_interval_s=_PERIOD_H[payload[1] & 0x07] * 3600.0,
    )


def _flags(place: int, health: int) -> Flag:
    flags = Flag(0)
    if health & _SMOKE:
        flags |= Flag.SMOKE_ALARM
    if health & _BATTERY_LOW:
        flags |= Flag.BATTERY_LOW
    if health & _BROKEN or place & _OBSTRUCTED:
        flags |= Flag.FAULT
    if place & _UNMOUNTED_TOO_LONG or not place & _MOUNTED:
        flags |= Flag.TAMPER
    return flags


CODEC = Codec(
    name="tg563a",
    words=("tg563a",),
    ports=frozenset({_PORT}),
    fits=_fits,
    decode=_decode,
)
