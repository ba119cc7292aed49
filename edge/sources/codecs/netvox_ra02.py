"""Netvox RA02A (smoke) and RA02C (CO) on LoRaWAN.

Port 6 carries reports: byte 0 version (1), byte 1 device (0x0A RA02A, 0x11 RA02C), byte 2 type.
Type 0, start-up: byte 3 software in tenths, byte 4 hardware, bytes 5-8 date as BCD.
Type 1, status: byte 3 battery in 0.1 V with bit 7 = low, byte 4 smoke or CO alarm, byte 5 high
temperature, bytes 6-7 temperature in 0.1 °C, signed. Port 7 answers commands: bit 7 of byte 0 set.

Checked against the makers' public vectors and a month of one RA02C's real uplinks.
"""

from __future__ import annotations

from edge.sources.codecs.base import Bytes, Codec, need
from edge.wire.errors import WireError
from edge.wire.readings import Flag

_REPORT_PORT = 6
_COMMAND_PORT = 7
_VERSION = 1
_MODELS = {0x0A: ("RA02A", Flag.SMOKE_ALARM), 0x11: ("RA02C", Flag.CO_ALARM)}
#: Both report about once an hour unless told otherwise.
_REPORT_INTERVAL_S = 3600.0


def _fits(port: int, payload: bytes) -> bool:
    return port in (_REPORT_PORT, _COMMAND_PORT) and len(payload) >= 3 and payload[1] in _MODELS


def _decode(port: int, payload: bytes) -> Bytes:
    if not payload:
        need(payload, 1)
    if port == _COMMAND_PORT:
        return _answer(payload)
    if port != _REPORT_PORT:
        raise WireError("wrong_port", f"port {port}; expected 6 (reports) or 7 (answers)")
    need(payload, 3)
    if payload[0] != _VERSION:
        raise WireError("unknown_version", f"report version {payload[0]}; expected {_VERSION}")
    model, alarm = _model(payload[1])
    if payload[2] == 0:
        return _start_up(payload, model)
    if payload[2] == 1:
        return _status(payload, model, alarm)
    raise WireError("unknown_version", f"report type {payload[2]}; expected 0 or 1")


def _model(device: int) -> tuple[str, Flag]:
    if device not in _MODELS:
        raise WireError("unknown_device", f"device type 0x{device:02x}; expected RA02A or RA02C")
    return _MODELS[device]


def _answer(payload: bytes) -> Bytes:
    need(payload, 3)
    model, _ = _model(payload[1])
    if not payload[0] & 0x80:
        raise WireError("inconsistent", f"command 0x{payload[0]:02x} is no answer")
    return Bytes(is_reading=False, maker="Netvox", model=model)


def _start_up(payload: bytes, model: str) -> Bytes:
    need(payload, 9)
    firmware = f"{payload[3] / 10:g} ({payload[5:9].hex()}), hardware {payload[4]}"
    return Bytes(is_reading=False, maker="Netvox", model=model, firmware=firmware)


def _status(payload: bytes, model: str, alarm: Flag) -> Bytes:
    need(payload, 8)
    flags = Flag(0)
    if payload[3] & 0x80:
        flags |= Flag.BATTERY_LOW
    if payload[4]:
        flags |= alarm
    if payload[5]:
        flags |= Flag.HEAT_ALARM
    return Bytes(
        values={
            "battery_v": (payload[3] & 0x7F) / 10,
            "temperature_c": int.from_bytes(payload[6:8], "big", signed=True) / 10,
        },
        flags=flags,
        flags_known=alarm | Flag.HEAT_ALARM | Flag.BATTERY_LOW,
        maker="Netvox",
        model=model,
        report_interval_s=_REPORT_INTERVAL_S,
    )


CODEC = Codec(
    name="netvox_ra02",
    words=("ra02a", "ra02c"),
    ports=frozenset({_REPORT_PORT, _COMMAND_PORT}),
    fits=_fits,
    decode=_decode,
)
