"""ChirpStack v4 (and v3's topics): ``application/<id>/device/<eui>/event/<event>`` as JSON.

``up`` carries a device's bytes (base64) for a codec; ``status`` its battery; ``join`` says that it
is new or back; the other events say nothing of a detector. The server leaves out every field that
is zero, false or empty: an absent port is port 0, an absent battery level is 0 %, and a frame with
network commands only has no ``data`` at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from edge.sources import jsontext
from edge.sources.base import (
    Action,
    Builder,
    Decoded,
    Example,
    Order,
    RawMessage,
    check_size,
)
from edge.sources.lorawan import Uplink, Uplinks, event_time, named
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact

_EUI = re.compile(r"[0-9a-fA-F]{16}")
#: Events that are about the network and not about the detector.
_SILENT = frozenset({"ack", "txack", "log", "location", "integration"})
EVENTS = frozenset({"up", "status", "join"}) | _SILENT


class _DeviceInfo(msgspec.Struct, rename="camel"):
    device_name: str = ""
    device_profile_name: str = ""
    dev_eui: str = ""


class _RxInfo(msgspec.Struct):
    rssi: float | None = None


class _Up(msgspec.Struct, rename="camel"):
    time: str | None = None
    device_info: _DeviceInfo = msgspec.field(default_factory=_DeviceInfo)
    f_port: int = 0
    data: str | None = None
    object: dict[str, Any] = {}
    rx_info: list[_RxInfo] = []


class _Status(msgspec.Struct, rename="camel"):
    time: str | None = None
    device_info: _DeviceInfo = msgspec.field(default_factory=_DeviceInfo)
    battery_level: float = 0.0
    external_power_source: bool = False
    battery_level_unavailable: bool = False


class _Join(msgspec.Struct, rename="camel"):
    device_info: _DeviceInfo = msgspec.field(default_factory=_DeviceInfo)


_up = msgspec.json.Decoder(_Up)
_status = msgspec.json.Decoder(_Status)
_join = msgspec.json.Decoder(_Join)


class ChirpStackSource:
    """ChirpStack's MQTT integration (see the module). Options: ``codecs`` (see ``Uplinks``)."""

    name = "chirpstack"
    summary = "LoRaWAN detectors behind a ChirpStack v4 network server"
    #: heartbeats come hourly and two in a row get lost in practice
    deadline_s = 3 * 3600.0 + 600.0
    example = Example(
        "application/3f2a/device/00137a1000012345/event/up",
        '{"time":"2026-01-31T11:12:00.123456789+00:00","deviceInfo":{"deviceName":"Kitchen",'
        '"deviceProfileName":"Netvox RA02C","devEui":"00137a1000012345"},"fPort":6,'
        '"data":"AREBHwEAANwAAAA=","rxInfo":[{"rssi":-53,"snr":7.2}]}',
    )

    def __init__(self, site: str, *, codecs: Mapping[str, str] | None = None) -> None:
        self._builder = Builder(site, self.name)
        self._uplinks = Uplinks(self._builder, codecs)

    def filters(self) -> list[str]:
        return ["application/+/device/+/event/+"]

    def decode(self, message: RawMessage) -> Decoded:
        eui, event = _parse_topic(message.topic)
        fact = self._builder.fact(eui)
        if event in _SILENT:
            return Decoded()
        check_size(message.payload)
        if event == "up":
            return self._decode_up(message, fact)
        if event == "status":
            return self._decode_status(message, fact)
        info = jsontext.decode(_join, message.payload).device_info
        return Decoded(facts=[_fact(fact, info, online=True)])

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        return None  # these detectors listen for no command that their codecs know

    def _decode_up(self, message: RawMessage, fact: DeviceFact) -> Decoded:
        up = jsontext.decode(_up, message.payload)
        info = up.device_info
        uplink = Uplink(
            port=up.f_port,
            data=up.data,
            hints=[info.device_profile_name, info.device_name],
            time_text=up.time,
            rssi_dbm=[heard.rssi for heard in up.rx_info if heard.rssi is not None],
            decoded=up.object,
        )
        return self._uplinks.decode(_fact(fact, info), message, uplink)

    def _decode_status(self, message: RawMessage, fact: DeviceFact) -> Decoded:
        status = jsontext.decode(_status, message.payload)
        fact = _fact(fact, status.device_info)
        if status.external_power_source or status.battery_level_unavailable:
            return Decoded(facts=[fact])
        return self._builder.decoded(
            fact,
            message,
            time_us=event_time(status.time, [], alarm=False),
            values={"battery_pct": status.battery_level},
        )


def _parse_topic(topic: str) -> tuple[str, str]:
    """The EUI in lower case and the event."""
    parts = topic.split("/")
    if (
        len(parts) != 6
        or (parts[0], parts[2], parts[4]) != ("application", "device", "event")
        or parts[5] not in EVENTS
        or not _EUI.fullmatch(parts[3])
    ):
        raise WireError("unknown_topic", f"{topic[:80]!r} is no event of a ChirpStack device")
    return parts[3].lower(), parts[5]


def _fact(fact: DeviceFact, info: _DeviceInfo, *, online: bool | None = None) -> DeviceFact:
    if info.dev_eui and info.dev_eui.lower() != fact.address:
        raise WireError("inconsistent", f"the payload is of {info.dev_eui[:40]!r}, not {fact.address}")
    if online is None:
        return named(fact, info.device_name)
    return named(fact, info.device_name, online=online)
