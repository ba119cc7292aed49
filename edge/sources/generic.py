"""Any other device, described in a few lines of TOML.

    [[edge.sources]]
    name = "generic"

    [[edge.sources.options.devices]]
    topic = "home/{address}/gas"        # {address} is one topic level; + and # as in MQTT
    maker = "Acme"
    time = { path = "at", format = "epoch_ms" }
    fields = [
      { path = "gas.co", quantity = "co_ppm" },
      { path = "temp", quantity = "temperature_c", unit = "F" },
      { path = "obscuration", quantity = "optical_density_db_m", unit = "%/ft" },
      { path = "state", flag = "smoke_alarm", true = ["FIRE"], false = ["OK"] },
    ]
    status = { topic = "home/{address}/online", online = "1", offline = "0" }

``path`` goes through objects by key and through lists by index; empty, it is the payload itself, which
may then be a bare number or word. ``scale`` and ``offset`` apply before ``unit``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal

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
    matches,
    time_from_epoch,
    time_from_text,
)
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag
from edge.wire.units import (
    BY_NAME,
    c_from_f,
    db_m_from_pct_ft,
    db_m_from_per_m,
    ppm_from_volume_pct,
)

#: Units that are not the wire's own, and the way there.
UNITS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "F": c_from_f,
        "K": lambda kelvin: kelvin - 273.15,
        "mV": lambda millivolts: millivolts / 1000.0,
        "%/ft": db_m_from_pct_ft,
        "1/m": db_m_from_per_m,
        "vol%": ppm_from_volume_pct,
        "fraction": lambda fraction: fraction * 100.0,
    }
)
_ADDRESS = "{address}"


class Field(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"on": "true", "off": "false"}
):
    """Where one quantity or flag is, and how it is written."""

    path: str = ""
    quantity: str | None = None
    flag: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    on: list[str | int | float | bool] = []
    off: list[str | int | float | bool] = []


class Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the device's time is."""

    path: str
    format: Literal["rfc3339", "epoch_s", "epoch_ms"] = "rfc3339"


class Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how the device's being there is told."""

    topic: str
    online: str = "online"
    offline: str = "offline"


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of device."""

    topic: str
    fields: list[Field]
    time: Time | None = None
    status: Status | None = None
    maker: str | None = None
    model: str | None = None
    report_interval_s: float | None = None


#: The example of listings: what the device in this module's own text says.
_EXAMPLE_DEVICES: tuple[Mapping[str, Any], ...] = (
    {
        "topic": "home/{address}/gas",
        "fields": [
            {"path": "gas.co", "quantity": "co_ppm"},
            {"path": "state", "flag": "smoke_alarm", "true": ["FIRE"], "false": ["OK"]},
        ],
    },
)


class GenericSource:
    """Devices described by option ``devices`` (see the module)."""

    name = "generic"
    summary = "any other device that speaks JSON or plain text, described in TOML"
    #: nothing is known of it
    deadline_s = 25 * 3600.0
    example_options: ClassVar[Mapping[str, Any]] = {"devices": _EXAMPLE_DEVICES}
    example = Example("home/kitchen/gas", '{"gas":{"co":4.5},"state":"OK"}')

    def __init__(self, site: str, *, devices: Sequence[Mapping[str, Any]] = ()) -> None:
        self._builder = Builder(site, self.name)
        self._devices = [_checked(device, place) for place, device in enumerate(devices)]

    def filters(self) -> list[str]:
        wanted: list[str] = []
        for device in self._devices:
            wanted.append(_filter(device.topic))
            if device.status:
                wanted.append(_filter(device.status.topic))
        return wanted

    def decode(self, message: RawMessage) -> Decoded:
        for device in self._devices:
            if matches(_filter(device.topic), message.topic):
                return self._decode_reading(device, message)
            if device.status and matches(_filter(device.status.topic), message.topic):
                return self._decode_status(device, device.status, message)
        raise WireError("unknown_topic", f"{message.topic[:80]!r} is no topic of a described device")

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        return None  # the description has no commands

    def _decode_status(self, device: Device, status: Status, message: RawMessage) -> Decoded:
        if not message.payload:
            return Decoded()
        fact = self._fact(device, status.topic, message.topic)
        word = message.payload[:64].decode("utf-8", "replace").strip()
        if word not in (status.online, status.offline):
            raise WireError(
                "wrong_type", f"state {word!r}; expected {status.online} or {status.offline}"
            )
        return Decoded(facts=[msgspec.structs.replace(fact, online=word == status.online)])

    def _decode_reading(self, device: Device, message: RawMessage) -> Decoded:
        check_size(message.payload)
        fact = self._fact(device, device.topic, message.topic)
        said = _parsed(device, message.payload)
        flags, known = _flags(device, said)
        repairs: list[str] = []
        alarm = bool(flags & ALARM_FLAGS)
        values = _values(device, said, repairs, alarm=alarm)
        if not values and not known:
            raise WireError("missing_field", "none of the described fields is in the payload")
        return self._builder.decoded(
            fact,
            message,
            time_us=_time(device.time, said, repairs, alarm=alarm),
            values=values,
            flags=flags,
            flags_known=known,
            repairs=repairs,
        )

    def _fact(self, device: Device, pattern: str, topic: str) -> DeviceFact:
        fact = self._builder.fact(_address(pattern, topic))
        said = {"maker": device.maker, "model": device.model}
        stated: dict[str, Any] = {key: clean_text(value) for key, value in said.items() if value}
        if device.report_interval_s is not None:
            stated["report_interval_s"] = device.report_interval_s
        return msgspec.structs.replace(fact, **stated) if stated else fact


def _checked(described: Mapping[str, Any], place: int) -> Device:
    """The description, if it is one. Raises ``ValueError`` that says where it is not."""
    where = f"generic device {place + 1}"
    try:
        device = msgspec.convert(described, Device)
    except msgspec.ValidationError as error:
        raise ValueError(f"{where}: {error}") from None
    if not device.fields:
        raise ValueError(f"{where}: it has no fields")
    for pattern in (device.topic, *([device.status.topic] if device.status else [])):
        if pattern.split("/").count(_ADDRESS) != 1:
            raise ValueError(f"{where}: topic {pattern!r} needs one level {_ADDRESS}")
    if device.report_interval_s is not None and not 0 < device.report_interval_s < math.inf:
        raise ValueError(f"{where}: report_interval_s is {device.report_interval_s}; expected above 0")
    for field in device.fields:
        _check_field(field, where)
    return device


def _check_field(field: Field, where: str) -> None:
    if (field.quantity is None) == (field.flag is None):
        raise ValueError(f"{where}: field {field.path!r} needs a quantity or a flag, and not both")
    if field.flag is not None:
        names.flag_named(field.flag)
    if field.quantity is not None and field.quantity not in BY_NAME:
        raise ValueError(
            f"{where}: there is no quantity {field.quantity!r}; known are {', '.join(BY_NAME)}"
        )
    if field.unit is not None and field.unit not in UNITS:
        raise ValueError(f"{where}: there is no unit {field.unit!r}; known are {', '.join(UNITS)}")


def _filter(pattern: str) -> str:
    return pattern.replace(_ADDRESS, "+")


def _address(pattern: str, topic: str) -> str:
    return topic.split("/")[pattern.split("/").index(_ADDRESS)]


_any = msgspec.json.Decoder(Any)


def _parsed(device: Device, payload: bytes) -> Any:
    """The payload as JSON; as text if it is none and the description reads it whole."""
    try:
        return jsontext.decode(_any, payload)
    except WireError:
        if any(field.path for field in device.fields):
            raise
    try:
        return payload.decode().strip()
    except UnicodeDecodeError:
        raise WireError("not_json", "the payload is neither JSON nor text") from None


def _at(said: Any, path: str) -> Any:
    """The value at the path; None where it leads nowhere."""
    if not path:
        return said
    for step in path.split("."):
        if isinstance(said, dict):
            said = said.get(step)
        elif isinstance(said, list) and step.isascii() and step.isdigit() and int(step) < len(said):
            said = said[int(step)]
        else:
            return None
    return said


def _flags(device: Device, said: Any) -> tuple[Flag, Flag]:
    """Flags set and stated. An unreadable flag beside an alarm does not hide it."""
    flags = known = Flag(0)
    refusal: WireError | None = None
    for field in device.fields:
        if field.flag is None or (value := _at(said, field.path)) is None:
            continue
        try:
            state = _truth(field, value)
        except WireError as error:
            refusal = error
            continue
        flag = names.flag_named(field.flag)
        known |= flag
        flags |= flag if state else Flag(0)
    if refusal is not None and not flags & ALARM_FLAGS:
        raise refusal
    return flags, known


def _truth(field: Field, value: Any) -> bool:
    if field.on or field.off:
        if _listed(value, field.on):
            return True
        if _listed(value, field.off) or not field.off:
            return False
        if not field.on:
            return True
    elif isinstance(value, bool):
        return value
    elif isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    elif isinstance(value, str) and (word := names.truth(value)) is not None:
        return word
    raise WireError("wrong_type", f"{field.flag} is {str(value)[:40]!r}; is it true or false?")


def _listed(value: Any, words: Sequence[str | int | float | bool]) -> bool:
    """Whether it is among the words; ``1`` and ``true`` are different ones."""
    return any(value == word and isinstance(value, bool) is isinstance(word, bool) for word in words)


def _values(device: Device, said: Any, repairs: list[str], *, alarm: bool) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for field in device.fields:
        if field.quantity is None or (value := _at(said, field.path)) is None:
            continue
        try:
            values.setdefault(field.quantity, _number(field, value))
        except WireError:
            if not alarm:
                raise
            repairs.append("part_dropped")
    return values


def _number(field: Field, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise WireError("wrong_type", f"{field.quantity} is {str(value)[:40]!r}; expected a number")
    try:
        number = float(value) * field.scale + field.offset
    except (ValueError, OverflowError):
        raise WireError(
            "wrong_type", f"{field.quantity} is {str(value)[:40]!r}; expected a number"
        ) from None
    if not math.isfinite(number):
        raise WireError("not_finite", f"{field.quantity} is {number}")
    return UNITS[field.unit](number) if field.unit else number


def _time(where: Time | None, said: Any, repairs: list[str], *, alarm: bool) -> int | None:
    if where is None or (value := _at(said, where.path)) is None:
        return None
    try:
        if where.format == "rfc3339" and isinstance(value, str):
            return time_from_text(value)
        if where.format != "rfc3339" and isinstance(value, int | float):
            seconds = float(value) / (1000.0 if where.format == "epoch_ms" else 1.0)
            return time_from_epoch(seconds)
        raise WireError("wrong_type", f"time {str(value)[:40]!r}; expected {where.format}")
    except (WireError, OverflowError) as error:
        if not alarm:
            if isinstance(error, WireError):
                raise
            raise WireError("out_of_range", "time is beyond all clocks") from None
        repairs.append("time_unset")
        return None
