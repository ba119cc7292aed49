"""A reading: one sample of one detector, with what it measured and what it says of itself."""

from __future__ import annotations

from enum import IntFlag

import msgspec

from edge.wire.units import QUANTITY_NAMES


class Flag(IntFlag):
    """What a detector says of itself. Bit positions are part of the wire: append, never reorder."""

    SMOKE_ALARM = 1 << 0
    CO_ALARM = 1 << 1
    HEAT_ALARM = 1 << 2
    TAMPER = 1 << 3
    BATTERY_LOW = 1 << 4
    FAULT = 1 << 5
    TEST = 1 << 6
    MUTED = 1 << 7
    END_OF_LIFE = 1 << 8


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sample of one detector.

    ``detector``: opaque id (``edge.wire.identity.detector_id``). ``time_us``: when it was measured,
    µs UTC. ``flags`` holds the flags that are set among those in ``flags_known``; a flag that is not
    known says nothing (many devices omit a flag until it first happens). Quantities are None when
    the device did not state them; units live in the names.
    """

    detector: str
    time_us: int
    flags: int = 0
    flags_known: int = 0
    co_ppm: float | None = None
    optical_density_db_m: float | None = None
    temperature_c: float | None = None
    humidity_pct: float | None = None
    battery_pct: float | None = None
    battery_v: float | None = None
    co2_ppm: float | None = None
    o2_pct: float | None = None
    pm25_ug_m3: float | None = None
    signal_dbm: float | None = None

    def flag(self, flag: Flag) -> bool | None:
        """True or False where the device states the flag, None where it says nothing of it."""
        if not self.flags_known & flag:
            return None
        return bool(self.flags & flag)

    def quantities(self) -> dict[str, float]:
        """The stated quantities by name."""
        return {name: value for name in QUANTITY_NAMES if (value := getattr(self, name)) is not None}

    def same_content(self, other: Reading) -> bool:
        """Equal but for the time: with equal times, a duplicate."""
        return msgspec.structs.replace(other, time_us=self.time_us) == self


def flag_names(flags: int) -> list[str]:
    """Lower-case names of the set flags, in wire order."""
    return [flag.name.lower() for flag in Flag if flags & flag and flag.name]
