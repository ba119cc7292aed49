"""Zigbee2MQTT: ``<base>/<friendly name>`` as JSON, with availability and the bridge's own topics.

The address is the friendly name (it may contain ``/``). Quirks that are handled:

- ``smoke`` may be absent until it first happens: the flag is then not known, rather than false.
- ``battery`` comes as a number or as a string, ``smoke`` as a boolean or as a word.
- A self-test may arrive as ``smoke: false``: that is no alarm and no test either; ``test`` and
  ``self_test_result`` are used where the device has them.
- ``smoke_density`` of Aqara's detector is a step from 0 to 10, of older Xiaomi ones a raw number
  without a unit: the step is turned into dB/m unless the device is known to be another make.
- ``linkquality`` has no unit and is left out.
- ``last_seen`` is epoch milliseconds or ISO text, or absent.
- Availability and bridge state are ``{"state": "online"}``, in older releases the bare word.
- The list of devices (``<base>/bridge/devices``) says what is a detector at all: lamps and door
  contacts in the same network are then left alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.sources import jsontext
from edge.sources.base import (
    MAX_INVENTORY_BYTES,
    SOUND_HOLD_S,
    Action,
    Builder,
    Decoded,
    Example,
    Order,
    RawMessage,
    check_size,
    clean_text,
    online_from_word,
    time_from_epoch,
    time_from_text,
)
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag

#: dB/m of Aqara's smoke density steps.
AQARA_DENSITY_DB_M = (0.0, 0.085, 0.088, 0.093, 0.095, 0.1, 0.105, 0.11, 0.115, 0.12, 0.125)
#: Zigbee model ids whose ``smoke_density`` is a raw number and no step.
_RAW_DENSITY = frozenset({"lumi.sensor_smoke", "JTYJ-GD-01LM/BW"})
#: Properties that make a device a detector of ours.
_SENSED = frozenset({"smoke", "carbon_monoxide", "co", "carbon_monoxide_value", "temperature"})
#: Properties by which detectors are told to do something.
_SETTABLE = {
    "self_test": frozenset({"self_test", "selftest"}),
    "silence": frozenset({"silence", "mute", "buzzer_manual_mute"}),
}
#: Bit of an expose's ``access``: it can be set.
_ACCESS_SET = 2
#: Properties that switch a siren on and off.
_SIRENS = frozenset({"alarm", "siren", "siren_state", "alarm_state"})
#: Modes of Zigbee's warning devices, the one that fits best first.
_MODES: dict[Action, tuple[str, ...]] = {
    "sound_t3": ("fire", "emergency", "burglar"),
    "sound_t4": ("emergency", "fire", "burglar"),
}
_LEVELS = ("very_high", "high", "medium", "low")
_TRUE_WORDS = frozenset({"true", "on", "alarm", "smoke", "1"})
_FALSE_WORDS = frozenset({"false", "off", "normal", "clear", "ok", "0"})
#: A battery's millivolts; mains plugs give volts under the same name, which says nothing here.
_MILLIVOLTS = (1000.0, 20_000.0)
#: The bridge itself, as a device: when it is gone, so is the way to all its detectors.
BRIDGE = "bridge"

_Word = bool | str | None
_Number = float | str | None


class _Device(msgspec.Struct, rename="camel"):
    """Given with every message when ``include_device_information`` is on."""

    model_id: str | None = None
    manuf_name: str | None = None
    model: str | None = None


class _State(msgspec.Struct):
    """A device's published state; every field optional, all others ignored."""

    smoke: _Word = None
    smoke_state: _Word = None
    carbon_monoxide: _Word = None
    co: _Number = None
    carbon_monoxide_value: _Number = None
    smoke_density: _Number = None
    smoke_density_dbm: _Number = None
    temperature: _Number = None
    humidity: _Number = None
    co2: _Number = None
    pm25: _Number = None
    battery: _Number = None
    voltage: _Number = None
    battery_low: _Word = None
    tamper: _Word = None
    fault: _Word = None
    fault_state: _Word = None
    test: _Word = None
    silence: _Word = None
    mute: _Word = None
    self_test_result: str | None = None
    last_seen: float | str | None = None
    device: _Device | None = None


class _Availability(msgspec.Struct):
    state: str = ""


class _Expose(msgspec.Struct):
    property: str | None = None
    name: str | None = None
    access: int = 0
    value_on: Any = None
    value_off: Any = None
    value_max: float | None = None
    values: Any = None
    features: list[_Expose] = []


class _Definition(msgspec.Struct):
    model: str | None = None
    vendor: str | None = None
    exposes: list[_Expose] = []


class _Listed(msgspec.Struct):
    friendly_name: str
    type: str = ""
    manufacturer: str | None = None
    model_id: str | None = None
    software_build_id: str | None = None
    definition: _Definition | None = None


class _BridgeEvent(msgspec.Struct):
    type: str = ""
    data: dict[str, Any] = {}


_state = msgspec.json.Decoder(_State)
_availability = msgspec.json.Decoder(_Availability)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_listed = msgspec.json.Decoder(_Listed)
_event = msgspec.json.Decoder(_BridgeEvent)

#: wire flag → fields that state it; any true one sets it
_FLAGS: tuple[tuple[Flag, tuple[str, ...]], ...] = (
    (Flag.SMOKE_ALARM, ("smoke", "smoke_state")),
    (Flag.CO_ALARM, ("carbon_monoxide",)),
    (Flag.TAMPER, ("tamper",)),
    (Flag.BATTERY_LOW, ("battery_low",)),
    (Flag.FAULT, ("fault", "fault_state")),
    (Flag.TEST, ("test",)),
    (Flag.MUTED, ("silence", "mute")),
)
_QUANTITIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("co_ppm", ("co", "carbon_monoxide_value")),
    ("optical_density_db_m", ("smoke_density_dbm",)),
    ("temperature_c", ("temperature",)),
    ("humidity_pct", ("humidity",)),
    ("co2_ppm", ("co2",)),
    ("pm25_ug_m3", ("pm25",)),
    ("battery_pct", ("battery",)),
)


def _is_alarm(untyped: dict[str, Any]) -> bool:
    return any(
        value is True or (isinstance(value, str) and value.lower() in _TRUE_WORDS)
        for value in (untyped.get(name) for name in ("smoke", "smoke_state", "carbon_monoxide"))
    )


class Zigbee2MqttSource:
    """Zigbee2MQTT (see the module). Options: ``base``, its base topic."""

    name = "zigbee2mqtt"
    summary = "Zigbee detectors behind Zigbee2MQTT"
    #: Zigbee2MQTT itself gives battery devices 25 hours
    deadline_s = 25 * 3600.0
    example = Example(
        "zigbee2mqtt/kitchen",
        '{"smoke":false,"smoke_density":0,"battery":"97","battery_low":false,"linkquality":81,'
        '"last_seen":1769857920123}',
    )

    def __init__(self, site: str, *, base: str = "zigbee2mqtt") -> None:
        if not base or any(sign in base for sign in "#+"):
            raise ValueError(f"base is {base!r}; expected Zigbee2MQTT's base topic, no wildcard")
        self._prefix = base.rstrip("/") + "/"
        self._builder = Builder(site, self.name)
        #: detectors of the last inventory; None until there was one
        self._detectors: dict[str, DeviceFact] | None = None
        #: what detectors of the last inventory can be told: address → action → payload
        self._settable: dict[str, dict[str, dict[str, Any]]] = {}
        #: sirens of the last inventory that sense nothing
        self._sirens: dict[str, DeviceFact] = {}
        #: everything else in the last inventory
        self._others: frozenset[str] = frozenset()

    def filters(self) -> list[str]:
        return [self._prefix + "#"]

    def decode(self, message: RawMessage) -> Decoded:
        if not message.topic.startswith(self._prefix):
            raise WireError("unknown_topic", f"{message.topic[:80]!r} is not below {self._prefix}")
        name = message.topic[len(self._prefix) :]
        if name.startswith("bridge/"):
            return self._bridge(name[len("bridge/") :], message)
        stem, _, leaf = name.rpartition("/")
        if stem and leaf == "availability":
            return self._decode_availability(stem, message)
        if leaf in ("set", "get") or any(f"/{verb}/" in name for verb in ("set", "get")):
            return Decoded()  # an order by somebody else
        if name in self._others:
            return Decoded()
        siren = self._sirens.get(name)
        if siren is not None:
            return Decoded(facts=[siren], answers=[] if message.retained else [siren.detector])
        decoded = self._decode_state(name, message)
        if name in self._settable and not message.retained:
            # it publishes its state when an order was carried out, and nothing when it failed
            decoded.answers.extend(fact.detector for fact in decoded.facts)
        return decoded

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        """By what the list of devices says that it can be told; the id has no place in it."""
        told = self._settable.get(address, {}).get(action)
        if told is None:
            return None
        return Order(f"{self._prefix}{address}/set", msgspec.json.encode(told))

    def _decode_state(self, name: str, message: RawMessage) -> Decoded:
        fact = self._builder.fact(name)
        if not message.payload and message.retained:
            return Decoded()
        check_size(message.payload)
        state, repairs = jsontext.decode_object(_state, message.payload, _State, _is_alarm)
        listed = (self._detectors or {}).get(name)
        fact = _fact(listed or fact, state.device)
        flags, known = _flags(state)
        alarm = bool(flags & (Flag.SMOKE_ALARM | Flag.CO_ALARM))
        values = _values(state, fact, repairs, alarm=alarm)
        if not known and not values and listed is None:
            return Decoded()  # nothing we know: a lamp, a switch, a group
        return self._builder.decoded(
            fact,
            message,
            time_us=_time(state.last_seen, repairs, alarm=alarm),
            values=values,
            flags=flags,
            flags_known=known,
            repairs=repairs,
        )

    def _decode_availability(self, name: str, message: RawMessage) -> Decoded:
        if not message.payload or name in self._others:
            return Decoded()
        fact = self._listed(name) or self._builder.fact(name)
        return Decoded(facts=[msgspec.structs.replace(fact, online=_online(message.payload))])

    def _listed(self, name: str) -> DeviceFact | None:
        return (self._detectors or {}).get(name) or self._sirens.get(name)

    def _bridge(self, leaf: str, message: RawMessage) -> Decoded:
        if not message.payload:
            return Decoded()
        if leaf == "state":
            check_size(message.payload)
            bridge = msgspec.structs.replace(
                self._builder.fact(BRIDGE),
                online=_online(message.payload),
                maker="Zigbee2MQTT",
                model="bridge",
                role="bridge",
            )
            return Decoded(facts=[bridge])
        if leaf == "devices":
            check_size(message.payload, MAX_INVENTORY_BYTES)
            return self._inventory(jsontext.decode(_list, message.payload))
        if leaf == "event":
            check_size(message.payload)
            return self._decode_event(jsontext.decode(_event, message.payload))
        return Decoded()

    def _inventory(self, rows: list[msgspec.Raw]) -> Decoded:
        """Facts of the detectors listed; a row that cannot be read costs only itself."""
        repairs: list[str] = []
        detectors: dict[str, DeviceFact] = {}
        sirens: dict[str, DeviceFact] = {}
        others: set[str] = set()
        settable: dict[str, dict[str, dict[str, Any]]] = {}
        for row in rows:
            try:
                device = jsontext.decode(_listed, bytes(row))
            except WireError:
                repairs.append("part_dropped")
                continue
            if device.type == "Coordinator":
                continue
            if device.definition is None:
                continue  # not known to Zigbee2MQTT: judged by what it says
            exposes = device.definition.exposes
            orders = _orders(exposes)
            if not _senses(exposes) and "sound_t3" not in orders:
                others.add(device.friendly_name)
                continue
            if orders:
                settable[device.friendly_name] = orders
            fact = _described(
                self._builder.fact(device.friendly_name),
                maker=device.definition.vendor or device.manufacturer,
                model=device.definition.model or device.model_id,
                firmware=device.software_build_id,
            )
            fact = msgspec.structs.replace(fact, sounder="sound_t3" in orders or None)
            if _senses(exposes):
                detectors[device.friendly_name] = msgspec.structs.replace(
                    fact, senses=_meanings(exposes), proposed_deadline_s=self.deadline_s
                )
            else:
                sirens[device.friendly_name] = msgspec.structs.replace(fact, role="siren")
        self._detectors, self._others = detectors, frozenset(others)
        self._settable, self._sirens = settable, sirens
        return Decoded(facts=[*detectors.values(), *sirens.values()], repairs=repairs)

    def _decode_event(self, event: _BridgeEvent) -> Decoded:
        name = event.data.get("friendly_name")
        online = {"device_announce": True, "device_leave": False}.get(event.type)
        if not isinstance(name, str) or online is None or name in self._others:
            return Decoded()
        fact = self._listed(name) or self._builder.fact(name)
        return Decoded(facts=[msgspec.structs.replace(fact, online=online)])


def _senses(exposes: list[_Expose]) -> bool:
    return any(
        expose.property in _SENSED
        or expose.name in _SENSED
        or any(part.property in _SENSED or part.name in _SENSED for part in expose.features)
        for expose in exposes
    )


def _orders(exposes: list[_Expose]) -> dict[str, dict[str, Any]]:
    """By action, the payload that has the device do it; only what it lists as settable."""
    orders: dict[str, dict[str, Any]] = {}
    for expose in exposes:
        if not expose.access & _ACCESS_SET or not expose.property:
            continue
        for action, properties in _SETTABLE.items():
            if expose.property in properties:
                orders.setdefault(action, {expose.property: _value_that_starts(expose)})
    return orders | _sounding(exposes)


def _sounding(exposes: list[_Expose]) -> dict[str, dict[str, Any]]:
    """How it is told to sound for others and to stop: a ``warning`` if it takes one, else a switch."""
    settable = {e.property: e for e in exposes if e.property and e.access & _ACCESS_SET}
    warning = settable.get("warning")
    if warning is not None:
        choices = {part.name: part.values for part in warning.features}
        modes, levels = choices.get("mode"), choices.get("level")
        if isinstance(modes, list) and "stop" in modes:
            rest: dict[str, Any] = {"strobe": True, "duration": SOUND_HOLD_S}
            loudest = [word for word in _LEVELS if isinstance(levels, list) and word in levels]
            if loudest:
                rest["level"] = loudest[0]
            found: dict[str, str | None] = {
                action: next((mode for mode in wanted if mode in modes), None)
                for action, wanted in _MODES.items()
            }
            if all(found.values()):
                sounding = {
                    action: {"warning": {"mode": mode, **rest}} for action, mode in found.items()
                }
                return {**sounding, "hush": {"warning": {"mode": "stop", "strobe": False}}}
    for name in sorted(_SIRENS & settable.keys()):
        switch = settable[name]
        if switch.value_on is None or switch.value_off is None:
            continue
        on: dict[str, Any] = {name: switch.value_on}
        longest_s = settable["duration"].value_max if "duration" in settable else None
        if longest_s:
            on["duration"] = min(SOUND_HOLD_S, int(longest_s))
        return {"sound_t3": on, "sound_t4": on, "hush": {name: switch.value_off}}
    return {}


def _meanings(exposes: list[_Expose]) -> tuple[str, ...]:
    """The quantities and flags that a device can state, by what it exposes."""
    listed = {expose.property or expose.name for expose in exposes}
    listed |= {part.property or part.name for expose in exposes for part in expose.features}
    senses = [str(flag.name).lower() for flag, names in _FLAGS if listed & set(names)]
    senses += [quantity for quantity, names in _QUANTITIES if listed & set(names)]
    if "smoke_density" in listed and "optical_density_db_m" not in senses:
        senses.append("optical_density_db_m")
    return tuple(senses)


def _value_that_starts(expose: _Expose) -> Any:
    if expose.value_on is not None:
        return expose.value_on
    if isinstance(expose.values, list) and expose.values:
        return expose.values[0]
    return True


def _online(payload: bytes) -> bool:
    if payload.lstrip()[:1] != b"{":
        return online_from_word(payload)
    check_size(payload)
    return online_from_word(jsontext.decode(_availability, payload).state.encode())


def _described(fact: DeviceFact, **said: str | None) -> DeviceFact:
    stated = {name: clean_text(value) for name, value in said.items() if value}
    return msgspec.structs.replace(fact, **stated) if stated else fact


def _fact(fact: DeviceFact, device: _Device | None) -> DeviceFact:
    if device is None:
        return fact
    return _described(fact, maker=device.manuf_name, model=device.model or device.model_id)


def _flags(state: _State) -> tuple[Flag, Flag]:
    """The flags that are set, and those that are stated at all. Raises ``WireError``."""
    flags = known = Flag(0)
    for flag, names in _FLAGS:
        for name in names:
            word = getattr(state, name)
            if word is None:
                continue
            said = word if isinstance(word, bool) else _truth(name, word)
            if said is None:
                continue
            known |= flag
            if said:
                flags |= flag
    return _self_test(state.self_test_result, flags, known)


def _self_test(result: str | None, flags: Flag, known: Flag) -> tuple[Flag, Flag]:
    """``checking`` is a test under way; ``check_failure`` is a fault of the detector."""
    if result is None:
        return flags, known
    word = result.lower()
    known |= Flag.TEST | Flag.FAULT
    if word in ("checking", "testing"):
        flags |= Flag.TEST
    elif word in ("check_failure", "failure", "failed"):
        flags |= Flag.FAULT
    return flags, known


def _truth(name: str, word: str) -> bool | None:
    folded = word.lower()
    if folded in _TRUE_WORDS:
        return True
    if folded in _FALSE_WORDS:
        return False
    if name in ("fault", "fault_state"):
        return True  # a name of what is broken
    raise WireError("wrong_type", f"{name} is {word[:40]!r}; expected true or false")


def _number(name: str, value: float | str) -> float:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise WireError("wrong_type", f"{name} is {value[:40]!r}; expected a number") from None


def _values(
    state: _State, fact: DeviceFact, repairs: list[str], *, alarm: bool
) -> dict[str, float | None]:
    values: dict[str, float | None] = {}

    def take(quantity: str, name: str) -> None:
        stated = getattr(state, name)
        if stated is None or quantity in values:
            return
        try:
            values[quantity] = _number(name, stated)
        except WireError:
            if not alarm:
                raise
            repairs.append("part_dropped")

    for quantity, names in _QUANTITIES:
        for name in names:
            take(quantity, name)
    take("battery_v", "voltage")
    if "battery_v" in values:
        millivolts = values.pop("battery_v") or 0.0
        if _MILLIVOLTS[0] <= millivolts <= _MILLIVOLTS[1]:
            values["battery_v"] = millivolts / 1000
    if "optical_density_db_m" not in values and fact.model not in _RAW_DENSITY:
        take("optical_density_db_m", "smoke_density")
        density = _density_db_m(values.pop("optical_density_db_m", None))
        if density is not None:
            values["optical_density_db_m"] = density
    return values


def _density_db_m(step: float | None) -> float | None:
    """dB/m of an Aqara step; None for what is no step."""
    if step is None or step not in range(len(AQARA_DENSITY_DB_M)):
        return None
    return AQARA_DENSITY_DB_M[int(step)]


def _time(last_seen: float | str | None, repairs: list[str], *, alarm: bool) -> int | None:
    if last_seen is None:
        return None
    try:
        if isinstance(last_seen, str):
            return time_from_text(last_seen)
        return time_from_epoch(last_seen / 1000)
    except WireError:
        if not alarm:
            raise
        repairs.append("time_unset")
        return None
