"""Shelly smoke detectors: Plus Smoke (Gen2 and later, RPC over MQTT) and the older Smoke (Gen1).

Gen2: ``<id>/events/rpc`` carries ``NotifyFullStatus`` (everything) and ``NotifyStatus`` (only what
changed, to be laid over the last state), ``<id>/status/smoke:0`` and ``…/devicepower:0`` one
component whole, ``<id>/online`` the words ``true`` and ``false``. ``ts`` is uptime while the clock is
unset. The last state is kept from live messages only: a retained alarm may be long over.

Gen1: ``shellies/announce``, ``shellies/<id>/online``, ``shellies/<id>/info`` (everything) and
``shellies/<id>/sensor/<what>`` (a bare value).

Other Shelly devices on the same broker are left alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.sources import jsontext
from edge.sources.base import (
    MAX_KNOWN,
    Action,
    Builder,
    Decoded,
    Example,
    Order,
    RawMessage,
    check_size,
    clean_text,
    time_from_epoch,
)
from edge.wire.clock import EARLIEST_US
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag

MAKER = "Shelly"
_WAKES_S = 86_400.0


class _Smoke(msgspec.Struct):
    alarm: bool | None = None
    mute: bool | None = None


class _Battery(msgspec.Struct, rename={"volts": "V"}):
    volts: float | None = None
    percent: float | None = None


class _DevicePower(msgspec.Struct):
    battery: _Battery | None = None


class _Wifi(msgspec.Struct):
    rssi: float | None = None


class _Sys(msgspec.Struct):
    wakeup_period: float | None = None


class _Params(msgspec.Struct, rename={"smoke": "smoke:0", "power": "devicepower:0"}):
    ts: float | None = None
    smoke: _Smoke | None = None
    power: _DevicePower | None = None
    wifi: _Wifi | None = None
    sys: _Sys | None = None


class _Rpc(msgspec.Struct):
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)


class _Gen1Temperature(msgspec.Struct, rename={"celsius": "tC"}):
    celsius: float | None = None
    is_valid: bool = True


class _Gen1Battery(msgspec.Struct):
    value: float | None = None
    voltage: float | None = None


class _Gen1Info(msgspec.Struct):
    smoke: bool | None = None
    tmp: _Gen1Temperature | None = None
    bat: _Gen1Battery | None = None
    wifi_sta: _Wifi | None = None


class _Gen1Announce(msgspec.Struct):
    id: str = ""
    model: str | None = None
    fw_ver: str | None = None


_rpc = msgspec.json.Decoder(_Rpc)
_smoke = msgspec.json.Decoder(_Smoke)
_power = msgspec.json.Decoder(_DevicePower)
_info = msgspec.json.Decoder(_Gen1Info)
_announce = msgspec.json.Decoder(_Gen1Announce)
_number = msgspec.json.Decoder(float)

_GEN1_NUMBERS = {"temperature": "temperature_c", "battery": "battery_pct"}
_BOOLEANS = {b"true": True, b"false": False}


class _State(msgspec.Struct):
    """What a detector has said so far."""

    values: dict[str, float] = {}
    flags: int = 0
    flags_known: int = 0

    def flag(self, flag: Flag, value: bool | None) -> None:
        if value is not None:
            self.flags_known |= flag
            self.flags = self.flags | flag if value else self.flags & ~flag

    def value(self, quantity: str, value: float | None) -> None:
        if value is not None:
            self.values[quantity] = value


class ShellySource:
    """Shelly smoke detectors (see the module)."""

    name = "shelly"
    summary = "Shelly Plus Smoke (Gen2 and later) and Shelly Smoke (Gen1)"
    #: it sleeps and wakes once a day; an hour for a slow wake-up
    deadline_s = _WAKES_S + 3600.0
    example = Example(
        "shellyplussmoke-80646fd1aabb/events/rpc",
        '{"src":"shellyplussmoke-80646fd1aabb","dst":"shellyplussmoke-80646fd1aabb/events",'
        '"method":"NotifyStatus","params":{"ts":1769857920.12,'
        '"smoke:0":{"id":0,"alarm":true,"mute":false}}}',
    )

    def __init__(self, site: str) -> None:
        self._builder = Builder(site, self.name)
        self._states: dict[str, _State] = {}

    def filters(self) -> list[str]:
        return [
            "+/events/rpc",
            "+/status/smoke:0",
            "+/status/devicepower:0",
            "+/online",
            "shellies/announce",
            "shellies/+/online",
            "shellies/+/info",
            "shellies/+/sensor/+",
        ]

    def decode(self, message: RawMessage) -> Decoded:
        levels = message.topic.split("/")
        match levels:
            case ["shellies", "announce"]:
                return self._decode_announce(message)
            case ["shellies", address, "online"] | [address, "online"]:
                return self._decode_online(address, message)
            case ["shellies", address, "info"]:
                return self._decode_info(address, message)
            case ["shellies", address, "sensor", what]:
                return self._decode_sensor(address, what, message)
            case [address, "events", "rpc"]:
                return self._decode_rpc(address, message)
            case [address, "status", "smoke:0"]:
                check_size(message.payload)
                return self._laid_over(
                    address, message, _Params(smoke=jsontext.decode(_smoke, message.payload))
                )
            case [address, "status", "devicepower:0"]:
                check_size(message.payload)
                power = jsontext.decode(_power, message.payload)
                if not self._is_smoke(address):
                    return Decoded()
                return self._laid_over(address, message, _Params(power=power))
        raise WireError("unknown_topic", f"{message.topic[:80]!r} is no topic of a Shelly")

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        """Gen2 can be silenced while it is awake; its test is a button."""
        if action != "silence" or address.lower().startswith("shellysmoke-"):
            return None
        call = {"id": 1, "src": f"utaa-{command_id}", "method": "Smoke.Mute", "params": {"id": 0}}
        return Order(f"{address}/rpc", msgspec.json.encode(call))

    def _is_smoke(self, address: str) -> bool:
        return "smoke" in address.lower() or address in self._states

    def _decode_rpc(self, address: str, message: RawMessage) -> Decoded:
        check_size(message.payload)
        rpc, repairs = jsontext.decode_object(_rpc, message.payload, _Rpc, _is_alarm)
        if rpc.method not in ("NotifyStatus", "NotifyFullStatus"):
            return Decoded()
        if rpc.params.smoke is None and not self._is_smoke(address):
            return Decoded()
        whole = rpc.method == "NotifyFullStatus"
        return self._laid_over(address, message, rpc.params, whole=whole, repairs=repairs)

    def _laid_over(
        self,
        address: str,
        message: RawMessage,
        params: _Params,
        *,
        whole: bool = False,
        repairs: list[str] | None = None,
    ) -> Decoded:
        """The reading after this update; a whole status or a retained one starts from nothing."""
        state = _State()
        if not whole and not message.retained:
            state = self._states.get(address, state)
            state = msgspec.structs.replace(state, values=dict(state.values))
        if params.smoke:
            state.flag(Flag.SMOKE_ALARM, params.smoke.alarm)
            state.flag(Flag.MUTED, params.smoke.mute)
        if params.power and params.power.battery:
            state.value("battery_v", params.power.battery.volts)
            state.value("battery_pct", params.power.battery.percent)
        fact = _fact(self._builder.fact(address), address, params.sys)
        notes = list(repairs or ())
        alarm = bool(params.smoke and params.smoke.alarm)
        signal = params.wifi.rssi if params.wifi else None
        decoded = self._builder.decoded(
            fact,
            message,
            time_us=_time(params.ts, notes, alarm=alarm),
            values={**state.values, "signal_dbm": signal},
            flags=state.flags,
            flags_known=state.flags_known,
            repairs=notes,
        )
        if not message.retained:
            self._keep(address, state)
        return decoded

    def _keep(self, address: str, state: _State) -> None:
        if len(self._states) >= MAX_KNOWN and address not in self._states:
            self._states.clear()
        self._states[address] = state

    def _decode_online(self, address: str, message: RawMessage) -> Decoded:
        if not message.payload or not self._is_smoke(address):
            return Decoded()
        online = _BOOLEANS.get(message.payload[:8].strip().lower())
        if online is None:
            raise WireError("wrong_type", f"online is {message.payload[:16]!r}; expected true or false")
        fact = _fact(self._builder.fact(address), address, None)
        return Decoded(facts=[msgspec.structs.replace(fact, online=online)])

    def _decode_announce(self, message: RawMessage) -> Decoded:
        check_size(message.payload)
        announce = jsontext.decode(_announce, message.payload)
        if not self._is_smoke(announce.id) and announce.model != "SHSM-01":
            return Decoded()
        said = {"maker": MAKER, "model": announce.model, "firmware": announce.fw_ver}
        stated = {name: clean_text(value) for name, value in said.items() if value}
        return Decoded(
            facts=[msgspec.structs.replace(self._builder.fact(announce.id), online=True, **stated)]
        )

    def _decode_info(self, address: str, message: RawMessage) -> Decoded:
        check_size(message.payload)
        info = jsontext.decode(_info, message.payload)
        if info.smoke is None:
            return Decoded()
        tmp, bat = info.tmp, info.bat
        return self._builder.decoded(
            _fact(self._builder.fact(address), address, None),
            message,
            values={
                "temperature_c": tmp.celsius if tmp and tmp.is_valid else None,
                "battery_pct": bat.value if bat else None,
                "battery_v": bat.voltage if bat else None,
                "signal_dbm": info.wifi_sta.rssi if info.wifi_sta else None,
            },
            flags=Flag.SMOKE_ALARM if info.smoke else 0,
            flags_known=Flag.SMOKE_ALARM,
        )

    def _decode_sensor(self, address: str, what: str, message: RawMessage) -> Decoded:
        if not self._is_smoke(address):
            return Decoded()
        check_size(message.payload)
        fact = _fact(self._builder.fact(address), address, None)
        if what == "smoke":
            smoke = _BOOLEANS.get(message.payload[:8].strip().lower())
            if smoke is None:
                raise WireError(
                    "wrong_type", f"smoke is {message.payload[:16]!r}; expected true or false"
                )
            flags = Flag.SMOKE_ALARM if smoke else Flag(0)
            return self._builder.decoded(
                fact, message, values={}, flags=flags, flags_known=Flag.SMOKE_ALARM
            )
        if what not in _GEN1_NUMBERS:
            return Decoded()
        value = jsontext.decode(_number, message.payload)
        return self._builder.decoded(fact, message, values={_GEN1_NUMBERS[what]: value})


def _fact(fact: DeviceFact, address: str, sys: _Sys | None) -> DeviceFact:
    said: dict[str, Any] = {"maker": MAKER}
    if address.lower().startswith("shellyplussmoke"):
        said["model"] = "Plus Smoke"
    elif address.lower().startswith("shellysmoke"):
        said["model"] = "Smoke"
    if sys and sys.wakeup_period and 0 < sys.wakeup_period < 1e9:
        said["report_interval_s"] = sys.wakeup_period
    return msgspec.structs.replace(fact, **said)


def _time(ts: float | None, repairs: list[str], *, alarm: bool) -> int | None:
    """µs UTC; before the clock is set ``ts`` counts seconds since power-on."""
    if ts is None:
        return None
    try:
        time_us = time_from_epoch(ts)
    except WireError:
        if not alarm:
            raise
        time_us = 0
    if time_us < EARLIEST_US:
        repairs.append("time_unset")
        return None
    return time_us


def _is_alarm(untyped: dict[str, Any]) -> bool:
    params = untyped.get("params")
    smoke = params.get("smoke:0") if isinstance(params, dict) else None
    return isinstance(smoke, dict) and smoke.get("alarm") is True
