"""Tasmota: ``tele/<topic>/SENSOR``, and Zigbee devices under ``ZbReceived`` in it.

Plain sensors are found by the names of their values in any sensor block; several sensors of one
device are one detector, the first block that states a quantity counts. An input that means smoke is
told by option: ``inputs = {Switch1 = "smoke_alarm"}``. ``Time`` is local without an offset and so is
no time of ours: the time of arrival counts, unless it does carry an offset.

A Zigbee device's address is ``<topic>/<name>``, or its short address where it has no name.
``ZoneStatus`` bits (IAS zone) give tamper, battery, fault and test, beside ``Fire`` or ``CO`` only:
alone they may be a door's. ``tele/<topic>/LWT`` is ``Online`` or ``Offline``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edge.sources import jsontext, names
from edge.sources.base import (
    ALARM_FLAGS,
    Action,
    Builder,
    Decoded,
    Example,
    Order,
    RawMessage,
    check_size,
    clean_text,
    online_from_word,
    time_from_text,
)
from edge.sources.lorawan import bounded_float
from edge.wire.errors import WireError
from edge.wire.readings import Flag
from edge.wire.units import c_from_f

_object = msgspec.json.Decoder(dict[str, Any])

_QUANTITIES = {
    "Temperature": "temperature_c",
    "Humidity": "humidity_pct",
    "CarbonDioxide": "co2_ppm",
    "CarbonMonoxide": "co_ppm",
    "PM2.5": "pm25_ug_m3",
}
_ZIGBEE_QUANTITIES = {
    "Temperature": "temperature_c",
    "Humidity": "humidity_pct",
    "BatteryPercentage": "battery_pct",
    "BatteryVoltage": "battery_v",
}
_ZIGBEE_ALARMS = {"Fire": Flag.SMOKE_ALARM, "CO": Flag.CO_ALARM}
#: IAS zone status bits
_ZONE_BITS = (
    (2, Flag.TAMPER),
    (3, Flag.BATTERY_LOW),
    (6, Flag.FAULT),
    (8, Flag.TEST),
)


class TasmotaSource:
    """Tasmota (see the module). Options: ``prefix`` (``tele``), ``inputs`` (name → flag)."""

    name = "tasmota"
    summary = "Tasmota devices, and Zigbee detectors behind a Tasmota bridge"
    #: a battery-powered Zigbee detector behind it checks in within a day
    deadline_s = 25 * 3600.0
    example = Example(
        "tele/bridge/SENSOR",
        '{"ZbReceived":{"Kitchen":{"Device":"0x1F3A","Name":"Kitchen","ZoneStatusChange":1,"Fire":1,'
        '"Endpoint":1,"LinkQuality":131}}}',
    )

    def __init__(
        self, site: str, *, prefix: str = "tele", inputs: Mapping[str, str] | None = None
    ) -> None:
        self._builder = Builder(site, self.name)
        self._prefix = prefix
        self._inputs = {name: names.flag_named(flag) for name, flag in (inputs or {}).items()}

    def filters(self) -> list[str]:
        tele = self._prefix
        return [f"{tele}/+/SENSOR", f"{tele}/+/+/SENSOR", f"{tele}/+/LWT"]

    def decode(self, message: RawMessage) -> Decoded:
        levels = message.topic.split("/")
        if levels[0] == self._prefix and len(levels) == 3 and levels[2] == "LWT":
            if not message.payload:
                return Decoded()
            fact = self._builder.fact(levels[1])
            return Decoded(
                facts=[msgspec.structs.replace(fact, online=online_from_word(message.payload))]
            )
        if levels[0] != self._prefix or len(levels) not in (3, 4) or levels[-1] != "SENSOR":
            raise WireError("unknown_topic", f"{message.topic[:80]!r} is no telemetry of Tasmota")
        check_size(message.payload)
        said = jsontext.decode(_object, message.payload)
        if "ZbReceived" in said:
            return self._zigbee(levels[1], said["ZbReceived"], message)
        return self._plain(levels[1], said, message)

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        return None  # Zigbee detectors behind Tasmota differ too much to be told blindly

    def _plain(self, address: str, said: dict[str, Any], message: RawMessage) -> Decoded:
        flags = known = Flag(0)
        for name, flag in self._inputs.items():
            if isinstance(word := said.get(name), str) and (state := names.truth(word)) is not None:
                known |= flag
                flags |= flag if state else Flag(0)
        repairs: list[str] = []
        alarm = bool(flags & ALARM_FLAGS)
        values: dict[str, float] = {}
        for block in said.values():
            if isinstance(block, dict):
                for quantity, value in _numbers(block, _QUANTITIES, repairs, alarm).items():
                    values.setdefault(quantity, value)
        if not values and not known:
            return Decoded()
        if said.get("TempUnit") == "F" and "temperature_c" in values:
            values["temperature_c"] = c_from_f(values["temperature_c"])
        return self._builder.decoded(
            self._builder.fact(address),
            message,
            time_us=_time(said.get("Time")),
            values=values,
            flags=flags,
            flags_known=known,
            repairs=repairs,
        )

    def _zigbee(self, bridge: str, received: Any, message: RawMessage) -> Decoded:
        if not isinstance(received, dict):
            raise WireError("wrong_type", "ZbReceived is no object")
        whole = Decoded()
        for key, said in received.items():
            if not isinstance(said, dict):
                raise WireError("wrong_type", f"ZbReceived of {key[:40]!r} is no object")
            part = self._zigbee_device(bridge, key, said, message)
            whole.readings += part.readings
            whole.facts += part.facts
            whole.repairs += part.repairs
        return whole

    def _zigbee_device(
        self, bridge: str, key: str, said: dict[str, Any], message: RawMessage
    ) -> Decoded:
        flags, known = _zone(said)
        repairs: list[str] = []
        values = _numbers(said, _ZIGBEE_QUANTITIES, repairs, bool(flags & ALARM_FLAGS))
        if not known and not values:
            return Decoded()
        name = said.get("Name")
        fact = self._builder.fact(f"{bridge}/{name if isinstance(name, str) and name else key}")
        facts = {"maker": said.get("Manufacturer"), "model": said.get("ModelId")}
        stated = {k: clean_text(v) for k, v in facts.items() if isinstance(v, str) and v}
        return self._builder.decoded(
            msgspec.structs.replace(fact, **stated) if stated else fact,
            message,
            values=values,
            flags=flags,
            flags_known=known,
            repairs=repairs,
        )


def _zone(said: dict[str, Any]) -> tuple[Flag, Flag]:
    """Flags of an IAS zone that is a smoke or CO detector; nothing of any other."""
    flags = known = Flag(0)
    for name, flag in _ZIGBEE_ALARMS.items():
        state = said.get(name)
        if state is None:
            continue
        if state not in (0, 1):
            raise WireError("wrong_type", f"{name} is {str(state)[:40]!r}; expected 0 or 1")
        known |= flag
        flags |= flag if state else Flag(0)
    status = said.get("ZoneStatus", said.get("ZoneStatusChange"))
    if known and isinstance(status, int) and not isinstance(status, bool):
        for bit, flag in _ZONE_BITS:
            known |= flag
            flags |= flag if status >> bit & 1 else Flag(0)
    return flags, known


def _numbers(
    block: dict[str, Any], wanted: Mapping[str, str], repairs: list[str], alarm: bool
) -> dict[str, float]:
    """The quantities that a block states; null is what Tasmota says of a failed sensor."""
    values: dict[str, float] = {}
    for name, quantity in wanted.items():
        value = block.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            if not alarm:
                raise WireError("wrong_type", f"{name} is {str(value)[:40]!r}; expected a number")
            repairs.append("part_dropped")
            continue
        values[quantity] = bounded_float(value)
    return values


def _time(text: Any) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        return time_from_text(text)
    except WireError:
        return None  # local time without an offset is the usual case
