"""The Things Stack v3: ``v3/<application>@<tenant>/devices/<device>/up`` and ``…/join`` as JSON.

The address is the device's EUI in lower case, or its id where it has none. The server leaves empty
fields out (an absent port is port 0) and publishes with QoS 0, so a message can be lost on the way:
its deadline has to allow for that. A simulated uplink is a test.
"""

from __future__ import annotations

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
from edge.sources.lorawan import Uplink, Uplinks, named
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact


class _Ids(msgspec.Struct):
    device_id: str = ""
    dev_eui: str = ""


class _RxMetadata(msgspec.Struct):
    rssi: float | None = None


class _VersionIds(msgspec.Struct):
    brand_id: str = ""
    model_id: str = ""


class _UplinkMessage(msgspec.Struct):
    f_port: int = 0
    frm_payload: str | None = None
    decoded_payload: dict[str, Any] = {}
    rx_metadata: list[_RxMetadata] = []
    version_ids: _VersionIds = msgspec.field(default_factory=_VersionIds)
    received_at: str | None = None


class _Up(msgspec.Struct):
    end_device_ids: _Ids = msgspec.field(default_factory=_Ids)
    received_at: str | None = None
    uplink_message: _UplinkMessage | None = None
    simulated: bool = False


_up = msgspec.json.Decoder(_Up)


class TheThingsStackSource:
    """The Things Stack (see the module). Options: ``codecs`` (see ``Uplinks``)."""

    name = "thethingsstack"
    summary = "LoRaWAN detectors behind The Things Stack v3 (The Things Network)"
    #: heartbeats come hourly, with QoS 0: three in a row may get lost
    deadline_s = 4 * 3600.0 + 600.0
    example = Example(
        "v3/homes@ttn/devices/kitchen-co/up",
        '{"end_device_ids":{"device_id":"kitchen-co","dev_eui":"00137A1000012345"},'
        '"uplink_message":{"f_port":6,"frm_payload":"AREBHwEAANwAAAA=",'
        '"rx_metadata":[{"rssi":-53}],"version_ids":{"brand_id":"netvox","model_id":"ra02c"},'
        '"received_at":"2026-01-31T11:12:00.123456789Z"}}',
    )

    def __init__(self, site: str, *, codecs: Mapping[str, str] | None = None) -> None:
        self._builder = Builder(site, self.name)
        self._uplinks = Uplinks(self._builder, codecs)

    def filters(self) -> list[str]:
        return ["v3/+/devices/+/up", "v3/+/devices/+/join"]

    def decode(self, message: RawMessage) -> Decoded:
        device, leaf = _parse_topic(message.topic)
        check_size(message.payload)
        event = jsontext.decode(_up, message.payload)
        fact = self._fact(device, event.end_device_ids)
        if leaf == "join":
            return Decoded(facts=[named(fact, device, online=True)])
        up = event.uplink_message
        if up is None:
            raise WireError("missing_field", "an uplink without uplink_message")
        uplink = Uplink(
            port=up.f_port,
            data=up.frm_payload,
            hints=[up.version_ids.brand_id, up.version_ids.model_id, device],
            time_text=up.received_at or event.received_at,
            rssi_dbm=[heard.rssi for heard in up.rx_metadata if heard.rssi is not None],
            decoded=up.decoded_payload,
            is_test=event.simulated,
        )
        return self._uplinks.decode(named(fact, device), message, uplink)

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        return None  # these detectors listen for no command that their codecs know

    def _fact(self, device: str, ids: _Ids) -> DeviceFact:
        if ids.device_id and ids.device_id != device:
            raise WireError("inconsistent", f"the payload is of {ids.device_id[:40]!r}, not {device!r}")
        return self._builder.fact(ids.dev_eui.lower() or device)


def _parse_topic(topic: str) -> tuple[str, str]:
    parts = topic.split("/")
    if len(parts) != 5 or parts[0] != "v3" or parts[2] != "devices" or parts[4] not in ("up", "join"):
        raise WireError("unknown_topic", f"{topic[:80]!r} is no uplink of The Things Stack")
    return parts[3], parts[4]
