"""Quantities a detector can measure, their units, limits and conversions.

Units live in names. The order of ``QUANTITIES`` is part of the wire: append, never reorder.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from edge.wire.errors import WireError


class Quantity(NamedTuple):
    """A measured quantity: ``name`` carries the unit; values outside the limits are impossible."""

    name: str
    unit: str
    low: float
    high: float


#: The limits are what no working or broken sensor can honestly say; a merely wrong value (a CO
#: channel with an offset, say) is inside them, because judging it is the alarms' work.
QUANTITIES: tuple[Quantity, ...] = (
    Quantity("co_ppm", "ppm", -10_000.0, 1_000_000.0),
    Quantity("optical_density_db_m", "dB/m", -1_000.0, 1_000.0),
    Quantity("temperature_c", "°C", -100.0, 2_000.0),
    Quantity("humidity_pct", "%", -5.0, 105.0),
    Quantity("battery_pct", "%", 0.0, 100.0),
    Quantity("battery_v", "V", 0.0, 100.0),
    Quantity("co2_ppm", "ppm", -100_000.0, 1_000_000.0),
    Quantity("o2_pct", "%", -100.0, 200.0),
    Quantity("pm25_ug_m3", "µg/m³", -1_000.0, 1_000_000.0),
    Quantity("signal_dbm", "dBm", -200.0, 50.0),
)
QUANTITY_NAMES: tuple[str, ...] = tuple(quantity.name for quantity in QUANTITIES)
BY_NAME: dict[str, Quantity] = {quantity.name: quantity for quantity in QUANTITIES}

_METRES_PER_FOOT = 0.3048


def check_value(name: str, value: float) -> float:
    """The value itself, if it is finite and possible.

    Raises ``WireError`` with the reason ``not_finite`` or ``out_of_range``.
    """
    if not math.isfinite(value):
        raise WireError("not_finite", f"{name} is {value}")
    quantity = BY_NAME[name]
    if not quantity.low <= value <= quantity.high:
        raise WireError(
            "out_of_range",
            f"{name} is {value:g}; expected {quantity.low:g} to {quantity.high:g} {quantity.unit}",
        )
    return value


def db_m_from_pct_ft(obscuration_pct_ft: float) -> float:
    """Optical density in dB/m from obscuration in % per foot.

    D = −log10(1 − o/100) / 0.3048 per metre; 10·D is dB/m. 0.5 %/ft is 0.071 dB/m.
    Raises ``WireError`` for 100 %/ft and more, which has no finite density.
    """
    if not 0 <= obscuration_pct_ft < 100:
        raise WireError("out_of_range", f"obscuration is {obscuration_pct_ft} %/ft; expected 0 to <100")
    return -10.0 * math.log10(1.0 - obscuration_pct_ft / 100.0) / _METRES_PER_FOOT


def pct_ft_from_db_m(optical_density_db_m: float) -> float:
    """Obscuration in % per foot from optical density in dB/m; the inverse of the above."""
    return 100.0 * (1.0 - math.pow(10.0, -optical_density_db_m * _METRES_PER_FOOT / 10.0))


def db_m_from_per_m(optical_density_per_m: float) -> float:
    """dB/m from base-10 optical density per metre (laboratory recordings): ten times as much."""
    return 10.0 * optical_density_per_m


def c_from_f(temperature_f: float) -> float:
    """Degrees Celsius from Fahrenheit."""
    return (temperature_f - 32.0) * 5.0 / 9.0


def ppm_from_volume_pct(volume_pct: float) -> float:
    """Parts per million from per cent by volume: one per cent is 10,000 ppm."""
    return volume_pct * 10_000.0
