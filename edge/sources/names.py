"""Common names of quantities and flags, for protocols that leave naming to their users.

A name is compared by its letters and digits only, in lower case: ``Battery Voltage``,
``batteryVoltage`` and ``battery_voltage`` are one.
"""

from __future__ import annotations

from edge.wire.readings import Flag
from edge.wire.units import QUANTITY_NAMES

_QUANTITIES = {
    "temperature": "temperature_c",
    "humidity": "humidity_pct",
    "battery": "battery_pct",
    "batterylevel": "battery_pct",
    "batteryvoltage": "battery_v",
    "volt": "battery_v",
    "co": "co_ppm",
    "carbonmonoxide": "co_ppm",
    "co2": "co2_ppm",
    "carbondioxide": "co2_ppm",
    "pm25": "pm25_ug_m3",
    "opticaldensity": "optical_density_db_m",
    "rssi": "signal_dbm",
}
_FLAGS = {
    "smoke": Flag.SMOKE_ALARM,
    "fire": Flag.SMOKE_ALARM,
    "firealarm": Flag.SMOKE_ALARM,
    "carbonmonoxidealarm": Flag.CO_ALARM,
    "hightempalarm": Flag.HEAT_ALARM,
    "lowbattery": Flag.BATTERY_LOW,
    "mute": Flag.MUTED,
    "silenced": Flag.MUTED,
}
_WORDS = {
    "true": True, "on": True, "alarm": True, "yes": True,
    "false": False, "off": False, "no alarm": False, "normal": False, "ok": False, "no": False,
}  # fmt: skip


def folded(name: str) -> str:
    """Letters and digits of a name, in lower case."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


_QUANTITY_OF = _QUANTITIES | {folded(name): name for name in QUANTITY_NAMES}
_FLAG_OF = _FLAGS | {folded(flag.name): flag for flag in Flag if flag.name}


def quantity_of(name: str) -> str | None:
    """The quantity that a name stands for, if it tells."""
    return _QUANTITY_OF.get(folded(name))


def flag_of(name: str) -> Flag | None:
    """The flag that a name stands for, if it tells."""
    return _FLAG_OF.get(folded(name))


def flag_named(name: str) -> Flag:
    """The flag of that very name (``smoke_alarm``). Raises ``ValueError`` that lists them."""
    for flag in Flag:
        if flag.name and flag.name.lower() == name:
            return flag
    raise ValueError(
        f"there is no flag {name!r}; known are {', '.join(f.name.lower() for f in Flag if f.name)}"
    )


def truth(word: str) -> bool | None:
    """True or False for a word that says so; None for any other."""
    return _WORDS.get(word.strip().lower())
