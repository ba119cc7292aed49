"""How detectors say it: our native JSON, and Zigbee2MQTT's.

A ``Report`` is what the device means; a format phrases it as topic and payload and says what of it a
reader can get back (``Phrased.values``, ``.flags``), because a foreign format carries less: Aqara's
smoke density has eleven steps, Zigbee2MQTT's times are in milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from edge.wire.clock import rfc3339
from edge.wire.topics import detector_topic
from firmware_sim.scenario import FormatName

Json = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a device wants to say. ``time_us`` is the device's own idea of the time."""

    address: str
    time_us: int
    values: dict[str, float]
    flags: dict[str, bool] = field(default_factory=dict)
    #: maker, model, firmware, report_interval_s: what it says of itself now and then
    facts: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Phrased:
    """A report as it goes over MQTT, and what of it arrives."""

    topic: str
    payload: bytes
    time_us: int
    values: dict[str, float]
    flags: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Announcement:
    """A retained message about a device's presence."""

    topic: str
    payload: bytes


class Format(Protocol):
    """One way of speaking. ``source`` is the name of the edge's source that understands it."""

    source: str

    def reading(self, report: Report) -> Phrased:
        """The report as a message."""
        ...

    def presence(self, address: str, *, online: bool) -> Announcement:
        """The retained word that a device is there or gone; the last will is the latter."""
        ...

    def reading_topic(self, address: str) -> str:
        """Where its readings go."""
        ...


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Native:
    """``utaa/v1/detector/<address>/reading``: flat JSON with our own names."""

    source = "native"

    def reading(self, report: Report) -> Phrased:
        body: dict[str, Json] = {"time": rfc3339(report.time_us)}
        body |= report.values | report.flags | report.facts
        return Phrased(
            self.reading_topic(report.address),
            _json(body),
            report.time_us,
            report.values,
            report.flags,
        )

    def presence(self, address: str, *, online: bool) -> Announcement:
        return Announcement(detector_topic(address, "status"), b"online" if online else b"offline")

    def reading_topic(self, address: str) -> str:
        return detector_topic(address, "reading")


#: What Aqara's smoke density steps 0 to 10 mean in dB/m.
AQARA_DENSITY_DB_M: tuple[float, ...] = (
    0.0, 0.085, 0.088, 0.093, 0.095, 0.1, 0.105, 0.11, 0.115, 0.12, 0.125,
)  # fmt: skip


def aqara_density(optical_density_db_m: float) -> int:
    """The highest step that is reached."""
    return max(step for step, at in enumerate(AQARA_DENSITY_DB_M) if optical_density_db_m >= at)


class Zigbee2Mqtt:
    """``zigbee2mqtt/<name>``: what that program publishes for smoke and CO detectors."""

    source = "zigbee2mqtt"
    #: our names → its properties
    PROPERTIES: ClassVar[dict[str, str]] = {
        "optical_density_db_m": "smoke_density",
        "co_ppm": "co",
        "temperature_c": "temperature",
        "battery_pct": "battery",
        "smoke_alarm": "smoke",
        "co_alarm": "carbon_monoxide",
        "tamper": "tamper",
        "battery_low": "battery_low",
        "test": "test",
        "fault": "fault",
    }

    def __init__(self, base: str = "zigbee2mqtt") -> None:
        self._base = base

    def reading(self, report: Report) -> Phrased:
        body: dict[str, Json] = {"last_seen": report.time_us // 1000, "linkquality": 120}
        values: dict[str, float] = {}
        flags: dict[str, bool] = {}
        for name, value in report.values.items():
            if name == "optical_density_db_m":
                step = aqara_density(value)
                body["smoke_density"] = step
                values[name] = AQARA_DENSITY_DB_M[step]
            elif name in self.PROPERTIES:
                body[self.PROPERTIES[name]] = value
                values[name] = value
        for name, flag in report.flags.items():
            if name in self.PROPERTIES:
                body[self.PROPERTIES[name]] = flag
                flags[name] = flag
        time_us = report.time_us // 1000 * 1000
        return Phrased(self.reading_topic(report.address), _json(body), time_us, values, flags)

    def presence(self, address: str, *, online: bool) -> Announcement:
        state = "online" if online else "offline"
        return Announcement(f"{self._base}/{address}/availability", _json({"state": state}))

    def reading_topic(self, address: str) -> str:
        return f"{self._base}/{address}"


def format_named(name: FormatName) -> Format:
    """The format of that name."""
    return Native() if name == "native" else Zigbee2Mqtt()


#: Payloads that are no reading in any format: cut off, no JSON, a wrong type, numbers that are none.
_GARBAGE: tuple[bytes, ...] = (
    b'{"time":"2026-01-31T19:12:00Z","co_ppm":4',
    b"\xff\xfe\x00smoke?",
    b'"smoke"',
    b'{"co_ppm":NaN,"co":NaN}',
    b'{"temperature_c":1e999,"temperature":1e999}',
    b"[[[[",
    b"17",
)


def garbage(number: int) -> bytes:
    """The ``number``-th piece of garbage; they repeat."""
    return _GARBAGE[number % len(_GARBAGE)]
