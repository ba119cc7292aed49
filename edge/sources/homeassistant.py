"""ESPHome and whatever else announces itself by Home Assistant's MQTT discovery.

``homeassistant/<component>/[<node>/]<object>/config`` (retained) says where an entity's state is, how
to read it and what it is; long and abbreviated keys are understood. Entities of one device are one
detector. ESPHome publishes ``<prefix>/binary_sensor/<name>/state`` (``ON``, ``OFF``),
``<prefix>/sensor/<name>/state`` (a plain number) and ``<prefix>/status``; there the address is the
prefix, and names that tell (``smoke``, ``co_alarm``) work without discovery. Elsewhere the address is
the device's first identifier. States below ``homeassistant/`` arrive by themselves; other topics are
subscribed to by the option ``topics``, and ``entities`` (topic → flag or quantity) stands in for
discovery.

Only devices with a smoke, CO or heat entity are detectors; all others are left alone, and so are
entities that Zigbee2MQTT or we ourselves announce.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from edge.sources import jsontext, names
from edge.sources.base import (
    ALARM_FLAGS,
    MAX_KNOWN,
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
from edge.wire.units import BY_NAME, c_from_f

_BINARY: dict[str, Flag] = {
    "smoke": Flag.SMOKE_ALARM,
    "carbon_monoxide": Flag.CO_ALARM,
    "heat": Flag.HEAT_ALARM,
    "tamper": Flag.TAMPER,
    "battery": Flag.BATTERY_LOW,
    "problem": Flag.FAULT,
}
_SENSOR: dict[str, str] = {
    "carbon_monoxide": "co_ppm",
    "temperature": "temperature_c",
    "humidity": "humidity_pct",
    "battery": "battery_pct",
    "carbon_dioxide": "co2_ppm",
    "pm25": "pm25_ug_m3",
    "signal_strength": "signal_dbm",
}
_LONG = {
    "stat_t": "state_topic", "dev_cla": "device_class", "pl_on": "payload_on",
    "pl_off": "payload_off", "val_tpl": "value_template", "unit_of_meas": "unit_of_measurement",
    "avty_t": "availability_topic", "avty": "availability", "dev": "device", "o": "origin",
    "pl_avail": "payload_available", "pl_not_avail": "payload_not_available",
    "ids": "identifiers", "mf": "manufacturer", "mdl": "model", "sw": "sw_version", "t": "topic",
}  # fmt: skip
#: Announced by these: decoded at the source, or our own.
_OTHERS = frozenset({"zigbee2mqtt", "utaa"})
#: What stands for "no state".
_NO_STATE = frozenset({"", "unknown", "unavailable", "none"})
_TEMPLATE = re.compile(
    r"\{\{\s*value_json(?P<path>(?:\.\w+|\[\s*['\"][^'\"]+['\"]\s*\])+)\s*(?:\|[^}]*)?\}\}"
)
_WHOLE = re.compile(r"\{\{\s*value\s*(?:\|[^}]*)?\}\}")
_STEP = re.compile(r"\.(\w+)|\[\s*['\"]([^'\"]+)['\"]\s*\]")


class _Entity(msgspec.Struct, frozen=True):
    """Where one flag or quantity of a detector is found. ``path`` empty: the payload itself."""

    address: str
    flag: Flag | None = None
    quantity: str | None = None
    path: tuple[str, ...] = ()
    on: str = "on"
    off: str = "off"
    fahrenheit: bool = False

    @property
    def senses(self) -> bool:
        return self.quantity == "co_ppm" or bool(self.flag and self.flag & ALARM_FLAGS)


class _Availability(msgspec.Struct, frozen=True):
    address: str
    online: str
    offline: str


_object = msgspec.json.Decoder(dict[str, Any])
_any = msgspec.json.Decoder(Any)


class HomeAssistantSource:
    """Discovery and states (see the module). Options: ``prefix``, ``topics``, ``entities``."""

    name = "homeassistant"
    summary = "ESPHome, and devices that announce themselves by Home Assistant discovery"
    #: an ESPHome node is on mains and reports every minute; its broker says sooner that it is gone
    deadline_s = 3600.0
    example = Example(
        "kitchen/binary_sensor/smoke/state",
        "ON",
    )

    def __init__(
        self,
        site: str,
        *,
        prefix: str = "homeassistant",
        topics: Sequence[str] = (),
        entities: Mapping[str, str] | None = None,
    ) -> None:
        self._builder = Builder(site, self.name)
        self._prefix = prefix + "/"
        if isinstance(topics, str):
            raise ValueError(f"topics is {topics!r}; expected a list")
        self._topics = list(topics)
        #: entity key (its config topic) → (state topic, entity)
        self._announced: dict[str, tuple[str, _Entity]] = {}
        self._by_topic: dict[str, list[_Entity]] = {}
        self._availability: dict[str, _Availability] = {}
        self._facts: dict[str, DeviceFact] = {}
        self._sensing: set[str] = set()
        for topic, meaning in (entities or {}).items():
            self._learn(topic, topic, _mapped(topic, meaning))

    def filters(self) -> list[str]:
        return [
            self._prefix + "#",
            "+/binary_sensor/+/state",
            "+/sensor/+/state",
            "+/status",
            *self._topics,
        ]

    def decode(self, message: RawMessage) -> Decoded:
        topic = message.topic
        if topic.startswith(self._prefix) and topic.endswith("/config"):
            return self._decode_config(message)
        if topic in self._by_topic:
            return self._decode_state(message, self._by_topic[topic])
        if topic in self._availability:
            return self._decode_availability(message, self._availability[topic])
        levels = topic.split("/")
        if len(levels) == 2 and levels[1] == "status" and levels[0] in self._sensing:
            return self._decode_availability(message, _Availability(levels[0], "online", "offline"))
        told = _told_by_name(levels)
        if told is not None and (told.senses or told.address in self._sensing):
            self._sensing_now(told.address)
            return self._decode_state(message, [told])
        return Decoded()

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        return None  # discovery of buttons and switches is not followed

    def _decode_config(self, message: RawMessage) -> Decoded:
        key = message.topic
        if not message.payload:
            self._forget(key)
            return Decoded()
        check_size(message.payload)
        config = _lengthened(jsontext.decode(_object, message.payload))
        if _text(config.get("origin", {}), "name").lower() in _OTHERS:
            return Decoded()
        component, *place, _ = key[len(self._prefix) :].split("/")
        state_topic = _rooted(config, _text(config, "state_topic"))
        entity = _entity(component, place[0] if place else "", state_topic, config)
        if entity is None:
            return Decoded()
        self._learn(key, state_topic, entity)
        self._learn_availability(config, entity.address)
        if len(self._facts) >= MAX_KNOWN:
            self._facts.clear()
        self._facts[entity.address] = _described(
            self._builder.fact(entity.address), config.get("device", {})
        )
        if entity.address not in self._sensing:
            return Decoded()
        return Decoded(facts=[self._facts[entity.address]])

    def _learn(self, key: str, state_topic: str, entity: _Entity) -> None:
        self._forget(key)
        if len(self._announced) >= MAX_KNOWN:
            raise WireError("too_large", f"more than {MAX_KNOWN} entities are announced")
        self._announced[key] = (state_topic, entity)
        self._by_topic.setdefault(state_topic, []).append(entity)
        if entity.senses:
            self._sensing_now(entity.address)

    def _sensing_now(self, address: str) -> None:
        if len(self._sensing) >= MAX_KNOWN:
            self._sensing.clear()
        self._sensing.add(address)

    def _forget(self, key: str) -> None:
        if key not in self._announced:
            return
        topic, entity = self._announced.pop(key)
        left = [other for other in self._by_topic[topic] if other is not entity]
        if left:
            self._by_topic[topic] = left
        else:
            del self._by_topic[topic]

    def _learn_availability(self, config: dict[str, Any], address: str) -> None:
        listed = config.get("availability")
        places = [p for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
        if "availability_topic" in config:
            places.append(config | {"topic": config["availability_topic"]})
        if len(self._availability) + len(places) > MAX_KNOWN:
            self._availability.clear()
        for place in places:
            topic = _rooted(config, _text(place, "topic"))
            self._availability[topic] = _Availability(
                address,
                _text(place, "payload_available") or "online",
                _text(place, "payload_not_available") or "offline",
            )

    def _decode_availability(self, message: RawMessage, place: _Availability) -> Decoded:
        if not message.payload or place.address not in self._sensing:
            return Decoded()
        word = message.payload[:64].decode("utf-8", "replace").strip()
        if word not in (place.online, place.offline):
            raise WireError("wrong_type", f"state {word!r}; expected {place.online} or {place.offline}")
        fact = self._fact(place.address)
        return Decoded(facts=[msgspec.structs.replace(fact, online=word == place.online)])

    def _fact(self, address: str) -> DeviceFact:
        return self._facts.get(address) or self._builder.fact(address)

    def _decode_state(self, message: RawMessage, entities: list[_Entity]) -> Decoded:
        """One reading for each detector that has an entity on this topic."""
        if not message.payload:
            return Decoded()
        check_size(message.payload)
        whole = Decoded()
        for address in dict.fromkeys(entity.address for entity in entities):
            if address not in self._sensing:
                continue
            mine = [entity for entity in entities if entity.address == address]
            part = self._decode_detector(message, address, mine)
            whole.readings += part.readings
            whole.facts += part.facts
            whole.repairs += part.repairs
        return whole

    def _decode_detector(self, message: RawMessage, address: str, entities: list[_Entity]) -> Decoded:
        flags = known = Flag(0)
        values: dict[str, float | None] = {}
        for entity in entities:
            text = _state_text(message.payload, entity.path)
            if text is None or text.lower() in _NO_STATE:
                continue
            if entity.flag is not None:
                known |= entity.flag
                flags |= entity.flag if _is_on(entity, text) else Flag(0)
            elif entity.quantity is not None:
                values[entity.quantity] = _number(entity, text)
        if not known and not values:
            return Decoded()
        return self._builder.decoded(
            self._fact(address), message, values=values, flags=flags, flags_known=known
        )


def _lengthened(config: dict[str, Any], depth: int = 4) -> dict[str, Any]:
    """The configuration with its abbreviated keys written out; real ones are three levels deep."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            value = _lengthened(value, depth - 1) if depth else {}
        elif isinstance(value, list):
            value = [
                _lengthened(item, depth - 1) if isinstance(item, dict) and depth else item
                for item in value
            ]
        result[_LONG.get(key, key)] = value
    return result


def _text(config: Any, key: str) -> str:
    value = config.get(key, "") if isinstance(config, dict) else ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ""


def _rooted(config: dict[str, Any], topic: str) -> str:
    """The topic with its ``~`` replaced by the configuration's base."""
    base = _text(config, "~")
    if topic.startswith("~"):
        return base + topic[1:]
    return topic[:-1] + base if topic.endswith("~") else topic


def _entity(component: str, node: str, state_topic: str, config: dict[str, Any]) -> _Entity | None:
    """The entity, None if it is nothing of a detector. Raises ``WireError`` for a bad template."""
    kind = _text(config, "device_class")
    flag = _BINARY.get(kind) if component == "binary_sensor" else None
    quantity = _SENSOR.get(kind) if component == "sensor" else None
    if not state_topic or (flag is None and quantity is None):
        return None
    if quantity == "co_ppm" and _text(config, "unit_of_measurement") not in ("ppm", ""):
        return None
    path = _path(_text(config, "value_template"))
    if path is None:
        if quantity == "co_ppm" or (flag and flag & ALARM_FLAGS):
            raise WireError(
                "wrong_type", "its value_template is beyond us: describe it as a generic source"
            )
        return None
    return _Entity(
        address=_address(node, state_topic, config),
        flag=flag,
        quantity=quantity,
        path=path,
        on=(_text(config, "payload_on") or "ON").lower(),
        off=(_text(config, "payload_off") or "OFF").lower(),
        fahrenheit=_text(config, "unit_of_measurement") == "°F",
    )


def _address(node: str, state_topic: str, config: dict[str, Any]) -> str:
    levels = state_topic.split("/")
    if len(levels) == 4 and levels[1] in ("binary_sensor", "sensor") and levels[3] == "state":
        return levels[0]
    device = config.get("device")
    identifiers = device.get("identifiers") if isinstance(device, dict) else None
    if isinstance(identifiers, list):
        identifiers = identifiers[0] if identifiers else None
    if isinstance(identifiers, str) and identifiers:
        return identifiers
    return node


def _path(template: str) -> tuple[str, ...] | None:
    """The keys to the value; empty: the payload itself; None: more than a path."""
    if not template or _WHOLE.fullmatch(template.strip()):
        return ()
    found = _TEMPLATE.fullmatch(template.strip())
    if found is None:
        return None
    return tuple(dot or bracket for dot, bracket in _STEP.findall(found["path"]))


def _mapped(topic: str, meaning: str) -> _Entity:
    address = topic.split("/")[0]
    if meaning in BY_NAME:
        return _Entity(address, quantity=meaning)
    return _Entity(address, flag=names.flag_named(meaning))


def _told_by_name(levels: list[str]) -> _Entity | None:
    """An ESPHome entity whose name tells what it is."""
    if len(levels) != 4 or levels[3] != "state" or not levels[0]:
        return None
    if levels[1] == "binary_sensor":
        flag = names.flag_of(levels[2])
        return _Entity(levels[0], flag=flag) if flag is not None else None
    if levels[1] == "sensor":
        quantity = names.quantity_of(levels[2])
        return _Entity(levels[0], quantity=quantity) if quantity else None
    return None


def _described(fact: DeviceFact, device: Any) -> DeviceFact:
    said = {
        "maker": _text(device, "manufacturer"),
        "model": _text(device, "model"),
        "firmware": _text(device, "sw_version"),
        "name": _text(device, "name"),
    }
    stated = {key: clean_text(value) for key, value in said.items() if value}
    return msgspec.structs.replace(fact, **stated) if stated else fact


def _state_text(payload: bytes, path: tuple[str, ...]) -> str | None:
    """The state as text; None where the path leads nowhere."""
    if not path:
        try:
            return payload.decode().strip()
        except UnicodeDecodeError:
            raise WireError("wrong_type", "the state is no text") from None
    value = jsontext.decode(_any, payload)
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    if value is None or isinstance(value, dict | list):
        return None
    return str(value)


def _is_on(entity: _Entity, text: str) -> bool:
    folded = text.lower()
    if folded == entity.on:
        return True
    if folded == entity.off:
        return False
    raise WireError("wrong_type", f"state {text[:40]!r}; expected {entity.on} or {entity.off}")


def _number(entity: _Entity, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise WireError("wrong_type", f"state {text[:40]!r}; expected a number") from None
    return c_from_f(number) if entity.fahrenheit else number
