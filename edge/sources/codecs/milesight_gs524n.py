"""Milesight GS524N smoke detector on LoRaWAN: six bytes on any port.

Byte 0 software and protocol version (nibbles), byte 1 sensor type (1) and message (nibbles), byte 2
battery %, byte 3 smoke concentration % (of a scale its maker does not define, so it is left out),
byte 4 temperature in °C, signed, byte 5 makes the sum of all bytes a multiple of 256.

A message is one condition and not the state of all: an alarm says nothing of the battery's warning.
What it says nothing of stays unknown.
"""

from __future__ import annotations

from edge.sources.codecs.base import Bytes, Codec, need
from edge.wire.errors import WireError
from edge.wire.readings import Flag

_LENGTH = 6
_SMOKE_SENSOR = 1

_NOT = Flag(0)
#: message → (flags set, flags stated)
_MESSAGES: dict[int, tuple[Flag, Flag]] = {
    1: (Flag.SMOKE_ALARM, Flag.SMOKE_ALARM | Flag.MUTED | Flag.TEST),
    2: (Flag.MUTED, Flag.MUTED),
    4: (Flag.BATTERY_LOW, Flag.BATTERY_LOW),
    5: (Flag.FAULT, Flag.FAULT),
    7: (_NOT, Flag.SMOKE_ALARM | Flag.BATTERY_LOW | Flag.FAULT | Flag.TEST | Flag.MUTED),
    10: (Flag.TAMPER, Flag.TAMPER),
    11: (_NOT, Flag.TAMPER),
    14: (Flag.TEST, Flag.TEST | Flag.BATTERY_LOW),
    15: (Flag.TEST | Flag.BATTERY_LOW, Flag.TEST | Flag.BATTERY_LOW),
}


def _fits(_port: int, payload: bytes) -> bool:
    return (
        len(payload) == _LENGTH
        and sum(payload) % 256 == 0
        and payload[1] >> 4 == _SMOKE_SENSOR
        and payload[1] & 0x0F in _MESSAGES
    )


def _decode(_port: int, payload: bytes) -> Bytes:
    need(payload, _LENGTH)
    if len(payload) != _LENGTH:
        raise WireError("inconsistent", f"{len(payload)} bytes; expected {_LENGTH}")
    if sum(payload) % 256:
        raise WireError("bad_checksum", f"the bytes add up to {sum(payload) % 256} mod 256, not 0")
    if payload[1] >> 4 != _SMOKE_SENSOR:
        raise WireError("unknown_device", f"sensor type {payload[1] >> 4}; expected 1 (smoke)")
    message = payload[1] & 0x0F
    if message not in _MESSAGES:
        raise WireError("unknown_version", f"message {message} is not among those it documents")
    flags, known = _MESSAGES[message]
    return Bytes(
        values={
            "battery_pct": float(payload[2]),
            "temperature_c": float(int.from_bytes(payload[4:5], "big", signed=True)),
        },
        flags=flags,
        flags_known=known,
        maker="Milesight",
        model="GS524N",
        firmware=str(payload[0] >> 4),
    )


CODEC = Codec(
    name="milesight_gs524n",
    words=("gs524n",),
    ports=frozenset(),
    fits=_fits,
    decode=_decode,
)
