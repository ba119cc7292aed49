"""One simulated detector: when it speaks, what it says, and how it misbehaves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from edge.wire.clock import EARLIEST_US, FUTURE_SLACK_US, US_PER_S
from edge.wire.identity import detector_id
from firmware_sim.formats import Format, Json, Report, Zigbee2Mqtt, garbage
from firmware_sim.ledger import Danger, Outgoing, ReadingLine
from firmware_sim.model.activities import DANGERS
from firmware_sim.model.air import HomeState
from firmware_sim.model.sensor import BATTERY_LOW_PCT, Sensed, SensorState, sense, specimen
from firmware_sim.scenario import DetectorKind, DetectorSpec, Happening

#: In alarm a detector speaks more often than its interval says.
ALARM_INTERVAL_S = 5.0
#: It says its maker, model and interval in its first and then every so many readings.
FACTS_EVERY = 60
#: What a dying battery says. [M]
DYING_BATTERY_PCT = 6.0
#: While a danger goes on a reading is "over" from these values on; it breaches with the detector's
#: own alarm. 0.15 dB/m, 50 ppm (EN 50291's lowest with a deadline), 54 °C (EN 54-5's lowest).
OVER: dict[str, float] = {
    "optical_density_db_m": 0.15,
    "co_ppm": 50.0,
    "temperature_c": 54.0,
}

_VALUES: dict[DetectorKind, tuple[str, ...]] = {
    "smoke": ("optical_density_db_m", "temperature_c", "battery_pct"),
    "co": ("co_ppm", "battery_pct"),
    "heat": ("temperature_c", "battery_pct"),
    "combined": ("optical_density_db_m", "co_ppm", "temperature_c", "battery_pct"),
}
_ALARMS: dict[DetectorKind, tuple[str, ...]] = {
    "smoke": ("smoke_alarm",),
    "co": ("co_alarm",),
    "heat": ("heat_alarm",),
    "combined": ("smoke_alarm", "co_alarm", "heat_alarm"),
}
#: Digits after the point that such a device prints.
_DIGITS = {"optical_density_db_m": 3, "co_ppm": 1, "temperature_c": 1, "battery_pct": 0}


def seed_of(seed: int, address: str) -> int:
    """A detector's own seed, from the scenario's and its address."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{address}".encode(), digest_size=4).digest())


def exposed(kind: DetectorKind) -> list[str]:
    """What Zigbee2MQTT's inventory says such a detector states."""
    names = (*_VALUES[kind], *_ALARMS[kind])
    return [known for name in names if (known := Zigbee2Mqtt.PROPERTIES.get(name))]


@dataclass(slots=True)
class Device:
    """A detector between two moments. Times ``…_s`` are seconds of the scenario."""

    spec: DetectorSpec
    format: Format
    site: str
    interval_s: float
    troubles: tuple[Happening, ...]
    sensor: SensorState
    next_s: float
    sensed: Sensed | None = None
    _told: dict[str, bool] = field(default_factory=dict)
    _told_s: float = -1.0
    _spoken: int = 0
    _garbled: int = 0

    @classmethod
    def create(
        cls,
        spec: DetectorSpec,
        format_: Format,
        *,
        site: str,
        seed: int,
        interval_s: float,
        age_years: float,
        troubles: tuple[Happening, ...],
    ) -> Device:
        """A detector that first speaks somewhere in its first interval, by its seed."""
        own_seed = seed_of(seed, spec.address)
        return cls(
            spec=spec,
            format=format_,
            site=site,
            interval_s=interval_s,
            troubles=troubles,
            sensor=specimen(own_seed, age_years=age_years),
            next_s=interval_s * (own_seed % 1000) / 1000.0,
        )

    def trouble(self, what: str, at_s: float) -> Happening | None:
        """The trouble of that kind it is in, if it is."""
        return next((t for t in self.troubles if t.what == what and t.holds_at(at_s)), None)

    def feel(self, air: HomeState, dt_s: float) -> None:
        """Let it sense the air for ``dt_s``."""
        self.sensor, self.sensed = sense(self.sensor, air, dt_s)

    def speak(self, air: HomeState, start_us: int) -> list[Outgoing]:
        """What it publishes now, if its time has come or something changed.

        ``start_us`` is when the scenario began, µs UTC: the device's clock is right but for troubles.
        """
        at_s = air.at_s
        if self.sensed is None or at_s <= self._told_s or self._is_off(at_s):
            if at_s >= self.next_s:
                self.next_s = at_s + self.interval_s
            return []
        flags = self._flags(self.sensed, at_s)
        told = self._told or dict.fromkeys(flags, False)
        if at_s < self.next_s and flags == told:
            return []
        alarming = any(flags[name] for name in _ALARMS[self.spec.kind])
        pause_s = min(self.interval_s, ALARM_INTERVAL_S) if alarming else self.interval_s
        self.next_s = at_s + pause_s
        self._told, self._told_s = flags, at_s
        return self._messages(self._report(self.sensed, flags, at_s, start_us), air, start_us)

    def _is_off(self, at_s: float) -> bool:
        off = self.trouble("drop_off", at_s)
        return off is not None and not off.keeps

    def _flags(self, sensed: Sensed, at_s: float) -> dict[str, bool]:
        testing = self.trouble("self_test", at_s) is not None
        flags = {name: bool(getattr(sensed, name)) or testing for name in _ALARMS[self.spec.kind]}
        flags["test"] = testing
        flags["tamper"] = self.trouble("tamper", at_s) is not None
        flags["battery_low"] = self._battery_pct(sensed, at_s) < BATTERY_LOW_PCT
        return flags

    def _battery_pct(self, sensed: Sensed, at_s: float) -> float:
        dying = self.trouble("low_battery", at_s) is not None
        return min(sensed.battery_pct, DYING_BATTERY_PCT) if dying else sensed.battery_pct

    def _report(self, sensed: Sensed, flags: dict[str, bool], at_s: float, start_us: int) -> Report:
        values = {name: round(getattr(sensed, name), _DIGITS[name]) for name in _VALUES[self.spec.kind]}
        values["battery_pct"] = round(self._battery_pct(sensed, at_s), _DIGITS["battery_pct"])
        return Report(self.spec.address, self._time_us(at_s, start_us), values, flags, self._facts())

    def _facts(self) -> dict[str, Json]:
        self._spoken += 1
        if self._spoken % FACTS_EVERY != 1:
            return {}
        return {
            "maker": "Utaa",
            "model": f"sim-{self.spec.kind}",
            "firmware": "1.0",
            "report_interval_s": self.interval_s,
        }

    def _time_us(self, at_s: float, start_us: int) -> int:
        true_us = start_us + round(at_s * US_PER_S)
        wrong = self.trouble("wrong_clock", at_s)
        if wrong is None:
            return true_us
        if wrong.offset_s is None:
            return round((at_s - wrong.at_s) * US_PER_S)
        return max(0, true_us + round(wrong.offset_s * US_PER_S))

    def _messages(self, report: Report, air: HomeState, start_us: int) -> list[Outgoing]:
        phrased = self.format.reading(report)
        true_us = start_us + round(air.at_s * US_PER_S)
        line = ReadingLine(
            detector=detector_id(self.site, self.format.source, self.spec.address),
            source=self.format.source,
            address=self.spec.address,
            time_us=phrased.time_us,
            values=phrased.values,
            flags=phrased.flags,
            redated=not EARLIEST_US <= phrased.time_us <= true_us + FUTURE_SLACK_US,
        )
        address = self.spec.address
        messages = [
            Outgoing(
                phrased.topic, phrased.payload, reading=line, address=address,
                danger=self._danger(report, air),
            )
        ]  # fmt: skip
        if self.trouble("duplicates", air.at_s):
            messages.append(
                Outgoing(phrased.topic, phrased.payload, aside="duplicate", address=address)
            )
        if self.trouble("garbage", air.at_s):
            payload = garbage(self._garbled)
            self._garbled += 1
            messages.append(Outgoing(phrased.topic, payload, aside="garbage", address=address))
        return messages

    def _danger(self, report: Report, air: HomeState) -> Danger | None:
        """The danger this reading is a sign of, if one goes on; the ledger keeps the first signs."""
        danger = next(
            (a for a in air.activities if a.kind in DANGERS and a.started_s <= air.at_s < a.over_s()),
            None,
        )
        if danger is None or report.flags["test"]:
            return None
        alarming = any(report.flags[name] for name in _ALARMS[self.spec.kind])
        over = any(report.values.get(name, 0.0) >= limit for name, limit in OVER.items())
        if not alarming and not over:
            return None
        return Danger(danger.kind, self.spec.home, danger.started_s, breach=alarming)
